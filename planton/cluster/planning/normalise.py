"""The one place that knows how the API server changes what it is given before it shows it again.

Seen on kube-apiserver 1.36 (tests/cluster/test_normalise_live.py holds each of them against a real one); the code is
at https://github.com/kubernetes/kubernetes/tree/v1.36.3/staging/src/k8s.io/apimachinery/pkg/api/resource
(quantities) and the `omitempty` of the types under staging/src/k8s.io/api. Custom resources come back as sent.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from planton import quantity


class Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        """Names the value."""
        return "ABSENT"


ABSENT: Final = Absent()
"""Stands for a field that is not there."""

# Maps of names of the user's: their entries are kept as they are, the empty ones too.
_FREE_MAPS = frozenset({"data", "binaryData", "labels", "annotations", "matchLabels"})
# Defaults of the server within what is owned as a whole.
_FILLED_IN: Mapping[str, frozenset[str]] = {
    "fieldRef": frozenset({"apiVersion"}),
    "resourceFieldRef": frozenset({"divisor"}),
    "subjects": frozenset({"apiGroup"}),
}
_QUANTITY_MAPS = frozenset({"limits", "requests", "hard", "capacity"})
_QUANTITY_FIELDS = frozenset({"sizeLimit"})


def parse_quantity(value: object) -> Decimal | None:
    """Reads a quantity such as `1000m` or `1Gi`.

    Args:
        value: What should be one; numbers count as their text.

    Returns:
        Its value, in cores, bytes or pieces; None when it is no quantity.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return quantity.parse(str(value))
    except ValueError:
        return None


def same(desired: Any, live: Any, path: Sequence[str], *, typed: bool) -> bool:
    """Tells whether the server made a live value out of a desired one.

    Args:
        desired: What is sent.
        live: What the server shows; ABSENT when it shows nothing.
        path: Keys from the root of the object, those of list items left out.
        typed: Whether the server has a type of its own for the object; False for custom resources.

    Returns:
        True when sending the desired value changes nothing.
    """
    if isinstance(desired, Mapping):
        return _same_map(desired, live, path, typed=typed)
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        if live is ABSENT:
            return typed and not desired
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(same(one, other, path, typed=typed) for one, other in zip(desired, live, strict=True))
        )
    return _same_scalar(desired, live, path, typed=typed)


def _same_map(desired: Mapping[str, Any], live: Any, path: Sequence[str], *, typed: bool) -> bool:
    if live is ABSENT:
        return typed and not desired
    if not isinstance(live, Mapping):
        return False
    # What is compared here is owned as a whole, so what was not sent is a difference, unless the server filled it in.
    filled_in = _FILLED_IN.get(path[-1] if path else "", frozenset()) if typed else frozenset()
    if set(live) - set(desired) - filled_in:
        return False
    return all(same(value, live.get(key, ABSENT), (*path, key), typed=typed) for key, value in desired.items())


def _same_scalar(desired: Any, live: Any, path: Sequence[str], *, typed: bool) -> bool:
    parent = path[-2] if len(path) > 1 else ""
    if live is ABSENT:
        # Fields with omitempty come back absent when they are empty; entries of the user's maps never do.
        return typed and parent not in _FREE_MAPS and desired in ("", 0, False)
    if isinstance(desired, bool) or isinstance(live, bool):
        return desired is live
    if typed:
        if parent in _QUANTITY_MAPS or (path and path[-1] in _QUANTITY_FIELDS):
            wanted = parse_quantity(desired)
            return wanted is not None and wanted == parse_quantity(live)
        if parent == "data" and isinstance(desired, str) and isinstance(live, str) and desired != live:
            return is_same_base64(desired, live) if path[0] == "data" else False
    if isinstance(desired, str) or isinstance(live, str):
        return type(desired) is type(live) and bool(desired == live)
    return bool(desired == live)


def is_same_base64(one: str, other: str) -> bool:
    """Tells whether two texts are base64 of the same bytes.

    Args:
        one: A text.
        other: Another one.

    Returns:
        True when both are base64 and say the same.
    """
    try:
        return base64.b64decode(one.replace("\n", ""), validate=True) == base64.b64decode(
            other.replace("\n", ""), validate=True
        )
    except (binascii.Error, ValueError):
        return False
