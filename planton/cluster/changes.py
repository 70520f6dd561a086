"""The words of plans and results: changes as frozen values that can be printed without showing a credential."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from planton.cluster.api.connection import ClusterIdentity
from planton.errors import Problem
from planton.types import Resource

if TYPE_CHECKING:
    from planton.cluster.deleting.remaining import Remaining

Action: TypeAlias = Literal["created", "configured", "unchanged", "deleted", "skipped", "refused"]
"""What is done to an object, the same word in plans and in results."""

ACTIONS: tuple[Action, ...] = ("created", "configured", "unchanged", "deleted", "skipped", "refused")

_SIGNS: dict[Action, str] = {
    "created": "+",
    "configured": "~",
    "unchanged": " ",
    "deleted": "-",
    "skipped": ".",
    "refused": "x",
}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that changes.

    Attributes:
        path: Where it stands, such as `spec.template.spec.containers[name=postgres-operator].image`.
        before: Its value as JSON text, None where there is none, `<hidden>` where it is not shown.
        after: Likewise.
    """

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Formats the change as one line."""
        before = "(none)" if self.before is None else self.before
        after = "(removed)" if self.after is None else self.after
        return f"{self.path}: {before} -> {after}"


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one object.

    Attributes:
        action: created, configured, unchanged, deleted, skipped, or refused where the caller has no permission or the
            namespace is being deleted.
        api_version: Its apiVersion.
        kind: Its kind.
        namespace: Its namespace; empty when it stands in none.
        name: Its name.
        diff: Fields that change, credentials hidden; empty unless configured.
        effects: What the change does beyond the object, in words.
        reason: Why it is skipped, refused, deleted, or configured without a field that changes.
    """

    action: Action
    api_version: str
    kind: str
    namespace: str
    name: str
    diff: tuple[FieldChange, ...] = ()
    effects: tuple[str, ...] = ()
    reason: str = ""

    @property
    def subject(self) -> str:
        """`Kind/namespace/name`, or `Kind/name` for what stands in no namespace."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    def __str__(self) -> str:
        """Formats the change: a line for the object, then one for each field and effect."""
        head = f"{_SIGNS[self.action]} {self.subject} {self.action}"
        if self.reason:
            head += f" ({self.reason})"
        lines = [head, *(f"    {change}" for change in self.diff), *(f"    ! {effect}" for effect in self.effects)]
        return "\n".join(lines)


def summary(changes: Sequence[Change]) -> str:
    """Counts changes by their action.

    Args:
        changes: The changes.

    Returns:
        Such as `2 created, 1 configured, 5 unchanged`; `nothing` for none.
    """
    counts = Counter(change.action for change in changes)
    return ", ".join(f"{counts[action]} {action}" for action in ACTIONS if counts[action]) or "nothing"


class Sealed:
    """Holds what a plan needs to be carried out, objects with credentials among it. Cannot be printed or copied out.

    Attributes:
        content: What is held; for the cluster layer only.
    """

    __slots__ = ("content",)

    def __init__(self, content: Any) -> None:
        """Seals something.

        Args:
            content: What to hold.
        """
        self.content = content

    def __repr__(self) -> str:
        """Says nothing of the content."""
        return "<sealed>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed:
        """Stays sealed, so that dataclasses.asdict opens nothing."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuses to be written down."""
        raise TypeError("a plan's objects are not pickled")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do. Made by Cluster.plan; has written nothing.

    Attributes:
        identity: The cluster that was asked.
        changes: One for each object, in the order in which they are written.
        warnings: What is worth saying of the manifests.
        effects: What the changes do beyond their objects, each once.
        target_clusters: The target clusters that the manifests name, for show.
        remaining: Of a delete: what remains of each database.
    """

    identity: ClusterIdentity
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...] = ()
    effects: tuple[str, ...] = ()
    target_clusters: tuple[str, ...] = ()
    _sealed: Sealed = field(default_factory=lambda: Sealed(None), repr=False, compare=False)
    remaining: tuple[Remaining, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether an apply would write anything."""
        return any(change.action in ("created", "configured", "deleted") for change in self.changes)

    @property
    def refused(self) -> tuple[Change, ...]:
        """What an apply leaves alone for want of a permission; it does all else and then fails."""
        return tuple(change for change in self.changes if change.action == "refused")

    @property
    def summary(self) -> str:
        """Such as `2 created, 1 configured, 5 unchanged`."""
        return summary(self.changes)

    def __str__(self) -> str:
        """Formats the plan for people: cluster, warnings, what changes, effects, counts."""
        lines = [f"Cluster: {self.identity}"]
        if self.target_clusters:
            lines.append(f"Target cluster in the manifests: {', '.join(self.target_clusters)}")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        lines += [str(change) for change in self.changes if change.action != "unchanged"]
        if self.effects:
            lines += ["Effects:", *(f"  {effect}" for effect in self.effects)]
        lines.append(f"Plan: {self.summary}.")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What an apply has done.

    Attributes:
        identity: The cluster that was written to.
        changes: One for each object, in the order in which they were written.
        warnings: What is worth saying of the manifests.
        effects: What the changes do beyond their objects, each once.
        messages: Copies of the messages without their credentials, with `status.outputs` filled.
        old_credentials: A line for each database of which something still runs on old credentials, after a change of
            them: the operator restarts its pods one after the other.
    """

    identity: ClusterIdentity
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...] = ()
    effects: tuple[str, ...] = ()
    messages: tuple[Resource, ...] = field(default=(), repr=False, compare=False)
    old_credentials: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return any(change.action in ("created", "configured", "deleted") for change in self.changes)

    @property
    def summary(self) -> str:
        """Such as `2 created, 1 configured, 5 unchanged`."""
        return summary(self.changes)

    def __str__(self) -> str:
        """Formats the result for people."""
        lines = [str(change) for change in self.changes if change.action != "unchanged"]
        return "\n".join([*lines, *self.old_credentials, f"Done: {self.summary}."])


@dataclass(frozen=True, slots=True)
class DeleteResult(ApplyResult):
    """What a delete has done: deleted, and skipped for what stays.

    Attributes:
        remaining: What remains of each database, seen after its shutdown.
    """

    remaining: tuple[Remaining, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Where long work has got to.

    Attributes:
        phase: What is being done: read, check, plan, namespaces, rbac, secrets, configuration, operator, wait,
            databases, prune, delete; retry while the server does not do what it is asked, in whichever of them that is.
        done: Steps done in this phase.
        total: Steps in this phase; 0 when not known.
        subject: `Kind/namespace/name`, or what is waited for.
    """

    phase: str
    done: int
    total: int
    subject: str = ""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a plan or an apply may do.

    Attributes:
        set_id: Id of the set; objects carry it in the label planton.ai/set, and what has it and is no longer
            rendered is pruned. None prunes nothing and leaves the label as it is.
        operator_namespace: Namespace of the operator, where the cluster has several.
        cluster_id: Id of the cluster that is meant; a manifest whose target_cluster names another one is refused.
        force_conflicts: Take over fields that other field managers own, and objects not made by planton.
        allow_version_change: Allow another PostgreSQL version for a database that exists. Its pods restart with it; the
            data is upgraded by hand, see docs/operations.md.
        allow_encryption_change: Allow another key, or none, for encrypting backups that go on in the same archive: what
            is there can then not be read any more.
        allow_archive_reuse: Allow a database to write to an archive that another one left behind, or to go back to one
            that it left itself.
        skip_checks: Try nothing out: neither the stores and archives that are about to be used, nor what a database is
            to start from.
    """

    set_id: str | None = None
    operator_namespace: str | None = None
    cluster_id: str | None = None
    force_conflicts: bool = False
    allow_version_change: bool = False
    allow_encryption_change: bool = False
    allow_archive_reuse: bool = False
    skip_checks: bool = False


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a delete may delete; each word stands alone, and nothing goes by default.

    Attributes:
        databases: Names (metadata.name) of the databases that may go.
        operator: Whether the operator of the manifests may go; only when the cluster has no database.
        volumes: Whether the volume claims of the deleted databases go too.
        passwords: Whether the Secrets with their passwords go too.
        storage_secret: Whether the storage Secret goes too.
        namespace: Whether their namespace goes too, when it is ours and otherwise empty.
        without_operator: Delete databases although no operator runs; their pods, StatefulSets and Services stay.
        operator_namespace: Namespace of the operator, where the cluster has several.
        cluster_id: Id of the cluster that is meant, as for a plan.
        set_id: Id of the set of the databases that may go; None for databases that are in no set.
        last_backup: Make a base backup of each database before anything is deleted, and delete nothing without it.
        without_backup: Delete volumes also where the data may be lost with them: where the archive cannot be read, or
            does not hold what the volumes do.
    """

    databases: tuple[str, ...] = ()
    operator: bool = False
    volumes: bool = False
    passwords: bool = False
    storage_secret: bool = False
    namespace: bool = False
    without_operator: bool = False
    operator_namespace: str | None = None
    cluster_id: str | None = None
    set_id: str | None = None
    last_backup: bool = False
    without_backup: bool = False


def effects_in(changes: Iterable[Change]) -> tuple[str, ...]:
    """Gathers the effects of changes.

    Args:
        changes: The changes.

    Returns:
        Each effect once, in order.
    """
    return tuple(dict.fromkeys(effect for change in changes for effect in change.effects))


Progress: TypeAlias = Callable[[ProgressEvent], None]


def locked(progress: Progress | None) -> Progress:
    """Makes a report that is given by one thread at a time.

    Args:
        progress: Is told; None for nobody.

    Returns:
        What can be called by any thread.
    """
    lock = threading.Lock()

    def report(event: ProgressEvent) -> None:
        if progress is not None:
            with lock:
                progress(event)

    return report
