"""The order of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from planton.translate.contract import KubernetesObject

RANKS: Mapping[str, int] = MappingProxyType(
    {
        kind: rank
        for rank, kind in enumerate(
            (
                "Namespace",
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding",
                "Role",
                "RoleBinding",
                "Secret",
                "ConfigMap",
                "Deployment",
                "Service",
                "postgresql",
            )
        )
    }
)
"""Kind -> its place: what others need comes first. The operator looks for the storage Secret in the namespace of
each custom resource and for its ConfigMaps at its start."""


def ordered(objects: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    """Puts objects in order: by the rank of their kind, kind, namespace and name.

    Args:
        objects: Kubernetes objects.

    Returns:
        The objects in the order in which they are applied.
    """
    # By kind first, and then by one text at a time: several times faster than by tuples.
    kinds: dict[str, list[KubernetesObject]] = {}
    for item in objects:
        kinds.setdefault(item["kind"], []).append(item)
    found: list[KubernetesObject] = []
    for kind in sorted(kinds, key=lambda kind: (RANKS.get(kind, len(RANKS)), kind)):
        alike = kinds[kind]
        alike.sort(key=_name)
        alike.sort(key=_namespace)
        found += alike
    return found


def _name(item: KubernetesObject) -> str:
    return str(item["metadata"]["name"])


def _namespace(item: KubernetesObject) -> str:
    return str(item["metadata"].get("namespace", ""))
