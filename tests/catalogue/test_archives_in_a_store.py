"""Archives of WAL-G's form in a real S3 server, WAL and all, each with the window that a person works out by hand.

The server keeps plain files, so that objects have the times that the case is about. WAL is real WAL: read, decompressed
and, where it is encrypted, decrypted by what reads it for people, too.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

import cramjam
import pytest

from planton.catalogue.archive import Archive as OpenArchive
from planton.catalogue.model import Catalogue, RecoveryWindow
from planton.catalogue.names import WAL, parse_wal_key
from planton.translate.secret_values import Credentials
from tests.catalogue.archives import ORDERS, OTHER, SIZE, Archive, at, many
from tests.catalogue.conftest import Place
from tests.catalogue.wal_pages import Writer, commit
from tests.catalogue.walg_files import sodium

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]
only_plain = pytest.mark.parametrize("place", ["object_store"], indirect=True)

_EPOCH = datetime.fromisoformat("2000-01-01T00:00:00Z")
_MAGIC = {"15": 0xD110, "17": 0xD116}
LAST = timedelta(microseconds=1)


def with_wal(archive: Archive, key: bytes | None = None) -> Archive:
    """Fills segments and histories with what their builder says is in them, encrypted by libsodium with a key."""
    for name in list(archive.contents):
        wal = parse_wal_key(name) if name.startswith(WAL) else None
        if wal is None:
            continue
        stem = name.removeprefix(WAL).partition(".")[0]
        if stem in archive.reader.headers:
            header = archive.reader.headers[stem]
            writer = Writer(
                header.lsn,
                magic=_MAGIC[header.version],
                timeline=header.timeline,
                size=SIZE,
                identifier=header.system_identifier,
            )
            for _, moment in archive.reader.commits[stem]:
                writer.record(commit((moment - _EPOCH) // timedelta(microseconds=1)))
            content = writer.segment()
        else:
            content = archive.reader.histories[int(stem, 16)]
        packed = bytes(cramjam.lz4.compress(content))
        archive.put(name, archive.stored[name].modified, sodium(packed, key) if key else packed)
    return archive


def read(place: Place, archive: Archive, key: str = "") -> Catalogue:
    """Reads it as the database would, told a key of libsodium in hexadecimal digits or none."""
    archive.write(place.folder)
    access = place.access()
    if key:
        access = replace(
            access,
            environment={**access.environment, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"},
            references={**access.references, "WALG_LIBSODIUM_KEY": "own/WALG_LIBSODIUM_KEY"},
            contents=Credentials({**access.contents.reveal(), "WALG_LIBSODIUM_KEY": key}),
        )
    return OpenArchive(access).catalogue(now=at("23T00:00:00"))


def spans(window: RecoveryWindow) -> list[tuple[datetime, datetime]]:
    assert all(one.is_exact for one in window.spans)
    return [(one.start, one.end) for one in window.spans]


def whole() -> Archive:
    """A segment a minute from 08:01 to 08:20, each with a commit a second before it came; two backups."""
    archive = Archive()
    archive.run(1, 20, at("08:01:00"))
    archive.backup(2, at("08:02:30"))
    archive.backup(12, at("08:12:30"))
    return archive


@only_plain
def test_whole(place: Place) -> None:
    """The first backup is finished at 08:02:30 and its sentinel comes at 08:02:31; the last commit is of 08:19:59."""
    found = read(place, with_wal(whole()))
    (one,) = found.lineages
    assert (one.system_identifier, one.version) == (ORDERS, "15")
    assert spans(one.window) == [(at("08:02:31"), at("08:12:31")), (at("08:12:31"), at("08:19:59"))]
    assert one.window.holes == ()
    assert (one.window.latest, one.window.latest_end) == ("base_00000001000000000000000C", at("08:19:59"))
    assert one.window.span_of(at("08:19:59") - LAST)
    # PostgreSQL needs a later commit to know that it has arrived.
    assert not one.window.span_of(at("08:19:59"))
    assert not one.window.span_of(at("08:02:31"))


@only_plain
def test_a_gap(place: Place) -> None:
    """Segment 7, of 08:07, is missing: the last commit before it is of 08:05:59, in segment 6."""
    archive = with_wal(whole())
    archive.drop_segment(7)
    (one,) = read(place, archive).lineages
    assert spans(one.window) == [(at("08:02:31"), at("08:05:59")), (at("08:12:31"), at("08:19:59"))]
    (hole,) = one.window.holes
    assert (hole.start, hole.end) == (at("08:05:59"), at("08:12:31"))
    assert "000000010000000000000007" in hole.reason


@only_plain
def test_an_unfinished_backup(place: Place) -> None:
    """What has no sentinel is no backup: the second one's window goes to the first one."""
    archive = with_wal(whole())
    archive.drop("basebackups_005/base_00000001000000000000000C_backup_stop")
    found = read(place, archive)
    assert found.unfinished == ("base_00000001000000000000000C",)
    (one,) = found.lineages
    assert spans(one.window) == [(at("08:02:31"), at("08:19:59"))]


