"""Order, waits, and the small parts that need no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from planton.cluster.api.resources import DEPLOYMENT, NAMESPACE, Key, key_of, resource_of
from planton.cluster.api.server import in_parallel, results
from planton.cluster.planning.order import Stage, order_key, place
from planton.cluster.planning.prune import refers_to_secret
from planton.cluster.wait import Deadline, Pending, rollout
from planton.errors import ClusterError, WaitError
from planton.translate.names import KIND_LABEL
from tests.cluster.objects import Object, config_map, deployment, everything, namespace, service


def test_stages_and_ranks() -> None:
    objects = everything("a")
    configuration = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_secret="keys")
    database = {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "db", "namespace": "a"}}
    outside = service("a", "outside")
    outside["metadata"]["labels"] = {**outside["metadata"]["labels"], KIND_LABEL: "PostgresKubernetes"}
    ordered = sorted([database, outside, configuration, *objects], key=order_key)
    assert [f"{one['kind']}/{one['metadata']['name']}" for one in ordered] == [
        "Namespace/a",
        "ServiceAccount/worker",
        "ClusterRole/a",
        "ClusterRoleBinding/a",
        "Secret/keys",
        "ConfigMap/settings",
        # The one that names the others comes after them.
        "ConfigMap/postgres-operator",
        "Service/front",
        "Deployment/worker",
        "postgresql/db",
        "Service/outside",
    ]
    assert place(outside)[0] is Stage.DATABASES
    assert [stage.phase for stage in Stage] == [
        "namespaces", "rbac", "secrets", "databases", "configuration", "operator", "databases",
    ]  # fmt: skip


def test_order_has_tie_breaks() -> None:
    objects = [config_map(space, name) for space in ("b", "a") for name in ("y", "x")]
    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in sorted(objects, key=order_key)] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("b", "y"),
    ]


@pytest.mark.parametrize(
    "pod",
    [
        {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]}]},
        {"initContainers": [{"envFrom": [{"secretRef": {"name": "keys"}}]}]},
        {"volumes": [{"secret": {"secretName": "keys"}}]},
        {"volumes": [{"projected": {"sources": [{"secret": {"name": "keys"}}]}}]},
        {"imagePullSecrets": [{"name": "keys"}]},
        {"secrets": [{"name": "keys"}]},
        {"volumes": [{"csi": {"driver": "any", "nodePublishSecretRef": {"name": "keys"}}}]},
        {"volumes": [{"azureFile": {"secretName": "keys"}}]},
        {"volumes": [{"iscsi": {"secretRef": {"name": "keys"}}}]},
    ],
)
def test_all_ways_to_refer_to_a_secret(pod: Object) -> None:
    assert refers_to_secret(pod, "keys")
    assert not refers_to_secret(pod, "other")


def test_no_way_to_refer_to_a_secret() -> None:
    assert not refers_to_secret({"containers": [{"env": [{"name": "keys", "value": "keys"}]}]}, "keys")


def status(**facts: Any) -> Object:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 2, **facts}}


@pytest.mark.parametrize(
    ("obj", "words", "final"),
    [
        (status(replicas=1, updatedReplicas=1, availableReplicas=1), "", False),
        ({**status(), "spec": {"replicas": 0}}, "", False),
        (status() | {"status": {"observedGeneration": 1}}, "not been seen", False),
        (status(replicas=1), "0 of 1 pods are new", False),
        (status(replicas=2, updatedReplicas=1, availableReplicas=1), "1 old pods", False),
        (status(replicas=1, updatedReplicas=1), "0 of 1 pods are available", False),
        (
            status(conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]),
            "has failed",
            True,
        ),
        (
            status(conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota"}]),
            "(quota)",
            False,
        ),
    ],
)
def test_rollouts(obj: Object, words: str, final: bool) -> None:
    pending = rollout("Deployment/a/b", obj)
    assert bool(pending) is bool(words)
    for one in pending:
        assert words in one.line
        assert one.line.startswith("Deployment/a/b: ")
        assert one.final is final


def clock() -> tuple[Deadline, list[float]]:
    now = [0.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    return Deadline(10.0, clock=lambda: now[0], sleep=sleep), pauses


def test_a_wait_ends_in_time_and_names_everything() -> None:
    deadline, pauses = clock()
    told: list[str] = []
    with pytest.raises(WaitError) as caught:
        deadline.wait_for(lambda: [Pending("a: x"), Pending("b: y")], told.append)
    assert caught.value.pending == ("a: x", "b: y")
    assert sum(pauses) == pytest.approx(10.0)
    assert max(pauses) <= 2.0
    assert told == ["a: x; b: y"]


def test_a_wait_ends_at_once_when_there_is_no_hope() -> None:
    deadline, pauses = clock()
    with pytest.raises(WaitError):
        deadline.wait_for(lambda: [Pending("a: x"), Pending("b: y", final=True)], lambda text: None)
    assert pauses == []


def test_results_come_in_the_order_of_the_items_and_failures_are_kept() -> None:
    def work(number: int) -> int:
        if number % 50 == 7:
            raise ClusterError(str(number))
        return number * 2

    outcomes = in_parallel(work, range(100))
    assert [one for one in outcomes if isinstance(one, int)] == [n * 2 for n in range(100) if n % 50 != 7]
    with pytest.raises(ClusterError, match="7"):
        results(outcomes)


def test_identities() -> None:
    assert key_of(deployment("a")) == Key(DEPLOYMENT, "a", "worker")
    assert key_of(namespace("a")) == Key(NAMESPACE, "", "a")
    assert key_of(deployment("a")).path == "/apis/apps/v1/namespaces/a/deployments/worker"
    assert key_of(namespace("a")).subject == "Namespace/a"
    with pytest.raises(ClusterError, match=r"no metadata\.namespace"):
        key_of({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})
    with pytest.raises(ClusterError, match="none that planton writes"):
        resource_of({"apiVersion": "v1", "kind": "ComponentStatus"})
