"""Readers of what is in a bucket, where whoever writes to it can put anything: keys, sentinels, histories, WAL."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import lzma
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from planton.catalogue.choice import choose
from planton.catalogue.decode import EXTENSIONS, DecodeError, beginning, decompress
from planton.catalogue.decrypt import Decryption
from planton.catalogue.listing import read_latest
from planton.catalogue.model import Catalogue
from planton.catalogue.reading import read_catalogue
from planton.catalogue.timelines import parse_history
from planton.catalogue.wal import HEADER_BYTES, read_commits, read_header
from planton.catalogue.wal_archive import open_wal
from planton.catalogue.wholeness import missing_files
from planton.cli import _catalogue
from planton.cli._output import Console
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials
from tests.catalogue import wal_pages, walg_files
from tests.catalogue.archives import Archive, MemoryBucket, at
from tests.fuzz import trees
from tests.fuzz.oracle import (
    ACCESS_KEY,
    LIBSODIUM_KEY,
    MARKERS,
    SECRET_KEY,
    Finding,
    attempt,
    check_screen,
    check_texts,
)
from tests.keys import TEST_ONLY_KEY

DATA = Path(__file__).resolve().parents[1] / "catalogue" / "data"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds())
_KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
_ACCESS = ArchiveAccess(
    "orders",
    "db-orders",
    "15",
    "s3://pg-backups/backups/db-orders/15",
    {},
    references=dict.fromkeys(_KEYS, "s/k"),
    contents=Credentials(_KEYS),
)


class ArchiveTarget:
    """A whole archive as JSON: key -> [seconds since 1970, content in Latin-1, size]."""

    name = "archive"
    words = (
        "basebackups_005/", "wal_005/", "_backup_stop_sentinel.json", "base_", "_D_", ".history", ".lz4", ".partial",
        "metadata.json", "files_metadata.json", "tar_partitions/",
    )  # fmt: skip

    def seeds(self) -> Iterator[bytes]:
        """A real archive, and some by hand: deltas, timelines, several clusters."""
        real = Archive()
        root = DATA / "walg-catalog" / "backups" / "db-orders" / "15"
        for path in sorted(root.rglob("*.json")):
            real.put(path.relative_to(root).as_posix(), at("08:15:00"), path.read_bytes())
        real.run(1, 6, at("08:10:00"))
        yield _written(real)
        deltas = Archive()
        full = deltas.backup(2, at("08:00:10"))
        deltas.backup(4, at("08:03:00"), on=full)
        deltas.run(1, 7, at("08:00:00"))
        yield _written(deltas)
        later = Archive()
        later.backup(2, at("08:00:10"))
        later.run(1, 5, at("08:00:00"))
        later.put("wal_005/00000002.history", at("08:05:00"), walg_files.HISTORY)
        later.put("wal_005/00000003.history", at("08:06:00"), walg_files.HISTORY + b"2\t0/5000060\tx\n")
        later.run(5, 8, at("08:06:00"), timeline=2)
        later.segment(9, at("08:20:00"), timeline=3)
        later.put("wal_005/000000010000000000000005.partial.lz4", at("08:06:00"), b"x")
        yield _written(later)
        yield b"{}"

    def mutate(self, data: bytes, most: int, seed: int, fallback: trees.Fallback) -> bytes:
        """Changes the tree of the archive, or that of one JSON file in it."""
        random = Random(seed)
        if random.random() < 0.5:
            try:
                files = json.loads(data)
                key = random.choice(list(files))
                if key.endswith(".json"):
                    inner = trees.mutated(json.loads(files[key][1]), random, _JSON_NAMES)
                    files[key][1] = json.dumps(inner)
                elif random.random() < 0.4:
                    moved = _key(key, random)
                    files[moved] = files.pop(key)
                elif random.random() < 0.5:
                    files[key][0] = random.choice(
                        (0, 1, _LAST, _LAST - 1, files[key][0] + random.randrange(-9999, 9999))
                    )
                else:
                    files[key][1] = str(trees.scalar(random))
                made = json.dumps(files).encode()
                if len(made) <= most:
                    return made
            except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
                pass
        return trees.mutated_json(data, most, seed, fallback)

    def run(self, data: bytes) -> list[str]:
        """Reads an archive as `planton backups` does, with all that it prints."""
        bucket = _bucket(data)
        if bucket is None:
            return []
        texts = attempt(lambda: _read(bucket))
        hidden = _hidden(bucket)
        check_texts(texts, hidden)
        for mark in {*MARKERS} - {*hidden}:
            texts = [one.replace(mark, "") for one in texts]
        return texts


_JSON_NAMES = (
    "LSN", "PgVersion", "FinishLSN", "SystemIdentifier", "CompressedSize", "Version", "StartTime", "FinishTime",
    "Hostname", "IsPermanent", "DeltaLSN", "DeltaFrom", "DeltaFullName", "DeltaCount", "FilesMetadataDisabled",
    "start_time", "finish_time", "start_lsn", "finish_lsn", "is_permanent", "system_identifier",
)  # fmt: skip


def _key(key: str, random: Random) -> str:
    way = random.randrange(4)
    if way == 0:
        place = random.randrange(len(key) + 1)
        return key[:place] + random.choice("0123456789ABCDEF") + key[place + 1 :]
    if way == 1:
        return key.rpartition(".")[0] + random.choice((*EXTENSIONS, ".lzo", ".partial", ".history"))
    if way == 2:
        return key.replace("00000001", random.choice(("00000002", "FFFFFFFF", "00000000", "7FFFFFFF")), 1)
    return random.choice(("", "a/", "basebackups_005/", "wal_005/")) + key


def _written(archive: Archive) -> bytes:
    return json.dumps(
        {
            key: [int(one.modified.timestamp()), archive.contents[key].decode("latin1"), one.size]
            for key, one in archive.stored.items()
        }
    ).encode()


def _bucket(data: bytes) -> MemoryBucket | None:
    """Reads an input; None for what no store could say."""
    try:
        files = json.loads(data)
        made = Archive()
        for key, (seconds, content, *sizes) in list(files.items())[:300]:
            key.encode()
            moment = _EPOCH + timedelta(seconds=min(max(int(seconds), 0), _LAST))
            size = sizes[0] if sizes and isinstance(sizes[0], int) and 0 <= sizes[0] < 1 << 50 else None
            made.put(str(key), moment, str(content).encode("utf-8", "surrogatepass")[: 1 << 20], size)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return made.bucket()


# What of a sentinel and of metadata.json is shown as it stands there.
_SHOWN = ("Hostname", "hostname", "DeltaFrom", "DeltaFullName")


def _hidden(bucket: MemoryBucket) -> tuple[str, ...]:
    """Tells which secrets must not be shown: all but those where whoever writes to an archive names things.

    Such are the names of its objects, those of hosts and backups, and what a history says of a switch: they are in the
    open for whoever lists the bucket, planton has them from there alone, and they are what a person looks for. In what
    else wal-g or a user of it writes, user data or the path of the data directory, a secret may stand.
    """
    open_texts = [*bucket.stored]
    for key, content in bucket.contents.items():
        if ".history" in key:
            open_texts.append(content.decode("utf-8", "replace"))
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            told = json.loads(content)
            open_texts += [str(told.get(name)) for name in _SHOWN]
    whole = "\n".join(open_texts)
    return tuple(mark for mark in MARKERS if mark not in whole)


def _read(bucket: MemoryBucket) -> Iterator[str]:
    reader = open_wal(bucket, _ACCESS)
    for wal in (reader, None):
        catalogue = read_catalogue(bucket, now=NOW, retention=2, wal=wal, threads=1)
        for moment in (None, NOW, at("08:04:00")):
            yield repr(choose(catalogue, moment))
        for backup in catalogue.backups[:3]:
            yield missing_files(bucket, backup, catalogue.backups)
        yield _printed(catalogue)
        yield from catalogue.warnings
    yield repr(read_latest(bucket))


def _printed(catalogue: Catalogue) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "utf-8", write_through=True)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        console = Console()
        _catalogue.show_list(catalogue, "s3://b/p", NOW, console)
        _catalogue.show_window(catalogue, "s3://b/p", console)
        _catalogue.show_one(catalogue, "", "s3://b/p", console)
        console.json(_catalogue.as_data(catalogue))
        console.yaml(_catalogue.as_data(catalogue))
        for backup in catalogue.backups[-1:]:
            _catalogue.show_one(catalogue, backup.name, "s3://b/p", console)
    text = raw.getvalue().decode()
    check_screen(text)
    return text


_PGP = ArchiveAccess(
    "orders",
    "db-orders",
    "15",
    "s3://b/p",
    {},
    references={"WALG_PGP_KEY": "s/k"},
    contents=Credentials({"WALG_PGP_KEY": TEST_ONLY_KEY}),
)
_SODIUM = ArchiveAccess(
    "orders",
    "db-orders",
    "15",
    "s3://b/p",
    {"WALG_LIBSODIUM_KEY_TRANSFORM": "hex"},
    references={"WALG_LIBSODIUM_KEY": "s/k"},
    contents=Credentials({"WALG_LIBSODIUM_KEY": LIBSODIUM_KEY}),
)
_MOST = 1 << 16


class WalTarget:
    """The bytes of one object of the WAL: the first byte says how it is stored, the rest is what is stored."""

    name = "wal"
    words = ("\x04\x22\x4d\x18", "\x1f\x8b\x08", "wal")

    def __init__(self) -> None:
        """Prepares the keys once, as for an archive."""
        self._keys = {7: Decryption(_PGP), 8: Decryption(_SODIUM)}

    def seeds(self) -> Iterator[bytes]:
        """Segments by hand and of real servers, and small objects with each compression and encryption."""
        writer = wal_pages.Writer()
        writer.record(wal_pages.commit(817_027_200_000_000, data=b"x" * 20))
        writer.fill(8)
        writer.record(b"\xff" + bytes([30]) + b"\0" * 30, manager=10)
        writer.record(wal_pages.commit(817_027_201_000_000, data=b"y" * 300, before=b"\xfd\1\0"))
        writer.record(b"", manager=0, information=0x40)
        yield b"\0" + writer.segment()[: 3 * wal_pages.PAGE]
        left = wal_pages.Writer(left=9000, magic=0xD118)
        left.record(wal_pages.commit(817_027_200_000_000))
        yield b"\0" + left.segment()[: 3 * wal_pages.PAGE]
        for path in sorted((DATA / "wal").glob("*.xz")):
            yield b"\0" + lzma.LZMADecompressor().decompress(path.read_bytes(), 3 * wal_pages.PAGE)
        for extension in walg_files.STORED:
            yield bytes([EXTENSIONS.index(extension)]) + walg_files.stored(extension)
        yield b"\x02" + gzip.compress(walg_files.HISTORY, mtime=0)
        yield b"\x04" + base64.b64decode("CxOAMQkwLzMwMDAwNjAJbm8gcmVjb3ZlcnkDCg==")
        for version in walg_files.PGP:
            yield b"\x07" + walg_files.pgp(version)
        yield b"\x08" + walg_files.sodium(walg_files.stored(".lz4"), bytes.fromhex(LIBSODIUM_KEY))
        yield b"\x09" + walg_files.HISTORY

    def mutate(self, data: bytes, most: int, seed: int, fallback: trees.Fallback) -> bytes:
        """Changes bytes; half of the time numbers where a page or a record has them."""
        random = Random(seed)
        if len(data) < 64 or random.random() < 0.5:
            return fallback(data, most)
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 4))):
            page = random.randrange(0, max(len(data) - 64, 1), wal_pages.PAGE)
            place = 1 + random.choice((page, page + 24, page + 40, random.randrange(0, len(data) - 16, 8)))
            form = random.choice("<B <H <I <Q".split())
            value = random.choice((0, 1, 7, 24, 255, 0xD110, 8192, 1 << 20, (1 << 31) - 1, (1 << 64) - 1))
            size = struct.calcsize(form)
            if place + size <= len(changed):
                struct.pack_into(form, changed, place, value & (1 << 8 * size) - 1)
        return bytes(changed[:most])

    def run(self, data: bytes) -> list[str]:
        """Decrypts, uncompresses and reads an object."""
        kind, content = data[0] % 10 if data else 0, data[1:]
        return attempt(lambda: self._open(kind, content))

    def _open(self, kind: int, content: bytes) -> Iterator[str]:
        if kind in self._keys:
            content, kind = self._keys[kind].decrypt(content), 0
        extension = EXTENSIONS[kind] if 0 < kind < len(EXTENSIONS) else "."
        first = beginning(content, extension, count=HEADER_BYTES)
        if len(first) > HEADER_BYTES:
            raise Finding("more came out than was asked for")
        with contextlib.suppress(DecodeError):
            content = decompress(content, extension, most=_MOST)
            if len(content) > _MOST:
                raise Finding("more came out than was allowed")
        header = read_header(content)
        commits = read_commits(content)
        if header is not None and commits is not None:
            part = read_commits(content, before=header.lsn + 500)
            if (
                part is not None
                and part.latest
                and (not commits.latest or part.latest > commits.latest)
                and commits.end != "damaged"
            ):
                raise Finding("a part of a segment ends later than all of it")
        yield repr((header, commits))
        switches = parse_history(content[:1000], 7)
        yield switches if isinstance(switches, str) else ascii(switches)
