"""How old backups may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planton.catalogue.model import Latest
from planton.cluster.backups.archive_ages import is_inside
from planton.cluster.backups.backup_age import ArchiveStatus, Position, Writer, due, is_idle, judge, writer_of
from tests.catalogue.conftest import access

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
NIGHTLY = "0 2 * * *"
SEGMENT = "000000010000000000000005"
# The segment after that one begins here.
NEXT = 6 * (16 << 20)
RUNNING = Writer(schedule=NIGHTLY, created=NOW - 30 * DAY)


def latest(backup: timedelta | None, segment: timedelta | None, name: str = SEGMENT) -> Latest:
    """Makes what is newest, by its ages."""
    return Latest(
        "base_000000010000000000000003" if backup is not None else "",
        NOW - backup if backup is not None else None,
        name if segment is not None else "",
        NOW - segment if segment is not None else None,
    )


def judged(found: Latest, writer: Writer = RUNNING, position: Position | None = None) -> ArchiveStatus:
    return judge("s3://b/p", found, writer, NOW, lambda: position or Position())


@pytest.mark.parametrize(
    ("schedule", "backup", "until"),
    [
        (NIGHTLY, "2026-11-20T02:05:00", "2026-11-22T02:05:00"),
        # Made by hand or at a start: two intervals from then.
        (NIGHTLY, "2026-11-20T13:00:00", "2026-11-22T13:00:00"),
        ("0 */6 * * *", "2026-11-20T06:10:00", "2026-11-20T18:10:00"),
        ("*/15 * * * *", "2026-11-20T06:14:59", "2026-11-20T06:44:59"),
        # On a Friday: Monday and Tuesday are the next two.
        ("0 2 * * 1-5", "2026-11-20T02:05:00", "2026-11-24T02:05:00"),
        ("0 2 * * 1-5", "2026-11-17T02:05:00", "2026-11-19T02:05:00"),
        ("0 2 1 * *", "2026-11-01T03:00:00", "2027-01-01T03:00:00"),
        ("0 2 29 2 *", "2024-02-29T02:01:00", "2032-02-29T02:01:00"),
        # Exactly at the time of the schedule.
        (NIGHTLY, "2026-11-20T02:00:00", "2026-11-22T02:00:00"),
        ("0 2 30 2 *", "2026-11-20T02:00:00", None),
        ("not a schedule", "2026-11-20T02:00:00", None),
        ("", "2026-11-20T02:00:00", None),
    ],
)
def test_when_a_base_backup_is_too_old(schedule: str, backup: str, until: str | None) -> None:
    expected = datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None
    assert due(schedule, datetime.fromisoformat(backup).replace(tzinfo=UTC)) == expected


def test_edges() -> None:
    """Two intervals, and one hour, to the second."""
    second = timedelta(seconds=1)
    assert judged(latest(2 * DAY, HOUR)).stale == ()
    (backup,) = judged(latest(2 * DAY + second, HOUR)).stale
    assert "the last base backup is 2 d 0 h old" in backup
    assert NIGHTLY in backup
    (segment,) = judged(latest(2 * DAY, HOUR + second)).stale
    assert segment.startswith("the last WAL segment came 1 h 0 min ago")
    both = judged(latest(5 * DAY, 3 * HOUR))
    assert len(both.stale) == 2
    assert both.is_alarming
    assert both.backup_age == 5 * 86400
    assert both.segment_age == 3 * 3600


def test_times_of_a_store_that_is_ahead() -> None:
    ahead = judged(latest(-MINUTE, -MINUTE))
    assert not ahead.is_alarming
    assert (ahead.backup_age, ahead.segment_age) == (0, 0)


def test_nothing_in_the_archive() -> None:
    nothing = latest(None, None)
    new = judged(nothing, Writer(NIGHTLY, NOW - HOUR))
    assert (new.stale, new.is_alarming) == ((), False)
    assert new.note == "new: nothing is archived yet"
    old = judged(nothing, Writer(NIGHTLY, NOW - HOUR - timedelta(seconds=1)))
    assert len(old.stale) == 2
    assert "no base backup at all: nothing can be restored" in old.stale[0]
    assert "no WAL segment at all" in old.stale[1]
    # When it was made is not known: then nothing excuses it.
    assert judged(nothing, Writer(NIGHTLY)).is_alarming


def test_replicas_make_the_first_backup_by_the_schedule() -> None:
    found = latest(None, MINUTE)
    made = NOW - 26 * HOUR
    assert judged(found, Writer(NIGHTLY, made)).is_alarming
    assert not judged(found, Writer(NIGHTLY, made, by_replica=True)).is_alarming
    assert judged(found, Writer(NIGHTLY, NOW - 49 * HOUR, by_replica=True)).is_alarming


def test_nothing_is_expected_of_a_stopped_database_and_of_a_standby() -> None:
    for writer, words in (
        (Writer(NIGHTLY, NOW - 30 * DAY, instances=0), "stopped"),
        (Writer(NIGHTLY, NOW - 30 * DAY, follows=True), "until it is promoted"),
    ):
        found = judged(latest(9 * DAY, 9 * DAY), writer)
        assert not found.is_alarming
        assert words in found.note
        assert found.backup_age == 9 * 86400


@pytest.mark.parametrize(
    ("position", "idle"),
    [
        (Position(1, NEXT), True),
        (Position(1, NEXT + 40), True),
        (Position(1, NEXT + (16 << 20) - 1), True),
        # A whole segment waits.
        (Position(1, NEXT + (16 << 20)), False),
        (Position(1, NEXT + (160 << 20)), False),
        # Another timeline: its first segment is missing.
        (Position(2, NEXT + 40), False),
        # Nobody says it.
        (Position(1, 0), False),
        (Position(0, NEXT), False),
        (Position(), False),
        # Larger segments: number 5 ends later.
        (Position(1, 6 * (64 << 20) + 40, 64 << 20), True),
        (Position(1, 7 * (64 << 20), 64 << 20), False),
    ],
)
def test_an_idle_database(position: Position, idle: bool) -> None:
    found = latest(DAY, 7 * HOUR)
    assert is_idle(found, RUNNING, position) is idle
    status = judged(found, position=position)
    assert bool(status.stale) is not idle
    assert status.is_alarming is not idle
    assert (status.note == "idle: all that was written is archived") is idle


def test_idleness_excuses_no_base_backup() -> None:
    status = judged(latest(5 * DAY, 7 * HOUR), position=Position(1, NEXT))
    assert len(status.stale) == 1
    assert "base backup" in status.stale[0]
    assert status.note == ""


def test_a_database_with_an_archive_timeout_of_its_own_is_never_idle() -> None:
    own = Writer(NIGHTLY, NOW - 30 * DAY, changes_timeout=True)
    assert judged(latest(DAY, 7 * HOUR), own, Position(1, NEXT)).is_alarming


def test_the_position_is_asked_for_only_when_it_matters() -> None:
    def never() -> Position:
        raise AssertionError

    assert not judge("a", latest(DAY, MINUTE), RUNNING, NOW, never).is_alarming


def test_what_is_not_seen_is_not_fresh() -> None:
    assert ArchiveStatus("a", unknown="forbidden", problem="forbidden").is_alarming
    assert ArchiveStatus("a", unknown="no such name", problem="unreachable").is_alarming
    assert not ArchiveStatus("a", unknown="no such name", problem="unreachable", is_inside=True).is_alarming


@pytest.mark.parametrize(
    ("endpoint", "inside"),
    [
        ("http://minio.storage.svc:9000", True),
        ("https://minio.storage.svc.cluster.local", True),
        ("https://minio:9000", True),
        ("https://minio.example.com", False),
        ("https://svc.example.com", False),
        ("http://10.0.0.1:9000", False),
        ("https://[fd00::1]:9000", False),
        ("", False),
    ],
)
def test_names_that_exist_inside_only(endpoint: str, inside: bool) -> None:
    assert is_inside(access(endpoint)) is inside


def resource(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"creationTimestamp": "2026-11-21T10:00:00Z"}, "spec": {"numberOfInstances": 2, **spec}}


def test_what_a_custom_resource_says() -> None:
    created = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert writer_of(resource(), {}, NIGHTLY) == Writer(NIGHTLY, created, 2)
    assert writer_of(resource(numberOfInstances=0), {}, NIGHTLY).instances == 0
    assert writer_of(resource(standby={"s3_wal_path": "s3://x"}), {}, NIGHTLY).follows
    assert writer_of(resource(), {"WALG_BACKUP_FROM_REPLICA": "TRUE"}, NIGHTLY).by_replica
    parameters = {"parameters": {"archive_timeout": "0"}, "version": "17"}
    assert writer_of(resource(postgresql=parameters), {}, NIGHTLY).changes_timeout
    assert writer_of({"metadata": {}}, {}, "") == Writer()
