"""Whose an archive is, by what came last."""

from __future__ import annotations

from planton.catalogue.model import Latest
from planton.catalogue.newest import NewestBackup, newest_backup, owner_of
from planton.catalogue.reading import read_latest
from tests.catalogue.archives import ORDERS, OTHER, Archive, Wal, at
from tests.catalogue.test_window import B, whole


def test_the_newest_backup_says_it() -> None:
    archive = whole()
    bucket, latest = archive.bucket(), read_latest(archive.bucket())
    found = newest_backup(bucket, latest)
    assert found.backup is not None
    assert (found.backup.name, found.system_identifier, found.segment_size) == (B, ORDERS, 16 << 20)
    # WAL is not read then.
    reader = archive.wal()
    assert owner_of(bucket, latest, reader) == (ORDERS, B)
    assert reader.headers_read == []


def test_without_a_backup_the_newest_segment_says_it() -> None:
    archive = Archive()
    archive.run(1, 3, at("08:00:30"), owner=OTHER)
    bucket, latest = archive.bucket(), read_latest(archive.bucket())
    assert newest_backup(bucket, latest) == NewestBackup()
    assert owner_of(bucket, latest, archive.wal()) == (OTHER, "WAL segment 000000010000000000000003")


def test_nothing_says_it() -> None:
    empty = Archive().bucket()
    assert owner_of(empty, read_latest(empty), Wal()) == (0, "it has no base backup and no WAL segment that says it")
    assert owner_of(empty, Latest(segment="0" * 24), Wal(problem="no key")) == (0, "no key")


def test_a_sentinel_that_went_meanwhile() -> None:
    archive = whole()
    latest = read_latest(archive.bucket())
    archive.drop("basebackups_005/")
    assert owner_of(archive.bucket(), latest, archive.wal()) == (ORDERS, "WAL segment 00000001000000000000000A")
