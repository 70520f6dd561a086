"""Cron expressions, as the cron in Spilo's image takes them.

Spilo writes the schedule into a crontab by `crontab -`, which refuses the whole crontab for one bad line
(configure_spilo.py of 4.0-p3, setup_crontab), and the cron is Debian's and Ubuntu's 3.0pl1 (prepare.sh there). That
one passes over what follows a number (`1.5`, `1#2`) and takes ranges that end before they begin; here both are
errors, since what they do is not what they say.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAYS = "SUN MON TUE WED THU FRI SAT".split()
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, tuple(_MONTHS)),
    ("day of the week", 0, 7, tuple(_DAYS)),
)
_TERM = re.compile(r"(?:\*|([0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?)(?:/([0-9]{1,3}))?", re.ASCII)
_LONGEST = 256
_EXAMPLE = 'such as "0 2 * * *" for every night at two'


@lru_cache(maxsize=1024)
def schedule_problem(schedule: str) -> str:
    """Checks a cron expression.

    Args:
        schedule: The expression.

    Returns:
        What is wrong, with the remedy; empty when nothing is.
    """
    if not schedule or len(schedule) > _LONGEST:
        return ""  # The rules on the field say so.
    if schedule.strip().startswith("@"):
        same = _NICKNAMES.get(schedule.strip().lower())
        return f'must be five fields: write "{same}" for it' if same else f"must be five fields, {_EXAMPLE}"
    if re.search(r"[^\x21-\x7e \t]", schedule):
        return "must be one line of ASCII characters: a line break at the end comes from a block (| or >)"
    fields = schedule.split()
    if len(fields) == 6:
        return f"has six fields, and cron knows five (there are no seconds): {_EXAMPLE}"
    if len(fields) != 5:
        return f"must be five fields (minute, hour, day of the month, month, day of the week), {_EXAMPLE}"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for term in text.upper().split(","):
            problem = _term_problem(term, low, high, names)
            if problem:
                return f"has a wrong {name}: {problem}"
    return _never(schedule)


def _term_problem(term: str, low: int, high: int, names: tuple[str, ...]) -> str:
    allowed = f"{low} to {high}" + (f", {names[0]} to {names[-1]}" if names else "")
    match = _TERM.fullmatch(term)
    if match is None:
        extra = "; L, W, #, ? and H are not known to cron" if re.search(r"[LW#?H]", term) else ""
        return f"each part is *, a number or name, or a range, * and ranges with a /step if need be{extra}"
    first, last, step = match.groups()
    if step is not None and int(step) == 0:
        return "a step must be at least 1"
    if first is None:
        return ""
    bounds = [_number(text, low, high, names) for text in (first, last or first)]
    if -1 in bounds:
        return f"allowed are {allowed}"
    if step is not None and last is None:
        return f"a step needs * or a range, such as {first}-{high}/{step}"
    if bounds[0] > bounds[1]:
        return "the range ends before it begins; write two ranges with a comma between them"
    return ""


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + low
    return int(text) if text.isdigit() and low <= int(text) <= high else -1


def _never(schedule: str) -> str:
    # Imported here, for a fast start.
    from datetime import datetime

    from cronsim import CronSim, CronSimError

    try:
        # Any moment will do: it says whether there is a day that fits within the fifty years after it.
        next(CronSim(schedule, datetime(2000, 1, 1)))
    except (CronSimError, StopIteration):
        return "never comes: no month that is asked for has such a day"
    return ""
