"""Messages with their origins: what reading gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

from planton.errors import Origin

if TYPE_CHECKING:
    from planton.manifest._marks import Marks
    from planton.types import Resource

_SHOWN = 10


def as_bytes(message: Resource) -> bytes:
    """Writes a message in protobuf's own form, by which two of them are compared.

    Args:
        message: The message.

    Returns:
        The same bytes for the same content. They hold credentials.
    """
    return message.SerializeToString(deterministic=True)


class Manifests(Sequence["Resource"]):
    """Messages in the order of the input, each with the place that it came from.

    The sequence does not change; the messages in it are the caller's. It prints kinds and names only, since the
    messages hold credentials.
    """

    __slots__ = ("_marks", "_messages", "_origins", "_proven")

    def __init__(
        self,
        messages: Iterable[Resource | type[Resource]] = (),
        origins: Iterable[Origin] | None = None,
        marks: Iterable[Marks] | None = None,
        proven: Iterable[bytes] | None = None,
    ) -> None:
        """Makes the sequence.

        Args:
            messages: The messages; for one that is made when it is asked for, its class, and its bytes in `proven`.
            origins: Where each came from; without them, from nowhere.
            marks: Where the fields of each stand in its file; without them, their lines are unknown.
            proven: What `as_bytes` gave of each when its defaults were filled and it was found right; empty for one of
                which that is not known.
        """
        self._messages = list(messages)
        count = len(self._messages)
        self._origins = (Origin(),) * count if origins is None else tuple(origins)
        self._marks: tuple[Marks, ...] = (((), ()),) * count if marks is None else tuple(marks)
        # The bytes hold credentials, as the messages do.
        self._proven = (b"",) * count if proven is None else tuple(proven)

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

    def proven(self, index: int) -> bytes:
        """Gives a message that is as it was when it was found right, for this package.

        Args:
            index: Its place in the sequence.

        Returns:
            What `as_bytes` gives of it, to make copies that need no validation; empty where it has changed since, or
            was never looked at.
        """
        proven, message = self._proven[index], self._messages[index]
        return proven if isinstance(message, type) or (proven and proven == as_bytes(message)) else b""

    def unmade(self, index: int) -> type[Resource] | None:
        """Gives the class of a message for which nobody has asked yet, for this package.

        Args:
            index: Its place in the sequence.

        Returns:
            The class; None for a message that is there, and can have been changed.
        """
        message = self._messages[index]
        return message if isinstance(message, type) else None

    def marks(self, index: int) -> Marks:
        """Gives the fields that were read for a message, for this package.

        Args:
            index: Its place in the sequence.

        Returns:
            Fields, and the line of each, counted from that of the document.
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
        if not self._marks[index][0]:
            return 0
        from planton.manifest._marks import mark_line

        return mark_line(self._marks[index], self._origins[index].line, path)

    @overload
    def __getitem__(self, index: int) -> Resource: ...
    @overload
    def __getitem__(self, index: slice) -> Manifests: ...
    def __getitem__(self, index: int | slice) -> Resource | Manifests:
        """Gives a message by its place, or a part of the sequence."""
        if isinstance(index, slice):
            messages = [self[one] for one in range(len(self))[index]]
            return Manifests(messages, self._origins[index], self._marks[index], self._proven[index])
        message = self._messages[index]
        if isinstance(message, type):
            message = self._messages[index] = message.FromString(self._proven[index])
        return message

    def __len__(self) -> int:
        """Counts the messages."""
        return len(self._messages)

    def __eq__(self, other: object) -> bool:
        """Compares the messages, not where they came from."""
        return list(self) == list(other) if isinstance(other, Manifests) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # Messages can change.

    def __repr__(self) -> str:
        """Names kinds and names, and nothing else."""
        from planton.manifest._subjects import subject

        names = [subject(message) for message in self[:_SHOWN]]
        more = len(self) - len(names)
        return f"<Manifests: {', '.join(names) or 'none'}{f' and {more} more' if more else ''}>"
