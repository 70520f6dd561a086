"""How old the last base backup and the last WAL segment of a database are, and whether that is too old.

Two rules, each of which is about what happens when nothing is wrong:

- A base backup comes with each time of the schedule. Stale: older than two intervals of it, counted from the backup, so
  that one which is under way or failed once is no alarm yet. In a schedule such as "Monday to Friday" an interval is
  what lies between two of its times, weekends included.
- A segment comes when it is full, and Spilo sets archive_timeout to 1800 s (4.0-p3 and 4.1, configure_spilo.py): with
  every write, half an hour later at the latest. Stale: older than an hour while the database runs.

A database into which nobody writes archives nothing, and that is right: PostgreSQL switches to a new segment by
archive_timeout only when something important was written since the last switch (PostgreSQL 17,
src/backend/postmaster/checkpointer.c, CheckArchiveTimeout; xlog.c, GetLastImportantRecPtr). Neither the snapshots of
the background writer (src/backend/storage/ipc/standby.c, LogCurrentRunningXacts) nor a switch itself are important, and
an idle database makes no checkpoint (xlog.c, CreateCheckPoint). So an old segment is no alarm where it is proven that
nothing waits: the primary's WAL position, which Patroni writes into its pod's annotation (`xlog_location`, 4.0.4,
patroni/ha.py, touch_member), lies in the segment right after the last archived one, on the same timeline, and the
database does not change archive_timeout. Without that proof it counts as stale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from cronsim import CronSim, CronSimError

from planton.catalogue import times
from planton.errors import StoreProblem

if TYPE_CHECKING:
    from planton.catalogue.model import Latest

LONGEST_WITHOUT_SEGMENT = timedelta(hours=1)
"""Age from which on the last WAL segment of a database that runs is too old."""
GRACE = timedelta(hours=1)
"""How long a new database may have nothing in its archive: its first base backup is made when its first pod starts."""
_INTERVALS = 2
# How far back the last time of a schedule is looked for, in steps: few steps for any of them, and a leap day at last.
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (2, 48, 35 * 24, 400 * 24, 9 * 366 * 24))


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """How fresh the archive of a database is.

    Attributes:
        archive: The archive, for people; empty where it is not known.
        backup: Name of the newest base backup; empty when there is none.
        backup_time: When the store got it, in UTC.
        segment: Name of the WAL segment that came last; empty when there is none.
        segment_time: When the store got it, in UTC.
        read_at: When the archive was read, in UTC: ages count from there.
        stale: Why backups are not as they should be, in words; empty when they are.
        unknown: Why nothing is known of it, in words; empty when it was read.
        problem: What kind of trouble the store had; None for none.
        is_inside: Whether the store was not reached because its name exists inside of the cluster only.
        note: What explains an age that would be too old elsewhere; empty for nothing.
    """

    archive: str = ""
    backup: str = ""
    backup_time: datetime | None = None
    segment: str = ""
    segment_time: datetime | None = None
    read_at: datetime | None = None
    stale: tuple[str, ...] = ()
    unknown: str = ""
    problem: StoreProblem | None = None
    is_inside: bool = False
    note: str = ""

    @property
    def backup_age(self) -> float | None:
        """Age of the newest base backup in seconds; None without one."""
        return _age(self.backup_time, self.read_at)

    @property
    def segment_age(self) -> float | None:
        """Age of the last WAL segment in seconds; None without one."""
        return _age(self.segment_time, self.read_at)

    @property
    def is_alarming(self) -> bool:
        """Whether backups are too old, or cannot be seen where they should be: what is not seen is not fresh."""
        return bool(self.stale) or (bool(self.unknown) and not self.is_inside)


@dataclass(frozen=True, slots=True)
class Writer:
    """The database that writes to an archive, as far as it decides what may be expected there.

    Attributes:
        schedule: Cron expression of its base backups, in UTC.
        created: When its custom resource was made; None when that is not known.
        instances: How many pods it should have.
        follows: Whether it is a standby, which archives nothing of its own.
        by_replica: Whether replicas make its base backups: then none is made when a pod starts.
        changes_timeout: Whether it sets archive_timeout itself.
    """

    schedule: str = ""
    created: datetime | None = None
    instances: int = 1
    follows: bool = False
    by_replica: bool = False
    changes_timeout: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where the primary of a database is in its WAL.

    Attributes:
        timeline: Its timeline; 0 when it is not known.
        lsn: Its WAL position as a number; 0 when it is not known.
        segment_size: Size of a WAL segment in bytes.
    """

    timeline: int = 0
    lsn: int = 0
    segment_size: int = 16 << 20


