"""A Secret with credentials is named by its set of keys: what that is for, and that it holds."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import planton
from planton.rendering import Rendering
from planton.translate.existing import Existing
from planton.translate.names import (
    STORAGE_SECRETS,
    files_secret,
    is_storage_secret,
    own_secret_names,
    source_files_secret,
)
from planton.translate.secret_fields import secret_places
from planton.translate.secret_values import Reference, SecretValues
from tests.translate import spilo_model
from tests.translate.stores import AUTHORITY, AWS, EXISTING, OPERATOR_KEYS, STORES, VERSIONS, database, keys, operator
from tests.translate.test_backup_policy import FOUND, METHODS

FACTS = replace(
    FOUND,
    values=SecretValues(
        {
            **FOUND.values.reveal(),
            **EXISTING.values.reveal(),
            Reference("environment variable", "ID"): "SENTINELREFERENCE04",
            Reference("Secret", "postgres-operator/bucket", "secret"): "operator/secret+04",
            Reference("Secret", "orders/bucket", "secret"): "database/secret+04",
        }
    ),
)
PAIR = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
LIBSODIUM = {"WALG_LIBSODIUM_KEY"}
PGP = {"WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE"}
TRANSFORM, PATH = {"WALG_LIBSODIUM_KEY_TRANSFORM"}, {"WALG_S3_CA_CERT_FILE"}

ACCESS: dict[str, dict[str, Any]] = {
    "value": {"credentials": keys(OPERATOR_KEYS)},
    "other value": {"credentials": keys(("SENTINELOTHER03", "other/secret+03"))},
    "reference": {
        "credentials": {
            "access_key_id": {"environment_variable": "ID"},
            "secret_access_key": {"secret": {"name": "bucket", "key": "secret"}},
        }
    },
    "identity": {"credentials": {"cloud_identity": {}}},
}
ENCRYPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    **{method: {"encryption": encryption} for method, encryption in METHODS.items()},
}
STORAGE: dict[str, dict[str, Any]] = {
    "": {"storage": {"bucket_name": "bucket", **AWS}},
    "ca": {"storage": {"bucket_name": "bucket", **AWS, **AUTHORITY}},
    "minio": {"storage": {"bucket_name": "bucket", **STORES["minio"][0]}},
}
Chosen = tuple[str, str, str]
OPERATORS: list[Chosen] = [
    one for one in itertools.product(ACCESS, ENCRYPTIONS, STORAGE) if (one[0], one[2]) != ("identity", "minio")
]
DATABASES = [(access, method) for access, method in itertools.product(("", *ACCESS), ENCRYPTIONS)]

# Whether it has a pair of keys, how it encrypts, whether it has a certificate -> the operator's Secret.
OPERATOR_NAMES = {
    (True, "", False): ("r2-postgres-backup-credentials", PAIR),
    (True, "", True): ("r2-postgres-backup-credentials-ca", PAIR | PATH),
    (True, "libsodium", False): ("r2-postgres-backup-credentials-libsodium", PAIR | LIBSODIUM | TRANSFORM),
    (True, "libsodium", True): ("r2-postgres-backup-credentials-libsodium-ca", PAIR | LIBSODIUM | TRANSFORM | PATH),
    (True, "pgp", False): ("r2-postgres-backup-credentials-pgp", PAIR | PGP),
    (True, "pgp", True): ("r2-postgres-backup-credentials-pgp-ca", PAIR | PGP | PATH),
    (False, "", False): ("", set()),
    (False, "", True): ("postgres-backup-ca", PATH),
    (False, "libsodium", False): ("postgres-backup-libsodium", LIBSODIUM | TRANSFORM),
    (False, "libsodium", True): ("postgres-backup-libsodium-ca", LIBSODIUM | TRANSFORM | PATH),
    (False, "pgp", False): ("postgres-backup-pgp", PGP),
    (False, "pgp", True): ("postgres-backup-pgp-ca", PGP | PATH),
}
DATABASE_NAMES: dict[tuple[bool, str], tuple[str, set[str]]] = {
    (True, ""): ("db-orders-backup-credentials", PAIR),
    (True, "libsodium"): ("db-orders-backup-credentials-libsodium", PAIR | LIBSODIUM),
    (True, "pgp"): ("db-orders-backup-credentials-pgp", PAIR | PGP),
    (False, ""): ("", set()),
    (False, "libsodium"): ("db-orders-backup-libsodium", LIBSODIUM),
    (False, "pgp"): ("db-orders-backup-pgp", PGP),
}
METHOD_OF = {"hex": "libsodium", "base64": "libsodium", "pgp": "pgp", "pgp-passphrase": "pgp", "none": "", "": ""}


def of_operator(chosen: Chosen, version: str = "1.15.1") -> str:
    access, method, storage = chosen
    return operator(version, **STORAGE[storage], **ACCESS[access], **ENCRYPTIONS[method])


def of_database(chosen: tuple[str, str], **more: Any) -> str:
    access, method = chosen
    return database(**ACCESS.get(access, {}), **ENCRYPTIONS[method], **more)


def secrets(rendering: Rendering, namespace: str = "orders") -> dict[str, set[str]]:
    """Gives the Secrets with credentials of a namespace, and their keys."""
    return {
        item["metadata"]["name"]: set(item["data"])
        for item in rendering
        if item["kind"] == "Secret"
        and item["metadata"]["namespace"] == namespace
        and not {"ca.crt"} & set(item["data"])
    }


@pytest.mark.parametrize("chosen", OPERATORS, ids="-".join)
def test_the_operators(chosen: Chosen) -> None:
    access, method, storage = chosen
    name, held = OPERATOR_NAMES[access != "identity", METHOD_OF[method], storage != ""]
    messages = planton.loads(of_operator(chosen) + database())
    assert secret_places(messages) == ([("postgres-operator", name)] if name else [])
    # Whatever is known of what references lead to, and of the cluster.
    for existing in (FACTS, Existing(), Existing(from_cluster=True, generation=7)):
        rendering = planton.render(messages, existing=existing)
        for namespace in ("postgres-operator", "orders"):
            assert secrets(rendering, namespace) == ({name: held} if name else {})
        assert rendering.platform is not None
        assert rendering.platform.secret_name == name
        assert set(rendering.platform.secret_keys) == held
        (settings,) = [
            one for one in rendering if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "postgres-operator")
        ]
        assert settings["data"]["pod_environment_secret"] == name
        (backup,) = [one for one in rendering if one["metadata"]["name"] == "postgres-pod-backup-config"]
        assert not set(backup["data"]) & (PAIR | LIBSODIUM | PGP | TRANSFORM | PATH)


@pytest.mark.parametrize("over", ["", "hex", "pgp"])
@pytest.mark.parametrize("chosen", DATABASES, ids="-".join)
def test_a_databases(chosen: tuple[str, str], over: str) -> None:
    access, method = chosen
    name, held = DATABASE_NAMES[access not in ("", "identity"), METHOD_OF[method]]
    messages = planton.loads(of_operator(("value", over, "")) + of_database(chosen))
    assert secret_places(messages)[1:] == ([("orders", name)] if name else [])
    for existing in (FACTS, Existing(), Existing(from_cluster=True, generation=7)):
        rendering = planton.render(messages, existing=existing)
        own = {one: found for one, found in secrets(rendering).items() if one.startswith("db-")}
        assert own == ({name: held} if name else {})
        (resource,) = [one for one in rendering if one["kind"] == "postgresql"]
        sources = [
            entry["valueFrom"]["secretKeyRef"] for entry in resource["spec"].get("env", []) if "valueFrom" in entry
        ]
        assert {(one["name"], one["key"]) for one in sources} == {(name, key) for key in held}


def test_one_name_has_one_set_of_keys_and_no_two_have_the_same() -> None:
    named: list[tuple[str, set[str]]] = [*OPERATOR_NAMES.values(), *DATABASE_NAMES.values()]
    names = [name for name, _ in named if name]
    assert len(set(names)) == len(names)
    for table in (list(OPERATOR_NAMES.values()), list(DATABASE_NAMES.values())):
        sets = [frozenset(held) for _, held in table]
        assert len(set(sets)) == len(sets)
    assert set(STORAGE_SECRETS) == {name for name, _ in OPERATOR_NAMES.values() if name}
    assert all(is_storage_secret(name) for name in STORAGE_SECRETS)
    others = {name for name, _ in DATABASE_NAMES.values()} | {"postgres-backup-files", "", "postgres-backup"}
    assert not [name for name in others if is_storage_secret(name)]
    assert set(own_secret_names("orders")) == {
        *(name for name, _ in DATABASE_NAMES.values() if name),
        "db-orders-store-ca",
        *(
            f"db-orders-{kind}-{rest}"
            for kind in ("clone", "standby")
            for rest in ("credentials", "credentials-libsodium", "credentials-pgp", "libsodium", "pgp", "ca")
        ),
    }


NEIGHBOURS = [
    "a",
    "a-backup",
    "a-backup-credentials",
    "a-credentials",
    "backup",
    "a-store",
    "a-libsodium",
    "a-clone",
    "a-standby",
]
NEIGHBOURS += ["clone", "a-clone-clone", "a-clone-backup", "a" * 49]


def test_names_are_ones_that_kubernetes_takes_and_no_two_databases_share_one() -> None:
    every = [name for database in NEIGHBOURS for name in own_secret_names(database)]
    assert len(set(every)) == len(every)
    assert not set(every) & set(STORAGE_SECRETS)
    for name in (*every, *STORAGE_SECRETS):
        assert len(name) <= 253
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    # It is a volume's name, too.
    kinds = ("clone", "standby")
    volumes = [source_files_secret(database, kind) for database in NEIGHBOURS for kind in kinds]
    assert max(len(name) for name in (*volumes, *map(files_secret, NEIGHBOURS))) == 63


def test_the_longest_name_of_a_database_is_rendered() -> None:
    name = "a" * 49
    config: dict[str, Any] = {"storage": {"bucket_name": "own", **STORES["minio"][0]}, **ACCESS["value"]}
    text = operator(store="aws") + database(name=name, **config, **ENCRYPTIONS["hex"])
    rendering = planton.render(planton.loads(text), existing=FACTS)
    names = {one["metadata"]["name"] for one in rendering if one["kind"] == "Secret"}
    assert names == {
        "r2-postgres-backup-credentials",
        f"db-{name}-backup-credentials-libsodium",
        f"db-{name}-store-ca",
    }


# Between two applies: what pods get that are made before the operator has restarted.

OF_ENCRYPTION = LIBSODIUM | TRANSFORM | PGP
Objects = dict[tuple[str, str | None, str], dict[str, Any]]


@cache
def objects(text: str) -> Objects:
    rendering = planton.render(planton.loads(text), existing=FACTS)
    return {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): dict(one) for one in rendering}


def judged(found: Objects, version: str) -> tuple[dict[str, str], str]:
    """Gives what wal-g encrypts with, and the certificate that it trusts; both must be whole."""
    environment = spilo_model.pod_environment(found.values(), "db-orders", "orders")
    archive = spilo_model.archive(environment, spilo_model.SPILO[version])
    assert archive is not None
    files = spilo_model.mounted_files(found.values(), "db-orders", "orders")
    trusted = files[archive.authority] if archive.authority else ""
    return {name: value for name, value in archive.variables.items() if name in OF_ENCRYPTION}, trusted


IN_BETWEEN = [one for one in OPERATORS if one[0] in ("value", "identity") and one[2] != "minio"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("before", IN_BETWEEN, ids="-".join)
def test_an_operator_that_has_not_restarted_gives_pods_what_it_gave(before: Chosen, version: str) -> None:
    """Its own ConfigMap is as it was at its start; the backup ConfigMap and the Secrets are already the new ones."""
    told = ("ConfigMap", "postgres-operator", "postgres-operator")
    old = objects(of_operator(before, version) + database())
    for after in IN_BETWEEN:
        new = objects(of_operator(after, version) + database())
        between = {**old, **new, told: old[told]}
        # With the same set of keys all of it changes in one write.
        is_same = old[told]["data"]["pod_environment_secret"] == new[told]["data"]["pod_environment_secret"]
        assert judged(between, version) == judged(new if is_same else old, version), after


@pytest.mark.parametrize("before", DATABASES, ids="-".join)
def test_a_custom_resource_never_refers_to_a_key_that_is_gone(before: tuple[str, str]) -> None:
    """Its Secrets are written before it, and none is taken away."""
    head = of_operator(("value", "pgp", ""))
    resource = ("postgresql", "orders", "db-orders")
    old = objects(head + of_database(before))
    for after in DATABASES:
        new = objects(head + of_database(after))
        between = {**old, **new, resource: old[resource]}
        seen, _ = judged(between, "1.15.1")
        if {key for key in old if key[0] == "Secret"} == {key for key in new if key[0] == "Secret"}:
            # Another key in the same Secret is there before what the custom resource says of it.
            optional = {"WALG_PGP_KEY_PASSPHRASE"}
            assert set(seen) - optional == set(judged(old, "1.15.1")[0]) - optional
        else:
            assert seen == judged(old, "1.15.1")[0], after
        assert judged({**old, **new}, "1.15.1") == judged(new, "1.15.1"), after
