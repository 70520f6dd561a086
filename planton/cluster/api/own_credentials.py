"""Takes what the client itself logs in with out of texts of the server, which may echo the headers of a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from planton.cluster.api.mask import Scrubber, without_tokens
from planton.cluster.api.retry import Cause, Failure

_NAMES = ("authorization", "cookie", "token", "api-key", "apikey")


def own_values(client: Any) -> Iterator[str]:
    """Gives the credentials of a client. Asks no plugin for others.

    Args:
        client: DynamicClient of the official client, or what planton puts into its place.

    Yields:
        Tokens, passwords, and how they are written in headers.
    """
    api = getattr(client, "client", None)
    settings = getattr(api, "configuration", None)
    headers: list[Any] = [getattr(api, "default_headers", None), getattr(settings, "proxy_headers", None)]
    # What was sent with the last request; the settings may have another token already.
    headers.append(getattr(client, "sent_headers", None))
    for value in (_texts(getattr(settings, "api_key", None))).values():
        yield from _of_header(value)
    for one in headers:
        for name, value in _texts(one).items():
            if any(part in name.lower() for part in _NAMES):
                yield from _of_header(value)
    user, password = getattr(settings, "username", None), getattr(settings, "password", None)
    if isinstance(password, str) and password:
        yield password
        yield base64.b64encode(f"{user or ''}:{password}".encode()).decode()


def _texts(values: Any) -> dict[str, str]:
    if not isinstance(values, Mapping):
        return {}
    return {str(name): value for name, value in values.items() if isinstance(value, str) and value}


def _of_header(value: str) -> Iterator[str]:
    """Gives the credential of a header without the word before it, which is no secret; and a password in it."""
    token = value.split(None, 1)[-1] if value.strip() else ""
    yield token
    # The parts of a JSON Web Token are base64 of facts, and the last one is what makes it valid.
    if token.count(".") == 2:
        yield from token.split(".")
    if value.lower().startswith("basic "):
        try:
            plain = base64.b64decode(token).decode("utf-8")
        except (binascii.Error, ValueError):
            return
        yield plain
        yield plain.partition(":")[2]


def without_own(text: str, client: Any) -> str:
    """Hides the client's credentials, and what else stands in quoted headers.

    Args:
        text: Text of the server.
        client: The client that it has answered.

    Returns:
        The text without them.
    """
    return without_tokens(Scrubber(own_values(client)).text(text))


def safe_failure(failure: Failure, client: Any) -> Failure:
    """Does that for all texts of a failure.

    Args:
        failure: How an attempt ended.
        client: The client that has made it.

    Returns:
        The failure, safe but for the credentials of the set.
    """
    # Once for all texts, and only made when a request has failed.
    own = Scrubber(own_values(client))

    def safe(text: str) -> str:
        return without_tokens(own.text(text))

    return replace(
        failure,
        text=safe(failure.text),
        reason=safe(failure.reason),
        causes=tuple(Cause(safe(one.reason), safe(one.message), safe(one.field)) for one in failure.causes),
    )
