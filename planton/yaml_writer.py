"""Writes trees of dicts, lists, strings, numbers and booleans as YAML that every reader understands alike.

PyYAML's own writer leaves `y`, `1e3` and `0o17` without quotes, which the readers of Kubernetes turn into other
types, and takes several times longer. Here every string that is not plainly a word is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*", re.ASCII)
# What YAML 1.1 or 1.2 readers take for a boolean, a null or a number.
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_LONGEST_RESERVED = max(map(len, _RESERVED))
_MOST_KEYS = 1000
_PART = 500
# Double-quoted YAML takes JSON's escapes; line separators and what a terminal would act on are escaped too, such as
# what turns the direction of writing.
_ESCAPED = re.compile(
    r'["\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]'
)
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def scalar(value: str | int | float | bool | None) -> str:
    """Writes one scalar.

    Args:
        value: The scalar.

    Returns:
        Its text on one line.

    Raises:
        TypeError: It is of another type.
    """
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and (len(value) > _LONGEST_RESERVED or value.lower() not in _RESERVED):
            return value
        return f'"{_ESCAPED.sub(_escape, value)}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"{type(value).__name__} is not written as YAML")


class _Writer:
    """Writes documents one after the other. Their keys are nearly all the same few, and are put into form once."""

    __slots__ = ("_keys", "_lines")

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._lines: list[str] = []

    def document(self, value: Any) -> str:
        """Writes one document; its last line is ended."""
        self._lines = lines = []
        self._write(value, "", "")
        lines.append("")
        return "\n".join(lines)

    def _write(self, value: Any, indent: str, lead: str) -> None:
        """Adds a value; `lead` is what already stands on its first line, such as `key:` or `-`."""
        # The built-in types first: to ask for the abstract ones takes longer than all the rest.
        kind = type(value)
        if kind is dict or isinstance(value, Mapping):
            self._mapping(value, indent, lead)
        elif kind is list or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
            self._sequence(value, indent, lead)
        else:
            self._lines.append(f"{lead} {scalar(value)}" if lead else scalar(value))

    def _mapping(self, value: Mapping[Any, Any], indent: str, lead: str) -> None:
        lines = self._lines
        if not value:
            lines.append(f"{lead} {{}}" if lead else "{}")
            return
        if lead.endswith(":"):
            lines.append(lead)
            lead = ""
        start = f"{lead} " if lead else indent
        deeper = f"{indent}  "
        for key, item in value.items():
            name = f"{start}{self._key(key)}:"
            if type(item) is str:
                lines.append(f"{name} {scalar(item)}")
            else:
                self._write(item, deeper, name)
            start = indent

    def _sequence(self, value: Sequence[Any], indent: str, lead: str) -> None:
        lines = self._lines
        if not value:
            lines.append(f"{lead} []" if lead else "[]")
            return
        # Lists stand at the column of their key, as Kubernetes manifests usually have them.
        column = indent[:-2] if lead.endswith(":") else indent
        if lead.endswith(":"):
            lines.append(lead)
            lead = ""
        start = f"{lead} -" if lead else f"{column}-"
        deeper = f"{column}  "
        for item in value:
            self._write(item, deeper, start)
            start = f"{column}-"

    def _key(self, key: Any) -> str:
        if type(key) is not str:
            return scalar(key)
        text = self._keys.get(key)
        if text is None:
            text = scalar(key)
            if len(self._keys) < _MOST_KEYS:
                self._keys[key] = text
        return text


def document(value: Any) -> str:
    """Writes one document.

    Args:
        value: A tree of mappings, sequences and scalars.

    Returns:
        Its lines, the last one ended.

    Raises:
        TypeError: It holds another type.
    """
    return _Writer().document(value)


def documents(values: Iterable[Any]) -> str:
    """Writes a stream of documents.

    Args:
        values: Trees of mappings, sequences and scalars.

    Returns:
        The documents with `---` between them.

    Raises:
        TypeError: One holds another type.
    """
    return "".join(parts(values))


def parts(values: Iterable[Any]) -> Iterator[str]:
    """Writes a stream of documents in parts, so that a long one need not be held as a whole.

    Args:
        values: Trees of mappings, sequences and scalars.

    Yields:
        Texts of many documents each, which make the stream when they are put one after another.

    Raises:
        TypeError: One holds another type.
    """
    writer = _Writer()
    before = ""
    texts: list[str] = []
    for value in values:
        texts.append(writer.document(value))
        if len(texts) == _PART:
            yield before + "---\n".join(texts)
            texts, before = [], "---\n"
    if texts:
        yield before + "---\n".join(texts)
