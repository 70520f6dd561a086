"""The status of resources, as tables and as data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from planton.catalogue import times
from planton.catalogue.names import lsn_text
from planton.cli._catalogue import size_text
from planton.cli._changes import show_head
from planton.cli._output import Console, printable
from planton.cli._table import show_table
from planton.manifest import dumps
from planton.types import PostgresKubernetes
from planton.words import counted

if TYPE_CHECKING:
    from planton.cluster import ClusterIdentity
    from planton.cluster.backups.backup_age import ArchiveStatus
    from planton.cluster.restoring.restored import Restoration
    from planton.cluster.status import PodStatus, ResourceStatus

_HEADINGS = ("RESOURCE", "NAMESPACE", "READY", "OPERATOR SAYS", "VERSION", "PODS", "LAST BACKUP", "LAST WAL")


def show(statuses: Sequence[ResourceStatus], identity: ClusterIdentity, console: Console) -> None:
    """Prints an overview, then what there is to say of each resource.

    Args:
        statuses: The resources.
        identity: The cluster.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    show_head((("Server", identity.server), ("Context", f"{identity.context} of {identity.kubeconfig}")), console)
    console.out("")
    rows = [
        (
            one.subject,
            one.namespace,
            "no permission" if one.denied else "yes" if one.ready else "no" if one.exists else "absent",
            one.reported,
            one.version,
            f"{one.ready_replicas}/{one.replicas}" if one.exists and not one.denied else "",
            *_ages(one.archive),
        )
        for one in statuses
    ]
    styles = [("green",) if one.ready else ("red",) if one.problems else ("yellow",) for one in statuses]
    show_table(console, _HEADINGS, rows, styles=styles)
    for one in statuses:
        lines = list(_details(one))
        if lines:
            console.out("")
            console.out(console.paint(printable(one.subject), "bold"))
            show_table(console, ("", ""), lines, indent="  ", heading=False)
    console.out("")
    ready = sum(one.ready for one in statuses)
    console.out(f"{ready} of {counted(len(statuses), 'resource')} ready.")
    if closed := sum(bool(one.denied) for one in statuses):
        console.out(console.paint(f"No permission to look at {counted(closed, 'resource')}.", "red"))
    if alarming := sum(one.archive is not None and one.archive.is_alarming for one in statuses):
        console.out(console.paint(f"Backups of {counted(alarming, 'database')} are too old, or cannot be seen.", "red"))


def _ages(archive: ArchiveStatus | None) -> tuple[str, str]:
    if archive is None:
        return "", ""
    if archive.unknown:
        return "not known", "not known"
    return _age(archive.backup_age), _age(archive.segment_age)


def _age(seconds: float | None) -> str:
    return "none" if seconds is None else times.age(seconds)


def _details(status: ResourceStatus) -> Iterator[tuple[str, str]]:
    for problem in status.problems:
        yield "problem", problem
    if status.archive is not None:
        yield from _archive(status.archive)
    if status.restoration is not None and status.restoration.is_proven:
        yield "restoration", status.restoration.line
    if not status.exists and status.denied:
        return
    if not status.exists:
        yield "what to do", "planton apply"
        return
    yield from _outputs(status)
    for pod in status.pods:
        yield "pod", f"{pod.name}: {_pod(pod)}"
    for event in status.events:
        times = f" ({event.count} times)" if event.count > 1 else ""
        yield "event", f"{event.time} {event.subject}: {event.reason}: {event.message}{times}"


def _archive(archive: ArchiveStatus) -> Iterator[tuple[str, str]]:
    for stale in archive.stale:
        yield "backups", f"TOO OLD: {stale}"
    if archive.unknown:
        yield "backups", f"not known: {archive.unknown}"
        if archive.is_inside:
            yield "", "from within the cluster: planton check --from-cluster"
    if archive.archive:
        yield "archive", f"{archive.archive}{f' ({archive.note})' if archive.note else ''}"


