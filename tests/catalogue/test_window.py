"""The recovery window of archives of every kind, each with the times that a person works out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from planton.catalogue.choice import choose
from planton.catalogue.model import Catalogue, RecoveryWindow
from planton.catalogue.names import BACKUPS, SENTINEL
from planton.catalogue.reading import read_catalogue
from tests.catalogue.archives import ORDERS, SIZE, Archive, at

A = "base_000000010000000000000002"
B = "base_000000010000000000000006"
TICK = timedelta(microseconds=1)


def read(archive: Archive, *, wal: bool = True, **options: Any) -> Catalogue:
    reader = archive.wal() if wal else None
    return read_catalogue(archive.bucket(), now=options.pop("now", at("12:00:00")), wal=reader, **options)


def window(archive: Archive, *, wal: bool = True) -> RecoveryWindow:
    catalogue = read(archive, wal=wal)
    assert catalogue.current is not None
    return catalogue.current.window


def spans(archive: Archive) -> list[tuple[str, datetime, datetime]]:
    return [(one.backup, one.start, one.end) for one in window(archive).spans]


def holes(archive: Archive) -> list[tuple[datetime, datetime]]:
    return [(one.start, one.end) for one in window(archive).holes]


def whole() -> Archive:
    """Segments 1 to 10: the nth came n minutes after 07:58:30, its commit is a second older. Backups in 2 and 6."""
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    assert archive.backup(2, at("08:00:00.5"), modified=at("08:00:01.000")) == A
    assert archive.backup(6, at("08:04:10.25"), modified=at("08:04:11.000")) == B
    return archive


def test_a_whole_archive() -> None:
    found = window(whole())
    first, second = found.spans
    assert (first.backup, first.start, first.end) == (A, at("08:00:01"), at("08:04:11"))
    assert (second.backup, second.start, second.end) == (B, at("08:04:11"), at("08:08:29"))
    assert (first.includes_start, first.includes_end, second.includes_start, second.includes_end) == (0, 1, 0, 0)
    assert found.holes == ()
    assert (found.first, found.last, found.is_exact) == (at("08:00:01"), at("08:08:29"), True)
    assert (found.latest, found.latest_end, found.latest_is_exact, found.problem) == (B, at("08:08:29"), True, "")


@pytest.mark.parametrize(
    ("target", "backup", "is_reached"),
    [
        # Before and at the time of the first sentinel there is nothing to choose.
        (at("08:00:00.9"), None, False),
        (at("08:00:01"), None, False),
        (at("08:00:01") + TICK, A, True),
        # At the time of the second sentinel the first is still chosen.
        (at("08:04:11"), A, True),
        (at("08:04:11") + TICK, B, True),
        # At the last commit PostgreSQL waits for a later one.
        (at("08:08:29") - TICK, B, True),
        (at("08:08:29"), B, False),
        (at("09:00:00"), B, False),
    ],
)
def test_the_edges_of_a_whole_archive(target: datetime, backup: str | None, is_reached: bool) -> None:
    choice = choose(read(whole()), target)
    assert (choice.backup.name if choice.backup else None) == backup
    assert (choice.span is not None) is is_reached
    assert bool(choice.problem) is not is_reached


def test_what_would_work_instead() -> None:
    catalogue = read(whole())
    late = choose(catalogue, at("09:00:00"))
    assert late.before == at("08:08:29") - TICK
    assert late.after is None
    assert late.problem == "the archive reaches until 2026-11-22T08:08:29Z"
    early = choose(catalogue, at("07:00:00"))
    assert (early.before, early.after) == (None, at("08:00:01") + TICK)
    assert early.problem == f"no base backup is older: the first one, {A}, came at 2026-11-22T08:00:01Z"
    latest = choose(catalogue)
    assert latest.backup is not None
    assert (latest.backup.name, latest.problem) == (B, "")


def test_a_finish_after_the_time_of_the_sentinel() -> None:
    """Listings have whole seconds: the sentinel came at 08:04:11.9 and counts as 08:04:11, before the finish."""
    archive = whole()
    archive.drop(f"{BACKUPS}{B}")
    archive.backup(6, at("08:04:11.25"), modified=at("08:04:11.9"))
    first, second = window(archive).spans
    assert (first.start, first.end, first.includes_end) == (at("08:00:01"), at("08:04:11"), True)
    assert (second.start, second.end, second.includes_start) == (at("08:04:11.25"), at("08:08:29"), True)
    # The hole of a quarter of a second is in the spans, and no line of its own.
    assert holes(archive) == []
    catalogue = read(archive)
    assert choose(catalogue, at("08:04:11.25")).span is not None
    between = choose(catalogue, at("08:04:11.25") - TICK)
    assert between.problem == (
        f"the base backup that would be taken, {B}, was finished only at 2026-11-22T08:04:11.250000Z: a restore out of "
        "it cannot end before"
    )
    assert (between.before, between.after) == (at("08:04:11"), at("08:04:11.25"))


def test_a_store_whose_clock_is_behind() -> None:
    """Sentinels a minute too old: for a minute the second backup is chosen, and is not finished."""
    archive = whole()
    for name in (A, B):
        key = f"{BACKUPS}{name}{SENTINEL}"
        archive.stored[key] = replace(archive.stored[key], modified=archive.stored[key].modified - timedelta(minutes=1))
    assert spans(archive) == [(A, at("08:00:00.5"), at("08:03:11")), (B, at("08:04:10.25"), at("08:08:29"))]
    assert holes(archive) == [(at("08:03:11"), at("08:04:10.25"))]


def test_a_gap() -> None:
    """Segment 4 is missing: out of the first backup replay ends with segment 3, whose last commit is of 08:01:29."""
    archive = whole()
    archive.drop_segment(4)
    assert spans(archive) == [(A, at("08:00:01"), at("08:01:29")), (B, at("08:04:11"), at("08:08:29"))]
    (hole,) = window(archive).holes
    assert (hole.start, hole.end) == (at("08:01:29"), at("08:04:11"))
    assert hole.reason == "000000010000000000000004 is missing"
    assert window(archive).problem == ""
    (timeline,) = read(archive).lineages[0].timelines
    assert [(one.first, one.last) for one in timeline.gaps] == [(4, 4)]
    assert choose(read(archive), at("08:02:00")).problem == "000000010000000000000004 is missing"


def test_a_gap_after_the_last_backup() -> None:
    """Segments 8 and 9 are missing: a restore of everything ends at 08:05:29, and the database opens nevertheless."""
    archive = whole()
    archive.drop_segment(8)
    archive.drop_segment(9)
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11")), (B, at("08:04:11"), at("08:05:29"))]
    found = window(archive)
    assert (found.latest, found.latest_end) == (B, at("08:05:29"))
    assert found.problem == (
        "it ends early, and the database opens without a word of it: 000000010000000000000008 and the one after it are "
        "missing"
    )
    assert holes(archive) == [(at("08:05:29"), at("08:08:30"))]


def test_only_the_beginning_of_a_segment() -> None:
    archive = whole()
    archive.drop_segment(8)
    archive.put("wal_005/000000010000000000000008.partial.lz4", at("08:06:30"))
    assert "only its beginning is there, as .partial" in window(archive).problem


def test_a_gap_within_a_backup() -> None:
    """The second backup needs segment 6, which is missing: it is chosen from 08:04:11 on, and cannot start."""
    archive = whole()
    archive.drop_segment(6)
    assert spans(archive) == [(A, at("08:00:01"), at("08:03:29"))]
    found = window(archive)
    assert found.problem.startswith(f"{B}, the newest base backup: the WAL that it needs to become consistent is not")
    assert [(one.start, one.end) for one in found.holes] == [
        (at("08:03:29"), at("08:04:11")), (at("08:04:11"), at("08:08:30")),
    ]  # fmt: skip
    assert read(archive).backups[1].problem.endswith("000000010000000000000006 is missing")


def test_a_finish_in_a_later_segment() -> None:
    """The first backup goes over to segment 4: without that it never becomes consistent, with it it does."""
    archive = Archive()
    archive.run(1, 4, at("07:59:30"))
    archive.backup(2, at("08:01:50"), modified=at("08:01:51"), finish_lsn=4 * SIZE + 0x100)
    assert spans(archive) == [(A, at("08:01:51"), at("08:02:29"))]
    archive.drop_segment(4)
    assert spans(archive) == []
    assert "000000010000000000000004 is not in the archive" in window(archive).problem


def test_an_unfinished_backup() -> None:
    archive = whole()
    archive.put(f"{BACKUPS}base_000000010000000000000008/tar_partitions/part_001.tar.lz4", at("08:06:00"))
    catalogue = read(archive)
    assert catalogue.unfinished == ("base_000000010000000000000008",)
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11")), (B, at("08:04:11"), at("08:08:29"))]


def test_a_sentinel_without_its_files() -> None:
    archive = whole()
    archive.drop(f"{BACKUPS}{B}/")
    found = window(archive)
    assert found.problem == f"{B}, the newest base backup: its sentinel is there, and its files are gone"
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11"))]
    assert holes(archive) == [(at("08:04:11"), at("08:08:30"))]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'"' * 10, b"[" * 100_000])
def test_a_sentinel_that_cannot_be_read(content: bytes) -> None:
    archive = whole()
    archive.put(f"{BACKUPS}{B}{SENTINEL}", at("08:04:11"), content)
    catalogue = read(archive, retention=2, now=at("28T12:00:00"))
    assert catalogue.backups[1].problem == "its sentinel cannot be read: wal-g ends with an error"
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11"))]
    assert any("retention deletes nothing any more" in warning for warning in catalogue.warnings)
    assert catalogue.lineages[0].next_deleted == ()


def test_nothing_committed_after_the_newest_backup() -> None:
    """The database is idle: the last commit stands in segment 6 and is of 08:03:40, 7 to 10 hold none."""
    archive = whole()
    archive.segment(6, at("08:04:30"), at("08:03:40"))
    for number in range(7, 11):
        archive.segment(number, at("08:04:30") + timedelta(minutes=number - 6))
    assert spans(archive) == [(A, at("08:00:01"), at("08:03:40"))]
    found = window(archive)
    assert (found.latest, found.latest_end, found.problem, found.holes) == (B, at("08:03:40"), "", ())
    assert choose(read(archive), at("08:05:00")).problem == (
        f"nothing that was committed after {B} was finished is in the archive yet"
    )


def test_the_last_commit_is_of_the_very_time_of_the_next_sentinel() -> None:
    """The first backup is chosen at 08:04:11, and there is no later commit: that time cannot be reached."""
    archive = whole()
    archive.segment(6, at("08:04:30"), at("08:04:11"))
    for number in range(7, 11):
        archive.segment(number, at("08:04:30") + timedelta(minutes=number - 6))
    (span,) = window(archive).spans
    assert (span.start, span.end, span.includes_end) == (at("08:00:01"), at("08:04:11"), False)
    assert choose(read(archive), at("08:04:11")).span is None


def test_no_commit_at_all() -> None:
    archive = Archive()
    for number in range(1, 6):
        archive.segment(number, at("07:59:30") + timedelta(minutes=number))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    found = window(archive)
    assert (found.spans, found.latest, found.latest_end, found.latest_is_exact, found.problem) == (
        (),
        A,
        None,
        False,
        "",
    )


def test_commits_are_looked_for_backwards_and_not_for_ever() -> None:
    archive = Archive()
    archive.run(1, 3, at("07:59:30"))
    for number in range(4, 44):
        archive.segment(number, at("08:01:30") + timedelta(minutes=number - 3))
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    (span,) = window(archive).spans
    assert (span.end, span.is_exact) == (at("08:41:30"), False)
    assert len(set(archive.reader.commits_read)) == 16
    archive.drop(*(f"wal_005/0000000100000000000000{number:02X}" for number in range(18, 44)))
    (span,) = window(archive).spans
    assert (span.end, span.is_exact) == (at("08:01:29"), True)


def test_without_a_reader_ends_are_estimates() -> None:
    found = window(whole(), wal=False)
    assert [(one.start, one.end, one.is_exact) for one in found.spans] == [
        (at("08:00:01"), at("08:04:11"), False),
        (at("08:04:11"), at("08:08:30"), False),
    ]
    assert (found.latest_end, found.latest_is_exact, found.is_exact) == (at("08:08:30"), False, False)


def test_a_key_that_does_not_fit() -> None:
    archive = whole()
    archive.reader.problem = "it cannot be decrypted with this key"
    catalogue = read(archive)
    assert catalogue.lineages[0].window.spans[-1].end == at("08:08:30")
    assert any(warning.endswith("it cannot be decrypted with this key") for warning in catalogue.warnings)


def test_an_empty_archive() -> None:
    catalogue = read(Archive(), retention=5)
    assert catalogue.is_empty
    assert (catalogue.lineages, catalogue.segments, catalogue.size, catalogue.warnings) == ((), 0, 0, ())
    assert choose(catalogue).problem == "the archive has no base backup"
    assert choose(catalogue, at("08:00:00")).problem == "the archive has no base backup"


def test_wal_without_a_backup() -> None:
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    catalogue = read(archive)
    (lineage,) = catalogue.lineages
    assert (lineage.system_identifier, lineage.version, lineage.backups) == (ORDERS, "15", ())
    assert [(run.first, run.last) for run in lineage.timelines[0].runs] == [(1, 10)]
    assert lineage.window.problem.startswith("there is no base backup")
    assert not catalogue.is_empty
    (unknown,) = read(archive, wal=False).lineages
    assert (unknown.system_identifier, unknown.version) == (0, "")


def test_a_copied_bucket() -> None:
    """Copied on the 25th: what is chosen follows the copy's times, and no time before the copy can be reached."""
    archive = whole()
    moment = at("25T10:00:00")
    for place, key in enumerate(sorted(archive.stored)):
        archive.stored[key] = replace(archive.stored[key], modified=moment + timedelta(seconds=place))
    found = window(archive)
    assert found.spans == ()
    assert (found.latest, found.latest_end, found.problem) == (B, at("08:08:29"), "")
    choice = choose(read(archive), at("08:05:00"))
    assert choice.backup is None
    assert choice.problem == f"no base backup is older: the first one, {A}, came at 2026-11-25T10:00:02Z"


