"""Objects -> API server: connect, plan, apply, delete, status. Sync only.

Each name is imported when it is first used: what one verb needs, another need not wait for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # The name is what type checkers go by.
if TYPE_CHECKING:
    from typing import Any

    from planton.cluster.api.connection import ClusterIdentity
    from planton.cluster.changes import (
        ApplyResult,
        Change,
        DeleteOptions,
        DeleteResult,
        FieldChange,
        Plan,
        PlanOptions,
        ProgressEvent,
    )
    from planton.cluster.cluster import Cluster, connect
    from planton.cluster.status import EventStatus, PodStatus, ResourceStatus

__all__ = [
    "ApplyResult",
    "Change",
    "Cluster",
    "ClusterIdentity",
    "DeleteOptions",
    "DeleteResult",
    "EventStatus",
    "FieldChange",
    "Plan",
    "PlanOptions",
    "PodStatus",
    "ProgressEvent",
    "ResourceStatus",
    "connect",
]

_HOMES = {
    "ClusterIdentity": "api.connection",
    "Cluster": "cluster",
    "connect": "cluster",
    "EventStatus": "status",
    "PodStatus": "status",
    "ResourceStatus": "status",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'changes')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Lists the public names."""
    return sorted(__all__)
