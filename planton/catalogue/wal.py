"""WAL segments: whose they are, and when their transactions ended. They are read as PostgreSQL reads them.

Which records count is PostgreSQL's own rule: a restore to a time stops at the first commit or abort, of a prepared
transaction too, that is later (PostgreSQL 13 to 18, recoveryStopsBefore in src/backend/access/transam/xlogrecovery.c,
or xlog.c before 15). Layout of pages: src/include/access/xlog_internal.h; of records: xlogrecord.h; of commits and
aborts: xact.h. It is the same from 13 to 18 but for the magic number. All numbers are read as little-endian: every
machine that Spilo's images are built for is (amd64, arm64).

A wrong parse must not give a wrong time. So what PostgreSQL checks is checked here: addresses and lengths of pages, the
chain of records by the address of the one before, the number of the resource manager; and by CRC-32C the one record
whose time is given. The checksum of every record is not looked at: it would take seconds a segment, and what the chain
does not see, the checksums of the compressed object do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Literal, TypeAlias

from planton.catalogue.wal_reader import WalHeader

VERSIONS: Mapping[int, str] = MappingProxyType(
    {0xD106: "13", 0xD10D: "14", 0xD110: "15", 0xD113: "16", 0xD116: "17", 0xD118: "18"}
)
"""Magic number of a page -> major version: XLOG_PAGE_MAGIC in xlog_internal.h of each."""

SMALLEST_SEGMENT = 1 << 20
LARGEST_SEGMENT = 1 << 30
"""Sizes of a segment in bytes: WalSegMinSize and WalSegMaxSize in xlog_internal.h."""

HEADER_BYTES = 40
"""How many bytes at the beginning of a segment tell whose it is."""

End: TypeAlias = Literal["full", "switch", "empty", "damaged"]
"""How a segment ends: filled, by a switch to the next one, with bytes that were never written, or by damage."""

# Magic, flags, timeline, address, bytes left of a record; in the first page of a segment then system identifier, size
# of a segment, size of a page.
_PAGE = struct.Struct("<HHIQI")
_LONG_PAGE = struct.Struct("<HHIQI4xQII")
_SHORT_HEADER = 24
_CONTINUES, _IS_LONG, _OVERWRITES = 0x0001, 0x0002, 0x0008
_FLAGS = 0x000F

# Length, transaction, address of the record before, information, resource manager, checksum.
_RECORD = struct.Struct("<IIQBB2xI")
_RECORD_BYTES = _RECORD.size
_CHECKED_BYTES = 20
_LENGTH = struct.Struct("<I")
_TIME = struct.Struct("<q")
_XLOG, _TRANSACTION = 0, 1
_SWITCH = 0x40
# Commit, abort, and both of prepared transactions; PREPARE itself has no part in this.
_ENDS = frozenset({0x00, 0x20, 0x30, 0x40})
_LAST_OWN_MANAGER, _FIRST_CUSTOM_MANAGER = 21, 128
# What may stand before the data of such a record: its origin, the transaction it is part of; then the data.
_ORIGIN, _TOP_TRANSACTION, _LONG_DATA, _SHORT_DATA = 253, 252, 254, 255

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Commits:
    """When the transactions of a segment ended.

    Attributes:
        latest: The latest time of a commit or an abort, in UTC; None when the segment has none.
        end: How the reading ended.
        end_lsn: LSN of the first byte that is no part of a whole record; that of the next segment for a full one.
    """

    latest: datetime | None
    end: End
    end_lsn: int


class _Damaged(Exception):
    """What stands there is no WAL."""


class _Overwritten(Exception):
    """A record was broken off by a crash, and another stands where it would go on.

    Attributes:
        offset: Where the other one begins.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset


