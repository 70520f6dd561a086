"""Backups for an operator that already runs databases, in namespaces of ours and of others: no sync may fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import planton
from planton.cluster import DeleteOptions, PlanOptions, ProgressEvent
from planton.cluster.api.resources import STATEFUL_SET, Key
from planton.errors import RefusedError
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import PATIENT, Installed, words
from tests.cluster.objects import Object, foreign_database
from tests.manifests import database

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

GONE = {"metadata": {"deletionTimestamp": "any"}}
STORAGE = "r2-postgres-backup-credentials"
PLAIN = manifests.operator(backup=None, spec=PATIENT)


@pytest.fixture
def plain() -> Iterator[Installed]:
    """A sandbox of its own with an operator without backups."""
    with Sandbox.start() as started:
        made = Installed(started)
        made.operator = manifests.operator(spec=PATIENT)
        made.apply(PLAIN)
        yield made


def foreign(installed: Installed, space: str) -> None:
    """Makes a database as somebody does who never heard of planton."""
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    installed.api.request(
        "POST",
        f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls?fieldManager=kubectl-create",
        foreign_database(space),
    )


def secret(installed: Installed, space: str) -> Object:
    return installed.api.request("GET", f"/api/v1/namespaces/{space}/secrets/{STORAGE}")


def until_pods_have_keys(installed: Installed, space: str, have: bool) -> None:
    installed.until(lambda: ("AWS_ACCESS_KEY_ID" in installed.environment(space)) is have, seconds=90)


def version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def test_every_namespace_has_the_secret_before_the_operator_is_told_its_name(plain: Installed) -> None:
    ours = database("orders") + database("billing")
    plain.apply(ours)
    foreign(plain, "theirs")
    spaces = ["orders", "billing", "theirs"]
    for space in spaces:
        assert "AWS_ACCESS_KEY_ID" not in plain.environment(space)
    before = len(plain.sandbox.operator_log())
    plan = plain.plan(plain.operator, set_id="platform")
    assert {subject for subject, word in words(plan).items() if subject.startswith("Secret/")} == {
        f"Secret/{space}/{STORAGE}" for space in (*spaces, "postgres-operator")
    }
    assert any("restarts and syncs all databases" in effect for effect in plan.effects)

    def meddle(event: ProgressEvent) -> None:
        # Between the copies that were planned and the ConfigMap, and again while the operator restarts.
        if (event.phase, event.done, event.total) == ("secrets", 4, 4):
            foreign(plain, "appeared")
        if (event.phase, event.subject) == ("operator", "Deployment/postgres-operator/postgres-operator"):
            foreign(plain, "late")

    result = plain.cluster.apply(plan, timeout=60.0, progress=meddle)
    for space in ("appeared", "late"):
        assert words(result)[f"Secret/{space}/{STORAGE}"] == "created"

    # Every write has its place in one order: that of the resourceVersions. No copy was changed since it was made.
    configuration = plain.api.request("GET", "/api/v1/namespaces/postgres-operator/configmaps/postgres-operator")
    assert configuration["data"]["pod_environment_secret"] == STORAGE
    for space in (*spaces, "appeared", "postgres-operator"):
        assert version(secret(plain, space)) < version(configuration), space
    assert secret(plain, "late")["data"] == secret(plain, "postgres-operator")["data"]

    # The real operator gives all of them the keys, those that are not ours too, and no sync fails on the way.
    for space in (*spaces, "appeared", "late"):
        until_pods_have_keys(plain, space, True)
        live = plain.environment(space)
        assert live["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": STORAGE, "key": "AWS_SECRET_ACCESS_KEY"}}
        assert live["WALG_S3_PREFIX"] == "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)"
    log = plain.sandbox.operator_log()[before:]
    assert f'"{STORAGE}" not found' not in log
    assert "could not read Secret PodEnvironmentSecretName" not in log
    namespace = plain.api.request("GET", "/api/v1/namespaces/theirs")
    assert not any(label.startswith("planton.ai/") for label in namespace["metadata"]["labels"])

    # Nothing is left to do, and the copies belong to the operator's set.
    assert not plain.plan(plain.operator, set_id="platform").changed
    assert not plain.plan(plain.operator + ours).changed
    assert secret(plain, "theirs")["metadata"]["labels"]["planton.ai/set"] == "platform"

    # The way back: the operator is told first, and what its pods still refer to is left alone.
    plan = plain.plan(PLAIN, set_id="platform")
    assert [effect for effect in plan.effects if effect.startswith("backups of 5 databases stop: appeared/db-appeared")]
    assert words(plan)["ConfigMap/postgres-operator/postgres-pod-backup-config"] == "deleted"
    assert words(plan)[f"Secret/theirs/{STORAGE}"] == "skipped"
    plain.cluster.apply(plan, timeout=60.0)
    for space in (*spaces, "appeared", "late"):
        until_pods_have_keys(plain, space, False)
    result = plain.apply(PLAIN, set_id="platform")
    assert words(result)[f"Secret/theirs/{STORAGE}"] == "deleted"
    assert not plain.plan(PLAIN, set_id="platform").changed


def test_a_copy_that_cannot_be_made_stops_before_the_operator_is_told(plain: Installed) -> None:
    foreign(plain, "theirs")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    plan = plain.plan(plain.operator)
    path = "/api/v1/namespaces/theirs/resourcequotas"
    plain.api.request("POST", path, quota)
    status = {"status": {"hard": {"count/secrets": "0"}, "used": {"count/secrets": "0"}}}
    plain.api.request("PATCH", f"{path}/none/status", status, content_type="application/merge-patch+json")
    with pytest.raises(planton.PlantonError) as caught:
        plain.cluster.apply(plan, timeout=60.0)
    assert f"Secret/theirs/{STORAGE}" in str(caught.value)
    configuration = plain.api.request("GET", "/api/v1/namespaces/postgres-operator/configmaps/postgres-operator")
    assert configuration["data"]["pod_environment_secret"] == ""
    plain.api.request("DELETE", f"{path}/none")
    assert plain.apply(plain.operator).changed
    assert not plain.plan(plain.operator).changed

    # And the end of it all: databases first, then the operator, each by its own word.
    with pytest.raises(RefusedError, match="theirs/db-theirs"):
        plain.cluster.delete(planton.loads(plain.operator), options=DeleteOptions(operator=True))
    annotations = {"metadata": {"annotations": {"delete-clustername": "db-theirs"}}}
    path = "/apis/acid.zalan.do/v1/namespaces/theirs/postgresqls/db-theirs"
    plain.api.request("PATCH", path, annotations, content_type="application/merge-patch+json")
    plain.api.request("DELETE", path)
    # Without the operator what it has not removed by then stays, and the Secret with it.
    stateful_set = Key(STATEFUL_SET, "theirs", "db-theirs")
    plain.until(lambda: (plain.harness.server.get(stateful_set) or GONE)["metadata"].get("deletionTimestamp"))
    result = plain.cluster.delete(planton.loads(plain.operator), options=DeleteOptions(operator=True))
    assert words(result) == {
        "Deployment/postgres-operator/postgres-operator": "deleted",
        "Service/postgres-operator/postgres-operator": "deleted",
        "ConfigMap/postgres-operator/postgres-operator": "deleted",
        "ConfigMap/postgres-operator/postgres-pod-backup-config": "deleted",
        "ClusterRoleBinding/postgres-operator": "deleted",
        "ClusterRole/postgres-operator": "deleted",
        "ClusterRole/postgres-pod": "deleted",
        "ServiceAccount/postgres-operator/postgres-operator": "deleted",
        f"Secret/postgres-operator/{STORAGE}": "skipped",
        f"Secret/theirs/{STORAGE}": "skipped",
        "Namespace/postgres-operator": "skipped",
    }
    assert secret(plain, "theirs")
    # The CRD always stays, so an operator can come back to its databases.
    assert plain.cluster.facts()[1].from_cluster
    options = DeleteOptions(operator=True, storage_secret=True, namespace=True)
    result = plain.cluster.delete(planton.loads(plain.operator), options=options)
    assert words(result) == {
        f"Secret/postgres-operator/{STORAGE}": "deleted",
        f"Secret/theirs/{STORAGE}": "deleted",
        # It holds the record of the archives that are left.
        "Namespace/postgres-operator": "skipped",
    }


def test_an_operator_that_came_by_other_means_is_not_taken_over(sandbox: Sandbox) -> None:
    made = Installed(sandbox)
    space = "postgres-operator"
    labels = {"app.kubernetes.io/name": "postgres-operator", "app.kubernetes.io/instance": "postgres-operator"}
    container = {"name": "postgres-operator", "image": "ghcr.io/zalando/postgres-operator:v1.15.1"}
    deployment = {
        "metadata": {"name": "postgres-operator", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    made.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    made.api.request("POST", f"{path}?fieldManager=helm", deployment)
    try:
        for force in (False, True):
            with pytest.raises(RefusedError, match="was not made by planton"):
                made.plan(made.operator, force_conflicts=force)
    finally:
        made.api.request("DELETE", f"{path}/postgres-operator")


@pytest.mark.usefixtures("served")
def test_an_operator_that_finds_databases_says_so(sandbox: Sandbox, space: str) -> None:
    made = Installed(sandbox)
    foreign(made, space)
    plan = made.plan(made.operator)
    assert "postgres-operator begins to look after 1 database of the cluster" in plan.effects
    assert words(plan)[f"Secret/{space}/{STORAGE}"] == "created"


def test_databases_without_an_operator_are_refused(sandbox: Sandbox) -> None:
    cluster = planton.connect(sandbox.kubeconfig)
    with pytest.raises(RefusedError, match="no operator to look after databases"):
        cluster.plan(planton.loads(database("alone")), options=PlanOptions())
    assert cluster.facts() == (None, cluster.facts()[1])
    (status,) = cluster.status(planton.loads(database("alone")))
    assert (status.exists, status.ready) == (False, False)
