"""Whose WAL it is: several clusters in one prefix, and what else lies there."""

from __future__ import annotations

from planton.catalogue.choice import choose
from planton.catalogue.names import BACKUPS
from tests.catalogue.archives import ORDERS, OTHER, Archive, at
from tests.catalogue.test_window import A, B, read, spans, whole


def test_two_clusters_in_one_prefix() -> None:
    """The second one writes over segments 1 to 5 from 10:00 on; of the first one 6 to 10 are left."""
    archive = whole()
    archive.run(1, 5, at("10:00:30"), owner=OTHER, version="17")
    archive.backup(3, at("10:02:00"), modified=at("10:02:01"), owner=OTHER, version=170006)
    catalogue = read(archive, retention=2)
    old, new = catalogue.lineages
    third = "base_000000010000000000000003"
    assert (old.system_identifier, old.version, new.system_identifier, new.version) == (ORDERS, "15", OTHER, "17")
    assert [one.name for one in old.backups] == [A, B]
    assert [one.name for one in new.backups] == [third]
    assert [(run.first, run.last) for run in old.timelines[0].runs] == [(6, 10)]
    assert [(run.first, run.last) for run in new.timelines[0].runs] == [(1, 5)]
    # The first backup needs segment 2, which is the other cluster's now. The second one serves until its last commit.
    assert "000000010000000000000002 and what follows is WAL of another database cluster" in old.backups[0].problem
    assert [(one.backup, one.start, one.end) for one in old.window.spans] == [(B, at("08:04:11"), at("08:08:29"))]
    assert [(one.backup, one.start, one.end) for one in new.window.spans] == [(third, at("10:02:01"), at("10:04:29"))]
    assert catalogue.current is new
    assert "the newest base backup is of another database cluster" in old.window.problem
    assert any("2 database clusters" in warning for warning in catalogue.warnings)
    choice = choose(catalogue, at("08:06:00"))
    assert choice.lineage is old


def test_two_clusters_without_a_reader() -> None:
    archive = whole()
    archive.run(1, 5, at("10:00:30"), owner=OTHER)
    archive.backup(3, at("10:02:00"), modified=at("10:02:01"), start=at("10:00:10"), owner=OTHER)
    old, new = read(archive, wal=False).lineages
    assert [(run.first, run.last) for run in old.timelines[0].runs] == [(6, 10)]
    assert [(run.first, run.last) for run in new.timelines[0].runs] == [(1, 5)]
    assert any("was told by the time" in warning for warning in read(archive, wal=False).warnings)


def test_a_cluster_that_goes_on_where_another_ended() -> None:
    """As after pg_upgrade in one prefix: no step back in time, no gap. Segments 8 to 20 are the new cluster's."""
    archive = whole()
    for number in range(8, 11):
        archive.drop_segment(number)
    archive.run(8, 20, at("09:00:30"), owner=OTHER, version="17")
    name = archive.backup(14, at("09:06:10"), modified=at("09:06:11"), owner=OTHER, version=170006)
    old, new = read(archive).lineages
    assert [(run.first, run.last) for run in old.timelines[0].runs] == [(1, 7)]
    assert [(run.first, run.last) for run in new.timelines[0].runs] == [(8, 20)]
    assert [(one.backup, one.end) for one in old.window.spans] == [(A, at("08:04:11")), (B, at("08:05:29"))]
    assert [(one.backup, one.start, one.end) for one in new.window.spans] == [
        (name, at("09:06:11"), at("09:12:29")),
    ]  # fmt: skip
    assert len(set(archive.reader.headers_read)) <= 8


def test_a_new_cluster_without_a_backup_writes_over() -> None:
    archive = whole()
    archive.run(1, 7, at("10:00:30"), owner=OTHER)
    catalogue = read(archive)
    stranger, old = catalogue.lineages
    assert (stranger.system_identifier, stranger.backups) == (OTHER, ())
    assert old.window.spans == ()
    # What came last is the other one's: of a database that is deleted now nothing is here.
    assert [(run.first, run.last) for run in old.timelines[0].runs] == [(8, 10)]
    assert any(f"another database cluster (system identifier {OTHER})" in warning for warning in catalogue.warnings)
    # Without a reader nobody can tell, and that is said.
    assert any("was told by the time" in warning for warning in read(archive, wal=False).warnings)


def test_a_new_cluster_writes_over_everything() -> None:
    """No step back in time, and one system identifier in the backups: their first segments came much too late."""
    archive = whole()
    archive.run(1, 30, at("10:00:30"), owner=OTHER)
    assert read(archive).lineages[-1].window.spans == ()


