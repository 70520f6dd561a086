"""The catalogue of an archive as frozen values. None of them holds a credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
        is_permanent: Whether retention never deletes it.
        start_time: When it was begun, in UTC.
        finish_time: When it was finished, in UTC. A restore cannot end before.
        modified: When the store got its sentinel, in UTC: by this Spilo chooses a backup.
        timeline: Timeline on which it was made.
        start_lsn: Where replay begins, as a number.
        finish_lsn: Where it becomes consistent.
        size: Bytes in the store.
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
        """Major version of PostgreSQL, such as `15`."""
        return str(self.server_version // 10000)


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
        start: After this time, in UTC.
        end: Before this time: PostgreSQL needs a later commit to know that it has arrived. In UTC.
        is_exact: Whether `end` is the last commit that was read in the WAL. Else it is when the store got the last
            segment: the last commit is earlier, and how much is not known.
    """

    backup: str
    start: datetime
    end: datetime
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """Times within a window to which no restore can go.

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
        holes: What is between them.
        latest: Name of the backup from which a restore to the end of the archive starts; empty when there is none.
        latest_end: The last commit that such a restore brings back, or when the store got the last segment of it.
        problem: Why a restore to the end of the archive fails, or ends earlier than one expects; empty when nothing is
            known against it.
    """

    spans: tuple[Span, ...] = ()
    holes: tuple[Hole, ...] = ()
    latest: str = ""
    latest_end: datetime | None = None
    problem: str = ""

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
        system_identifier: The system identifier; 0 when it is not known, since there is no backup and WAL was not read.
        version: Major version of PostgreSQL; empty when it is not known.
        segment_size: Size of a WAL segment in bytes.
        backups: Its base backups, oldest first.
        timelines: Its timelines, lowest first.
        window: Its recovery window.
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
        lineages: One for each database cluster that has written here, that of the newest backup last.
        unfinished: Names of base backups without a sentinel: broken off, or being made right now.
        segments: Number of WAL segments.
        size: Bytes in the store, all objects together.
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
