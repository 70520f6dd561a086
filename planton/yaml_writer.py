"""Writes trees of dicts, lists, strings, numbers and booleans as YAML that every reader understands alike.

PyYAML's own writer leaves `y`, `1e3` and `0o17` without quotes, which the readers of Kubernetes turn into other
types, and takes several times longer. Here every string that is not plainly a word is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*", re.ASCII)
# What YAML 1.1 or 1.2 readers take for a boolean, a null or a number.
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
# Double-quoted YAML takes JSON's escapes; line separators and what a terminal would act on are escaped too.
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]')
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
        if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        return f'"{_ESCAPED.sub(_escape, value)}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"{type(value).__name__} is not written as YAML")


def _write(value: Any, indent: str, lines: list[str], lead: str) -> None:
    """Adds a value; `lead` is what already stands on its first line, such as `key:` or `-`."""
    if isinstance(value, Mapping):
        if not value:
            lines.append(f"{lead} {{}}" if lead else "{}")
            return
        if lead.endswith(":"):
            lines.append(lead)
            lead = ""
        for key, item in value.items():
            start = f"{lead} " if lead else indent
            _write(item, f"{indent}  ", lines, f"{start}{scalar(key)}:")
            lead = ""
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            lines.append(f"{lead} []" if lead else "[]")
            return
        # Lists stand at the column of their key, as Kubernetes manifests usually have them.
        column = indent[:-2] if lead.endswith(":") else indent
        if lead.endswith(":"):
            lines.append(lead)
            lead = ""
        for item in value:
            start = f"{lead} -" if lead else f"{column}-"
            _write(item, f"{column}  ", lines, start)
            lead = ""
    else:
        lines.append(f"{lead} {scalar(value)}" if lead else scalar(value))


def document(value: Any) -> str:
    """Writes one document.

    Args:
        value: A tree of mappings, sequences and scalars.

    Returns:
        Its lines, the last one ended.

    Raises:
        TypeError: It holds another type.
    """
    lines: list[str] = []
    _write(value, "", lines, "")
    lines.append("")
    return "\n".join(lines)


def documents(values: Iterable[Any]) -> str:
    """Writes a stream of documents.

    Args:
        values: Trees of mappings, sequences and scalars.

    Returns:
        The documents with `---` between them.

    Raises:
        TypeError: One holds another type.
    """
    return "---\n".join(document(value) for value in values)
