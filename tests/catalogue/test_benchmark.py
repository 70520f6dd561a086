"""The benchmark of the catalogue runs, so that its numbers can be repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_small_archive() -> None:
    command = [sys.executable, "-m", "benchmarks.catalogue", "--segments", "3500", "--backups", "5", "--latency", "1"]
    done = subprocess.run(
        [*command, "--times", "1", "--only-distant"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| 1 ms")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [row[0] for row in rows] == ["1 ms a request"] * 3
    assert [row[1].split()[0] for row in rows] == ["plain", "the", "the"]
    floor, catalogue, latest = (int(row[5]) for row in rows)
    # 3,500 segments and three objects of each base backup, on pages of a thousand.
    assert floor == 4
    assert floor + 2 * 5 < catalogue < 100
    assert latest < 5
