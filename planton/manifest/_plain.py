"""What YAML readers make of a text without quotes.

The readers of YAML 1.1 (PyYAML, Kubernetes' own) and 1.2 disagree on many, so that whatever either takes for
something else than text has to be put in quotes where text belongs.
"""

from __future__ import annotations

import re
from functools import lru_cache

# YAML 1.1: https://yaml.org/type/ (bool, int, float, null, timestamp, merge, value). YAML 1.2: the core schema,
# https://yaml.org/spec/1.2.2/#103-core-schema. Go's readers take the prefixes 0b, 0o and 0x in either case:
# gopkg.in/yaml.v3 v3.0.1, resolve.go.
_NUMBER = re.compile(
    r"""[-+]?(?:
      0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
    | [0-9][0-9_]*(?::[0-9]+)+(?:[.][0-9_]*)?
    | (?:[0-9][0-9_]*(?:[.][0-9_]*)?|[.][0-9_]+)(?:[eE][-+]?[0-9]+)?
    | [.](?:inf|Inf|INF)
    ) | [.](?:nan|NaN|NAN)""",
    re.VERBOSE | re.ASCII,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?", re.ASCII)
_BOOLEAN = frozenset("y yes n no true false on off".split())
_NULL = frozenset(("", "~", "null"))

SUSPICIOUS = frozenset("0123456789+-.~yYnNtTfFoO=<")
"""First characters of the texts that can be something else than text; so can an empty one."""

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
"""A whole number in the one form that every reader takes for the same number."""


# No longer ones are kept: a credential that somebody wrote without quotes would stay in memory.
_SHORT = 8
_NUMERIC = frozenset("0123456789+-.")


def meaning(text: str) -> str:
    """Says what a text without quotes is to a YAML reader.

    Args:
        text: The text of the scalar.

    Returns:
        `no value`, `true or false`, `a number`, `a date` or `a special sign`; empty for a text.
    """
    if len(text) <= _SHORT:
        return _short(text)
    return _number_or_date(text) if text[0] in _NUMERIC else ""


@lru_cache(maxsize=1024)
def _short(text: str) -> str:
    folded = text.lower() if len(text) <= 5 else text
    if folded in _NULL:
        return "no value"
    if folded in _BOOLEAN:
        return "true or false"
    return "a special sign" if text in ("=", "<<") else _number_or_date(text)


def _number_or_date(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return "a number"
    return "a date" if _DATE.fullmatch(text) else ""
