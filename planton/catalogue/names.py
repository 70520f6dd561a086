"""Names in an archive of wal-g, and what they say.

wal-g 3.0.5 and 3.0.8, utility/utility.go (folders, suffix of sentinels), internal/databases/postgres/backup.go
(patternPgBackupName), timeline.go (formatWALFileName), internal/compression (extensions). PostgreSQL 17,
src/include/access/xlog_internal.h (XLogFileName, XLByteToSeg).

A segment's name has three numbers of eight digits: its timeline, the upper 32 bits of its LSN, and a count within these
4 GiB. Which LSN that is depends on the size of a segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WAL = "wal_005/"
"""Folder of the WAL."""
BACKUPS = "basebackups_005/"
"""Folder of the base backups."""
KNOWN_FOLDERS = frozenset({"wal_005", "basebackups_005", "catchup_005"})
"""What wal-g keeps below the prefix of a PostgreSQL archive."""
SENTINEL = "_backup_stop_sentinel.json"
"""What follows a backup's name in the key of its sentinel."""
DEFAULT_SEGMENT_SIZE = 16 * 1024 * 1024
"""Size of a WAL segment unless initdb was told another one."""

# In the order in which wal-fetch looks for them: compression_default.go, then brotli, lzo and zstd, which are added by
# files of these names, then the name alone. wal-g remembers in its home what it found last, and begins there.
_EXTENSIONS = ("lz4", "lzma", "gz", "br", "lzo", "zst", "")
_RANK = {extension: rank for rank, extension in enumerate(_EXTENSIONS)}
_SIZES = tuple(1 << power for power in range(20, 31))
_WAL = re.compile(
    rf"{WAL}([0-9A-F]{{8}})(?:([0-9A-F]{{8}})([0-9A-F]{{8}})(?:(\.partial)|(\.[0-9A-F]{{8}}\.backup))?|(\.history))"
    r"(?:\.([a-z0-9]*))?"
)
_BACKUP = re.compile(r"base_([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(?:_D_([0-9A-F]{24}))?(?:_[0-9A-F]{8})?")


@dataclass(frozen=True, slots=True)
class WalName:
    """What the key of an object in the folder of the WAL says.

    Attributes:
        kind: `segment`; `partial` for the beginning of one, which nothing reads by itself; `label` for a `.backup`
            file, which is for people only; `history`.
        timeline: Its timeline.
        high: Upper half of its place; 0 for a history file.
        low: Lower half.
        rank: How early wal-fetch takes this extension, 0 for the first.
    """

    kind: str
    timeline: int
    high: int
    low: int
    rank: int


@dataclass(frozen=True, slots=True)
class BackupName:
    """What the name of a base backup says.

    Attributes:
        timeline: Timeline on which it was begun.
        high: Upper half of the place of the segment in which replay begins.
        low: Lower half.
        is_delta: Whether it holds only what changed since another one.
    """

    timeline: int
    high: int
    low: int
    is_delta: bool


def parse_wal_key(key: str) -> WalName | None:
    """Reads the key of an object in the folder of the WAL.

    Args:
        key: The key, below the archive's prefix.

    Returns:
        What it says; None for something that PostgreSQL never asks for, or with an extension that wal-fetch never
        tries.
    """
    match = _WAL.fullmatch(key)
    if match is None:
        return None
    timeline, high, low, partial, label, history, extension = match.groups()
    rank = _RANK.get(extension or "")
    if rank is None:
        return None
    kind = "history" if history else "partial" if partial else "label" if label else "segment"
    return WalName(kind, int(timeline, 16), int(high or "0", 16), int(low or "0", 16), rank)


def parse_backup_name(name: str) -> BackupName | None:
    """Reads the name of a base backup.

    Args:
        name: Such as `base_000000010000000000000005_D_000000010000000000000002`.

    Returns:
        What it says; None for a name that wal-g gives to no backup of PostgreSQL.
    """
    match = _BACKUP.fullmatch(name)
    if match is None:
        return None
    return BackupName(int(match[1], 16), int(match[2], 16), int(match[3], 16), match[4] is not None)


def backup_of_sentinel(key: str) -> str:
    """Gives the name of the base backup whose sentinel an object is.

    Args:
        key: Key of an object in the folder of the base backups.

    Returns:
        The name; empty when it is no sentinel.
    """
    name = key.removeprefix(BACKUPS)
    if name == key or "/" in name or not name.endswith(SENTINEL):
        return ""
    return name.removesuffix(SENTINEL)


def segments_per_id(size: int) -> int:
    """Gives how many segments there are in 4 GiB of WAL.

    Args:
        size: Size of a segment in bytes.

    Returns:
        The number.
    """
    return (1 << 32) // size


def segment_number(high: int, low: int, size: int) -> int:
    """Gives the number of a segment: its LSN divided by its size.

    Args:
        high: Upper half of its place.
        low: Lower half.
        size: Size of a segment in bytes.

    Returns:
        The number.
    """
    return high * segments_per_id(size) + low


def segment_name(timeline: int, number: int, size: int) -> str:
    """Writes the name of a segment.

    Args:
        timeline: Its timeline.
        number: Its number.
        size: Size of a segment in bytes.

    Returns:
        24 hexadecimal digits.
    """
    high, low = divmod(number, segments_per_id(size))
    return f"{timeline:08X}{high:08X}{low:08X}"


def lsn_text(lsn: int) -> str:
    """Writes an LSN as PostgreSQL does.

    Args:
        lsn: The LSN as a number.

    Returns:
        Such as `0/2000028`.
    """
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def fitting_sizes(name: BackupName, start_lsn: int) -> tuple[int, ...]:
    """Gives the sizes of a segment by which an LSN lies in the segment that a backup is named after.

    Args:
        name: Name of the backup.
        start_lsn: LSN at which its replay begins.

    Returns:
        Sizes in bytes, 16 MiB first when it fits; none when the two do not belong together.
    """
    fitting = []
    for size in _SIZES:
        # A name of wal-g's own making (for a backup of a replica) is that of the byte before the LSN: timeline.go,
        # getWalFilename. At no LSN at which replay can begin does that make a difference.
        high, low = divmod(max(start_lsn - 1, 0) // size, segments_per_id(size))
        if (high, low) == (name.high, name.low):
            fitting.append(size)
    return tuple(sorted(fitting, key=lambda size: size != DEFAULT_SEGMENT_SIZE))
