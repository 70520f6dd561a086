"""What can be a credential by its looks: the value under a name, and a text in the place of a name."""

from __future__ import annotations

import re

HIDDEN = "<hidden>"
"""Stands for a value that is not shown, everywhere. No base64, so that nobody decodes it."""

_CREDENTIAL = re.compile(
    r"(pass(word|wd|phrase)|secret|token|credential|private|access_?key|api_?key|account_?key|(libsodium|pgp|sas|storage)_?key"
    r"|(^|[._-])(key|auth|sas)$)",
    re.IGNORECASE,
)
# Names of things, not the things: pod_environment_secret, AWS_WEB_IDENTITY_TOKEN_FILE, enable_secrets_deletion.
_REFERENCE = re.compile(
    r"(_(file|path|name|template|transform|deletion|generation|mount|key)|^pod_environment_secret|^(enable|delete)_.*)$",
    re.IGNORECASE,
)
_CREDENTIAL_KEY = re.compile(r"(access|api|account|libsodium|pgp|sas|storage|private|secret)_?key$", re.IGNORECASE)

# A key in the place of a path, or of a part of one: long, with digits, and without what a name of such length has; or
# of the form of Amazon's and Azure's secret keys, which may have slashes; or of several lines, or JSON.
_PASTED = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z])"
    r"(?:[A-Za-z0-9+=]{32,}|(?=.*[A-Z])(?=.*[a-z])(?:[A-Za-z0-9+]|/.*[+=])[A-Za-z0-9+/]{39,}={0,2})",
    re.ASCII,
)
_NOT_IN_PATHS = re.compile(r"[\x00-\x1f{}\"]|-----")

_LONGEST = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9]*([_.-][A-Za-z0-9]+)*", re.ASCII)
# What keys and tokens have, and field names do not: long runs of capitals and digits, long runs without a break.
_TOKEN = re.compile(r"(?=[A-Z]*[0-9])[A-Z0-9]{10}|[A-Z]{16}|[A-Za-z0-9]{33}|(?:[0-9][^0-9]*){5}", re.ASCII)


def looks_like_credential(name: str) -> bool:
    """Tells whether the value under a name is likely a credential.

    Args:
        name: Key of a ConfigMap, name of a setting, or name of an environment variable.

    Returns:
        True when its value must not be shown.
    """
    if _CREDENTIAL_KEY.search(name):
        return True
    return bool(_CREDENTIAL.search(name)) and not _REFERENCE.search(name)


def has_user(url: str) -> bool:
    """Tells whether an address may have a user, and so a password, in it.

    Args:
        url: URL, or what stands in the place of one. A password with a slash in it makes it none.

    Returns:
        True where it has an `@` anywhere.
    """
    return "@" in url


def is_showable(name: str) -> bool:
    """Says whether a name out of a manifest may stand in a message.

    A text in the place of a name can be a credential, when the indentation is wrong.

    Args:
        name: The name.

    Returns:
        True when it looks like a name and not like a key or token.
    """
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None and _TOKEN.search(name) is None


def looks_like_key(text: str) -> bool:
    """Says whether what stands in the place of a path, or of a part of one, can be a key that was pasted there.

    Args:
        text: The text.

    Returns:
        True for what no path has, and for what is as long as a key and made as one.
    """
    return _PASTED.fullmatch(text) is not None or _NOT_IN_PATHS.search(text) is not None


def entry(key: str) -> str:
    """Writes the key of a map entry as a step of a path.

    Args:
        key: The key.

    Returns:
        `["key"]`, or `["…"]` when the key should not be shown.
    """
    parts = key.split("/", 1)
    return f'["{key}"]' if all(is_showable(part) for part in parts) else '["…"]'
