"""What the official client raises, as a value with no credential in it: its own texts quote headers and bodies."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from planton.cluster.api.genuine import is_status
from planton.cluster.api.remedies import WITHOUT_TLS
from planton.cluster.api.retry import BAD_ANSWER, FAILED_INSIDE, NO_CONNECTION, NO_PAGE, Cause, Failure

# How OpenSSL and Python say that the other side ended the connection: "EOF occurred in violation of protocol",
# "UNEXPECTED_EOF_WHILE_READING", "Connection reset by peer".
_CUT = re.compile(r"(?<![A-Za-z])EOF(?![A-Za-z])|reset by peer")
# Behind the number stands what the proxy says (http.client, _tunnel: "Tunnel connection failed: 407 denied"), and in
# brackets where in the source of Python or OpenSSL it was found out.
_TUNNEL = re.compile(r"(Tunnel connection failed: \d+).*", re.DOTALL)
_PLACE = re.compile(r"\s{0,4}\(_[a-z]+\.c:\d+\)")
# What says that not a byte of the request was sent; classes of urllib3 1.26 to 2.
_NOT_SENT = frozenset({"NewConnectionError", "ConnectTimeoutError", "NameResolutionError"})
# Refused before anything is looked at: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
_TOO_MANY = 429
_NOT_FOUND = 404
# Of a text nobody reads more, and to look for credentials in a megabyte of it takes seconds.
_LONGEST_TEXT = 1 << 16
# By these something is decided: what one may not do, what is not there, what others have changed, which list is too
# old. An API server never says them without a Status.
_DECIDING = frozenset({403, _NOT_FOUND, 409, 410})
# What proxies say of themselves: that they have waited for too long, and 5xx of their own, such as 520 to 530. Those
# from 502 to 504 pass by themselves.
_TIMED_OUT = 408
_PASSING = frozenset({502, 503, 504})
# What an API server says in plain text when it could not ask whoever authorizes, or has stumbled: k8s.io/apiserver
# v0.36.3, pkg/endpoints/handlers/responsewriters/errors.go (InternalError), pkg/server/filters/wrap.go. And of itself,
# while it is not ready: pkg/server/healthz/healthz.go (handleRootHealth).
_INSIDE = ("Internal Server Error: ", "This request caused apiserver to panic.", "[+]", "[-]")


def failure_of(error: Exception) -> Failure | None:
    """Reads what an attempt ended with.

    Args:
        error: What was raised.

    Returns:
        The failure; None when it is none of what is known to happen.
    """
    # Imported here and not for each request that goes well.
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException):
        return refusal(error)
    if isinstance(error, HTTPError):
        return no_answer(error)
    if isinstance(error, ConfigException):
        # A plugin of the kubeconfig that gives tokens is asked again when one has expired.
        return Failure(0, "Credentials", str(error).partition("\n")[0])
    if isinstance(error, AttributeError) and isinstance(error.__context__, ApiException):
        # 36.0.0 stumbles over its own error when that has no body, as those about TLS have none.
        return refusal(error.__context__)
    if isinstance(error, (ValueError, RecursionError)):
        return bad_answer()
    return None


def refusal(error: Any) -> Failure:
    """Reads an ApiException.

    Args:
        error: The exception.

    Returns:
        What the server said, or why it could not be asked.
    """
    status = int(error.status or 0)
    body = error.body.decode("utf-8", errors="replace") if isinstance(error.body, bytes) else (error.body or "")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    told = answer.get("details")
    details = told if isinstance(told, dict) else {}
    if status in _DECIDING and not is_status(answer):
        if status == _NOT_FOUND and body.strip() == "404 page not found":
            return Failure(status, NO_PAGE, "the server does not know this kind")
        return bad_answer(f"HTTP status {status} without a Status")
    if status == 400 and body.strip() == WITHOUT_TLS:
        return Failure(status, "", WITHOUT_TLS)
    asked = retry_after(error.headers, details)
    if asked is None and _is_of_something_else(status) and not is_status(answer):
        if not body.startswith(_INSIDE):
            return bad_answer(f"HTTP status {status} without a Status")
        text = f"HTTP status {status}: the API server failed inside, as when whoever it asks for permissions is away"
        return Failure(status, FAILED_INSIDE, text)
    listed = details.get("causes")
    causes = tuple(
        Cause(*(_cut(str(one.get(name, ""))) for name in ("reason", "message", "field")))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    )
    # Without a Status from the server its own words are a proxy's page, or the client's on TLS: only the latter helps.
    fallback = str(error.reason or "no reason given").splitlines()[-1] if status == 0 else f"HTTP status {status}"
    if status == 0:
        fallback = _own_words(fallback)
    if status == 0 and _CUT.search(fallback):
        # A server that goes down in a handshake: as with any connection that ends, another attempt may help.
        return Failure(0, NO_CONNECTION, f"no answer: {fallback}")
    return Failure(
        status,
        _cut(str(answer.get("reason") or ("TLS" if status == 0 else ""))),
        _cut(str(answer.get("message") or fallback)),
        causes,
        asked,
        may_have_arrived=status not in (0, _TOO_MANY),
        not_found=(str(details.get("name") or ""), str(details.get("kind") or ""))
        if status == _NOT_FOUND and answer.get("reason") == "NotFound" and isinstance(told, dict)
        else None,
    )


def _is_of_something_else(status: int) -> bool:
    return status == _TIMED_OUT or (status >= 500 and status not in _PASSING)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    # Not in the middle of a word: of a credential that is cut the rest might not be known.
    return f"{text[:_LONGEST_TEXT].rpartition(' ')[0]} (and {len(text) - _LONGEST_TEXT} characters more)"


def bad_answer(what: str = "") -> Failure:
    """Makes the failure of an attempt that something else than an API server has answered.

    Args:
        what: What it was, in words of ours.

    Returns:
        The failure.
    """
    return Failure(0, BAD_ANSWER, f"the answer is not what an API server says{f': {what}' if what else ''}")


def no_answer(error: BaseException) -> Failure:
    """Reads an error of urllib3's: there was no answer.

    Args:
        error: The error.

    Returns:
        The failure.
    """
    # Behind a proxy 1.26 makes a ProxyError of whatever happens to a socket, also when the request was sent long ago.
    first = getattr(error, "original_error", None) if type(error).__name__ == "ProxyError" else error
    return Failure(0, NO_CONNECTION, f"no answer: {why(error)}", may_have_arrived=type(first).__name__ not in _NOT_SENT)


def retry_after(headers: Any, details: Mapping[str, Any]) -> float | None:
    """Reads how long a server asks to wait.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after

    Args:
        headers: Headers of the answer, or None.
        details: Of the Status in it.

    Returns:
        Seconds, as they stand there; None when nothing does.
    """
    value = (headers.get("Retry-After") if headers else None) or details.get("retryAfterSeconds")
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        # From the server's own clock where it says it: that of this machine may be wrong by hours.
        now = headers.get("Date") if headers else None
        start = email.utils.parsedate_to_datetime(str(now)).timestamp() if now else time.time()
        return email.utils.parsedate_to_datetime(str(value)).timestamp() - start
    except (TypeError, ValueError, OverflowError):
        return None


def why(error: BaseException) -> str:
    """Finds the system's words at the bottom of urllib3's wrappings, whose own hold addresses of objects.

    Args:
        error: The outermost error.

    Returns:
        The words.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    words = type(error).__name__
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and (current.strerror or current.args):
            return _own_words(str(current.strerror or current.args[-1]))
        words = type(current).__name__
        reason = getattr(current, "reason", None)
        current = (reason if isinstance(reason, BaseException) else None) or current.__cause__ or current.__context__
    return words


def _own_words(text: str) -> str:
    """Leaves of the system's words what is no proxy's, and what helps."""
    return _PLACE.sub("", _TUNNEL.sub(r"\1", text))
