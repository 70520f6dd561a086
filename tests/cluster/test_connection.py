"""Answers that a real API server cannot be made to give when it suits a test, by a server that says what it is told."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planton.cluster.api.connection import ApiError, Connection, apply_patch, delete, get, merge_patch
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import CONFIG_MAP, Key
from planton.cluster.api.retry import Failure, Patience
from planton.cluster.api.server import Server, in_parallel, joined
from planton.errors import ClusterError
from sandbox import Sandbox
from tests.cluster.answering import Answering, kubeconfig, served

SENTINEL = "sentinel-credential"
Answer = tuple[int, dict[str, str], Any]


class Script:
    """What the server says next, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = []
        self.asked: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        self.pauses: list[float] = []
        self.seed = 4
        self.connection: Connection


def status(code: int, reason: str, message: str, **details: Any) -> Answer:
    told = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
    return code, {}, {**told, "details": details}


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    made = Script()

    class Handler(Answering):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            made.bodies.append(json.loads(body) if body else None)
            made.asked.append((self.command, self.path, self.headers.get("Content-Type") or ""))
            answer = made.answers.pop(0)
            if answer is None:
                # A reset, not an orderly end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            code, headers, content = answer
            self.answer(code, content, headers)

        do_PATCH = do_GET
        do_DELETE = do_GET

    with served(Handler) as url:
        made.connection = open_connection(kubeconfig(tmp_path, url, {"token": SENTINEL}), None)
        # Only pauses take time: attempts do not, so that what is counted is exact.
        made.connection.patience = Patience(
            clock=lambda: sum(made.pauses), sleep=made.pauses.append, chance=random.Random(made.seed)
        )
        yield made


KEY = Key(CONFIG_MAP, "space", "settings")


def settings(**metadata: str) -> dict[str, Any]:
    own = {"name": "settings", "namespace": "space", "uid": "1", "resourceVersion": "7", **metadata}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": own}


GOOD: Answer = (200, {}, settings())
REQUESTS = {
    "get": get(KEY.path),
    "apply": apply_patch(KEY.path, {}, manager="planton", force=False, dry_run=False),
    "merge": merge_patch(KEY.path, {}, manager="planton"),
    "delete": delete(KEY.path, uid="1", resource_version="2"),
}


def send(script: Script, name: str = "get") -> tuple[int, Any]:
    return script.connection.send(REQUESTS[name], subject=KEY.subject, phase="test", scrub=str)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "passing",
    [
        status(429, "TooManyRequests", "slow down"),
        (503, {"Content-Type": "text/html"}, b"<h1>no upstream</h1>"),
        (502, {}, b""),
        status(504, "Timeout", "etcd"),
        status(500, "InternalError", "etcdserver: leader changed"),
        status(500, "", "rpc error: code = Unavailable desc = error reading from server: connection reset by peer"),
        status(500, "InternalError", 'failed calling webhook "x": connection refused'),
        status(500, "ServerTimeout", "try again later"),
        status(500, "InternalError", "busy", retryAfterSeconds=1),
        None,
    ],
    ids=["429", "503", "502", "504", "etcd", "killed etcd", "webhook", "servertimeout", "retryafter", "reset"],
)
def test_what_passes_is_tried_again(script: Script, name: str, passing: Answer | None) -> None:
    script.answers = [GOOD, passing, passing, GOOD]
    send(script)
    assert send(script, name) == (200, GOOD[2])
    assert len(script.asked) == 4
    assert len(script.pauses) == 2


