"""Archives of WAL-G's form, made by hand: in memory, as files in a folder, and in a real bucket.

What they hold is of the form that a real one has (`data/walg-catalog` is a real one's); the WAL in it is no WAL:
`Archive.wal()` says what a reader of WAL would find.
"""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from planton.catalogue.model import StoredObject
from planton.catalogue.names import BACKUPS, SENTINEL, WAL, lsn_text, segment_name
from planton.catalogue.wal_reader import WalHeader

SIZE = 16 * 1024 * 1024
ORDERS = 7710906256264391189
"""System identifier of the cluster that archives unless another one is said."""
OTHER = 7710906256264391999


def at(text: str) -> datetime:
    """Gives a time of 2026-11-22, or of another day: `08:14:35.5`, `23T08:00:00`."""
    day, _, clock = text.rpartition("T")
    return datetime.fromisoformat(f"2026-11-{day or '22'}T{clock}+00:00")


@dataclass
class MemoryBucket:
    """A bucket in memory. Counts requests, as a store with pages of a thousand would get them."""

    stored: dict[str, StoredObject] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    page_size: int = 1000
    subject: str = "s3://pg-backups/backups/db-orders/15 at memory"
    listings: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        self._keys = sorted(self.stored)
        self._lock = threading.Lock()

    def pages(self, start: str = "", *, after: str = "") -> Iterator[Sequence[StoredObject]]:
        place = bisect_right(self._keys, after) if after else 0
        first = bisect_right(self._keys, start[:-1]) if start else 0
        place = max(place, first)
        while True:
            keys: list[str] = []
            while place < len(self._keys) and len(keys) < self.page_size and self._keys[place] < start + "\U0010ffff":
                if self._keys[place].startswith(start):
                    keys.append(self._keys[place])
                place += 1
            self._count()
            if keys:
                yield [self.stored[key] for key in keys]
            if len(keys) < self.page_size:
                return

    def _level(self, start: str) -> tuple[list[str], list[StoredObject]]:
        assert not start or start.endswith("/")
        folders, files = set(), []
        for key in self._keys:
            if key.startswith(start):
                name, slash, _ = key.removeprefix(start).partition("/")
                if slash:
                    folders.add(name)
                else:
                    files.append(self.stored[key])
        for _ in range((len(folders) + len(files)) // self.page_size + 1):
            self._count()
        return sorted(folders), files

    def folders(self, start: str) -> Sequence[str]:
        return self._level(start)[0]

    def files(self, start: str) -> Sequence[StoredObject]:
        return self._level(start)[1]

    def read(self, key: str, *, most: int) -> bytes | None:
        with self._lock:
            self.reads += 1
        content = self.contents.get(key)
        return None if content is None else content[:most]

    def _count(self) -> None:
        with self._lock:
            self.listings += 1


@dataclass
class Wal:
    """A reader of WAL that knows what the builder has put there."""

    headers: dict[str, WalHeader] = field(default_factory=dict)
    commits: dict[str, list[tuple[int, datetime]]] = field(default_factory=dict)
    histories: dict[int, bytes] = field(default_factory=dict)
    problem: str = ""
    headers_read: list[str] = field(default_factory=list)
    commits_read: list[str] = field(default_factory=list)

    def header(self, name: str) -> WalHeader | None:
        self.headers_read.append(name)
        return None if self.problem else self.headers.get(name)

    def last_commit(self, name: str, *, before: int | None = None) -> datetime | None:
        self.commits_read.append(name)
        if self.problem:
            return None
        times = [moment for lsn, moment in self.commits.get(name, ()) if before is None or lsn < before]
        return max(times, default=None)

    def history(self, timeline: int) -> bytes | None:
        return None if self.problem else self.histories.get(timeline)


@dataclass
class Archive:
    """An archive under construction. What is written under one key later takes the place of what was there."""

    stored: dict[str, StoredObject] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    reader: Wal = field(default_factory=Wal)

    def put(self, key: str, modified: datetime, content: bytes = b"", size: int | None = None) -> None:
        self.stored[key] = StoredObject(key, len(content) if size is None else size, modified)
        self.contents[key] = content

    def segment(
        self,
        number: int,
        modified: datetime,
        *commits: datetime,
        timeline: int = 1,
        owner: int = ORDERS,
        version: str = "15",
        extension: str = ".lz4",
        size: int = SIZE,
    ) -> None:
        """Puts a segment; its commits stand in it at even distances."""
        name = segment_name(timeline, number, size)
        self.put(f"{WAL}{name}{extension}", modified, b"", 1000)
        self.reader.headers[name] = WalHeader(timeline, number * size, owner, size, version)
        step = size // (len(commits) + 1)
        self.reader.commits[name] = [(number * size + step * place, moment) for place, moment in enumerate(commits, 1)]

    def run(
        self,
        first: int,
        last: int,
        start: datetime,
        *,
        step: timedelta = timedelta(minutes=1),
        timeline: int = 1,
        owner: int = ORDERS,
        version: str = "15",
    ) -> None:
        """Puts segments, one each step; the last commit in each is a second before it came."""
        for place, number in enumerate(range(first, last + 1)):
            moment = start + step * place
            self.segment(number, moment, moment - timedelta(seconds=1), timeline=timeline, owner=owner, version=version)

    def history(self, timeline: int, modified: datetime, *switches: tuple[int, int]) -> None:
        """Puts a history file: timelines that were left, each with its LSN."""
        text = "".join(f"{parent}\t{lsn_text(lsn)}\tno recovery target specified\n\n" for parent, lsn in switches)
        self.put(f"{WAL}{timeline:08X}.history.lz4", modified, b"", 60)
        self.reader.histories[timeline] = text.encode()

    def backup(
        self,
        segment: int,
        finish: datetime,
        *,
        modified: datetime | None = None,
        timeline: int = 1,
        start: datetime | None = None,
        finish_lsn: int | None = None,
        on: str = "",
        full: str = "",
        permanent: bool = False,
        owner: int = ORDERS,
        version: int = 150020,
        size: int = SIZE,
    ) -> str:
        """Puts a finished base backup that begins in a segment, and gives its name."""
        place = segment_name(timeline, segment, size)
        name = f"base_{place}" + (f"_D_{on.removeprefix('base_')[:24]}" if on else "")
        start_lsn = segment * size + 0x28
        begun = start or finish - timedelta(seconds=10)
        stamp = "%Y-%m-%dT%H:%M:%S.%fZ"
        sentinel: dict[str, Any] = {
            "LSN": start_lsn, "PgVersion": version, "FinishLSN": finish_lsn or start_lsn + 0xD8,
            "SystemIdentifier": owner, "UncompressedSize": 23502280, "CompressedSize": 4358208,
            "DataCatalogSize": 23604578, "ChkpNum": None, "Version": 2, "StartTime": begun.strftime(stamp),
            "FinishTime": finish.strftime(stamp), "DateFmt": "%Y-%m-%dT%H:%M:%S.%fZ", "Hostname": "db-orders-0",
            "DataDir": "/home/postgres/pgdata/pgroot/data", "IsPermanent": False,
        }  # fmt: skip
        if on:
            sentinel |= {"DeltaLSN": 0, "DeltaFrom": on, "DeltaFullName": full or on, "DeltaCount": 1}
        metadata = {
            "start_time": sentinel["StartTime"], "finish_time": sentinel["FinishTime"], "hostname": "db-orders-0",
            "data_dir": sentinel["DataDir"], "pg_version": version, "start_lsn": start_lsn,
            "finish_lsn": sentinel["FinishLSN"], "is_permanent": permanent, "system_identifier": owner,
            "uncompressed_size": 23502280, "compressed_size": 4358208,
        }  # fmt: skip
        came = modified or finish + timedelta(seconds=1)
        self.put(f"{BACKUPS}{name}/metadata.json", finish, json.dumps(metadata).encode())
        self.put(f"{BACKUPS}{name}/tar_partitions/part_001.tar.lz4", finish, b"", 4358208)
        self.put(f"{BACKUPS}{name}{SENTINEL}", came, json.dumps(sentinel).encode())
        return name

    def drop(self, *starts: str) -> None:
        """Takes away what begins with one of these keys."""
        for key in [key for key in self.stored if key.startswith(starts)]:
            del self.stored[key], self.contents[key]

    def drop_segment(self, number: int, timeline: int = 1) -> None:
        self.drop(f"{WAL}{segment_name(timeline, number, SIZE)}")

    def bucket(self) -> MemoryBucket:
        return MemoryBucket(dict(self.stored), dict(self.contents))

    def wal(self) -> Wal:
        return self.reader

    def write(self, folder: Path) -> None:
        """Writes it as files with its times, such as into the data folder of an S3 server that keeps plain files."""
        for key, stored in self.stored.items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.contents[key])
            moment = stored.modified.timestamp()
            os.utime(path, (moment, moment))

    def upload(self, put: Callable[[str, bytes], object], prefix: str = "") -> None:
        """Puts it into a real bucket, whose times are those of now."""
        for key in self.stored:
            put(f"{prefix}{key}", self.contents[key])


def many(segments: int, backups: int, *, start: datetime | None = None) -> Archive:
    """Makes a large archive without a gap: a segment each minute, backups at even distances."""
    archive = Archive()
    begin = start or datetime(2026, 1, 1, tzinfo=UTC)
    archive.run(1, segments, begin)
    every = max(segments // backups, 1)
    for place in range(backups):
        number = 1 + place * every
        moment = begin + timedelta(minutes=number - 1)
        archive.backup(number, moment + timedelta(seconds=20), start=moment - timedelta(seconds=30))
    return archive


def keys_of(objects: Iterable[StoredObject]) -> list[str]:
    return [one.key for one in objects]
