"""What is missing of a base backup."""

from __future__ import annotations

import pytest

from planton.catalogue.names import BACKUPS
from planton.catalogue.reading import read_catalogue
from planton.catalogue.wholeness import missing_files
from tests.catalogue.archives import Archive, at
from tests.catalogue.test_reading import A, real

NO_CONTROL = "its pg_control.tar is gone, or has a name by which wal-g does not find it: nothing starts without it"
NO_LABEL = "its backup_label.tar is gone: PostgreSQL would begin at the wrong place, and its data could be damaged"


def missing(archive: Archive, place: int = 0) -> str:
    bucket = archive.bucket()
    backups = read_catalogue(bucket, now=at("12:00:00")).backups
    return missing_files(bucket, backups[place], backups)


def test_a_real_archive_is_whole() -> None:
    assert missing(real(), 0) == ""
    assert missing(real(), 1) == ""


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("tar_partitions/pg_control.tar.lz4", NO_CONTROL),
        ("tar_partitions/part_001.tar.lz4", "none of its tars is there"),
        ("tar_partitions/", "none of its tars is there"),
        ("tar_partitions/backup_label", NO_LABEL),
        ("files_metadata.json", "its files_metadata.json is gone, and wal-g ends with an error"),
    ],
)
def test_what_is_gone(gone: str, expected: str) -> None:
    archive = real()
    archive.drop(f"{BACKUPS}{A}/{gone}")
    assert missing(archive) == f"{A}: {expected}"


def test_what_is_left_is_large_enough_and_the_label_is_gone() -> None:
    """The sum in the sentinel may be that of before the label was counted."""
    archive = real()
    archive.drop(f"{BACKUPS}{A}/tar_partitions/backup_label")
    archive.put(f"{BACKUPS}{A}/tar_partitions/part_002.tar.lz4", at("08:14:28"), b"", 4_000_000)
    assert missing(archive) == f"{A}: {NO_LABEL}"


def test_tars_that_wal_g_does_not_find() -> None:
    """Without compression their names end with a point: `Expect pg_control archive, but not found` (wal-g 3.0.8)."""
    archive = real()
    for name in ("pg_control", "backup_label", "part_001"):
        archive.drop(f"{BACKUPS}{A}/tar_partitions/{name}")
        archive.put(f"{BACKUPS}{A}/tar_partitions/{name}.tar.", at("08:14:28"), b"", 4_000_000)
    assert missing(archive) == f"{A}: {NO_CONTROL}"


def test_one_of_several_parts_is_gone() -> None:
    archive = real()
    key = f"{BACKUPS}{A}/tar_partitions/part_001.tar.lz4"
    archive.put(key, at("08:14:28"), b"", 4_000_000)
    assert missing(archive).endswith("some are gone")
    archive.put(key.replace("part_001", "part_002"), at("08:14:28"), b"", 357_438)
    assert missing(archive) == ""


def test_made_without_a_list_of_files() -> None:
    archive = real()
    archive.drop(f"{BACKUPS}{A}/files_metadata.json")
    key = f"{BACKUPS}{A}_backup_stop_sentinel.json"
    content = archive.contents[key].replace(b'"ChkpNum"', b'"FilesMetadataDisabled":true,"ChkpNum"')
    archive.put(key, at("08:14:29"), content)
    assert missing(archive) == ""


def test_the_base_of_a_delta_counts() -> None:
    archive = real()
    full = archive.backup(2, at("08:14:28.25"), modified=at("08:14:29"))
    delta = archive.backup(5, at("08:14:35"), modified=at("08:14:40"), on=full)
    for name in (full, delta):
        for tar in ("pg_control", "backup_label"):
            archive.put(f"{BACKUPS}{name}/tar_partitions/{tar}.tar.lz4", at("08:14:28"), b"", 400)
        archive.put(f"{BACKUPS}{name}/files_metadata.json", at("08:14:28"), b"{}")
    assert missing(archive, 2) == ""
    archive.drop(f"{BACKUPS}{full}/tar_partitions/pg_control")
    assert missing(archive, 2).startswith(f"{full}: its pg_control.tar is gone")
