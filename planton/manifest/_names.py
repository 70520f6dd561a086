"""Names in messages: which known name is meant by an unknown one, and the two spellings of a field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_LONGEST = 64
# More of them nobody reads.
_MOST_PLACES = 3


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


def nearest_places(here: str, places: Sequence[str]) -> str:
    """Names the places of a field that are the fewest steps away, where it was written at another.

    Args:
        here: Path of the message in which it was written.
        places: Paths of the messages that have it; at least one.

    Returns:
        Them, as words.
    """

    def steps(place: str) -> int:
        left, right = here.split(".") if here else [], place.split(".") if place else []
        shared = 0
        while left[shared : shared + 1] == right[shared : shared + 1] != []:
            shared += 1
        return len(left) + len(right) - 2 * shared

    least = min(map(steps, places))
    near = [place for place in places if steps(place) == least]
    return " or ".join(near[:_MOST_PLACES]) + (" (and others)" if len(near) > _MOST_PLACES else "")


def camel(path: str) -> str:
    """Turns a path in snake_case into lowerCamelCase, as protobuf's JSON names are made.

    Args:
        path: The path.

    Returns:
        The path in lowerCamelCase.
    """
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), path)
