"""WAL as it lies in a bucket: found whatever its extension, decoded, judged, remembered."""

from __future__ import annotations

import lzma
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import cramjam
import pytest

from planton.catalogue.model import StoredObject
from planton.catalogue.names import BACKUPS, SENTINEL, WAL
from planton.catalogue.wal_archive import KeyCheck, check_key, open_wal
from planton.catalogue.wal_reader import WalReader
from planton.errors import StoreError
from tests.catalogue.archives import MemoryBucket
from tests.catalogue.test_decode import KEY, RAW, access
from tests.catalogue.test_wal import at, real
from tests.catalogue.wal_pages import IDENTIFIER, SEGMENT, Writer, commit
from tests.catalogue.walg_files import HISTORY, pgp, sodium, stored
from tests.keys import TEST_ONLY_KEY

NAME = "000000010000000000000005"
BACKUP = "base_000000010000000000000005"


def bucket(contents: Mapping[str, bytes]) -> MemoryBucket:
    when = datetime(2026, 11, 22, tzinfo=UTC)
    objects = {key: StoredObject(key, len(content), when) for key, content in contents.items()}
    return MemoryBucket(objects, dict(contents))


def lz4(data: bytes) -> bytes:
    return bytes(cramjam.lz4.compress(data))


def segment(*moments: int) -> bytes:
    writer = Writer()
    for moment in moments:
        writer.record(commit(moment))
    return writer.segment()


def test_a_segment_is_found_whatever_its_extension() -> None:
    data = segment(1_000, 2_000)
    for extension, content in {
        ".lz4": lz4(data),
        ".zst": bytes(cramjam.zstd.compress(data)),
        ".br": bytes(cramjam.brotli.compress(data)),
        ".lzma": lzma.compress(data, format=lzma.FORMAT_ALONE),
        ".": data,
        "": data,
    }.items():
        # What else begins with its name.
        others = {f"{WAL}{NAME}.partial.lz4": b"x", f"{WAL}{NAME}.00000028.backup.lz4": b"x"}
        reader = open_wal(bucket({**others, f"{WAL}{NAME}{extension}": content}), access())
        header = reader.header(NAME)
        assert header is not None, extension
        assert (header.system_identifier, header.segment_size, header.version) == (IDENTIFIER, SEGMENT, "15")
        assert reader.last_commit(NAME) == at(2_000)
        assert reader.problem == ""
        only_others = open_wal(bucket(others), access())
        assert (only_others.header(NAME), only_others.last_commit(NAME)) == (None, None)


def test_of_two_extensions_the_one_that_wal_g_takes() -> None:
    both = bucket({f"{WAL}{NAME}.lz4": lz4(segment(1_000)), f"{WAL}{NAME}": segment(2_000)})
    assert open_wal(both, access()).last_commit(NAME) == at(1_000)


def test_a_real_segment() -> None:
    for major in ("15", "18"):
        one = real(major)
        reader = open_wal(bucket({f"{WAL}{one.name}.lz4": lz4(one.segment)}), access())
        assert reader.last_commit(one.name) == max(moment for _, moment in one.ended)
        lsn, _ = one.ended[10]
        assert reader.last_commit(one.name, before=lsn) == max(moment for _, moment in one.ended[:10])


def test_answers_are_remembered() -> None:
    store = bucket({f"{WAL}{NAME}.lz4": lz4(segment(1_000)), f"{WAL}00000002.history.lz4": stored(".lz4")})
    reader = open_wal(store, access())
    for _ in range(3):
        assert reader.last_commit(NAME) == at(1_000)
        assert reader.header(NAME) is not None
        assert reader.history(2) == HISTORY
        assert reader.history(3) is None
        assert reader.header("000000010000000000000009") is None
    assert store.reads == 2
    assert store.listings == 4


