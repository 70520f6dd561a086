"""What a plan of many databases costs grows with their number and not with its square, in requests and in work.

No clock: requests are counted, and calls of functions, which are the same in each run.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import planton
from planton.cluster import PlanOptions
from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.resources import key_of
from planton.cluster.api.server import Server
from planton.cluster.checking.apply_checks import affected
from planton.cluster.cluster import Cluster
from planton.cluster.planning.compare import _is_alike, is_settled
from planton.cluster.planning.facts import Facts
from planton.cluster.planning.inventory import database_facts, read_inventory
from planton.cluster.planning.refresh import has_news
from planton.cluster.planning.steps import Decisions
from planton.manifest import prepare
from planton.translate.contract import KubernetesObject
from planton.translate.platform import BackupPlatform
from tests.fuzz.cluster import FrozenServer
from tests.manifests import database, operator

FEW, MANY = 100, 400
OPTIONS = PlanOptions(skip_checks=True)


def fields(tree: Any) -> dict[str, Any]:
    """Gives managedFields of a tree whose lists are owned as a whole."""
    if not isinstance(tree, dict):
        return {}
    return {f"f:{key}": fields(value) for key, value in tree.items()}


def as_live(obj: KubernetesObject) -> KubernetesObject:
    """Gives an object as the server has it after an apply of it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("name", "namespace")}
    owned = {**fields({**obj, "metadata": metadata})}
    for name in ("f:apiVersion", "f:kind"):
        owned.pop(name)
    if not metadata:
        del owned["f:metadata"]
    entry = {"manager": "planton", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": owned}
    own = {"uid": key_of(obj).path, "resourceVersion": "7", "managedFields": [entry]}
    return {**obj, "metadata": {**obj["metadata"], **own}}


class Counting(FrozenServer):
    """Counts what it is asked."""

    def __init__(self, objects: Iterable[KubernetesObject]) -> None:
        super().__init__(list(objects))
        self.asked: list[str] = []

    def request(self, method: str, path: str, **options: Any) -> Any:
        self.asked.append(f"{method} {path}")
        return super().request(method, path, **options)


def databases(number: int) -> str:
    return "".join(database(f"many-{one:04}") for one in range(number))


def served(number: int) -> Counting:
    """A server on which the operator and so many databases were applied."""
    objects = [as_live(one) for one in planton.render(planton.loads(operator() + databases(number)))]
    if number:
        # The record of archives is not rendered: it is what an apply of all this writes besides.
        plan = cluster_of(Counting(objects)).plan(planton.loads(databases(number)), options=OPTIONS)
        decisions: Decisions = plan._sealed.content
        objects += [as_live(one.desired) for one in decisions.steps if one.desired is not None]
    return Counting(objects)


def cluster_of(server: FrozenServer) -> Cluster:
    return Cluster(Connection(server, ClusterIdentity("https://cluster.example:6443", "c", "k")))


def calls(work: Callable[[], object]) -> int:
    profile = cProfile.Profile()
    profile.runcall(work)
    statistics: Any = pstats.Stats(profile)
    return int(statistics.total_calls)


def grows_with(cost: Callable[[int], int]) -> float:
    """By how much more work a database costs when there are four times as many; 1 is linear, 4 is quadratic."""
    few, many = cost(FEW), cost(MANY)
    return many / MANY / (few / FEW)


@pytest.mark.parametrize("what", ["unchanged", "new", "with the operator"])
def test_a_plan_grows_with_the_number_of_databases(what: str) -> None:
    requests = {}

    def cost(number: int) -> int:
        server = served(0 if what == "new" else number)
        messages = planton.loads((operator() if what == "with the operator" else "") + databases(number))
        cluster = cluster_of(server)
        plan = []
        found = calls(lambda: plan.append(cluster.plan(messages, options=OPTIONS)))
        assert plan[0].changed == (what == "new")
        requests[number] = len(server.asked)
        return found

    assert grows_with(cost) < 1.15
    # Pages of the real server are 500; this one gives everything at once.
    assert requests[FEW] == requests[MANY] < 60


def test_which_stores_are_tried_out_is_found_in_one_pass() -> None:
    def cost(number: int) -> int:
        server = served(number)
        messages = prepare(planton.loads(databases(2 * number)))
        inventory = read_inventory(Server(Connection(server, ClusterIdentity("", "", "")), "test"))
        assert isinstance(inventory.platform, BackupPlatform)
        facts = Facts(messages, inventory.platform, inventory.existing, inventory)
        found: list[Any] = []
        made = calls(lambda: found.append(affected((), facts)))
        assert len(found[0][0]) == number
        return made

    assert grows_with(cost) < 1.15


def test_the_same_facts_are_not_judged_twice() -> None:
    server = served(5)
    rendered = [one for one in planton.render(planton.loads(databases(7))) if one["kind"] == "postgresql"]
    here = Server(Connection(server, ClusterIdentity("", "", "")), "test")
    before = read_inventory(here)
    more = Counting([*server._objects.values(), *(as_live(one) for one in rendered[5:])])
    after = read_inventory(Server(Connection(more, ClusterIdentity("", "", "")), "test"))
    assert len(after.databases) == 7
    assert not has_news(before, read_inventory(here), ())
    assert has_news(before, after, ()), "two have come that nobody knows of"
    assert has_news(before, after, rendered[5:6]), "only one of them is known"
    assert not has_news(before, after, rendered[5:])
    other = {
        **rendered[6],
        "spec": {**rendered[6]["spec"], "env": [{"name": "WALG_S3_PREFIX", "value": "s3://b/other"}]},
    }
    assert database_facts(other) != database_facts(rendered[6])
    assert has_news(before, after, [rendered[5], other]), "it is there, and is not as it was written"
    assert has_news(after, before, rendered[5:]), "one has gone"


def test_what_is_quickly_found_to_be_the_same_is_the_same_in_json() -> None:
    wanted = {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "a", "namespace": "a"}}
    spec = {"numberOfInstances": 1, "enable": True, "env": [{"name": "a", "value": "1"}], "none": None}
    desired = {**wanted, "spec": spec}
    assert is_settled(desired, as_live(desired))
    for other in (
        {**spec, "numberOfInstances": True},
        {**spec, "enable": 1},
        {**spec, "env": [{"name": "a", "value": 1}]},
        {**spec, "env": [{"name": "a", "value": "1", "more": ""}]},
        {**spec, "env": []},
    ):
        live = as_live(desired)
        assert not is_settled(desired, {**live, "spec": other}), other
        assert not is_settled({**desired, "spec": other}, live), other
    assert _is_alike([{"a": [1]}], [{"a": [1]}])
    assert not _is_alike([{"a": [1]}], [{"a": [1.0]}])
    # What is owned and no longer wanted, and what is wanted and not owned yet.
    assert not is_settled({**desired, "spec": {**spec, "more": "1"}}, as_live(desired))
    assert not is_settled({**desired, "spec": {"enable": True}}, as_live(desired))
