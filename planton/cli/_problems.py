"""Problems of manifests, one a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from planton.cli._output import Console
from planton.errors import Problem

_FIRST = 3
"""Of how many warnings that say the same each is printed."""


def one_line(problem: Problem) -> str:
    """Formats a problem as one line, whatever is in its message.

    Args:
        problem: The problem.

    Returns:
        `file:line (document n): Kind/name: field.path: message`.
    """
    return " ".join(str(problem).split("\n"))


def show_warnings(problems: Sequence[Problem], console: Console, *, every: bool = True) -> None:
    """Prints warnings on stderr, each once.

    Args:
        problems: What is worth saying.
        console: Where to say it.
        every: Whether to print all; else of many that say the same of different resources only the first few, and how
            many more there are.
    """
    lines = {one_line(problem): problem for problem in problems}
    if every or len(lines) <= _FIRST + 1:
        for line in lines:
            console.warn(line)
        return
    kinds: dict[tuple[str, str], list[str]] = {}
    for line, problem in lines.items():
        kinds.setdefault(_kind(problem), []).append(line)
    for alike in kinds.values():
        # A single one more is not worth a line about it.
        shown = _FIRST if len(alike) > _FIRST + 1 else len(alike)
        for line in alike[:shown]:
            console.warn(line)
        if more := len(alike) - shown:
            console.warn(f"and {more:,} more like it; --all-warnings shows them")


def _kind(problem: Problem) -> tuple[str, str]:
    """Tells what a problem is about, whatever it is called: its path and message without names and numbers."""
    text = problem.message
    if name := problem.subject.rpartition("/")[2]:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "*", text)
    return problem.path, re.sub(r'"[^"]*"|[0-9]+', "*", text)


def show_errors(problems: Sequence[Problem], console: Console) -> None:
    """Prints errors on stderr, one a line, and how many there are.

    Args:
        problems: What is wrong; at least one.
        console: Where to say it.
    """
    for problem in problems:
        console.plain(one_line(problem))
    files = {problem.origin.file for problem in problems if problem.origin.file}
    where = f" in {counted(len(files), 'file')}" if files else ""
    console.error(f"{counted(len(problems), 'problem')}{where}; nothing was done")


def as_data(problem: Problem) -> dict[str, Any]:
    """Gives a problem for programs.

    Args:
        problem: The problem.

    Returns:
        Its facts, for JSON; those that are not known are left out.
    """
    facts = {
        "file": problem.origin.file,
        "document": problem.origin.document,
        "line": problem.origin.line,
        "subject": problem.subject,
        "path": problem.path,
        "message": problem.message,
    }
    return {key: value for key, value in facts.items() if value}


def counted(number: int, noun: str) -> str:
    """Writes a number with its noun.

    Args:
        number: How many.
        noun: The noun in the singular, with a regular plural.

    Returns:
        Such as `1 manifest` or `3 manifests`.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
