"""The environment of a database, from a table written by hand out of messages.md and runtime.md."""

from __future__ import annotations

import itertools

import pytest

import planton
from planton.translate.contract import KubernetesObject
from tests.manifests import database, operator

ON = operator()
OFF = operator(backup="enable_wal_g_backup: false")
NONE = operator(backup=None)

OWN = 's3_prefix: "own-bucket/orders/$(PGVERSION)"'
OWN_PREFIX = "s3://own-bucket/orders/$(PGVERSION)"
PLATFORM_PREFIX = "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)"


def env_of(text: str, name: str = "db-orders") -> list[dict[str, str]]:
    (found,) = [item for item in planton.render(planton.loads(text)) if is_cluster(item, name)]
    return list(found["spec"].get("env", []))


def is_cluster(item: KubernetesObject, name: str) -> bool:
    return bool(item["kind"] == "postgresql" and item["metadata"]["name"] == name)


# operator, backup_config of the database -> its environment
TABLE: list[tuple[str, str | None, dict[str, str]]] = [
    # Nothing said: everything is inherited, and nothing is written.
    (ON, None, {}),
    (OFF, None, {}),
    (NONE, None, {}),
    # Each override stands alone.
    (ON, OWN, {"WALG_S3_PREFIX": OWN_PREFIX}),
    (ON, 's3_prefix: "s3://own-bucket/orders/$(PGVERSION)"', {"WALG_S3_PREFIX": OWN_PREFIX}),
    (ON, 's3_prefix: "/special/orders"', {"WALG_S3_PREFIX": "s3://postgres-backups/special/orders"}),
    (ON, 'backup_schedule: "30 4 * * 0"', {"BACKUP_SCHEDULE": "30 4 * * 0"}),
    (ON, "enable_restore: false", {"USE_WALG_RESTORE": "false"}),
    (ON, "enable_restore: true", {"USE_WALG_RESTORE": "true"}),
    (ON, "enable_clone: false", {"CLONE_USE_WALG_RESTORE": "false"}),
    (ON, "enable_clone: true", {"CLONE_USE_WALG_RESTORE": "true"}),
    # Said explicitly, it is written even where it equals the operator's value.
    (ON, "enable_backup: true", {"USE_WALG_BACKUP": "true"}),
    (ON, 'backup_schedule: "0 2 * * *"', {"BACKUP_SCHEDULE": "0 2 * * *"}),
    # Off means an empty address, whatever else is said.
    (ON, "enable_backup: false", {"USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""}),
    (OFF, "enable_backup: false", {"USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""}),
    (NONE, "enable_backup: false", {"USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""}),
    (
        ON,
        f'enable_backup: false\n{OWN}\nbackup_schedule: "0 3 * * *"\nenable_restore: false\nenable_clone: true',
        {
            "CLONE_USE_WALG_RESTORE": "true",
            "USE_WALG_BACKUP": "false",
            "USE_WALG_RESTORE": "false",
            "WALG_S3_PREFIX": "",
        },
    ),
    # The operator is off: a prefix without an effective switch would archive to nowhere, for ever.
    (OFF, OWN, {}),
    (OFF, 'backup_schedule: "0 3 * * *"', {}),
    (NONE, OWN, {}),
    (OFF, "enable_restore: true", {"USE_WALG_RESTORE": "true"}),
    # One database switches backups on over an operator that is off: it needs the whole address.
    (OFF, "enable_backup: true", {"USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": PLATFORM_PREFIX}),
    (OFF, f"enable_backup: true\n{OWN}", {"USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": OWN_PREFIX}),
    (
        OFF,
        'enable_backup: true\nbackup_schedule: "0 3 * * *"',
        {"BACKUP_SCHEDULE": "0 3 * * *", "USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": PLATFORM_PREFIX},
    ),
]


@pytest.mark.parametrize(("platform", "backup", "expected"), TABLE)
def test_environment(platform: str, backup: str | None, expected: dict[str, str]) -> None:
    entries = env_of(platform + database(backup=backup))
    assert {entry["name"]: entry["value"] for entry in entries} == expected
    assert [entry["name"] for entry in entries] == sorted(expected)


def test_no_env_at_all_without_overrides() -> None:
    (found,) = [item for item in planton.render(planton.loads(ON + database())) if is_cluster(item, "db-orders")]
    assert "env" not in found["spec"]


SWITCHES = [f"enable_backup: {value}" for value in ("true", "false")]
SETTINGS = [OWN, 'backup_schedule: "0 3 * * *"', "enable_restore: true", "enable_clone: false"]


@pytest.mark.parametrize("platform", [ON, OFF, NONE], ids=["on", "off", "none"])
@pytest.mark.parametrize("switch", ["", *SWITCHES], ids=["unset", "true", "false"])
def test_invariants_hold_for_every_combination(platform: str, switch: str) -> None:
    inherited = {item["metadata"]["name"]: item for item in planton.render(planton.loads(platform))}
    configmap = inherited.get("postgres-pod-backup-config", {}).get("data", {})
    for count in range(len(SETTINGS) + 1):
        for chosen in itertools.combinations(SETTINGS, count):
            lines = "\n".join([*([switch] if switch else []), *chosen])
            if not lines:
                continue
            try:
                entries = env_of(platform + database(backup=lines))
            except planton.ManifestError:
                # Refused is safe; the one such case is backups on with no operator to give credentials.
                assert platform is NONE
                assert switch == SWITCHES[0]
                assert OWN not in chosen
                continue
            names = [entry["name"].upper() for entry in entries]
            assert len(names) == len(set(names))
            effective = {**configmap, **{entry["name"]: entry["value"] for entry in entries}}
            if effective.get("WALG_S3_PREFIX"):
                assert effective.get("USE_WALG_BACKUP") == "true"
            if switch == SWITCHES[1]:
                assert effective["WALG_S3_PREFIX"] == ""


def messages(text: str) -> list[str]:
    return [f"{one.path}: {one.message}" for one in planton.validate(planton.loads(text))]


def test_settings_without_an_archive_are_warned_about() -> None:
    off = database(backup=f'enable_backup: false\n{OWN}\nbackup_schedule: "0 3 * * *"')
    (prefix, schedule) = messages(ON + off)
    assert prefix.startswith("spec.backup_config.s3_prefix: has no effect: enable_backup is false")
    assert schedule.startswith("spec.backup_config.backup_schedule: has no effect")
    (warning,) = [text for text in messages(OFF + database(backup=OWN)) if "s3_prefix" in text]
    assert "backups are switched off at the operator" in warning


def test_another_bucket_is_warned_about_with_both_readings() -> None:
    (warning,) = messages(ON + database(backup=OWN))
    assert 'is read as bucket "own-bucket"' in warning
    assert 'write "/own-bucket/orders/$(PGVERSION)"' in warning


def test_no_warning_for_the_operators_own_bucket() -> None:
    assert messages(ON + database(backup='s3_prefix: "postgres-backups/orders"')) == []
    assert messages(ON + database(backup='s3_prefix: "/orders"')) == []


@pytest.mark.parametrize(
    "text",
    [
        operator(version="2.0.1") + database(backup="enable_restore: false"),
        operator(version="2.0.1", backup="enable_wal_g_backup: false\nenable_wal_g_restore: false")
        + database(backup="enable_backup: true"),
        operator(version="2.0.1", backup="enable_wal_g_restore: false"),
    ],
)
def test_restore_off_with_an_archive_is_refused_where_spilo_has_no_such_switch(text: str) -> None:
    with pytest.raises(planton.ManifestError, match="has no such switch"):
        planton.render(planton.loads(text))


@pytest.mark.parametrize("version", ["1.15.1", "2.0.1"])
def test_restore_off_with_backups_off_is_fine_everywhere(version: str) -> None:
    text = operator(version=version) + database(backup="enable_backup: false\nenable_restore: false")
    assert {"name": "USE_WALG_RESTORE", "value": "false"} in env_of(text)


def test_backups_on_without_any_operator_needs_credentials() -> None:
    with pytest.raises(planton.ManifestError, match="there are no credentials"):
        planton.render(planton.loads(NONE + database(backup="enable_backup: true")))