def test_no_doubt_no_headers_but_that_of_the_last_segment() -> None:
    archive = whole()
    read(archive)
    assert archive.reader.headers_read == ["00000001000000000000000A"]
    assert set(archive.reader.commits_read) == {"00000001000000000000000A"}


def test_created_anew_within_the_hour() -> None:
    """Too soon to be seen by times, with a backup under the old one's name; of the old one 4 to 10 are left."""
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    archive.run(1, 3, at("08:20:30"), owner=OTHER)
    archive.backup(2, at("08:21:10"), modified=at("08:21:11"), owner=OTHER)
    stranger, new = read(archive).lineages
    assert (stranger.system_identifier, new.system_identifier) == (ORDERS, OTHER)
    assert [(run.first, run.last) for run in new.timelines[0].runs] == [(1, 3)]
    (span,) = new.window.spans
    assert (span.start, span.end, span.is_exact) == (at("08:21:11"), at("08:22:29"), True)
    # What the old one has left is ahead of the new one's end, and hides nothing of it.
    assert (new.window.latest_end, new.window.problem) == (at("08:22:29"), "")


def test_what_another_cluster_wrote_after_the_backup_is_no_left_over() -> None:
    """It goes on, and writes over what came after the backup: replay ends there, and that is said."""
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    archive.run(4, 10, at("08:20:30"), owner=OTHER)
    assert "000000010000000000000004 and what follows is WAL" in read(archive).lineages[-1].window.problem


def test_own_wal_behind_another_clusters() -> None:
    """Segments 4 and 5 are an older cluster's, and 6 to 10 its own: 4 and 5 of its own were never archived."""
    archive = Archive()
    archive.run(4, 5, at("07:00:30"), owner=OTHER)
    archive.run(1, 3, at("07:59:30"))
    archive.run(6, 10, at("08:04:30"))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    assert "000000010000000000000004 and what follows is WAL" in read(archive).lineages[-1].window.problem


def test_another_cluster_goes_on_in_an_archive_and_has_no_backup_yet() -> None:
    """As after pg_upgrade: no step back in time. A restore ends where the other one's WAL begins."""
    archive = whole()
    archive.run(11, 20, at("08:09:30"), owner=OTHER, version="17")
    stranger, old = read(archive).lineages
    assert (stranger.system_identifier, old.system_identifier) == (OTHER, ORDERS)
    assert old.window.spans[-1].end == at("08:08:29")
    assert "00000001000000000000000B and what follows is WAL of another database cluster" in old.window.problem


def test_a_segment_that_was_pushed_again() -> None:
    """Hours later, and the segments after it are older: the header says that it is the same cluster's."""
    archive = whole()
    archive.segment(8, at("11:00:00"), at("08:06:29"))
    catalogue = read(archive)
    assert [(run.first, run.last) for run in catalogue.lineages[0].timelines[0].runs] == [(1, 10)]
    assert catalogue.warnings == ()


def test_things_that_are_none_of_wal_g() -> None:
    archive = whole()
    archive.put("wal_005/README", at("08:00:00"), b"x")
    archive.put("wal_005/00000001000000000000000b.lz4", at("08:00:00"), b"x")
    archive.put("wal_005/00000001000000000000000B.zip", at("08:00:00"), b"x")
    archive.put("wal_005/000000010000000000000005.zst", at("08:03:30"), b"x")
    archive.put("wal_005/000000010000000000000002.00000028.backup.lz4", at("08:00:01"), b"x")
    archive.put("other-database/wal_005/000000010000000000000001.lz4", at("08:00:00"), b"x")
    archive.put("planton-check/x", at("08:00:00"), b"x")
    archive.put(f"{BACKUPS}notes.txt", at("08:00:00"), b"x")
    catalogue = read(archive)
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11")), (B, at("08:04:11"), at("08:08:29"))]
    assert catalogue.segments == 10
    doubled, unknown, folders = catalogue.warnings
    assert "000000010000000000000005" in doubled
    assert unknown.startswith("3 objects in wal_005/")
    assert "(other-database)" in folders


def test_a_segment_with_two_extensions_has_the_time_of_the_one_that_is_fetched() -> None:
    """wal-fetch tries lz4 first, whatever comes first in the listing: br is before lz4 there, zst behind it."""
    archive = whole()
    name = "wal_005/00000001000000000000000A"
    archive.put(f"{name}.br", at("08:30:00"), size=5)
    archive.put(f"{name}.zst", at("08:40:00"), size=5)
    catalogue = read(archive, wal=False)
    (run,) = catalogue.lineages[0].timelines[0].runs
    assert (run.last, run.last_modified) == (10, at("08:08:30"))
    assert catalogue.segments == 10
    (warning,) = [one for one in catalogue.warnings if "two extensions" in one]
    assert "00000001000000000000000A" in warning