def read_header(data: bytes | bytearray | memoryview) -> WalHeader | None:
    """Reads the header of a segment.

    Args:
        data: The segment, or its first HEADER_BYTES bytes.

    Returns:
        The header; None when there is none.
    """
    if len(data) < HEADER_BYTES:
        return None
    magic, flags, timeline, address, _left, identifier, size, page = _LONG_PAGE.unpack_from(data)
    is_segment = SMALLEST_SEGMENT <= size <= LARGEST_SEGMENT and not size & (size - 1) and not address % size
    # No version has had a magic number of another form: src/include/access/xlog_internal.h.
    if magic >> 8 not in (0xD0, 0xD1) or not flags & _IS_LONG or not timeline or not is_segment:
        return None
    if not 1024 <= page <= 65536 or page & (page - 1):
        return None
    return WalHeader(
        timeline=timeline,
        lsn=address,
        system_identifier=identifier,
        segment_size=size,
        version=VERSIONS.get(magic, ""),
    )


def read_commits(data: bytes | bytearray | memoryview, *, before: int | None = None) -> Commits | None:
    """Finds out when the transactions of a segment ended.

    A record counts in the segment in which it begins, and only when it is whole there.

    Args:
        data: The segment; what is missing at its end counts as never written.
        before: Only records that begin before this LSN; None for all of the segment.

    Returns:
        What was found up to the end or the first damage, which is where PostgreSQL ends, too; None when this is no
        segment of a version that is known.
    """
    header = read_header(data)
    if header is None or not header.version:
        return None
    segment = _Segment(memoryview(data), header)
    found = segment.ends(before)
    while found:
        latest, offset = found[-1]
        if segment.is_sound(offset):
            return Commits(latest, segment.end, header.lsn + segment.end_offset)
        # Whatever it is, PostgreSQL would end here.
        segment.end, segment.end_offset = "damaged", offset
        found.pop()
    return Commits(None, segment.end, header.lsn + segment.end_offset)


