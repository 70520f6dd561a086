"""Requests on the official client's own connections, without its layers above them.

Between DynamicClient.request and the pool of urllib3 the client turns bodies into bodies and asks its configuration a
dozen questions, which takes longer than all the rest of a request: with several threads in one interpreter the API
server then waits for us. What belongs to the client stays the client's: reading the kubeconfig, TLS, proxies, tokens
and the hooks that renew them. Pool and settings have the same names in its versions 33 to 37 (client/rest.py,
RESTClientObject.pool_manager; client/configuration.py, auth_settings).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from planton.cluster.api.exchange import exchange
from planton.cluster.api.incoming import read_by
from planton.cluster.api.reading import whole

# A token is renewed up to minutes before it expires, and one that is refused all the same is read anew.
_SECONDS = 1.0
_PORT = 443
# What a server says of a refusal is a few lines; what comes from a proxy can be anything.
_LONGEST_REFUSAL = 1 << 20
_USUAL: Mapping[str, str] = {"Accept": "application/json"}
# What is written for each request; a setting of the client's that says another thing is left to urllib3.
_WRITTEN = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-length", "content-type", "transfer-encoding", "expect"}
)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where requests go, and with which headers; not printed, since a token is among them."""

    end: float
    root: str
    headers: Mapping[str, str] = field(repr=False)
    send: Callable[..., Any] = field(repr=False)
    pool: Any = field(default=None, repr=False)
    head: str = field(default="", repr=False)


