"""Timelines: which way a restore goes, and how far, each worked out by hand."""

from __future__ import annotations

from datetime import datetime

import pytest

from planton.catalogue.choice import choose
from planton.catalogue.model import Catalogue, Switch
from planton.catalogue.reading import read_catalogue
from planton.catalogue.timelines import Histories, Path, Stretch, parse_history
from tests.catalogue.archives import ORDERS, OTHER, SIZE, Archive, Wal, at

A = "base_000000010000000000000002"
SWITCH = 6 * SIZE + 0x1000


def read(archive: Archive, reader: Wal | None = None) -> Catalogue:
    return read_catalogue(archive.bucket(), now=at("12:00:00"), wal=reader or archive.wal())


def spans(archive: Archive) -> list[tuple[str, datetime, datetime]]:
    return [(one.backup, one.start, one.end) for one in read(archive).lineages[-1].window.spans]


def promoted() -> Archive:
    """Timeline 1: segments 1 to 5 from 07:59:30 on, the sixth as .partial. Timeline 2 from within segment 6 on, to 9.

    A failover at 08:03:30. The segments of timeline 2 come at 08:04:30 and each minute after, to 08:07:30.
    """
    archive = Archive()
    archive.run(1, 5, at("07:59:30"))
    archive.put("wal_005/000000010000000000000006.partial.lz4", at("08:03:40"))
    archive.history(2, at("08:03:35"), (1, SWITCH))
    archive.run(6, 9, at("08:04:30"), timeline=2)
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    return archive


def test_a_promotion() -> None:
    archive = promoted()
    assert spans(archive) == [(A, at("08:00:01"), at("08:07:29"))]
    (lineage,) = read(archive).lineages
    first, second = lineage.timelines
    assert [(run.first, run.last) for run in first.runs] == [(1, 5)]
    assert [(run.first, run.last) for run in second.runs] == [(6, 9)]
    assert second.history == (Switch(1, SWITCH, "no recovery target specified"),)
    assert (first.has_history, second.has_history) == (False, True)
    assert lineage.window.problem == ""
    assert read(archive).warnings == ()


def test_a_backup_on_the_new_timeline() -> None:
    archive = promoted()
    name = archive.backup(7, at("08:05:10"), modified=at("08:05:11"), timeline=2)
    assert spans(archive) == [(A, at("08:00:01"), at("08:05:11")), (name, at("08:05:11"), at("08:07:29"))]


def test_the_old_primary_went_on_for_a_while() -> None:
    """Its segments 6 to 12 are there, too, and newer than those of timeline 2. None of them is replayed."""
    archive = promoted()
    archive.run(6, 12, at("08:04:30"))
    assert spans(archive) == [(A, at("08:00:01"), at("08:07:29"))]


def test_an_abandoned_branch_with_a_backup_on_it() -> None:
    """Timeline 3 leaves timeline 1 in segment 4, as after a restore to 08:01:40. The backup of timeline 2 is off it.

    Timeline 3 has the segments 4 to 6, from 09:00:30 on. What is chosen for a time after 08:05:11 is that backup, until
    the one of timeline 3 came at 09:01:11.
    """
    archive = promoted()
    lost = archive.backup(7, at("08:05:10"), modified=at("08:05:11"), timeline=2)
    archive.history(3, at("09:00:00"), (1, 4 * SIZE + 0x2000))
    archive.run(4, 6, at("09:00:30"), timeline=3)
    new = archive.backup(5, at("09:01:10"), modified=at("09:01:11"), timeline=3)
    # Out of the first backup replay follows timeline 3. PostgreSQL goes to any time before the last commit of that.
    assert spans(archive) == [(A, at("08:00:01"), at("08:05:11")), (new, at("09:01:11"), at("09:02:29"))]
    (lineage,) = read(archive).lineages
    (hole,) = lineage.window.holes
    assert (hole.start, hole.end) == (at("08:05:11"), at("09:01:11"))
    assert lost in hole.reason
    assert "requested timeline 3 is not a child of this server's history" in hole.reason
    assert lineage.window.problem == ""
    choice = choose(read(archive), at("08:06:00"))
    assert (choice.before, choice.after) == (at("08:05:11"), at("09:01:11.000001"))


