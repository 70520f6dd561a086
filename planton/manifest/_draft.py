"""One document as far as it could be read, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from planton.manifest._marks import Mark
    from planton.types import Resource


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
    """One document as far as it could be read.

    Attributes:
        line: Line on which it begins, from 1.
        message: The message; None when its kind is not known.
        marks: Each field that was read, and its line, by turns.
        findings: What is wrong.
        failed: Usual paths of what could not be read, so that nothing else is said about it.
        is_whole: False when it could not be read to its end, so that nothing is said about what is missing.
        misspelt: Usual paths of fields that an unknown one probably means, so that they are not called missing.
        held: The messages in the message. As long as somebody holds them, who asks for one gets it and no new one.
    """

    __slots__ = ("failed", "findings", "held", "is_whole", "line", "marks", "message", "misspelt")

    def __init__(self, line: int) -> None:
        """Makes an empty draft.

        Args:
            line: Line on which it begins, from 1.
        """
        self.line = line
        self.message: Resource | None = None
        self.marks: list[Mark | int] = []
        self.findings: list[Finding] = []
        self.failed: set[str] = set()
        self.is_whole = True
        self.misspelt: set[str] = set()
        self.held: list[Any] = []
