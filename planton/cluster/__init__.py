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
    **dict.fromkeys(__all__, "planton.cluster.changes"),
    "ClusterIdentity": "planton.cluster.api.connection",
    "Cluster": "planton.cluster.cluster",
    "connect": "planton.cluster.cluster",
    "EventStatus": "planton.cluster.status",
    "PodStatus": "planton.cluster.status",
    "ResourceStatus": "planton.cluster.status",
}


if not TYPE_CHECKING:  # By this, type checkers would take any name for a public one.

    def __getattr__(name: str) -> Any:
        """Imports a public name when it is first used."""
        from planton.lazy import found

        return found(__name__, name, _HOMES)


def __dir__() -> list[str]:
    """Lists the public names."""
    return sorted(__all__)
