"""The cluster changes between plan and apply: nobody's change is written over unseen, and nothing done is forgotten."""

from __future__ import annotations

import base64

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.resources import SECRET, Key
from planton.cluster.planning.apply import Applier, copy_steps
from planton.cluster.planning.stale import changed, is_as_planned, only_over
from planton.cluster.planning.steps import Decisions
from planton.cluster.wait import Deadline
from planton.errors import ClusterError, ConflictError, ManifestError, Problem
from tests.cluster.conftest import Harness, Installed, words
from tests.cluster.objects import Object, config_map, deployment, everything, foreign_database, namespace, secret
from tests.manifests import database

STORAGE = "r2-postgres-backup-credentials"


def test_what_counts_as_a_change() -> None:
    desired = deployment("a")
    planned = {**desired, "status": {"replicas": 0}}
    planned["metadata"] = {**desired["metadata"], "uid": "1", "resourceVersion": "1"}
    busy = {**planned, "status": {"replicas": 1}}
    busy["metadata"] = {
        **planned["metadata"],
        "resourceVersion": "2",
        "annotations": {"deployment.kubernetes.io/revision": "2"},
    }
    assert is_as_planned(planned, busy, desired)
    for metadata in (
        {"uid": "2"},
        {"deletionTimestamp": "now"},
        {"labels": {**desired["metadata"]["labels"], "planton.ai/set": "other"}},
        {"labels": {**desired["metadata"]["labels"], "planton.ai/name": "other"}},
        {"annotations": {"delete-clustername": "db-x"}},
        {"ownerReferences": [{"kind": "other"}]},
    ):
        assert not is_as_planned(planned, {**busy, "metadata": {**busy["metadata"], **metadata}}, desired), metadata
    assert not is_as_planned(planned, {**busy, "spec": {**desired["spec"], "replicas": 3}}, desired)
    sent = only_over(desired, busy)["metadata"]
    assert (sent["uid"], sent["resourceVersion"], sent["labels"]) == ("1", "2", desired["metadata"]["labels"])
    assert "resourceVersion" not in desired["metadata"]
    assert only_over(desired, None) is desired
    error = changed(Key(SECRET, "a", "keys"), ["and worse"])
    assert str(error).startswith(
        "Secret/a/keys: apply (Conflict): it has changed since the plan\nand worse\nPlan again"
    )


@pytest.mark.cluster
def test_a_change_of_another_planton_is_not_written_over(harness: Harness, space: str) -> None:
    objects = [namespace(space), secret(space), config_map(space)]
    harness.apply(objects)
    stale = harness.plan([namespace(space), secret(space, AWS_ACCESS_KEY_ID="rotated"), config_map(space, a="2")])
    harness.apply([namespace(space), config_map(space, a="3")])
    with pytest.raises(ClusterError, match="has changed since the plan") as caught:
        harness.carry_out(stale)
    error = caught.value
    assert (error.status, error.reason, error.subject) == (409, "Conflict", f"ConfigMap/{space}/settings")
    assert words(error.changes)[f"Secret/{space}/keys"] == "configured"
    assert harness.get(config_map(space))["data"] == {"a": "3"}


@pytest.mark.cluster
def test_force_is_no_word_for_what_the_plan_did_not_show(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space)])
    stale = harness.plan([namespace(space), config_map(space, a="2")], force_conflicts=True)
    harness.edit(config_map(space), {"data": {"a": "theirs"}}, "kubectl-edit")
    with pytest.raises(ClusterError, match="has changed since the plan"):
        harness.carry_out(stale)
    assert harness.get(config_map(space))["data"] == {"a": "theirs"}


@pytest.mark.cluster
def test_a_status_that_is_written_all_the_time_stops_nothing(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    plan = harness.plan([*objects[1:], deployment(space, image="example.org/worker:2")])
    path = f"/apis/apps/v1/namespaces/{space}/deployments/worker"
    content = "application/merge-patch+json"
    harness.api.request("PATCH", f"{path}/status", {"status": {"observedGeneration": 1}}, content_type=content)
    harness.edit(deployment(space), {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}})
    assert words(harness.carry_out(plan))[f"Deployment/{space}/worker"] == "configured"
    live = harness.get(deployment(space))
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/worker:2"