class _Segment:
    """Walks through the records of a segment. Offsets are those in its file."""

    def __init__(self, data: memoryview, header: WalHeader) -> None:
        self.data = data
        self.header = header
        self.magic, *_, self.page = _LONG_PAGE.unpack_from(data)
        self.size = min(len(data), header.segment_size) // self.page * self.page
        self.timeline = header.timeline
        self.end: End = "full"
        self.end_offset = 0

    def ends(self, before: int | None) -> list[tuple[datetime, int]]:
        """Gives times of commits and aborts, each later than those before it, with the offsets of their records."""
        limit = self.header.segment_size if before is None else before - self.header.lsn
        found: list[tuple[datetime, int]] = []
        latest = -(1 << 63)
        try:
            for offset in self._transactions(limit):
                ended = self._time(offset)
                if ended > latest:
                    latest = ended
                    found.append((_EPOCH + timedelta(microseconds=ended), offset))
        except (_Damaged, _Overwritten, OverflowError, struct.error):
            self.end = "damaged"
        return found

    def is_sound(self, offset: int) -> bool:
        """Compares the checksum of a record with its bytes."""
        record = self._gather(offset, _LENGTH.unpack_from(self.data, offset)[0])
        # The data first, then the header up to the checksum itself: xloginsert.c (XLogRecordAssemble).
        checked = crc32c(record[:_CHECKED_BYTES], crc32c(record[_RECORD_BYTES:]))
        return bool(checked == _LENGTH.unpack_from(record, _CHECKED_BYTES)[0])

    def _transactions(self, limit: int) -> Iterator[int]:
        """Gives the offsets of whole records that end a transaction, in order."""
        data, page, base = self.data, self.page, self.header.lsn
        unpack = _RECORD.unpack_from
        before = -1
        # The segment may begin with the rest of a record of the one before.
        after = self._follow(_PAGE.unpack_from(data)[4], 0)
        while after is not None:
            offset = self.end_offset = after
            if offset % page == 0:
                if offset >= self.size:
                    break
                if self._is_blank(offset):
                    self.end = "empty"
                    return
                self._check_page(offset, 0)
                offset += _SHORT_HEADER
            if offset >= limit:
                return
            # Records begin at multiples of eight, so that their length is on one page; the rest need not be.
            room = page - offset % page
            if not _LENGTH.unpack_from(data, offset)[0]:
                self.end = "empty"
                return
            if room >= _RECORD_BYTES:
                total, _, previous, information, manager, _ = unpack(data, offset)
            elif offset + room < self.size:
                total, _, previous, information, manager, _ = unpack(self._gather(offset, _RECORD_BYTES))
            else:
                break
            is_linked = previous == before if before >= 0 else previous < base + offset
            if not is_linked or total < _RECORD_BYTES or _LAST_OWN_MANAGER < manager < _FIRST_CUSTOM_MANAGER:
                raise _Damaged
            before = base + offset
            if total <= room:
                after = offset + (total + 7 & ~7)
            else:
                try:
                    after = self._follow(total - room, offset + room)
                except _Overwritten as other:
                    before, after = -1, other.offset
                    continue
                if after is None:
                    break
            if manager == _TRANSACTION and information & 0x70 in _ENDS:
                yield offset
            elif manager == _XLOG and information & 0xF0 == _SWITCH:
                self.end, self.end_offset = "switch", after
                return
        self.end = "full" if self.size == self.header.segment_size else "empty"

    def _follow(self, left: int, at: int) -> int | None:
        """Goes over the rest of a record.

        Args:
            left: How many bytes of it are left.
            at: The page on which they begin.

        Returns:
            Offset of the next record; None when the rest is not all in this segment.
        """
        while at < self.size and not self._is_blank(at):
            header = HEADER_BYTES if at == 0 else _SHORT_HEADER
            self._check_page(at, left)
            if left <= self.page - header:
                return at + header + (left + 7 & ~7)
            left -= self.page - header
            at += self.page
        return None

    def _is_blank(self, at: int) -> bool:
        # After a switch even the headers of pages are zeroes: xlog.c (CopyXLogRecordToWAL).
        return not any(self.data[at : at + _SHORT_HEADER])

    def _check_page(self, at: int, left: int) -> None:
        """Checks the header of a page as PostgreSQL does: xlogreader.c (XLogReaderValidatePageHeader)."""
        magic, flags, timeline, address, said = _PAGE.unpack_from(self.data, at)
        is_first = at == 0
        if magic != self.magic or flags & ~_FLAGS or bool(flags & _IS_LONG) != is_first:
            raise _Damaged
        # A timeline begins with a copy of what it comes from: its number may rise within a segment, and not fall.
        if address != self.header.lsn + at or timeline < self.timeline:
            raise _Damaged
        self.timeline = timeline
        if flags & _OVERWRITES and left:
            raise _Overwritten(at + (HEADER_BYTES if is_first else _SHORT_HEADER))
        if said != left or bool(flags & _CONTINUES) != bool(left):
            raise _Damaged

    def _gather(self, offset: int, count: int) -> bytes:
        """Gives bytes of a record, without the headers of the pages between."""
        parts: list[memoryview] = []
        while count > 0 and offset < self.size:
            part = self.data[offset : offset + min(count, self.page - offset % self.page)]
            parts.append(part)
            count -= len(part)
            offset += len(part) + _SHORT_HEADER
        return b"".join(parts)

    def _time(self, offset: int) -> int:
        """Gives the time of a commit or an abort, in microseconds since 2000-01-01 in UTC."""
        total = _LENGTH.unpack_from(self.data, offset)[0]
        record = self._gather(offset, min(total, 64))
        place = _RECORD_BYTES
        while place < len(record):
            kind = record[place]
            if kind in (_SHORT_DATA, _LONG_DATA):
                # The time is the first of the data: xact.h (xl_xact_commit, xl_xact_abort).
                return int(_TIME.unpack_from(record, place + (2 if kind == _SHORT_DATA else 5))[0])
            if kind not in (_ORIGIN, _TOP_TRANSACTION):
                break
            place += 3 if kind == _ORIGIN else 5
        raise _Damaged


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes, value: int = 0) -> int:
    """Computes CRC-32C, the checksum of WAL records (RFC 3720, appendix B.4).

    A record or two a segment are checked, so that a library for this would be one too many.

    Args:
        data: Bytes.
        value: The checksum of what comes before them.

    Returns:
        The checksum.
    """
    table = _table()
    value ^= 0xFFFFFFFF
    for octet in data:
        value = value >> 8 ^ table[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