class PooledClient:
    """Has the one method of DynamicClient that planton uses. Safe for several threads."""

    def __init__(
        self,
        client: Any,
        *,
        acting_as: Sequence[tuple[str, str]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes the value; opens nothing yet.

        Args:
            client: ApiClient of the official client.
            acting_as: Headers of each request that say as whom its user acts; one name can come several times.
            clock: Gives the time in seconds.
        """
        self.client = client
        self.acting_as = tuple(acting_as)
        self._clock = clock
        self._lock = threading.Lock()
        self._target = _Target(float("-inf"), "", {}, print)
        read_by(client.rest_client.pool_manager)

    def __repr__(self) -> str:
        """Says nothing of the client, whose configuration holds a token."""
        return "PooledClient()"

    @property
    def sent_headers(self) -> Mapping[str, str]:
        """Headers of the last requests, a token among them: for whoever has to recognise it."""
        return self._target.headers

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query_params: Sequence[tuple[str, str]] = (),
        header_params: Mapping[str, str] | None = None,
        content_type: str | None = None,
        serialize: bool = False,
        in_pieces: bool = False,
        _request_timeout: tuple[float, float],
    ) -> Any:
        """Sends a request.

        Args:
            method: HTTP method in lower case.
            path: Path from the root of the server.
            body: What is sent as JSON; None for nothing.
            query_params: Parameters.
            header_params: Further headers.
            content_type: Type of the body.
            serialize: False; the answer is never made into the client's own objects.
            in_pieces: Whether the answer is read as it comes, and not as a whole.
            _request_timeout: Seconds to connect, and seconds without a byte.

        Returns:
            The response of urllib3, or one with the same status and data, of which only the head has been read.

        Raises:
            ApiException: The server refused, or its certificate is not right.
            ConfigException: A plugin of the kubeconfig gave no credentials.
            urllib3.exceptions.HTTPError: The server could not be reached.
        """
        if serialize:
            raise TypeError("answers are not made into objects")
        target = self._now()
        url = f"{target.root}{path}{_query(tuple(query_params))}"
        # As the client writes it: a proxy between may not know UTF-8.
        data = json.dumps(body).encode("ascii") if body is not None else None
        special = {**(header_params or {})}
        if data is not None:
            special["Content-Type"] = content_type or "application/json"
        method = method.upper()
        response: Any = None
        try:
            is_usual = target.head and not in_pieces and (data is not None or method == "GET")
            if is_usual and (head := _head(method, url, target.head, special, data)):
                response = exchange(target.pool, head + (data or b""), _request_timeout[1])
            if response is None:
                from urllib3._collections import HTTPHeaderDict  # Not to be had from elsewhere in 1.26.
                from urllib3.util import Timeout

                headers = HTTPHeaderDict({**_USUAL, **target.headers, **special})
                for name, value in self.acting_as:
                    headers.add(name, value)
                response = target.send(
                    method,
                    url,
                    body=data,
                    headers=headers,
                    timeout=Timeout(connect=_request_timeout[0], read=_request_timeout[1]),
                    preload_content=False,
                    # An API server sends nobody elsewhere. A page to log in, which does, is no answer to us.
                    redirect=False,
                )
        except Exception as error:
            # Imported where they are needed: the question for them would be a part of the cost of each request.
            from kubernetes.client.exceptions import ApiException
            from urllib3.exceptions import SSLError

            if not isinstance(error, SSLError):
                raise
            # As the client says it: what it is about stands in the last line.
            raise ApiException(status=0, reason=f"{type(error).__name__}\n{error}") from error
        if 200 <= response.status <= 299:
            return response
        from kubernetes.client.exceptions import ApiException

        failure = ApiException(status=response.status, reason=response.reason)
        failure.body = _refusal(response, _request_timeout[1])
        failure.headers = response.headers
        raise failure

    def _now(self) -> _Target:
        target = self._target
        if target.end < self._clock():
            with self._lock:
                target = self._target
                if target.end < self._clock():
                    target = self._target = self._read()
        return target

    def _read(self) -> _Target:
        """Reads the settings, by which the client renews credentials that are about to expire."""
        settings = self.client.configuration
        headers = dict(self.client.default_headers)
        for auth in settings.auth_settings().values():
            if auth.get("in") == "header" and auth.get("value"):
                headers[str(auth["key"])] = str(auth["value"])
        lines = [*headers.items(), *self.acting_as]
        host = str(settings.host).rstrip("/")
        manager = self.client.rest_client.pool_manager
        if not host.startswith("https://"):
            # A proxy for plain HTTP is told the whole URL, which is the manager's work.
            return _Target(self._clock() + _SECONDS, host, headers, manager.urlopen)
        pool = manager.connection_from_url(host)
        parts = urlsplit(host)
        return _Target(
            self._clock() + _SECONDS,
            parts.path,
            headers,
            pool.urlopen,
            pool,
            _lines_of(parts.hostname, parts.port, lines),
        )


def _refusal(response: Any, seconds: float) -> Any:
    """Reads the body of a refusal, as much as anybody says and as long as anybody takes for it."""
    with whole(response, seconds):
        body = response.read(_LONGEST_REFUSAL)
        if not response.isclosed():
            # The next answer on this connection would begin in the middle of this one.
            response.close()
    return body


@lru_cache(maxsize=64)
def _query(parameters: tuple[tuple[str, str], ...]) -> str:
    """Writes parameters, which are the same for thousands of objects."""
    return f"?{urlencode(parameters)}" if parameters else ""


def _lines_of(host: str | None, port: int | None, headers: Sequence[tuple[str, str]]) -> str:
    """Writes the headers that are the same in each request; empty where urllib3 has to look at them."""
    place = f"[{host}]" if ":" in (host or "") else host
    lines = [f"Host: {place}{f':{port}' if port not in (None, _PORT) else ''}", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers]
    is_plain = bool(host) and all(line.isascii() and line.isprintable() for line in lines)
    names = {name.lower() for name, _ in headers}
    return "\r\n".join(["", *lines]) if is_plain and not names & _WRITTEN else ""


def _head(method: str, url: str, lines: str, special: Mapping[str, str], data: bytes | None) -> bytes:
    """Writes the head of a request; empty where there is anything in it that does not belong there."""
    parts = [f"{method} {url} HTTP/1.1"]
    parts += [f"{name}: {value}" for name, value in {**_USUAL, **special}.items()]
    if data is not None:
        parts.append(f"Content-Length: {len(data)}")
    if " " in url or not all(part.isascii() and part.isprintable() for part in parts):
        return b""
    parts[0] += lines
    return ("\r\n".join(parts) + "\r\n\r\n").encode("ascii")
