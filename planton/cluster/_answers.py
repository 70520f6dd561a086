"""What the official client raises, as a value with no credential in it: its own texts quote headers and bodies."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from planton.cluster._retry import NO_CONNECTION, Cause, Failure

# How OpenSSL and Python say that the other side ended the connection: "EOF occurred in violation of protocol",
# "UNEXPECTED_EOF_WHILE_READING", "Connection reset by peer".
_CUT = re.compile(r"(?<![A-Za-z])EOF(?![A-Za-z])|reset by peer")
# What says that not a byte of the request was sent; classes of urllib3 1.26 to 2.
_NOT_SENT = frozenset({"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError"})
# Refused before anything is looked at: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
_TOO_MANY = 429


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
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    listed = details.get("causes")
    causes = tuple(
        Cause(str(one.get("reason", "")), str(one.get("message", "")), str(one.get("field", "")))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    )
    # Without a Status from the server its own words are a proxy's page, or the client's on TLS: only the latter helps.
    fallback = str(error.reason or "no reason given").splitlines()[-1] if status == 0 else f"HTTP status {status}"
    if status == 0 and _CUT.search(fallback):
        # A server that goes down in a handshake: as with any connection that ends, another attempt may help.
        return Failure(0, NO_CONNECTION, f"no answer: {fallback}")
    return Failure(
        status,
        str(answer.get("reason") or ("TLS" if status == 0 else "")),
        str(answer.get("message") or fallback),
        causes,
        retry_after(error.headers, details),
        may_have_arrived=status not in (0, _TOO_MANY),
    )


def no_answer(error: BaseException) -> Failure:
    """Reads an error of urllib3's: there was no answer.

    Args:
        error: The error.

    Returns:
        The failure.
    """
    return Failure(0, NO_CONNECTION, f"no answer: {why(error)}", may_have_arrived=type(error).__name__ not in _NOT_SENT)


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
    except (TypeError, ValueError):
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
            return str(current.strerror or current.args[-1])
        words = type(current).__name__
        reason = getattr(current, "reason", None)
        current = (reason if isinstance(reason, BaseException) else None) or current.__cause__ or current.__context__
    return words
