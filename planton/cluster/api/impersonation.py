"""As whom a user of a kubeconfig acts: `as`, `as-uid`, `as-groups` and `as-user-extra`.

The official client passes over them (33 to 37, config/kube_config.py), and whatever it does is done by the user
himself, who may do more. Each is a header that the server looks at:
https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

# What a header's name may be made of, but for the sign of what is escaped: k8s.io/client-go,
# transport/round_trippers.go (legalHeaderByte, headerKeyEscape).
_PLAIN = "!#$&'*+-.^_`|~" + string.digits + string.ascii_letters


def headers_of(user: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Reads as whom a user acts.

    Args:
        user: `users[].user` of the kubeconfig.

    Returns:
        Headers, of which one name can come several times; none when he acts as himself.

    Raises:
        ValueError: It cannot be told to the server as it stands there.
    """
    found = tuple(_headers(user))
    if found and found[0][0] != "Impersonate-User":
        raise ValueError("it has as-uid, as-groups or as-user-extra for a user without as")
    for name, value in found:
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"as whom its user acts cannot be written as the header {name}")
    return found


def _headers(user: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if name := _text(user.get("as"), "as"):
        yield "Impersonate-User", name
    if uid := _text(user.get("as-uid"), "as-uid"):
        yield "Impersonate-Uid", uid
    for group in _list(user.get("as-groups"), "as-groups"):
        yield "Impersonate-Group", group
    extra = user.get("as-user-extra") or {}
    if not isinstance(extra, Mapping):
        raise ValueError("its as-user-extra is not a map of lists")
    for key in sorted(extra, key=str):
        name = "Impersonate-Extra-" + "".join(one if one in _PLAIN else quote(one, safe="") for one in str(key))
        for value in _list(extra[key], "as-user-extra"):
            yield name, value


def _list(value: Any, name: str) -> list[str]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"its {name} is not a list")
    return [_text(one, name) for one in value or ()]


def _text(value: Any, name: str) -> str:
    # Not what YAML makes of a text without quotes: another one than meant would act.
    if value is not None and not isinstance(value, str):
        raise ValueError(f"its {name} has to be put in quotes")
    return value or ""
