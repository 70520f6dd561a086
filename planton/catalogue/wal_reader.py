"""What the catalogue wants to know of WAL itself: what its names and times do not tell.

Segments are asked for by their names (`000000010000000000000001`): which LSN a name means depends on the size of a
segment, which is one of the things that are asked for. Both methods read a whole object, so they are called a few times
for an archive, never once a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WalHeader:
    """The long header at the beginning of a WAL segment.

    Attributes:
        timeline: Timeline that wrote its first page.
        lsn: LSN of its first byte.
        system_identifier: System identifier of the database cluster.
        segment_size: Size of a segment in bytes.
        version: Major version of PostgreSQL by the magic number, such as `15`; empty for a number that is not known.
    """

    timeline: int
    lsn: int
    system_identifier: int
    segment_size: int
    version: str


class WalReader(Protocol):
    """Reads WAL of one archive. Safe for several threads; remembers what it has read."""

    @property
    def problem(self) -> str:
        """Why WAL cannot be read at all, in words and with what to do; empty while nothing is known against it.

        Such as a key that is not given or does not fit. Then every method returns None. It may become known with the
        first read.
        """
        ...

    def header(self, name: str) -> WalHeader | None:
        """Reads the header of a segment.

        Args:
            name: Name of the segment, 24 hexadecimal digits, without the extension of its object.

        Returns:
            The header; None when there is no such segment, when it is damaged, or when WAL cannot be read.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def last_commit(self, name: str, *, before: int | None = None) -> datetime | None:
        """Finds the latest time of a commit or an abort in a segment.

        Of prepared transactions, too: those are the records at which PostgreSQL looks for a target time (PostgreSQL 17,
        src/backend/access/transam/xlogrecovery.c, recoveryStopsBefore). A record counts in the segment in which it
        begins, and only when it is whole there.

        Args:
            name: Name of the segment, 24 hexadecimal digits.
            before: Only records that begin before this LSN; None for all of the segment.

        Returns:
            The time in UTC; None when there is none, no such segment, when it is damaged, or WAL cannot be read.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def history(self, timeline: int) -> bytes | None:
        """Reads a `.history` file, decrypted and uncompressed.

        Args:
            timeline: The timeline that it is about.

        Returns:
            Its text; None when there is none, when it is damaged, or when it cannot be read.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...
