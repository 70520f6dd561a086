"""Schedules: what the cron in the database's pods takes, and means what it says.

The verdicts of cron were taken from Debian's cron 3.0pl1-162 (`crontab -n`); ours are never more lenient.
"""

from __future__ import annotations

import pytest

from planton.manifest._cron import schedule_problem
from tests.manifest.support import BACKUP_CONFIG, OPERATOR_HEAD, only, spec


@pytest.mark.parametrize(
    "schedule",
    ["0 2 * * *", "0 */6 * * *", "*/15 * * * *", "0 0 * * 1-7", "0 0 * * MON-FRI", "0 0 * jan,mar *", "1-5/2 * * * *",
     "00 02 * * *", "0 0 * * 7", "0 0 * * 0-7", "0 0 * * sun-sat", " 0 2 * * *", "0\t2 * * *", "1-5,*/10 * * * *",
     "*,5 * * * *", "0 2 * * 1 ", "0-59/61 * * * *", "0 0 * feb-apr *", "0 0 * * Sun,MON", "0 0 1-31/1 * *",
     "0 2 * * 0,7", "1-1 * * * *", "0 0 * * 5-7", "*/70 * * * *", "0 0 29 2 *", "0 0 31 * *", "0 0 31 2 1",
     "0 0 30 1-2 *"],
)  # fmt: skip
def test_what_cron_takes(schedule: str) -> None:
    assert schedule_problem(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "part"),
    [
        ("60 * * * *", "minute: allowed are 0 to 59"),
        ("0 24 * * *", "hour: allowed are 0 to 23"),
        ("0 0 0 * *", "day of the month: allowed are 1 to 31"),
        ("0 0 32 * *", "day of the month: allowed are 1 to 31"),
        ("0 0 * 0 *", "month: allowed are 1 to 12, JAN to DEC"),
        ("0 0 * 13 *", "month: allowed are 1 to 12, JAN to DEC"),
        ("0 0 * * 8", "day of the week: allowed are 0 to 7, SUN to SAT"),
        ("0 0 feb * *", "day of the month: allowed are 1 to 31"),
        ("0 0 * * feb", "day of the week: allowed are 0 to 7"),
        ("0 0 * * monday", "day of the week: each part is"),
        ("0 0 * january *", "month: each part is"),
        ("* * * * L", "L, W, #, ? and H are not known to cron"),
        ("0 0 L * *", "L, W, #, ? and H are not known to cron"),
        ("0 0 * * 5L", "L, W, #, ? and H are not known to cron"),
        ("0 0 15W * *", "L, W, #, ? and H are not known to cron"),
        ("0 0 * * 1#2", "L, W, #, ? and H are not known to cron"),
        ("0 0 ? * *", "L, W, #, ? and H are not known to cron"),
        ("H * * * *", "L, W, #, ? and H are not known to cron"),
        ("5/10 * * * *", "a step needs * or a range, such as 5-59/10"),
        ("*/0 * * * *", "a step must be at least 1"),
        ("*/ * * * *", "minute: each part is"),
        ("*/5/2 * * * *", "minute: each part is"),
        ("1-3-5 * * * *", "minute: each part is"),
        ("*-5 * * * *", "minute: each part is"),
        ("1,,2 * * * *", "minute: each part is"),
        ("1, * * * *", "minute: each part is"),
        (",1 * * * *", "minute: each part is"),
        ("-1 * * * *", "minute: each part is"),
        ("+1 * * * *", "minute: each part is"),
        ("1.5 * * * *", "minute: each part is"),
        ("1~5 * * * *", "minute: each part is"),
        ("*5 * * * *", "minute: each part is"),
        ("0x1 * * * *", "minute: each part is"),
        ("4294967297 * * * *", "minute: each part is"),
        ("FOO=1 * * * *", "minute: each part is"),
        ("# * * * *", "minute: each part is"),
        ("0 2 * * *#", "day of the week: each part is"),
        ("5-1 * * * *", "the range ends before it begins"),
        ("0 0 * * fri-sun", "the range ends before it begins"),
        ("0 0 * *", "must be five fields"),
        ("0 0 0 * * *", "has six fields, and cron knows five"),
        ("0 0 0 1 1 * 2020", "must be five fields"),
        ("   ", "must be five fields"),
        ("0 2 * * *\n", "must be one line of ASCII characters"),
        ("0 2 * * *\n* * * * * rm", "must be one line of ASCII characters"),
        ("0 2\u00a0* * *", "must be one line of ASCII characters"),
        ("٣ * * * *", "must be one line of ASCII characters"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 0 31 2 */2", "never comes"),
    ],
)
def test_what_cron_refuses_or_misunderstands(schedule: str, part: str) -> None:
    assert part in schedule_problem(schedule)


@pytest.mark.parametrize(
    ("nickname", "fields"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_nicknames_get_the_five_fields_to_write(nickname: str, fields: str) -> None:
    assert schedule_problem(nickname) == f'must be five fields: write "{fields}" for it'
    assert schedule_problem(fields) == ""


def test_nicknames_without_five_fields() -> None:
    for nickname in ("@reboot", "@every 1h", "@"):
        assert schedule_problem(nickname) == 'must be five fields, such as "0 2 * * *" for every night at two'


def test_in_manifests() -> None:
    problem = only(spec('backup_config:\n  backup_schedule: "@daily"'))
    assert (problem.path, problem.origin.line) == ("spec.backup_config.backup_schedule", 7)
    problem = only(OPERATOR_HEAD + BACKUP_CONFIG.replace("0 2 * * *", "0 2 * *"))
    assert (problem.path, problem.origin.line) == ("spec.backup_config.backup_schedule", 12)


@pytest.mark.parametrize("text", ["*/5," * 1000, "x" * 300])
def test_one_that_is_too_long(text: str) -> None:
    assert only(spec(f'backup_config: {{backup_schedule: "{text}"}}')).message == "must be at most 256 characters"


def test_an_empty_one() -> None:
    problem = only(spec('backup_config: {backup_schedule: ""}'))
    assert problem.message == "is empty: remove the line for the default, or give a value"
