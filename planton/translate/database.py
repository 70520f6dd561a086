"""PostgresKubernetes -> Kubernetes objects."""

from __future__ import annotations

from planton.errors import Problem
from planton.translate.backup import storage_secret
from planton.translate.contract import KubernetesObject, Translation
from planton.translate.database_backup import DatabaseBackup, database_backup
from planton.translate.existing import Existing
from planton.translate.ingress import external_service
from planton.translate.names import cluster_name, namespace_of, object_metadata
from planton.translate.namespace import namespace_object
from planton.translate.platform import BackupPlatform
from planton.translate.resources import resource_requirements
from planton.translate.versions import DEFAULT_POSTGRES_VERSION, OPERATOR_VERSIONS, OperatorVersion
from planton.types import PostgresKubernetes

TEAM = "db"
"""Team of every database (`spec.teamId`)."""


def operator_of(platform: BackupPlatform | None, existing: Existing) -> OperatorVersion:
    """Decides which version of the operator will run a database.

    Args:
        platform: Backup platform, which remembers it.
        existing: Facts of the cluster.

    Returns:
        That version; the default one where nothing is known.
    """
    for version in (platform.operator_version if platform else None, existing.operator_version):
        if version is not None and version in OPERATOR_VERSIONS:
            return OPERATOR_VERSIONS[version]
    return next(iter(OPERATOR_VERSIONS.values()))


def postgres_version(message: PostgresKubernetes, existing: Existing) -> str:
    """Decides the major version of PostgreSQL.

    Args:
        message: The database.
        existing: Facts of the cluster.

    Returns:
        The version that the manifest gives, else that of the live database, else the default.
    """
    if message.spec.HasField("version"):
        return message.spec.version
    live = existing.database(namespace_of(message), cluster_name(message.metadata.name))
    return (live.version if live else "") or DEFAULT_POSTGRES_VERSION


def backup_of(message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> DatabaseBackup:
    """Computes the backup settings of a database.

    Args:
        message: The database.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.

    Returns:
        Its effective settings and the environment that gives them.
    """
    config = message.spec.backup_config if message.spec.HasField("backup_config") else None
    return database_backup(config, platform, existing, operator_of(platform, existing))


def translate(message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> Translation:
    """Turns a database into objects.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.

    Returns:
        Its objects, and what is wrong or worth saying.
    """
    namespace = namespace_of(message)
    backup = backup_of(message, platform, existing)
    errors = [*backup.errors, *_version_problems(message, platform, existing)]
    warnings = list(backup.warnings)
    objects: list[KubernetesObject] = [namespace_object(message), _postgresql(message, existing, backup)]
    if platform is not None and platform.credentials is not None and namespace not in existing.terminating_namespaces:
        objects.append(storage_secret(platform, namespace))
    if message.spec.ingress.enabled:
        objects.append(external_service(message))
        if not message.spec.ingress.allowed_source_ranges:
            warnings.append(
                Problem(
                    "is not given: the database is open to every address that reaches its load balancer",
                    "spec.ingress.allowed_source_ranges",
                )
            )
    if message.spec.container.replicas == 0:
        warnings.append(Problem("is 0: the database is stopped, and nothing is archived", "spec.container.replicas"))
    return Translation(objects, errors, warnings)


def _postgresql(message: PostgresKubernetes, existing: Existing, backup: DatabaseBackup) -> KubernetesObject:
    container = message.spec.container
    spec: KubernetesObject = {
        "teamId": TEAM,
        "numberOfInstances": container.replicas,
        "postgresql": {
            "version": postgres_version(message, existing),
            "parameters": {"max_connections": "200"},
        },
        # Manifests may write "1 Gi"; the custom resource may not.
        "volume": {"size": "".join(container.disk_size.split())},
        "resources": resource_requirements(container.resources),
        "podAnnotations": {"postgres-cluster-id": message.metadata.name},
    }
    if backup.environment:
        spec["env"] = [{"name": name, "value": value} for name, value in backup.environment.items()]
    metadata = object_metadata(message, cluster_name(message.metadata.name), namespace=namespace_of(message))
    return {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": metadata, "spec": spec}


def _version_problems(
    message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing
) -> list[Problem]:
    operator = operator_of(platform, existing)
    version = postgres_version(message, existing)
    if version in operator.postgres_versions:
        return []
    return [
        Problem(
            f"operator {operator.version} runs PostgreSQL {operator.postgres_versions[0]} to "
            f"{operator.postgres_versions[-1]}; choose one of these, or another operator_version",
            "spec.version",
        )
    ]
