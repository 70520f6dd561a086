"""How far PostgreSQL can replay the WAL of an archive, out of one backup.

PostgreSQL, src/backend/access/transam/xlogrecovery.c (XLogFileReadAnyTLI): of each segment the one of the newest
timeline on the path is tried first, as far as that timeline has begun there, then those of older ones, but never one
that is older than that of the segment before. So the segment in which a timeline was left comes from the newer one,
which has the older one's WAL at its beginning. A `.partial` segment is never asked for. The first segment that no
timeline has ends the replay: without a target the database then opens, and says nothing of what may come after.

Where the newer timeline's segment is missing and the older one went on, PostgreSQL would replay what was left behind.
Nobody wants that, so here replay ends at the LSN at which that timeline was left.

A segment with another system identifier ends the replay, too (xlogreader.c, XLogReaderValidatePageHeader). Where a
database was created anew, what the old one has left lies ahead of the new one's last segment: it came before the
backup, nothing of the new one is behind it, and so nothing is missing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from planton.catalogue.names import lsn_text, segment_name
from planton.catalogue.segments import Chunk, WalIndex
from planton.catalogue.timelines import Path, Stretch


@dataclass(frozen=True, slots=True)
class Piece:
    """Segments that are replayed one after the other.

    Attributes:
        timeline: Their timeline.
        first: Number of the first one.
        last: Number of the last one.
        modified: When the store got the last one, or, where that is not known, one after it.
    """

    timeline: int
    first: int
    last: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """How far replay goes.

    Attributes:
        pieces: What is replayed, in order; empty when already the first segment is missing.
        limit: LSN at which it ends within the last segment; None for all of it.
        problem: Why it ends although there is more to come; empty at the end of what is archived.
        next: Timeline and number of the segment that would have been next.
    """

    pieces: tuple[Piece, ...]
    limit: int | None
    problem: str
    next: tuple[int, int]

    def holds(self, lsn: int, size: int) -> bool:
        """Tells whether all that stands before an LSN is replayed.

        Args:
            lsn: The LSN.
            size: Size of a segment in bytes.

        Returns:
            True when it is.
        """
        if not self.pieces or (self.limit is not None and lsn > self.limit):
            return False
        return max(lsn - 1, 0) // size <= self.pieces[-1].last


def replay(
    index: WalIndex,
    path: Path,
    start: int,
    size: int,
    owner: int = 0,
    partials: Collection[tuple[int, int]] = (),
    since: datetime | None = None,
) -> Reach:
    """Follows the WAL from a segment on.

    Args:
        index: Segments of the archive.
        path: Timelines that the restore goes through.
        start: Number of the segment in which the replay begins.
        size: Size of a segment in bytes.
        owner: System identifier of the cluster whose backup it is; 0 when it is not known.
        partials: Timeline and number of `.partial` segments.
        since: When the store got the backup: WAL of another cluster that came before, and lies where its own ends, is
            no loss. None when it is not known.

    Returns:
        How far it goes.
    """
    return _Walk(index, path, size, owner, partials, since).go(start)


class _Walk:
    def __init__(
        self,
        index: WalIndex,
        path: Path,
        size: int,
        owner: int,
        partials: Collection[tuple[int, int]],
        since: datetime | None,
    ) -> None:
        self._index, self._path, self._size, self._owner = index, path, size, owner
        self._partials, self._since = partials, since
        self._timeline = 0
        self._pieces: list[Piece] = []

    def go(self, number: int) -> Reach:
        while True:
            stretch, last = self._choose(number)
            if stretch is None:
                return self._end(number)
            chunk = self._index.find(stretch.timeline, number)
            if chunk is None:
                return self._end(number)
            if self._owner and chunk.owner and chunk.owner != self._owner:
                name = segment_name(stretch.timeline, number, self._size)
                problem = f"{name} and what follows is WAL of another database cluster ({chunk.owner})"
                if self._is_left_over(chunk, number):
                    problem = ""
                return Reach(tuple(self._pieces), None, problem, (stretch.timeline, number))
            valid = self._last_of(stretch)
            if valid is not None and number > valid:
                return self._end(number)
            self._timeline = stretch.timeline
            last = last if valid is None else min(last, valid)
            self._add(Piece(stretch.timeline, number, last, chunk.last_modified))
            if last == valid and stretch.end is not None and stretch.end % self._size:
                # It is the older timeline's copy of the segment in which it was left; the newer one's is missing.
                return self._end(valid, limit=stretch.end)
            number = last + 1

    def _is_left_over(self, chunk: Chunk, number: int) -> bool:
        """Tells whether another cluster's WAL was there before, with nothing of this one's behind it."""
        # By its last segment: of a chunk that was cut in two that alone is its own time.
        if self._since is None or chunk.last_modified >= self._since:
            return False
        own = (one for stretch in self._path.stretches for one in self._index.of(stretch.timeline))
        return not any(one.owner == self._owner and one.last >= number for one in own)

    def _choose(self, number: int) -> tuple[Stretch | None, int]:
        """Finds the timeline whose segment is taken, and the last segment up to which it stays that one."""
        bound: int | None = None
        for stretch in reversed(self._path.stretches):
            if stretch.timeline < self._timeline:
                break
            first = stretch.begin // self._size
            chunk = self._index.at_or_after(stretch.timeline, max(number, first))
            if chunk is None:
                continue
            if chunk.first <= number and first <= number:
                return stretch, chunk.last if bound is None else min(chunk.last, bound)
            following = max(chunk.first, first) - 1
            bound = following if bound is None else min(bound, following)
        return None, 0

    def _last_of(self, stretch: Stretch) -> int | None:
        return None if stretch.end is None else (stretch.end - 1) // self._size

    def _add(self, piece: Piece) -> None:
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.timeline == piece.timeline and last.last + 1 == piece.first:
            self._pieces[-1] = Piece(last.timeline, last.first, piece.last, piece.modified)
        else:
            self._pieces.append(piece)

    def _end(self, number: int, limit: int | None = None) -> Reach:
        """Says why replay ends before a segment: because something is missing, or since there is no more."""
        stretches = [one for one in self._path.stretches if one.timeline >= self._timeline]
        # The timeline that ought to have it: the newest one that has begun there.
        expected = next((one for one in reversed(stretches) if one.begin // self._size <= number), stretches[-1])
        later: int | None = None
        for one in stretches:
            chunk = self._index.at_or_after(one.timeline, max(number, one.begin // self._size))
            if chunk is None:
                continue
            found, valid = max(chunk.first, number, one.begin // self._size), self._last_of(one)
            if (valid is None or found <= valid) and found > number:
                later = found if later is None else min(later, found)
        problem = ""
        if later is not None:
            problem = self._missing(expected, number, later - 1)
            if limit is not None:
                problem += f"; timeline {self._timeline} goes only to {lsn_text(limit)}, where it was left"
            elif any((one.timeline, number) in self._partials for one in self._path.stretches):
                problem += " (only its beginning is there, as .partial, and PostgreSQL does not ask for that)"
        return Reach(tuple(self._pieces), limit, problem, (expected.timeline, number))

    def _missing(self, expected: Stretch, number: int, last: int) -> str:
        name = segment_name(expected.timeline, number, self._size)
        count = last - number + 1
        more = (
            f" and the {count - 1} after it are" if count > 2 else " and the one after it are" if count == 2 else " is"
        )
        return f"{name}{more} missing"
