"""Reading a catalogue: requests, sizes, a real archive's files, a real S3 server."""

from __future__ import annotations

import random
import time
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from planton.catalogue.choice import choose
from planton.catalogue.listing import list_wal
from planton.catalogue.model import StoredObject
from planton.catalogue.names import BACKUPS, SENTINEL, WAL, segment_name
from planton.catalogue.reading import read_catalogue, read_latest
from planton.errors import StoreError
from tests.catalogue.archives import ORDERS, SIZE, Archive, MemoryBucket, at, many

REAL = Path(__file__).parent / "data" / "walg-catalog"
A = "base_000000010000000000000002"
B = "base_000000010000000000000005"


def real() -> Archive:
    """A real archive of wal-g 3.0.8 and PostgreSQL 15. When its objects came is lost: that is made up here."""
    archive = Archive()
    prefix = "backups/db-orders/15/"
    for line in (REAL / "sizes.tsv").read_text().splitlines():
        key, size = line.split("\t")
        path = REAL / key
        name = key.removeprefix(prefix)
        moment = at("08:14:36") if "05" in name.rpartition("/")[2] or "06" in name else at("08:14:29")
        archive.put(name, moment, path.read_bytes() if path.exists() else b"", int(size))
    return archive


def test_a_real_archive() -> None:
    """Backups finished at 08:14:28.25 and 08:14:35.04; segments 1 to 6 without a gap."""
    archive = real()
    catalogue = read_catalogue(archive.bucket(), now=at("12:00:00"), retention=2, prefix="s3://b/db-orders/15")
    (lineage,) = catalogue.lineages
    assert (lineage.system_identifier, lineage.version, lineage.segment_size) == (ORDERS, "15", SIZE)
    first, second = lineage.backups
    assert (first.name, first.kind, first.timeline, first.start_lsn, first.finish_lsn) == (
        A,
        "full",
        1,
        33554472,
        33554688,
    )
    assert (second.name, second.size, second.uncompressed_size) == (B, 4395605, 23705900)
    assert (first.start_time, first.finish_time) == (at("08:14:27.902083"), at("08:14:28.253816"))
    assert (first.hostname, first.server_version, first.is_permanent, first.problem) == (
        "db-orders-0",
        150020,
        False,
        "",
    )
    (timeline,) = lineage.timelines
    assert [(run.first, run.last, run.count) for run in timeline.runs] == [(1, 6, 6)]
    assert (catalogue.segments, catalogue.unfinished, catalogue.warnings) == (6, (), ())
    assert catalogue.size == 1993731 + 263 + 66112 + 87893 + 105144 + 259 + 66112 + 67865 + 4358208 + 4395605
    assert catalogue.prefix == "s3://b/db-orders/15"
    assert [(one.backup, one.start, one.end, one.is_exact) for one in lineage.window.spans] == [
        (A, at("08:14:29"), at("08:14:36"), False),
    ]  # fmt: skip
    assert lineage.window.latest == B


def test_marked_permanent_later() -> None:
    """`wal-g backup-mark` changes metadata.json alone; the sentinel still says no."""
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    archive.backup(2, at("08:00:00.5"), permanent=True)
    archive.backup(4, at("08:02:10"))
    archive.backup(6, at("08:04:10"))
    catalogue = read_catalogue(archive.bucket(), now=at("30T12:00:00"), retention=2)
    assert [one.is_permanent for one in catalogue.backups] == [True, False, False]
    assert catalogue.lineages[0].next_deleted == ("base_000000010000000000000004",)
    # Without a metadata.json wal-g takes a backup for one that is not permanent.
    archive.drop(f"{BACKUPS}base_000000010000000000000002/metadata.json")
    catalogue = read_catalogue(archive.bucket(), now=at("30T12:00:00"), retention=2)
    assert catalogue.lineages[0].next_deleted == (A, "base_000000010000000000000004")


def test_a_sentinel_of_an_old_wal_g() -> None:
    """Version 1 has no times; metadata.json has them. Without that the time of the sentinel stands for the finish."""
    archive = Archive()
    archive.run(1, 5, at("07:59:30"))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:03"))
    old = b'{"LSN": 33554472, "PgVersion": 150020, "FinishLSN": 33554688, "SystemIdentifier": 7710906256264391189}'
    archive.put(f"{BACKUPS}{A}{SENTINEL}", at("08:00:03"), old)
    (backup,) = read_catalogue(archive.bucket(), now=at("12:00:00")).backups
    assert (backup.finish_time, backup.hostname, backup.problem) == (at("08:00:00.5"), "db-orders-0", "")
    archive.drop(f"{BACKUPS}{A}/metadata.json")
    (backup,) = read_catalogue(archive.bucket(), now=at("12:00:00")).backups
    assert (backup.finish_time, backup.system_identifier, backup.problem) == (at("08:00:03"), ORDERS, "")