@pytest.mark.parametrize(
    "final",
    [
        status(500, "InternalError", ".data: unknown field"),
        status(400, "BadRequest", "no"),
        status(401, "Unauthorized", "no"),
        status(403, "Forbidden", "no"),
        status(404, "NotFound", "no"),
        status(409, "Conflict", "no"),
        status(422, "Invalid", "no"),
        (200, {}, b"<html>a login page</html>"),
    ],
)
def test_what_does_not_pass_is_raised_at_once(script: Script, final: Answer) -> None:
    script.answers = [final]
    with pytest.raises(ApiError) as caught:
        send(script, "apply")
    assert caught.value.status == (final[0] if final[0] != 200 else 0)
    assert len(script.asked) == 1
    assert script.pauses == []


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "3"}, 3.0, 3.3),
        ({"Retry-After": "2.5"}, 2.5, 2.75),
        ({"Retry-After": "4000"}, 20.0, 21.0),
        ({"Retry-After": "100000000000000000000"}, 20.0, 21.0),
        # By the server's own clock, whatever that of this machine says.
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:07 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 7.0, 7.7),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 08:28:00 GMT"}, 0.0, 0.2),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0, 0.2),
        ({"Retry-After": "0"}, 0.0, 0.2),
        ({"Retry-After": "-1"}, 0.0, 0.2),
        ({"Retry-After": "nan"}, 0.0, 0.2),
        ({"Retry-After": "inf"}, 0.0, 0.2),
        ({"Retry-After": "soon"}, 0.0, 0.2),
        ({"Retry-After": ""}, 0.0, 0.2),
    ],
)
def test_the_server_says_how_long_to_wait(script: Script, headers: dict[str, str], least: float, most: float) -> None:
    script.answers = [(429, headers, b""), GOOD]
    send(script)
    assert least <= script.pauses[0] <= most


def test_pauses_have_full_jitter_below_a_limit_that_doubles(script: Script) -> None:
    limits = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    seen: list[float] = []
    for seed in range(40):
        patience = Patience(seconds=1e9, clock=lambda: 0.0, sleep=seen.append, chance=random.Random(seed))
        attempts = patience.begin()
        patience.answered()
        for _ in limits:
            attempts.next()
            assert attempts.again(Failure(503, "", ""))
    for number, limit in enumerate(limits):
        mine = seen[number :: len(limits)]
        assert all(0.0 <= one <= limit for one in mine)
        # Anywhere below it, and not only near it.
        assert min(mine) < 0.2 * limit
        assert max(mine) > 0.8 * limit


def test_a_server_is_waited_for_for_a_minute_and_not_longer(script: Script) -> None:
    script.answers = [GOOD, *[status(503, "ServiceUnavailable", "down")] * 40]
    send(script)
    with pytest.raises(ApiError) as caught:
        send(script, "apply")
    error = caught.value
    assert (error.status, error.reason, error.is_passing, error.is_echo) == (503, "ServiceUnavailable", True, False)
    assert sum(script.pauses) == pytest.approx(60.0)
    assert error.text == f"down (tried {len(script.asked) - 1} times in 60 s)"
    assert "run the same command again" in error.remedy
    assert "is not known" in error.remedy


def test_a_commands_timeout_bounds_the_wait_for_its_server(script: Script) -> None:
    script.answers = [GOOD, *[status(503, "ServiceUnavailable", "down", token=SENTINEL)] * 40]
    send(script)
    told: list[str] = []
    with script.connection.patience.bounded(7.0, told.append), pytest.raises(ApiError) as caught:
        send(script)
    assert sum(script.pauses) == pytest.approx(7.0)
    assert caught.value.text.endswith("times in 7 s)")
    assert told == ["the API server does not do its work (HTTP status 503): trying again for up to 7 s"]
    assert script.connection.patience.limit == 60.0


def test_others_are_not_tried_once_the_server_was_given_up(script: Script) -> None:
    script.answers = [GOOD, *[None] * 40]
    send(script)
    with pytest.raises(ApiError):
        send(script)
    asked, waited = len(script.asked), sum(script.pauses)
    outcomes = in_parallel(lambda number: send(script), range(3000))
    echoes = [one for one in outcomes if isinstance(one, ApiError) and one.is_echo]
    assert (len(echoes), len(script.asked), sum(script.pauses)) == (3000, asked, waited)
    text = str(joined([ApiError("no answer", subject="first", phase="test", remedy="Wait."), *echoes]))
    assert text.count("\n") == 2
    assert "3000 more ended by the same, or were not tried any more" in text


