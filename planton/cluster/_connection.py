"""One request to the API server: built as a value, sent through the official client, failed with typed errors.

The ways of the client that work unchanged on its versions 33 to 37 are few: a DynamicClient that discovers nothing,
its `request` with `serialize=False`, and a pair as `_request_timeout` (a number is silently ignored by 33 to 35).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planton.errors import ClusterError

MAX_THREADS = 8
"""Requests at a time: an API server is saturated by four to eight writers."""

_TIMEOUT = (5.0, 30.0)
# Together about 23 seconds: an API server that restarts is back by then.
_ATTEMPTS = 8
# A server that has never answered is more likely the wrong one than one that restarts.
_FIRST_ATTEMPTS = 2
_LONGEST_PAUSE = 10.0
NO_CONNECTION = "NoConnection"
"""Reason of an error without an answer."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """Which cluster is meant.

    Attributes:
        server: URL of the API server.
        context: Name of the context in the kubeconfig.
        kubeconfig: Path of the kubeconfig, or paths as in KUBECONFIG.
    """

    server: str
    context: str
    kubeconfig: str

    def __str__(self) -> str:
        """Formats the identity as one line."""
        return f"{self.server} (context {self.context} of {self.kubeconfig})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ready to be sent.

    All that this module builds may be sent again when it is not known whether it arrived: an apply of the same fields
    changes nothing, a merge patch carries the resourceVersion or says the same again, a deletion carries the uid.

    Attributes:
        method: HTTP method.
        path: Path from the root of the server.
        query: Parameters.
        body: What is sent as JSON; not printed, since it can be a Secret.
        content_type: Type of the body.
        accept: Type of the answer; empty for plain JSON.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    content_type: str = ""
    accept: str = ""


def get(path: str, query: Mapping[str, str | int | None] | None = None) -> Request:
    """Builds a reading request.

    Args:
        path: Path from the root of the server.
        query: Parameters; None and empty ones are left out.

    Returns:
        The request.
    """
    return Request("GET", path, _query(query or {}))


def apply_patch(path: str, body: Mapping[str, Any], *, manager: str, force: bool, dry_run: bool) -> Request:
    """Builds a server-side apply.

    Args:
        path: Path of the object.
        body: The object, with all fields that the manager shall own and no other.
        manager: Field manager.
        force: Whether fields of other managers are taken over.
        dry_run: Whether nothing is written.

    Returns:
        The request.
    """
    query = {"fieldManager": manager, "force": str(force).lower(), "dryRun": "All" if dry_run else None}
    return Request("PATCH", path, _query(query), body, _APPLY)


def merge_patch(path: str, body: Mapping[str, Any], *, manager: str) -> Request:
    """Builds a JSON merge patch.

    Args:
        path: Path of the object.
        body: The patch; None removes a field. With a resourceVersion in it the server refuses it on any other.
        manager: Field manager.

    Returns:
        The request.
    """
    return Request("PATCH", path, _query({"fieldManager": manager}), body, _MERGE)


def delete(path: str, *, uid: str, resource_version: str | None, propagation: str = "Background") -> Request:
    """Builds a deletion of exactly the object that was looked at.

    Args:
        path: Path of the object.
        uid: Its uid; another object of the same name is not deleted.
        resource_version: Its resourceVersion, or None when it may have changed since.
        propagation: What becomes of its dependents: Background, Foreground or Orphan.

    Returns:
        The request.
    """
    preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": preconditions,
        "propagationPolicy": propagation,
    }
    return Request("DELETE", path, (), body, "application/json")


def _query(query: Mapping[str, str | int | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in query.items() if value not in (None, ""))


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause in a refusal of the server.

    Attributes:
        reason: Such as `FieldManagerConflict`.
        message: What the server says.
        field: Path of the field, such as `.spec.replicas`.
    """

    reason: str
    message: str
    field: str


