"""What a delete looks at besides what was named: other operators, databases that appear, and what a Namespace holds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

import planton
from planton.cluster import DeleteOptions
from planton.cluster.api.connection import ApiError, Connection, get
from planton.cluster.api.genuine import is_kind
from planton.cluster.api.resources import key_of
from planton.cluster.api.retry import Patience
from planton.cluster.api.server import Server
from planton.cluster.deleting.delete import Deleter, contents
from planton.cluster.deleting.deletion import Deletion, plan_deletion
from planton.cluster.planning.admission import operator_of
from planton.cluster.planning.inventory import read_inventory
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Step, change_of
from planton.cluster.wait import Deadline
from planton.errors import ClusterError, RefusedError
from planton.manifest import prepare
from tests.cluster.conftest import Harness
from tests.cluster.objects import Object, deployment, namespace
from tests.manifests import database, operator

pytestmark = pytest.mark.cluster


def until(probe: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not probe():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def test_a_namespace_is_not_empty_with_a_kind_of_no_preferred_version(harness: Harness, space: str) -> None:
    def crd(kind: str, version: str) -> Object:
        plural, schema = f"{kind.lower()}s", {"openAPIV3Schema": {"type": "object"}}
        spec = {
            "group": f"{space}.example.org",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        }
        return {"metadata": {"name": f"{plural}.{space}.example.org"}, "spec": spec}

    for one in (crd("Widget", "v1"), crd("Gadget", "v1alpha1")):
        harness.api.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one)
    harness.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    group = f"{space}.example.org"

    def served() -> bool:
        groups = {one["name"]: one for one in harness.api.request("GET", "/apis")["groups"]}
        return len(groups.get(group, {}).get("versions", ())) == 2

    until(served)
    gadget = {"apiVersion": f"{group}/v1alpha1", "kind": "Gadget", "metadata": {"name": "one"}}
    path = f"/apis/{group}/v1alpha1/namespaces/{space}/gadgets"
    until(lambda: _is_served(harness, path))
    harness.api.request("POST", path, gadget)
    assert contents(harness.server, space, {}) == ["Gadget/one"]


def _is_served(harness: Harness, path: str) -> bool:
    with contextlib.suppress(ClusterError):
        return bool(harness.server.send(get(path), "gadgets", is_kind("GadgetList")))
    return False


@pytest.mark.usefixtures("served")
def test_an_operator_does_not_go_when_a_database_has_appeared_meanwhile(harness: Harness, space: str) -> None:
    objects = [namespace(space), deployment(space, "postgres-operator"), _database_of(space)]
    harness.apply([objects[0], objects[2]])
    harness.create(objects[1])
    key = key_of(objects[1])
    step = Step(key, change_of(key, "deleted"), Stage.DATABASES, 0, uid=harness.get(objects[1])["metadata"]["uid"])
    deletion = Deletion((), (), (step,), (), {})
    deleter = Deleter(harness.server, deletion, deadline=Deadline(10.0), progress=lambda event: None)
    with pytest.raises(ClusterError, match=f"postgresql/{space}/db-a has appeared meanwhile"):
        deleter.run()
    assert harness.find(objects[1])
    harness.api.request("DELETE", key.path)


def test_a_namespace_stays_where_a_server_of_others_is_away(harness: Harness, space: str) -> None:
    """Whatever serves an APIService may have objects in it: custom metrics whose adapter was removed, as a rule."""
    api, services = harness.api, "/apis/apiregistration.k8s.io/v1/apiservices"
    group = f"{space}.example.org"
    service = {
        "metadata": {"name": f"v1.{group}"},
        "spec": {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "gone", "namespace": space},
        },
    }
    harness.apply([namespace(space)])
    api.request("POST", services, service)
    try:
        until(lambda: any(one["name"] == group for one in api.request("GET", "/apis")["groups"]))
        live = harness.get(namespace(space))
        key = key_of(namespace(space))
        step = Step(key, change_of(key, "deleted"), Stage.DATABASES, 0, uid=live["metadata"]["uid"])
        connection = Connection(harness.connection.client, harness.connection.identity)
        connection.patience = Patience(seconds=0.5)
        deletion = Deletion((), (), (), (step,), {})
        deleter = Deleter(Server(connection, "delete"), deletion, deadline=Deadline(10.0), progress=lambda event: None)
        (change,) = deleter.run()
    finally:
        api.request("DELETE", f"{services}/v1.{group}")
    assert (change.action, change.reason) == (
        "skipped",
        f"stays: whether it is empty cannot be told, /apis/{group}/v1 does not answer (HTTP status 503)",
    )
    assert "deletionTimestamp" not in harness.get(namespace(space))["metadata"]


@pytest.mark.usefixtures("served")
def test_who_cannot_take_a_permission_back_says_so(
    harness: Harness, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server went away behind the permission to delete: nothing else would say that the database has it."""
    made = _database_of(space)
    harness.apply([namespace(space), made])
    key = key_of(made)
    step = Step(key, change_of(key, "deleted"), Stage.DATABASES, 0, uid=harness.get(made)["metadata"]["uid"])
    deleter = Deleter(
        harness.server, Deletion((), (step,), (), (), {}), deadline=Deadline(10.0), progress=lambda event: None
    )

    def away(*_: object, **__: object) -> bool:
        monkeypatch.setattr("planton.cluster.api.server.Server.get", away)
        raise ApiError("no answer", is_passing=True, reason="NoConnection", remedy="Wait.")

    monkeypatch.setattr("planton.cluster.api.server.Server.delete", away)
    with pytest.raises(ClusterError) as caught:
        deleter.run()
    monkeypatch.undo()
    assert caught.value.remedy.splitlines() == [
        "Wait.",
        f"postgresql/{space}/db-a may be permitted to be deleted from now on (its annotation delete-clustername): the "
        "same command goes on from there, and an apply of its manifest takes that back.",
    ]
    assert harness.get(made)["metadata"]["annotations"] == {"delete-clustername": "db-a"}


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("available", [0, 1])
def test_every_operator_that_may_run_counts_whichever_is_meant(harness: Harness, space: str, available: int) -> None:
    labels = {"app.kubernetes.io/name": "postgres-operator"}
    chart = deployment(space, "postgres-operator", image="ghcr.io/zalando/postgres-operator:v1.15.1")
    chart["metadata"] = {"name": "postgres-operator", "namespace": space, "labels": labels}
    harness.apply([namespace(space), _database_of(space)])
    harness.create(chart, "helm")
    home = f"labels:\n  kubernetes.project-planton.org/namespace: {space}"
    texts = [database("a", metadata=home)]
    texts.append(operator() + texts[0])
    server = harness.server
    try:
        for text in texts:
            messages = prepare(planton.loads(text))
            inventory = read_inventory(server, set_operator=operator_of(messages))
            (found,) = [one for one in inventory.operators if one.namespace == space]
            inventory = replace(inventory, operators=(replace(found, available=available),))
            for without in (False, True):
                options = DeleteOptions(databases=("a",), without_operator=without)
                with pytest.raises(RefusedError) as caught:
                    plan_deletion(server, messages, inventory, options)
                reasons = "\n".join(caught.value.reasons)
                assert f"Deployment/{space}/postgres-operator deletes volumes" in reasons
                assert f"Deployment/{space}/postgres-operator deletes passwords" in reasons
                assert "no operator runs" not in reasons
                assert ("has no available replica" in reasons) is (not available and not without)
    finally:
        harness.api.request("DELETE", key_of(chart).path)


def _database_of(space: str) -> Object:
    spec = {"teamId": "db", "numberOfInstances": 1, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"}}
    made = {"name": "db-a", "namespace": space, "labels": {"planton.ai/resource": "true"}}
    return {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": made, "spec": spec}
