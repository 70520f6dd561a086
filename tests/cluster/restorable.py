"""Archives from which a restore works: with WAL, tars and sentinels that can be read as wal-g reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cramjam

from planton.catalogue.names import BACKUPS, SENTINEL, WAL, lsn_text, segment_name
from tests.catalogue.archives import Archive, MemoryBucket
from tests.catalogue.wal_pages import IDENTIFIER, SEGMENT, Writer, commit
from tests.catalogue.walg_files import sodium

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def lz4(data: bytes) -> bytes:
    return bytes(cramjam.lz4.compress(data))


@dataclass
class Restorable(Archive):
    """An archive whose objects hold what they should.

    Attributes:
        key: Key of libsodium by which WAL and tars are encrypted; empty for none.
    """

    key: bytes = b""

    def stored_as(self, data: bytes) -> bytes:
        return sodium(lz4(data), self.key) if self.key else lz4(data)

    def wal_segment(self, number: int, modified: datetime, *commits: datetime, timeline: int = 1) -> None:
        writer = Writer(base=number * SEGMENT, timeline=timeline)
        for moment in commits:
            writer.record(commit((moment - _EPOCH) // timedelta(microseconds=1)))
        if not commits:
            writer.record(b"\xff\x00", manager=10)
        key = f"{WAL}{segment_name(timeline, number, SEGMENT)}.lz4"
        self.put(key, modified, self.stored_as(writer.segment()))

    def wal_run(self, first: int, last: int, start: datetime, *, timeline: int = 1) -> None:
        """Puts segments, one a minute; the only commit in each is a second before it came."""
        for place, number in enumerate(range(first, last + 1)):
            moment = start + timedelta(minutes=place)
            self.wal_segment(number, moment, moment - timedelta(seconds=1), timeline=timeline)

    def wal_history(self, timeline: int, modified: datetime, *switches: tuple[int, int]) -> None:
        text = "".join(f"{parent}\t{lsn_text(lsn)}\tno recovery target specified\n" for parent, lsn in switches)
        self.put(f"{WAL}{timeline:08X}.history.lz4", modified, self.stored_as(text.encode()))

    def base(self, segment: int, finish: datetime, *, uncompressed: int = 23_502_280, **more: Any) -> str:
        """Puts a base backup that is whole, and gives its name."""
        name = self.backup(segment, finish, **{"size": SEGMENT, "owner": IDENTIFIER, "version": 150020, **more})
        folder = f"{BACKUPS}{name}/"
        parts = {
            "part_001": self.stored_as(b"a table" * 1000),
            "pg_control": self.stored_as(b"control" * 50),
            "backup_label": self.stored_as(b"label"),
        }
        for part, content in parts.items():
            self.put(f"{folder}tar_partitions/{part}.tar.lz4", finish, content)
        self.put(f"{folder}files_metadata.json", finish, b"{}")
        key = f"{BACKUPS}{name}{SENTINEL}"
        facts = json.loads(self.contents[key])
        facts |= {"CompressedSize": sum(map(len, parts.values())), "UncompressedSize": uncompressed}
        self.put(key, self.stored[key].modified, json.dumps(facts).encode())
        metadata = json.loads(self.contents[f"{folder}metadata.json"])
        metadata |= {"compressed_size": facts["CompressedSize"], "uncompressed_size": uncompressed}
        self.put(f"{folder}metadata.json", finish, json.dumps(metadata).encode())
        return name

    def drop_wal(self, *numbers: int, timeline: int = 1) -> None:
        self.drop(*(f"{WAL}{segment_name(timeline, one, SEGMENT)}" for one in numbers))

    def memory(self) -> MemoryBucket:
        return self.bucket()


def whole(start: datetime, *, key: bytes = b"", minutes: int = 10, version: int = 150020) -> Restorable:
    """Makes an archive: a base backup in segment 2, and a segment a minute from then on."""
    archive = Restorable(key=key)
    archive.wal_run(2, 2 + minutes, start)
    archive.base(2, start + timedelta(seconds=20), version=version)
    return archive


def replace_all(folder: Path, archive: Archive) -> None:
    """Makes a folder of a store that keeps plain files hold an archive and nothing else."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.exists() else ():
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    archive.write(folder)