def test_the_newest_backup_is_on_the_abandoned_branch() -> None:
    archive = promoted()
    lost = archive.backup(7, at("08:05:10"), modified=at("08:05:11"), timeline=2)
    archive.history(3, at("09:00:00"), (1, 4 * SIZE + 0x2000))
    archive.run(4, 6, at("09:00:30"), timeline=3)
    window = read(archive).lineages[-1].window
    assert [(one.backup, one.start, one.end) for one in window.spans] == [(A, at("08:00:01"), at("08:05:11"))]
    assert window.problem.startswith(f"{lost}, the newest base backup: it was made on timeline 2")
    assert [(one.start, one.end) for one in window.holes] == [(at("08:05:11"), at("09:02:30"))]


def test_a_timeline_was_left_while_a_backup_was_made() -> None:
    archive = promoted()
    archive.drop("basebackups_005/")
    archive.backup(5, at("08:03:00"), modified=at("08:03:01"), finish_lsn=SWITCH + 8)
    (backup,) = read(archive).backups
    assert backup.problem.startswith("timeline 1 was left at 0/6001000, before this backup was consistent (0/6001008)")
    archive.backup(5, at("08:03:00"), modified=at("08:03:01"), finish_lsn=SWITCH)
    (backup,) = read(archive).backups
    assert backup.problem == ""


def test_a_promotion_of_which_no_segment_is_there_yet() -> None:
    """Segment 6 is there as .partial only: replay ends with segment 5, without an error."""
    archive = promoted()
    archive.drop("wal_005/000000020")
    assert spans(archive) == [(A, at("08:00:01"), at("08:03:29"))]
    assert read(archive).lineages[-1].window.problem == ""


def test_a_promotion_with_the_whole_segment_of_the_old_timeline() -> None:
    """The old primary's segment 6 has commits before and after the LSN at which it was left: the first one counts."""
    archive = promoted()
    archive.drop("wal_005/000000020")
    archive.segment(6, at("08:04:30"), at("08:04:00"))
    # Its only commit stands in the middle, after the switch: the last one that counts is in segment 5.
    assert spans(archive) == [(A, at("08:00:01"), at("08:03:29"))]
    archive.history(2, at("08:03:35"), (1, 7 * SIZE - 0x1000))
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:00"))]


