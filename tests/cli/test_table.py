"""Tables fit the terminal and lose nothing."""

from __future__ import annotations

import sys

import pytest

from planton.cli._output import Console
from planton.cli._table import show_table
from tests.cli.support import Terminal

ROWS = (("WALG_S3_PREFIX", "s3://bucket/backups/$(SCOPE)/$(PGVERSION)", ""), ("BACKUP_SCHEDULE", "0 2 * * *", ""))


def test_columns_line_up_and_empty_ones_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Console(), ("NAME", "VALUE", "NOTE"), ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "NAME             VALUE",
        "WALG_S3_PREFIX   s3://bucket/backups/$(SCOPE)/$(PGVERSION)",
        "BACKUP_SCHEDULE  0 2 * * *",
    ]


def test_wide_characters_count_twice(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Console(), ("A", "B"), (("日本", "x"), ("e\u0301t", "y")))
    assert capsys.readouterr().out.splitlines() == ["A     B", "日本  x", "e\u0301t    y"]


@pytest.mark.parametrize("columns", [30, 40, 55, 80])
def test_cells_are_wrapped_and_never_cut(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(Console, "width", property(lambda self: columns))
    show_table(Console(), ("NAME", "VALUE", "NOTE"), [(*row[:2], "a note with several words") for row in ROWS])
    lines = stream.text.splitlines()
    # The first column keeps its width, and the others at least twelve columns each.
    assert max(map(len, lines)) <= max(columns, len("BACKUP_SCHEDULE") + 2 * 12 + 2 * 2)
    assert {line.split("  ")[0] for line in lines} == {"NAME", "WALG_S3_PREFIX", "BACKUP_SCHEDULE", ""}
    cells = ["NAMEVALUENOTE", *(cell for row in ROWS for cell in row), *["a note with several words"] * len(ROWS)]
    assert sorted("".join(stream.text.split())) == sorted("".join("".join(cells).split()))


def test_a_command_stays_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(Console, "width", property(lambda self: 40))
    command = "kubectl port-forward --namespace orders service/db-orders 5432:5432"
    show_table(Console(), ("", ""), [("from here", command)])
    assert command in stream.text
    # Nor does a heading without a word leave colours behind.
    assert "\x1b[1m\x1b[0m" not in stream.text


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_times_and_names_of_wal_stay_whole(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(Console, "width", property(lambda self: columns))
    row = (
        "1",
        "2026-11-22T11:59:52.700000Z",
        "base_000000010000000000000033_D_000000010000000000000003 and 2 later ones",
        "2026-11-20T02:00:44Z to 2026-11-20T23:19:54Z",
        "from there on 000000010000000000000021 is missing",
    )
    show_table(Console(), ("N", "BEFORE", "FROM BACKUP", "ARCHIVED", "WHY NOT"), [row])
    for word in " ".join(row).split():
        assert word in stream.text
    # Words go to the next line all the same.
    assert len(stream.text.splitlines()) > 2


def test_control_characters_in_cells_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Console(), ("A",), (("\x1b[2J",),))
    assert "\x1b" not in capsys.readouterr().out


def test_a_table_without_rows_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Console(), ("A", "B"), ())
    assert capsys.readouterr().out.strip() == ""
