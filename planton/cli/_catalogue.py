"""The catalogue of an archive, as tables and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from planton.catalogue import times
from planton.cli._changes import show_head
from planton.cli._exit import UsageError
from planton.cli._output import Console, printable
from planton.cli._table import show_table
from planton.words import counted

if TYPE_CHECKING:
    from planton.catalogue.model import BaseBackup, Catalogue, Lineage, RecoveryWindow, Span, Timeline

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_text(size: int) -> str:
    """Writes a size for people.

    Args:
        size: Bytes.

    Returns:
        Such as `4.2 MiB`.
    """
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def show_list(catalogue: Catalogue, where: str, now: datetime, console: Console) -> None:
    """Prints the base backups, and what can be restored.

    Args:
        catalogue: What is in the archive.
        where: The archive, for people.
        now: The time from which ages count.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    _head(catalogue, where, console)
    for lineage in _titled(catalogue, console):
        rows = [_row(one, lineage, now) for one in reversed(lineage.backups)]
        styles = [("red",) if one.problem else () for one in reversed(lineage.backups)]
        if rows:
            show_table(console, ("BACKUP", "KIND", "FINISHED", "AGE", "SIZE", "TIMELINE", "NOTES"), rows, styles=styles)
        else:
            console.out("No base backup: nothing can be restored from the WAL alone.")
    for name in catalogue.unfinished:
        console.out(f"{printable(name)}: not finished; being made right now, or broken off")
    console.out("")
    console.out(_summary(catalogue))


