"""WAL segments as they are listed: put together into stretches on the fly, so that their number costs no memory.

A stretch is cut where segments are missing, and where there is reason to ask whose they are: at a segment that is older
than those before it, and where the time comes at which another database cluster began to write here. What belongs to
whom is settled afterwards (lineages.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from planton.catalogue.model import StoredObject
from planton.catalogue.names import parse_wal_key, segment_name, segment_number, segments_per_id

# wal-g archives up to 16 segments at once, and tries again those that failed, so that times are not quite in order.
_OUT_OF_ORDER = timedelta(hours=1)
# More than that many steps back in time are no clusters: the bucket was copied, and the times are those of the copy.
_MOST_STEPS = 64
_MOST_NAMES = 5
_MOST_PARTIALS = 1000


@dataclass(slots=True)
class Chunk:
    """Segments of one timeline, without a gap and without a reason to tell them apart.

    Attributes:
        timeline: Their timeline.
        first: Number of the first one.
        last: Number of the last one.
        first_modified: When the store got the first one.
        last_modified: When it got the last one.
        newest: The latest of these times.
        size: Bytes in the store.
        steps_back: Whether the first one is older than the segments before it.
        owner: System identifier of the cluster that wrote them; 0 while it is not known.
    """

    timeline: int
    first: int
    last: int
    first_modified: datetime
    last_modified: datetime
    newest: datetime
    size: int
    steps_back: bool = False
    owner: int = 0

    def take(self, other: Chunk) -> None:
        """Takes another one that follows it.

        Args:
            other: The other one.
        """
        self.last, self.last_modified = other.last, other.last_modified
        self.newest = max(self.newest, other.newest)
        self.size += other.size


@dataclass(slots=True)
class Listing:
    """What is in the folder of the WAL.

    Attributes:
        segment_size: Size of a segment in bytes.
        cuts: Times at which clusters began to write, in order.
        watched: Timeline and number of segments of which the time is wanted.
        chunks: The segments, by timeline and number.
        histories: Timelines with a `.history` file.
        partials: Timeline and number of `.partial` segments; the first thousand.
        times: When the store got those that are watched.
        doubled: Names of segments that are there with two extensions; the first few.
        unknown: Names of objects that no restore asks for; the first few.
        unknown_count: How many of them there are.
        count: Number of segments.
        size: Bytes of all objects.
        steps: Timeline -> how often its times go back.
    """

    segment_size: int
    cuts: Sequence[datetime] = ()
    watched: frozenset[tuple[int, int]] = frozenset()
    chunks: list[Chunk] = field(default_factory=list)
    histories: set[int] = field(default_factory=set)
    partials: set[tuple[int, int]] = field(default_factory=set)
    times: dict[tuple[int, int], datetime] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unknown_count: int = 0
    count: int = 0
    size: int = 0
    steps: dict[int, int] = field(default_factory=dict)
    _rank: int = 0

    def add(self, objects: Iterable[StoredObject]) -> None:
        """Takes objects in, in the order of their keys.

        Args:
            objects: The objects.
        """
        for one in objects:
            self._add(one)

    def _add(self, stored: StoredObject) -> None:
        self.size += stored.size
        name = parse_wal_key(stored.key)
        if name is None or (name.kind == "segment" and name.low >= segments_per_id(self.segment_size)):
            self.unknown_count += 1
            if len(self.unknown) < _MOST_NAMES:
                self.unknown.append(stored.key)
            return
        if name.kind == "history":
            self.histories.add(name.timeline)
            return
        number = segment_number(name.high, name.low, self.segment_size)
        if name.kind == "partial" and len(self.partials) < _MOST_PARTIALS:
            self.partials.add((name.timeline, number))
        if name.kind != "segment":
            return
        last = self.chunks[-1] if self.chunks else None
        if last is not None and (last.timeline, last.last) == (name.timeline, number):
            self._double(last, stored, name.rank)
            return
        self.count += 1
        self._rank = name.rank
        moment = stored.modified
        if (name.timeline, number) in self.watched:
            self.times[name.timeline, number] = moment
        self._append(Chunk(name.timeline, number, number, moment, moment, moment, stored.size))

    def _double(self, last: Chunk, stored: StoredObject, rank: int) -> None:
        last.size += stored.size
        if len(self.doubled) < _MOST_NAMES:
            self.doubled.append(segment_name(last.timeline, last.last, self.segment_size))
        if rank < self._rank:
            self._rank = rank
            last.last_modified = stored.modified
            if last.first == last.last:
                last.first_modified = stored.modified

    def _append(self, chunk: Chunk) -> None:
        last = self.chunks[-1] if self.chunks else None
        if last is None or last.timeline != chunk.timeline:
            self.chunks.append(chunk)
            return
        steps = self.steps.get(chunk.timeline, 0)
        if last.newest - chunk.first_modified > _OUT_OF_ORDER:
            chunk.steps_back = True
            self.steps[chunk.timeline] = steps + 1
        together = last.last + 1 == chunk.first
        if together and not (chunk.steps_back and steps < _MOST_STEPS) and not self._crosses(last, chunk):
            last.take(chunk)
        else:
            self.chunks.append(chunk)

    def _crosses(self, last: Chunk, chunk: Chunk) -> bool:
        if not self.cuts or self.is_jumbled(chunk.timeline):
            return False
        return bisect_right(self.cuts, last.last_modified) != bisect_right(self.cuts, chunk.first_modified)

    def is_jumbled(self, timeline: int) -> bool:
        """Tells whether the times of a timeline's segments say nothing of who wrote them.

        Args:
            timeline: The timeline.

        Returns:
            True when they go back again and again, as in a bucket that was copied.
        """
        return self.steps.get(timeline, 0) > _MOST_STEPS

    def join(self, other: Listing) -> None:
        """Takes the listing of what follows.

        Args:
            other: The other one. It is used up.
        """
        for chunk in other.chunks:
            self._append(chunk)
        self.histories |= other.histories
        self.partials |= other.partials
        self.times |= other.times
        self.doubled = (self.doubled + other.doubled)[:_MOST_NAMES]
        self.unknown = (self.unknown + other.unknown)[:_MOST_NAMES]
        self.unknown_count += other.unknown_count
        self.count += other.count
        self.size += other.size
        for timeline, steps in other.steps.items():
            self.steps[timeline] = self.steps.get(timeline, 0) + steps


class WalIndex:
    """Finds segments of an archive by timeline and number."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        """Makes the index.

        Args:
            chunks: The segments, by timeline and number.
        """
        self._chunks: dict[int, list[Chunk]] = {}
        for one in chunks:
            self._chunks.setdefault(one.timeline, []).append(one)
        self._lasts = {timeline: [one.last for one in own] for timeline, own in self._chunks.items()}

    @property
    def timelines(self) -> tuple[int, ...]:
        """Timelines of which there are segments, lowest first."""
        return tuple(sorted(self._chunks))

    def of(self, timeline: int) -> Sequence[Chunk]:
        """Gives the segments of a timeline.

        Args:
            timeline: The timeline.

        Returns:
            Its chunks, in order.
        """
        return self._chunks.get(timeline, ())

    def at_or_after(self, timeline: int, number: int) -> Chunk | None:
        """Finds a segment, or the next one that is there.

        Args:
            timeline: The timeline.
            number: Number of the segment.

        Returns:
            The chunk that holds it, or that comes next; None when there is nothing more.
        """
        place = bisect_right(self._lasts.get(timeline, ()), number - 1)
        own = self._chunks.get(timeline, ())
        return own[place] if place < len(own) else None

    def find(self, timeline: int, number: int) -> Chunk | None:
        """Finds a segment.

        Args:
            timeline: The timeline.
            number: Number of the segment.

        Returns:
            The chunk that holds it; None when it is not there.
        """
        chunk = self.at_or_after(timeline, number)
        return chunk if chunk is not None and chunk.first <= number else None


def split(chunk: Chunk, at: int) -> tuple[Chunk, Chunk]:
    """Cuts a chunk in two.

    Args:
        chunk: The chunk.
        at: Number of the first segment of the second part.

    Returns:
        Both parts. When the segments at the cut came is not known, so the times of the whole stand for both.
    """
    share = chunk.size * (at - chunk.first) // (chunk.last - chunk.first + 1)
    return replace(chunk, last=at - 1, size=share), replace(chunk, first=at, size=chunk.size - share)
