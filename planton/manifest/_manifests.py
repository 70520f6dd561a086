"""Messages with their origins: what reading gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

from planton.errors import Origin

if TYPE_CHECKING:
    from planton.manifest._marks import Marks
    from planton.types import Resource

_SHOWN = 10


class Manifests(Sequence["Resource"]):
    """Messages in the order of the input, each with the place that it came from.

    The sequence does not change; the messages in it are the caller's. It prints kinds and names only, since the
    messages hold credentials.
    """

    __slots__ = ("_marks", "_messages", "_origins")

    def __init__(
        self,
        messages: Iterable[Resource] = (),
        origins: Iterable[Origin] | None = None,
        marks: Iterable[Marks] | None = None,
    ) -> None:
        """Makes the sequence.

        Args:
            messages: The messages.
            origins: Where each came from; without them, from nowhere.
            marks: Where the fields of each stand in its file; without them, their lines are unknown.
        """
        self._messages = tuple(messages)
        count = len(self._messages)
        self._origins = (Origin(),) * count if origins is None else tuple(origins)
        self._marks: tuple[Marks, ...] = ((),) * count if marks is None else tuple(marks)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where each message came from."""
        return self._origins

    def origin(self, index: int) -> Origin:
        """Gives the origin of a message.

        Args:
            index: Its place in the sequence.

        Returns:
            The origin, with the line on which the document begins.
        """
        return self._origins[index]

    def marks(self, index: int) -> Marks:
        """Gives the fields that were read for a message, for this package.

        Args:
            index: Its place in the sequence.

        Returns:
            Fields and lines, by turns.
        """
        return self._marks[index]

    def line(self, index: int, path: str) -> int:
        """Finds the line of a field.

        Args:
            index: Place of the message in the sequence.
            path: Path of the field, such as `spec.container.disk_size`, in either spelling.

        Returns:
            The line, from 1; 0 when the field was not given, or did not come from a text.
        """
        if not self._marks[index]:
            return 0
        from planton.manifest._marks import mark_line

        return mark_line(self._marks[index], path)

    @overload
    def __getitem__(self, index: int) -> Resource: ...
    @overload
    def __getitem__(self, index: slice) -> Manifests: ...
    def __getitem__(self, index: int | slice) -> Resource | Manifests:
        """Gives a message by its place, or a part of the sequence."""
        if isinstance(index, slice):
            return Manifests(self._messages[index], self._origins[index], self._marks[index])
        return self._messages[index]

    def __len__(self) -> int:
        """Counts the messages."""
        return len(self._messages)

    def __eq__(self, other: object) -> bool:
        """Compares the messages, not where they came from."""
        return self._messages == other._messages if isinstance(other, Manifests) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # Messages can change.

    def __repr__(self) -> str:
        """Names kinds and names, and nothing else."""
        from planton.manifest._subjects import subject

        names = [subject(message) for message in self._messages[:_SHOWN]]
        more = len(self) - len(names)
        return f"<Manifests: {', '.join(names) or 'none'}{f' and {more} more' if more else ''}>"
