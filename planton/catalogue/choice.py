"""Which base backup a restore takes, whether it gets to where it shall, and what would work instead.

The rules are in window.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from planton.catalogue.model import BaseBackup, Catalogue, Lineage, Span, order_of
from planton.catalogue.times import exact
from planton.catalogue.window import chosen_in_turn

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a restore from an archive does.

    Attributes:
        backup: The base backup that it takes; None when there is none.
        lineage: The cluster that it brings back.
        span: The times that this backup can serve, for a target within them.
        problem: Why it fails, or brings back less than one expects; empty when nothing is known against it.
        before: The nearest time before the target to which a restore can go; None when there is none.
        after: The nearest one after it.
    """

    backup: BaseBackup | None = None
    lineage: Lineage | None = None
    span: Span | None = None
    problem: str = ""
    before: datetime | None = None
    after: datetime | None = None


def chosen_backup(backups: Iterable[BaseBackup], target: datetime | None = None) -> BaseBackup | None:
    """Finds the base backup that Spilo takes.

    With a target the newest one that `wal-g backup-list` prints with an earlier time (Spilo 4.0-p3 and 4.1,
    bootstrap/clone_with_wale.py, choose_backup), else LATEST, the one whose sentinel the store got last (wal-g 3.0.5
    and 3.0.8, internal/backup_util.go, GetLatestBackup).

    Args:
        backups: All base backups of the archive.
        target: The target time, with a zone; None for the end of the archive.

    Returns:
        The backup; None when there is none.
    """
    if target is None:
        return max(backups, key=order_of, default=None)
    return max(
        (one for one in chosen_in_turn(backups) if one.listed < target), key=lambda one: one.listed, default=None
    )


def choose(catalogue: Catalogue, target: datetime | None = None) -> Choice:
    """Says what a restore from an archive does.

    Args:
        catalogue: What is in the archive.
        target: The target time, with a zone; None for the end of the archive.

    Returns:
        The choice.
    """
    backups = catalogue.backups
    backup = chosen_backup(backups, target)
    before, after = _nearest(catalogue.spans, target) if target is not None else (None, None)
    if backup is None:
        if not backups:
            return Choice(problem="the archive has no base backup")
        first = chosen_in_turn(backups)[0]
        problem = f"no base backup is older: the first one, {first.name}, came at {exact(first.listed)}"
        return Choice(problem=problem, before=before, after=after)
    lineage = catalogue.lineage_of(backup.name)
    if lineage is None:
        return Choice(backup, problem=backup.problem, before=before, after=after)
    if target is None:
        return Choice(backup, lineage, problem=lineage.window.problem)
    span = lineage.window.span_of(target)
    if span is not None:
        return Choice(backup, lineage, span, before=before, after=after)
    return Choice(backup, lineage, problem=_problem(backup, lineage, target), before=before, after=after)


def _problem(backup: BaseBackup, lineage: Lineage, target: datetime) -> str:
    if backup.problem:
        return f"the base backup that would be taken, {backup.name}, is no good: {backup.problem}"
    if target < backup.finish_time:
        return (
            f"the base backup that would be taken, {backup.name}, was finished only at {exact(backup.finish_time)}: a "
            "restore out of it cannot end before"
        )
    for hole in lineage.window.holes:
        if hole.start <= target <= hole.end:
            return hole.reason
    span = next((one for one in lineage.window.spans if one.backup == backup.name), None)
    if span is None:
        return f"nothing that was committed after {backup.name} was finished is in the archive yet"
    return f"the archive reaches until {exact(span.end)}{'' if span.is_exact else ' at the latest'}"


def _nearest(spans: Iterable[Span], target: datetime) -> tuple[datetime | None, datetime | None]:
    before: datetime | None = None
    after: datetime | None = None
    for one in spans:
        last = one.end if one.includes_end else one.end - _TICK
        first = one.start if one.includes_start else one.start + _TICK
        if last <= target and (before is None or last > before) and one.contains(last):
            before = last
        if first >= target and (after is None or first < after) and one.contains(first):
            after = first
    return before, after
