"""What a rule on a field cannot say, in the same form: a path and what is wrong.

A new kind adds a row to CHECKS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from planton import quantity
from planton.manifest._cron import schedule_problem
from planton.manifest._prefix import bucket_problem, prefix_problem, template_problem
from planton.types import ApiResourceMetadata, ContainerResources, PostgresKubernetes, PostgresOperatorKubernetes, Resource

NAMESPACE_LABEL = "kubernetes.project-planton.org/namespace"

Complaint: TypeAlias = tuple[str, str]
"""A field path in the usual spelling, and what is wrong."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
# k8s.io/apimachinery v0.36.3, pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB
_ANNOTATIONS_LIMIT = 256 * 1024


def check(message: Resource) -> Iterator[Complaint]:
    """Checks a message.

    Args:
        message: A message of any kind, with its defaults filled.

    Yields:
        A path and what is wrong.
    """
    yield from _metadata(message.metadata)
    special = CHECKS.get(message.DESCRIPTOR.name)
    if special is not None:
        yield from special(message)


def _metadata(metadata: ApiResourceMetadata) -> Iterator[Complaint]:
    labels = metadata.labels
    if labels and NAMESPACE_LABEL in labels and not _DNS_LABEL.fullmatch(labels[NAMESPACE_LABEL]):
        yield (
            f'metadata.labels["{NAMESPACE_LABEL}"]',
            "must be the name of a namespace: at most 63 lower-case letters, digits and '-', "
            "beginning and ending with a letter or digit",
        )
    annotations = metadata.annotations
    if annotations:
        size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        if size > _ANNOTATIONS_LIMIT:
            yield "metadata.annotations", f"have more than {_ANNOTATIONS_LIMIT // 1024} KiB, which Kubernetes refuses"


def _operator(message: PostgresOperatorKubernetes) -> Iterator[Complaint]:
    spec = message.spec
    yield from _resources(spec.container.resources)
    if not spec.HasField("backup_config"):
        return
    config = spec.backup_config
    path = "spec.backup_config"
    problem = template_problem(config.s3_prefix_template)
    if problem:
        yield f"{path}.s3_prefix_template", problem
    problem = schedule_problem(config.backup_schedule) if config.backup_schedule else ""
    if problem:
        yield f"{path}.backup_schedule", problem
    bucket = config.r2_config.bucket_name
    # Names of other lengths and characters are refused by the rule on the field.
    problem = bucket_problem(bucket) if re.fullmatch(r"[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]", bucket) else ""
    if problem:
        yield f"{path}.r2_config.bucket_name", problem


def _database(message: PostgresKubernetes) -> Iterator[Complaint]:
    name = message.metadata.name
    if (name == "default" or name.startswith("kube-")) and not message.metadata.labels.get(NAMESPACE_LABEL):
        yield (
            "metadata.name",
            "would also be the database's namespace, and that one is Kubernetes' own: choose another name, or name "
            f"the namespace by the label {NAMESPACE_LABEL} in metadata.labels",
        )
    container = message.spec.container
    yield from _resources(container.resources)
    if _amount(container.disk_size.replace(" ", "").replace("\t", "")) > quantity.MAXIMUM:
        yield "spec.container.disk_size", "is more than Kubernetes can count (8Ei)"
    if not message.spec.HasField("backup_config"):
        return
    config = message.spec.backup_config
    problem = prefix_problem(config.s3_prefix)
    if problem:
        yield "spec.backup_config.s3_prefix", problem
    problem = schedule_problem(config.backup_schedule) if config.backup_schedule else ""
    if problem:
        yield "spec.backup_config.backup_schedule", problem


def _resources(resources: ContainerResources) -> Iterator[Complaint]:
    path = "spec.container.resources"
    limits, requests = resources.limits, resources.requests
    for item, limited, requested in (
        ("cpu", limits.cpu, requests.cpu),
        ("memory", limits.memory, requests.memory),
    ):
        limit, request = _amount(limited), _amount(requested)
        if limit == 0:
            yield f"{path}.limits.{item}", "cannot be 0, which readers of it take for no limit at all"
        elif 0 < limit < request:
            # Defaults never get above a given limit, so that both were given.
            yield f"{path}.requests.{item}", f"is above limits.{item}: raise the limit or lower the request"
        for kind, amount in (("limits", limit), ("requests", request)):
            if amount > quantity.MAXIMUM:
                yield f"{path}.{kind}.{item}", "is more than Kubernetes can count (8Ei)"


def _amount(text: str) -> Any:
    """Reads a quantity; -1 for what is none, about which the rule on its field complains."""
    try:
        return quantity.parse(text)
    except ValueError:
        return -1


CHECKS: Mapping[str, Callable[[Any], Iterator[Complaint]]] = MappingProxyType(
    {"PostgresOperatorKubernetes": _operator, "PostgresKubernetes": _database}
)
"""The checks of each kind, by its name."""
