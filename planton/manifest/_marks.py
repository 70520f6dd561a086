"""Where the fields of a message stand in its file, and how they are spelled there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from planton.manifest._names import camel
from planton.manifest._tables import Slot

Mark: TypeAlias = Slot | tuple[Slot, str]
"""A field, or a field and the step to one of its entries or items."""
Marks: TypeAlias = tuple[Sequence[Mark], Sequence[int]]
"""Marks, and the line of each, counted from that of their document: many documents can share the marks."""


def compact(lines: Sequence[int]) -> Sequence[int]:
    """Puts away the lines of a document in little memory.

    Args:
        lines: Lines, counted from that of the document.

    Returns:
        The same.
    """
    try:
        return bytes(lines)
    except ValueError:  # Some are above 255.
        return tuple(lines)


def mark_line(marks: Marks, line: int, path: str) -> int:
    """Finds the line of a field.

    Args:
        marks: The marks of its document.
        line: Line on which the document begins, from 1.
        path: Its path, in the usual spelling or in that of the document.

    Returns:
        The line, from 1; 0 when unknown.
    """
    for mark, below in zip(*marks, strict=True):
        slot, step = mark if isinstance(mark, tuple) else (mark, "")
        if path in (slot.canonical + step, slot.path + step):
            return line + below
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
        for mark, below in zip(*marks, strict=True):
            slot, step = mark if isinstance(mark, tuple) else (mark, "")
            self._places[slot.canonical + step] = (slot.path + step, line + below)
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