def show_window(catalogue: Catalogue, where: str, console: Console) -> None:
    """Prints the times to which a restore can go, and the holes between them.

    Args:
        catalogue: What is in the archive.
        where: The archive, for people.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    _head(catalogue, where, console)
    for lineage in _titled(catalogue, console):
        rows = _window_rows(lineage.window)
        if rows:
            styles = [("green",) if row[0] == "restorable" else ("red",) for row in rows]
            show_table(console, ("", "AFTER", "BEFORE", "FROM BACKUP", "WHY NOT"), rows, styles=styles)
        else:
            console.out("No time at all can be restored.")
        if lineage.window.problem:
            console.out(printable(f"The end of the archive: {lineage.window.problem}"))


def show_one(catalogue: Catalogue, name: str, where: str, console: Console) -> None:
    """Prints all that is known: of one base backup, or of the whole archive.

    Args:
        catalogue: What is in the archive.
        name: Name of a base backup; empty for the whole archive.
        where: The archive, for people.
        console: Where to print.

    Raises:
        UsageError: There is no such backup.
        OutputError: It could not be written.
    """
    if not name:
        _head(catalogue, where, console)
        for lineage in _titled(catalogue, console, always=True):
            _show_timelines(lineage, console)
        console.out("")
        console.out(_summary(catalogue))
        return
    lineage, backup = find_backup(catalogue, name)
    show_head((("Archive", where), *_facts(backup, lineage)), console)


def find_backup(catalogue: Catalogue, name: str) -> tuple[Lineage, BaseBackup]:
    """Finds a base backup.

    Args:
        catalogue: What is in the archive.
        name: Its name, or `LATEST`.

    Returns:
        What it belongs to, and the backup.

    Raises:
        UsageError: There is no such backup.
    """
    pairs = [(lineage, backup) for lineage in catalogue.lineages for backup in lineage.backups]
    if name == "LATEST" and pairs:
        return max(pairs, key=lambda pair: pair[1].modified)
    for lineage, backup in pairs:
        if backup.name == name:
            return lineage, backup
    if name in catalogue.unfinished:
        raise UsageError(
            f"{name} is not finished", "It is being made right now, or was broken off: it has no sentinel."
        )
    if not pairs:
        raise UsageError("the archive has no base backup", "`planton backups create` makes one, or the schedule does.")
    from difflib import get_close_matches

    near = get_close_matches(name, [backup.name for _, backup in pairs], n=1)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    raise UsageError(f"the archive has no base backup {name}", f"{hint}`planton backups list` shows them.")


def _head(catalogue: Catalogue, where: str, console: Console) -> None:
    current = catalogue.current
    facts = [("Archive", where)]
    if current is not None:
        facts.append(("Restorable", window_text(current.window)))
    for warning in catalogue.warnings:
        console.warn(warning)
    show_head(facts, console)
    if catalogue.is_empty:
        console.out("The archive is empty.")


def window_text(window: RecoveryWindow) -> str:
    """Says in a line to which times a restore can go.

    Args:
        window: The window.

    Returns:
        The line.
    """
    if not window.spans or window.first is None or window.last is None:
        return "nothing"
    text = f"after {times.exact(window.first)} and before {times.exact(window.last)}"
    if not window.is_exact:
        text += " at the latest (the time of the last segment: the last commit in it was not read)"
    if window.holes:
        text += f", with {counted(len(window.holes), 'hole')}"
    return text


def _titled(catalogue: Catalogue, console: Console, *, always: bool = False) -> Iterator[Lineage]:
    """Gives the lineages one after the other, each under its title where there are several."""
    for lineage in catalogue.lineages:
        console.out("")
        if always or len(catalogue.lineages) > 1:
            console.out(console.paint(printable(_title(lineage)), "bold"))
        yield lineage


def _title(lineage: Lineage) -> str:
    identifier = f"system identifier {lineage.system_identifier}" if lineage.system_identifier else "unknown cluster"
    return f"PostgreSQL {lineage.version}, {identifier}" if lineage.version else identifier


def _row(backup: BaseBackup, lineage: Lineage, now: datetime) -> tuple[str, ...]:
    notes = [backup.problem] if backup.problem else []
    if backup.is_permanent:
        notes.append("permanent: never deleted by retention")
    if backup.name in lineage.next_deleted:
        notes.append("deleted by the next run of retention")
    if backup.from_backup:
        notes.append(f"on {backup.from_backup}")
    return (
        backup.name,
        backup.kind,
        times.not_after(backup.finish_time),
        times.age((now - backup.finish_time).total_seconds()),
        size_text(backup.size),
        str(backup.timeline),
        "; ".join(notes),
    )


def _window_rows(window: RecoveryWindow) -> list[tuple[str, ...]]:
    """Gives what can be restored, without a line between two base backups where nothing is missing, and the holes."""
    whole: list[list[Span]] = []
    for span in window.spans:
        # Between two base backups there is nearly always less than a second, which is no hole worth a line.
        if whole and span.start - whole[-1][-1].end < timedelta(seconds=1):
            whole[-1].append(span)
        else:
            whole.append([span])
    rows = [
        (
            spans[0].start,
            (
                "restorable",
                times.exact(spans[0].start),
                _end(spans[-1].end, spans[-1].is_exact),
                spans[0].backup if len(spans) == 1 else f"{spans[0].backup} and {counted(len(spans) - 1, 'later one')}",
                "",
            ),
        )
        for spans in whole
    ]
    rows += [
        (one.start, ("hole", times.exact(one.start), times.exact(one.end), "", one.reason)) for one in window.holes
    ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _end(end: datetime, is_exact: bool) -> str:
    return times.exact(end) if is_exact else f"{times.exact(end)} at the latest"


def _show_timelines(lineage: Lineage, console: Console) -> None:
    rows = []
    for timeline in lineage.timelines:
        rows += list(_timeline_rows(timeline, lineage))
    show_table(console, ("TIMELINE", "FROM", "TO", "SEGMENTS", "SIZE", "ARCHIVED", "NOTES"), rows)


def _timeline_rows(timeline: Timeline, lineage: Lineage) -> Iterator[tuple[str, ...]]:
    from planton.catalogue.names import segment_name

    notes = [f"left {one.timeline} at {one.lsn >> 32:X}/{one.lsn & 0xFFFFFFFF:X}" for one in timeline.history[-1:]]
    if timeline.number > 1 and not timeline.has_history:
        notes.append("its .history file is missing: no restore goes over to it")
    for run in timeline.runs:
        yield (
            str(timeline.number),
            segment_name(run.timeline, run.first, lineage.segment_size),
            segment_name(run.timeline, run.last, lineage.segment_size),
            str(run.count),
            size_text(run.size),
            f"{times.not_after(run.first_modified)} to {times.not_after(run.last_modified)}",
            "; ".join(notes),
        )
        notes = []
    if not timeline.runs:
        yield (str(timeline.number), "", "", "0", "", "", "; ".join(notes))
    for gap in timeline.gaps:
        yield (
            str(timeline.number),
            segment_name(gap.timeline, gap.first, lineage.segment_size),
            segment_name(gap.timeline, gap.last, lineage.segment_size),
            str(gap.last - gap.first + 1),
            "",
            "",
            "MISSING: no restore goes beyond",
        )


def _facts(backup: BaseBackup, lineage: Lineage) -> list[tuple[str, str]]:
    from planton.catalogue.names import segment_name

    spans = [one for one in lineage.window.spans if one.backup == backup.name]
    reach = "; ".join(f"after {times.exact(one.start)}, before {_end(one.end, one.is_exact)}" for one in spans)
    first = segment_name(backup.timeline, backup.start_lsn // lineage.segment_size, lineage.segment_size)
    return [
        ("Backup", backup.name),
        ("Kind", backup.kind + (", permanent" if backup.is_permanent else "")),
        ("On", backup.from_backup),
        ("Full backup", backup.full_backup if backup.from_backup else ""),
        ("PostgreSQL", f"{backup.version} ({backup.server_version})"),
        ("System identifier", str(backup.system_identifier)),
        ("Started", times.exact(backup.start_time)),
        ("Finished", times.exact(backup.finish_time)),
        ("In the store since", times.exact(backup.modified)),
        ("Size", f"{size_text(backup.size)} ({size_text(backup.uncompressed_size)} before compression)"),
        ("Made by", backup.hostname),
        ("Timeline", str(backup.timeline)),
        ("Needs WAL from", first),
        ("Restorable", reach or "nothing"),
        ("Retention", "deleted by its next run" if backup.name in lineage.next_deleted else "kept by its next run"),
        ("Problem", backup.problem),
    ]


def _summary(catalogue: Catalogue) -> str:
    backups = sum(len(one.backups) for one in catalogue.lineages)
    return (
        f"{counted(backups, 'base backup')}, {counted(catalogue.segments, 'WAL segment')}, "
        f"{size_text(catalogue.size)} in the store."
    )


def as_data(catalogue: Catalogue) -> dict[str, Any]:
    """Gives a catalogue for programs.

    Args:
        catalogue: What is in the archive.

    Returns:
        Dicts, lists and scalars; times in RFC 3339, sizes in bytes, system identifiers as text since they are larger
        than what JSON's readers keep.
    """
    return {
        "archive": catalogue.prefix,
        "empty": catalogue.is_empty,
        "segments": catalogue.segments,
        "bytes": catalogue.size,
        "unfinished": list(catalogue.unfinished),
        "warnings": list(catalogue.warnings),
        "clusters": [_lineage_data(one) for one in catalogue.lineages],
    }


def _lineage_data(lineage: Lineage) -> dict[str, Any]:
    return {
        "systemIdentifier": str(lineage.system_identifier) if lineage.system_identifier else None,
        "postgresql": lineage.version or None,
        "segmentBytes": lineage.segment_size,
        "window": window_data(lineage.window),
        "nextDeleted": list(lineage.next_deleted),
        "backups": [backup_data(one) for one in lineage.backups],
        "timelines": [_timeline_data(one, lineage.segment_size) for one in lineage.timelines],
    }


def window_data(window: RecoveryWindow) -> dict[str, Any]:
    """Gives a recovery window for programs.

    Args:
        window: The window.

    Returns:
        Dicts, lists and scalars.
    """
    return {
        "after": _time(window.first),
        "before": _time(window.last),
        "exact": window.is_exact,
        "spans": [
            {
                "after": _time(one.start),
                "includesAfter": one.includes_start,
                "before": _time(one.end),
                "includesBefore": one.includes_end,
                "exact": one.is_exact,
                "backup": one.backup,
            }
            for one in window.spans
        ],
        "holes": [{"from": _time(one.start), "to": _time(one.end), "reason": one.reason} for one in window.holes],
        "latest": {
            "backup": window.latest or None,
            "until": _time(window.latest_end),
            "exact": window.latest_is_exact,
            "problem": window.problem or None,
        },
    }


def backup_data(backup: BaseBackup) -> dict[str, Any]:
    """Gives a base backup for programs.

    Args:
        backup: The backup.

    Returns:
        Dicts, lists and scalars.
    """
    return {
        "name": backup.name,
        "kind": backup.kind,
        "permanent": backup.is_permanent,
        "started": _time(backup.start_time),
        "finished": _time(backup.finish_time),
        "stored": _time(backup.modified),
        "timeline": backup.timeline,
        "startLsn": backup.start_lsn,
        "finishLsn": backup.finish_lsn,
        "bytes": backup.size,
        "uncompressedBytes": backup.uncompressed_size,
        "postgresql": backup.server_version,
        "systemIdentifier": str(backup.system_identifier) if backup.system_identifier else None,
        "hostname": backup.hostname or None,
        "on": backup.from_backup or None,
        "full": backup.full_backup or None,
        "problem": backup.problem or None,
    }


def _timeline_data(timeline: Timeline, segment_size: int) -> dict[str, Any]:
    from planton.catalogue.names import segment_name

    def names(parts: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            {
                "first": segment_name(timeline.number, one.first, segment_size),
                "last": segment_name(timeline.number, one.last, segment_size),
                "segments": one.last - one.first + 1,
            }
            for one in parts
        ]

    return {
        "timeline": timeline.number,
        "history": timeline.has_history,
        "from": [{"timeline": one.timeline, "lsn": one.lsn, "reason": one.reason or None} for one in timeline.history],
        "runs": [
            {
                **text,
                "firstStored": _time(one.first_modified),
                "lastStored": _time(one.last_modified),
                "bytes": one.size,
            }
            for text, one in zip(names(timeline.runs), timeline.runs, strict=True)
        ],
        "gaps": names(timeline.gaps),
    }


def _time(moment: datetime | None) -> str | None:
    return times.exact(moment) if moment is not None else None
