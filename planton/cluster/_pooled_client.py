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
from typing import Any
from urllib.parse import urlencode, urlsplit

# A token is renewed up to minutes before it expires, and one that is refused all the same is read anew.
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Target:
    """Where requests go, and with which headers; not printed, since a token is among them."""

    end: float
    root: str
    headers: Mapping[str, str] = field(repr=False)
    send: Callable[..., Any] = field(repr=False)


class PooledClient:
    """Has the one method of DynamicClient that planton uses. Safe for several threads."""

    def __init__(self, client: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes the value; opens nothing yet.

        Args:
            client: ApiClient of the official client.
            clock: Gives the time in seconds.
        """
        self.client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._target = _Target(float("-inf"), "", {}, print)

    def __repr__(self) -> str:
        """Says nothing of the client, whose configuration holds a token."""
        return "PooledClient()"

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
            _request_timeout: Seconds to connect, and seconds without a byte.

        Returns:
            The response of urllib3, of which only the head has been read.

        Raises:
            ApiException: The server refused, or its certificate is not right.
            ConfigException: A plugin of the kubeconfig gave no credentials.
            urllib3.exceptions.HTTPError: The server could not be reached.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import SSLError
        from urllib3.util import Timeout

        if serialize:
            raise TypeError("answers are not made into objects")
        target = self._now()
        url = f"{target.root}{path}" + (f"?{urlencode(query_params)}" if query_params else "")
        headers = {"Accept": "application/json", **target.headers, **(header_params or {})}
        data = None
        if body is not None:
            # As the client writes it: a proxy between may not know UTF-8.
            data = json.dumps(body).encode("ascii")
            headers["Content-Type"] = content_type or "application/json"
        try:
            response = target.send(
                method.upper(),
                url,
                body=data,
                headers=headers,
                timeout=Timeout(connect=_request_timeout[0], read=_request_timeout[1]),
                preload_content=False,
                # An API server sends nobody elsewhere. A page to log in, which does, is no answer to us.
                redirect=False,
            )
        except SSLError as error:
            # As the client says it: what it is about stands in the last line.
            raise ApiException(status=0, reason=f"{type(error).__name__}\n{error}") from error
        if 200 <= response.status <= 299:
            return response
        failure = ApiException(status=response.status, reason=response.reason)
        failure.body = response.data
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
        host = str(settings.host).rstrip("/")
        manager = self.client.rest_client.pool_manager
        if not host.startswith("https://"):
            # A proxy for plain HTTP is told the whole URL, which is the manager's work.
            return _Target(self._clock() + _SECONDS, host, headers, manager.urlopen)
        pool = manager.connection_from_url(host)
        return _Target(self._clock() + _SECONDS, urlsplit(host).path, headers, pool.urlopen)
