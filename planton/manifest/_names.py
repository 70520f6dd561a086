"""Names in messages: which are shown, and which known name is meant by an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9]*([_.-][A-Za-z0-9]+)*", re.ASCII)
# What keys and tokens have, and field names do not: long runs of capitals and digits, long runs without a break.
_TOKEN = re.compile(r"(?=[A-Z]*[0-9])[A-Z0-9]{10}|[A-Z]{16}|[A-Za-z0-9]{33}|(?:[0-9][^0-9]*){5}", re.ASCII)


def is_showable(name: str) -> bool:
    """Says whether a name out of a manifest may stand in a message.

    A text in the place of a name can be a credential, when the indentation is wrong.

    Args:
        name: The name.

    Returns:
        True when it looks like a name and not like a key or token.
    """
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None and _TOKEN.search(name) is None


def entry(key: str) -> str:
    """Writes the key of a map entry as a step of a path.

    Args:
        key: The key.

    Returns:
        `["key"]`, or `["…"]` when the key should not be shown.
    """
    parts = key.split("/", 1)
    return f'["{key}"]' if all(is_showable(part) for part in parts) else '["…"]'


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
