"""Tables of measurements: printed, and put into docs/performance.md between two marks of their own."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


@dataclass(frozen=True)
class Table:
    """A table of one run.

    Attributes:
        name: Of the marks in the page, such as `apply` of `<!-- apply -->`.
        head: Names of the columns.
        rows: Cells, as text.
        facts: Versions and settings that stand above it, besides the machine's.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    facts: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """Gives it as text.

        Returns:
            Lines of Markdown.
        """
        facts = ", ".join([*machine(), *self.facts])
        lines = [f"{facts}.", "", _row(self.head), "|" + "---|" * len(self.head), *(_row(one) for one in self.rows)]
        return "\n".join(lines)

    def show(self, *, write: bool) -> None:
        """Prints it, and puts it into the page.

        Args:
            write: Whether the page is written.

        Raises:
            ValueError: The page has no such marks.
        """
        print(f"\n## {self.name}\n\n{self.markdown()}\n", flush=True)
        if write:
            PAGE.write_text(with_block(PAGE.read_text(encoding="utf-8"), self.name, self.markdown()), encoding="utf-8")


def machine() -> list[str]:
    """Says what was measured on.

    Returns:
        Processors, system and Python.
    """
    return [
        f"{os.cpu_count()} CPUs ({platform.machine()})",
        platform.system(),
        f"Python {platform.python_version()}",
    ]


def peak_memory() -> float:
    """Measures this process.

    Returns:
        The most memory that it has had, in MiB.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # Not that of getrusage, which on Linux begins with what the parent had.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def with_block(text: str, name: str, block: str) -> str:
    """Puts a text between two marks of a page.

    Args:
        text: The page.
        name: Of the marks.
        block: What stands between them afterwards.

    Returns:
        The page.

    Raises:
        ValueError: The page has no such marks, or has them twice.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs {begin} and {end} once each")
    return f"{text.partition(begin)[0]}{begin}\n{block}\n{end}{text.partition(end)[2]}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
