"""A cluster that is not there: answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from planton.cluster import (
    ApplyResult,
    Change,
    ClusterIdentity,
    DeleteOptions,
    DeleteResult,
    FieldChange,
    Plan,
    PlanOptions,
    ProgressEvent,
)
from planton.cluster.checking.checks import Checked
from planton.cluster.deleting.remaining import Remaining
from planton.cluster.status import ResourceStatus
from planton.errors import Problem
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.types import Resource

IDENTITY = ClusterIdentity("https://cluster.example:6443", "production", "/home/me/.kube/config")
CHANGES = (
    Change("created", "v1", "Namespace", "", "orders"),
    Change(
        "configured",
        "v1",
        "ConfigMap",
        "postgres-operator",
        "postgres-pod-backup-config",
        diff=(
            FieldChange("data.BACKUP_SCHEDULE", '"0 2 * * *"', '"0 3 * * *"'),
            FieldChange("data.NEW", None, '"x"'),
            FieldChange("data.OLD", "<hidden>", None),
        ),
        effects=("pods whose environment changes restart",),
    ),
    Change("unchanged", "v1", "ServiceAccount", "postgres-operator", "postgres-operator"),
    Change("skipped", "v1", "Namespace", "", "shared", reason="exists already, not created by planton"),
)
WARNING = Problem("is read as a bucket", "spec.backup_config.s3_prefix", subject="PostgresKubernetes/orders")

Event = tuple[str, int, int, str]


@dataclass
class FakeCluster:
    """Takes calls, remembers what it was asked, and answers.

    Attributes:
        changes: Changes of every plan and result.
        error: What apply and delete raise after the progress events.
        events: Progress events of apply and delete.
        statuses: What status answers.
        checked: What check answers.
        platform: What facts answers.
        existing: Likewise.
        live: What live_environment answers.
        asked: Keyword arguments of each call, by method.
        remaining: What a delete leaves of each database.
    """

    changes: tuple[Change, ...] = CHANGES
    error: BaseException | None = None
    events: tuple[Event, ...] = ()
    statuses: list[ResourceStatus] = field(default_factory=list)
    checked: tuple[Checked, ...] = ()
    platform: BackupPlatform | None = None
    existing: Existing = field(default_factory=Existing)
    live: list[dict[str, Any]] | None = None
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    remaining: tuple[Remaining, ...] = ()
    identity: ClusterIdentity = IDENTITY

    def plan(
        self,
        manifests: Iterable[Resource],
        *,
        options: PlanOptions,
        progress: Callable[[ProgressEvent], None],
    ) -> Plan:
        self.asked["plan"] = {"options": options, "names": [one.metadata.name for one in manifests]}
        progress(ProgressEvent("plan", 1, 2, "Namespace/orders"))
        return Plan(IDENTITY, self.changes, (WARNING,), ("everything restarts",), ("cluster-01",))

    def apply(
        self, plan: Plan, *, timeout: float, wait: bool, progress: Callable[[ProgressEvent], None]
    ) -> ApplyResult:
        self.asked["apply"] = {"timeout": timeout, "wait": wait}
        return self._carry_out(ApplyResult(IDENTITY, plan.changes, plan.warnings, plan.effects), progress)

    def plan_delete(self, manifests: Iterable[Resource], *, options: DeleteOptions) -> Plan:
        self.asked["plan_delete"] = {"options": options}
        return Plan(IDENTITY, self.changes, remaining=self.remaining)

    def delete(
        self,
        manifests: Iterable[Resource],
        *,
        options: DeleteOptions,
        timeout: float,
        progress: Callable[[ProgressEvent], None],
    ) -> ApplyResult:
        self.asked["delete"] = {"options": options, "timeout": timeout}
        return self._carry_out(DeleteResult(IDENTITY, self.changes, remaining=self.remaining), progress)

    def _carry_out(self, result: ApplyResult, progress: Callable[[ProgressEvent], None]) -> ApplyResult:
        for event in self.events:
            progress(ProgressEvent(*event))
        if self.error is not None:
            raise self.error
        return result

    def status(
        self,
        manifests: Iterable[Resource],
        *,
        names: Sequence[str] = (),
        namespace: str | None = None,
        operator_namespace: str | None,
        archives: bool,
    ) -> list[ResourceStatus]:
        self.asked["status"] = {
            "names": names,
            "namespace": namespace,
            "operator_namespace": operator_namespace,
            "archives": archives,
        }
        return self.statuses

    def check(
        self,
        manifests: Iterable[Resource],
        *,
        names: list[str],
        namespace: str | None,
        operator_namespace: str | None,
        from_cluster: bool,
        timeout: float,
        progress: Callable[[ProgressEvent], None],
    ) -> tuple[Checked, ...]:
        self.asked["check"] = {
            "manifests": [one.metadata.name for one in manifests],
            "names": names,
            "namespace": namespace,
            "operator_namespace": operator_namespace,
            "from_cluster": from_cluster,
            "timeout": timeout,
        }
        progress(ProgressEvent("check", 0, 0, "s3://backups"))
        return self.checked

    def facts(self, operator_namespace: str | None, manifests: object = ()) -> tuple[BackupPlatform | None, Existing]:
        self.asked["facts"] = {"operator_namespace": operator_namespace}
        return self.platform, self.existing

    def live_environment(self, namespace: str, name: str) -> list[dict[str, Any]] | None:
        self.asked["live_environment"] = {"namespace": namespace, "name": name}
        return self.live