def test_two_sentinels_within_one_second() -> None:
    """Both count as 08:04:11: the first one that is listed is chosen; without a target the later one is."""
    archive = whole()
    archive.drop(f"{BACKUPS}{B}")
    archive.backup(6, at("08:04:10"), modified=at("08:04:11.1"))
    archive.backup(7, at("08:04:10.5"), modified=at("08:04:11.7"))
    assert spans(archive) == [(A, at("08:00:01"), at("08:04:11")), (B, at("08:04:11"), at("08:08:29"))]
    assert window(archive).latest == "base_000000010000000000000007"


def test_delta_backups() -> None:
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    full = archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    delta = archive.backup(4, at("08:02:10"), modified=at("08:02:11"), on=full)
    archive.backup(6, at("08:04:10"), modified=at("08:04:11"), on=delta, full=full)
    last = f"{B}_D_{'000000010000000000000004'}"
    assert spans(archive) == [
        (full, at("08:00:01"), at("08:02:11")),
        (delta, at("08:02:11"), at("08:04:11")),
        (last, at("08:04:11"), at("08:08:29")),
    ]
    backup = read(archive).backups[2]
    assert (backup.kind, backup.from_backup, backup.full_backup) == ("delta", delta, full)


def test_a_delta_whose_base_is_gone() -> None:
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    full = archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    delta = archive.backup(4, at("08:02:10"), modified=at("08:02:11"), on=full)
    archive.backup(6, at("08:04:10"), modified=at("08:04:11"))
    archive.drop(f"{BACKUPS}{full}/", f"{BACKUPS}{full}{SENTINEL}")
    assert spans(archive) == [(B, at("08:04:11"), at("08:08:29"))]
    assert read(archive).backups[0].problem == f"it needs {full}, which is not there"
    choice = choose(read(archive), at("08:03:00"))
    assert choice.backup is not None
    assert choice.backup.name == delta
    assert (
        choice.problem
        == f"the base backup that would be taken, {delta}, is no good: it needs {full}, which is not there"
    )


