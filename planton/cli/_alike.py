"""Lines of which many say the same of different objects: the first few whole, then how many more and of which."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FIRST = 3
"""How many of those that are alike are printed whole."""
_NAMED = 10
"""How many of the others are named."""
_SUBJECT = re.compile(r"[A-Za-z]\w*(?:/[\w.-]+)+")
"""`Kind/namespace/name`, as errors begin with it."""
_WORD = re.compile(r'"[^"\n]*"|[^\s(),;"]+')
_NUMBER = re.compile(r"[0-9]+")
# A refusal for want of a permission is about a resource, whose name is in quotes too, and the same for each namespace.
_FORBIDDEN = re.compile(
    r'(?P<what>cannot \w+ resource "[^"]*" in API group "[^"]*" )in the namespace "(?P<name>[^"]*)"'
)


class Line:
    """A line with what it is alike by.

    Attributes:
        text: The line, or several.
        kind: What it says, whatever it is about; those with the same one are alike.
        name: What it is about, for who wants to know of which others the same is true; can be empty.
    """

    __slots__ = ("kind", "name", "text")

    def __init__(self, text: str, kind: object, name: str) -> None:
        """Makes the line.

        Args:
            text: The line.
            kind: What it says.
            name: What it is about.
        """
        self.text = text
        self.kind = kind
        self.name = name


def line_of(text: str, subject: str = "") -> Line:
    """Finds out what a line says, whatever it says it of.

    Args:
        text: The line.
        subject: What it is about, where that is known; else it is read from its beginning.

    Returns:
        The line with its kind.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        return Line(text, (forbidden["what"], _masked(text[: forbidden.start()], "")), forbidden["name"])
    if not subject and (match := _SUBJECT.match(text.lstrip())):
        subject = match[0]
    kind, _, name = subject.partition("/")
    return Line(text, (kind, _masked(text, subject)), name)


def _masked(text: str, subject: str) -> str:
    """Takes out of a text what differs from object to object: names, what has a slash or is in quotes, numbers."""
    # The longest first: one name can be a part of the other.
    for name in sorted(set(subject.split("/")[1:]), key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "*", text)
    return _WORD.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    word = match[0]
    return "*" if word[0] == '"' or "/" in word else _NUMBER.sub("*", word)


def shortened(lines: Iterable[Line], *, every: bool) -> Iterator[str]:
    """Gives what is printed of lines.

    Args:
        lines: The lines, in their order.
        every: Whether all are printed.

    Yields:
        Lines: all in their order where they are few; else each kind together, of many that are alike the first few,
        and then how many more there are and of what.
    """
    given = list(lines)
    if every or len(given) <= _FIRST + 1:
        yield from (line.text for line in given)
        return
    kinds: dict[object, list[Line]] = {}
    for line in given:
        kinds.setdefault(line.kind, []).append(line)
    for alike in kinds.values():
        # A single one more is not worth a line about it.
        shown = _FIRST if len(alike) > _FIRST + 1 else len(alike)
        yield from (line.text for line in alike[:shown])
        if more := alike[shown:]:
            yield f"and {len(more):,} more like it{_names(more)}; -v shows them"


def _names(lines: Sequence[Line]) -> str:
    names = list(dict.fromkeys(line.name for line in lines if line.name))
    if not names:
        return ""
    others = f" and {len(names) - _NAMED:,} others" if len(names) > _NAMED + 1 else ""
    return f" ({', '.join(names[: _NAMED if others else None])}{others})"


def shortened_text(text: str, *, every: bool) -> str:
    """Shortens the text of an error, in which lines that are alike stand one after the other.

    Args:
        text: The text.
        every: Whether all of it is wanted.

    Returns:
        The text; where many lines in a row say the same, the first few of them and how many more.
    """
    rows = text.split("\n")
    if every or len(rows) <= _FIRST + 1:
        return text
    result: list[str] = []
    run: list[Line] = []
    for row in rows:
        line = line_of(row)
        if run and run[0].kind != line.kind:
            result += _run(run)
            run = []
        run.append(line)
    return "\n".join([*result, *_run(run)])


def _run(lines: Sequence[Line]) -> Iterator[str]:
    indent = re.match(" *", lines[-1].text)
    for index, text in enumerate(shortened(lines, every=False)):
        # What is said of the others stands where they would stand.
        yield f"{indent[0] if indent else ''}{text}" if index == _FIRST and len(lines) > _FIRST + 1 else text
