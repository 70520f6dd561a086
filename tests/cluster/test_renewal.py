"""Credentials that are read again while several threads use them, in the orders that are rare by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from planton.cluster.api.connection import ApiError, ClusterIdentity, Connection, get
from planton.cluster.api.credentials import Client
from planton.cluster.api.retry import Failure, Patience
from planton.errors import ClusterError

NAMES = tuple(f"client {number}" for number in range(9))
REFUSED = Failure(401, "Unauthorized", "Unauthorized")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Maker:
    """Makes clients, which here are names; what happens meanwhile is up to the test."""

    def __init__(self) -> None:
        self.made = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> str:
        self.made += 1
        self.meanwhile()
        return NAMES[self.made]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def clients(maker: Maker, clock: Clock) -> Client:
    made = Client(NAMES[0], maker, clock=clock)
    made.accept(NAMES[0])
    return made


def test_an_answer_to_the_old_credentials_says_nothing_of_the_new_ones(clients: Client, maker: Maker) -> None:
    """It comes while the kubeconfig is read again, which is when sixteen threads wait for their answers."""
    maker.meanwhile = lambda: clients.accept(NAMES[0])
    assert clients.renew(NAMES[0])
    assert clients.now == NAMES[1]
    assert clients.is_unproven(NAMES[1])
    # Else a request that begins now reads the same once more at once, and whoever waits for new ones gets that.
    assert not clients.renew(NAMES[1])
    assert clients.renew(NAMES[1], again=True)
    assert clients.now == NAMES[2]


def fail() -> None:
    raise ClusterError("the plugin gives no credentials", phase="connect")


@pytest.mark.parametrize("seconds", [0.0, 30.0])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_plugin_that_fails_is_asked_by_one_thread(
    clients: Client, maker: Maker, clock: Clock, seconds: float, is_first: bool
) -> None:
    """Also where it takes long to fail, and where its credentials have been renewed before."""
    refused = NAMES[0]
    if not is_first:
        assert clients.renew(refused)
        refused = NAMES[1]
        clients.accept(refused)
        clock.now += 3600.0
    asked = maker.made

    def late() -> None:
        clock.now += seconds
        # An answer that was on its way.
        clients.accept(refused)
        fail()

    maker.meanwhile = late
    for _ in range(16):
        assert not clients.renew(refused)
        if clients.is_unproven(refused):
            assert not clients.renew(refused, again=True)
    assert maker.made == asked + 1
    assert clients.problem
    # Whoever logs in again is followed by what goes on for hours.
    clock.now += 60.0
    maker.meanwhile = lambda: None
    assert clients.renew(refused)
    assert not clients.problem


def test_credentials_that_took_long_to_get_are_young(clients: Client, maker: Maker, clock: Clock) -> None:
    def slow() -> None:
        clock.now += 30.0

    maker.meanwhile = slow
    assert clients.renew(NAMES[0])
    assert not clients.renew(NAMES[1])
    clock.now += 60.0
    assert clients.renew(NAMES[1])


def test_an_answer_that_was_on_its_way_does_not_revive_what_was_given_up(clock: Clock) -> None:
    patience = Patience(clock=clock)
    slow = patience.begin()
    slow.next()
    clock.now += 1.0
    patience.end_for_all(REFUSED)
    clock.now += 0.5
    slow.answered()
    assert patience.begin().refusal() is REFUSED
    # By one that was asked after it, it is.
    clock.now += 1.0
    look = patience.begin()
    assert look.refusal() is None
    look.next()
    look.answered()
    assert patience.begin().refusal() is None


def test_the_first_that_fails_of_a_server_that_goes_ends_with_all_others() -> None:
    """What others had asked before is answered for a while: they are no reason to tell of it on its own."""
    clock = Clock()
    patience = Patience(seconds=60.0, clock=clock, sleep=lambda seconds: None)
    patience.answered()

    def gone() -> Failure:
        return Failure(503, "ServiceUnavailable", "no", retry_after=1.0)

    first = patience.begin()
    for _ in range(20):
        first.next()
        clock.now += 1.0
        assert first.again(gone())
        patience.answered()
    other = patience.begin()
    # Its own minute and a quarter is over before that of all.
    for _ in range(8):
        first.next()
        other.next()
        clock.now += 7.2
        assert first.again(gone())
        assert other.again(gone())
    other.next()
    clock.now += 3.0
    assert not other.again(gone())
    first.next()
    assert not first.again(gone())
    assert (first.is_echo, other.is_echo) == (True, False)


class Server:
    """Answers by the token of a client; a test can hold what it has decided upon."""

    def __init__(self) -> None:
        self.token = "old"
        self.file = "old"
        self.decided: dict[str, threading.Event] = {}
        self.held: dict[str, threading.Event] = {}
        self.asked: list[tuple[str, str]] = []

    def hold(self, path: str) -> None:
        self.decided[path], self.held[path] = threading.Event(), threading.Event()

    def client(self) -> Any:
        return _Client(self, self.file)


class _Client:
    """Has the one method of a client that a connection uses."""

    def __init__(self, server: Server, token: str) -> None:
        self._server = server
        self._token = token

    def request(self, method: str, path: str, **_: Any) -> Any:
        server = self._server
        is_accepted = self._token == server.token
        server.asked.append((path, self._token))
        if path in server.held:
            server.decided[path].set()
            assert server.held[path].wait(20.0)
        if not is_accepted:
            failure: Any = ApiException(status=401, reason="Unauthorized")
            failure.body = b'{"kind": "Status", "apiVersion": "v1", "code": 401, "reason": "Unauthorized"}'
            failure.headers = {}
            raise failure
        return _Response()


class _Response:
    is_there = True
    status = 200
    data = b'{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}}'


def test_a_token_that_comes_a_moment_late_while_others_are_answered() -> None:
    """One answer to the old token comes while it is read again; another request begins before the new one is there."""
    server = Server()
    connection: Connection
    is_waiting, is_written = threading.Event(), threading.Event()

    def send(path: str) -> int:
        return connection.send(get(path), subject=path, phase="test", scrub=str)[0]

    def make() -> Any:
        made = server.client()
        if "/slow" in server.held and not server.held["/slow"].is_set():
            server.held["/slow"].set()
            slow.join(20.0)
        return made

    def wait(seconds: float) -> None:
        """The agent writes the token while the first of those who wait does so."""
        is_waiting.set()
        assert is_written.wait(20.0)

    connection = Connection(server.client(), ClusterIdentity("https://here", "here", "x"), make=make, sleep=wait)
    assert send("/first") == 200
    server.hold("/slow")
    slow = threading.Thread(target=send, args=("/slow",))
    slow.start()
    assert server.decided["/slow"].wait(20.0)
    server.token = "new"
    outcomes: dict[str, object] = {}

    def note(path: str) -> None:
        try:
            outcomes[path] = send(path)
        except ApiError as error:
            outcomes[path] = error

    first = threading.Thread(target=note, args=("/a",))
    first.start()
    assert is_waiting.wait(20.0)
    is_waiting.clear()
    # It comes with what the first one has read, which is old.
    second = threading.Thread(target=note, args=("/b",))
    second.start()
    assert is_waiting.wait(20.0), outcomes
    server.file = "new"
    is_written.set()
    for one in (slow, first, second):
        one.join(20.0)
    assert outcomes == {"/a": 200, "/b": 200}
    assert [token for path, token in server.asked if path == "/a"] == ["old", "old", "new"]
    assert [token for path, token in server.asked if path == "/b"] == ["old", "new"]
