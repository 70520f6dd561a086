"""Where the fields of a message stand in its file, and how they are spelled there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from planton.manifest._names import camel
from planton.manifest._tables import Slot

Mark: TypeAlias = Slot | tuple[Slot, str]
"""A field, or a field and the step to one of its entries or items."""
Marks: TypeAlias = Sequence[Mark | int]
"""Marks and their lines, by turns: flat, since there is one for every field of every document."""


def mark_line(marks: Marks, path: str) -> int:
    """Finds the line of a field.

    Args:
        marks: The marks of its document.
        path: Its path, in the usual spelling or in that of the document.

    Returns:
        The line, from 1; 0 when unknown.
    """
    for index in range(0, len(marks), 2):
        mark = marks[index]
        slot, step = mark if isinstance(mark, tuple) else (mark, "")
        if isinstance(slot, Slot) and path in (slot.canonical + step, slot.path + step):
            line = marks[index + 1]
            return line if isinstance(line, int) else 0
    return 0


def locate(marks: Marks, path: str, line: int) -> tuple[str, int]:
    """Finds a field, or what is nearest above it.

    Args:
        marks: The marks of the document.
        path: Its path in the usual spelling.
        line: Line on which the document begins.

    Returns:
        Its path in the spelling of the document, and the line from 1.
    """
    spellings = {}
    camels = False
    for index in range(0, len(marks), 2):
        mark = marks[index]
        slot, step = mark if isinstance(mark, tuple) else (mark, "")
        if isinstance(slot, Slot):
            spellings[slot.canonical + step] = (slot.path + step, marks[index + 1])
            camels = camels or (slot.path != slot.canonical and slot.name != "api_version")
    above = path
    while above:
        if above in spellings:
            spelling, found = spellings[above]
            line = found if isinstance(found, int) else line
            rest = path[len(above) :]
            return spelling + (camel(rest) if camels else rest), line
        above = above[: max(above.rfind("."), above.rfind("["), 0)]
    return camel(path) if camels else path, line
