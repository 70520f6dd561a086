"""Documents -> manifests: defaults, rules and checks, and the problems of everything in the order of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from planton.errors import Origin, Problem
from planton.manifest._alike import Alike
from planton.manifest._draft import Finding
from planton.manifest._known import is_known_right
from planton.manifest._limits import MAX_DOCUMENTS, MAX_PROBLEMS
from planton.manifest._manifests import Manifests, as_bytes
from planton.manifest._marks import Mark, Marks, Places, compact, upwards
from planton.manifest._rules import MISSING, broken_rules
from planton.manifest._sources import shown_path
from planton.manifest._subjects import subject
from planton.manifest.checks import Complaint, check
from planton.manifest.defaults import fill

if TYPE_CHECKING:
    from planton.manifest._draft import Draft
    from planton.types import Resource

_TOLD = 250
"""Documents after which it is told how far reading has got."""


class Enough(Exception):
    """There is no point in reading on."""


class Collection:
    """What a reading has found so far.

    Attributes:
        problems: Problems in the order of the input.
    """

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        """Makes an empty collection.

        Args:
            progress: Is told now and then how many documents there were.
        """
        self._progress = progress
        self.problems: list[Problem] = []
        self._messages: list[Resource | type[Resource]] = []
        self._origins: list[Origin] = []
        self._marks: list[Marks] = []
        self._proven: list[bytes] = []
        self._documents = 0
        self._alike = Alike()

    def count_document(self, file: str) -> None:
        """Counts a document, also an empty one.

        Args:
            file: Name of its file.

        Raises:
            Enough: There are too many.
        """
        self._documents += 1
        if self._progress is not None and self._documents % _TOLD == 0:
            self._progress(self._documents)
        self.expect_documents(0, file)

    def expect_documents(self, number: int, file: str) -> None:
        """Ends the reading when there are too many documents, or will be.

        Args:
            number: How many are still to come, at least.
            file: Name of their file.

        Raises:
            Enough: There are too many.
        """
        if self._documents + number > MAX_DOCUMENTS:
            self.problem(f"there are more than {MAX_DOCUMENTS} documents: read them in several parts", file)
            raise Enough

    def problem(self, message: str, file: str, document: int = 0, line: int = 0) -> None:
        """Adds a problem that is not one of a field.

        Args:
            message: What is wrong.
            file: Name of the file.
            document: Number of the document, from 1; 0 for the whole file.
            line: Line, from 1; 0 when unknown.

        Raises:
            Enough: There are too many.
        """
        self._add([Problem(message, origin=Origin(shown_path(file), document, line))])

    def _add(self, problems: Iterable[Problem]) -> None:
        self.problems += problems
        if len(self.problems) > MAX_PROBLEMS:
            del self.problems[MAX_PROBLEMS:]
            self.problems.append(Problem(f"there are more than {MAX_PROBLEMS} problems; the others are not shown"))
            raise Enough

    def document(self, draft: Draft, file: str, number: int) -> None:
        """Takes a document: fills its defaults and validates it.

        Args:
            draft: The document as it was read.
            file: Name of its file.
            number: Its number in the file, from 1.

        Raises:
            Enough: There are too many problems.
        """
        found = draft.findings
        if not found and draft.is_whole and (known := self._alike.find(draft)):
            self._keep(draft, Origin(file, number, draft.line), *known)
            return
        message = draft.message()
        if message is not None and draft.is_whole:
            fill(message)
            wrong = complaints(message)
            if not found and not wrong:
                data = as_bytes(message)
                self._alike.remember(draft, data)
                self._keep(draft, Origin(file, number, draft.line), tuple(draft.marks), data)
                return
            found = [*found, *_independent(wrong, draft)]
        name = subject(message) if message is not None else ""
        found = sorted(found, key=lambda one: one.line)
        shown = shown_path(file)
        self._add(Problem(text, path, Origin(shown, number, line), name) for line, path, text in found)

    def _keep(self, draft: Draft, origin: Origin, marks: tuple[Mark, ...], data: bytes) -> None:
        """Takes a document that is right. Only its bytes are kept, which take less memory than what they say."""
        assert draft.kind is not None
        self._messages.append(draft.kind.message)
        self._origins.append(origin)
        self._marks.append((marks, compact(draft.lines)))
        self._proven.append(data)

    def manifests(self) -> Manifests:
        """Gives the documents that are right.

        Returns:
            The manifests.
        """
        return Manifests(self._messages, self._origins, self._marks, self._proven)


def complaints(message: Resource) -> list[Complaint]:
    """Validates a message with its defaults filled.

    Args:
        message: The message.

    Returns:
        Usual paths and texts of what is wrong.
    """
    # One message can break a rule twenty thousand times; nobody reads that.
    found = [] if is_known_right(message) else list(islice(broken_rules(message), MAX_PROBLEMS + 1))
    further = check(message)
    if found and further:
        # Of a value that breaks the rule of its field, nothing else is said.
        places = {path for path, _ in found}
        further = [one for one in further if one[0] not in places]
    return found + further


def _independent(wrong: list[Complaint], draft: Draft) -> Iterator[Finding]:
    """Passes over what only follows from something that could not be read, at, above or below its place."""
    places = Places((draft.marks, draft.lines), draft.line)
    below = {above for path in draft.failed for above in upwards(path)}
    for path, text in wrong:
        follows = path in below or any(above in draft.failed for above in upwards(path))
        if not follows and not (text == MISSING and path in draft.misspelt):
            spelling, line = places.find(path)
            yield Finding(line, spelling, text)
