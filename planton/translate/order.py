"""The order of objects, and of keys within them."""

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

_KEYS = ("apiVersion", "kind", "metadata")


def sort_key(item: KubernetesObject) -> tuple[int, str, str, str]:
    """Gives the place of an object.

    Args:
        item: A Kubernetes object.

    Returns:
        Rank of its kind, its kind, namespace and name.
    """
    metadata = item["metadata"]
    kind = item["kind"]
    return RANKS.get(kind, len(RANKS)), kind, metadata.get("namespace", ""), metadata["name"]


def ordered(objects: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    """Puts objects in order, and apiVersion, kind and metadata first in each.

    Args:
        objects: Kubernetes objects.

    Returns:
        New objects in the order in which they are applied.
    """
    keyed = ({**{key: item[key] for key in _KEYS if key in item}, **item} for item in objects)
    return sorted(keyed, key=sort_key)
