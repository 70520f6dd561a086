"""What the client itself logs in with is shown nowhere, though a server echoes the headers of a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planton.cluster.api import exec as exec_
from planton.cluster.api.connection import ApiError, Connection, get
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.mask import HIDDEN
from planton.cluster.api.own_credentials import own_values, safe_failure, without_own
from planton.cluster.api.retry import Cause, Failure, Patience
from planton.cluster.api.server import Server
from tests.cluster.answering import Answering, kubeconfig, served

TOKEN = "sentinel/token+of=the-client"
PASSWORD = "sentinel-pass&word"
USERS: dict[str, dict[str, Any]] = {
    "token": {"token": TOKEN},
    "password": {"username": "somebody", "password": PASSWORD},
}


class Echo(Answering):
    """Answers by what it was sent, as a proxy that is being looked into does."""

    code = 400

    def do_GET(self) -> None:
        """Answers."""
        said = f"{dict(self.headers)} {self.headers['Authorization'].replace('/', '%2f').replace('+', '&#43;')}"
        causes = [{"reason": said, "message": said, "field": said}]
        status = {"kind": "Status", "apiVersion": "v1", "reason": said, "message": said, "details": {"causes": causes}}
        self.answer(self.code, status)


@pytest.fixture(params=USERS)
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    with served(Echo) as url:
        yield open_connection(kubeconfig(tmp_path, url, USERS[request.param]), None)


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


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZW50aW5lbCJ9.c2VudGluZWwtc2lnbmF0dXJlLXg"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("client", "values"),
    [
        ({"api_key": {"authorization": f"Bearer {TOKEN}"}}, [TOKEN]),
        ({"api_key": {"BearerToken": TOKEN}}, [TOKEN]),
        ({"default_headers": {"Authorization": f"Bearer {TOKEN}"}}, [TOKEN]),
        ({"default_headers": {"cookie": TOKEN}}, [TOKEN]),
        ({"default_headers": {"X-Api-Key": TOKEN, "apikey": PASSWORD}}, [TOKEN, PASSWORD]),
        ({"default_headers": {"X-Auth-Token": TOKEN}}, [TOKEN]),
        ({"sent_headers": {"authorization": f"Bearer {TOKEN}"}}, [TOKEN]),
        ({"proxy_headers": {"proxy-authorization": basic(f"me:{PASSWORD}")}}, [PASSWORD, f"me:{PASSWORD}"]),
        ({"username": "me", "password": PASSWORD}, [PASSWORD, basic(f"me:{PASSWORD}")[6:]]),
        # A word too short to be known by its parts: as a whole it is, and so are its spellings.
        ({"password": "pw-4711"}, ["pw-4711", basic(":pw-4711")[6:]]),
        ({"sent_headers": {"authorization": basic("me:pw-4711")}}, ["pw-4711", "me:pw-4711", basic("me:pw-4711")[6:]]),
        ({"sent_headers": {"authorization": f"Bearer {JWT}"}}, [JWT, *JWT.split(".")]),
    ],
)
def test_whatever_the_client_logs_in_with_is_known(client: dict[str, Any], values: list[str]) -> None:
    given = SimpleNamespace(
        client=SimpleNamespace(
            default_headers={"User-Agent": "agent-of-a-test", **client.pop("default_headers", {})},
            configuration=SimpleNamespace(proxy_headers=client.pop("proxy_headers", None)),
        ),
        sent_headers={"Accept": "application/json", **client.pop("sent_headers", {})},
    )
    vars(given.client.configuration).update(client)
    # Each of them by itself: what follows from another may be shown alone.
    assert set(values) <= set(own_values(given))
    said = without_own(f"agent-of-a-test application/json {' '.join(values)}", given)
    assert said == " ".join(["agent-of-a-test application/json", *[HIDDEN] * len(values)])


def test_a_header_of_somebody_else_is_hidden_in_each_text_of_a_failure() -> None:
    quoted = "Authorization: Bearer sentinel-of-somebody-else"
    failure = Failure(400, quoted, quoted, (Cause(quoted, quoted, quoted),))
    assert "sentinel" not in repr(safe_failure(failure, SimpleNamespace()))


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
