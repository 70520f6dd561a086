"""The manifests that existing users have load unchanged, and say what they say."""

from __future__ import annotations

import pytest

from planton.manifest import dumps, loads
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes
from tests.manifest.support import EXAMPLES, database, operator


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_loads_and_comes_back(name: str) -> None:
    loaded = loads(EXAMPLES[name])
    assert len(loaded) == 1
    assert loads(dumps(loaded)) == loaded
    assert loads(dumps(loaded, format="json")) == loaded


def test_all_in_one_stream() -> None:
    loaded = loads("---\n".join(EXAMPLES.values()))
    assert [type(message) for message in loaded] == [PostgresOperatorKubernetes] * 2 + [PostgresKubernetes] * 4
    assert [origin.document for origin in loaded.origins] == [1, 2, 3, 4, 5, 6]


def test_operator_full() -> None:
    message = operator(EXAMPLES["operator-full"])
    config = message.spec.backup_config
    assert message.metadata.name == "postgres-operator"
    assert config.r2_config.cloudflare_account_id == "your-account-id"
    assert config.r2_config.bucket_name == "postgres-backups"
    assert config.r2_config.access_key_id == "your-access-key"
    assert config.r2_config.secret_access_key == "your-secret-key"
    assert config.s3_prefix_template == "backups/$(SCOPE)/$(PGVERSION)"
    assert config.backup_schedule == "0 2 * * *"
    assert config.enable_wal_g_backup
    assert config.enable_wal_g_restore
    assert config.enable_clone_wal_g_restore


def test_operator_basic_with_defaults_and_both_spellings() -> None:
    spec = operator(EXAMPLES["operator-basic"]).spec
    assert spec.target_cluster.kubernetes_cluster_credential_id == "k8s-cluster-01"
    assert spec.container.resources.limits.cpu == "1000m"
    assert spec.container.resources.requests.memory == "100Mi"
    assert spec.backup_config.s3_prefix_template == "backups/$(SCOPE)/$(PGVERSION)"
    assert spec.backup_config.enable_clone_wal_g_restore
    assert spec.operator_version == "1.15.1"


def test_database_overrides() -> None:
    spec = database(EXAMPLES["database-overrides"]).spec
    assert spec.container.replicas == 2
    assert spec.container.disk_size == "10Gi"
    assert spec.backup_config.s3_prefix == "my-bucket/custom/path/$(PGVERSION)"
    assert spec.backup_config.backup_schedule == "0 3 * * *"
    assert (spec.backup_config.enable_backup, spec.backup_config.enable_restore) == (True, True)
    assert not spec.HasField("version")


def test_database_inherits_says_nothing_about_backups() -> None:
    assert not database(EXAMPLES["database-inherits"]).spec.HasField("backup_config")


def test_database_custom_path_leaves_the_switches_unsaid() -> None:
    config = database(EXAMPLES["database-custom-path"]).spec.backup_config
    assert config.backup_schedule == "0 */6 * * *"
    assert not config.HasField("enable_backup")


def test_database_backups_off_says_false() -> None:
    config = database(EXAMPLES["database-backups-off"]).spec.backup_config
    assert config.HasField("enable_backup")
    assert not config.enable_backup
    assert not config.HasField("s3_prefix")
