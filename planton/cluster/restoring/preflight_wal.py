"""Which WAL a restore replays: counted, so that a plan can say how much, and found, so that it can be tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from planton.catalogue.names import WAL, parse_wal_key, segment_name
from planton.catalogue.replay import Piece, replay
from planton.catalogue.segments import Chunk, WalIndex
from planton.catalogue.timelines import Histories

if TYPE_CHECKING:
    from planton.catalogue.bucket import Bucket
    from planton.catalogue.model import BaseBackup, Lineage


@dataclass(frozen=True, slots=True)
class NeededWal:
    """WAL that is replayed.

    Attributes:
        count: Number of segments.
        size: Bytes of them in the store.
        first: Name of the first one; empty for none.
        last: Name of the last one.
    """

    count: int = 0
    size: int = 0
    first: str = ""
    last: str = ""


def needed_wal(bucket: Bucket, lineage: Lineage, backup: BaseBackup, target: datetime | None) -> NeededWal:
    """Finds the WAL that is replayed out of a base backup.

    Lists it, 1,000 segments a request, up to the first one that came to the store after the target: what was committed
    until then is in it, or before.

    Args:
        bucket: The archive.
        lineage: The cluster of the backup.
        backup: The backup.
        target: The target time; None for the end of the archive.

    Returns:
        The WAL.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    size = lineage.segment_size
    histories = Histories(
        frozenset(one.number for one in lineage.timelines if one.has_history),
        {one.number: one.history for one in lineage.timelines if one.history},
    )
    chunks = [
        Chunk(run.timeline, run.first, run.last, run.first_modified, run.last_modified, run.last_modified, run.size)
        for one in lineage.timelines
        for run in one.runs
    ]
    path = histories.path(backup.timeline)
    if path.problem:
        return NeededWal()
    reach = replay(WalIndex(chunks), path, backup.start_lsn // size, size, lineage.system_identifier)
    found = NeededWal()
    for piece in reach.pieces:
        found, is_last = _listed(bucket, piece, size, target, found)
        if is_last:
            break
    return found


def _listed(
    bucket: Bucket, piece: Piece, size: int, target: datetime | None, found: NeededWal
) -> tuple[NeededWal, bool]:
    """Adds the segments of a piece; says whether one came after the target."""
    first, last = (segment_name(piece.timeline, one, size) for one in (piece.first, piece.last))
    count, stored, name = found.count, found.size, found.last
    reached: datetime | None = None
    # No key stands between a name without its last digit's successor and the name itself.
    for page in bucket.pages(f"{WAL}{first[:8]}", after=f"{WAL}{first[:23]}"):
        for one in page:
            segment = one.key.removeprefix(WAL)[:24]
            known = parse_wal_key(one.key)
            if known is None or known.kind != "segment" or segment < first or segment == name:
                continue
            if segment > last or (reached is not None and target is not None and reached > target):
                done = reached is not None and target is not None and reached > target
                return NeededWal(count, stored, found.first or first, name), done
            count, stored, name, reached = count + 1, stored + one.size, segment, one.modified
    done = reached is not None and target is not None and reached > target
    return NeededWal(count, stored, found.first or first, name or last), done