def test_the_first_segment_of_the_new_timeline_is_missing() -> None:
    """The old one's copy goes up to the switch; what comes after is on timeline 2 and out of reach."""
    archive = promoted()
    archive.segment(6, at("08:04:30"), at("08:03:32"), at("08:04:00"))
    archive.history(2, at("08:03:35"), (1, 6 * SIZE + SIZE // 2))
    archive.drop_segment(6, timeline=2)
    window = read(archive).lineages[-1].window
    assert [(one.backup, one.end) for one in window.spans] == [(A, at("08:03:32"))]
    assert "000000020000000000000006 is missing; timeline 1 goes only to 0/6800000" in window.problem


def test_a_switch_at_the_edge_of_a_segment() -> None:
    """Timeline 1 ends with segment 5, timeline 2 begins with segment 6."""
    archive = promoted()
    archive.history(2, at("08:03:35"), (1, 6 * SIZE))
    assert spans(archive) == [(A, at("08:00:01"), at("08:07:29"))]
    archive.drop_segment(6, timeline=2)
    window = read(archive).lineages[-1].window
    assert [(one.backup, one.end) for one in window.spans] == [(A, at("08:03:29"))]
    assert "000000020000000000000006 is missing" in window.problem


def test_a_gap_just_before_a_switch() -> None:
    archive = promoted()
    archive.drop_segment(5)
    window = read(archive).lineages[-1].window
    assert [(one.backup, one.end) for one in window.spans] == [(A, at("08:02:29"))]
    assert "000000010000000000000005 is missing" in window.problem


def test_a_history_file_that_is_missing() -> None:
    """Without 00000002.history PostgreSQL stays on timeline 1, and never asks for 00000003.history."""
    archive = promoted()
    archive.drop("wal_005/00000002.history")
    archive.history(3, at("09:00:00"), (1, SWITCH), (2, 9 * SIZE))
    assert spans(archive) == [(A, at("08:00:01"), at("08:03:29"))]
    assert any(one.startswith("timeline 2 has WAL, and its .history") for one in read(archive).warnings)


def test_a_chain_of_timelines() -> None:
    archive = promoted()
    archive.history(3, at("08:07:00"), (1, SWITCH), (2, 9 * SIZE + 0x40))
    archive.run(9, 12, at("08:09:30"), timeline=3)
    assert spans(archive) == [(A, at("08:00:01"), at("08:12:29"))]


def test_timelines_that_another_cluster_has_left_behind() -> None:
    """All backups of the first cluster are gone; its timeline 2 and the history of that are not.

    The second one began with segment 1 at 10:00:30. PostgreSQL follows the history file that is there: from segment 6
    on it asks for timeline 2, and gets WAL of the first cluster.
    """
    archive = promoted()
    archive.drop("basebackups_005/")
    archive.run(1, 9, at("10:00:30"), owner=OTHER)
    name = archive.backup(3, at("10:02:00"), modified=at("10:02:01"), owner=OTHER)
    stranger, own = read(archive).lineages
    assert (stranger.system_identifier, own.system_identifier) == (ORDERS, OTHER)
    assert [(one.backup, one.start, one.end) for one in own.window.spans] == [(name, at("10:02:01"), at("10:04:29"))]
    assert own.window.problem.endswith(
        f"000000020000000000000006 and what follows is WAL of another database cluster ({ORDERS})"
    )


def test_history_that_cannot_be_read() -> None:
    archive = promoted()
    catalogue = read_catalogue(archive.bucket(), now=at("12:00:00"))
    window = catalogue.lineages[-1].window
    assert window.spans == ()
    assert "a restore goes on to timeline 2, and where that begins is not known" in window.problem
    archive.reader.problem = "no key is given"
    assert "no key is given" in read(archive).lineages[-1].window.problem
    # A backup on the newest timeline needs no history.
    archive.backup(7, at("08:05:10"), modified=at("08:05:11"), timeline=2)
    assert [one.end for one in read(archive).lineages[-1].window.spans] == [at("08:07:30")]


def test_history_that_postgresql_does_not_accept() -> None:
    archive = promoted()
    archive.reader.histories[2] = b"1\tnonsense\n"
    window = read(archive).lineages[-1].window
    assert window.problem.endswith("PostgreSQL does not accept the history of timeline 2: line 1 is not `<timeline> "
                                   "<LSN> <reason>`")  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ()),
        (b"1\t0/6001000\tno recovery target specified\n", (Switch(1, SWITCH, "no recovery target specified"),)),
        (b"# remark\n\n1\t1/0\twhy\n\n2 \t 1/FF\n", (Switch(1, 1 << 32, "why"), Switch(2, 0x1000000FF))),
        (b"1\t0/6001000\n1\t0/7000000\n", "line 2: timelines are not in increasing order"),
        (b"x\t0/1\n", "line 1 is not `<timeline> <LSN> <reason>`"),
        (b"\xff\xfe", "line 1 is not `<timeline> <LSN> <reason>`"),
        (b"3\t0/6001000\n", "a timeline in it is not lower than its own"),
    ],
)  # fmt: skip
def test_reading_history(content: bytes, expected: object) -> None:
    assert parse_history(content, 3) == expected


def test_paths() -> None:
    histories = Histories(frozenset({2, 3, 5}), {2: (Switch(1, 100),), 3: (Switch(1, 60),), 5: (Switch(4, 300),)})
    assert histories.newest_from(1) == 3
    assert histories.newest_from(4) == 5
    assert histories.path(1) == Path(3, (Stretch(1, 0, 60), Stretch(3, 60, None)))
    assert histories.path(1).timeline_at(59) == 1
    assert histories.path(1).timeline_at(60) == 3
    assert histories.path(7) == Path(7, (Stretch(7, 0, None),))