def test_what_is_not_there_or_damaged_is_none() -> None:
    damaged = bytearray(lz4(segment(1_000)))
    damaged[len(damaged) // 2] ^= 0xFF
    other = "000000010000000000000006"
    contents = {
        f"{WAL}{NAME}.lz4": bytes(damaged),
        f"{WAL}{other}.lz4": lz4(segment(1_000)),  # another segment than its name says
        f"{WAL}000000010000000000000007.lz4": lz4(b"no WAL" * 1000),
        f"{WAL}000000010000000000000008.lz4": b"",
        f"{WAL}00000002.history.lz4": b"\x04\x22\x4d\x18 damaged",
    }
    reader = open_wal(bucket(contents), access())
    assert reader.last_commit(NAME) is None
    for name in (other, "000000010000000000000007", "000000010000000000000008", "000000010000000000000009"):
        assert (reader.header(name), reader.last_commit(name)) == (None, None)
    assert reader.history(2) is None


def test_what_the_store_says_is_passed_on() -> None:
    class Refusing(MemoryBucket):
        def read(self, key: str, *, most: int) -> bytes | None:
            raise StoreError("no", subject="s3://bucket", problem="forbidden")

    store = bucket({f"{WAL}{NAME}.lz4": lz4(segment(1_000))})
    reader = open_wal(Refusing(store.stored, store.contents), access())
    with pytest.raises(StoreError):
        reader.header(NAME)


def encrypted() -> Iterator[WalReader]:
    data = lz4(segment(1_000))
    yield open_wal(
        bucket({f"{WAL}{NAME}.lz4": sodium(data, RAW), f"{WAL}00000002.history.lz4": sodium(stored(".lz4"), RAW)}),
        access(WALG_LIBSODIUM_KEY=KEY),
    )
    import pysequoia

    message = pysequoia.encrypt(recipients=[pysequoia.Cert.from_bytes(TEST_ONLY_KEY.encode())], bytes=data, armor=False)
    yield open_wal(
        bucket({f"{WAL}{NAME}.lz4": message, f"{WAL}00000002.history.lz4": pgp("3.0.8")}),
        access(WALG_PGP_KEY=TEST_ONLY_KEY),
    )


def test_encrypted_archives() -> None:
    for reader in encrypted():
        assert reader.last_commit(NAME) == at(1_000)
        assert reader.history(2) == HISTORY
        assert reader.problem == ""


def test_a_key_that_does_not_fit_is_told_while_nothing_was_read() -> None:
    later = "000000010000000000000006"
    contents = {
        f"{WAL}{NAME}.lz4": sodium(lz4(segment(1_000)), secrets.token_bytes(32)),
        f"{WAL}{later}.lz4": sodium(lz4(segment_six()), RAW),
    }
    reader = open_wal(bucket(contents), access(WALG_LIBSODIUM_KEY=KEY))
    assert reader.last_commit(NAME) is None
    assert "another key" in reader.problem
    assert reader.last_commit(later) == at(7_000)
    assert reader.problem == ""
    for without in (access(), access(WALG_PGP_KEY=TEST_ONLY_KEY)):
        blind = open_wal(bucket(contents), without)
        assert blind.header(NAME) is None
        assert "encrypted" in blind.problem


def segment_six() -> bytes:
    writer = Writer(base=6 * SEGMENT)
    writer.record(commit(7_000))
    return writer.segment()


def test_a_key_that_is_of_no_use_costs_no_request() -> None:
    store = bucket({f"{WAL}{NAME}.lz4": b"x"})
    reader = open_wal(store, access(WALG_LIBSODIUM_KEY="short"))
    assert (reader.header(NAME), reader.last_commit(NAME), reader.history(2)) == (None, None, None)
    assert "shorter" in reader.problem
    assert (store.reads, store.listings) == (0, 0)


# Whether a key fits.


def parts(content: bytes) -> dict[str, bytes]:
    folder = f"{BACKUPS}{BACKUP}/tar_partitions/"
    return {
        f"{BACKUPS}{BACKUP}{SENTINEL}": b"{}",
        f"{BACKUPS}{BACKUP}/metadata.json": b"{}",
        f"{folder}backup_label.tar.lz4": content,
        f"{folder}part_001.tar.lz4": content * 100,
    }


LABEL = f"{BACKUPS}{BACKUP}/tar_partitions/backup_label.tar.lz4"


@pytest.mark.parametrize("backup", ["", BACKUP])
def test_a_key_that_fits(backup: str) -> None:
    plain = lz4(b"label" * 200)
    store = bucket(parts(sodium(plain, RAW)))
    assert check_key(store, access(WALG_LIBSODIUM_KEY=KEY), backup=backup) == KeyCheck(LABEL, "")
    assert store.reads == 1
    assert check_key(bucket(parts(plain)), access(), backup=backup) == KeyCheck(LABEL, "")
    assert check_key(bucket(parts(pgp("3.0.5"))), access(WALG_PGP_KEY=TEST_ONLY_KEY), backup=backup).problem == ""


def test_a_key_that_does_not_fit() -> None:
    plain = lz4(b"label" * 200)
    other = access(WALG_LIBSODIUM_KEY="sentinel of another key 0123456789")
    for contents, by, words in (
        (parts(sodium(plain, RAW)), other, "another key"),
        (parts(sodium(plain, RAW)), access(), "encrypted and no key"),
        (parts(plain), other, "before there was a key"),
        (parts(plain), access(WALG_PGP_KEY=TEST_ONLY_KEY), "before there was a key"),
        (parts(pgp("3.0.5")), other, "another key"),
        (parts(sodium(plain, RAW)), access(WALG_LIBSODIUM_KEY="short"), "shorter"),
    ):
        found = check_key(bucket(contents), by)
        assert words in found.problem
        assert found.is_certain
        assert "sentinel of" not in found.problem


def test_an_openpgp_key_that_only_wal_g_still_reads_with() -> None:
    damaged = bytearray(pgp("3.0.5"))
    damaged[-20] ^= 1
    found = check_key(bucket(parts(bytes(damaged))), access(WALG_PGP_KEY=TEST_ONLY_KEY))
    assert "expired" in found.problem
    assert not found.is_certain


def test_one_damaged_object_says_nothing_of_the_key() -> None:
    larger = f"{BACKUPS}{BACKUP}/tar_partitions/part_001.tar.lz4"
    contents = {**parts(b""), LABEL: b"damaged", larger: sodium(lz4(b"part" * 2000), RAW)}
    assert check_key(bucket(contents), access(WALG_LIBSODIUM_KEY=KEY)) == KeyCheck(larger, "")


def test_nothing_to_try() -> None:
    assert check_key(bucket({}), access(WALG_LIBSODIUM_KEY=KEY)) == KeyCheck("", "")
    before = bucket({f"{WAL}{NAME}.lz4": sodium(lz4(segment(1)), RAW)})
    assert check_key(before, access(WALG_LIBSODIUM_KEY=KEY)) == KeyCheck(f"{WAL}{NAME}.lz4", "")
    assert check_key(before, access(WALG_LIBSODIUM_KEY=KEY), backup=BACKUP) == KeyCheck("", "")
