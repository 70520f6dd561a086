"""One document as far as it could be read, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from planton.manifest._tables import LIST, MAP, MESSAGE, Slot

if TYPE_CHECKING:
    from planton.kinds import Kind
    from planton.manifest._marks import Mark
    from planton.types import Resource

UNREAD: Final = object()
"""Stands for the value of a field that could not be read."""


class Finding(NamedTuple):
    """A problem of one document.

    Attributes:
        line: Line, from 1.
        path: Field path in the manifest's spelling.
        message: What is wrong.
    """

    line: int
    path: str
    message: str


class Draft:
    """One document as far as it could be read: three lists side by side, with a place for each field, item and entry.

    The message is only made when it is asked for: of most documents it need not be.

    Attributes:
        line: Line on which it begins, from 1.
        kind: Its kind; None when that is not known.
        marks: What was read.
        values: The value of each field: a scalar, a list, a dict, None for a message (its fields follow), or UNREAD;
            None for items and entries, which stand in the list or dict.
        lines: The line of each, counted from that of the document.
        findings: What is wrong.
        failed: Usual paths of what could not be read, so that nothing else is said about it.
        is_whole: False when it could not be read to its end, so that nothing is said about what is missing.
        misspelt: Usual paths of fields that an unknown one probably means, so that they are not called missing.
        has_parts: Whether there are items or entries among the marks.
    """

    __slots__ = (
        "_made",
        "failed",
        "findings",
        "has_parts",
        "is_whole",
        "kind",
        "line",
        "lines",
        "marks",
        "misspelt",
        "values",
    )

    def __init__(self, line: int) -> None:
        """Makes an empty draft.

        Args:
            line: Line on which it begins, from 1.
        """
        self.line = line
        self.kind: Kind | None = None
        self.marks: list[Mark] = []
        self.values: list[Any] = []
        self.lines: list[int] = []
        self.findings: list[Finding] = []
        self.failed: set[str] = set()
        self.is_whole = True
        self.misspelt: set[str] = set()
        self.has_parts = False
        self._made: dict[Slot | None, Any] = {}

    def add_part(self, slot: Slot, step: str, line: int) -> None:
        """Adds an item or entry. Fields are added in the builder's loop, where a call for each would cost too much.

        Args:
            slot: The list or map.
            step: The step from it to the item or entry, such as `[0]`.
            line: Line of the item or entry, counted from that of the document.
        """
        self.marks.append((slot, step))
        self.values.append(None)
        self.lines.append(line)
        self.has_parts = True

    def message(self) -> Resource | None:
        """Makes the message.

        Returns:
            The message with the fields that could be read, and with the apiVersion and the kind that it has to have;
            None when its kind is not known.
        """
        if self.kind is None:
            return None
        whole: Any = self.kind.message()
        # Held on, since who asks for a message in a message gets a new one each time, unless somebody has it.
        made = self._made = {None: whole}
        for mark, value in zip(self.marks, self.values, strict=True):
            if type(mark) is not Slot or value is UNREAD:
                continue
            message = made[mark.above]
            if mark.type == MESSAGE:
                child = made[mark] = getattr(message, mark.name)
                child.SetInParent()
            elif mark.type == LIST:
                getattr(message, mark.name).extend(value)
            elif mark.type == MAP:
                getattr(message, mark.name).update(value)
            else:
                setattr(message, mark.name, value)
        whole.api_version, whole.kind = self.kind.api_version, self.kind.name
        return whole  # type: ignore[no-any-return]
