"""What of a backup_config goes to a restored database: all but its archive, and nothing in clear."""

from __future__ import annotations

import pytest

import planton
from planton.cluster.restoring.restore_config import carried_config, location_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes
from tests.manifests import database, operator

KEYS = """
storage:
  bucket_name: own-bucket
  s3_compatible: {endpoint: "https://minio.example.com"}
  certificate_authority: {value: sentinel-authority}
credentials:
  access_key_id: {value: SENTINELKEY}
  secret_access_key: {value: sentinel-secret}
"""


def source(backup: str, *, spec: str = "") -> PostgresKubernetes:
    (message,) = planton.loads(database("orders", backup=backup, spec=spec))
    assert isinstance(message, PostgresKubernetes)
    return message


def platform(template: str = "") -> BackupPlatform:
    config = f"s3_prefix_template: {template}" if template else ""
    found = planton.render(planton.loads(operator(backup=config))).platform
    assert found is not None
    return found


def nowhere(namespace: str, name: str, key: str) -> bool:
    return False


def test_what_is_in_clear_becomes_a_reference() -> None:
    asked = []

    def has(namespace: str, name: str, key: str) -> bool:
        asked.append((namespace, name, key))
        return True

    given = source(KEYS + "encryption: {libsodium: {key: {environment_variable: SODIUM}, transform: hex}}")
    carried = carried_config(given, None, has)
    text = planton.dumps(_with(carried.config))
    assert not carried.problems
    assert "entinel" not in text.lower()
    secret = "db-orders-backup-credentials-libsodium"
    assert sorted(asked) == [
        ("orders", secret, "AWS_ACCESS_KEY_ID"),
        ("orders", secret, "AWS_SECRET_ACCESS_KEY"),
        ("orders", "db-orders-store-ca", "ca.crt"),
    ]
    assert carried.config.credentials.secret_access_key.secret.namespace == "orders"
    # The source is as it was.
    assert given.spec.backup_config.credentials.secret_access_key.value == "sentinel-secret"


def _with(config: object) -> PostgresKubernetes:
    message = PostgresKubernetes(api_version="kubernetes.project-planton.org/v1", kind="PostgresKubernetes")
    message.metadata.name = "again"
    message.spec.backup_config.CopyFrom(config)  # type: ignore[arg-type]
    return message


def test_what_is_in_no_secret_is_refused() -> None:
    problems = carried_config(source(KEYS), None, nowhere).problems
    assert [one.path for one in problems] == [
        "spec.backup_config.storage.certificate_authority",
        "spec.backup_config.credentials.access_key_id",
        "spec.backup_config.credentials.secret_access_key",
    ]
    assert "sentinel" not in "\n".join(map(str, problems)).lower()


def test_references_stay_and_name_their_namespace() -> None:
    config = carried_config(
        source(
            "credentials:\n  access_key_id: {secret: {name: keys, key: id}}\n"
            "  secret_access_key: {environment_variable: SECRET}\n"
            "encryption: {libsodium: {key: {secret: {name: keys, key: sodium, namespace: vault}}, transform: hex}}"
        ),
        None,
        nowhere,
    ).config
    assert config.credentials.access_key_id.secret.namespace == "orders"
    assert config.credentials.secret_access_key.environment_variable == "SECRET"
    assert config.encryption.libsodium.key.secret.namespace == "vault"


def test_all_else_is_the_same() -> None:
    given = source("s3_prefix: /x\nbackup_schedule: 0 5 * * *\nenable_clone: false\nretention: {backups_and_days: 9}")
    carried = carried_config(given, platform(), nowhere)
    assert carried.config.backup_schedule == "0 5 * * *"
    assert carried.config.retention.backups_and_days == 9
    assert not carried.config.HasField("s3_prefix")
    assert not carried.config.HasField("enable_clone")
    assert len(carried.notes) == 1


@pytest.mark.parametrize(
    ("prefix", "stays"),
    [("other-bucket/x", False), ("/x", True), ("postgres-backups/x", True), ("s3://other/x", False)],
)
def test_keys_of_another_bucket_do_not_go_along(prefix: str, stays: bool) -> None:
    keys = "credentials: {access_key_id: {environment_variable: A}, secret_access_key: {environment_variable: B}}"
    carried = carried_config(source(f"s3_prefix: {prefix}\n{keys}"), platform(), nowhere)
    assert carried.config.HasField("credentials") is stays
    assert len(carried.notes) == (1 if stays else 2)


@pytest.mark.parametrize(
    ("backup", "template", "expected"),
    [
        ("", "", ""),
        ("", "$(POD_NAMESPACE)/$(SCOPE)", "/orders/$(SCOPE)"),
        ("s3_prefix: critical/$(POD_NAMESPACE)/$(PGVERSION)", "", "critical/orders/$(PGVERSION)"),
        (KEYS, "a/$(SCOPE)/$(PGVERSION)", "/a/$(SCOPE)/$(PGVERSION)"),
    ],
)
def test_the_place_of_an_archive(backup: str, template: str, expected: str) -> None:
    location, problems = location_of(
        source(backup or "backup_schedule: 0 5 * * *"), "15", platform(template), lambda *_: True
    )
    assert not problems
    assert (location.cluster_name, location.version, location.s3_prefix) == ("db-orders", "15", expected)
    assert location.HasField("storage") is (backup == KEYS)
    assert location.HasField("credentials") is (backup == KEYS)
