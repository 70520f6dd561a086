"""A set of messages -> objects: platform, translation of each, and what only the whole set shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from planton.errors import Origin, Problem
from planton.kinds import KINDS
from planton.translate.archive_sources import with_set_sources
from planton.translate.backup import platform_of
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.order import ordered
from planton.translate.platform import BackupPlatform
from planton.translate.set_checks import set_problems, set_warnings
from planton.types import PostgresOperatorKubernetes, Resource


@dataclass(frozen=True, slots=True)
class Collected:
    """What a set of messages becomes.

    Attributes:
        objects: Kubernetes objects in the order in which they are applied.
        platform: The backup platform in force.
        errors: Why the set cannot be used.
        warnings: What is worth saying.
    """

    objects: Sequence[KubernetesObject]
    platform: BackupPlatform | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def in_force(
    messages: Sequence[Resource], platform: BackupPlatform | None, existing: Existing
) -> tuple[BackupPlatform | None, Existing]:
    """Decides which platform and operator version hold for a set: an operator in it overrules the cluster.

    Args:
        messages: Messages with their defaults filled.
        platform: The platform read back from the cluster.
        existing: Facts of the cluster.

    Returns:
        The platform, and the facts with the version of the operator that will be there and with the archives for which
        clones and standbys of the set ask.
    """
    for message in messages:
        if isinstance(message, PostgresOperatorKubernetes):
            platform = platform_of(message, existing)
            existing = replace(existing, operator_version=message.spec.operator_version)
            break
    return platform, with_set_sources(messages, platform, existing)


def collect(
    messages: Sequence[Resource],
    origins: Sequence[Origin],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Collected:
    """Turns a set of messages into objects.

    Args:
        messages: Messages with their defaults filled, validated each on its own.
        origins: Where each came from.
        platform: The platform read back from the cluster; overruled by an operator in the set.
        existing: Facts of the cluster.

    Returns:
        The objects, and everything that is wrong or worth saying.
    """
    platform, existing = in_force(messages, platform, existing)
    errors = list(set_problems(messages, origins, platform, existing))
    warnings = list(set_warnings(messages, origins, platform, existing))
    objects: dict[tuple[str, str, str, str], KubernetesObject] = {}
    order = sorted(range(len(messages)), key=lambda index: (KINDS[messages[index].kind].rank, index))
    for index in order:
        message = messages[index]
        translation = KINDS[message.kind].translate()(message, platform, existing)
        origin, subject = origins[index], f"{message.kind}/{message.metadata.name}"
        errors.extend(replace(problem, origin=origin, subject=subject) for problem in translation.errors)
        warnings.extend(replace(problem, origin=origin, subject=subject) for problem in translation.warnings)
        for item in translation.objects:
            metadata = item["metadata"]
            key = (item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])
            # Two databases in one namespace both make the Namespace and the copy of the storage Secret. The
            # copies are equal; of Namespaces the first stands, since an existing one is never changed.
            objects.setdefault(key, item)
    return Collected(ordered(objects.values()), platform, tuple(errors), tuple(warnings))
