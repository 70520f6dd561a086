"""A base backup on demand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from planton.catalogue import times
from planton.cli._changes import show_head
from planton.cli._exit import DONE, INTERRUPTED, Stopped, UsageError
from planton.cli._output import Console
from planton.cli._progress import Progress

if TYPE_CHECKING:
    from planton.catalogue.archive import Archive
    from planton.cluster import Cluster


def create(archive: Archive, cluster: Cluster | None, arguments: argparse.Namespace, console: Console) -> int:
    """Makes a base backup of a database and waits until it is in the bucket.

    Args:
        archive: Its archive.
        cluster: The cluster that runs it; None where it was not asked.
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The cluster was not asked.
        PlantonError: None can be made, it failed, or it was not there in time.
        Stopped: A signal came; the backup goes on.
    """
    if cluster is None:
        raise UsageError("the database's own pod makes the backup", "Add --live, or leave -f out.")
    planned = cluster.plan_backup(archive)
    if arguments.output == "table":
        facts = (
            ("Server", cluster.identity.server),
            ("Database", f"{planned.namespace}/{planned.name}"),
            ("Archive", str(archive)),
        )
        show_head(facts, console)
        for effect in planned.effects:
            console.out(f"! {effect}")
        console.flush()
    # From here on the error itself says how far it came.
    console.untouched = ""
    try:
        with Progress(console) as progress:
            made = cluster.create_backup(archive, planned, timeout=arguments.timeout, progress=progress)
    except (KeyboardInterrupt, Stopped) as stop:
        code, word = (stop.code, stop.word) if isinstance(stop, Stopped) else (INTERRUPTED, "interrupted")
        raise Stopped(
            code, f"{word}. A backup that has begun goes on in the pod: see `planton backups list {arguments.name}`"
        ) from None
    if arguments.output == "table":
        console.out(f"{made.name} is in the archive, after {times.age(made.seconds)}.")
        for note in made.notes:
            console.warn(note)
    else:
        data = {
            "backup": made.name,
            "stored": times.exact(made.modified),
            "pod": made.pod,
            "seconds": round(made.seconds, 1),
            "notes": list(made.notes),
        }
        (console.json if arguments.output == "json" else console.yaml)(data)
    return DONE
