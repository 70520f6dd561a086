"""What of a set goes when it is no longer rendered, and all that must never go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from planton.cluster.api.mask import HIDDEN
from planton.cluster.api.resources import key_of
from planton.errors import ConflictError, RefusedError
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import (
    Object,
    cluster_role,
    cluster_role_binding,
    config_map,
    deployment,
    everything,
    namespace,
    secret,
    service,
    service_account,
)

pytestmark = pytest.mark.cluster


def database(space: str, name: str = "db-sample", **labels: str) -> Object:
    return {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {
            "name": name,
            "namespace": space,
            "labels": {"planton.ai/resource": "true", "planton.ai/name": "sample", **labels},
        },
        "spec": {
            "teamId": "db",
            "numberOfInstances": 1,
            "postgresql": {"version": "17"},
            "volume": {"size": "1Gi"},
        },
    }


def claim(space: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "pgdata-db-sample-0", "namespace": space, "labels": {"planton.ai/resource": "true"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def stateful_set(space: str, secret_name: str) -> Object:
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": secret_name, "key": "AWS_ACCESS_KEY_ID"}}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "user-of-it", "namespace": space},
        "spec": {
            "serviceName": "none",
            "selector": {"matchLabels": {"app": "user"}},
            "template": {
                "metadata": {"labels": {"app": "user"}},
                "spec": {"containers": [{"name": "postgres", "image": "example.org/postgres:1", "env": env}]},
            },
        },
    }


def test_what_is_no_longer_rendered_goes_and_nothing_else(harness: Harness, space: str) -> None:
    harness.apply(everything(space), set_id=space)
    left = [namespace(space), config_map(space, "other")]
    plan = harness.plan(left, set_id=space)
    assert words(plan) == {
        f"Namespace/{space}": "unchanged",
        f"ConfigMap/{space}/other": "created",
        f"Deployment/{space}/worker": "deleted",
        f"Service/{space}/front": "deleted",
        f"ConfigMap/{space}/settings": "deleted",
        f"Secret/{space}/keys": "deleted",
        f"ClusterRoleBinding/{space}": "deleted",
        f"ClusterRole/{space}": "deleted",
        f"ServiceAccount/{space}/worker": "deleted",
    }
    assert all(harness.find(one) for one in everything(space))
    assert words(harness.carry_out(plan)) == words(plan)
    assert [one["kind"] for one in everything(space) if harness.find(one)] == ["Namespace"]
    assert not harness.plan(left, set_id=space).changed


def test_without_a_set_id_nothing_is_pruned_and_the_label_stays(harness: Harness, space: str) -> None:
    harness.apply(everything(space), set_id=space)
    assert words(harness.apply([namespace(space), config_map(space)])) == {
        f"Namespace/{space}": "unchanged",
        f"ConfigMap/{space}/settings": "unchanged",
    }
    assert harness.get(config_map(space))["metadata"]["labels"]["planton.ai/set"] == space
    assert all(harness.find(one) for one in everything(space))


def test_a_namespace_of_the_set_is_left_alone_with_the_reason(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)], set_id=space)
    (change,) = harness.apply([], set_id=space)
    assert (change.action, change.reason) == (
        "skipped",
        "no longer in the set, left alone: Namespaces are never pruned",
    )
    assert "deletionTimestamp" not in harness.get(namespace(space))["metadata"]


@pytest.mark.usefixtures("served")
def test_databases_volumes_and_what_belongs_to_them_are_left_alone(harness: Harness, space: str) -> None:
    kind = {"planton.ai/kind": "PostgresKubernetes"}
    front = service(space)
    front["metadata"]["labels"] = {**front["metadata"]["labels"], **kind}
    harness.apply([namespace(space), database(space, **kind), claim(space), front], set_id=space)
    changes = {change.subject: change for change in harness.apply([namespace(space)], set_id=space)}
    told = changes[f"postgresql/{space}/db-sample"].reason
    assert told.endswith("planton delete takes its former manifest and its name")
    assert f"it belongs to postgresql/{space}/db-sample" in changes[f"Service/{space}/front"].reason
    assert {change.action for change in changes.values()} == {"skipped", "unchanged"}
    for one in (database(space), claim(space), front):
        assert "deletionTimestamp" not in harness.get(one)["metadata"]


def test_a_crd_with_the_label_of_the_set_is_left_alone(harness: Harness, space: str) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{space}.example.org", "labels": {"planton.ai/resource": "true"}},
        "spec": {
            "group": f"{space}.example.org",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    harness.apply([crd], set_id=space)
    assert harness.apply([], set_id=space) == []
    assert "deletionTimestamp" not in harness.get(crd)["metadata"]


def test_a_secret_that_a_template_refers_to_is_left_alone_and_goes_later(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), secret(space)], set_id=space)
    harness.create(stateful_set(space, "keys"))
    changes = {change.subject: change for change in harness.apply([namespace(space)], set_id=space)}
    change = changes[f"Secret/{space}/keys"]
    assert change.action == "skipped"
    assert f"StatefulSet/{space}/user-of-it refers to it" in change.reason
    harness.api.request("DELETE", f"/apis/apps/v1/namespaces/{space}/statefulsets/user-of-it")
    assert words(harness.apply([namespace(space)], set_id=space))[f"Secret/{space}/keys"] == "deleted"
    assert harness.find(secret(space)) is None


def test_a_secret_that_a_template_begins_to_refer_to_is_not_pruned_by_an_older_plan(
    harness: Harness, space: str
) -> None:
    harness.apply([namespace(space), secret(space)], set_id=space)
    plan = harness.plan([namespace(space)], set_id=space)
    assert words(plan)[f"Secret/{space}/keys"] == "deleted"
    harness.create(stateful_set(space, "keys"))
    assert words(harness.carry_out(plan))[f"Secret/{space}/keys"] == "skipped"
    assert harness.find(secret(space))


@pytest.mark.usefixtures("served")
def test_a_secret_is_not_pruned_from_beside_a_database_that_the_plan_did_not_see(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), secret(space), secret(space, "others")], set_id=space)
    plan = harness.plan([namespace(space)], set_id=space)
    made = database(space)
    made["spec"]["env"] = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]
    harness.create(made)
    changes = {change.subject: change for change in harness.carry_out(plan)}
    assert "postgresql/" in changes[f"Secret/{space}/keys"].reason
    assert "refers to it" in changes[f"Secret/{space}/keys"].reason
    assert "was not there when this was planned" in changes[f"Secret/{space}/others"].reason
    assert harness.find(secret(space))
    assert harness.find(secret(space, "others"))


@pytest.mark.usefixtures("served")
def test_a_secret_that_the_operator_needs_for_a_database_is_left_alone(harness: Harness, space: str) -> None:
    copy = secret(space)
    copy["metadata"]["labels"] = {**copy["metadata"]["labels"], "planton.ai/kind": "PostgresOperatorKubernetes"}
    harness.apply([namespace(space), copy, database(space)], set_id=space)
    changes = {change.subject: change for change in harness.apply([namespace(space)], set_id=space)}
    assert "the operator needs it" in changes[f"Secret/{space}/keys"].reason
    assert harness.find(copy)


@pytest.mark.usefixtures("served")
def test_an_operator_with_databases_is_left_alone(harness: Harness, space: str) -> None:
    kind = {"planton.ai/kind": "PostgresOperatorKubernetes"}
    objects = [config_map(space), deployment(space), cluster_role(space), service_account(space)]
    for one in objects:
        one["metadata"]["labels"] = {**one["metadata"]["labels"], **kind}
    harness.apply([namespace(space), *objects, database(space)], set_id=space)
    changes = harness.apply([namespace(space), database(space)], set_id=space)
    kept = [change for change in changes if change.action == "skipped"]
    assert {change.kind for change in kept} == {"ConfigMap", "Deployment", "ClusterRole", "ServiceAccount"}
    assert all("still looks after databases" in change.reason for change in kept)
    assert all(harness.find(one) for one in objects)


KIND = {"planton.ai/kind": "PostgresOperatorKubernetes"}


def operators_own(obj: Object, name: str = "") -> Object:
    """Labels an object as the operator's."""
    obj["metadata"]["labels"] = {**obj["metadata"]["labels"], **KIND}
    obj["metadata"]["name"] = name or obj["metadata"]["name"]
    return obj


