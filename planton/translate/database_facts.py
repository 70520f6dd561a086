"""What translation knows of a database before it makes objects: who runs it, its version, its backup settings."""

from __future__ import annotations

from planton.translate.database_backup import DatabaseBackup, database_backup
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.versions import DEFAULT_POSTGRES_VERSION, OPERATOR_VERSIONS, OperatorVersion
from planton.types import PostgresKubernetes, PostgresKubernetesArchiveSource

_DEFAULT_OPERATOR = next(iter(OPERATOR_VERSIONS.values()))


def operator_of(platform: BackupPlatform | None, existing: Existing) -> OperatorVersion:
    """Decides which version of the operator will run a database.

    Args:
        platform: Backup platform, which remembers it.
        existing: Facts of the cluster.

    Returns:
        That version; the default one where nothing is known.
    """
    told = OPERATOR_VERSIONS.get(platform.operator_version) if platform is not None else None
    return told or OPERATOR_VERSIONS.get(existing.operator_version or "") or _DEFAULT_OPERATOR


def postgres_version(message: PostgresKubernetes, existing: Existing) -> str:
    """Decides the major version of PostgreSQL.

    Args:
        message: The database.
        existing: Facts of the cluster.

    Returns:
        The version that the manifest gives, else that of the live database, else that of the archive from which a new
        one starts or which it follows, else the default.
    """
    spec = message.spec
    if spec.HasField("version"):
        return spec.version
    if existing.databases:
        live = existing.database(namespace_of(message), cluster_name(message.metadata.name))
        if live is not None and live.version:
            return live.version
    return source_version(message, existing) or DEFAULT_POSTGRES_VERSION


def source_message(message: PostgresKubernetes) -> PostgresKubernetesArchiveSource | None:
    """Gives the archive from which a database starts or which it follows.

    Args:
        message: The database.

    Returns:
        What its manifest says of it, or None.
    """
    spec = message.spec
    if spec.HasField("clone"):
        return spec.clone.source
    return spec.standby.source if spec.HasField("standby") else None


def source_version(message: PostgresKubernetes, existing: Existing) -> str:
    """Gives the major version of PostgreSQL that wrote the archive of a clone or a standby.

    Args:
        message: The database.
        existing: Facts of the cluster and of the set, with the archives that were asked for.

    Returns:
        The version; empty when it is not known, or without such an archive.
    """
    source = source_message(message)
    if source is None:
        return ""
    if source.HasField("archive"):
        return source.archive.version
    found = existing.sources.get((source.database.namespace, source.database.name))
    return found.access.version if found is not None and found.access is not None else ""


def backup_of(message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> DatabaseBackup:
    """Computes the backup settings of a database.

    Args:
        message: The database.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.

    Returns:
        Its effective settings and the environment that gives them.
    """
    return database_backup(message, platform, existing, operator_of(platform, existing))