def writer_of(database: Mapping[str, Any], environment: Mapping[str, str], schedule: str) -> Writer:
    """Reads from a custom resource what may be expected of its backups.

    Args:
        database: The custom resource.
        environment: What its pods get, as far as it is literal.
        schedule: Cron expression of its base backups.

    Returns:
        What it says.
    """
    spec = database.get("spec") or {}
    instances = spec.get("numberOfInstances")
    parameters = (spec.get("postgresql") or {}).get("parameters") or {}
    return Writer(
        schedule=schedule,
        created=_time(database["metadata"].get("creationTimestamp")),
        instances=instances if isinstance(instances, int) else 1,
        follows=bool(spec.get("standby")),
        by_replica=environment.get("WALG_BACKUP_FROM_REPLICA", "").lower() == "true",
        changes_timeout=any(str(name).lower() == "archive_timeout" for name in parameters),
    )


def judge(
    archive: str,
    latest: Latest,
    writer: Writer,
    now: datetime,
    position: Callable[[], Position] = lambda: Position(),
) -> ArchiveStatus:
    """Says whether what is newest in an archive is new enough.

    Args:
        archive: The archive, for people.
        latest: What is newest in it.
        writer: The database that writes to it.
        now: The time, in UTC.
        position: Finds out where its primary is; asked only when the last segment looks too old.

    Returns:
        The status.
    """
    found = ArchiveStatus(archive, latest.backup, latest.backup_modified, latest.segment, latest.segment_modified, now)
    if writer.instances == 0:
        return replace(found, note="the database is stopped: nothing is archived")
    if writer.follows:
        return replace(found, note="it follows another archive: nothing is archived here until it is promoted")
    about_backup, about_segment = _of_backup(latest, writer, now), _of_segment(latest, writer, now)
    note = "" if latest.backup and latest.segment else "new: nothing is archived yet"
    if about_segment and is_idle(latest, writer, position()):
        about_segment, note = "", "idle: all that was written is archived"
    stale = tuple(text for text in (about_backup, about_segment) if text)
    return replace(found, stale=stale, note="" if stale else note)


def is_idle(latest: Latest, writer: Writer, position: Position) -> bool:
    """Tells whether nothing waits to be archived: see the head of this module.

    Args:
        latest: What is newest in the archive.
        writer: The database.
        position: Where its primary is.

    Returns:
        False where it is not proven.
    """
    if writer.changes_timeout or not position.lsn or len(latest.segment) != 24:
        return False
    size = position.segment_size
    timeline, high, low = (int(latest.segment[start : start + 8], 16) for start in (0, 8, 16))
    archived = (high << 32) + (low + 1) * size
    return timeline == position.timeline and position.lsn < archived + size


def due(schedule: str, backup: datetime) -> datetime | None:
    """Says from when on a base backup is too old.

    Args:
        schedule: Cron expression, in UTC; empty for Spilo's own.
        backup: When it was made, in UTC.

    Returns:
        The time; None for a schedule that has no times, or cannot be read.
    """
    try:
        before = _last_time(schedule, backup)
        if before is None:
            return None
        coming = list(islice(CronSim(schedule, before), _INTERVALS))
    except CronSimError:
        return None
    # From the backup on, and not from the time of the schedule: the backup of a large database takes hours.
    return coming[-1] + (backup - before) if len(coming) == _INTERVALS else None


def _last_time(schedule: str, moment: datetime) -> datetime | None:
    """The last time of a schedule that is not after a moment."""
    for back in _LOOK_BACK:
        last = None
        for found in CronSim(schedule, moment - back):
            if found > moment:
                break
            last = found
        if last is not None:
            return last
    return None


def _of_backup(latest: Latest, writer: Writer, now: datetime) -> str:
    if latest.backup_modified is None:
        since = writer.created
        # With the first replica's first turn; else a pod that becomes primary makes one when it starts.
        until = due(writer.schedule, since) if since and writer.by_replica else None
        if since is not None and now <= (until or since + GRACE):
            return ""
        return "no base backup at all: nothing can be restored. Its pods' log says why (postgres_backup.sh, wal-g)"
    until = due(writer.schedule, latest.backup_modified)
    if until is None or now <= until:
        return ""
    age = times.age((now - latest.backup_modified).total_seconds())
    return f"the last base backup is {age} old, more than two intervals of its schedule ({writer.schedule})"


def _of_segment(latest: Latest, writer: Writer, now: datetime) -> str:
    if latest.segment_modified is None:
        if writer.created is not None and now <= writer.created + GRACE:
            return ""
        return "no WAL segment at all is in the archive: archive_command fails, or never ran"
    age = now - latest.segment_modified
    if age <= LONGEST_WITHOUT_SEGMENT:
        return ""
    return (
        f"the last WAL segment came {times.age(age.total_seconds())} ago, and it is not proven that nothing was "
        "written since: look at the primary's log and at pg_stat_archiver"
    )


def _age(moment: datetime | None, now: datetime | None) -> float | None:
    return max((now - moment).total_seconds(), 0.0) if moment is not None and now is not None else None


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC) if text else None
    except (ValueError, OverflowError):  # The first and the last hours of the calendar are not in it in UTC.
        return None
