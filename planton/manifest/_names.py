"""Names in messages: which known name is meant by an unknown one, and the two spellings of a field."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 64


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Finds the known name that is most like an unknown one.

    Args:
        name: The unknown name.
        known: The known names.
        cutoff: How like it must be, from 0 to 1.

    Returns:
        The known name, or an empty text.
    """
    if len(name) > _LONGEST:
        return ""
    # Imported here: only needed for what is wrong.
    from difflib import get_close_matches

    candidates = list(known)
    found = get_close_matches(name, candidates, n=1, cutoff=cutoff)
    if not found:
        folded = {candidate.lower(): candidate for candidate in reversed(candidates)}
        near = get_close_matches(name.lower(), list(folded), n=1, cutoff=cutoff)
        found = [folded[one] for one in near]
    return found[0] if found else ""


def camel(path: str) -> str:
    """Turns a path in snake_case into lowerCamelCase, as protobuf's JSON names are made.

    Args:
        path: The path.

    Returns:
        The path in lowerCamelCase.
    """
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), path)
