"""Whose WAL it is, where more than one database cluster has written to one archive.

The name of a segment does not say whose it is. A database that is created anew under an old name begins with the same
names again and writes over them; the old one's later segments stay. pg_upgrade makes a new cluster, too, which goes on
where the old one ended, on timeline 1. Only the header of a segment tells (its system identifier), and to read it costs
the whole object. So headers are read only where there is a reason to doubt:

- backups name more than one system identifier, or
- a timeline has segments that are more than an hour older than those before them, or than all of earlier timelines, or
- a backup's first segment came to the store more than an hour after the backup was finished: it was written over, or
- the last segment of all is another cluster's than the backups'. It is read for its commits anyway, and what a database
  that was created anew within the hour has not written over yet lies there.

Then the first and the last segment of each chunk are read; when they differ, the place between is found by halving. No
more than a bounded number of headers is read in all. What remains open, and everything without a reader, is told apart
by time: a segment belongs to the cluster that had begun last when it came. That is said.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from planton.catalogue.model import BaseBackup, order_of
from planton.catalogue.names import parse_backup_name, segment_name, segment_number
from planton.catalogue.segments import Chunk, Listing, split
from planton.catalogue.wal_reader import WalHeader, WalReader

_LATE = timedelta(hours=1)
_MOST_HEADERS = 40


@dataclass(slots=True)
class Owners:
    """Who has written to an archive.

    Attributes:
        chunks: The segments by timeline and number, each chunk with its owner.
        versions: System identifier -> major version of PostgreSQL, as far as headers say it.
        warnings: What is worth saying.
        by_time: Whether some of it was told apart by time only.
    """

    chunks: list[Chunk]
    versions: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    by_time: bool = False


def beginnings(backups: Iterable[BaseBackup]) -> tuple[tuple[datetime, int], ...]:
    """Finds when each cluster is known to have written.

    Args:
        backups: Base backups.

    Returns:
        Start of its first backup and system identifier of each cluster, oldest first.
    """
    first: dict[int, datetime] = {}
    for one in backups:
        if one.system_identifier:
            known = first.get(one.system_identifier)
            first[one.system_identifier] = one.start_time if known is None else min(known, one.start_time)
    return tuple(sorted((moment, identifier) for identifier, moment in first.items()))


def start_segments(backups: Iterable[BaseBackup], size: int) -> Mapping[tuple[int, int], BaseBackup]:
    """Finds the segments in which the replay of backups begins.

    Args:
        backups: Base backups.
        size: Size of a segment in bytes.

    Returns:
        Timeline and number -> backup, the oldest one of several.
    """
    found: dict[tuple[int, int], BaseBackup] = {}
    for one in backups:
        if parse_backup_name(one.name) is not None:
            found.setdefault((one.timeline, one.start_lsn // size), one)
    return found


def owners_of(listing: Listing, backups: Sequence[BaseBackup], reader: WalReader | None) -> Owners:
    """Finds out whose each segment is.

    Args:
        listing: What is in the folder of the WAL, cut where the clusters begin.
        backups: All base backups, oldest first.
        reader: Reads WAL; None when it is not read.

    Returns:
        The owners.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    return _Attribution(listing, backups, reader).run()