def _outputs(status: ResourceStatus) -> Iterator[tuple[str, str]]:
    outputs = status.message.status.outputs
    yield "address", outputs.kube_endpoint
    yield "from here", outputs.port_forward_command
    if isinstance(status.message, PostgresKubernetes):
        database = status.message.status.outputs
        if database.external_hostname:
            yield "from outside", database.external_hostname
        if database.internal_hostname:
            yield "from the network", database.internal_hostname
        yield (
            "credentials",
            f"Secret/{status.namespace}/{database.username_secret.name}, keys {database.username_secret.key} and "
            f"{database.password_secret.key}",
        )


def _pod(pod: PodStatus) -> str:
    words = [pod.phase or "unknown", "ready" if pod.ready else "not ready", pod.role]
    if pod.restart_pending:
        words.append("to be restarted")
    if pod.replication or pod.behind is not None:
        words += [pod.replication, _wal(pod)]
    return ", ".join(word for word in words if word)


def _wal(pod: PodStatus) -> str:
    """Says up to where a pod has WAL that is not its own."""
    timeline = f" of timeline {pod.timeline}" if pod.timeline else ""
    if pod.behind is None:
        return f"has WAL up to {lsn_text(pod.wal_position)}{timeline}"
    behind = "all that its leader has" if not pod.behind else f"{size_text(pod.behind)} less than its leader"
    return f"has WAL up to {lsn_text(pod.wal_position)}{timeline}, {behind}"


def as_data(status: ResourceStatus) -> dict[str, Any]:
    """Gives a status for programs.

    Args:
        status: The status.

    Returns:
        The manifest, credentials masked, with `status.outputs` and `status.observed`.
    """
    data: dict[str, Any] = json.loads(dumps(status.message, format="json", redact=True))
    observed = data.setdefault("status", {})["observed"] = {
        "exists": status.exists,
        "ready": status.ready,
        "reported": status.reported,
        "version": status.version,
        "replicas": status.replicas,
        "readyReplicas": status.ready_replicas,
        "differing": list(status.differing),
        "problems": list(status.problems),
        "noPermission": [
            {"verb": one.verb, "group": one.group, "resource": one.resource, "namespace": one.namespace}
            for one in status.denied
        ],
        "pods": [
            {
                "name": pod.name,
                "phase": pod.phase,
                "ready": pod.ready,
                "role": pod.role,
                "restartPending": pod.restart_pending,
                "replication": pod.replication or None,
                "timeline": pod.timeline or None,
                "walPosition": lsn_text(pod.wal_position) if pod.wal_position else None,
                "behindBytes": pod.behind,
            }
            for pod in status.pods
        ],
        "events": [
            {
                "time": event.time,
                "subject": event.subject,
                "reason": event.reason,
                "message": event.message,
                "count": event.count,
            }
            for event in status.events
        ],
    }
    if status.archive is not None:
        observed["archive"] = _archive_data(status.archive)
    if status.restoration is not None:
        observed["restoration"] = _restoration_data(status.restoration)
    return data


def _archive_data(archive: ArchiveStatus) -> dict[str, Any]:
    return {
        "archive": archive.archive or None,
        "alarming": archive.is_alarming,
        "stale": list(archive.stale),
        "unknown": archive.unknown or None,
        "note": archive.note or None,
        "backup": archive.backup or None,
        "backupTime": _time(archive.backup_time),
        "backupAgeSeconds": _seconds(archive.backup_age),
        "segment": archive.segment or None,
        "segmentTime": _time(archive.segment_time),
        "segmentAgeSeconds": _seconds(archive.segment_age),
    }


def _restoration_data(restoration: Restoration) -> dict[str, Any]:
    return {
        "state": restoration.state,
        "proven": restoration.is_proven,
        "line": restoration.line,
        "missing": list(restoration.missing),
        # Larger than what many readers of JSON keep of a number.
        "systemIdentifier": str(restoration.system_identifier) if restoration.system_identifier else None,
        "timeline": restoration.timeline or None,
    }


def _time(moment: datetime | None) -> str | None:
    return times.exact(moment) if moment is not None else None


def _seconds(age: float | None) -> int | None:
    return int(age) if age is not None else None