class ApiError(ClusterError):
    """The server refused, or could not be reached.

    Attributes:
        causes: Details of the refusal.
    """

    def __init__(self, text: str, *, causes: Sequence[Cause] = (), **facts: Any) -> None:
        """Makes the error.

        Args:
            text: What the server said, free of credentials.
            causes: Details.
            **facts: As of ClusterError.
        """
        self.causes = tuple(causes)
        super().__init__(text, **facts)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed attempt."""

    status: int
    reason: str
    text: str
    causes: tuple[Cause, ...] = ()
    retry_after: float | None = None

    @property
    def is_passing(self) -> bool:
        """Whether another attempt may succeed."""
        if self.status == 500:
            # It is also what the server says to an unknown field in an apply.
            return self.retry_after is not None or self.reason == "ServerTimeout" or "etcdserver" in self.text
        return self.status in (429, 502, 503, 504) or self.reason == NO_CONNECTION


class Connection:
    """Sends requests to one API server. Safe for several threads; prints only which cluster it is."""

    def __init__(self, client: Any, identity: ClusterIdentity, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Makes the connection; opens nothing yet.

        Args:
            client: DynamicClient of the official client.
            identity: Which cluster it is.
            sleep: Waits a number of seconds, between attempts.
        """
        self._client = client
        self._sleep = sleep
        self._has_answered = False
        self.identity = identity

    def __repr__(self) -> str:
        """Names the cluster; the client's configuration holds a token."""
        return f"Connection({self.identity})"

    @property
    def client_configuration(self) -> Any:
        """Configuration of the official client, for what is no plain request. It holds a token."""
        return self._client.client.configuration

    def send(self, request: Request, *, subject: str, phase: str, scrub: Callable[[str], str]) -> tuple[int, Any]:
        """Sends a request, again where that is safe and may help.

        Args:
            request: The request.
            subject: `Kind/namespace/name`, for the error.
            phase: What is being done, for the error.
            scrub: Takes credentials out of the server's text.

        Returns:
            Status and the answer's JSON.

        Raises:
            ApiError: The server refused, or could not be reached in several attempts.
        """
        attempt = 1
        while True:
            answer = self._attempt(request)
            if not isinstance(answer, _Failure):
                self._has_answered = True
                return answer
            self._has_answered = self._has_answered or answer.status != 0
            most = _ATTEMPTS if self._has_answered else _FIRST_ATTEMPTS
            if attempt >= most or not answer.is_passing:
                break
            pause = answer.retry_after if answer.retry_after is not None else 0.2 * 2 ** (attempt - 1)
            self._sleep(min(pause, _LONGEST_PAUSE))
            attempt += 1
        # Raised out here: inside of an except block the client's error, with headers and body, would hang on it.
        raise ApiError(
            scrub(answer.text),
            causes=[Cause(one.reason, scrub(one.message), scrub(one.field)) for one in answer.causes],
            subject=subject,
            phase=phase,
            status=answer.status,
            reason=answer.reason,
            remedy=_remedy(answer, self.identity),
        )

    def open(
        self, request: Request, *, subject: str, phase: str, scrub: Callable[[str], str], silence: float
    ) -> Iterator[bytes]:
        """Sends a request once and gives its answer piece by piece, as it comes.

        Args:
            request: A reading request, which may be answered without end.
            subject: What it is about, for the error.
            phase: What is being done, for the error.
            scrub: Takes credentials out of the server's text.
            silence: Seconds without a piece after which the server counts as gone.

        Yields:
            Pieces of the answer.

        Raises:
            ApiError: The server refused, could not be reached, or went away in the middle.
        """
        from urllib3.exceptions import HTTPError

        response = self._respond(request, (_TIMEOUT[0], silence), lambda response: response)
        if isinstance(response, _Failure):
            failure = response
        else:
            try:
                yield from response.stream(None, decode_content=False)
                return
            except HTTPError as error:
                failure = _Failure(0, NO_CONNECTION, f"no answer any more: {_why(error)}")
            finally:
                response.close()
        raise ApiError(
            scrub(failure.text),
            subject=subject,
            phase=phase,
            status=failure.status,
            reason=failure.reason,
            remedy=_remedy(failure, self.identity),
        )

    def _attempt(self, request: Request) -> tuple[int, Any] | _Failure:
        answer: tuple[int, Any] | _Failure = self._respond(
            request, _TIMEOUT, lambda response: (int(response.status), json.loads(response.data))
        )
        return answer

    def _respond(self, request: Request, timeout: tuple[float, float], read: Callable[[Any], Any]) -> Any:
        """Gives what is read from the client's response, or a failure."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException
        from urllib3.exceptions import HTTPError

        try:
            response = self._client.request(
                request.method.lower(),
                request.path,
                body=request.body,
                query_params=list(request.query),
                header_params={"Accept": request.accept} if request.accept else {},
                content_type=request.content_type or None,
                serialize=False,
                _request_timeout=timeout,
            )
            return read(response)
        except ApiException as error:
            return _refusal(error)
        except HTTPError as error:
            return _Failure(0, NO_CONNECTION, f"no answer: {_why(error)}")
        except ConfigException as error:
            # A plugin of the kubeconfig that gives tokens is asked again when one has expired.
            return _Failure(0, "Credentials", str(error).partition("\n")[0])
        except AttributeError as error:
            # 36.0.0 stumbles over its own error when that has no body, as those about TLS have none.
            if not isinstance(error.__context__, ApiException):
                raise
            return _refusal(error.__context__)
        except ValueError:
            return _Failure(0, "BadAnswer", "the answer is not what an API server says")


# How OpenSSL and Python say that the other side ended the connection: "EOF occurred in violation of protocol",
# "UNEXPECTED_EOF_WHILE_READING", "Connection reset by peer".
_CUT = re.compile(r"(?<![A-Za-z])EOF(?![A-Za-z])|reset by peer")


def _refusal(error: Any) -> _Failure:
    status = int(error.status or 0)
    body = error.body.decode("utf-8", errors="replace") if isinstance(error.body, bytes) else (error.body or "")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    details = answer.get("details") or {}
    causes = tuple(
        Cause(str(one.get("reason", "")), str(one.get("message", "")), str(one.get("field", "")))
        for one in details.get("causes") or ()
    )
    # Without a Status from the server its own words are a proxy's page, or the client's on TLS: only the latter helps.
    fallback = str(error.reason or "no reason given").splitlines()[-1] if status == 0 else f"HTTP status {status}"
    if status == 0 and _CUT.search(fallback):
        # A server that goes down in a handshake: as with any connection that ends, another attempt may help.
        return _Failure(0, NO_CONNECTION, f"no answer: {fallback}")
    return _Failure(
        status,
        str(answer.get("reason") or ("TLS" if status == 0 else "")),
        str(answer.get("message") or fallback),
        causes,
        _retry_after(error.headers, details),
    )


def _retry_after(headers: Any, details: Mapping[str, Any]) -> float | None:
    value = (headers.get("Retry-After") if headers else None) or details.get("retryAfterSeconds")
    try:
        return float(value) if value is not None else None
    except (TypeError, ValueError):
        return None  # A date: the usual pause will do.


def _why(error: BaseException) -> str:
    """Finds the system's words at the bottom of urllib3's wrappings, whose own hold addresses of objects."""
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


def _remedy(failure: _Failure, identity: ClusterIdentity) -> str:
    if failure.status == 0:
        return f"Is {identity.server} the right cluster, and can it be reached from here?"
    if failure.status == 401:
        return f"The credentials of context {identity.context} are not accepted: log in again."
    if failure.status == 403 and failure.reason in ("", "Forbidden"):
        return f"The user of context {identity.context} needs that permission."
    return ""
