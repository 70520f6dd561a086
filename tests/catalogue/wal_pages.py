"""Writes WAL segments record by record, for what a server does not do on demand."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from planton.catalogue.wal import crc32c

PAGE = 8192
SEGMENT = 1 << 20
MAGIC = 0xD110
IDENTIFIER = 7711044494094796967


def commit(microseconds: int, *, before: bytes = b"", data: bytes = b"", is_long: bool = False) -> bytes:
    """What a record of a commit holds: headers, then its time and more."""
    body = struct.pack("<q", microseconds) + data
    length = b"\xfe" + struct.pack("<I", len(body)) if is_long or len(body) > 255 else bytes([255, len(body)])
    return before + length + body


@dataclass
class Writer:
    """Writes a segment.

    Attributes:
        base: LSN of its first byte.
        left: Bytes at its beginning that belong to a record of the segment before.
        magic: Magic number of its pages.
        timeline: Timeline of its pages; may be changed between records.
        size: Size of the segment in bytes.
        identifier: System identifier.
    """

    base: int = 5 * SEGMENT
    left: int = 0
    magic: int = MAGIC
    timeline: int = 1
    content: bytearray = field(default_factory=bytearray)
    previous: int = 0
    size: int = SEGMENT
    identifier: int = IDENTIFIER

    def __post_init__(self) -> None:
        self.previous = self.base - 100
        rest = self.left
        self.left = 0
        if rest:
            self._page(rest)
            self._write(b"\x5a" * rest)
            self._align()

    @property
    def lsn(self) -> int:
        """Where the next record begins."""
        at = len(self.content)
        return self.base + at + ((24 if at else 40) if at % PAGE == 0 else 0)

    def record(self, data: bytes, *, manager: int = 1, information: int = 0, previous: int | None = None) -> int:
        """Writes a record; gives its LSN."""
        lsn = self.lsn
        head = struct.pack(
            "<IIQBB2x", 24 + len(data), 700, self.previous if previous is None else previous, information, manager
        )
        self._write(head + struct.pack("<I", crc32c(head, crc32c(data))) + data)
        self._align()
        self.previous = lsn
        return lsn

    def fill(self, count: int) -> None:
        """Writes records of no interest until so many bytes are left on the page."""
        room = PAGE - len(self.content) % PAGE if len(self.content) % PAGE else PAGE - (24 if self.content else 40)
        self.record(b"\xff" + bytes([0]) + b"\0" * (room - count - 26), manager=10)
        assert -len(self.content) % PAGE == count

    def segment(self) -> bytes:
        """The segment, with zeroes where nothing was written."""
        return bytes(self.content[: self.size].ljust(self.size, b"\0"))

    def next(self) -> Writer:
        """The segment that comes after a full one: what was too much for this one is in it."""
        other = Writer(
            self.base + self.size,
            magic=self.magic,
            timeline=self.timeline,
            size=self.size,
            identifier=self.identifier,
        )
        other.content = self.content[self.size :]
        other.previous = self.previous
        return other

    def _page(self, left: int) -> None:
        at = len(self.content)
        is_first = at % self.size == 0
        flags = (2 if is_first else 0) | (1 if left else 0)
        self.content += struct.pack("<HHIQI4x", self.magic, flags, self.timeline, self.base + at, left)
        if is_first:
            self.content += struct.pack("<QII", self.identifier, self.size, PAGE)

    def _write(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            if len(self.content) % PAGE == 0:
                # Pages of the rest of a record begin with their header already when the writer was made.
                self._page(len(data) - done if done else 0)
            part = data[done : done + PAGE - len(self.content) % PAGE]
            self.content += part
            done += len(part)

    def _align(self) -> None:
        self.content += b"\0" * (-len(self.content) % 8)
