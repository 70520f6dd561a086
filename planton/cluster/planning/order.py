"""In which order objects are written: stages, and ranks within them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from planton.kinds import KINDS
from planton.translate.names import KIND_LABEL, is_storage_secret
from planton.types import PostgresKubernetes


class Stage(IntEnum):
    """A stage of an apply. The next one begins when this one is done.

    FIRST_DATABASES are custom resources that must be changed before the operator's configuration is (archives.py).
    """

    NAMESPACES = 0
    RBAC = 1
    SECRETS = 2
    FIRST_DATABASES = 3
    CONFIGURATION = 4
    OPERATOR = 5
    DATABASES = 6

    @property
    def phase(self) -> str:
        """The word for progress and errors."""
        return self.name.lower().removeprefix("first_")


# kind -> stage and rank within it. Configuration is written one rank after the other, with the ConfigMap that names the
# others last, so that an operator that restarts in between finds what it is told of.
_PLACES: Mapping[str, tuple[Stage, int]] = {
    "Namespace": (Stage.NAMESPACES, 0),
    "CustomResourceDefinition": (Stage.NAMESPACES, 1),
    "ServiceAccount": (Stage.RBAC, 0),
    "ClusterRole": (Stage.RBAC, 1),
    "Role": (Stage.RBAC, 1),
    "ClusterRoleBinding": (Stage.RBAC, 2),
    "RoleBinding": (Stage.RBAC, 2),
    "Secret": (Stage.SECRETS, 0),
    "ConfigMap": (Stage.CONFIGURATION, 0),
    "Service": (Stage.OPERATOR, 0),
    "Deployment": (Stage.OPERATOR, 1),
    "postgresql": (Stage.DATABASES, 0),
}
_LAST = (Stage.DATABASES, 1)
_DIFFER = frozenset({"ConfigMap", "Secret", *(kind for kind, (stage, _) in _PLACES.items() if stage is Stage.OPERATOR)})
"""Kinds of which not every object has the same place."""
_DATABASE_KIND = next(kind.name for kind in KINDS.values() if kind.message is PostgresKubernetes)


def place(obj: Mapping[str, Any]) -> tuple[Stage, int]:
    """Finds the stage and rank of an object.

    Args:
        obj: The object.

    Returns:
        Stage, and rank within it. What is not in the table comes with the databases.
    """
    kind = str(obj.get("kind", ""))
    stage, rank = found = _PLACES.get(kind, _LAST)
    if kind not in _DIFFER:
        return found
    labels = (obj.get("metadata") or {}).get("labels") or {}
    if stage is Stage.OPERATOR and labels.get(KIND_LABEL) == _DATABASE_KIND:
        return Stage.DATABASES, 1
    if kind == "ConfigMap" and _is_operator_configuration(obj):
        return stage, 1
    if kind == "Secret" and is_storage_secret(str((obj.get("metadata") or {}).get("name"))):
        # Where it is missing, the operator waits before it makes a pod; a pod that misses files hangs.
        return stage, 1
    return stage, rank


def _is_operator_configuration(obj: Mapping[str, Any]) -> bool:
    return "watched_namespace" in (obj.get("data") or {})


def order_key(obj: Mapping[str, Any]) -> tuple[int, int, str, str, str]:
    """Gives the key by which objects are sorted.

    Args:
        obj: The object.

    Returns:
        Stage, rank, then kind, namespace and name.
    """
    stage, rank = place(obj)
    metadata = obj.get("metadata") or {}
    return stage, rank, str(obj.get("kind", "")), str(metadata.get("namespace", "")), str(metadata.get("name", ""))
