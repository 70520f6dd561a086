"""Credentials, encryption, retention and tuning, against the tables of docs/inheritance.md."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import planton
from planton.translate.environment import Variable
from tests.translate.inheritance import page
from tests.translate.inheritance.page import OPERATOR_SECRET, OWN_SECRET, Entry, unquoted
from tests.translate.inheritance.test_combinations import entries_of

VERSIONS = ("1.15.1", "2.0.1")
KEYS = {"access_key_id": {"environment_variable": "ID"}, "secret_access_key": {"environment_variable": "SECRET"}}
IDENTITY: dict[str, Any] = {"cloud_identity": {}}
R2 = {
    "r2_config": {"cloudflare_account_id": "account", "bucket_name": "postgres-backups"},
    "credentials": KEYS,
}
AWS = {"bucket_name": "postgres-backups", "aws_s3": {"region": "eu-central-1"}}
OPERATORS: dict[str, dict[str, Any]] = {
    "aws_s3, keys": {"storage": AWS, "credentials": KEYS},
    "aws_s3, identity": {"storage": AWS, "credentials": IDENTITY},
    "r2_config": R2,
}
CREDENTIALS = {
    "": {},
    "credentials, keys": {"credentials": KEYS},
    "credentials, cloud_identity": {"credentials": IDENTITY},
}
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ENCRYPTION: dict[str, dict[str, Any]] = {
    "-": {},
    "libsodium": {"encryption": {"libsodium": {"key": {"file": "key.hex"}, "transform": "hex"}}},
    "pgp": {"encryption": {"pgp": {"key": {"file": "key.asc"}}}},
    "pgp, passphrase": {
        "encryption": {"pgp": {"key": {"file": "key.asc"}, "passphrase": {"environment_variable": "PHRASE"}}}
    },
    "none": {"encryption": {"none": {}}},
}
ENCRYPTION_NAMES = (
    "WALG_LIBSODIUM_KEY", "WALG_LIBSODIUM_KEY_TRANSFORM", "WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE",
)  # fmt: skip
# The last column of the table -> the Secret, and what the pods have from there.
LIBSODIUM_NAMES, PGP_NAMES = ("WALG_LIBSODIUM_KEY",), ("WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE")
HOLDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nothing": ("", ()),
    "own libsodium": ("db-orders-backup-libsodium", LIBSODIUM_NAMES),
    "own PGP": ("db-orders-backup-pgp", PGP_NAMES),
    "operator's libsodium": (
        "r2-postgres-backup-credentials-libsodium",
        (*LIBSODIUM_NAMES, "WALG_LIBSODIUM_KEY_TRANSFORM"),
    ),
    "operator's PGP": ("r2-postgres-backup-credentials-pgp", PGP_NAMES),
}


def manifest(operator: dict[str, Any] | None, database: dict[str, Any], version: str, replicas: int = 2) -> str:
    head = {"apiVersion": "kubernetes.project-planton.org/v1"}
    config = {"backup_config": {"backup_schedule": "0 2 * * *", **operator}} if operator is not None else {}
    own = {"backup_config": database} if database else {}
    documents = [
        {
            **head,
            "kind": "PostgresOperatorKubernetes",
            "metadata": {"name": "postgres-operator"},
            "spec": {"operator_version": version, **config},
        },
        {
            **head,
            "kind": "PostgresKubernetes",
            "metadata": {"name": "orders"},
            "spec": {"container": {"replicas": replicas}, **own},
        },
    ]
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def rendered(text: str) -> tuple[dict[str, Entry], dict[str, Variable]]:
    """Gives spec.env of the custom resource, and what the pods get."""
    manifests = planton.loads(text)
    (resource,) = [item for item in planton.render(manifests) if item["kind"] == "postgresql"]
    pods = {one.name: one for one in planton.environment(manifests, "orders")}
    return entries_of(resource["spec"].get("env", [])), pods


def keys_of(cell: str) -> dict[str, Entry]:
    if not cell:
        return {}
    word, what = cell.split(" ", 1)
    assert word == "keys"
    values: dict[str, Any] = {"own": OWN_SECRET, "operator's": OPERATOR_SECRET, '`""`': ""}
    holder = values[what]
    return {name: (holder, name) if holder else "" for name in NAMES}


def of_pods(pods: dict[str, Variable], names: tuple[str, ...]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name in names:
        if name in pods:
            one = pods[name]
            holder, _, key = one.secret.partition("/")
            found[name] = (holder, key) if one.secret else str(one.value)
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", page.table("operator", "database", "env"), ids=lambda row: f"{row[0]}-{row[1]}")
def test_credentials(row: list[str], version: str) -> None:
    text = manifest(OPERATORS[unquoted(row[0])], CREDENTIALS[unquoted(row[1])], version)
    if row[2] == "error":
        with pytest.raises(planton.ManifestError, match="works with Amazon S3 only"):
            rendered(text)
        return
    env, pods = rendered(text)
    assert env == keys_of(row[2])
    assert of_pods(pods, NAMES) == keys_of(row[3])


def test_the_table_of_credentials_has_every_pair_that_matters() -> None:
    pairs = {(unquoted(row[0]), unquoted(row[1])) for row in page.table("operator", "database", "env")}
    every = {(operator, database) for operator in OPERATORS for database in CREDENTIALS}
    # What is inherited from R2 is in the table of combinations.
    assert every - pairs == {("r2_config", "")}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "row", page.table("operator", "database", "`WALG_LIBSODIUM_KEY`"), ids=lambda row: f"{row[0]}-{row[1]}"
)
def test_encryption(row: list[str], version: str) -> None:
    env, pods = rendered(manifest({**R2, **ENCRYPTION[row[0]]}, ENCRYPTION[row[1]], version))
    wanted: dict[str, Entry] = {}
    for name, cell in zip(ENCRYPTION_NAMES, row[2:6], strict=True):
        if cell != "-":
            own = "db-orders-backup-libsodium" if "LIBSODIUM" in name else "db-orders-backup-pgp"
            wanted[name] = (own, name) if cell == "own" else unquoted(cell)
    assert env == wanted
    found = {name: value for name, value in of_pods(pods, ENCRYPTION_NAMES).items() if value}
    # All of a method comes from one place, the passphrase with its key also where there is none. Only a database says
    # its transform itself.
    holder, names = HOLDERS[row[6]]
    assert found == {
        **{name: (holder, name) for name in names},
        **({"WALG_LIBSODIUM_KEY_TRANSFORM": "hex"} if row[6] == "own libsodium" else {}),
    }


def test_the_table_of_encryption_has_every_pair() -> None:
    pairs = [(row[0], row[1]) for row in page.table("operator", "database", "`WALG_LIBSODIUM_KEY`")]
    # `none` of an operator is what it is without: it overrules nobody.
    assert sorted(pairs) == sorted(
        (one, other) for one in ENCRYPTION if one not in ("none", "pgp") for other in ENCRYPTION
    )


TUNING = page.table("field of `backup_config`")


def setting(path: str, text: str) -> dict[str, Any]:
    section, field = unquoted(path).split(".")
    value: Any = yaml.safe_load(text)
    return {section: {field: value}}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", TUNING, ids=lambda row: row[3].strip("`"))
@pytest.mark.parametrize("who", ["nobody", "operator", "database", "both"])
def test_retention_and_tuning(row: list[str], who: str, version: str) -> None:
    says = setting(row[0], row[1]) if who in ("operator", "both") else {}
    own = setting(row[0], row[2]) if who in ("database", "both") else {}
    env, pods = rendered(manifest({**R2, **says}, own, version))
    variable = pods[unquoted(row[3])]
    wanted = row[4 + ["nobody", "operator", "database", "both"].index(who)]
    assert variable.value == wanted
    assert variable.source == {"nobody": "default", "operator": "operator"}.get(who, "database")
    assert variable.overrules == (row[5] if who == "both" else None)
    names = {unquoted(one[3]) for one in TUNING if one[0] == row[0]}
    assert env == (dict.fromkeys(names, wanted) if own else {})


def test_every_field_of_retention_and_tuning_is_in_the_table() -> None:
    from planton.types import BackupRetention, BackupTuning

    fields = {f"retention.{one.name}" for one in BackupRetention.DESCRIPTOR.fields}
    fields |= {f"tuning.{one.name}" for one in BackupTuning.DESCRIPTOR.fields}
    assert {unquoted(row[0]) for row in TUNING} == fields


@pytest.mark.parametrize("own", [None, True, False])
@pytest.mark.parametrize("inherited", [None, True, False])
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("backup", [None, False])
def test_backups_from_replicas_need_two(
    own: bool | None, inherited: bool | None, replicas: int, backup: bool | None
) -> None:
    operator = {**R2} if inherited is None else {**R2, "tuning": {"backup_from_replica": inherited}}
    config: dict[str, Any] = {} if own is None else {"tuning": {"backup_from_replica": own}}
    if backup is not None:
        config["enable_backup"] = backup
    text = manifest(operator, config, "1.15.1", replicas)
    refused = replicas < 2 and backup is None and (own or (own is None and inherited))
    if refused:
        with pytest.raises(planton.ManifestError, match="at least two replicas"):
            rendered(text)
    else:
        rendered(text)


def warnings_of(text: str) -> list[tuple[str, str]]:
    return [
        (one.path.removeprefix("spec.backup_config."), one.message)
        for one in planton.validate(planton.loads(text))
        if one.subject == "PostgresKubernetes/orders"
    ]


@pytest.mark.parametrize(
    ("inherited", "own", "path"),
    [
        # As long as both are the operator's, it is the operator's manifest that is warned about.
        ({"tuning": {"delta_max_steps": 9}}, {}, None),
        ({}, {"tuning": {"delta_max_steps": 4}}, None),
        ({}, {"tuning": {"delta_max_steps": 5}}, "tuning.delta_max_steps"),
        ({"retention": {"backups_and_days": 7}}, {"tuning": {"delta_max_steps": 6}}, None),
        ({"retention": {"backups_and_days": 7}}, {"tuning": {"delta_max_steps": 7}}, "tuning.delta_max_steps"),
        ({"tuning": {"delta_max_steps": 4}}, {"retention": {"backups_and_days": 4}}, "retention.backups_and_days"),
        ({"tuning": {"delta_max_steps": 4}}, {"retention": {"backups_and_days": 5}}, None),
        ({"tuning": {"delta_max_steps": 9}}, {"tuning": {"delta_max_steps": 0}}, None),
        (
            {"tuning": {"delta_max_steps": 9}},
            {"tuning": {"delta_max_steps": 2}, "retention": {"backups_and_days": 3}},
            None,
        ),
    ],
)
def test_more_deltas_than_backups_are_warned_about(
    inherited: dict[str, Any], own: dict[str, Any], path: str | None
) -> None:
    found = [(place, text) for place, text in warnings_of(manifest({**R2, **inherited}, own, "1.15.1"))]
    assert [place for place, _ in found] == ([path] if path else [])
    assert all("is not below retention" in text for _, text in found)


@pytest.mark.parametrize(
    ("credentials", "words"), [({}, "the operator's keys must"), ({"credentials": KEYS}, "its credentials must")]
)
def test_another_bucket_needs_the_credentials_that_will_be_used(credentials: dict[str, Any], words: str) -> None:
    ((path, text),) = warnings_of(manifest(R2, {"s3_prefix": "own-bucket/orders", **credentials}, "1.15.1"))
    assert path == "s3_prefix"
    assert words in text


UNUSED: list[dict[str, Any]] = [
    {"credentials": KEYS},
    ENCRYPTION["libsodium"],
    ENCRYPTION["none"],
    {"retention": {"backups_and_days": 3}},
    {"tuning": {"delta_max_steps": 3, "backup_from_replica": True}},
]


@pytest.mark.parametrize("given", UNUSED, ids=lambda given: next(iter(given)))
@pytest.mark.parametrize("operator", [None, {**R2, "enable_wal_g_backup": False}, R2], ids=["none", "off", "on"])
def test_without_an_archive_nothing_of_it_is_written(operator: dict[str, Any] | None, given: dict[str, Any]) -> None:
    config = {**given, "enable_backup": False} if operator is R2 else given
    text = manifest(operator, config, "1.15.1", replicas=1)
    env, _ = rendered(text)
    assert env == ({"USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""} if operator is R2 else {})
    ((path, message),) = warnings_of(text)
    assert path == next(iter(given))
    assert message.startswith("has no effect")
    names = [one["metadata"]["name"] for one in planton.render(planton.loads(text)) if one["kind"] == "Secret"]
    assert not [name for name in names if name.startswith("db-")]
