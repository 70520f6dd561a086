"""What a delete is refused for, and which volume claims are a database's own; no cluster is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planton.cluster import DeleteOptions
from planton.cluster.deleting.deletion_checks import Running, Target, check_targets, is_volume_of
from planton.cluster.operators import LiveOperator
from planton.errors import RefusedError
from planton.types import PostgresKubernetes
from tests.cluster.objects import Object

LABELS = {"application": "spilo", "cluster-name": "db-a"}
SAFE = {"enable_persistent_volume_claim_deletion": "false", "enable_secrets_deletion": "false"}


def owned(kind: str) -> Object:
    return {"ownerReferences": [{"apiVersion": "any/v1", "kind": kind, "name": "db-a", "uid": "1"}]}


def claim(name: str = "pgdata-db-a-0", labels: Object | None = None, **metadata: Any) -> Object:
    labels = LABELS if labels is None else labels
    return {"metadata": {"name": name, "namespace": "a", "labels": labels, **metadata}}


def password(**metadata: Any) -> Object:
    name = "postgres.db-a.credentials.postgresql.acid.zalan.do"
    return {"metadata": {"name": name, "namespace": "a", "labels": LABELS, **metadata}}


def stateful_set(when_deleted: str = "Retain") -> Object:
    spec = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": "Retain"}}
    return {"metadata": {"name": "db-a", "namespace": "a"}, "spec": spec}


def target(manager: str = "planton", operation: str = "Apply", set_id: str = "", **parts: Any) -> Target:
    labels = {"planton.ai/resource": "true"} | ({"planton.ai/set": set_id} if set_id else {})
    entry = {"manager": manager, "operation": operation, "fieldsV1": {}}
    live = {"metadata": {"name": "db-a", "namespace": "a", "labels": labels, "managedFields": [entry]}}
    return Target(PostgresKubernetes(), "a", "db-a", live, **parts)


def operator(namespace: Any = "postgres-operator", available: Any = 1, **settings: str) -> Running:
    live = LiveOperator(namespace, "postgres-operator", "1.15.1", "any", "", available, 1, ours=True)
    return Running(live, SAFE | settings)


def check(one: Target, *operators: Running, no_operator: Any = "", **options: Any) -> list[str]:
    """Gives the reasons of the refusal; empty without one."""
    chosen = DeleteOptions(databases=("a",), **options)
    try:
        check_targets([one], operators or (operator(),), chosen, no_operator=no_operator)
    except RefusedError as error:
        return list(error.reasons)
    return []


def test_nothing_speaks_against_a_database_of_ours() -> None:
    one = target(stateful_set=stateful_set(), claims=(claim(),), passwords=(password(),))
    assert check(one) == []
    assert check(one, volumes=True, passwords=True, storage_secret=True, namespace=True) == []


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("enable_persistent_volume_claim_deletion", "true", "volumes"),
        ("persistent_volume_claim_retention_policy", "when_deleted:delete,when_scaled:retain", "volumes"),
        ("persistent_volume_claim_retention_policy", "{'when_deleted': 'delete'}", "volumes"),
        ("enable_secrets_deletion", "true", "passwords"),
        ("enable_owner_references", "true", "passwords"),
    ],
)
def test_what_an_operator_deletes_must_be_named(setting: str, value: str, word: str) -> None:
    (reason,) = check(target(), operator(**{setting: value}))
    assert f"deletes {word} together with a database ({setting}" in reason
    assert f"--{word}" in reason
    assert check(target(), operator(**{setting: value}), **{word: True}) == []


def test_what_an_operator_deletes_by_default_must_be_named() -> None:
    bare = replace(operator(), settings={})
    assert len(check(target(), bare)) == 2
    assert check(target(), bare, volumes=True, passwords=True) == []
    kept = "when_deleted:retain,when_scaled:delete"
    assert check(target(), operator(persistent_volume_claim_retention_policy=kept)) == []


def test_volumes_that_the_cluster_deletes_must_be_named() -> None:
    one = target(stateful_set=stateful_set("Delete"))
    (reason,) = check(one)
    assert "StatefulSet/a/db-a deletes its volumes" in reason
    assert check(one, volumes=True) == []


@pytest.mark.parametrize("kind", ["postgresql", "StatefulSet"])
def test_what_is_owned_by_the_database_must_be_named(kind: str) -> None:
    (reason,) = check(target(claims=(claim(**owned(kind)),)))
    assert f"PersistentVolumeClaim/a/pgdata-db-a-0 is owned by {kind}/a/db-a" in reason
    assert check(target(claims=(claim(**owned(kind)),)), volumes=True) == []
    (reason,) = check(target(passwords=(password(**owned(kind)),)), volumes=True)
    assert f"is owned by {kind}/a/db-a" in reason
    assert "--passwords" in reason
    assert check(target(passwords=(password(**owned(kind)),)), passwords=True) == []
    assert check(target(claims=(claim(**owned("Backup")),), passwords=(password(**owned("Backup")),))) == []


def test_no_word_takes_what_is_no_volume_of_the_database() -> None:
    copy = claim("my-safety-copy", **owned("StatefulSet"))
    for volumes in (False, True):
        (reason,) = check(target(claims=(copy,)), volumes=volumes)
        assert "my-safety-copy is owned by" in reason
    deleting = operator(enable_persistent_volume_claim_deletion="true")
    (reason,) = check(target(claims=(claim(), claim("my-safety-copy"))), deleting, volumes=True)
    assert "would delete PersistentVolumeClaim/a/my-safety-copy too" in reason


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("pgdata-db-a-0", LABELS, True),
        ("pgdata-db-a-12", LABELS, True),
        ("my-safety-copy", LABELS, False),
        ("pgdata-db-a-0-copy", LABELS, False),
        ("pgdata-db-a-0\n", LABELS, False),
        ("pgdata-db-ab-0", LABELS, False),
        ("pgdata-db-a-0", {"cluster-name": "db-a"}, False),
        ("pgdata-db-a-0", LABELS | {"cluster-name": "db-b"}, False),
    ],
)
def test_volumes_are_known_by_name_and_labels(name: str, labels: Object, expected: bool) -> None:
    assert is_volume_of(claim(name, labels), "db-a", [operator()]) is expected
    assert is_volume_of(claim(name, labels), "db-a", []) is expected


def test_an_operator_may_have_other_labels() -> None:
    other = operator(cluster_labels="application:pg, team:them")
    labels = {"cluster-name": "db-a", "application": "pg", "team": "them"}
    assert is_volume_of(claim(labels=labels), "db-a", [other])
    assert not is_volume_of(claim(labels=labels), "db-a", [operator()])
    assert not is_volume_of(claim(), "db-a", [other])


def test_a_database_that_planton_did_not_apply_is_refused() -> None:
    (reason,) = check(target(manager="argocd"))
    assert "was not made by planton, but by argocd" in reason
    assert "--force-conflicts" in reason
    # Only a label says so, which anybody can copy.
    assert check(target(operation="Update"))


def test_a_database_of_another_set_is_refused() -> None:
    (reason,) = check(target(set_id="team-a"))
    assert "is of set team-a, and no set was named" in reason
    assert "--set team-a" in reason
    (reason,) = check(target(set_id="team-a"), set_id="team-b")
    assert "not of set team-b" in reason
    assert check(target(set_id="team-a"), set_id="team-a") == []
    assert check(target(), set_id="team-a") == []


def test_without_an_operator_nothing_goes_that_running_pods_need() -> None:
    down = "no operator runs in the cluster"
    (reason,) = check(target(), no_operator=down)
    assert "leaves its pods running" in reason
    assert check(target(), no_operator=down, without_operator=True) == []
    for word in ("volumes", "passwords", "storage_secret", "namespace"):
        (reason,) = check(target(), no_operator=down, without_operator=True, **{word: True})
        assert "cannot go with them" in reason


def test_without_operator_is_refused_where_one_may_run_and_deletes() -> None:
    bare = replace(operator(available=0), settings={})
    down = "Deployment/postgres-operator/postgres-operator has no available replica"
    reasons = check(target(), bare, no_operator=down, without_operator=True)
    assert len(reasons) == 2
    assert "deletes volumes" in reasons[0]
    # Whichever operator is meant, the one that runs elsewhere sees the deletion too.
    elsewhere = operator("zalando", enable_secrets_deletion="true")
    (reason,) = check(target(), operator(), elsewhere)
    assert reason.startswith("postgresql/a/db-a: Deployment/zalando/postgres-operator deletes passwords")


def test_what_pods_without_a_database_use_is_refused() -> None:
    orphan = replace(target(stateful_set=stateful_set()), live=None)
    assert check(orphan) == []
    for word, text in (("volumes", "volumes"), ("passwords", "passwords"), ("storage_secret", "storage Secret")):
        (reason,) = check(orphan, **{word: True})
        assert f"until then the {text} are in use" in reason
