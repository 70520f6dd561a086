"""What a rule on a field cannot say, in the same form: a path and what is wrong.

A new kind adds a row to CHECKS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from planton import quantity
from planton.manifest._backup import database_problems, location_problems, operator_problems
from planton.manifest._cron import schedule_problem
from planton.manifest._prefix import prefix_problem, template_problem
from planton.types import (
    ApiResourceMetadata,
    ContainerResources,
    PostgresKubernetes,
    PostgresKubernetesSpec,
    PostgresOperatorKubernetes,
    Resource,
)

NAMESPACE_LABEL = "kubernetes.project-planton.org/namespace"

Complaint: TypeAlias = tuple[str, str]
"""A field path in the usual spelling, and what is wrong."""

_DAY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T", re.ASCII)
# Tried with PostgreSQL 18.6: it refuses them after the whole base backup has been fetched.
_FAR_ZONE = re.compile(r"[+-](?:1[6-9]|2[0-9]):[0-9]{2}$")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
# k8s.io/apimachinery v0.36.3, pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB
_ANNOTATIONS_LIMIT = 256 * 1024


def check(message: Resource) -> list[Complaint]:
    """Checks a message.

    Args:
        message: A message of any kind, with its defaults filled.

    Returns:
        Paths and what is wrong with them.
    """
    found: list[Complaint] = []
    _metadata(message.metadata, found)
    special = CHECKS.get(message.DESCRIPTOR.name)
    if special is not None:
        special(message, found)
    return found


# The operator acts on these where they stand on a custom resource: the first lets it clean up after a deletion, the
# second hands the database to another operator (v1.15.1, pkg/controller/postgresql.go and util.go).
_RESERVED_ANNOTATIONS = frozenset({"delete-clustername", "acid.zalan.do/controller"})
_RESERVED_ANNOTATION_TEXT = "is one that the operator acts on: remove it"


def _metadata(metadata: ApiResourceMetadata, found: list[Complaint]) -> None:
    labels, annotations = metadata.labels, metadata.annotations
    if labels and NAMESPACE_LABEL in labels and not _DNS_LABEL.fullmatch(labels[NAMESPACE_LABEL]):
        text = (
            "must be the name of a namespace: at most 63 lower-case letters, digits and '-', beginning and ending "
            "with a letter or digit"
        )
        found.append((f'metadata.labels["{NAMESPACE_LABEL}"]', text))
    if annotations:
        for key in sorted(_RESERVED_ANNOTATIONS & set(annotations)):
            found.append((f'metadata.annotations["{key}"]', _RESERVED_ANNOTATION_TEXT))
        size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        if size > _ANNOTATIONS_LIMIT:
            text = f"have more than {_ANNOTATIONS_LIMIT // 1024} KiB, which Kubernetes refuses"
            found.append(("metadata.annotations", text))


def _operator(message: PostgresOperatorKubernetes, found: list[Complaint]) -> None:
    spec = message.spec
    _resources(spec.container.resources, found)
    if spec.HasField("backup_config"):
        config = spec.backup_config
        path = "spec.backup_config"
        _add(found, f"{path}.s3_prefix_template", template_problem(config.s3_prefix_template))
        _add(found, f"{path}.backup_schedule", schedule_problem(config.backup_schedule))
        found += [(f"{path}{place}", text) for place, text in operator_problems(config)]


def _database(message: PostgresKubernetes, found: list[Complaint]) -> None:
    spec, name = message.spec, message.metadata.name
    if is_kubernetes_own(name) and not message.metadata.labels.get(NAMESPACE_LABEL):
        text = (
            "would also be the database's namespace, and that one is Kubernetes' own: choose another name, or name "
            f"the namespace by the label {NAMESPACE_LABEL} in metadata.labels"
        )
        found.append(("metadata.name", text))
    container = spec.container
    _resources(container.resources, found)
    _add(found, "spec.container.disk_size", _size_problem(container.disk_size))
    if spec.HasField("backup_config"):
        config = spec.backup_config
        _add(found, "spec.backup_config.s3_prefix", prefix_problem(config.s3_prefix))
        _add(found, "spec.backup_config.backup_schedule", schedule_problem(config.backup_schedule))
        # Fields of which database_problems says something. Most databases have none of them.
        if (
            config.HasField("storage")
            or config.HasField("credentials")
            or config.HasField("encryption")
            or config.HasField("tuning")
        ):
            found += [(f"spec.backup_config{place}", text) for place, text in database_problems(config)]
    if spec.HasField("clone") or spec.HasField("standby"):
        _beginning(spec, found)


def is_kubernetes_own(name: str) -> bool:
    """Tells the names of namespaces that are Kubernetes' own.

    Args:
        name: The name.

    Returns:
        True when it is one of them.
    """
    return name == "default" or name.startswith("kube-")


def _beginning(spec: PostgresKubernetesSpec, found: list[Complaint]) -> None:
    clone, standby = spec.HasField("clone"), spec.HasField("standby")
    if clone and standby:
        text = "is given beside clone: a database either starts from an archive, or follows one. Keep one of them"
        found.append(("spec.standby", text))
    if clone and spec.clone.HasField("target_time"):
        _add(found, "spec.clone.target_time", _time_problem(spec.clone.target_time))
    for name, source in (("clone", spec.clone.source), ("standby", spec.standby.source)):
        if source.HasField("archive"):
            path = f"spec.{name}.source.archive"
            _add(found, f"{path}.s3_prefix", prefix_problem(source.archive.s3_prefix))
            found += [(f"{path}{place}", text) for place, text in location_problems(source.archive)]


def _time_problem(text: str) -> str:
    """Looks for what is of the right form and no time; of the form the rule on the field says what is wrong."""
    if not _DAY.match(text):
        return ""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return "is no day of the calendar"
    if not 1970 <= day.year < 9999:
        return "is too far away to be a time to which anything was archived"
    if _FAR_ZONE.search(text):
        return "has a zone that PostgreSQL does not take: there is none beyond 15:59. Write it in UTC, with a Z"
    return ""


def _add(found: list[Complaint], path: str, text: str) -> None:
    if text:
        found.append((path, text))


def _resources(resources: ContainerResources, found: list[Complaint]) -> None:
    limits, requests = resources.limits, resources.requests
    found += _pair_problems("cpu", limits.cpu, requests.cpu)
    found += _pair_problems("memory", limits.memory, requests.memory)


# The same few sizes stand in most manifests.
@lru_cache(maxsize=1024)
def _pair_problems(item: str, limited: str, requested: str) -> tuple[Complaint, ...]:
    path = "spec.container.resources"
    limit, request = _amount(limited), _amount(requested)
    found: list[Complaint] = []
    if limit == 0:
        found.append((f"{path}.limits.{item}", "cannot be 0, which readers of it take for no limit at all"))
    elif 0 < limit < request:
        # Defaults never get above a given limit, so that both were given.
        found.append((f"{path}.requests.{item}", f"is above limits.{item}: raise the limit or lower the request"))
    _add(found, f"{path}.limits.{item}", _size_problem(limited))
    _add(found, f"{path}.requests.{item}", _size_problem(requested))
    return tuple(found)


@lru_cache(maxsize=1024)
def _size_problem(text: str) -> str:
    amount = _amount(text.replace(" ", "").replace("\t", ""))
    return "is more than Kubernetes can count (8Ei)" if amount > quantity.MAXIMUM else ""


def _amount(text: str) -> Decimal:
    """Reads a quantity; -1 for what is none, about which the rule on its field complains."""
    try:
        return quantity.parse(text)
    except ValueError:
        return Decimal(-1)


CHECKS: Mapping[str, Callable[[Any, list[Complaint]], None]] = MappingProxyType(
    {"PostgresOperatorKubernetes": _operator, "PostgresKubernetes": _database}
)
"""The checks of each kind, by its name."""


def _never(_: str) -> bool:
    return False


SINGLE: Mapping[str, Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "PostgresKubernetes": {
            "metadata.name": is_kubernetes_own,
            "metadata.slug": _never,
            "metadata.id": _never,
            "spec.backup_config.s3_prefix": prefix_problem,
        }
    }
)
"""Texts that are another in each document of a kind, and that can be looked at by themselves: nothing that is checked
of other fields, and no default, asks for more of them than whether they are there. Beside each stands what says of its
value that there is something to check. A check that brings one of them together with others takes its row out here."""