@pytest.mark.cluster
def test_what_appeared_or_went_since_the_plan_is_seen(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    objects = [namespace(space), config_map(space), config_map(space, "same")]
    stale = harness.plan(objects)
    assert words(stale)[f"ConfigMap/{space}/settings"] == "created"
    harness.apply([namespace(space), config_map(space, "same")])
    harness.apply([namespace(space), config_map(space, a="other")])
    with pytest.raises(ClusterError, match="has changed since the plan") as caught:
        harness.carry_out(stale)
    assert words(caught.value.changes)[f"ConfigMap/{space}/same"] == "unchanged"
    assert harness.get(config_map(space))["data"] == {"a": "other"}

    stale = harness.plan(objects)
    assert words(stale)[f"ConfigMap/{space}/settings"] == "configured"
    harness.api.request("DELETE", f"/api/v1/namespaces/{space}/configmaps/settings")
    with pytest.raises(ClusterError, match="not there any more"):
        harness.carry_out(stale)
    assert harness.find(config_map(space)) is None


@pytest.mark.cluster
def test_the_same_set_twice_at_once_is_no_failure(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space)])
    wanted = [namespace(space), config_map(space, a="2"), config_map(space, "new")]
    plan, other = harness.plan(wanted), harness.plan(wanted)
    harness.carry_out(other)
    version = harness.get(config_map(space))["metadata"]["resourceVersion"]
    harness.carry_out(plan)
    assert harness.get(config_map(space))["metadata"]["resourceVersion"] == version


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("error", "told"),
    # Of what nobody expected only type and place are told: its text may hold anything.
    [(RuntimeError("boom"), r"a bug in planton: RuntimeError at "), (ManifestError([Problem("boom")]), "boom")],
    ids=["bug", "manifest"],
)
def test_whatever_ends_an_apply_what_was_done_is_told(
    harness: Harness, space: str, error: Exception, told: str
) -> None:
    plan = harness.plan([namespace(space), config_map(space)])

    def end(event: ProgressEvent) -> None:
        raise error

    with pytest.raises(ClusterError, match=told) as caught:
        harness.carry_out(plan, progress=end)
    assert words(caught.value.changes) == {f"Namespace/{space}": "created"}
    assert harness.find(config_map(space)) is None


def volume(name: str, size: str, **spec: str) -> str:
    lines = "\n".join(f"{key}: {value}" for key, value in spec.items())
    return database(name, spec=lines).replace("10Gi", size)


@pytest.mark.cluster
def test_a_stale_plan_shrinks_and_downgrades_no_database(installed: Installed, name: str) -> None:
    installed.apply(volume(name, "10Gi", version='"16"'))
    stale = installed.plan(volume(name, "10Gi", version='"16"').replace("10Gi", "10Gi\n    replicas: 2"))
    assert stale.changed
    installed.apply(volume(name, "20Gi", version='"17"'), allow_version_change=True)
    with pytest.raises(ClusterError, match="has changed since the plan") as caught:
        installed.cluster.apply(stale)
    assert "cannot shrink to 10Gi" in str(caught.value)
    assert "17 cannot become 16" in str(caught.value)
    spec = installed.database(name)["spec"]
    assert (spec["volume"]["size"], spec["postgresql"]["version"], spec["numberOfInstances"]) == ("20Gi", "17", 1)


@pytest.mark.cluster
def test_a_plan_to_create_merges_into_no_database_that_appeared(installed: Installed, name: str) -> None:
    stale = installed.plan(database(name))
    installed.apply(volume(name, "50Gi", version='"14"'))
    with pytest.raises(ClusterError, match="cannot shrink to 10Gi"):
        installed.cluster.apply(stale)
    spec = installed.database(name)["spec"]
    assert (spec["volume"]["size"], spec["postgresql"]["version"]) == ("50Gi", "14")


@pytest.mark.cluster
def test_the_operators_word_on_a_database_stops_no_apply(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    plan = installed.plan(database(name).replace("10Gi", "10Gi\n    replicas: 2"))
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}/status"
    patch = {"status": {"PostgresClusterStatus": "Updating"}}
    installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    assert words(installed.cluster.apply(plan))[f"postgresql/{name}/db-{name}"] == "configured"
    assert installed.database(name)["spec"]["numberOfInstances"] == 2


@pytest.mark.cluster
def test_two_plans_never_share_an_archive(installed: Installed, name: str) -> None:
    shared = f"s3_prefix: /shared/{name}"
    plans = [installed.plan(database(f"{name}-{letter}", backup=shared)) for letter in "ab"]
    installed.cluster.apply(plans[0])
    with pytest.raises(ClusterError, match="the same archive as the live database") as caught:
        installed.cluster.apply(plans[1])
    assert words(caught.value.changes)[f"Namespace/{name}-b"] == "created"
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}-b/postgresqls"
    assert installed.api.request("GET", path)["items"] == []


@pytest.mark.cluster
def test_two_applies_at_the_same_moment_do_not_share_an_archive_in_silence(installed: Installed, name: str) -> None:
    prefix = f"s3_prefix: /shared/{name}"
    plan = installed.plan(database(f"{name}-a", backup=prefix))

    def meddle(event: ProgressEvent) -> None:
        if (event.phase, event.subject) != ("databases", f"postgresql/{name}-a/db-{name}-a"):
            return
        theirs = installed.database(f"{name}-a")
        obj = {
            **{part: theirs[part] for part in ("apiVersion", "kind", "spec")},
            "metadata": {"name": f"db-{name}-b"},
        }
        path = f"/apis/acid.zalan.do/v1/namespaces/{name}-a/postgresqls?fieldManager=other"
        installed.api.request("POST", path, obj)

    try:
        with pytest.raises(ClusterError, match="the same archive as the live database") as caught:
            installed.cluster.apply(plan, progress=meddle)
    finally:
        # As long as two live databases share an archive, the operator's manifest is refused for every other test.
        installed.api.request("DELETE", f"/apis/acid.zalan.do/v1/namespaces/{name}-a/postgresqls/db-{name}-b")
    assert words(caught.value.changes)[f"postgresql/{name}-a/db-{name}-a"] == "created"


