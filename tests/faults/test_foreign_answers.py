"""Answers of what stands between planton and the API server, given to one request after the other of real work.

A load balancer without a backend says `default backend - 404`, one that is written in Go says what the API server
itself says of a kind that it does not have, and a proxy whose session has ended says 200 with JSON of its own. Each of
them passes, and then all is as if there had been none.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, ResourceType, key_of
from planton.cluster.api.server import Server
from planton.errors import ClusterError
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import Object, config_map, namespace, secret
from tests.faults.disturbances import says
from tests.faults.invariants import difference
from tests.faults.network import Network, fresh
from tests.faults.observed import Observed
from tests.faults.proxy import Fault, Handler, Seen

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("network")]

ROW = "an answer that is not the API server's"
ANSWERS: dict[str, Fault] = {
    "a page": says(404, b"default backend - 404"),
    "a page of Go's": says(404, b"404 page not found\n"),
    "a refusal": says(403, b"<h1>403 Forbidden</h1>"),
    "foreign JSON": says(200, b'{"message": "session expired"}'),
    "an empty object": says(200, b"{}"),
}


def work(space: str) -> list[Object]:
    return [namespace(space), secret(space), config_map(space), config_map(space, "other")]


class Once:
    """Disturbs each different request once."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.disturbed: set[tuple[str, str]] = set()

    def __call__(self, seen: Seen) -> Fault | None:
        what = (seen.method, seen.path)
        if what in self.disturbed:
            return None
        self.disturbed.add(what)
        return self.fault


def known(calm: Network) -> Harness:
    """Connects and has an answer: where a server has never answered, nobody waits until what is in between has gone."""
    harness = calm.harness()
    assert Server(harness.connection, "test").get(key_of(namespace("default"))) is not None
    return harness


@pytest.mark.parametrize("name", ANSWERS)
def test_each_request_of_an_apply_is_answered_by_something_else_once(
    calm: Network, observed: Observed, name: str
) -> None:
    space = fresh("even")
    calm.direct.apply(work(space))
    expected, space = calm.picture(space), fresh("even")
    harness = known(calm)
    calm.proxy.rule = Once(ANSWERS[name])
    changes = harness.apply(work(space))
    calm.proxy.rule = lambda seen: None
    assert set(words(changes).values()) == {"created"}
    assert not difference(expected, calm.picture(space))
    # Again: what is there is not taken for absent, and nothing is written.
    again = known(calm)
    rule = calm.proxy.rule = Once(ANSWERS[name])
    plan = again.plan(work(space))
    assert not plan.changed
    assert {method for method, _ in rule.disturbed} >= {"GET"}
    observed(
        ROW,
        f"{name} to each request of an apply and of a plan once: all were sent again, with the same objects as "
        "undisturbed, and nothing that is there was planned to be created",
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_is_absent_or_empty_or_gone_on_the_word_of_something_else(
    calm: Network, observed: Observed, name: str
) -> None:
    space = fresh("even")
    calm.direct.apply(work(space))
    key = key_of(config_map(space))
    live = calm.direct.get(config_map(space))
    connection = calm.connection(seconds=0.05, sleep=None)
    server = Server(connection, "test")
    assert server.list(POSTGRESQL) is not None
    asked: dict[str, Callable[[], object]] = {
        "get": lambda: server.get(key),
        "get of the definition": lambda: server.get(key_of(work(space)[0])),
        "list": lambda: server.list(SECRET, space),
        "list of databases": lambda: server.list(POSTGRESQL),
        "list of metadata": lambda: server.list(CONFIG_MAP, space, metadata_only=True),
        "apply": lambda: server.apply(key, config_map(space)),
        "merge": lambda: server.merge(key, {"metadata": {"labels": {"a": "b"}}}),
        "delete": lambda: server.delete(key, uid=live["metadata"]["uid"]),
    }

    def in_between(seen: Seen) -> Fault | None:
        # Discovery is the server's own.
        return None if seen.path.startswith("/apis") and seen.path.count("/") < 4 else ANSWERS[name]

    for what, ask in asked.items():
        connection.patience.answered()
        calm.proxy.rule = in_between
        with pytest.raises(ClusterError, match="not what an API server says") as caught:
            ask()
        assert "a proxy or load balancer" in caught.value.remedy, what
        calm.proxy.rule = lambda seen: None
    assert calm.direct.get(config_map(space))["metadata"]["uid"] == live["metadata"]["uid"]
    observed(
        ROW,
        f"{name} to each of {len(asked)} kinds of requests, for longer than is waited: each ends with an error that "
        "names what stands in between, nothing was taken for absent, empty or deleted, and the object is still there",
    )


def test_a_kind_without_a_definition_is_unknown_by_the_servers_own_word(calm: Network) -> None:
    """The only plain 404 that is believed, by one question more."""
    server = Server(calm.connection(), "test")
    for unknown in (
        ResourceType("nobody.example.org/v1", "Nothing", "nothings"),
        ResourceType("acid.zalan.do/v1", "Nothing", "nothings"),
        ResourceType("acid.zalan.do/v9", "postgresql", "postgresqls"),
        ResourceType("apps/v1", "Nothing", "nothings"),
        ResourceType("v1", "Nothing", "nothings"),
    ):
        assert server.list(unknown) is None, unknown
    assert server.get(key_of(config_map(fresh("none")))) is None
    assert server.list(CONFIG_MAP, fresh("none")) == []


def test_a_deletion_that_never_arrived_is_sent_until_it_does(calm: Network) -> None:
    space = fresh("even")
    calm.direct.apply(work(space))
    key = key_of(config_map(space))
    server = Server(calm.connection(), "test")
    live = server.get(key)
    assert live is not None
    told: list[str] = []

    def gone(handler: Handler, body: bytes) -> None:
        told.append(handler.command)
        ANSWERS["a page"](handler, body)

    calm.proxy.rule = lambda seen: gone if seen.method == "DELETE" and len(told) < 2 else None
    assert server.delete(key, uid=live["metadata"]["uid"])
    assert told == ["DELETE"] * 2
    assert server.get(key) is None
