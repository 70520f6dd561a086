"""A message in protobuf's own form, with places for a few texts: the same message with other texts, without protobuf.

To make such a message, to set its texts and to write it takes four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Path: TypeAlias = tuple[int, ...]
"""Numbers of the fields that lead to a text, the text's own last."""

_DELIMITED = 2  # What has its length before it: texts and messages (https://protobuf.dev/programming-guides/encoding).
_ONE_BYTE = [bytes((number,)) for number in range(0x80)]


class Template:
    """A message with places for texts.

    Attributes:
        parts: What it consists of: bytes, a text (what stands before it, and its place among the texts), or a message
            with a text in it (what stands before it, and its own template).
    """

    __slots__ = ("parts",)

    def __init__(self, data: bytes, texts: Mapping[Path, int]) -> None:
        """Makes the template.

        Args:
            data: The message, in which all the texts are set, as `as_bytes` gives it.
            texts: Path of each text -> its place.
        """
        self.parts: list[bytes | tuple[bytes, int | Template]] = []
        place = 0
        while place < len(data):
            start = place
            key, place = read_number(data, place)
            behind_key = place
            value, place = read_number(data, place)
            inner = {path[1:]: index for path, index in texts.items() if path[0] == key >> 3}
            begin = place
            if key & 7 == _DELIMITED:
                place += value
            if () in inner:
                self.parts.append((data[start:behind_key], inner[()]))
            elif inner:
                self.parts.append((data[start:behind_key], Template(data[begin:place], inner)))
            elif self.parts and isinstance(self.parts[-1], bytes):
                self.parts[-1] += data[start:place]
            else:
                self.parts.append(data[start:place])

    def fill(self, texts: Sequence[bytes]) -> bytes:
        """Writes the message with other texts.

        Args:
            texts: The texts in UTF-8, none of them empty.

        Returns:
            What `as_bytes` gives of it.
        """
        found = b""
        for part in self.parts:
            if isinstance(part, bytes):
                found += part
                continue
            head, what = part
            inner = what.fill(texts) if isinstance(what, Template) else texts[what]
            size = len(inner)
            found += head + (_ONE_BYTE[size] if size < 0x80 else _number(size)) + inner
        return found


def read_number(data: bytes, place: int) -> tuple[int, int]:
    """Reads a number of variable length.

    Args:
        data: Bytes.
        place: Where it begins.

    Returns:
        The number, and the place behind it.

    Raises:
        ValueError: There is no end of it.
    """
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError


def _number(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
