"""What the client itself logs in with is shown nowhere, though a server echoes the headers of a request."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from planton.cluster.api import exec as exec_
from planton.cluster.api.connection import ApiError, Connection, get
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.mask import HIDDEN
from planton.cluster.api.retry import Patience
from planton.cluster.api.server import Server

TOKEN = "sentinel/token+of=the-client"
PASSWORD = "sentinel-pass&word"
USERS: dict[str, dict[str, Any]] = {
    "token": {"token": TOKEN},
    "password": {"username": "somebody", "password": PASSWORD},
}


class Echo(BaseHTTPRequestHandler):
    """Answers by what it was sent, as a proxy that is being looked into does."""

    protocol_version = "HTTP/1.1"
    code = 400

    def do_GET(self) -> None:
        """Answers."""
        said = f"{dict(self.headers)} {self.headers['Authorization'].replace('/', '%2f').replace('+', '&#43;')}"
        causes = [{"reason": said, "message": said, "field": said}]
        status = {"kind": "Status", "apiVersion": "v1", "reason": said, "message": said, "details": {"causes": causes}}
        text = json.dumps(status).encode()
        self.send_response_only(self.code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(params=USERS)
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": USERS[request.param]}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    yield open_connection(path, None)
    server.shutdown()
    server.server_close()


def parts(value: str) -> set[str]:
    return {value[at : at + 12] for at in range(len(value) - 11)}


@pytest.mark.parametrize("code", [400, 401, 403, 422, 500, 503])
def test_a_server_that_echoes_the_request(connection: Connection, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "code", code)
    pauses: list[float] = []
    connection.patience = Patience(clock=lambda: sum(pauses), sleep=pauses.append)
    told: list[str] = []
    with connection.patience.bounded(9.0, told.append), pytest.raises(ApiError) as caught:
        connection.send(get("/api/v1/namespaces/x"), subject="x", phase="test", scrub=str)
    with pytest.raises(ApiError) as opened:
        next(connection.open(get("/api/v1/pods"), subject="x", phase="test", scrub=str, silence=5.0))
    basic = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
    for error in (caught.value, opened.value):
        said = f"{error}{error!r}{vars(error)!r}{told}"
        assert "<hidden>" in said
        assert not [one for value in (TOKEN, PASSWORD, basic) for one in parts(value) if one in said]
        assert "sentinel" not in said


def test_a_text_that_comes_with_no_failure(connection: Connection) -> None:
    said = connection.without_own(f"an event: {TOKEN} and {PASSWORD}, Proxy-Authorization: Basic c29tZWJvZHk6eA==")
    assert said.count("<hidden>") == 2
    assert "c29tZ" not in said


def test_a_pod_in_which_nothing_runs(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 36.0.0 of the client stumbles over its own error; what a server says is shown without credentials."""
    from kubernetes.client.exceptions import ApiException
    from websocket import WebSocketBadStatusException

    (own,) = [one for one in (TOKEN, PASSWORD) if connection.without_own(one) == HIDDEN]
    body = json.dumps({"reason": "Forbidden", "message": f"no: {own}"}).encode()

    def fails(*_: object) -> None:
        try:
            raise WebSocketBadStatusException(f"403 for {own}", 403, resp_body=body)
        except WebSocketBadStatusException:
            try:
                raise ApiException(status=0, reason=own)
            except ApiException as error:
                no_body: Any = error.body
                no_body.decode("utf-8")

    monkeypatch.setattr(exec_, "_connect", fails)
    with pytest.raises(ApiError) as caught:
        exec_.run_in_pod(Server(connection, "test"), "a", "db-0", ["true"], container="x", on_line=print)
    error = caught.value
    assert (error.status, error.reason, error.text) == (403, "Forbidden", f"no: {HIDDEN}")
    assert "pods/exec" in error.remedy
    assert (error.__cause__, error.__context__) == (None, None)
    # A page of a proxy is no want of a permission.
    body = b"<h1>Forbidden</h1>"
    with pytest.raises(ApiError) as caught:
        exec_.run_in_pod(Server(connection, "test"), "a", "db-0", ["true"], container="x", on_line=print)
    assert "every proxy on the way let WebSockets pass" in caught.value.remedy