class _Attribution:
    def __init__(self, listing: Listing, backups: Sequence[BaseBackup], reader: WalReader | None) -> None:
        self._listing, self._backups, self._reader = listing, backups, reader
        self._size = listing.segment_size
        self._eras = beginnings(backups)
        self._left = _MOST_HEADERS
        self._read: dict[str, WalHeader | None] = {}
        self._owners = Owners([])

    def run(self) -> Owners:
        doubted = self._doubted()
        for timeline, chunks in _by_timeline(self._listing.chunks):
            if timeline in doubted:
                found = [part for chunk in chunks for part in self._tell(chunk)]
            else:
                found = [_owned(chunk, self._eras[0][1] if self._eras else 0) for chunk in chunks]
            self._owners.chunks += _joined(found)
        if not self._eras and self._owners.chunks:
            self._name_unknown()
        self._say(doubted)
        return self._owners

    def _doubted(self) -> set[int]:
        """Gives the timelines whose segments may be of several clusters: all of them, or none."""
        return {chunk.timeline for chunk in self._listing.chunks} if self._is_doubtful() else set()

    def _is_doubtful(self) -> bool:
        if len(self._eras) > 1:
            return True
        oldest: datetime | None = None
        before: Chunk | None = None
        for chunk in self._listing.chunks:
            follows = before is not None and before.timeline == chunk.timeline
            if chunk.steps_back or (before is not None and follows and before.newest - chunk.first_modified > _LATE):
                return True
            if oldest is not None and not follows and oldest - chunk.first_modified > _LATE:
                return True
            oldest = chunk.first_modified if oldest is None else min(oldest, chunk.first_modified)
            before = chunk
        for place, backup in start_segments(self._backups, self._size).items():
            came = self._listing.times.get(place)
            if came is not None and came - max(backup.finish_time, backup.modified) > _LATE:
                return True
        return self._ends_with_anothers()

    def _ends_with_anothers(self) -> bool:
        """Looks whose the last segment of the newest timeline is."""
        if self._reader is None or not self._eras or not self._listing.chunks:
            return False
        last = self._listing.chunks[-1]
        name = segment_name(last.timeline, last.last, self._size)
        # The reader remembers both answers: so the segment is fetched once, now and for the window.
        self._reader.last_commit(name)
        header = self._header(name)
        return header is not None and header.system_identifier != self._eras[0][1]

    def _tell(self, chunk: Chunk) -> Iterator[Chunk]:
        first, last = self._owner(chunk, chunk.first), self._owner(chunk, chunk.last)
        if first is None or last is None:
            self._owners.by_time = True
            known = first or last
            yield _owned(chunk, known if known else self._by_time(chunk))
            return
        while first != last:
            # The owner changes somewhere: the first segment that is not the first one's.
            low, high = chunk.first, chunk.last
            while high - low > 1:
                middle = (low + high) // 2
                owner = self._owner(chunk, middle)
                if owner is None:
                    self._owners.by_time = True
                    break
                low, high = (middle, high) if owner == first else (low, middle)
            part, chunk = split(chunk, high)
            yield _owned(part, first)
            following = self._owner(chunk, chunk.first)
            first = last if following is None else following
        yield _owned(chunk, last)

    def _owner(self, chunk: Chunk, number: int) -> int | None:
        header = self._header(segment_name(chunk.timeline, number, self._size))
        if header is None:
            return None
        if header.version:
            self._owners.versions.setdefault(header.system_identifier, header.version)
        return header.system_identifier

    def _header(self, name: str) -> WalHeader | None:
        if name in self._read:
            return self._read[name]
        if self._reader is None or self._reader.problem or self._left < 1:
            return None
        self._left -= 1
        self._read[name] = header = self._reader.header(name)
        return header

    def _by_time(self, chunk: Chunk) -> int:
        if not self._eras:
            return 0
        place = bisect_right([moment for moment, _ in self._eras], chunk.first_modified)
        return self._eras[max(place - 1, 0)][1]

    def _name_unknown(self) -> None:
        """Without any backup the newest segment says whose the archive is."""
        newest = max(self._owners.chunks, key=lambda one: (one.last_modified, one.timeline))
        owner = self._owner(newest, newest.last)
        if owner is not None:
            for chunk in self._owners.chunks:
                chunk.owner = chunk.owner or owner

    def _say(self, doubted: set[int]) -> None:
        known = {identifier for _, identifier in self._eras}
        if len(known) > 1:
            names = ", ".join(str(identifier) for _, identifier in self._eras)
            self._owners.warnings.append(
                f"{len(known)} database clusters have made base backups here (system identifiers {names}, oldest "
                "first). Retention and the choice of a backup do not tell them apart: give each its own prefix."
            )
        for owner in sorted({one.owner for one in self._owners.chunks} - known - {0}) if known else ():
            own = [one for one in self._owners.chunks if one.owner == owner]
            first = segment_name(own[0].timeline, own[0].first, self._size)
            self._owners.warnings.append(
                f"another database cluster (system identifier {owner}) has archived WAL here, and has no base backup: "
                f"{sum(one.last - one.first + 1 for one in own)} segments from {first} on. It writes over the WAL that "
                "the others need."
            )
        if self._owners.by_time and doubted:
            why = self._reader.problem if self._reader is not None else "WAL was not read"
            self._owners.warnings.append(
                f"whose WAL it is was told by the time at which it came{f' ({why})' if why else ''}: there is more "
                "than one cluster here, or segments were written again"
            )


def _by_timeline(chunks: Iterable[Chunk]) -> Iterator[tuple[int, list[Chunk]]]:
    own: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        own.setdefault(chunk.timeline, []).append(chunk)
    yield from own.items()


def _owned(chunk: Chunk, owner: int) -> Chunk:
    chunk.owner = owner
    return chunk


def _joined(chunks: Iterable[Chunk]) -> list[Chunk]:
    joined: list[Chunk] = []
    for chunk in chunks:
        last = joined[-1] if joined else None
        if last is not None and last.owner == chunk.owner and last.last + 1 == chunk.first:
            last.take(chunk)
        else:
            joined.append(chunk)
    return joined


def adopt(backups: Sequence[BaseBackup], chunks: Sequence[Chunk], size: int) -> Mapping[str, int]:
    """Says to which cluster each backup belongs, also those that do not say it themselves.

    Args:
        backups: All base backups, oldest first.
        chunks: The segments, with their owners.
        size: Size of a segment in bytes.

    Returns:
        Name of the backup -> system identifier; 0 when nothing says it.
    """
    owner = {(one.timeline, one.first, one.last): one.owner for one in chunks}
    found: dict[str, int] = {}
    before = next((one.system_identifier for one in backups if one.system_identifier), 0)
    for one in sorted(backups, key=order_of):
        identifier = one.system_identifier
        if not identifier:
            name = parse_backup_name(one.name)
            number = segment_number(name.high, name.low, size) if name else -1
            holding = (
                value for (timeline, first, last), value in owner.items()
                if timeline == one.timeline and first <= number <= last
            )  # fmt: skip
            identifier = next(holding, 0) or before
        found[one.name] = before = identifier
    return found
