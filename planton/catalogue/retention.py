"""Which base backups the next run of retention deletes.

Spilo 4.0-p3 and 4.1, scripts/postgres_backup.sh: each run makes a base backup first. Whether that one comes about or
not, it then looks at all of them, newest first by the time that `wal-g backup-list` prints. From the Nth on (N is
BACKUP_NUM_TO_RETAIN, at least 2) the first one that is N days old is taken, in whole days; when there are more than N,
`wal-g delete before FIND_FULL <it>` runs.

wal-g 3.0.5 and 3.0.8, internal/delete_handler.go and internal/databases/postgres/delete.go:

- FIND_FULL goes from the one that is named down to a full one, in the order of timeline and segment in their names, and
  not of time (findTarget, timelineAndSegmentNoLess).
- What is deleted is everything below the prefix in whose key 24 hexadecimal digits stand that are lower in that order:
  backups, also unfinished ones, WAL, and what else lies there. All of a lower timeline goes, however new it is, and
  nothing of a higher one, however old. History files stay, since they have 8 digits.
- A permanent backup stays, and the WAL that it needs to become consistent; a delta that is marked permanent keeps those
  that it needs, since they are marked with it.
- The database cluster plays no role: two in one prefix count as one.
- One sentinel that cannot be read, and nothing is deleted (makeBackupObjects).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from planton.catalogue.model import BaseBackup
from planton.catalogue.names import DEFAULT_SEGMENT_SIZE, parse_backup_name, segments_per_id

_LEAST = 2
# No cap of wal-g's: WALG_PG_WAL_SIZE is not among the names that Spilo passes on, so it counts in segments of 16 MiB.
_PER_ID = segments_per_id(DEFAULT_SEGMENT_SIZE)


def next_deleted(
    backups: Sequence[BaseBackup], *, keep: int, at: datetime, with_new: bool = True, is_blocked: bool = False
) -> tuple[str, ...]:
    """Computes what a run of retention deletes.

    Args:
        backups: All base backups of the prefix, of every cluster.
        keep: BACKUP_NUM_TO_RETAIN; below 1 when it is not known.
        at: When the run is.
        with_new: Whether the backup that the run makes comes about.
        is_blocked: Whether a sentinel or a metadata.json cannot be read, so that wal-g deletes nothing.

    Returns:
        Names of the base backups, oldest first; none when retention is not known.
    """
    if keep < 1 or is_blocked:
        return ()
    number = max(keep, _LEAST)
    # `sort -k2r`: the newest first, and of one time by the name.
    listed = sorted(sorted(backups, key=lambda one: one.name), key=lambda one: one.listed, reverse=True)
    total = len(listed) + with_new
    # With the new one in the first place, the others move on by one.
    rest = listed[number - 1 - with_new :]
    before = next((one for one in rest if (at - one.listed) // timedelta(days=1) >= number), None)
    if before is None or total <= number:
        return ()
    target = _find_full(backups, before.name)
    if target is None:
        return ()
    limit = _place(target)
    if limit is None:
        return ()
    gone = [one for one in backups if (place := _place(one)) is not None and place < limit and not one.is_permanent]
    return tuple(one.name for one in sorted(gone, key=lambda one: (one.modified, one.name)))


def _find_full(backups: Sequence[BaseBackup], name: str) -> BaseBackup | None:
    met = False
    for one in sorted(backups, key=lambda one: (_place(one) or (0, 0), one.name), reverse=True):
        # The name is compared as the beginning of the sentinel's.
        met = met or one.name.startswith(name)
        if met and one.kind == "full":
            return one
    return None


def _place(backup: BaseBackup) -> tuple[int, int] | None:
    name = parse_backup_name(backup.name)
    if name is None or name.low >= _PER_ID:
        return None
    return name.timeline, name.high * _PER_ID + name.low
