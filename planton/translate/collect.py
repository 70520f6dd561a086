"""A set of messages -> objects: platform, translation of each, and what only the whole set shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from planton.errors import Origin, Problem
from planton.kinds import KINDS
from planton.translate.archive import ArchiveIdentity
from planton.translate.backup import platform_of
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.live_checks import Placed
from planton.translate.order import ordered
from planton.translate.platform import BackupPlatform
from planton.translate.set_checks import check_set
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource


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
    if not any(isinstance(message, PostgresKubernetes) for message in messages):
        return platform, existing
    # Imported here: an operator alone needs none of it.
    from planton.translate.archive_sources import with_set_sources

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
    placed = [Placed(message, origin) for message, origin in zip(messages, origins, strict=True)]
    archives: dict[int, ArchiveIdentity] = {}
    errors: list[Problem] = []
    warnings: list[Problem] = []
    objects: dict[tuple[str, str, str, str], KubernetesObject] = {}
    for kind in sorted({one.kind for one in placed}, key=lambda kind: KINDS[kind].rank):
        translate = KINDS[kind].translate()
        for index, one in enumerate(placed):
            if one.kind != kind:
                continue
            translation = translate(one.message, platform, existing)
            if translation.archive is not None:
                archives[index] = translation.archive
            if translation.errors:
                errors += [_of(problem, one) for problem in translation.errors]
            if translation.warnings:
                warnings += [_of(problem, one) for problem in translation.warnings]
            for item in translation.objects:
                metadata = item["metadata"]
                key = (item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])
                # Two databases in one namespace both make the Namespace and the copy of the storage Secret. The
                # copies are equal; of Namespaces the first stands, since an existing one is never changed.
                objects.setdefault(key, item)
    of_the_set = check_set(placed, archives, platform, existing)
    return Collected(ordered(objects.values()), platform, (*of_the_set[0], *errors), (*of_the_set[1], *warnings))


def _of(problem: Problem, one: Placed) -> Problem:
    return Problem(problem.message, problem.path, one.origin, one.subject)
