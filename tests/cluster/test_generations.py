"""Who still runs on old credentials, what a lost Secret counts for, and a database with keys of its own."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from planton.cluster.api.resources import SECRET, Key
from planton.cluster.planning.apply import _source_first
from planton.cluster.planning.generations import OldCredentials, old_credentials
from planton.cluster.planning.inventory import _own, _with_lost
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Step, change_of
from planton.translate.existing import Existing, ExistingSecret
from planton.translate.generation import DATABASE_GENERATION, GENERATION, generation_of
from planton.translate.secret_values import Credentials
from tests.cluster.conftest import Installed
from tests.cluster.objects import Object
from tests.manifests import database

ORDERS = ("shop", "db-orders")
STORAGE = "r2-postgres-backup-credentials"


def spec(env: dict[str, str], container: str = "postgres") -> Object:
    entries = [{"name": name, "value": value} for name, value in env.items()]
    return {"containers": [{"name": "sidecar", "env": []}, {"name": container, "env": entries}]}


def template(env: dict[str, str]) -> Object:
    return {"spec": spec(env)}


def pod(name: str, env: dict[str, str], *, cluster: str = "db-orders", space: str = "shop", **more: Any) -> Object:
    metadata = {"name": name, "namespace": space, "labels": {"application": "spilo", "cluster-name": cluster}}
    return {"metadata": {**metadata, **more}, "spec": spec(env)}


def found(told: dict[str, str], behind: dict[str, str] | None, *pods: Object) -> tuple[OldCredentials, ...]:
    return old_credentials({ORDERS: told}, {} if behind is None else {ORDERS: template(behind)}, pods)


TWO, ONE = {GENERATION: "2"}, {GENERATION: "1"}


@pytest.mark.parametrize(
    ("told", "behind", "pods", "old"),
    [
        (TWO, TWO, [("a", TWO), ("b", TWO)], None),
        (TWO, TWO, [], None),
        (TWO, None, [], None),
        (TWO, ONE, [("a", ONE)], (True, ("a",))),
        (TWO, TWO, [("b", ONE), ("a", ONE), ("c", TWO)], (False, ("a", "b"))),
        # A pod from before there were generations has none.
        (TWO, TWO, [("a", {})], (False, ("a",))),
        (TWO, {}, [], (True, ())),
        # The StatefulSet is away for a moment while the operator replaces it.
        (TWO, None, [("a", ONE)], (False, ("a",))),
        ({**TWO, DATABASE_GENERATION: "1"}, {**TWO, DATABASE_GENERATION: "1"}, [("a", TWO)], (False, ("a",))),
        ({**TWO, DATABASE_GENERATION: "1"}, TWO, [], (True, ())),
    ],
)
def test_who_is_on_old_credentials(
    told: dict[str, str],
    behind: dict[str, str] | None,
    pods: list[tuple[str, dict[str, str]]],
    old: tuple[bool, tuple[str, ...]] | None,
) -> None:
    answer = found(told, behind, *(pod(name, env) for name, env in pods))
    assert [(one.template, one.pods) for one in answer] == ([old] if old else [])


def test_pods_of_others_do_not_count() -> None:
    others = [pod("a", ONE, cluster="db-billing"), pod("b", ONE, space="elsewhere")]
    assert not found(TWO, TWO, *others)


def test_a_pod_that_is_going_away_still_runs() -> None:
    (one,) = found(TWO, TWO, pod("a", ONE, deletionTimestamp="now"))
    assert one.pods == ("a",)


def test_only_the_container_of_the_database_counts() -> None:
    other = pod("a", {})
    other["spec"] = spec(TWO, container="logger")
    (one,) = found(TWO, TWO, other)
    assert one.pods == ("a",)


def test_what_it_says() -> None:
    (one,) = found({**TWO, DATABASE_GENERATION: "7"}, ONE, pod("db-orders-1", ONE), pod("db-orders-0", ONE))
    assert one.line.startswith("postgresql/shop/db-orders: ")
    assert f"generation {one.generation}" in one.line
    assert {"2", "7"} <= set(one.generation)
    assert "db-orders-0, db-orders-1" in one.line


def test_a_secret_that_is_lost_is_not_one_that_never_was() -> None:
    place, other = ("postgres-operator", STORAGE), ("shop", "db-orders-backup-credentials")
    wanted = Credentials({"AWS_ACCESS_KEY_ID": "whatever"})
    there = ExistingSecret(wanted, 3)
    told = _with_lost({place: None, other: None}, {place})
    assert told[other] is None
    assert generation_of(Existing(secrets=told), *place, wanted, 0) == 1
    assert generation_of(Existing(secrets=told), *place, wanted, 4) == 5
    assert generation_of(Existing(secrets=told), *other, wanted, 0) == 0
    assert _with_lost({place: there}, {place}) == {place: there}


def test_the_secrets_that_custom_resources_refer_to() -> None:
    env: list[Any] = [
        {"name": "A", "value": "a"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "b"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        "nonsense",
    ]
    databases = [{"metadata": {"namespace": "shop", "name": "db-orders"}, "spec": {"env": env}}]
    assert ("shop", "keys") in set(_own(databases))
    assert not {name for _, name in _own(databases)} - {"keys", ""}
    assert list(_own(None)) == []


@pytest.mark.parametrize("operators", [{"postgres-operator"}, set()])
def test_the_source_is_written_before_its_copies(operators: set[str]) -> None:
    def step(space: str, name: str = STORAGE, rank: int = 1) -> Step:
        key = Key(SECRET, space, name)
        return Step(key, change_of(key, "configured"), Stage.SECRETS, rank)

    steps = [step("a"), step("postgres-operator"), step("b"), step("a", "postgres-backup-files", 0)]
    ranks = {(one.key.namespace, one.key.name): one.rank for one in _source_first(steps, operators)}
    copies = 2 if operators else 1
    assert ranks == {
        ("a", STORAGE): copies,
        ("b", STORAGE): copies,
        ("postgres-operator", STORAGE): 1,
        ("a", "postgres-backup-files"): 0,
    }


def own(name: str, key: str) -> str:
    return database(
        name,
        backup=f"credentials: {{access_key_id: {{value: {key}-id}}, secret_access_key: {{value: {key}-secret}}}}",
    )


def state(installed: Installed, name: str) -> tuple[str, str, str]:
    """What the custom resource tells, the annotation of the Secret, and its key."""
    entries = {one["name"]: one.get("value", "") for one in installed.database(name)["spec"]["env"]}
    secret = installed.api.request("GET", f"/api/v1/namespaces/{name}/secrets/db-{name}-backup-credentials")
    annotation = (secret["metadata"].get("annotations") or {}).get("planton.ai/credentials-generation", "")
    key = base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]).decode()
    return entries.get(DATABASE_GENERATION, ""), annotation, key


@pytest.mark.cluster
def test_keys_of_a_databases_own(installed: Installed, name: str) -> None:
    installed.apply(own(name, "SENTINEL-first"))
    assert state(installed, name) == ("", "", "SENTINEL-first-id")
    installed.apply(own(name, "SENTINEL-second"))
    assert state(installed, name) == ("1", "1", "SENTINEL-second-id")
    assert not installed.apply(own(name, "SENTINEL-second")).changed
    installed.apply(own(name, "SENTINEL-first"))
    assert state(installed, name) == ("2", "2", "SENTINEL-first-id")
    # Without keys of its own it is told of no generation of them; with the same again it goes on where it was.
    installed.apply(database(name))
    assert "env" not in installed.database(name)["spec"]
    installed.apply(own(name, "SENTINEL-third"))
    assert state(installed, name) == ("3", "3", "SENTINEL-third-id")


@pytest.mark.cluster
@pytest.mark.parametrize("key", ["SENTINEL-first", "SENTINEL-second"])
def test_a_lost_secret_of_a_databases_own(installed: Installed, name: str, key: str) -> None:
    installed.apply(own(name, "SENTINEL-first"))
    installed.api.request("DELETE", f"/api/v1/namespaces/{name}/secrets/db-{name}-backup-credentials")
    installed.apply(own(name, key))
    assert state(installed, name) == ("1", "1", f"{key}-id")
    assert not installed.apply(own(name, key)).changed
