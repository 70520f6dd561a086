"""How far back a database can be restored, by its retention and its schedule.

Spilo 4.0-p3 and 4.1, postgres_backup.sh: N is BACKUP_NUM_TO_RETAIN, and counts both backups and days. Of all backups,
newest first, the first one from the Nth on that is at least N days old stays; what is older goes, WAL included. So at
least N days stay, and at least N - 1 intervals of the schedule. With WALG_BACKUP_FROM_REPLICA every replica makes one
each time, so that N of them are used up as many times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

from cronsim import CronSim, CronSimError

from planton.translate.policy import DEFAULT_RETENTION

# Spilo 4.0-p3, configure_spilo.py (get_placeholders).
_DEFAULT_SCHEDULE = "0 1 * * *"
# Any moment will do: what counts are the gaps.
_START = datetime(2001, 1, 1)
# Enough of them to see the shortest gap of a schedule such as "Monday to Friday", or the 29th, 30th and 31st.
_LOOKS = 60
_MOST = 400
_LONGEST = 99_999
_FOREVER = timedelta.max


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """How far back a database can be restored, once it has run for that long.

    Attributes:
        days: Days that are kept in any case; None when nothing is ever deleted.
        scheduled: What the base backups that are kept span by the schedule; zero without a schedule that comes.
    """

    days: int | None
    scheduled: timedelta

    @property
    def span(self) -> timedelta:
        """The longer one of the two."""
        return _FOREVER if self.days is None else max(timedelta(days=self.days), self.scheduled)

    def __str__(self) -> str:
        """Formats it for people."""
        if self.days is None:
            return "everything (nothing is ever deleted)"
        by_schedule = round(self.scheduled / timedelta(days=1))
        more = f", by the schedule about {by_schedule} days" if by_schedule > self.days else ""
        return f"at least {self.days} days{more}"


def recovery_window(environment: Mapping[str, str], instances: int = 1) -> RecoveryWindow:
    """Computes the window from what the pods of a database get.

    Args:
        environment: Name -> value.
        instances: How many pods it has.

    Returns:
        The window.
    """
    count = _kept(environment.get("BACKUP_NUM_TO_RETAIN", str(DEFAULT_RETENTION)))
    if count is None:
        return RecoveryWindow(None, timedelta())
    by_replicas = environment.get("WALG_BACKUP_FROM_REPLICA", "").lower() == "true"
    at_once = max(instances - 1, 1) if by_replicas else 1
    return RecoveryWindow(count, _span(environment.get("BACKUP_SCHEDULE", _DEFAULT_SCHEDULE), (count - 1) // at_once))


def _kept(text: str) -> int | None:
    """Reads a number as bash does in postgres_backup.sh; None where that fails, and nothing is deleted."""
    value = text.strip()
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        # A word is a variable that is not set, which is 0; anything else is an error.
        is_zero = not value or value.isidentifier() or value.removeprefix("-").isdecimal()
        return 2 if is_zero else None
    if len(value) > 1 and value.startswith("0") and any(digit in "89" for digit in value):
        return None
    number = int(value, 8 if len(value) > 1 and value.startswith("0") else 10)
    return min(max(number, 2), _LONGEST)


@lru_cache(maxsize=1024)
def _span(schedule: str, intervals: int) -> timedelta:
    """The least time that so many intervals of a schedule take."""
    if intervals < 1:
        return timedelta()
    seen = min(intervals, _MOST)
    try:
        times = list(islice(CronSim(schedule, _START), seen + _LOOKS))
    except CronSimError:
        return timedelta()
    if len(times) <= seen:
        return timedelta()
    shortest = min(later - first for first, later in zip(times, times[seen:], strict=False))
    return shortest * (intervals / seen)
