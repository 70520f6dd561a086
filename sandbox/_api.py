"""A small client of the API server for the sandbox's own needs.

From the standard library and not from the client that planton uses: what tests planton should not share its bugs, and
importing the full client costs more time and memory than the keeper and the operator runner need altogether.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import ssl
import urllib.parse
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox._errors import ApiError, SandboxError

Object = dict[str, Any]

_MOST_IDLE = 16


class Api:
    """Requests to one API server with one bearer token. Threads can share it: each request has a connection alone.

    Connections are kept for the requests after it, since half of the work of a small one is TLS. They are closed with
    `close`, when nobody has the object any more, and at the end of the process.
    """

    def __init__(self, url: str, token: str, certificates: str) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: ``https://host:port``.
            token: bearer token.
            certificates: PEM text of the certificates to trust; nothing else is trusted.
        """
        parts = urllib.parse.urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 443)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._tls = ssl.create_default_context(cadata=certificates)
        self._idle = _Idle()
        weakref.finalize(self, self._idle.close)

    def close(self) -> None:
        """Close the connections that are kept. It can be used again afterwards."""
        self._idle.close()

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """Return a client for a kubeconfig that `kubeconfig_text` wrote.

        Args:
            path: the file.

        Returns:
            The client.

        Raises:
            SandboxError: if the file cannot be read or is not of that form.
        """
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            cluster = config["clusters"][0]["cluster"]
            certificates = base64.b64decode(cluster["certificate-authority-data"]).decode()
            return cls(cluster["server"], config["users"][0]["user"]["token"], certificates)
        except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
            raise SandboxError(f"{path} is not a kubeconfig of a sandbox: {type(error).__name__}") from error

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
        timeout: float = 15.0,
    ) -> Object:
        """Send one request and return the decoded answer.

        Args:
            method: HTTP method.
            path: path and query.
            body: object to send.
            content_type: media type of the body.
            timeout: seconds for connecting and for each read.

        Returns:
            The decoded object; ``{}`` where the answer is not JSON, as from ``/readyz``.

        Raises:
            ApiError: if the server refuses, or does not answer (status 0).
        """
        connection = self._idle.take(timeout) or self._connection(timeout)
        is_whole = False
        try:
            try:
                response = self._send(connection, method, path, body, content_type)
            except ApiError:
                is_whole = True
                raise
            text = response.read()
            is_whole = True
            is_json = response.headers.get_content_type() == "application/json"
            result: Object = json.loads(text) if is_json else {}
            return result
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, "Unreachable", f"{method} {path}: {type(error).__name__}") from error
        finally:
            if is_whole:
                self._idle.put(connection)
            else:
                connection.close()

    def stream(self, path: str, *, timeout: float) -> Iterator[Object]:
        """Yield the events of a watch until the server ends it.

        Args:
            path: path and query with ``watch=1`` in it.
            timeout: seconds without a byte after which the connection counts as lost.

        Yields:
            Decoded events, ``{"type": …, "object": …}``.

        Raises:
            ApiError: if the server refuses or the connection is lost.
        """
        connection = self._connection(timeout)
        try:
            response = self._send(connection, "GET", path, None, "")
            while line := response.readline():
                event: Object = json.loads(line)
                yield event
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(0, "Unreachable", f"watch {path}: {type(error).__name__}") from error
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(*self._address, timeout=timeout, context=self._tls)

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> http.client.HTTPResponse:
        headers = dict(self._headers)
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        if response.status >= 400:
            try:
                answer = json.loads(response.read())
            except ValueError:
                answer = {}
            reason = str(answer.get("reason") or "") if isinstance(answer, dict) else ""
            message = str(answer.get("message") or "") if isinstance(answer, dict) else ""
            raise ApiError(response.status, reason, f"{method} {path}: {message or response.reason}")
        return response


class _Idle:
    """Connections that wait for the next request. Safe for several threads."""

    def __init__(self) -> None:
        self._connections: deque[http.client.HTTPSConnection] = deque()
        self._owner = os.getpid()

    def take(self, timeout: float) -> http.client.HTTPSConnection | None:
        """Give one that is still open, None if there is none.

        Args:
            timeout: seconds for each read.
        """
        if os.getpid() != self._owner:
            # What a process shares with the one that forked it, it must not speak on.
            return None
        while True:
            try:
                connection = self._connections.pop()
            except IndexError:
                return None
            look = select.poll()
            look.register(connection.sock, select.POLLIN)
            # Something to read where nothing was asked is the end: the server has restarted, or waited long enough.
            if not look.poll(0):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def put(self, connection: http.client.HTTPSConnection) -> None:
        """Keep a connection whose answer was read to its end, unless the server closes it."""
        is_open: bool = connection.sock is not None
        if is_open and os.getpid() == self._owner and len(self._connections) < _MOST_IDLE:
            self._connections.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all."""
        while self._connections:
            self._connections.pop().close()


def service_account_token(api: Api, namespace: str, name: str, *, seconds: int) -> str:
    """Ask the API server for a token of a service account, as the kubelet does for a pod.

    Args:
        api: client with administrator's rights.
        namespace: namespace of the account.
        name: name of the account.
        seconds: how long the token is valid.

    Returns:
        The token.

    Raises:
        ApiError: if the account does not exist or the server does not answer.
    """
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds, "audiences": []},
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    granted: str = api.request("POST", path, body)["status"]["token"]
    return granted


def kubeconfig_text(url: str, certificates: str, user: Mapping[str, str], *, name: str, namespace: str) -> str:
    """Return a kubeconfig for one user of one server.

    Args:
        url: ``https://host:port``.
        certificates: PEM text of the certificates to trust.
        user: the user's entry, such as ``{"token": …}``.
        name: name of the context, the cluster and the user.
        namespace: namespace of the context.

    Returns:
        YAML text.
    """
    authority = base64.b64encode(certificates.encode()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)