@pytest.fixture
def operator(harness: Harness, space: str) -> Iterator[list[Object]]:
    """An operator with its storage Secret, of the set that is named like its namespace."""
    image = "ghcr.io/zalando/postgres-operator:v1.15.1"
    objects = [
        # planton would wait for one of its own name to become ready.
        operators_own(deployment(space, "the-operator", image=image)),
        operators_own(secret(space)),
        operators_own(config_map(space, "postgres-pod-backup-config")),
        operators_own(cluster_role(space)),
    ]
    harness.apply([namespace(space), *objects], set_id=space)
    yield objects
    for one in objects:
        if harness.find(one):
            harness.api.request("DELETE", key_of(one).path)


@pytest.mark.usefixtures("served")
def test_the_storage_secret_of_an_operator_stays_with_it(harness: Harness, space: str, operator: list[Object]) -> None:
    theirs = f"{space}-b"
    copies = [operators_own(secret(theirs)), operators_own(secret(f"{space}-c"))]
    spaces = [namespace(one) for one in (space, theirs, f"{space}-c")]
    harness.apply([*spaces, *operator, *copies, database(theirs)], set_id=space)
    changes = {one.subject: one for one in harness.apply([*spaces, database(theirs)], set_id=space)}
    for one in operator:
        assert "the operator still looks after databases" in changes[key_of(one).subject].reason
        assert harness.find(one)
    assert "needs it for" in changes[key_of(copies[0]).subject].reason
    assert harness.find(copies[0])
    # No database is beside this one, so it may go.
    assert changes[key_of(copies[1]).subject].action == "deleted"
    harness.api.request("DELETE", key_of(operator[2]).path)
    assert words(harness.apply(spaces, set_id=space))[key_of(operator[1]).subject] == "skipped"


