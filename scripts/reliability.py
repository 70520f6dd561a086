"""Runs the tests of bad days and writes what they saw into docs/reliability.md.

    python scripts/reliability.py            all, with 50 random moments each (an hour)
    python scripts/reliability.py --tries 5  fewer moments
    python scripts/reliability.py tests/faults/test_permissions.py
                                             these alone; rows of others stay as they are

Rows stand between two marks, one a fault, sorted by the headings in the page. A fault that the page has no row for is
put under the last heading; a row whose test is gone is taken out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- observed -->", "<!-- end of observed -->"
HEAD = ("| fault | observed | test |", "|---|---|---|")


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """Reads the rows of the page.

    Args:
        text: The page.

    Returns:
        For each fault what was observed, and the test.
    """
    table = text.partition(BEGIN)[2].partition(END)[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line[:2] == "| "]
    return {fault: (seen, test.strip("`")) for fault, seen, test in cells[1:]}


def page_with(text: str, rows: dict[str, tuple[str, str]]) -> str:
    """Puts rows into the page.

    Args:
        text: The page.
        rows: For each fault what was observed, and the test.

    Returns:
        The page.
    """
    lines = [f"| {fault} | {seen} | `{test}` |" for fault, (seen, test) in sorted(rows.items(), key=_place)]
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return before + "\n".join((BEGIN, *HEAD, *lines, END)) + after


def _place(row: tuple[str, tuple[str, str]]) -> tuple[str, str]:
    # By test file, so that what belongs together stands together.
    return (row[1][1].partition("::")[0], row[0])


def main() -> int:
    """Runs the command.

    Returns:
        The exit code of the tests; the page is written only when they passed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=50, help="random moments of each test (default: %(default)s)")
    parser.add_argument("tests", nargs="*", help="default: tests/faults")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PLANTON_OBSERVATIONS": folder, "PLANTON_FAULT_TRIES": str(arguments.tries)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *(arguments.tests or ["tests/faults"])]
        code = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if code:
            print("the page is not written: a test failed", file=sys.stderr)
            return code
        seen = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).iterdir()]
    text = PAGE.read_text(encoding="utf-8")
    rows = rows_of(text) if arguments.tests else {}
    rows |= {one["fault"]: (one["seen"], one["test"]) for one in seen}
    PAGE.write_text(page_with(text, rows), encoding="utf-8")
    print(f"{len(seen)} rows written to docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
