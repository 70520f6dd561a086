"""docs/reliability.md has a row for each test that observes a fault, and no other; and its rows can be written anew."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.reliability import PAGE, joined, page_with, rows_of

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]


def observing() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "observed" not in text or path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
                if any(isinstance(call, ast.Name) and call.id == "observed" for call in calls):
                    yield f"{path.relative_to(ROOT).as_posix()}::{node.name}"


def test_each_test_that_observes_has_a_row_and_no_other() -> None:
    page = {test for test, _ in rows_of(PAGE.read_text(encoding="utf-8"))}
    assert page == set(observing()), "run `make reliability`, or `python scripts/reliability.py` with the test's file"


def test_rows_are_written_and_read_again() -> None:
    rows = joined(
        [
            {"test": "tests/b.py::test_b", "fault": "a | bar", "seen": "2"},
            {"test": "tests/a.py::test_a", "fault": "reset", "seen": "one | two\nthree"},
            {"test": "tests/a.py::test_a", "fault": "reset", "seen": "again"},
        ]
    )
    assert rows["tests/a.py::test_a", "reset"] == "again; one / two three"
    rows["tests/b.py::test_b", "plain"] = rows.pop(("tests/b.py::test_b", "a | bar"))
    page = page_with(PAGE.read_text(encoding="utf-8"), rows)
    assert rows_of(page) == rows
    assert page_with(page, rows) == page
