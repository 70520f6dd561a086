"""Encryption, retention and tuning: what is emitted for each, and what wal-g makes of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

import planton
from planton.rendering import Rendering
from planton.translate.policy import POLICY_VARIABLES
from planton.translate.secret_values import Reference, SecretValues
from planton.types import BackupTuning
from tests.keys import private_key
from tests.translate import spilo_model
from tests.translate.stores import EXISTING, OPERATOR_KEYS, VERSIONS, database, operator

HEX, BASE64 = "0123456789abcdef" * 4, base64.b64encode(b"k" * 32).decode()
PGP = private_key()
FOUND = replace(
    EXISTING,
    values=SecretValues(
        {
            Reference("file", "hex.key"): f"{HEX}\n",
            Reference("file", "base64.key"): f"{BASE64}\n",
            Reference("file", "private.asc"): PGP,
            Reference("environment variable", "PASSPHRASE"): "two words",
        }
    ),
)
METHODS: dict[str, dict[str, Any]] = {
    "hex": {"libsodium": {"key": {"file": "hex.key"}, "transform": "hex"}},
    "base64": {"libsodium": {"key": {"file": "base64.key"}, "transform": "base64"}},
    "pgp": {"pgp": {"key": {"file": "private.asc"}}},
    "pgp-passphrase": {"pgp": {"key": {"file": "private.asc"}, "passphrase": {"environment_variable": "PASSPHRASE"}}},
    "none": {"none": {}},
}
WANTED: dict[str, dict[str, str]] = {
    "hex": {"WALG_LIBSODIUM_KEY": HEX, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"},
    "base64": {"WALG_LIBSODIUM_KEY": BASE64, "WALG_LIBSODIUM_KEY_TRANSFORM": "base64"},
    "pgp": {"WALG_PGP_KEY": PGP.replace("\n", "\\n")},
    "pgp-passphrase": {"WALG_PGP_KEY": PGP.replace("\n", "\\n"), "WALG_PGP_KEY_PASSPHRASE": "two words"},
    "none": {},
}
CIPHERS = {"hex": "libsodium", "base64": "libsodium", "pgp": "pgp", "pgp-passphrase": "pgp", "none": ""}
# What stands in a Secret: all of a method, whatever of it is given. Spilo passes nothing on that is empty.
LIBSODIUM_KEYS, PGP_KEYS = ("WALG_LIBSODIUM_KEY",), ("WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE")
IN_SECRETS = {"libsodium": LIBSODIUM_KEYS, "pgp": PGP_KEYS, "": ()}
OPERATOR_SECRETS = {
    "libsodium": "r2-postgres-backup-credentials-libsodium",
    "pgp": "r2-postgres-backup-credentials-pgp",
    "": "r2-postgres-backup-credentials",
}
OWN_SECRETS = {"libsodium": "db-orders-backup-libsodium", "pgp": "db-orders-backup-pgp"}


def rendered(text: str) -> Rendering:
    return planton.render(planton.loads(text), existing=FOUND)


def judged(text: str, version: str) -> spilo_model.Archive:
    environment = spilo_model.pod_environment(rendered(text), "db-orders", "orders")
    archive = spilo_model.archive(environment, spilo_model.SPILO[version])
    assert archive is not None
    return archive


def encryption_seen(archive: spilo_model.Archive) -> dict[str, str]:
    return {name: value for name, value in archive.variables.items() if "LIBSODIUM" in name or "PGP" in name}


def data_of(rendering: Rendering, kind: str, name: str, namespace: str) -> dict[str, str]:
    (found,) = [
        item
        for item in rendering
        if (item["kind"], item["metadata"]["name"], item["metadata"].get("namespace")) == (kind, name, namespace)
    ]
    return dict(found["data"])


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {name: base64.b64decode(value, validate=True).decode() for name, value in data.items()}


def entries(text: str) -> dict[str, Any]:
    (cluster,) = [item for item in rendered(text) if item["kind"] == "postgresql"]
    env = cluster["spec"].get("env", [])
    assert len({entry["name"].lower() for entry in env}) == len(env)
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in env}


def problems(text: str) -> dict[str, str]:
    with pytest.raises(planton.ManifestError) as caught:
        rendered(text)
    return {problem.path.removeprefix("spec.backup_config."): problem.message for problem in caught.value.problems}


def warnings(text: str) -> dict[str, str]:
    return {one.path.removeprefix("spec.backup_config."): one.message for one in rendered(text).warnings}


# Encryption


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("method", METHODS)
def test_encryption_of_the_operator(method: str, version: str) -> None:
    text = operator(version, store="aws", encryption=METHODS[method]) + database()
    archive = judged(text, version)
    assert (archive.cipher, encryption_seen(archive)) == (CIPHERS[method], WANTED[method])
    rendering = rendered(text)
    name = OPERATOR_SECRETS[CIPHERS[method]]
    settings = data_of(rendering, "ConfigMap", "postgres-operator", "postgres-operator")
    assert settings["pod_environment_secret"] == name
    with_it = {"WALG_LIBSODIUM_KEY_TRANSFORM"} if CIPHERS[method] == "libsodium" else set()
    wanted = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *IN_SECRETS[CIPHERS[method]], *with_it}
    for namespace in ("postgres-operator", "orders"):
        secret = data_of(rendering, "Secret", name, namespace)
        assert set(secret) == wanted
        # Also what wal-g does not see, since it is empty, stands there for the pods that refer to it.
        seen = {key: value for key, value in decoded(secret).items() if key.startswith("WALG_") and value}
        assert seen == WANTED[method]
    configmap = data_of(rendering, "ConfigMap", "postgres-pod-backup-config", "postgres-operator")
    assert not {name for name in configmap if "LIBSODIUM" in name or "PGP" in name}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("over", ["", *METHODS])
@pytest.mark.parametrize("method", METHODS)
def test_encryption_of_a_database_replaces_the_operators_as_a_whole(method: str, over: str, version: str) -> None:
    config: dict[str, Any] = {"encryption": METHODS[over]} if over else {}
    text = operator(version, store="aws", **config) + database(encryption=METHODS[method])
    archive = judged(text, version)
    assert (archive.cipher, encryption_seen(archive)) == (CIPHERS[method], WANTED[method])
    assert archive.keys == OPERATOR_KEYS
    found = {name: value for name, value in entries(text).items() if name.startswith("WALG_")}
    assert set(found) == {
        "WALG_LIBSODIUM_KEY",
        "WALG_LIBSODIUM_KEY_TRANSFORM",
        "WALG_PGP_KEY",
        "WALG_PGP_KEY_PASSPHRASE",
    }
    for name, value in found.items():
        if name.endswith("TRANSFORM"):
            assert value == WANTED[method].get(name, "")
        elif name in IN_SECRETS[CIPHERS[method]]:
            assert value == {"secretKeyRef": {"name": OWN_SECRETS[CIPHERS[method]], "key": name}}
        else:
            assert value == ""
    if CIPHERS[method]:
        secret = data_of(rendered(text), "Secret", OWN_SECRETS[CIPHERS[method]], "orders")
        assert set(secret) == set(IN_SECRETS[CIPHERS[method]])


@pytest.mark.parametrize(
    ("method", "path", "wrong"),
    [
        ("hex", "encryption.libsodium.key", "must be 64 hexadecimal digits"),
        ("base64", "encryption.libsodium.key", "must be 32 bytes in base64"),
        ("pgp", "encryption.pgp.key", "holds no private key in ASCII armor"),
    ],
)
def test_a_key_of_another_form_is_refused_before_it_stops_archiving(method: str, path: str, wrong: str) -> None:
    other = {"hex": "base64.key", "base64": "hex.key", "pgp": "hex.key"}[method]
    ((name, given),) = METHODS[method].items()
    encryption = {name: {**given, "key": {"file": other}}}
    for text in (operator(store="aws", encryption=encryption), operator(store="aws") + database(encryption=encryption)):
        ((found, message),) = problems(text).items()
        assert found == path
        assert message.startswith(wrong)
        assert HEX not in message
        assert BASE64 not in message


# Retention and tuning

TUNING: list[tuple[str, Any, dict[str, str]]] = [
    ("compression_method", "zstd", {"WALG_COMPRESSION_METHOD": "zstd", "WALG_BACKUP_COMPRESSION_METHOD": "zstd"}),
    ("compression_method", "brotli", {"WALG_COMPRESSION_METHOD": "brotli", "WALG_BACKUP_COMPRESSION_METHOD": "brotli"}),
    ("delta_max_steps", 3, {"WALG_DELTA_MAX_STEPS": "3"}),
    ("delta_max_steps", 0, {"WALG_DELTA_MAX_STEPS": "0"}),
    ("delta_origin", "LATEST_FULL", {"WALG_DELTA_ORIGIN": "LATEST_FULL"}),
    ("upload_concurrency", 4, {"WALG_UPLOAD_CONCURRENCY": "4"}),
    ("download_concurrency", 5, {"WALG_DOWNLOAD_CONCURRENCY": "5"}),
    ("upload_disk_concurrency", 2, {"WALG_UPLOAD_DISK_CONCURRENCY": "2"}),
    # A plain number: with a unit it would be 0 to wal-g.
    ("network_rate_limit", "100Mi", {"WALG_NETWORK_RATE_LIMIT": "104857600"}),
    ("network_rate_limit", "1.5G", {"WALG_NETWORK_RATE_LIMIT": "1500000000"}),
    ("disk_rate_limit", "2048Ki", {"WALG_DISK_RATE_LIMIT": "2097152"}),
    ("backup_from_replica", True, {"WALG_BACKUP_FROM_REPLICA": "true"}),
    ("backup_from_replica", False, {"WALG_BACKUP_FROM_REPLICA": "false"}),
    ("prevent_wal_overwrite", True, {"WALG_PREVENT_WAL_OVERWRITE": "true"}),
    ("prevent_wal_overwrite", False, {"WALG_PREVENT_WAL_OVERWRITE": "false"}),
]


def test_every_field_of_tuning_is_in_the_table() -> None:
    assert {name for name, _, _ in TUNING} == {field.name for field in BackupTuning.DESCRIPTOR.fields}
    written = {name for _, _, variables in TUNING for name in variables}
    assert written | {"BACKUP_NUM_TO_RETAIN", "WALG_LIBSODIUM_KEY_TRANSFORM"} == POLICY_VARIABLES


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("field", "value", "variables"), TUNING)
def test_tuning(field: str, value: object, variables: dict[str, str], version: str) -> None:
    plain = data_of(rendered(operator(version, store="aws")), "ConfigMap", BACKUP, "postgres-operator")
    text = operator(version, store="aws", tuning={field: value}) + database(replicas=2)
    assert data_of(rendered(text), "ConfigMap", BACKUP, "postgres-operator") == {**plain, **variables}
    assert entries(text) == {}
    assert variables.items() <= judged(text, version).variables.items()
    own = operator(version, store="aws") + database(replicas=2, tuning={field: value})
    assert entries(own) == variables
    assert variables.items() <= judged(own, version).variables.items()


BACKUP = "postgres-pod-backup-config"


@pytest.mark.parametrize("version", VERSIONS)
def test_compression_is_the_same_for_wal_and_base_backups(version: str) -> None:
    for text in (
        operator(version, store="aws", tuning={"compression_method": "lzma"}) + database(),
        operator(version, store="aws", tuning={"compression_method": "lz4"})
        + database(tuning={"compression_method": "lzma"}),
    ):
        archive = judged(text, version)
        assert (archive.wal_compression, archive.base_compression) == ("lzma", "lzma")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("on_operator", "on_database", "kept"), [(None, None, 5), (7, None, 7), (None, 3, 3), (7, 2, 2), (2, 30, 30)]
)
def test_retention(on_operator: int | None, on_database: int | None, kept: int, version: str) -> None:
    def said(number: int | None) -> dict[str, Any]:
        return {} if number is None else {"retention": {"backups_and_days": number}}

    text = operator(version, store="aws", **said(on_operator)) + database(**said(on_database))
    assert judged(text, version).retained == kept
    assert entries(text) == ({} if on_database is None else {"BACKUP_NUM_TO_RETAIN": str(on_database)})
    configmap = data_of(rendered(text), "ConfigMap", BACKUP, "postgres-operator")
    assert configmap.get("BACKUP_NUM_TO_RETAIN") == (None if on_operator is None else str(on_operator))


FROM_REPLICA: dict[str, Any] = {"tuning": {"backup_from_replica": True}}


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_base_backups_from_replicas_need_replicas(replicas: int) -> None:
    own = operator(store="aws") + database(replicas=replicas, **FROM_REPLICA)
    inherited = operator(store="aws", **FROM_REPLICA) + database(replicas=replicas)
    if replicas >= 2:
        assert rendered(own)
        assert rendered(inherited)
        return
    path = "tuning.backup_from_replica"
    assert problems(own)[path].startswith("needs at least two replicas: the primary never makes a base backup then")
    assert problems(inherited)[path].startswith("needs at least two replicas (the operator's): the primary")
    # What the database says for itself wins, and without an archive there is nothing to be made.
    assert rendered(operator(store="aws", **FROM_REPLICA) + database(tuning={"backup_from_replica": False}))
    assert rendered(operator(store="aws", **FROM_REPLICA) + database(enable_backup=False))


@pytest.mark.parametrize(
    ("steps", "kept", "is_warned"), [(4, None, False), (5, None, True), (2, 3, False), (3, 3, True), (9, 3, True)]
)
def test_deltas_that_outlive_retention_are_warned_about(steps: int, kept: int | None, is_warned: bool) -> None:
    config: dict[str, Any] = {"tuning": {"delta_max_steps": steps}}
    if kept:
        config["retention"] = {"backups_and_days": kept}
    found = warnings(operator(store="aws", **config))
    assert ("tuning.delta_max_steps" in found) == is_warned
    if is_warned:
        assert f"is not below retention ({kept or 5})" in found["tuning.delta_max_steps"]


def test_what_means_nothing_without_an_archive_is_warned_about_and_not_written() -> None:
    config: dict[str, Any] = {
        "encryption": METHODS["hex"],
        "retention": {"backups_and_days": 7},
        "tuning": {"delta_max_steps": 2},
    }
    off = operator(store="aws") + database("minio", enable_backup=False, **config)
    assert entries(off) == {"USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""}
    assert set(warnings(off)) == {"storage", "credentials", "encryption", "retention", "tuning"}
    unset = operator(store="aws", enable_wal_g_backup=False) + database(**config)
    assert entries(unset) == {}
    assert {"encryption", "retention", "tuning"} <= set(warnings(unset))


def test_plain_http_is_warned_about() -> None:
    path = "storage.s3_compatible.endpoint"
    assert warnings(operator(store="minio-plain"))[path] == "is plain HTTP: backups travel in clear"
    assert path in warnings(operator(store="aws") + database("minio-plain"))
    assert path not in warnings(operator(store="google") + database("ceph"))