@pytest.mark.usefixtures("served")
def test_the_storage_secret_waits_for_the_operator_to_come_back(
    harness: Harness, space: str, operator: list[Object]
) -> None:
    harness.apply([namespace(space), namespace(f"{space}-b"), *operator, database(f"{space}-b")], set_id=space)
    harness.api.request("DELETE", key_of(operator[0]).path)
    changes = harness.apply([namespace(space), namespace(f"{space}-b")], set_id=space)
    assert {one.kind: one.action for one in changes if one.namespace == space} == {
        "Secret": "skipped",
        "ConfigMap": "skipped",
    }
    assert harness.find(operator[1])


def test_an_operator_that_runs_is_left_alone(harness: Harness, space: str, operator: list[Object]) -> None:
    changes = {one.subject: one for one in harness.apply([namespace(space)], set_id=space)}
    for one in operator:
        assert "delete it with planton delete" in changes[key_of(one).subject].reason
        assert harness.find(one)
    harness.edit(operator[0], {"spec": {"replicas": 0}})
    changes = {one.subject: one for one in harness.apply([namespace(space)], set_id=space)}
    assert {changes[key_of(one).subject].action for one in operator} == {"deleted"}


@pytest.mark.parametrize("kind", ["CronJob", "Job", "DaemonSet", "ReplicaSet", "ServiceAccount"])
def test_a_secret_stays_with_whatever_refers_to_it(harness: Harness, space: str, kind: str) -> None:
    harness.apply([namespace(space), secret(space)], set_id=space)
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "one", "image": "any", "envFrom": [{"secretRef": {"name": "keys"}}]}],
    }
    if kind in ("DaemonSet", "ReplicaSet"):
        pod["restartPolicy"] = "Always"
    template = {"metadata": {"labels": {"app": "user"}}, "spec": pod}
    selected = {"selector": {"matchLabels": {"app": "user"}}, "template": template}
    kinds: dict[str, tuple[str, Object]] = {
        "CronJob": ("batch/v1", {"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}}}),
        "Job": ("batch/v1", {"spec": {"template": template}}),
        "DaemonSet": ("apps/v1", {"spec": selected}),
        "ReplicaSet": ("apps/v1", {"spec": selected}),
        "ServiceAccount": ("v1", {"secrets": [{"name": "keys"}]}),
    }
    api_version, body = kinds[kind]
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    path = f"{root}/namespaces/{space}/{kind.lower()}s"
    harness.api.request("POST", path, {"metadata": {"name": "user-of-it"}, **body})
    changes = {one.subject: one for one in harness.apply([namespace(space)], set_id=space)}
    assert f"{kind}/{space}/user-of-it refers to it" in changes[f"Secret/{space}/keys"].reason
    assert harness.find(secret(space))
    if kind == "ReplicaSet":
        # What a Deployment keeps of old revisions starts nothing any more.
        patch = {"spec": {"replicas": 0}}
        harness.api.request("PATCH", f"{path}/user-of-it", patch, content_type="application/merge-patch+json")
        assert words(harness.apply([namespace(space)], set_id=space))[f"Secret/{space}/keys"] == "deleted"


def edit_labels(harness: Harness, obj: Object, **metadata: Any) -> None:
    harness.edit(obj, {"metadata": metadata})


def test_what_others_made_or_own_is_not_ours_to_prune(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space), config_map(space, "owned")], set_id=space)
    labels = {"planton.ai/resource": "true", "planton.ai/set": space}
    copied = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "copied", "namespace": space, "labels": labels},
        "data": {"a": "1"},
    }
    harness.create(copied, "velero")
    owner = harness.get(config_map(space))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "uid": owner["metadata"]["uid"]}
    edit_labels(harness, config_map(space, "owned"), ownerReferences=[reference])
    changes = words(harness.apply([namespace(space), config_map(space)], set_id=space))
    assert changes == {f"Namespace/{space}": "unchanged", f"ConfigMap/{space}/settings": "unchanged"}
    assert harness.find(copied)
    assert harness.find(config_map(space, "owned"))


