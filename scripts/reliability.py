"""Runs the tests of bad days and writes what they saw into docs/reliability.md.

    python scripts/reliability.py            all, with 50 runs killed of each kind (a quarter of an hour)
    python scripts/reliability.py --tries 5  fewer moments
    python scripts/reliability.py tests/faults/test_permissions.py
                                             these alone; rows of others stay as they are

Rows stand between two marks, sorted by test and fault. Without names of tests all are written anew. A test that fails
has no row: mend it, and run it alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- observed -->", "<!-- end of observed -->"
TESTS = ("tests/faults", "tests/fuzz/test_fuzzing.py", "tests/cluster/test_against_a_model.py")
_TESTS_FAILED = 1
"""What pytest ends with when all ran and some failed."""
HEAD = ("| fault | observed | test |", "|---|---|---|")


Rows = dict[tuple[str, str], str]
"""What was observed, by test and fault: the order of the page."""


def rows_of(text: str) -> Rows:
    """Reads the rows of the page.

    Args:
        text: The page.

    Returns:
        What was observed, by test and fault.
    """
    table = text.partition(BEGIN)[2].partition(END)[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line[:2] == "| "]
    return {(test.strip("`"), fault): seen for fault, seen, test in cells[1:]}


def page_with(text: str, rows: Rows) -> str:
    """Puts rows into the page.

    Args:
        text: The page.
        rows: What was observed, by test and fault.

    Returns:
        The page.
    """
    lines = [f"| {fault} | {seen} | `{test}` |" for (test, fault), seen in sorted(rows.items())]
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return before + "\n".join((BEGIN, *HEAD, *lines, END)) + after


def joined(found: Iterable[dict[str, str]]) -> Rows:
    """Brings together what was observed.

    Args:
        found: Fault, what was seen, and the test, of each observation.

    Returns:
        What was observed, by test and fault; several of one test with the same fault stand in one row.
    """
    several: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found:
        several[one["test"], one["fault"]].append(one["seen"].replace("|", "/").replace("\n", " "))
    return {place: "; ".join(sorted(set(seen))) for place, seen in several.items()}


def main() -> int:
    """Runs the command.

    Returns:
        The exit code of the tests.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=50, help="random moments of each test (default: %(default)s)")
    parser.add_argument("tests", nargs="*", help=f"default: {' '.join(TESTS)}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PLANTON_OBSERVATIONS": folder, "PLANTON_FAULT_TRIES": str(arguments.tries)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *(arguments.tests or TESTS)]
        code = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if code not in (0, _TESTS_FAILED):
            print("the page is not written: the tests did not come to their end", file=sys.stderr)
            return code
        seen = joined(json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).iterdir())
    text = PAGE.read_text(encoding="utf-8")
    tests = {test for test, _ in seen}
    others = {place: words for place, words in rows_of(text).items() if arguments.tests and place[0] not in tests}
    PAGE.write_text(page_with(text, others | seen), encoding="utf-8")
    print(f"{len(seen)} rows written to docs/{PAGE.name}")
    if code:
        print("what failed has no new row: mend it, and run it alone", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
