"""WAL segments: those of real servers as pg_waldump reads them, and made ones for what servers rarely write."""

from __future__ import annotations

import json
import lzma
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.catalogue.wal import HEADER_BYTES, VERSIONS, Commits, crc32c, read_commits, read_header
from tests.catalogue.wal_pages import IDENTIFIER, PAGE, SEGMENT, Writer, commit

# Made by tests/restore/segments.py with a server of each version; 13 has no wheel any more.
DATA = Path(__file__).parent / "data" / "wal"
MAJORS = ("14", "15", "16", "17", "18")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
COMMIT, PREPARE, ABORT, COMMIT_PREPARED, ABORT_PREPARED = 0x00, 0x10, 0x20, 0x30, 0x40


@dataclass(frozen=True)
class Real:
    segment: bytes
    name: str
    identifier: int
    ended: tuple[tuple[int, datetime], ...]


@cache
def real(major: str) -> Real:
    facts = json.loads((DATA / f"{major}.json").read_text())
    ended = tuple((int(lsn, 16), datetime.fromisoformat(at)) for lsn, at in facts["ended"])
    return Real(lzma.decompress((DATA / f"{major}.xz").read_bytes()), facts["name"], facts["system_identifier"], ended)


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def latest(writer: Writer, *, before: int | None = None) -> datetime | None:
    found = read_commits(writer.segment(), before=before)
    assert found is not None
    return found.latest


# Of real servers.


@pytest.mark.parametrize("major", MAJORS)
def test_the_header_of_each_version(major: str) -> None:
    one = real(major)
    for data in (one.segment, one.segment[:HEADER_BYTES]):
        header = read_header(data)
        assert header is not None
        assert (header.version, header.timeline, header.system_identifier) == (major, 1, one.identifier)
        assert header.segment_size == 1 << 20
        assert header.lsn == int(one.name[16:], 16) << 20


@pytest.mark.parametrize("major", MAJORS)
def test_commits_are_those_that_pg_waldump_prints(major: str) -> None:
    one = real(major)
    assert len(one.ended) > 200
    found = read_commits(one.segment)
    assert found is not None
    assert (found.latest, found.end) == (max(moment for _, moment in one.ended), "switch")
    # Asked for each of its records, one after the other, it knows each of them.
    known: list[datetime] = []
    for lsn, moment in one.ended:
        earlier = read_commits(one.segment, before=lsn)
        assert earlier is not None
        assert earlier.latest == max(known, default=None)
        known.append(moment)


