"""The same catalogue out of a real S3 server as out of memory, and what it costs there."""

from __future__ import annotations

from datetime import datetime

import pytest

from planton.catalogue.bucket import open_bucket
from planton.catalogue.names import SENTINEL
from planton.catalogue.reading import read_catalogue, read_latest
from tests.catalogue.archives import SIZE, Archive, at, many
from tests.catalogue.conftest import Place

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]
only_plain = pytest.mark.parametrize("place", ["object_store"], indirect=True)
NOW = datetime.fromisoformat("2026-01-20T00:00:00Z")


def requests(place: Place) -> int:
    return sum(place.bucket in line for line in place.store.access_log.read_text().splitlines())


@only_plain
def test_a_large_archive_in_a_store(place: Place) -> None:
    """5,000 segments with a gap, 20 backups, a second timeline: read in parts, with a bounded number of requests."""
    archive = many(5_000, 20)
    archive.drop_segment(2_321)
    archive.history(2, datetime.fromisoformat("2026-01-05T06:00:00Z"), (1, 5_001 * SIZE + 0x100))
    archive.run(5_001, 5_010, datetime.fromisoformat("2026-01-05T06:01:00Z"), timeline=2)
    archive.put("basebackups_005/base_000000020000001300000090/tar_partitions/part_001.tar.lz4", NOW, b"x")
    # What is in the store has the size that it has; sizes are not what this is about.
    for key in archive.stored:
        archive.put(key, archive.stored[key].modified, archive.contents[key])
    archive.write(place.folder)
    expected = read_catalogue(archive.bucket(), now=NOW, retention=3, wal=archive.wal(), prefix="s3://b/x")
    before = requests(place)
    found = read_catalogue(open_bucket(place.access()), now=NOW, retention=3, wal=archive.wal(), prefix="s3://b/x")
    assert requests(place) - before <= 6 + 40 + 60
    assert found == expected
    assert len(found.lineages[0].window.holes) == 1
    assert found.unfinished == ("base_000000020000001300000090",)
    assert found.lineages[0].next_deleted
    before = requests(place)
    latest = read_latest(open_bucket(place.access()))
    assert (latest.segment, latest.segment_modified) == (
        "000000020000001300000092",
        datetime.fromisoformat("2026-01-05T06:10:00Z"),
    )
    assert requests(place) - before <= 5


@only_plain
def test_an_empty_archive_and_one_that_was_uploaded_just_now(place: Place) -> None:
    bucket = open_bucket(place.access())
    assert read_catalogue(bucket, now=NOW).is_empty
    assert read_latest(bucket).backup == ""
    archive = Archive()
    archive.run(1, 5, at("07:59:30"))
    name = archive.backup(2, at("08:00:00.5"))
    archive.upload(bucket.write)
    catalogue = read_catalogue(bucket, now=NOW, wal=archive.wal())
    (backup,) = catalogue.backups
    sentinel = bucket.stat(f"basebackups_005/{name}{SENTINEL}")
    assert sentinel is not None
    assert (backup.name, backup.modified) == (name, sentinel.modified)
