"""How many requests an apply and a plan make, counted where they arrive: in the API server's audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import planton
from planton.cluster import Cluster, PlanOptions, connect
from planton.cluster.api.connection import MAX_THREADS, ApiError, ClusterIdentity, Connection
from planton.cluster.api.resources import key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import Change
from planton.cluster.planning.stale import only_new
from planton.errors import ConflictError
from planton.translate.archive_record import RECORD_CONFIGMAP
from sandbox import Sandbox
from sandbox._api import Api
from tests.cluster.conftest import SETTINGS, Harness, words
from tests.cluster.objects import Object, cluster_role, config_map, deployment, namespace, secret, service
from tests.manifests import database, operator

pytestmark = pytest.mark.cluster

MANY, FEW = 60, 20


class Log:
    """The audit log of a sandbox, as far as the administrator has written it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size

    def new(self) -> list[tuple[str, str, dict[str, list[str]]]]:
        """Verb, path and query of each request since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._place)
            lines = file.readlines()
            self._place = file.tell()
        events = [json.loads(line) for line in lines]
        found = []
        for event in events:
            if event["user"]["username"] == "sandbox-admin" and event["stage"] == "ResponseComplete":
                parts = urlsplit(event["requestURI"])
                found.append((event["verb"], parts.path, parse_qs(parts.query)))
        return found


class Place:
    """A sandbox with an operator that is stopped, so that nobody but planton asks the server anything."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.cluster: Cluster = connect(sandbox.kubeconfig)
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        self.options = PlanOptions(skip_checks=True)
        self.cluster.apply(planton.loads(operator(spec=SETTINGS)), options=self.options, timeout=60.0)
        sandbox.stop_operator()
        self.log = Log(sandbox.audit_log)

    def requests(self, work: Callable[[], Any]) -> list[tuple[str, str, dict[str, list[str]]]]:
        self.log.new()
        work()
        return self.log.new()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A sandbox of its own: others would be counted, too."""
    with Sandbox.start() as sandbox:
        yield Place(sandbox)


def manifest(first: int, end: int, size: str = "10Gi") -> str:
    return "".join(database(f"many-{number:03}") for number in range(first, end)).replace("10Gi", size)


def test_a_fresh_apply_writes_each_object_once_and_asks_for_nothing_one_by_one(place: Place) -> None:
    made = planton.loads(manifest(0, MANY))
    asked = place.requests(lambda: place.cluster.apply(made, options=place.options))
    writes = Counter(path for verb, path, query in asked if verb == "patch" and "dryRun" not in query)
    mine = {path: count for path, count in writes.items() if "many-" in path}
    assert len(mine) == 3 * MANY
    assert set(mine.values()) == {1}
    # The record of archives, and nothing else.
    assert [path for path in writes if path not in mine] == [
        f"/api/v1/namespaces/postgres-operator/configmaps/{RECORD_CONFIGMAP}"
    ]
    tried = [path for verb, path, query in asked if "dryRun" in query]
    assert len(tried) <= 13, "a dry run for each new Namespace, beyond a few"
    assert not [path for verb, path, _ in asked if verb == "get" and "many-" in path]
    # No discovery: neither of groups nor of what is in them.
    assert not [path for verb, path, _ in asked if path.rstrip("/") in ("/api", "/apis", "/api/v1", "/openapi/v3")]
    assert len(asked) - sum(writes.values()) - len(tried) < 60

    # As many connections as requests at a time, and all of them used again.
    pool = place.cluster._connection.client.client.rest_client.pool_manager.connection_from_url(
        place.cluster.identity.server
    )
    assert pool.num_connections <= MAX_THREADS
    # urllib3 has opened them, and all else went over those that stood.
    assert pool.num_requests <= pool.num_connections + 3

    # Nothing changed: as many requests for few as for many, whether planned or applied.
    counts: dict[tuple[str, int], int] = {}
    for number in (FEW, MANY):
        messages = planton.loads(manifest(0, number))
        asked = place.requests(partial(place.cluster.plan, messages, options=place.options))
        counts["plan", number] = len(asked)
        asked = place.requests(partial(place.cluster.apply, messages, options=place.options))
        counts["apply", number] = len(asked)
    assert len(set(counts.values())) == 1, counts
    assert counts["plan", MANY] < 25

    # A few changed: what is more is a dry run and an apply for each, and looking once more before.
    few = planton.loads(manifest(0, 3, "20Gi") + manifest(3, MANY))
    more = place.requests(lambda: place.cluster.apply(few, options=place.options))
    changed = [(path, "dryRun" in query) for verb, path, query in more if verb == "patch" and "/postgresqls/" in path]
    assert sorted(Counter(changed).values()) == [1] * 6
    assert len(more) - counts["apply", MANY] < 50


def test_the_server_itself_refuses_a_first_apply_where_something_is(place: Place, space: str) -> None:
    server = Server(place.cluster._connection, "test")
    rendered = {one["kind"]: one for one in planton.render(planton.loads(database(space)))}
    objects: list[Object] = [
        namespace(space),
        secret(space),
        config_map(space),
        service(space),
        deployment(space),
        cluster_role(space),
        rendered["postgresql"],
    ]
    for obj in objects:
        key = key_of(obj)
        made, is_new = server.apply(key, only_new(obj))
        assert is_new, key.subject
        assert "resourceVersion" not in obj["metadata"]
        for force in (False, True):
            with pytest.raises(ApiError) as caught:
                server.apply(key, only_new(obj), force=force)
            assert caught.value.status == 409, key.subject
        there = server.get(key)
        assert there is not None
        assert there["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert [entry["manager"] for entry in there["metadata"]["managedFields"]] == ["planton"]


class Meddler:
    """The client, which lets something happen just before or just after a write goes through it."""

    def __init__(self, client: Any, *, before: Callable[[str], None] | None = None, lose: str = "") -> None:
        self.client = client.client
        self._request = client.request
        self._before = before
        self._lose = lose

    def request(self, method: str, path: str, **options: Any) -> Any:
        is_write = method == "patch" and not any(name == "dryRun" for name, _ in options["query_params"])
        if is_write and self._before is not None:
            self._before(path)
        response = self._request(method, path, **options)
        if is_write and self._lose and path.endswith(self._lose):
            from urllib3.exceptions import ProtocolError

            self._lose = ""
            assert response.data
            raise ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
        return response


def mine(space: str, changes: Iterable[Change]) -> dict[str, str]:
    """Without the record of archives, which is written when databases of other tests are there."""
    return {subject: action for subject, action in words(changes).items() if space in subject}


def _harness(place: Place, **meddling: Any) -> Harness:
    client = Meddler(place.cluster._connection.client, **meddling)
    return Harness(place.api, Connection(client, ClusterIdentity(place.cluster.identity.server, "c", "k")))


def test_what_somebody_makes_in_the_very_moment_of_an_apply_is_not_merged_into(place: Place, space: str) -> None:
    theirs = {**config_map(space, a="theirs"), "metadata": {"name": "settings"}}
    made: list[str] = []

    def make(path: str) -> None:
        if path.endswith("/configmaps/settings") and not made:
            made.append(path)
            place.api.request("POST", f"/api/v1/namespaces/{space}/configmaps?fieldManager=somebody", theirs)

    harness = _harness(place, before=make)
    plan = harness.plan([namespace(space), config_map(space, a="ours"), config_map(space, "other")])
    with pytest.raises(ConflictError, match="somebody") as caught:
        harness.carry_out(plan)
    assert made
    assert mine(space, caught.value.changes) == {
        f"Namespace/{space}": "created",
        f"ConfigMap/{space}/other": "created",
    }
    live = harness.get(config_map(space))
    assert live["data"] == {"a": "theirs"}
    assert "labels" not in live["metadata"]


def test_what_was_made_and_never_answered_counts_as_created(place: Place, space: str) -> None:
    harness = _harness(place, lose=f"/namespaces/{space}")
    assert mine(space, harness.apply([namespace(space)])) == {f"Namespace/{space}": "created"}
    harness = _harness(place, lose="/configmaps/settings")
    changes = mine(space, harness.apply([namespace(space), config_map(space)]))
    assert changes == {f"Namespace/{space}": "unchanged", f"ConfigMap/{space}/settings": "created"}
    live = harness.get(config_map(space))
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["planton"]