@pytest.mark.parametrize("major", MAJORS)
@given(where=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_wrong_bit_never_gives_a_wrong_time(major: str, where: float, bit: int) -> None:
    one = real(major)
    end = read_commits(one.segment)
    assert end is not None
    place = int(where * (end.end_lsn % (1 << 20) - 1))
    segment = bytearray(one.segment)
    segment[place] ^= 1 << bit
    found = read_commits(segment)
    if found is not None and found.latest is not None:
        assert found.latest in {moment for _, moment in one.ended}


@given(cut=st.integers(0, 1 << 20))
def test_a_cut_segment_holds_what_is_whole_in_it(cut: int) -> None:
    one = real("17")
    found = read_commits(one.segment[:cut])
    if found is None:
        assert cut < HEADER_BYTES
        return
    assert found.end_lsn <= (int(one.name[16:], 16) << 20) + max(cut, HEADER_BYTES)
    whole = [moment for lsn, moment in one.ended if lsn < found.end_lsn]
    assert found.latest == max(whole, default=None)
    assert found.end in ("empty", "switch")


@given(st.binary(max_size=200), st.integers(0, 1 << 20))
def test_garbage_is_no_segment(noise: bytes, place: int) -> None:
    read_header(noise)
    read_commits(noise)
    segment = bytearray(real("15").segment)
    segment[place : place + len(noise)] = noise
    found = read_commits(segment[: 1 << 20])
    assert found is None or found.latest is None or found.latest in {moment for _, moment in real("15").ended}


# Made ones.


def test_the_kinds_of_records_at_which_postgresql_stops() -> None:
    for information in (COMMIT, ABORT, COMMIT_PREPARED, ABORT_PREPARED):
        # With the flag that says that more information follows: XLOG_XACT_HAS_INFO.
        for flag in (0x00, 0x80):
            writer = Writer()
            writer.record(commit(1_000), information=information | flag)
            assert latest(writer) == at(1_000)
    for information, manager in ((PREPARE, 1), (0x50, 1), (0x60, 1), (COMMIT, 10)):
        writer = Writer()
        writer.record(commit(1_000), information=information, manager=manager)
        assert latest(writer) is None


def test_the_latest_counts_and_not_the_last() -> None:
    writer = Writer()
    for moment in (5_000, 9_000, 7_000):
        writer.record(commit(moment))
    assert latest(writer) == at(9_000)


def test_a_time_is_read_after_an_origin_and_a_transaction_that_it_is_part_of() -> None:
    origin, top = b"\xfd\x01\x00", b"\xfc\x01\x00\x00\x00"
    for before in (b"", origin, top, origin + top):
        for is_long in (False, True):
            writer = Writer()
            writer.record(commit(4_000, before=before, data=b"\0" * 40, is_long=is_long))
            assert latest(writer) == at(4_000)
    writer = Writer()
    writer.record(commit(4_000, before=b"\x00\x20"))  # A block, which no commit has.
    assert read_commits(writer.segment()) == Commits(None, "damaged", writer.base + 40)


def test_only_before_a_place() -> None:
    writer = Writer()
    writer.record(commit(1_000))
    second = writer.record(commit(2_000))
    assert latest(writer, before=second) == at(1_000)
    assert latest(writer, before=second + 1) == at(2_000)
    assert latest(writer, before=writer.base) is None
    assert latest(writer, before=1) is None


@pytest.mark.parametrize("left", [8, 16, 24, 32, 40])
def test_a_record_whose_header_is_on_two_pages(left: int) -> None:
    writer = Writer()
    writer.fill(left)
    writer.record(commit(3_000, data=b"\1" * 300))
    writer.record(commit(2_000))
    assert read_commits(writer.segment()) == Commits(at(3_000), "empty", writer.base + len(writer.content))


def test_a_record_over_many_pages() -> None:
    writer = Writer()
    writer.record(commit(3_000, data=b"\1" * (5 * PAGE)))
    writer.record(commit(2_000))
    assert latest(writer) == at(3_000)
    wrong = bytearray(writer.segment())
    wrong[4 * PAGE] ^= 1  # The magic number of a page in its midst.
    assert read_commits(wrong) == Commits(None, "damaged", writer.base + 40)


@pytest.mark.parametrize("left", [8, 100, PAGE - 40, PAGE - 39, 3 * PAGE])
def test_a_segment_that_begins_with_the_rest_of_a_record(left: int) -> None:
    writer = Writer(left=left)
    writer.record(commit(6_000))
    assert latest(writer) == at(6_000)


@pytest.mark.parametrize("left", [8, 16, 64])
def test_a_record_that_goes_on_in_the_next_segment_counts_in_neither(left: int) -> None:
    writer = Writer()
    writer.record(commit(1_000))
    while len(writer.content) < SEGMENT - PAGE:
        writer.record(b"\xff\0" + b"\0" * 500, manager=10)
    if len(writer.content) % PAGE == 0:
        writer.record(commit(1_500))
    writer.fill(left)
    broken = writer.record(commit(9_000, data=b"\0" * 200))
    assert broken == writer.base + SEGMENT - left
    writer.record(commit(2_000))
    assert read_commits(writer.segment()) == Commits(at(1_000), "full", broken)
    assert latest(writer.next()) == at(2_000)


def test_a_segment_that_is_all_one_record() -> None:
    segment = Writer(left=SEGMENT - 100).content[:SEGMENT]
    assert read_commits(segment.ljust(SEGMENT, b"\0")) is not None
    inner = Writer(left=2 * SEGMENT).segment()
    found = read_commits(inner)
    assert found is not None
    assert (found.latest, found.end) == (None, "full")


def test_what_a_crash_broke_off_does_not_count() -> None:
    writer = Writer()
    first = writer.record(commit(1_000))
    writer.fill(32)
    last = writer.previous
    writer.record(commit(9_000, data=b"\0" * 100))
    # PostgreSQL writes the page anew, with a flag: xlog.c (CreateOverwriteContrecordRecord).
    del writer.content[PAGE:]
    head = struct.pack("<HHIQI4x", writer.magic, 8, 1, writer.base + PAGE, 0)
    writer.content += head
    writer.record(b"\xff\x10" + b"\0" * 16, manager=0, information=0xD0, previous=last)
    writer.record(commit(2_000))
    assert first
    assert latest(writer) == at(2_000)


def test_a_segment_that_was_used_before_ends_where_the_new_ends() -> None:
    old = Writer(base=2 * SEGMENT)
    for moment in range(2_000):
        old.record(commit(900_000 + moment))
    new = Writer()
    for moment in range(400):
        new.record(commit(moment))
    mixed = bytes(new.content) + old.segment()[len(new.content) :]
    found = read_commits(mixed)
    assert found is not None
    assert (found.latest, found.end) == (at(399), "damaged")


def test_a_timeline_begins_with_a_copy_of_the_one_before() -> None:
    writer = Writer(timeline=1)
    writer.record(commit(1_000))
    writer.fill(0)
    writer.timeline = 2
    writer.record(commit(2_000))
    assert latest(writer) == at(2_000)
    back = Writer(timeline=2)
    back.record(commit(1_000))
    back.fill(0)
    back.timeline = 1
    back.record(commit(2_000))
    assert latest(back) == at(1_000)


def test_what_follows_a_switch_is_not_read() -> None:
    writer = Writer()
    writer.record(commit(1_000))
    writer.record(b"", manager=0, information=0x40)
    writer.record(commit(2_000))
    found = read_commits(writer.segment())
    assert found is not None
    assert (found.latest, found.end) == (at(1_000), "switch")


def test_a_wrong_checksum_ends_the_reading_there() -> None:
    writer = Writer()
    writer.record(commit(1_000))
    wrong = writer.record(commit(8_000))
    writer.record(commit(2_000))
    segment = bytearray(writer.segment())
    segment[wrong - writer.base + 28] ^= 1
    assert read_commits(segment) == Commits(at(1_000), "damaged", wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda writer: writer.record(commit(2_000), previous=writer.previous - 8),
        lambda writer: writer.record(commit(2_000), manager=22),
        lambda writer: writer.record(commit(1 << 62)),
        lambda writer: writer.record(b"\xff\x02\0\0"),
    ],
    ids=["other record before", "unknown manager", "year 148,000", "too short for a time"],
)
def test_what_postgresql_would_not_take_is_the_end(change: Callable[[Writer], int]) -> None:
    writer = Writer()
    writer.record(commit(1_000))
    lsn = change(writer)
    writer.record(commit(3_000))
    assert read_commits(writer.segment()) == Commits(at(1_000), "damaged", lsn)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x13\xd1"),  # magic number of another version
        (2, b"\x11"),  # a flag that no version has
        (2, b"\x03"),  # a long header in the midst of a segment
        (2, b"\x00"),  # no rest of a record
        (8, b"\x00\x00\x00"),  # another address
        (16, b"\x08"),  # another length of the rest
    ],
)
def test_a_page_that_does_not_fit_is_the_end(place: int, value: bytes) -> None:
    writer = Writer()
    writer.record(commit(1_000))
    writer.fill(64)
    long = writer.record(commit(2_000, data=b"\0" * 300))
    writer.record(commit(3_000))
    assert latest(writer) == at(3_000)
    segment = bytearray(writer.segment())
    segment[PAGE + place : PAGE + place + len(value)] = value
    assert read_commits(segment) == Commits(at(1_000), "damaged", long)


