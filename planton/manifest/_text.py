"""Bytes -> text, and what no manifest may hold."""

from __future__ import annotations

import re

from planton.manifest._limits import MAX_BYTES

_BREAKS = ("\n", "\x85", "\u2028", "\u2029")
# Characters that YAML does not allow: https://yaml.org/spec/1.2.2/#51-character-set
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Unusable(Exception):
    """A text, or a document of it, that cannot be read on. Never holds a part of the text.

    Attributes:
        message: What is wrong.
        line: Line, from 1; 0 when unknown.
        place: Where to look for the next document in the text; -1 when there is no point in that.
    """

    def __init__(self, message: str, line: int = 0, place: int = -1) -> None:
        """Makes the error.

        Args:
            message: What is wrong.
            line: Line, from 1; 0 when unknown.
            place: Where to look for the next document.
        """
        super().__init__(message)
        self.message = message
        self.line = line
        self.place = place


def to_text(content: bytes | str) -> str:
    """Turns what was read into text.

    Args:
        content: UTF-8, or text.

    Returns:
        The text without a byte order mark.

    Raises:
        Unusable: It is too large, not UTF-8, or holds a NUL character.
    """
    if len(content) > MAX_BYTES:
        raise _too_large()
    text = _decoded(content) if isinstance(content, bytes) else content
    if "\0" in text:
        raise Unusable("holds a NUL character: this is not a text file, or not UTF-8", line_of(text, text.index("\0")))
    if not text.isascii() and isinstance(content, str):
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            # No cause: the error holds the text.
            line = line_of(text, error.start)
            raise Unusable("is not valid Unicode: it holds half of a surrogate pair", line) from None
        if size > MAX_BYTES:
            raise _too_large()
    return text.removeprefix("\ufeff")


def _too_large() -> Unusable:
    return Unusable(f"is larger than {MAX_BYTES // 2**20} MiB: split it into several files")


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF16):
        raise Unusable("is UTF-16: save it as UTF-8", 1)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # No cause: the error holds the bytes.
        raise Unusable("is not valid UTF-8", line) from None


def line_of(text: str, index: int) -> int:
    """Counts lines as YAML does.

    Args:
        text: The text.
        index: A place in it.

    Returns:
        The line of that place, from 1.
    """
    breaks = sum(text.count(one, 0, index) for one in _BREAKS if one == "\n" or not text.isascii())
    return 1 + breaks + text.count("\r", 0, index) - text.count("\r\n", 0, index)


def forbidden_character(text: str) -> int:
    """Finds a character that YAML does not allow.

    Args:
        text: The text.

    Returns:
        Its place, or -1.
    """
    match = _FORBIDDEN.search(text)
    return match.start() if match else -1