def source(installed: Installed) -> Object:
    return installed.api.request("GET", f"/api/v1/namespaces/postgres-operator/secrets/{STORAGE}")


@pytest.mark.cluster
def test_keys_that_were_rotated_since_the_plan_are_the_ones_that_are_copied(installed: Installed, name: str) -> None:
    installed.apply(installed.operator)
    plan = installed.plan(database(name))
    rotated = base64.b64encode(b"rotated-since-the-plan").decode()
    path = f"/api/v1/namespaces/postgres-operator/secrets/{STORAGE}"
    patch = {"data": {"AWS_SECRET_ACCESS_KEY": rotated}}
    old = source(installed)["data"]
    try:
        installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
        installed.cluster.apply(plan)
        copy = installed.api.request("GET", f"/api/v1/namespaces/{name}/secrets/{STORAGE}")
        assert copy["data"]["AWS_SECRET_ACCESS_KEY"] == rotated
    finally:
        installed.api.request("PATCH", path, {"data": old}, content_type="application/merge-patch+json")


EXTERNAL = "ingress:\n  enabled: true\n  dns_domain: {}.example.org"


@pytest.mark.cluster
def test_ingress_that_is_switched_off_closes_the_load_balancer(installed: Installed, name: str) -> None:
    subject = f"Service/{name}/db-{name}-external"
    installed.apply(database(name, spec=EXTERNAL.format(name)))
    path = f"/api/v1/namespaces/{name}/services"
    assert installed.api.request("GET", f"{path}/db-{name}-external")["spec"]["type"] == "LoadBalancer"
    for options in ({}, {"set_id": name}):
        plan = installed.plan(database(name), **options)
        assert [change.subject for change in plan.changes].count(subject) == 1
        assert words(plan)[subject] == "deleted"
    plan = installed.plan(database(name))
    assert f"db-{name} is no longer reachable from outside the cluster" in plan.effects
    # The load balancer gets its address meanwhile.
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    content = "application/merge-patch+json"
    installed.api.request("PATCH", f"{path}/db-{name}-external/status", status, content_type=content)
    assert words(installed.cluster.apply(plan))[subject] == "deleted"
    names = [one["metadata"]["name"] for one in installed.api.request("GET", path)["items"]]
    assert f"db-{name}-external" not in names
    assert not installed.plan(database(name)).changed

    # One of that name that we did not make for it stays, whatever its labels say.
    labels = {"planton.ai/resource": "true", "planton.ai/kind": "PostgresKubernetes", "planton.ai/name": name}
    theirs = {
        "metadata": {"name": f"db-{name}-external", "labels": labels},
        "spec": {"ports": [{"port": 5432}], "selector": {"app": "theirs"}},
    }
    installed.api.request("POST", f"{path}?fieldManager=kubectl-create", theirs)
    assert not installed.plan(database(name)).changed


@pytest.mark.cluster
def test_a_load_balancer_that_is_somebody_elses_by_now_stays(installed: Installed, name: str) -> None:
    installed.apply(database(name, spec=EXTERNAL.format(name)))
    plan = installed.plan(database(name))
    path = f"/api/v1/namespaces/{name}/services/db-{name}-external"
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}
    patch = {"metadata": {"ownerReferences": [owner]}}
    installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    assert words(installed.cluster.apply(plan))[f"Service/{name}/db-{name}-external"] == "skipped"
    assert installed.api.request("GET", path)


@pytest.mark.cluster
def test_a_foreign_database_that_appeared_is_a_conflict(installed: Installed, name: str) -> None:
    stale = installed.plan(database(name))
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls?fieldManager=kubectl-create"
    installed.api.request("POST", path, foreign_database(name))
    with pytest.raises(ConflictError, match="kubectl-create"):
        installed.cluster.apply(stale)
    assert installed.database(name)["spec"]["teamId"] == "them"


@pytest.mark.cluster
def test_an_old_copy_of_the_keys_is_renewed_for_a_database_that_appeared(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), secret(space, AWS_ACCESS_KEY_ID="old-key")])
    decisions: Decisions = harness.plan([namespace(space)])._sealed.content
    copies = copy_steps([secret(space, AWS_ACCESS_KEY_ID="new-key")])
    applier = Applier(
        harness.server, decisions, copies=lambda: copies, deadline=Deadline(10.0), progress=lambda event: None
    )
    applier._copy_secrets()
    assert words(applier._changes) == {f"Secret/{space}/keys": "configured"}
    assert base64.b64decode(harness.get(secret(space))["data"]["AWS_ACCESS_KEY_ID"]) == b"new-key"
