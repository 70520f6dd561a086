"""A database's backup_config: the effective settings, then the environment that gives them.

The custom resource's `spec.env` wins over the operator's ConfigMap, name by name (postgres-operator
v1.15.1, pkg/cluster/k8sres.go, appendEnvVars). So it carries what the manifest says, even where that equals
the operator's value, and nothing that the manifest does not say.

Invariants of every list: no name twice; a non-empty prefix only with an effective USE_WALG_BACKUP "true".
Spilo 4.0 with a prefix and without that switch archives by wal-e to a nonsense address, for ever, and WAL
fills the volume; Spilo 4.1 with a prefix archives whatever the switch says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planton.errors import Problem
from planton.translate.archive import bucket_of, full_prefix, platform_prefix
from planton.translate.backup import boolean
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.translate.versions import OperatorVersion
from planton.types import PostgresKubernetesBackupConfig

_PATH = "spec.backup_config"


@dataclass(frozen=True, slots=True)
class DatabaseBackup:
    """What a database's backup_config comes to.

    Attributes:
        environment: What its custom resource carries: name -> value, sorted by name.
        prefix: The effective archive with its variables, `s3://<bucket>/<path>`; empty without an archive.
        errors: Why it cannot be.
        warnings: What is worth saying.
    """

    environment: Mapping[str, str]
    prefix: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def database_backup(
    config: PostgresKubernetesBackupConfig | None,
    platform: BackupPlatform | None,
    existing: Existing,
    operator: OperatorVersion,
) -> DatabaseBackup:
    """Computes the effective backup settings of a database and the environment that gives them.

    Args:
        config: backup_config of the database, or None when it has none.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.
        operator: Version of the operator that will run the database.

    Returns:
        The environment, the effective archive, and what is wrong or worth saying.
    """
    errors: list[Problem] = []
    warnings: list[Problem] = []
    environment: dict[str, str] = {}
    inherited = platform is not None and platform.backup
    config = config or PostgresKubernetesBackupConfig()
    said = config.enable_backup if config.HasField("enable_backup") else None
    on = inherited if said is None else said
    prefix = ""

    if on:
        own = full_prefix(config.s3_prefix, platform) if config.HasField("s3_prefix") else None
        if said:
            environment["USE_WALG_BACKUP"] = "true"
            if platform is None:
                _no_platform(config, existing, errors, warnings)
        if own is not None:
            environment["WALG_S3_PREFIX"] = prefix = own
            _foreign_bucket(own, config, platform, warnings)
        elif config.HasField("s3_prefix"):
            errors.append(
                Problem(
                    "asks for the operator's bucket, and no operator with backup_config is known here: "
                    "write <bucket>/<path>, or give the operator's manifest too",
                    f"{_PATH}.s3_prefix",
                )
            )
        elif platform is not None:
            prefix = platform_prefix(platform)
            if not inherited:
                environment["WALG_S3_PREFIX"] = prefix
        if config.HasField("backup_schedule"):
            environment["BACKUP_SCHEDULE"] = config.backup_schedule
        restore = config.enable_restore if config.HasField("enable_restore") else platform is None or platform.restore
        if not restore and not operator.has_restore_switch:
            errors.append(
                Problem(
                    f"restore cannot be switched off for a database with an archive: the Spilo image of operator "
                    f"{operator.version} ({operator.spilo_image}) has no such switch. Leave restore on, or "
                    "switch backups off with enable_backup: false",
                    f"{_PATH}.enable_restore",
                )
            )
    else:
        if said is False:
            environment["WALG_S3_PREFIX"] = ""
            environment["USE_WALG_BACKUP"] = "false"
        _unused(config, said, platform, warnings)

    if config.HasField("enable_restore"):
        environment["USE_WALG_RESTORE"] = boolean(config.enable_restore)
    if config.HasField("enable_clone"):
        environment["CLONE_USE_WALG_RESTORE"] = boolean(config.enable_clone)
    return DatabaseBackup(dict(sorted(environment.items())), prefix, tuple(errors), tuple(warnings))


def _no_platform(
    config: PostgresKubernetesBackupConfig,
    existing: Existing,
    errors: list[Problem],
    warnings: list[Problem],
) -> None:
    """Says that backups were asked for where no bucket and no credentials are known."""
    text = "asks for backups, and no operator with backup_config is known here, so there are no credentials"
    path = f"{_PATH}.enable_backup"
    if existing.from_cluster or not config.HasField("s3_prefix"):
        errors.append(Problem(f"{text}: give the operator a backup_config, or apply its manifest together", path))
    else:
        warnings.append(Problem(f"{text}; rendered as if its operator had one. Give the operator's manifest too", path))


def _foreign_bucket(
    prefix: str,
    config: PostgresKubernetesBackupConfig,
    platform: BackupPlatform | None,
    warnings: list[Problem],
) -> None:
    """Warns where a prefix leaves the operator's bucket: the first segment may have been meant as a path."""
    if platform is None or bucket_of(prefix) == platform.bucket:
        return
    path = config.s3_prefix.removeprefix("s3://").strip("/")
    warnings.append(
        Problem(
            f'is read as bucket "{bucket_of(prefix)}", which is not the operator\'s ("{platform.bucket}"): the '
            f"operator's keys must be able to write there. If a path in the operator's bucket was meant, "
            f'write "/{path}"',
            f"{_PATH}.s3_prefix",
        )
    )


def _unused(
    config: PostgresKubernetesBackupConfig,
    said: bool | None,
    platform: BackupPlatform | None,
    warnings: list[Problem],
) -> None:
    """Warns about settings of an archive that there is not."""
    if said is False:
        why = "enable_backup is false"
    elif platform is None:
        why = "no operator with backup_config is known here"
    else:
        why = "backups are switched off at the operator"
    for name in ("s3_prefix", "backup_schedule"):
        if config.HasField(name):
            warnings.append(Problem(f"has no effect: {why}. It is not passed on to the database", f"{_PATH}.{name}"))