def test_a_rest_of_a_record_where_none_is_due_is_the_end() -> None:
    writer = Writer()
    writer.record(commit(1_000))
    writer.fill(0)
    writer.record(commit(2_000))
    assert latest(writer) == at(2_000)
    segment = bytearray(writer.segment())
    segment[PAGE + 2] |= 1
    assert read_commits(segment) == Commits(at(1_000), "damaged", writer.base + PAGE)


def test_managers_of_extensions_are_known() -> None:
    writer = Writer()
    writer.record(b"\xff\0", manager=128)
    writer.record(commit(1_000))
    assert latest(writer) == at(1_000)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x00\x00"),  # no magic number
        (2, b"\x00\x00"),  # no long header
        (4, b"\x00\x00\x00\x00"),  # no timeline
        (8, b"\x01"),  # not the beginning of a segment
        (32, b"\x00\x00\x18\x00"),  # a size that is no power of two
        (32, b"\x00\x00\x08\x00"),  # too small a size
        (36, b"\x00\x00\x00\x00"),  # no size of a page
    ],
)
def test_no_header(place: int, value: bytes) -> None:
    writer = Writer()
    writer.record(commit(1_000))
    segment = bytearray(writer.segment())
    segment[place : place + len(value)] = value
    assert read_header(segment) is None
    assert read_commits(segment) is None


def test_a_version_that_is_not_known_has_a_header_and_no_times() -> None:
    writer = Writer(magic=0xD17F)
    writer.record(commit(1_000))
    header = read_header(writer.segment())
    assert header is not None
    assert (header.version, header.system_identifier, header.lsn) == ("", IDENTIFIER, writer.base)
    assert read_commits(writer.segment()) is None
    assert sorted(map(int, VERSIONS.values())) == [13, 14, 15, 16, 17, 18]


def test_the_checksum_is_crc_32c() -> None:
    # RFC 3720, appendix B.4, and the usual check value.
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283