@only_plain
def test_encrypted(place: Place) -> None:
    """With its key the same as in clear; without it, or with another one, ends are when the last segment came."""
    key = secrets.token_bytes(32)
    archive = with_wal(whole(), key)
    (one,) = read(place, archive, key.hex()).lineages
    assert spans(one.window) == [(at("08:02:31"), at("08:12:31")), (at("08:12:31"), at("08:19:59"))]
    for other in ("", secrets.token_hex(32)):
        found = read(place, archive, other)
        (one,) = found.lineages
        assert not one.window.is_exact
        assert one.window.last == at("08:20:00")
        (warning,) = [text for text in found.warnings if "WAL could not be read" in text]
        assert not other or other not in warning


@only_plain
def test_two_timelines(place: Place) -> None:
    """Promoted in the middle of segment 10, whose commits before are of 08:09:59 at the latest.

    Timeline 1 went on to segment 14 in vain; a backup that was made there comes up no more. Timeline 2 has segments
    10 to 20, from 09:10 on.
    """
    archive = Archive()
    archive.run(1, 14, at("08:01:00"))
    archive.backup(2, at("08:02:30"))
    archive.backup(12, at("08:12:30"))
    archive.history(2, at("09:00:00"), (1, 10 * SIZE + 0x800))
    archive.run(10, 20, at("09:10:00"), timeline=2)
    archive.backup(15, at("09:15:30"), timeline=2)
    (one,) = read(place, with_wal(archive)).lineages
    assert [(backup.name, bool(backup.problem)) for backup in one.backups] == [
        ("base_000000010000000000000002", False),
        ("base_00000001000000000000000C", True),
        ("base_00000002000000000000000F", False),
    ]
    # The first one leads over to timeline 2; but from 08:12:31 on Spilo takes the one that is lost.
    assert spans(one.window) == [(at("08:02:31"), at("08:12:31")), (at("09:15:31"), at("09:19:59"))]
    (hole,) = one.window.holes
    assert (hole.start, hole.end) == (at("08:12:31"), at("09:15:31"))


@only_plain
def test_two_clusters_in_one_prefix(place: Place) -> None:
    """The first one wrote segments 1 to 20 from 08:01 on, the second one from 10:01 on 1 to 8 over them.

    Of the first one's backups the one in segment 2 has lost its WAL, the one in segment 12 has it still.
    """
    archive = whole()
    archive.run(1, 8, at("10:01:00"), owner=OTHER, version="17")
    archive.backup(3, at("10:03:30"), owner=OTHER, version=170002)
    found = read(place, with_wal(archive))
    assert [(one.system_identifier, one.version) for one in found.lineages] == [(ORDERS, "15"), (OTHER, "17")]
    first, second = found.lineages
    assert spans(first.window) == [(at("08:12:31"), at("08:19:59"))]
    assert [bool(one.problem) for one in first.backups] == [True, False]
    assert spans(second.window) == [(at("10:03:31"), at("10:07:59"))]


@only_plain
def test_empty(place: Place) -> None:
    found = read(place, Archive())
    assert found.is_empty
    assert found.lineages == ()


@only_plain
@pytest.mark.slow
def test_a_hundred_thousand_segments(place: Place) -> None:
    """A segment a minute from New Year on, a backup every 250, segment 60,000 missing.

    The first backup is of 00:00:20 and its sentinel of a second later. Segment 60,000 came 59,999 minutes after New
    Year, its forerunner a minute earlier. Backup 241 begins in segment 60,001; the last segment came after
    99,999 minutes.
    """
    new_year = datetime.fromisoformat("2026-01-01T00:00:00Z")
    archive = many(100_000, 400)
    archive.drop_segment(60_000)
    found = read(place, archive)
    assert found.segments == 99_999
    assert len(found.backups) == 400
    (one,) = found.lineages
    # Its segments are empty files, so that the times are those of the store.
    assert one.window.first == new_year + timedelta(seconds=21)
    assert one.window.last == new_year + timedelta(minutes=99_999)
    (hole,) = one.window.holes
    assert hole.start == new_year + timedelta(minutes=59_998)
    assert hole.end == new_year + timedelta(minutes=60_000, seconds=21)
