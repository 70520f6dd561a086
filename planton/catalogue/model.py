"""The catalogue of an archive as frozen values. None of them holds a credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a bucket.

    Attributes:
        key: Its key below the archive's prefix, such as `wal_005/000000010000000000000001.lz4`.
        size: Its size in bytes.
        modified: When the store says that it was written, in UTC.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """A finished base backup: one with a sentinel.

    Attributes:
        name: Such as `base_000000010000000000000002`.
        kind: `full`, or `delta` for one that holds only what changed since another.
        is_permanent: Whether retention never deletes it. `wal-g backup-mark` writes this into the backup's
            metadata.json and leaves its sentinel as it is (wal-g 3.0.5 and 3.0.8, internal/databases/postgres/
            generic_meta_interactor.go, modifyBackupMetadata), so that it is read there.
        start_time: When it was begun, in UTC.
        finish_time: When it was finished, in UTC. A restore cannot end before.
        modified: When the store got its sentinel, in UTC: by this Spilo chooses a backup.
        timeline: Timeline on which it was made.
        start_lsn: Where replay begins, as a number.
        finish_lsn: Where it becomes consistent.
        size: Bytes in the store, as wal-g has counted them.
        uncompressed_size: Bytes before compression.
        server_version: Version of PostgreSQL as it counts itself, such as 150020.
        system_identifier: System identifier of the database cluster; 0 when it is not known.
        hostname: Pod that made it.
        from_backup: Name of the backup that a delta needs; empty for a full one.
        full_backup: Name of the full backup that a delta goes back to; its own name for a full one.
        problem: Why nothing can be restored from it; empty when nothing is known against it.
    """

    name: str
    kind: Literal["full", "delta"]
    is_permanent: bool
    start_time: datetime
    finish_time: datetime
    modified: datetime
    timeline: int
    start_lsn: int
    finish_lsn: int
    size: int
    uncompressed_size: int
    server_version: int
    system_identifier: int
    hostname: str = ""
    from_backup: str = ""
    full_backup: str = ""
    problem: str = ""

    @property
    def version(self) -> str:
        """Major version of PostgreSQL, such as `15`; empty when it is not known."""
        return str(self.server_version // 10000) if self.server_version else ""

    @property
    def listed(self) -> datetime:
        """The time by which Spilo chooses it: `modified`, cut to whole seconds, as `wal-g backup-list` prints it.

        wal-g 3.0.5 and 3.0.8, internal/backup_time.go (PrintableFields) and backup_list_time_format.go (FormatTime,
        RFC 3339 without a fraction). Amazon's listing has whole seconds anyway; others have milliseconds.
        """
        return self.modified.astimezone(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class SegmentRun:
    """WAL segments of one timeline without a gap between them.

    Attributes:
        timeline: Their timeline.
        first: Number of the first segment: its LSN divided by the size of a segment.
        last: Number of the last one.
        first_modified: When the store got the first one, in UTC.
        last_modified: When it got the last one.
        size: Bytes in the store, of all of them.
    """

    timeline: int
    first: int
    last: int
    first_modified: datetime
    last_modified: datetime
    size: int = 0

    @property
    def count(self) -> int:
        """How many segments these are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Gap:
    """WAL segments of one timeline that are missing between others.

    Attributes:
        timeline: The timeline.
        first: Number of the first one that is missing.
        last: Number of the last one.
    """

    timeline: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Switch:
    """Where a timeline left another: a line of a `.history` file.

    Attributes:
        timeline: The timeline that was left.
        lsn: Up to where it holds.
        reason: What PostgreSQL wrote of it.
    """

    timeline: int
    lsn: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A timeline in an archive.

    Attributes:
        number: Its number.
        runs: Its segments, in order.
        history: The timelines that it comes from, oldest first; empty for the first one, and without a `.history` file.
        has_history: Whether its `.history` file is there. Without it PostgreSQL never goes over to this timeline.
    """

    number: int
    runs: tuple[SegmentRun, ...] = ()
    history: tuple[Switch, ...] = ()
    has_history: bool = False

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is missing between its runs."""
        return tuple(
            Gap(self.number, before.last + 1, after.first - 1)
            for before, after in zip(self.runs, self.runs[1:], strict=False)
            if after.first > before.last + 1
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Times to which a restore can go, out of one base backup.

    Attributes:
        backup: Name of the base backup that Spilo chooses for them.
        start: From here, in UTC: when the backup was finished, or when it became the one that is chosen.
        end: Up to here, in UTC: the last commit or abort that replay reaches, or when the next backup becomes the one
            that is chosen.
        is_exact: Whether `end` is known by what was read in the WAL. Else it is when the store got the last segment:
            the last commit is earlier, and how much is not known.
        includes_start: Whether `start` itself can be reached.
        includes_end: Whether `end` itself can be reached. The last commit cannot: PostgreSQL needs a later one to know
            that it has arrived.
    """

    backup: str
    start: datetime
    end: datetime
    is_exact: bool
    includes_start: bool = False
    includes_end: bool = False

    def contains(self, moment: datetime) -> bool:
        """Tells whether a restore can go to a time.

        Args:
            moment: The time, with a zone.

        Returns:
            True when it lies within.
        """
        after = self.start <= moment if self.includes_start else self.start < moment
        return after and (moment <= self.end if self.includes_end else moment < self.end)


@dataclass(frozen=True, slots=True)
class Hole:
    """Times within a window to which no restore can go. Holes of less than a second are not listed.

    Nearly every base backup makes one: its sentinel's time is cut to whole seconds, and so lies before its finish. The
    spans have all edges exactly.

    Attributes:
        start: From this time on, in UTC.
        end: Up to this time.
        reason: Why.
    """

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """The times to which a restore can go.

    Attributes:
        spans: Times that can be reached, in order, each out of one base backup.
        holes: What is between them, and after them when the newest backup is no good.
        latest: Name of the backup from which a restore to the end of the archive starts; empty when there is none.
        latest_end: The last commit that such a restore brings back, or when the store got the last segment of it.
        latest_is_exact: Whether `latest_end` is a commit that was read.
        problem: Why a restore to the end of the archive fails, or ends earlier than one expects; empty when nothing is
            known against it.
    """

    spans: tuple[Span, ...] = ()
    holes: tuple[Hole, ...] = ()
    latest: str = ""
    latest_end: datetime | None = None
    problem: str = ""
    latest_is_exact: bool = False

    def span_of(self, moment: datetime) -> Span | None:
        """Finds the span in which a time lies.

        Args:
            moment: The time, with a zone.

        Returns:
            The span; None when no restore can go there.
        """
        return next((one for one in self.spans if one.contains(moment)), None)

    @property
    def first(self) -> datetime | None:
        """The first time to which a restore can go; None when there is none."""
        return self.spans[0].start if self.spans else None

    @property
    def last(self) -> datetime | None:
        """The last one."""
        return self.spans[-1].end if self.spans else None

    @property
    def is_exact(self) -> bool:
        """Whether the last time is known, and not only estimated."""
        return bool(self.spans) and self.spans[-1].is_exact


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one database cluster has archived: backups and WAL of one system identifier.

    Attributes:
        system_identifier: The system identifier; 0 when it is not known, since there is no backup that says it and WAL
            was not read.
        version: Major version of PostgreSQL; empty when it is not known.
        segment_size: Size of a WAL segment in bytes.
        backups: Its base backups, by the time at which the store got them, oldest first.
        timelines: Its timelines, lowest first.
        window: Its recovery window. Spilo chooses among the backups of all clusters in the archive, so it ends at the
            latest where the first backup of the next cluster begins to be chosen.
        next_deleted: Names of the base backups that the next run of retention deletes.
    """

    system_identifier: int
    version: str
    segment_size: int
    backups: tuple[BaseBackup, ...]
    timelines: tuple[Timeline, ...]
    window: RecoveryWindow
    next_deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is in an archive.

    Attributes:
        prefix: `s3://<bucket>/<path>`.
        lineages: One for each database cluster that has written here, that of the newest backup last. A cluster of
            which there is WAL and no backup has one without backups, before the others.
        unfinished: Names of base backups without a sentinel: broken off, or being made right now.
        segments: Number of WAL segments.
        size: Bytes in the store: WAL as listed, and base backups as their sentinels say.
        warnings: What is worth saying.
    """

    prefix: str
    lineages: tuple[Lineage, ...] = ()
    unfinished: tuple[str, ...] = ()
    segments: int = 0
    size: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of any database cluster is there."""
        return not self.lineages and not self.unfinished

    @property
    def current(self) -> Lineage | None:
        """What the newest backup belongs to: what a restore takes; None in an empty archive."""
        return self.lineages[-1] if self.lineages else None

    @property
    def backups(self) -> tuple[BaseBackup, ...]:
        """The base backups of all clusters, by the time at which the store got them, oldest first."""
        return tuple(sorted((one for lineage in self.lineages for one in lineage.backups), key=order_of))

    @property
    def spans(self) -> tuple[Span, ...]:
        """The times to which a restore can go, whichever cluster it brings back."""
        return tuple(sorted((one for lineage in self.lineages for one in lineage.window.spans), key=lambda s: s.start))

    def lineage_of(self, backup: str) -> Lineage | None:
        """Finds the cluster that a base backup belongs to.

        Args:
            backup: Name of the backup.

        Returns:
            The lineage; None when there is no such backup.
        """
        return next((one for one in self.lineages if any(own.name == backup for own in one.backups)), None)


@dataclass(frozen=True, slots=True)
class Latest:
    """What was archived last: found with a handful of requests, and without a look at what it holds.

    Attributes:
        backup: Name of the newest base backup; empty when there is none.
        backup_modified: When the store got its sentinel, in UTC.
        segment: Name of the WAL segment that came last; empty when there is none.
        segment_modified: When the store got it, in UTC.
    """

    backup: str = ""
    backup_modified: datetime | None = None
    segment: str = ""
    segment_modified: datetime | None = None


def order_of(backup: BaseBackup) -> tuple[datetime, str]:
    """Gives the order in which wal-g lists base backups.

    wal-g 3.0.5 and 3.0.8, internal/backup_util.go (SortBackupTimeSlices): by the time of the sentinel. Of two with one
    time the order is that of the listing, by name.

    Args:
        backup: The backup.

    Returns:
        What to sort by.
    """
    return backup.modified, backup.name
