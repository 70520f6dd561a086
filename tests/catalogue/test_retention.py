"""What the next run of retention deletes, by what Spilo's script and wal-g do; each worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from planton.catalogue.model import BaseBackup
from planton.catalogue.retention import next_deleted

NOW = datetime(2026, 11, 22, 1, 0, 30, tzinfo=UTC)


def backup(
    segment: int, age: float, *, timeline: int = 1, on: str = "", permanent: bool = False, name: str = ""
) -> BaseBackup:
    moment = NOW - timedelta(days=age)
    own = name or f"base_{timeline:08X}00000000{segment:08X}" + (f"_D_{on[5:29]}" if on else "")
    return BaseBackup(
        own, "delta" if on else "full", permanent, moment, moment, moment, timeline, segment << 24, segment << 24, 1, 1,
        150020, 1, from_backup=on,
    )  # fmt: skip


def segments(names: tuple[str, ...]) -> list[int]:
    return [int(name[21:29], 16) for name in names]


def daily(count: int) -> list[BaseBackup]:
    """One a day, the newest of yesterday: its segment is the highest."""
    return [backup(count - age + 1, age) for age in range(count, 0, -1)]


def test_a_backup_a_day() -> None:
    """With 5: the new one, those of 1, 2, 3 and 4 days; the first one that is 5 days old stays, what is older goes."""
    assert segments(next_deleted(daily(10), keep=5, at=NOW)) == [1, 2, 3, 4, 5]
    # The backup that the run makes fails: the oldest one that stays is the one of 5 days all the same.
    assert segments(next_deleted(daily(10), keep=5, at=NOW, with_new=False)) == [1, 2, 3, 4, 5]
    assert segments(next_deleted(daily(6), keep=5, at=NOW)) == [1]
    assert next_deleted(daily(5), keep=5, at=NOW) == ()


def test_days_count_whole() -> None:
    """4 days and 23 hours are 4 days."""
    backups = [backup(9 - age, age - 1 / 24) for age in range(8, 0, -1)]
    assert segments(next_deleted(backups, keep=5, at=NOW)) == [1, 2]


def test_many_backups_of_one_day() -> None:
    backups = [backup(number, 1 - number / 100) for number in range(1, 21)]
    assert next_deleted(backups, keep=2, at=NOW) == ()
    assert segments(next_deleted(backups, keep=2, at=NOW + timedelta(days=1.5))) == list(range(1, 20))


def test_never_fewer_than_two() -> None:
    backups = daily(4)
    assert next_deleted(backups, keep=1, at=NOW) == next_deleted(backups, keep=2, at=NOW)
    assert segments(next_deleted(backups, keep=1, at=NOW)) == [1, 2]


def test_total_has_to_be_more() -> None:
    """Two old backups and no new one are exactly as many as are kept."""
    backups = [backup(1, 30), backup(2, 29)]
    assert next_deleted(backups, keep=2, at=NOW, with_new=False) == ()
    assert segments(next_deleted(backups, keep=2, at=NOW)) == [1]
    # The older one has the higher segment, as where a cluster was made anew: what is lower would go, were there more.
    backups = [backup(5, 30), backup(2, 29)]
    assert next_deleted(backups, keep=2, at=NOW, with_new=False) == ()


def test_not_known_or_blocked() -> None:
    assert next_deleted(daily(10), keep=0, at=NOW) == ()
    assert next_deleted(daily(10), keep=5, at=NOW, is_blocked=True) == ()
    assert next_deleted([], keep=5, at=NOW) == ()


def test_permanent_backups_stay() -> None:
    backups = daily(10)
    backups[1] = backup(2, 9, permanent=True)
    assert segments(next_deleted(backups, keep=5, at=NOW)) == [1, 3, 4, 5]


def test_the_full_backup_of_a_delta_stays() -> None:
    """The one of 5 days is a delta: its full one of 7 days stays, and what is between."""
    full, old = backup(4, 7), [backup(2, 9), backup(3, 8)]
    chain = [full, backup(5, 6, on=full.name), backup(6, 5, on=full.name)]
    newer = [backup(11 - age, age) for age in range(4, 0, -1)]
    assert segments(next_deleted([*old, *chain, *newer], keep=5, at=NOW)) == [2, 3]


def test_the_order_is_that_of_timelines() -> None:
    """All of a lower timeline goes, also what is newer; nothing of a higher one, also what is older."""
    backups = [
        backup(50, 20, timeline=3), backup(10, 12, timeline=1), backup(20, 10, timeline=2), backup(30, 6, timeline=2),
        backup(99, 3, timeline=1), backup(31, 2, timeline=2), backup(32, 1, timeline=2),
    ]  # fmt: skip
    # By time: new, 1, 2, 3, then the 5th is 6 days old: timeline 2, segment 30.
    assert next_deleted(backups, keep=5, at=NOW) == tuple(one.name for one in (backups[1], backups[2], backups[4]))


def test_without_a_full_backup_nothing_goes() -> None:
    backups = [backup(number, 12 - number, on="base_000000010000000000000001") for number in range(2, 11)]
    assert next_deleted(backups, keep=5, at=NOW) == ()


def test_strange_names_are_left_alone() -> None:
    strange = backup(1, 100, name="my_own")
    assert segments(next_deleted([strange, *daily(10)], keep=5, at=NOW)) == [1, 2, 3, 4, 5]
