"""Keys that would be written over although backups may still need them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key, key_of
from planton.cluster.backups.archives import Archives
from planton.cluster.deleting.lost_keys import lost_keys
from tests.cluster.objects import Object, secret

STORAGE = "r2-postgres-backup-credentials-libsodium"
OWN = "db-x-backup-libsodium"
SETTINGS = Key(CONFIG_MAP, "operator", "postgres-operator")
DATABASE = Key(POSTGRESQL, "a", "db-x")
ON = {"USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": "s3://b/x"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def holding(namespace: str, name: str, key: str) -> Object:
    made = secret(namespace, name, WALG_LIBSODIUM_KEY=encoded(key))
    made["metadata"]["labels"] = {"planton.ai/kind": "PostgresKubernetes", "planton.ai/name": "x"}
    return made


def custom_resource(**env: str) -> Object:
    entries = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "kind": "postgresql",
        "metadata": {"namespace": "a", "name": "db-x"},
        "spec": {"env": entries, "postgresql": {"version": "17"}},
    }


def found(before: Object, after: Object, **facts: Any) -> list[str]:
    return lost_keys(Archives(**facts), {key_of(after): after}, {key_of(before): before})


@pytest.mark.parametrize(("live", "is_lost"), [({}, False), ({DATABASE: ON}, False), ({DATABASE: {}}, True)])
def test_the_operators_key(live: dict[Key, dict[str, str]], is_lost: bool) -> None:
    databases = {key: custom_resource(**env) for key, env in live.items()}
    old, new = holding("operator", STORAGE, "one"), holding("operator", STORAGE, "two")
    reasons = found(old, new, live=databases, settings=SETTINGS)
    assert bool(reasons) is is_lost
    assert not is_lost or ("a/db-x" in reasons[0] and "--allow-encryption-change" in reasons[0])
    assert found(old, old, live=databases, settings=SETTINGS) == []


def test_a_copy_says_nothing_for_itself() -> None:
    old, new = holding("a", STORAGE, "one"), holding("a", STORAGE, "two")
    assert found(old, new, live={DATABASE: custom_resource()}, settings=SETTINGS) == []


@pytest.mark.parametrize(("live", "is_lost"), [({}, True), ({DATABASE: ON}, False), ({DATABASE: {}}, True)])
def test_a_key_of_a_database_that_comes_back_or_whose_backups_are_off(
    live: dict[Key, dict[str, str]], is_lost: bool
) -> None:
    databases = {key: custom_resource(**env) for key, env in live.items()}
    reasons = found(holding("a", OWN, "one"), holding("a", OWN, "two"), live=databases)
    assert bool(reasons) is is_lost
    assert "two" not in "".join(reasons)


def test_a_key_that_is_new_overwrites_nothing() -> None:
    old = secret("a", OWN, AWS_ACCESS_KEY_ID=encoded("id"))
    old["metadata"]["labels"] = holding("a", OWN, "x")["metadata"]["labels"]
    assert found(old, holding("a", OWN, "two")) == []