def test_another_set_is_not_touched(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space, "theirs")], set_id=f"{space}-b")
    harness.apply([config_map(space, "mine"), namespace(space)], set_id=f"{space}-a")
    assert words(harness.apply([namespace(space)], set_id=f"{space}-a")) == {
        f"Namespace/{space}": "unchanged",
        f"ConfigMap/{space}/mine": "deleted",
    }
    assert harness.find(config_map(space, "theirs"))


def test_two_sets_do_not_fight_over_an_object(harness: Harness, space: str) -> None:
    objects = [namespace(space), config_map(space)]
    harness.apply(objects, set_id=f"{space}-a")
    with pytest.raises(ConflictError) as caught:
        harness.plan(objects, set_id=f"{space}-b")
    assert caught.value.conflicts[0].manager == f"planton, set {space}-a"
    harness.apply(objects, set_id=f"{space}-b", force_conflicts=True)
    assert harness.get(config_map(space))["metadata"]["labels"]["planton.ai/set"] == f"{space}-b"


def test_the_copy_of_a_secret_belongs_to_two_sets_and_stays_in_the_first(harness: Harness, space: str) -> None:
    objects = [namespace(space), secret(space)]
    harness.apply(objects, set_id=f"{space}-a")
    assert not harness.plan(objects, set_id=f"{space}-b").changed
    rotated = [namespace(space), secret(space, AWS_ACCESS_KEY_ID="rotated-key")]
    harness.apply(rotated, set_id=f"{space}-b")
    assert harness.get(secret(space))["metadata"]["labels"]["planton.ai/set"] == f"{space}-a"
    assert not harness.plan(rotated, set_id=f"{space}-a").changed


def test_an_object_that_was_replaced_meanwhile_is_not_deleted(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space), config_map(space, "busy")], set_id=space)
    plan = harness.plan([namespace(space)], set_id=space)
    harness.api.request("DELETE", f"/api/v1/namespaces/{space}/configmaps/settings")
    harness.create(config_map(space))
    harness.edit(config_map(space, "busy"), {"metadata": {"annotations": {"touched": "yes"}}})
    changes = words(harness.carry_out(plan))
    assert changes[f"ConfigMap/{space}/settings"] == "skipped"
    assert harness.find(config_map(space))
    # Only touched, still ours and of the set: it goes.
    assert changes[f"ConfigMap/{space}/busy"] == "deleted"
    assert harness.find(config_map(space, "busy")) is None


@pytest.mark.parametrize("set_id", ["", "-a", "a b", "a/b", "a\n", "x" * 64])
def test_a_set_id_must_be_a_label_value(harness: Harness, set_id: str) -> None:
    with pytest.raises(RefusedError):
        harness.plan([], set_id=set_id)


def test_what_is_pruned_shows_no_value(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), secret(space)], set_id=space)
    plan = harness.plan([namespace(space)], set_id=space)
    assert "sentinel" not in str(plan) + repr(plan)
    assert HIDDEN not in str(plan)


def test_cluster_wide_objects_of_a_set_go_by_the_same_rules(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), cluster_role(space), cluster_role_binding(space, space)], set_id=space)
    edit_labels(harness, cluster_role(space), labels={"planton.ai/set": None})
    assert words(harness.apply([namespace(space)], set_id=space)) == {
        f"Namespace/{space}": "unchanged",
        f"ClusterRoleBinding/{space}": "deleted",
    }
    assert harness.find(cluster_role(space))


def test_a_secret_with_which_a_clone_was_read_stays_with_it(harness: Harness, space: str, served: None) -> None:
    """Though no pod and no template refers to it yet, and whoever looks after databases is in the set."""
    begun = database(space)
    entry = {"name": "CLONE_AWS_ACCESS_KEY_ID"}
    begun["spec"]["env"] = [
        {**entry, "valueFrom": {"secretKeyRef": {"name": "db-sample-clone-credentials", "key": "k"}}}
    ]
    begun["spec"]["additionalVolumes"] = [{"name": "db-sample-clone-ca"}, {"name": "other"}]
    names = ("db-sample-clone-credentials", "db-sample-clone-ca", "other")
    harness.apply([namespace(space), begun, *(secret(space, name) for name in names)], set_id="clones")
    gone = harness.plan([namespace(space), begun], set_id="clones")
    assert {one.name for one in gone.changes if one.kind == "Secret"} == {"other"}