def test_a_large_archive(capsys: pytest.CaptureFixture[str]) -> None:
    """100,000 segments and 400 backups: few requests."""
    bucket = many(100_000, 400).bucket()
    started = time.perf_counter()
    catalogue = read_catalogue(bucket, now=datetime.fromisoformat("2026-12-01T00:00:00Z"), retention=7)
    took = time.perf_counter() - started
    with capsys.disabled():
        print(f" 100,000 segments and 400 backups: {took:.1f} s, {bucket.listings} listings ", end="")
    (lineage,) = catalogue.lineages
    assert catalogue.segments == 100_000
    assert len(lineage.backups) == 400
    assert [run.count for run in lineage.timelines[0].runs] == [100_000]
    assert len(lineage.window.spans) == 400
    assert lineage.window.holes == ()
    assert bucket.reads == 800
    assert bucket.listings <= 100 + 60 + 10


def test_memory_does_not_grow_with_the_number_of_segments() -> None:
    bucket = many(20_000, 20).bucket()
    tracemalloc.start()
    catalogue = read_catalogue(bucket, now=at("12:00:00"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert catalogue.segments == 20_000
    assert peak < 2 << 20


@pytest.mark.parametrize("seed", range(8))
def test_listing_in_parts_finds_what_is_there(seed: int) -> None:
    """Timelines of many pages, gaps, places far apart: in parts the same comes out as in turn."""
    chance = random.Random(seed)
    stored = {}
    expected: set[tuple[int, int]] = set()
    for timeline in range(1, chance.randint(2, 5)):
        number = chance.choice([0, 1, 250, 70_000])
        for _ in range(chance.choice([3, 40, 700])):
            number += chance.choice([1] * 60 + [2, 300, 40_000])
            key = f"{WAL}{segment_name(timeline, number, SIZE)}.lz4"
            stored[key] = StoredObject(key, 10, at("08:00:00") + timedelta(seconds=number))
            expected.add((timeline, number))
        key = f"{WAL}{timeline + 1:08X}.history.lz4"
        stored[key] = StoredObject(key, 10, at("08:00:00"))
    from concurrent.futures import ThreadPoolExecutor

    bucket = MemoryBucket(stored, page_size=chance.choice([1, 7, 10]))
    with ThreadPoolExecutor(4) as pool:
        listing = list_wal(bucket, pool, SIZE)
    found = [(one.timeline, number) for one in listing.chunks for number in range(one.first, one.last + 1)]
    assert found == sorted(expected)
    assert listing.count == len(expected)
    assert listing.size == 10 * len(stored)
    latest = read_latest(bucket)
    newest = max(
        stored.values(),
        key=lambda one: (one.modified, one.key) if "history" not in one.key else (at("01T00:00:00"), ""),
    )
    assert latest.segment_modified == newest.modified


def test_what_was_archived_last() -> None:
    archive = many(30_000, 30)
    bucket = archive.bucket()
    latest = read_latest(bucket)
    begin = datetime.fromisoformat("2026-01-01T00:00:00Z")
    assert latest.segment == segment_name(1, 30_000, SIZE)
    assert latest.segment_modified == begin + timedelta(minutes=29_999)
    assert latest.backup == f"base_{segment_name(1, 29_001, SIZE)}"
    assert latest.backup_modified == begin + timedelta(minutes=29_000, seconds=21)
    assert bucket.listings <= 4
    # The newest backup is old: the end is looked for in steps.
    archive.drop(
        f"{BACKUPS}base_00000001000000000000", f"{BACKUPS}base_0000000100000001", f"{BACKUPS}base_00000001000000"
    )
    bucket = archive.bucket()
    latest = read_latest(bucket)
    assert (latest.backup, latest.segment) == ("", segment_name(1, 30_000, SIZE))
    assert bucket.listings <= 30
    empty = read_latest(MemoryBucket())
    assert (empty.backup, empty.backup_modified, empty.segment, empty.segment_modified) == ("", None, "", None)


def test_what_was_archived_last_on_a_later_timeline() -> None:
    archive = Archive()
    archive.run(1, 5, at("07:59:30"))
    archive.backup(2, at("08:00:00.5"))
    archive.history(2, at("08:03:35"), (1, 6 * SIZE + 0x1000))
    archive.run(6, 9, at("08:04:30"), timeline=2)
    latest = read_latest(archive.bucket())
    assert (latest.backup, latest.segment) == (A, segment_name(2, 9, SIZE))
    assert latest.segment_modified == at("08:07:30")


class Refusing(MemoryBucket):
    """A bucket that refuses one kind of request."""

    refused = ""

    def read(self, key: str, *, most: int) -> bytes | None:
        if self.refused and key.endswith(self.refused):
            raise StoreError("access is denied", subject=self.subject, problem="forbidden")
        return super().read(key, most=most)


def test_a_refusal_is_no_hole() -> None:
    """What may not be read is an error, and never a backup that is broken."""
    archive = many(20, 4)
    bucket = Refusing(archive.stored, archive.contents)
    bucket.refused = "metadata.json"
    with pytest.raises(StoreError, match="access is denied"):
        read_catalogue(bucket, now=at("12:00:00"))


def test_the_choice_does_not_depend_on_the_order(tmp_path: Path) -> None:
    archive = many(50, 5)
    archive.write(tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(archive.stored)
    catalogue = read_catalogue(archive.bucket(), now=at("12:00:00"), wal=archive.wal())
    target = datetime.fromisoformat("2026-01-01T00:30:00Z")
    choice = choose(catalogue, target)
    assert choice.backup is not None
    assert choice.backup.name == f"base_{segment_name(1, 21, SIZE)}"
