"""Names in an archive."""

from __future__ import annotations

import pytest

from planton.catalogue.names import (
    BackupName,
    WalName,
    backup_of_sentinel,
    fitting_sizes,
    lsn_text,
    parse_backup_name,
    parse_wal_key,
    segment_name,
    segment_number,
)

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("wal_005/000000010000000000000002.lz4", WalName("segment", 1, 0, 2, 0)),
        ("wal_005/0000000A00000001000000FF.zst", WalName("segment", 10, 1, 255, 5)),
        ("wal_005/000000010000000000000002", WalName("segment", 1, 0, 2, 6)),
        # The method none leaves the point: wal-g 3.0.8.
        ("wal_005/000000010000000000000002.", WalName("segment", 1, 0, 2, 6)),
        ("wal_005/000000010000000000000002.partial.br", WalName("partial", 1, 0, 2, 3)),
        ("wal_005/000000010000000000000002.00000028.backup.lz4", WalName("label", 1, 0, 2, 0)),
        ("wal_005/00000002.history.lz4", WalName("history", 2, 0, 0, 0)),
        ("wal_005/00000002.history", WalName("history", 2, 0, 0, 6)),
        ("wal_005/000000010000000000000002.zip", None),
        ("wal_005/00000001000000000000000b.lz4", None),
        ("wal_005/0000000100000000000000020.lz4", None),
        ("wal_005/00000001.partial.lz4", None),
        ("wal_005/000000010000000000000002.history.lz4", None),
        ("wal_005/x/000000010000000000000002.lz4", None),
        ("basebackups_005/000000010000000000000002.lz4", None),
        ("wal_005/000000010000000000000002.lz4\n", None),
        ("wal_005/", None),
    ],
)
def test_keys_of_wal(key: str, expected: WalName | None) -> None:
    assert parse_wal_key(key) == expected


def test_names_of_backups() -> None:
    assert parse_backup_name("base_000000010000000000000002") == BackupName(1, 0, 2, False)
    delta = parse_backup_name("base_000000020000000100000005_D_000000010000000000000002")
    assert delta == BackupName(2, 1, 5, True)
    assert parse_backup_name("base_000000010000000000000002_00000028") == BackupName(1, 0, 2, False)
    assert parse_backup_name("base_000000010000000000000002_D_") is None
    assert parse_backup_name("000000010000000000000002") is None


def test_sentinels() -> None:
    assert backup_of_sentinel("basebackups_005/base_1_backup_stop_sentinel.json") == "base_1"
    assert backup_of_sentinel("basebackups_005/base_1/metadata.json") == ""
    assert backup_of_sentinel("basebackups_005/a/base_1_backup_stop_sentinel.json") == ""
    assert backup_of_sentinel("wal_005/base_1_backup_stop_sentinel.json") == ""


@pytest.mark.parametrize("size", [MIB, 16 * MIB, 64 * MIB, 1024 * MIB])
@pytest.mark.parametrize("number", [0, 1, 3, 4, 255, 256, 4095, 4096, 1_000_000])
def test_numbers_and_names(size: int, number: int) -> None:
    name = segment_name(7, number, size)
    assert segment_number(int(name[8:16], 16), int(name[16:], 16), size) == number
    assert int(name[8:16], 16) << 32 | int(name[16:], 16) * size == number * size


def test_lsn_as_text() -> None:
    assert lsn_text(0x100000028) == "1/28"


def test_the_size_of_a_segment_by_a_name() -> None:
    assert fitting_sizes(BackupName(1, 0, 2, False), 0x2000028) == (16 * MIB,)
    assert fitting_sizes(BackupName(1, 0, 0x20, False), 0x2000028) == (MIB,)
    # In the first segment of 64 MiB and more lies what has this LSN; none of these sizes is known to be the one.
    assert fitting_sizes(BackupName(1, 0, 0, False), 0x2000028)[0] == 64 * MIB
    assert fitting_sizes(BackupName(1, 5, 2, False), 0x2000028) == ()
