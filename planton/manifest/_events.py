"""Text -> events of PyYAML's parsers, with aliases filled in, tags refused and errors in our words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from planton.manifest._limits import MAX_BYTES_IN_PYTHON, MAX_REPLAYED
from planton.manifest._text import Unusable, forbidden_character, line_of

CParser: Any
try:
    from yaml._yaml import CParser
except ImportError:  # A PyYAML that was built without libyaml.
    CParser = None

GetEvent: TypeAlias = Callable[[], Any]
"""Gives the next event."""

# The parser in Python puts text from the file between quotes in its messages; those of libyaml are fixed.
_QUOTED = re.compile(r",?(?:\s*but (?:found|got))?\s*['\"].*['\"]", re.DOTALL)
_HINTS = {
    "mapping values are not allowed": "look at the indentation, and put a text that has ': ' in it in quotes",
    "cannot start any token": "use spaces to indent, not tabs, and put a text that begins with @ or ` in quotes",
    "did not find expected key": "look at the indentation and the quotes here and above",
    "could not find expected ':'": "look at the indentation and the quotes here and above",
    "unexpected end of stream": "a quote or bracket is not closed",
    "did not find expected ',' or": "a bracket is not closed, or a comma is missing",
}


class _PythonParser(Reader, Scanner, Parser):
    """PyYAML's parser in Python, for a PyYAML without libyaml: the same events, twenty times slower."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


def yaml_events(text: str, report: Callable[[str, int], None], base: int = 1) -> GetEvent:
    """Opens a text.

    Args:
        text: YAML.
        report: Takes a problem and its line in the text, from 0.
        base: Number of the text's first line, from 1.

    Returns:
        What gives the next event. It raises yaml.YAMLError or Unusable.

    Raises:
        Unusable: The text declares tags, or is too large.
    """
    if CParser is None and len(text) > MAX_BYTES_IN_PYTHON:
        raise Unusable(
            f"is larger than {MAX_BYTES_IN_PYTHON // 2**20} MiB, which is the limit where PyYAML lacks libyaml: "
            "install a PyYAML that has it, or split the file"
        )
    # libyaml compares each %TAG with all before it: a minute for a megabyte of them.
    at = 0 if text.startswith("%TAG") else text.find("\n%TAG") + 1
    if at or text.startswith("%TAG"):
        raise Unusable("declares YAML tags (%TAG), which are not allowed", line_of(text, at) + base - 1)
    get: GetEvent = CParser(text).get_event if CParser is not None else _python_events(text, base)
    # Anchors and tags need a look at every event, which costs a tenth of the time: only where there can be any.
    return _Expansion(get, report, base) if "&" in text or "!" in text else get


def _python_events(text: str, base: int) -> GetEvent:
    inner: GetEvent = _PythonParser(text).get_event

    def get() -> Any:
        event: Any = inner()
        if isinstance(event, ScalarEvent) and not event.value.isascii() and forbidden_surrogate(event.value):
            mark: Any = event.start_mark
            raise Unusable("holds half of a surrogate pair in an escape", mark.line + base, mark.index)
        return event

    return get


def forbidden_surrogate(text: str) -> bool:
    """Says whether a text holds half of a surrogate pair, which no message can.

    Args:
        text: The text.

    Returns:
        True when it does.
    """
    return any("\ud800" <= character <= "\udfff" for character in text)


class _Expansion:
    """Fills in aliases, within a budget, and refuses tags.

    The events of anchored nodes are kept in one list as they come, aliases in them unexpanded, so that what is kept
    never outgrows the text.
    """

    def __init__(self, get: GetEvent, report: Callable[[str, int], None], base: int) -> None:
        self._get = get
        self._report = report
        self._base = base
        self._begin()

    def _begin(self) -> None:
        self._kept: list[Any] = []
        self._ranges: dict[str, tuple[int, int]] = {}
        self._open: list[tuple[str, int, int]] = []
        self._depth = 0
        self._replaying: list[list[int]] = []
        self._alias: Any = None
        self._budget = MAX_REPLAYED

    def __call__(self) -> Any:
        """Gives the next event."""
        while self._replaying:
            frame = self._replaying[-1]
            if frame[0] == frame[1]:
                self._replaying.pop()
                continue
            event = self._kept[frame[0]]
            frame[0] += 1
            self._budget -= 1
            if self._budget < 0:
                mark = self._alias.start_mark
                raise Unusable(
                    f"has aliases that repeat more than {MAX_REPLAYED} nodes in one document",
                    mark.line + self._base,
                    mark.index,
                )
            if type(event) is AliasEvent and event.anchor in self._ranges:
                self._replaying.append(list(self._ranges[event.anchor]))
                continue
            return event
        event = self._get()
        if isinstance(event, NodeEvent):
            return self._node(event)
        if type(event) is DocumentStartEvent:
            self._begin()
        elif type(event) in (MappingEndEvent, SequenceEndEvent) and self._open:
            self._kept.append(event)
            self._depth -= 1
            if self._open[-1][2] == self._depth:
                name, start, _ = self._open.pop()
                self._ranges[name] = (start, len(self._kept))
        return event

    def _node(self, event: Any) -> Any:
        if type(event) is AliasEvent:
            if self._open:
                self._kept.append(event)
            if event.anchor in self._ranges:
                self._alias = event
                self._replaying.append(list(self._ranges[event.anchor]))
                return self()
            return event
        line = event.start_mark.line
        if event.tag is not None:
            self._report("has a YAML tag (!…), which is not allowed: remove the tag", line)
        anchor = event.anchor
        if anchor is not None:
            if anchor in self._ranges or any(anchor == name for name, _, _ in self._open):
                self._report("has an anchor (&…) that is used twice in this document: give each its own name", line)
            elif type(event) is ScalarEvent:
                self._ranges[anchor] = (len(self._kept), len(self._kept) + 1)
                if not self._open:
                    self._kept.append(event)
            else:
                self._open.append((anchor, len(self._kept), self._depth))
        if self._open:
            self._kept.append(event)
            if type(event) in (MappingStartEvent, SequenceStartEvent):
                self._depth += 1
        return event


def explain(error: yaml.YAMLError, text: str, base: int) -> Unusable:
    """Puts an error of the parser into words that hold no part of the text.

    Args:
        error: The error.
        text: The text that was parsed.
        base: Number of its first line, from 1.

    Returns:
        The error in our words.
    """
    if isinstance(error, ReaderError) or not isinstance(error, yaml.MarkedYAMLError):
        place = max(forbidden_character(text), 0)
        line = line_of(text, place) + base - 1
        return Unusable("holds a control character that YAML does not allow", line, place)
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or ""
    hint = next((hint for start, hint in _HINTS.items() if start in problem), "")
    if CParser is None:
        problem = _QUOTED.sub("", problem)
    message = f"is not valid YAML: {problem}" + (f" ({hint})" if hint else "")
    return Unusable(message, mark.line + base, mark.index) if mark is not None else Unusable(message)
