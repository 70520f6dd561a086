"""Keys that would be written over although backups may still need them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key, key_of
from planton.cluster.backups.archives import Archives
from planton.cluster.deleting.lost_keys import lost_keys
from planton.translate.archive_record import DELETED, MOVED, STOPPED, TAKEN, LeftArchive, record_object, with_left
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


def found(before: Object, after: Object, *left: LeftArchive, **facts: Any) -> list[str]:
    record = record_object("operator", with_left({}, left))
    objects = {Key(CONFIG_MAP, "operator", "planton-archives"): record} if left else {}
    return lost_keys(Archives(**facts), {key_of(after): after}, {key_of(before): before}, objects.get)


@pytest.mark.parametrize(("live", "is_lost"), [({}, False), ({DATABASE: ON}, False), ({DATABASE: {}}, True)])
def test_the_operators_key(live: dict[Key, dict[str, str]], is_lost: bool) -> None:
    databases = {key: custom_resource(**env) for key, env in live.items()}
    old, new = holding("operator", STORAGE, "one"), holding("operator", STORAGE, "two")
    reasons = found(old, new, live=databases, settings=SETTINGS)
    assert bool(reasons) is is_lost
    assert not is_lost or ("a/db-x" in reasons[0] and "--allow-encryption-change" in reasons[0])
    assert found(old, old, live=databases, settings=SETTINGS) == []


@pytest.mark.parametrize(
    ("changed", "is_lost"),
    [
        ({}, True),
        ({"why": TAKEN}, True),
        ({"why": STOPPED}, True),
        # Since the keys were changed the key for encryption may well be the same.
        ({"key_in": f"{STORAGE}/7"}, True),
        # Told when it moved; it is another key by now.
        ({"why": MOVED}, False),
        ({"encryption": "", "key_in": ""}, False),
        ({"encryption": "pgp", "key_in": "r2-postgres-backup-credentials-pgp/0"}, False),
        ({"key_in": f"{OWN}/0"}, False),
    ],
)
def test_the_operators_key_after_its_databases_are_deleted(changed: dict[str, Any], is_lost: bool) -> None:
    left = replace(LeftArchive("s3", "s3://b/x", "a", "db-x", "17", DELETED, "libsodium", f"{STORAGE}/0"), **changed)
    old, new = holding("operator", STORAGE, "one"), holding("operator", STORAGE, "two")
    reasons = found(old, new, left, settings=SETTINGS)
    assert bool(reasons) is is_lost
    assert not is_lost or "with which backups of a/db-x are encrypted" in reasons[0]
    assert found(old, old, left, settings=SETTINGS) == []
    # Of one that is alive and archives it is known by itself.
    assert found(old, new, left, live={DATABASE: custom_resource(**ON)}, settings=SETTINGS) == []


def test_a_copy_says_nothing_for_itself() -> None:
    old, new = holding("a", STORAGE, "one"), holding("a", STORAGE, "two")
    assert found(old, new, live={DATABASE: custom_resource()}, settings=SETTINGS) == []


@pytest.mark.parametrize(("before", "after", "is_lost"), [(0, 0, True), (2, 2, True), (2, 1, True), (1, 2, False)])
def test_a_copy_is_made_anew_from_a_key_that_no_apply_has_changed(before: int, after: int, is_lost: bool) -> None:
    """Where only a database is applied: the operator's own Secret was changed by hand, or the copy was."""
    old, new = holding("a", STORAGE, "one"), holding("a", STORAGE, "two")
    for one, number in ((old, before), (new, after)):
        one["metadata"]["annotations"] = {"planton.ai/credentials-generation": str(number)} if number else {}
    reasons = found(old, new, live={DATABASE: custom_resource(**ON)})
    assert bool(reasons) is is_lost
    assert not is_lost or ("backups of db-x are encrypted" in reasons[0] and "changed by hand" in reasons[0])
    assert found(old, old, live={DATABASE: custom_resource(**ON)}) == []
    assert found(old, new, live={DATABASE: custom_resource(**ON)}, settings=SETTINGS) == []


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
