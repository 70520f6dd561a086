"""WAL of an archive, read out of its bucket: headers, times of commits, histories; and whether a key fits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from planton.catalogue.bucket import Bucket
from planton.catalogue.decode import EXTENSIONS, DecodeError, beginning, compression_of, decompress
from planton.catalogue.decrypt import Decryption
from planton.catalogue.names import BACKUPS, WAL
from planton.catalogue.wal import HEADER_BYTES, LARGEST_SEGMENT, read_commits, read_header
from planton.catalogue.wal_reader import WalHeader, WalReader
from planton.translate.archive_access import ArchiveAccess

# What no compression makes smaller gets a little larger by it, and by encryption.
_MOST_STORED = LARGEST_SEGMENT + (LARGEST_SEGMENT >> 6)
# A line for each time that the database was promoted.
_MOST_HISTORY = 4 << 20
_UNREADABLE = "does not decompress: it is damaged, or encrypted and no key is given"
# Larger objects are not tried for their key.
_MOST_TRIED = 64 << 20
# Objects that are tried: two that fail alike are no accident.
_TRIED = 2


def open_wal(bucket: Bucket, access: ArchiveAccess) -> WalReader:
    """Makes a reader of an archive's WAL.

    Each question about a segment that was not asked before costs two requests: a page of keys, since only they tell how
    the segment is compressed, and the object. What was answered is remembered, the bytes are not.

    Args:
        bucket: The archive.
        access: How it is read: method and keys of its encryption.

    Returns:
        The reader.
    """
    return _ArchivedWal(bucket, access)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Whether the keys that are given open an archive.

    Attributes:
        key: Key of the object that was tried; empty when there was none to try.
        problem: Why it is not read, with what to do; empty when it is, and when there was none to try.
        is_certain: Whether wal-g would not read it either. It is not with an OpenPGP key that has expired: wal-g reads
            on with it.
    """

    key: str
    problem: str
    is_certain: bool = True


def check_key(bucket: Bucket, access: ArchiveAccess, *, backup: str = "") -> KeyCheck:
    """Tells whether an archive can be decrypted and uncompressed, by its smallest objects.

    Sentinels are no evidence: wal-g v3.0.5 and v3.0.8 neither compress nor encrypt them (internal/backup.go,
    UploadSentinel).

    Args:
        bucket: The archive.
        access: How it is read.
        backup: Name of the base backup that matters, since others may have been written with another key; empty for
            any object of the archive.

    Returns:
        What came of it.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    decryption = Decryption(access)
    tried = KeyCheck("", decryption.problem)
    if tried.problem:
        return tried
    for key in _smallest(bucket, backup):
        try:
            _open(bucket, decryption, key)
        except DecodeError as error:
            tried = KeyCheck(key, f"{key} {error}", is_certain=error.problem != "unsupported")
        else:
            return KeyCheck(key, "")
    return tried


def _smallest(bucket: Bucket, backup: str) -> list[str]:
    """Gives the keys of small objects that are compressed and, in an encrypted archive, encrypted."""
    start = f"{BACKUPS}{backup}/tar_partitions/" if backup else BACKUPS
    page = next(iter(bucket.pages(start)), ())
    found = [one for one in page if "/tar_partitions/" in one.key and compression_of(one.key) is not None]
    if not found and not backup:
        # There is WAL before the first backup is finished.
        found = [one for one in next(iter(bucket.pages(WAL)), ()) if compression_of(one.key) is not None]
    found = [one for one in found if one.size < _MOST_TRIED]
    return [one.key for one in sorted(found, key=lambda one: (one.size, one.key))[:_TRIED]]


def _open(bucket: Bucket, decryption: Decryption, key: str) -> None:
    data = bucket.read(key, most=_MOST_TRIED)
    if data is None:
        raise DecodeError("damaged", "is gone: it was deleted a moment ago")
    content = decryption.decrypt(data)
    try:
        decompress(content, compression_of(key) or "", most=_MOST_TRIED)
    except DecodeError:
        raise DecodeError("damaged", _UNREADABLE) from None


class _ArchivedWal:
    """The reader."""

    def __init__(self, bucket: Bucket, access: ArchiveAccess) -> None:
        self._bucket = bucket
        self._decryption = Decryption(access)
        self._lock = threading.Lock()
        self._headers: dict[str, WalHeader | None] = {}
        self._latest: dict[tuple[str, int | None], datetime | None] = {}
        self._histories: dict[int, bytes | None] = {}
        self._is_opened = False
        self._misfit = ""

    @property
    def problem(self) -> str:
        """Why WAL cannot be read at all."""
        with self._lock:
            return self._decryption.problem or ("" if self._is_opened else self._misfit)

    def header(self, name: str) -> WalHeader | None:
        """Reads the header of a segment."""
        with self._lock:
            if name in self._headers:
                return self._headers[name]
        found = self._file(name)
        return self._header(name, found) if found else self._remember(name, None)

    def last_commit(self, name: str, *, before: int | None = None) -> datetime | None:
        """Finds the latest time of a commit or an abort in a segment."""
        with self._lock:
            if (name, before) in self._latest:
                return self._latest[name, before]
        found = self._file(name)
        header = self._header(name, found) if found else self._remember(name, None)
        latest = None
        if found and header:
            try:
                commits = read_commits(decompress(*found, most=header.segment_size), before=before)
            except DecodeError:
                commits = None
            latest = commits.latest if commits else None
        with self._lock:
            self._latest[name, before] = latest
        return latest

    def history(self, timeline: int) -> bytes | None:
        """Reads a history file."""
        with self._lock:
            if timeline in self._histories:
                return self._histories[timeline]
        found = self._file(f"{timeline:08X}.history")
        text: bytes | None = None
        if found:
            try:
                text = decompress(*found, most=_MOST_HISTORY)
            except DecodeError:
                self._note(_UNREADABLE)
        with self._lock:
            self._histories[timeline] = text
            self._is_opened = self._is_opened or text is not None
        return text

    def _header(self, name: str, found: tuple[bytes, str]) -> WalHeader | None:
        header = read_header(beginning(*found, count=HEADER_BYTES))
        if header is None:
            self._note(_UNREADABLE)
        elif header.lsn != int(name[8:16], 16) << 32 | int(name[16:], 16) * header.segment_size:
            # A file under another one's name. PostgreSQL refuses it, too: xlogreader.c (XLogReaderValidatePageHeader).
            header = None
        return self._remember(name, header)

    def _remember(self, name: str, header: WalHeader | None) -> WalHeader | None:
        with self._lock:
            self._headers[name] = header
            self._is_opened = self._is_opened or header is not None
        return header

    def _file(self, name: str) -> tuple[bytes, str] | None:
        """Gives a file decrypted, and how it is compressed; None when it is not there or not readable."""
        if self._decryption.problem:
            return None
        page = next(iter(self._bucket.pages(WAL + name)), ())
        stored = {one.key for one in page}
        key = next((key for one in EXTENSIONS if (key := f"{WAL}{name}{one}") in stored), "")
        data = self._bucket.read(key, most=_MOST_STORED) if key else None
        if data is None:
            return None
        try:
            return self._decryption.decrypt(data), compression_of(key) or ""
        except DecodeError as error:
            self._note(str(error))
            return None

    def _note(self, what: str) -> None:
        # One object that another key wrote, or that is damaged, says nothing of the rest: only while none was opened
        # is it told as what is wrong with all of them.
        with self._lock:
            self._misfit = self._misfit or f"its WAL {what}"
