"""How far reading an archive has got."""

from __future__ import annotations

from planton.catalogue.counted import CountedBucket
from planton.catalogue.reading import read_catalogue
from tests.catalogue.archives import at, many


def test_keys_are_counted_and_nothing_else_changes() -> None:
    archive = many(3500, 5)
    told: list[int] = []
    now = at("12:00:00")
    bucket = CountedBucket(archive.bucket(), told.append)
    assert read_catalogue(bucket, now=now, wal=archive.wal()) == read_catalogue(
        archive.bucket(), now=now, wal=archive.wal()
    )
    assert told == sorted(told)
    # Parts are listed at the same time, and their edges are looked for before.
    assert len(told) >= 4
    assert 3500 <= told[-1] <= 2 * 3500
