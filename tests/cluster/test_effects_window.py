"""The recovery window by Spilo's postgres_backup.sh: pure."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planton.cluster.backups.recovery_window import recovery_window


@pytest.mark.parametrize(
    ("count", "schedule", "said", "days"),
    [
        (None, None, "at least 5 days", 5),
        ("7", "0 2 * * *", "at least 7 days", 7),
        ("7", "0 */6 * * *", "at least 7 days", 7),
        ("2", "0 2 * * 0", "at least 2 days, by the schedule about 7 days", 7),
        ("5", "0 2 1 * *", "at least 5 days, by the schedule about 120 days", 120),
        # Monday to Friday: the least that four intervals span is Monday to Friday.
        ("5", "0 2 * * 1-5", "at least 5 days", 5),
        # Fewer than two are two.
        ("1", "0 2 * * *", "at least 2 days", 2),
        ("0", "0 2 * * *", "at least 2 days", 2),
        ("", "0 2 * * *", "at least 2 days", 2),
        ("many", "0 2 * * *", "at least 2 days", 2),
        ("010", "0 2 * * *", "at least 8 days", 8),
        # A schedule that never comes, or none that cron takes: only base backups at the start of a container.
        ("5", "0 0 31 2 *", "at least 5 days", 5),
        ("5", "", "at least 5 days", 5),
        ("5", "nonsense", "at least 5 days", 5),
        ("1000", "0 2 * * 0", "at least 1000 days, by the schedule about 6993 days", 6993),
    ],
)
def test_windows(count: str | None, schedule: str | None, said: str, days: int) -> None:
    given = {"BACKUP_NUM_TO_RETAIN": count, "BACKUP_SCHEDULE": schedule}
    window = recovery_window({name: value for name, value in given.items() if value is not None})
    assert str(window) == said
    assert window.span == timedelta(days=days)


@pytest.mark.parametrize("count", ["08", "5d", "1.5"])
def test_what_bash_cannot_read_deletes_nothing(count: str) -> None:
    window = recovery_window({"BACKUP_NUM_TO_RETAIN": count})
    assert str(window) == "everything (nothing is ever deleted)"
    assert window.span == timedelta.max


@pytest.mark.parametrize("schedule", ["* * * * *", "0 0 29 2 *", "0 0 1 1 *"])
def test_rare_and_frequent_schedules_are_quick(schedule: str) -> None:
    for count in ("2", "99999", "9" * 40):
        assert recovery_window({"BACKUP_NUM_TO_RETAIN": count, "BACKUP_SCHEDULE": schedule}).span > timedelta()