def test_a_delta_whose_base_cannot_be_read() -> None:
    archive = Archive()
    archive.run(1, 10, at("07:59:30"))
    full = archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    delta = archive.backup(4, at("08:02:10"), modified=at("08:02:11"), on=full)
    last = archive.backup(6, at("08:04:10"), modified=at("08:04:11"), on=delta, full=full)
    archive.put(f"{BACKUPS}{full}{SENTINEL}", at("08:00:01"), b"{")
    assert spans(archive) == []
    assert window(archive).latest == last
    assert read(archive).backups[2].problem == (
        f"it needs {full}, and of that one: its sentinel cannot be read: wal-g ends with an error"
    )
    # One that is from itself is no backup.
    archive.backup(2, at("08:00:00.5"), modified=at("08:00:01"))
    archive.contents[f"{BACKUPS}{delta}{SENTINEL}"] = archive.contents[f"{BACKUPS}{delta}{SENTINEL}"].replace(
        f'"DeltaFrom": "{full}"'.encode(), f'"DeltaFrom": "{last}"'.encode()
    )
    assert read(archive).backups[1].problem == f"it needs {delta}, which needs it in turn"


def test_other_sizes_of_segments() -> None:
    """Segments of 64 MiB: after 000000010000000000000003F comes 000000010000000100000000."""
    size = 64 * 1024 * 1024
    archive = Archive()
    for number in range(62, 67):
        moment = at("08:00:30") + timedelta(minutes=number - 62)
        archive.segment(number, moment, moment - timedelta(seconds=1), size=size)
    name = archive.backup(62, at("08:00:00"), modified=at("08:00:01"), size=size)
    assert name == "base_00000001000000000000003E"
    catalogue = read(archive)
    assert catalogue.lineages[0].segment_size == size
    assert catalogue.lineages[0].timelines[0].gaps == ()
    assert spans(archive) == [(name, at("08:00:01"), at("08:04:29"))]
