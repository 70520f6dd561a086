"""Problems of manifests, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planton.cli._alike import Line, line_of, shortened
from planton.cli._output import Console
from planton.errors import Problem
from planton.words import counted


def one_line(problem: Problem) -> str:
    """Formats a problem as one line, whatever is in its message.

    Args:
        problem: The problem.

    Returns:
        `file:line (document n): Kind/name: field.path: message`.
    """
    return " ".join(str(problem).split("\n"))


def show_warnings(problems: Sequence[Problem], console: Console) -> None:
    """Prints warnings on stderr, each once; of many that say the same of different resources only the first few.

    Args:
        problems: What is worth saying.
        console: Where to say it, and whether all of them.
    """
    for line in shortened(_lines(problems), every=console.is_verbose):
        console.warn(line)


def _lines(problems: Sequence[Problem]) -> list[Line]:
    """Makes a line of each problem, each once, that knows what it is about."""
    lines: dict[str, Line] = {}
    for problem in problems:
        text = one_line(problem)
        if text not in lines:
            about = line_of(problem.message, problem.subject)
            lines[text] = Line(text, (problem.path, about.kind), about.name or problem.origin.file)
    return list(lines.values())


def show_errors(problems: Sequence[Problem], console: Console) -> None:
    """Prints errors on stderr, one a line, and how many there are.

    Args:
        problems: What is wrong; at least one.
        console: Where to say it, and whether all of many that are alike.
    """
    for line in shortened(_lines(problems), every=console.is_verbose):
        console.plain(line)
    files = {problem.origin.file for problem in problems if problem.origin.file}
    where = f" in {counted(len(files), 'file')}" if files else ""
    console.error(f"{counted(len(problems), 'problem')}{where}{console.said_untouched('; ')}")


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
