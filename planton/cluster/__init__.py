"""Objects -> API server: connect, plan, apply, delete, status. Sync only."""

from __future__ import annotations

from planton.cluster._connection import ClusterIdentity
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
