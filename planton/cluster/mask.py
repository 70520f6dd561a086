"""Hides credentials: in diffs by the place they stand in, in texts of the server by their value."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "<hidden>"
"""Stands for a value that is not shown."""

# Shorter values would turn every text into stars without hiding anything worth it.
_MIN_LENGTH = 4

_CREDENTIAL = re.compile(
    r"(pass(word|wd|phrase)|secret|token|credential|private|access_?key|api_?key|account_?key|(libsodium|pgp|sas|storage)_?key"
    r"|(^|[._-])(key|auth|sas)$)",
    re.IGNORECASE,
)
# Names of things, not the things: pod_environment_secret, AWS_WEB_IDENTITY_TOKEN_FILE, enable_secrets_deletion.
_REFERENCE = re.compile(
    r"(_(file|path|name|template|transform|deletion|key)|^pod_environment_secret|^(enable|delete)_.*)$", re.IGNORECASE
)
_CREDENTIAL_KEY = re.compile(r"(access|api|account|libsodium|pgp|sas|storage|private|secret)_?key$", re.IGNORECASE)


def looks_like_credential(name: str) -> bool:
    """Tells whether the value under a name is likely a credential.

    Args:
        name: Key of a ConfigMap, or name of an environment variable.

    Returns:
        True when its value must not be shown.
    """
    if _CREDENTIAL_KEY.search(name):
        return True
    return bool(_CREDENTIAL.search(name)) and not _REFERENCE.search(name)


def _forms(value: str) -> Iterable[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]


class Scrubber:
    """Takes known credentials out of texts. Prints how many it knows and never which.

    Example:
        >>> Scrubber(["hunter22"]).text('Invalid value: "hunter22"')
        'Invalid value: "<hidden>"'
    """

    __slots__ = ("_pattern", "_size")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Makes the scrubber.

        Args:
            values: Credentials; those shorter than four characters are passed over.
        """
        forms = {form for value in values if len(value) >= _MIN_LENGTH for form in _forms(value)}
        self._size = len(forms)
        # Longest first, so that a credential that begins like another one goes whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(re.escape(form) for form in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """Replaces each known credential.

        Args:
            text: Text of the server, or of a diff.

        Returns:
            The text without them.
        """
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def __repr__(self) -> str:
        """Says how many forms are known."""
        return f"Scrubber({self._size} forms)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuses to be written down."""
        raise TypeError("credentials are not pickled")


def _secret_values(obj: Mapping[str, Any]) -> Iterable[str]:
    for value in (obj.get("stringData") or {}).values():
        if isinstance(value, str):
            yield value
    for value in (obj.get("data") or {}).values():
        if not isinstance(value, str):
            continue
        yield value
        try:
            plain = base64.b64decode(value, validate=False).decode("utf-8", errors="replace")
        except (binascii.Error, ValueError):
            continue
        yield plain
        yield from plain.splitlines()


def scrubber_for(objects: Iterable[Mapping[str, Any]]) -> Scrubber:
    """Makes a scrubber that knows every value in the Secrets of a set.

    Args:
        objects: Objects of any kind.

    Returns:
        The scrubber.
    """
    return Scrubber(value for obj in objects if obj.get("kind") == "Secret" for value in _secret_values(obj))


_DATA = frozenset({"data", "stringData", "binaryData"})


def is_hidden(kind: str, path: tuple[str, ...], entry_name: str = "") -> bool:
    """Tells whether the value at a path of an object must not be shown.

    Args:
        kind: Kind of the object.
        path: Keys from the root of the object.
        entry_name: `name` of the list item in which the value stands, such as that of an environment variable.

    Returns:
        True when it must not be shown.
    """
    if path and path[0] in _DATA and (kind == "Secret" or (len(path) > 1 and looks_like_credential(path[1]))):
        return True
    if entry_name and path and path[-1] == "value" and looks_like_credential(entry_name):
        return True
    # kubectl apply keeps the whole object there, a Secret's data with it.
    return any(part.endswith("last-applied-configuration") for part in path)
