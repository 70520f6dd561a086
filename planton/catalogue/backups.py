"""Base backups: what their small files say, and whether one can be fetched whole.

wal-g 3.0.5 and 3.0.8, internal/databases/postgres: backup_sentinel_dto.go (both files), backup.go (what a restore
needs of them), backup_push_handler.go (uploadMetadata: metadata.json first, the sentinel last of all). Neither is
compressed or encrypted (internal/backup.go, UploadSentinel), whatever the archive's encryption.

- A sentinel of version 2, which every wal-g 3 writes, has all that metadata.json has. What is marked permanent later is
  written into metadata.json alone, so both are read.
- A delta needs the backup that it is from, and all that one needs (backup_fetch_handler.go, deltaFetchRecursionOld).
- Spilo chooses by names and times of sentinels, whatever is in them: one that cannot be read is chosen, too, and then
  the restore fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from planton.catalogue.model import BaseBackup, StoredObject, order_of
from planton.catalogue.names import DEFAULT_SEGMENT_SIZE, fitting_sizes, parse_backup_name, segment_number

_UNREADABLE = "its sentinel cannot be read: wal-g ends with an error"


@dataclass(frozen=True, slots=True)
class BackupFiles:
    """What is read of a base backup.

    Attributes:
        name: Its name.
        sentinel: The object in the store.
        content: What the sentinel holds; None when it is gone.
        metadata: What its metadata.json holds; None when there is none.
        has_folder: Whether anything is in its folder.
    """

    name: str
    sentinel: StoredObject
    content: bytes | None
    metadata: bytes | None
    has_folder: bool = True


def read_backups(files: Iterable[BackupFiles]) -> tuple[tuple[BaseBackup, ...], tuple[str, ...]]:
    """Reads base backups, and tells which can be fetched whole.

    Args:
        files: What was read of each.

    Returns:
        The backups by the time of their sentinels, oldest first; and what is worth saying of them.
    """
    backups, warnings = [], []
    for one in files:
        backup, trouble = _read(one)
        backups.append(backup)
        warnings += [trouble] if trouble else []
    return with_chains(sorted(backups, key=order_of)), tuple(warnings)


def _read(files: BackupFiles) -> tuple[BaseBackup, str]:
    name = parse_backup_name(files.name)
    sentinel, metadata = _object(files.content), _object(files.metadata)
    problem = "" if name is not None else "its name is none that wal-g gives to a backup of PostgreSQL"
    trouble = ""
    if sentinel is None:
        problem = problem or _UNREADABLE
        # wal-g 3.0.5 and 3.0.8, internal/databases/postgres/delete.go (makeBackupObjects): any error ends the run.
        trouble = f"{files.name}: {_UNREADABLE}. Until its sentinel is taken away, retention deletes nothing any more"
    elif files.metadata is not None and metadata is None:
        trouble = (
            f"{files.name}: its metadata.json cannot be read. Until it is mended or taken away, retention deletes "
            "nothing any more"
        )
    if not files.has_folder:
        problem = problem or "its sentinel is there, and its files are gone"
    given, more = sentinel or {}, metadata or {}
    from_backup, full_backup = _text(given, "DeltaFrom"), _text(given, "DeltaFullName")
    if from_backup and not (full_backup and isinstance(given.get("DeltaCount"), int)):
        # backup_sentinel_dto.go, IsIncremental.
        problem = problem or "its sentinel contradicts itself: wal-g ends with an error"
    named_start = segment_number(name.high, name.low, DEFAULT_SEGMENT_SIZE) * DEFAULT_SEGMENT_SIZE if name else 0
    start_lsn = _number(given, "LSN") or _number(more, "start_lsn") or named_start
    modified = files.sentinel.modified.astimezone(UTC)
    is_delta = bool(from_backup) or (sentinel is None and name is not None and name.is_delta)
    start_time = _time(given, "StartTime") or _time(more, "start_time")
    # The sentinel is written last of all, so that a backup whose finish is not said was finished when it came.
    finish_time = _time(given, "FinishTime") or _time(more, "finish_time") or modified
    backup = BaseBackup(
        name=files.name,
        kind="delta" if is_delta else "full",
        # wal-g takes a backup without a metadata.json for one that is not permanent: delete_util.go.
        is_permanent=more.get("is_permanent") is True,
        start_time=start_time or finish_time,
        finish_time=finish_time,
        modified=modified,
        timeline=name.timeline if name else 0,
        start_lsn=start_lsn,
        finish_lsn=_number(given, "FinishLSN") or _number(more, "finish_lsn") or start_lsn,
        size=_number(given, "CompressedSize") or _number(more, "compressed_size"),
        uncompressed_size=_number(given, "UncompressedSize") or _number(more, "uncompressed_size"),
        server_version=_number(given, "PgVersion") or _number(more, "pg_version"),
        system_identifier=_number(given, "SystemIdentifier") or _number(more, "system_identifier"),
        hostname=_text(given, "Hostname") or _text(more, "hostname"),
        from_backup=from_backup,
        full_backup=full_backup or ("" if is_delta else files.name),
        problem=problem,
    )
    return backup, trouble


def with_chains(backups: Sequence[BaseBackup]) -> tuple[BaseBackup, ...]:
    """Adds to each delta what is wrong with those that it needs.

    Args:
        backups: All base backups.

    Returns:
        The same, in the same order.
    """
    known = {one.name: one for one in backups}
    return tuple(
        replace(one, problem=trouble) if not one.problem and (trouble := _chain_problem(one, known)) else one
        for one in backups
    )


def _chain_problem(backup: BaseBackup, known: Mapping[str, BaseBackup]) -> str:
    seen = {backup.name}
    while backup.from_backup:
        name = backup.from_backup
        if name not in known:
            return f"it needs {name}, which is not there"
        if name in seen:
            return f"it needs {name}, which needs it in turn"
        seen.add(name)
        backup = known[name]
        if backup.problem:
            return f"it needs {name}, and of that one: {backup.problem}"
    return ""


def segment_size_of(backups: Sequence[BaseBackup]) -> int:
    """Finds the size of a WAL segment: a backup is named after the segment in which its start LSN lies.

    Args:
        backups: All base backups, oldest first; the newest ones count.

    Returns:
        The size in bytes; 0 when no backup says it.
    """
    possible: tuple[int, ...] = ()
    cluster = 0
    for one in reversed(backups):
        name = parse_backup_name(one.name)
        if name is None or not one.finish_lsn or one.problem == _UNREADABLE:
            continue
        if possible and one.system_identifier != cluster:
            break
        fitting = fitting_sizes(name, one.start_lsn)
        cluster = one.system_identifier
        both = tuple(size for size in possible if size in fitting) if possible else fitting
        possible = both or possible
        if len(possible) == 1:
            break
    return possible[0] if possible else 0


def _object(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(given: Mapping[str, Any], key: str) -> int:
    value = given.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64 else 0


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    return value if isinstance(value, str) else ""


def _time(given: Mapping[str, Any], key: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(given, key))
        # Go writes its zero time, of the year 1, for one that was never set.
        if moment.year < 2000:
            return None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # The last hours of the calendar are not in it in UTC.
        return None
