"""Lists the WAL of an archive: every key once, in parts at the same time, and in bounded memory.

Keys are in the order of timeline and place. The first two pages of a timeline are read in turn; when it goes on, its
rest is read in parts while the next timeline is begun. Where it ends is found by looking ahead in growing steps. So N
keys on T timelines cost N / 1,000 requests and, for each timeline of more than two pages, up to 60 more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from planton.catalogue.bucket import Bucket
from planton.catalogue.model import Latest, StoredObject
from planton.catalogue.names import BACKUPS, WAL, backup_of_sentinel, parse_backup_name, parse_wal_key
from planton.catalogue.segments import Listing

_PLACE = re.compile(rf"{WAL}([0-9A-F]{{8}})(?:([0-9A-F]{{8}})[0-9A-F]{{8}})?[.0-9A-Za-z]*")
_MOST_PLACE = 0xFFFFFFFF
# Four of them are a page of segments of 16 MiB.
_FIRST_STEP = 16
_PARTS = 32
_LEAST_WIDTH = 8
# After so many pages without an end it is looked for in steps.
_MOST_IN_TURN = 3


def list_wal(
    bucket: Bucket,
    pool: ThreadPoolExecutor,
    segment_size: int,
    cuts: Sequence[datetime] = (),
    watched: frozenset[tuple[int, int]] = frozenset(),
) -> Listing:
    """Lists the folder of the WAL.

    Args:
        bucket: The archive.
        pool: Threads that list parts.
        segment_size: Size of a segment in bytes.
        cuts: Times at which clusters began to write, in order.
        watched: Timeline and number of segments of which the time is wanted.

    Returns:
        What is there.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    parts: list[Listing | Future[Listing]] = []

    def make() -> Listing:
        return Listing(segment_size, cuts, watched)

    def part(after: str, until: str) -> Listing:
        listing = make()
        for page in bucket.pages(WAL, after=after):
            listing.add(one for one in page if one.key < until)
            if page[-1].key >= until:
                break
        return listing

    after = ""
    while True:
        pages = bucket.pages(WAL, after=after)
        own = make()
        parts.append(own)
        last = _take(own, pages, 2)
        if not last:
            break
        match = _PLACE.match(last)
        if match is None:
            # Nothing of wal-g's: names that sort after all of them.
            while _take(own, pages, 1):
                pass
            break
        end = _end_of(match[1])
        if match[2] is None:
            parts.append(pool.submit(part, last, end))
        else:
            edges = _edges(bucket, match[1], int(match[2], 16))
            for begin, until in zip([last, *edges], [*edges, end], strict=True):
                parts.append(pool.submit(part, begin, until))
        after = end
    whole = make()
    for one in parts:
        whole.join(one if isinstance(one, Listing) else one.result())
    return whole


def _take(listing: Listing, pages: Iterator[Sequence[StoredObject]], most: int) -> str:
    """Takes pages in, and gives the last key; empty when there are no more."""
    last = ""
    for _ in range(most):
        page = next(pages, None)
        if page is None:
            return ""
        listing.add(page)
        last = page[-1].key
    return last


def _end_of(timeline: str) -> str:
    # A letter after F: after all digits, and before the next timeline.
    return f"{WAL}{timeline}G"


def _edges(bucket: Bucket, timeline: str, place: int) -> list[str]:
    """Cuts the rest of a timeline into parts of about one size."""
    step, width = _FIRST_STEP, 0
    while place + step <= _MOST_PLACE:
        width = step
        if _first(bucket, timeline, place + step) is None:
            break
        step *= 2
    share = max(width // _PARTS, _LEAST_WIDTH)
    return [f"{WAL}{timeline}{edge:08X}" for edge in range(place + share, min(place + width, _MOST_PLACE), share)]


def _first(bucket: Bucket, timeline: str, place: int) -> Sequence[StoredObject] | None:
    """Gives the first page from a place of a timeline on; None when the timeline ends before."""
    page = next(bucket.pages(WAL, after=f"{WAL}{timeline}{place:08X}"), None)
    return page if page is not None and page[0].key < _end_of(timeline) else None


def read_latest(bucket: Bucket) -> Latest:
    """Finds what was archived last: how far an archive is behind.

    One request for each 1,000 base backups and unfinished ones, and two or three for the WAL: from the first segment of
    the newest backup on everything is listed, on its timeline and later ones. When that is a lot, the end of each
    timeline is looked for in steps, some ten requests.

    Args:
        bucket: The archive.

    Returns:
        The newest base backup and the newest segment.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    sentinels = [one for one in bucket.files(BACKUPS) if backup_of_sentinel(one.key)]
    newest = max(sentinels, key=lambda one: (one.modified, one.key), default=None)
    name = backup_of_sentinel(newest.key) if newest is not None else ""
    start = parse_backup_name(name)
    # Just before that segment, which came after the backup had begun.
    after = f"{WAL}{start.timeline:08X}{start.high:08X}{start.low:08X}" if start is not None else ""
    segment = _newest_segment(bucket, after)
    return Latest(
        name,
        newest.modified if newest is not None else None,
        segment.key.removeprefix(WAL)[:24] if segment is not None else "",
        segment.modified if segment is not None else None,
    )


def _newest_segment(bucket: Bucket, after: str) -> StoredObject | None:
    newest: StoredObject | None = None
    while True:
        last = ""
        pages = bucket.pages(WAL, after=after)
        for _ in range(_MOST_IN_TURN):
            page = next(pages, None)
            if page is None:
                return newest
            newest = _newer(newest, page)
            last = page[-1].key
        match = _PLACE.match(last)
        if match is None:
            return newest
        if match[2] is None:
            after = last
            continue
        newest = _end_of_timeline(bucket, match[1], int(match[2], 16), newest)
        after = _end_of(match[1])


def _end_of_timeline(bucket: Bucket, timeline: str, place: int, newest: StoredObject | None) -> StoredObject | None:
    """Looks for the last segments of a timeline: ahead in growing steps, then by halving."""
    low, high, step = place, _MOST_PLACE, _FIRST_STEP
    while low + step < high:
        page = _first(bucket, timeline, low + step)
        if page is None:
            high = low + step
            break
        newest = _newer(newest, page)
        low, step = low + step, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        page = _first(bucket, timeline, middle)
        if page is None:
            high = middle
        else:
            newest = _newer(newest, page)
            match = _PLACE.match(page[-1].key)
            reached = int(match[2], 16) if match and match[2] and page[-1].key < _end_of(timeline) else middle
            low = max(middle, min(reached, high - 1))
    for page in bucket.pages(WAL, after=f"{WAL}{timeline}{low:08X}"):
        newest = _newer(newest, page)
        if page[-1].key >= _end_of(timeline):
            break
    return newest


def _newer(newest: StoredObject | None, page: Sequence[StoredObject]) -> StoredObject | None:
    for one in page:
        if newest is None or one.modified >= newest.modified:
            name = parse_wal_key(one.key)
            if name is not None and name.kind == "segment":
                newest = one
    return newest
