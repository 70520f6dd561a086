"""JSON text -> the same events as YAML, with JSON's own rules for strings, numbers and commas, and positions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from planton.manifest._events import GetEvent, forbidden_surrogate
from planton.manifest._text import Unusable, line_of

_SPACE = re.compile(r"[ \t\n\r]*")
# JSON's grammar: RFC 8259, sections 3 and 6.
_LITERAL = re.compile(r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![0-9A-Za-z_.+-])")
_LOOKS_LIKE_JSON = re.compile(r"[ \t\n\r]*[{[]")
# So much of a text is tried; a longer one is JSON when this much of it is.
_TRIED = 10_000
_DECODER = json.JSONDecoder()
_QUOTED_AND_PLAIN = (True, False)


class _Mark:
    """A place in the text, as the events of PyYAML have it."""

    __slots__ = ("index", "line")

    def __init__(self, index: int, line: int) -> None:
        self.index = index
        self.line = line


class JsonError(Unusable):
    """A text that is not JSON."""


def looks_like_json(text: str) -> bool:
    """Says whether a text without a file name is JSON, and not YAML with braces.

    Args:
        text: The text.

    Returns:
        True when it can be read as JSON, as far as it is tried.
    """
    if _LOOKS_LIKE_JSON.match(text) is None:
        return False
    get = json_events(text)
    try:
        for _ in range(_TRIED):
            if type(get()) is StreamEndEvent:
                break
    except JsonError:
        return False
    return True


def json_events(text: str) -> GetEvent:
    """Opens a text: one JSON object, several one after the other, or a list of objects.

    Args:
        text: JSON.

    Returns:
        What gives the next event. It raises JsonError.
    """
    return _Reader(text).events().__next__


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._counted = 0
        self._line = 0

    def _mark(self) -> Any:
        self._line += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        return _Mark(self._place, self._line)

    def _error(self, message: str) -> JsonError:
        return JsonError(f"is not valid JSON: {message}", line_of(self._text, self._place))

    def _peek(self) -> str:
        """Gives the next character after white space; empty at the end."""
        match = _SPACE.match(self._text, self._place)
        self._place = match.end() if match else self._place
        return self._text[self._place : self._place + 1]

    def _string(self) -> Any:
        mark = self._mark()
        try:
            value, self._place = _DECODER.raw_decode(self._text, self._place)
        except json.JSONDecodeError as error:
            self._place = min(error.pos, len(self._text))
            # No cause: the error holds the text. What it says is fixed text.
            raise self._error(error.msg.lower().rstrip(": ")) from None
        if not value.isascii() and forbidden_surrogate(value):
            raise self._error("half of a surrogate pair in an escape")
        return ScalarEvent(None, None, _QUOTED_AND_PLAIN, value, mark, mark, style='"')

    def _literal(self) -> Any:
        mark = self._mark()
        match = _LITERAL.match(self._text, self._place)
        if match is None:
            raise self._error("expected a value" if self._place < len(self._text) else "it ends too early")
        self._place = match.end()
        return ScalarEvent(None, None, _QUOTED_AND_PLAIN, match[0], mark, mark, style="")

    def events(self) -> Iterator[Any]:
        """Yields the events of the whole text."""
        yield StreamStartEvent(self._mark(), self._mark())
        listed = self._peek() == "["
        if listed:
            self._place += 1
        while (character := self._peek()) and not (listed and character == "]"):
            yield DocumentStartEvent(self._mark(), self._mark())
            yield from self._value(character)
            yield DocumentEndEvent(self._mark(), self._mark())
            if listed:
                self._after_item()
        if listed:
            if not character:
                raise self._error("the list is not closed")
            self._place += 1
            if self._peek():
                raise self._error("text after the list")
        yield StreamEndEvent(self._mark(), self._mark())

    def _after_item(self) -> None:
        character = self._peek()
        if character == ",":
            self._place += 1
            character = self._peek()
            if character == "]":
                raise self._error("a comma without a value after it")
        elif character != "]":
            raise self._error("expected a comma or the end of the list")

    def _value(self, character: str) -> Iterator[Any]:
        """Yields the events of one value, however deep; the builder limits the depth."""
        closers: list[str] = []
        while True:
            if character in ("{", "["):
                mark = self._mark()
                self._place += 1
                closers.append("}" if character == "{" else "]")
                kind = MappingStartEvent if character == "{" else SequenceStartEvent
                yield kind(None, None, True, mark, mark)
                character = self._peek()
                if character != closers[-1]:
                    if closers[-1] == "}":
                        yield self._key(character)
                    character = self._peek()
                    continue
            else:
                yield self._string() if character == '"' else self._literal()
            while closers:
                character = self._peek()
                if character == closers[-1]:
                    mark = self._mark()
                    self._place += 1
                    yield (MappingEndEvent if closers.pop() == "}" else SequenceEndEvent)(mark, mark)
                    continue
                if character != ",":
                    raise self._error("expected a comma or the end of the object or list")
                self._place += 1
                character = self._peek()
                if closers[-1] == "}":
                    yield self._key(character)
                    character = self._peek()
                break
            else:
                return

    def _key(self, character: str) -> Any:
        if character != '"':
            raise self._error("expected a name in double quotes")
        event = self._string()
        if self._peek() != ":":
            raise self._error("expected a colon after the name")
        self._place += 1
        return event
