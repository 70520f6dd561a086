"""Words about many things: with how many of them, and with the first few of them by name."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Writes a number with its noun.

    Args:
        number: How many.
        noun: The noun in the singular, with a regular plural.

    Returns:
        Such as `1 manifest` or `3 manifests`.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def first_few(names: Sequence[str], most: int) -> str:
    """Names the first few of many.

    Args:
        names: All names.
        most: So many are named.

    Returns:
        Such as `a, b and 3 more`; empty without names.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