def test_a_server_that_is_back_is_found_by_one_who_looks(script: Script) -> None:
    script.answers = [GOOD, *[None] * 40]
    send(script)
    with pytest.raises(ApiError):
        send(script)
    script.pauses.append(5.0)
    script.answers = [None, GOOD, GOOD]
    asked = len(script.asked)
    # One look, and others only after another while.
    for _ in range(3):
        with pytest.raises(ApiError):
            send(script)
    assert len(script.asked) == asked + 1
    script.pauses.append(5.0)
    assert [send(script)[0], send(script)[0]] == [200, 200]


def test_who_waits_is_told_at_once_that_another_has_given_up() -> None:
    patience = Patience(seconds=0.3)
    patience.answered()
    ended: list[float] = []

    def wait(seconds: float) -> None:
        attempts = patience.begin()
        attempts.next()
        while attempts.again(Failure(503, "", "", retry_after=seconds)):
            attempts.next()
        ended.append(time.monotonic())

    threads = [threading.Thread(target=wait, args=(seconds,)) for seconds in (0.05, 15.0, 20.0)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(5.0)
    assert len(ended) == 3
    assert max(ended) - min(ended) < 1.0


def test_a_request_that_fails_while_others_are_served_is_about_itself(script: Script) -> None:
    """Its own end does not stop the others."""
    patience = script.connection.patience
    attempts = patience.begin()
    patience.answered()
    tried = 0
    while True:
        attempts.next()
        tried += 1
        if not attempts.again(Failure(503, "", "", retry_after=9.0)):
            break
        patience.answered()
    assert tried > 5
    assert sum(script.pauses) == pytest.approx(75.0)
    assert patience.begin().refusal() is None


def test_a_server_that_never_answered_is_not_waited_for_as_long(script: Script) -> None:
    script.answers = [None, None, None]
    with pytest.raises(ApiError) as caught:
        send(script)
    assert caught.value.reason == "NoConnection"
    assert len(script.asked) == 2


def test_an_error_holds_neither_headers_nor_body_nor_the_error_of_the_client(script: Script) -> None:
    script.answers = [(422, {"Set-Cookie": SENTINEL}, {"message": "no", "reason": "Invalid", "more": SENTINEL})]
    with pytest.raises(ApiError) as caught:
        send(script)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SENTINEL not in f"{error!r}{error}{vars(error)!r}"
    assert error.text == "no"


def test_texts_are_scrubbed_down_to_the_causes(script: Script) -> None:
    causes = [{"reason": "FieldValueInvalid", "message": f"bad {SENTINEL}", "field": f"a[{SENTINEL}]"}]
    script.answers = [status(422, "Invalid", f"bad {SENTINEL}", causes=causes)]
    with pytest.raises(ApiError) as caught:
        script.connection.send(
            REQUESTS["get"], subject="", phase="", scrub=lambda text: text.replace(SENTINEL, "<hidden>")
        )
    assert SENTINEL not in f"{caught.value.text}{caught.value.causes}"


def test_requests_are_what_an_api_server_expects(script: Script) -> None:
    script.answers = [GOOD, GOOD, GOOD]
    body = {"data": {"a": "1"}}
    for request in (
        apply_patch(KEY.path, body, manager="planton", force=True, dry_run=True),
        merge_patch(KEY.path, {"data": {"a": None}}, manager="planton"),
        delete(KEY.path, uid="u", resource_version="7"),
    ):
        script.connection.send(request, subject="", phase="", scrub=str)
    path = "/api/v1/namespaces/space/configmaps/settings"
    assert script.asked == [
        (
            "PATCH",
            f"{path}?fieldManager=planton&force=true&dryRun=All&fieldValidation=Ignore",
            "application/apply-patch+yaml",
        ),
        ("PATCH", f"{path}?fieldManager=planton", "application/merge-patch+json"),
        ("DELETE", path, "application/json"),
    ]
    assert script.bodies[:2] == [body, {"data": {"a": None}}]
    assert script.bodies[2]["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert script.bodies[2]["propagationPolicy"] == "Background"


def page(*names: str, token: str = "") -> Answer:
    items = [{"metadata": {"name": name, "namespace": "space"}} for name in names]
    return 200, {}, {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"continue": token}, "items": items}


def test_lists_come_in_pages(script: Script) -> None:
    script.answers = [page("a", "b", token="t1"), page("c")]
    found = Server(script.connection, "test").list(CONFIG_MAP, labels="x=y")
    assert [one["metadata"]["name"] for one in found or ()] == ["a", "b", "c"]
    assert all((one["apiVersion"], one["kind"]) == ("v1", "ConfigMap") for one in found or ())
    assert [path for _, path, _ in script.asked] == [
        "/api/v1/configmaps?limit=500&labelSelector=x%3Dy",
        "/api/v1/configmaps?limit=500&continue=t1&labelSelector=x%3Dy",
    ]


def test_a_list_that_became_too_old_is_begun_again(script: Script) -> None:
    script.answers = [page("a", token="1"), status(410, "Expired", "too old"), page("a", token="1"), page("b")]
    found = Server(script.connection, "test").list(CONFIG_MAP)
    assert [one["metadata"]["name"] for one in found or ()] == ["a", "b"]


def test_only_404_is_absent(script: Script) -> None:
    server = Server(script.connection, "test")
    script.answers = [status(404, "NotFound", "no", name="settings", kind="configmaps"), status(404, "NotFound", "no")]
    assert server.get(KEY) is None
    assert server.list(CONFIG_MAP) is None
    script.answers = [status(403, "Forbidden", "no"), status(403, "Forbidden", "no")]
    with pytest.raises(ApiError):
        server.get(KEY)
    with pytest.raises(ApiError):
        server.list(CONFIG_MAP)


GONE = status(404, "NotFound", "no", name="settings", kind="configmaps")


def test_a_deletion_of_what_is_gone_is_no_failure(script: Script) -> None:
    server = Server(script.connection, "test")
    script.answers = [GOOD, GONE]
    assert server.delete(KEY, uid="1")
    assert not server.delete(KEY, uid="1")


def test_a_deletion_whose_answer_was_lost_is_one_of_ours(script: Script) -> None:
    server = Server(script.connection, "test")
    script.answers = [GOOD, None, GONE]
    server.get(KEY)
    assert server.delete(KEY, uid="1")
    # With a finalizer it is still there, and its version is another because of that.
    going: Answer = (200, {}, settings(deletionTimestamp="2026-01-01T00:00:00Z"))
    conflict = status(409, "Conflict", "the ResourceVersion in the precondition does not match")
    script.answers = [None, conflict, going]
    assert server.delete(KEY, uid="1", resource_version="2")
    # Where it is another object, or stays, the conflict is one.
    for other in ({"uid": "2", "deletionTimestamp": "x"}, {"uid": "1"}):
        script.answers = [None, conflict, (200, {}, settings(**other))]
        with pytest.raises(ApiError):
            server.delete(KEY, uid="1", resource_version="2")
    script.answers = [conflict]
    with pytest.raises(ApiError):
        server.delete(KEY, uid="1", resource_version="2")


def test_a_connection_that_ends_in_the_handshake_is_tried_again(tmp_path: Path) -> None:
    """As a server does that goes down: it has accepted, has got the first words of TLS, and ends."""
    accepted: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def end_each() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection:
                    accepted.append(len(connection.recv(1024)))

        thread = threading.Thread(target=end_each, daemon=True)
        thread.start()
        path = kubeconfig(tmp_path, f"https://127.0.0.1:{server.getsockname()[1]}", {"token": "x"})
        connection = open_connection(path, None)
        with pytest.raises(ApiError) as caught:
            connection.send(get("/version"), subject="x", phase="read", scrub=str)
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert (caught.value.status, caught.value.reason) == (0, "NoConnection")
    assert len(accepted) > 1


@pytest.mark.cluster
def test_an_address_without_tls_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(Path(sandbox.kubeconfig).read_text().replace("https://", "http://"))
    with pytest.raises(ClusterError, match="Client sent an HTTP request to an HTTPS server") as caught:
        open_connection(path, None).send(get("/api"), subject="x", phase="y", scrub=str)
    assert "begin with https://: the kubeconfig says http://127.0.0.1:" in caught.value.remedy
