"""Where the fields of a message stand in its file, and how they are spelled there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        if isinstance(mark, Slot):
            there = mark.canonical == path or mark.path == path
        else:
            there = isinstance(mark, tuple) and path in (mark[0].canonical + mark[1], mark[0].path + mark[1])
        if there:
            line = marks[index + 1]
            return line if isinstance(line, int) else 0
    return 0


class Places:
    """The places of one document's fields, to look up several."""

    __slots__ = ("_camels", "_line", "_places")

    def __init__(self, marks: Marks, line: int) -> None:
        """Makes the table.

        Args:
            marks: The marks of the document.
            line: Line on which the document begins.
        """
        self._line = line
        self._places: dict[str, tuple[str, int]] = {}
        self._camels = False
        for index in range(0, len(marks), 2):
            mark, found = marks[index], marks[index + 1]
            slot, step = mark if isinstance(mark, tuple) else (mark, "")
            if isinstance(slot, Slot) and isinstance(found, int):
                self._places[slot.canonical + step] = (slot.path + step, found)
                self._camels = self._camels or (slot.path != slot.canonical and slot.name != "api_version")

    def find(self, path: str) -> tuple[str, int]:
        """Finds a field, or what is nearest above it.

        Args:
            path: Its path in the usual spelling.

        Returns:
            Its path in the spelling of the document, and the line from 1.
        """
        for above in upwards(path):
            if above in self._places:
                spelling, line = self._places[above]
                rest = path[len(above) :]
                return spelling + (camel(rest) if self._camels else rest), line
        return camel(path) if self._camels else path, self._line


def upwards(path: str) -> Iterator[str]:
    """Goes up a path.

    Args:
        path: A path.

    Yields:
        The path, and what is above it, step by step.
    """
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
