"""PostgresKubernetes -> Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping

from planton.errors import Problem
from planton.translate.backup import platform_secrets
from planton.translate.contract import KubernetesObject, Translation
from planton.translate.database_backup import DATABASE_FILES_PATH, DatabaseBackup, database_backup
from planton.translate.existing import Existing
from planton.translate.ingress import external_service
from planton.translate.names import (
    GENERATION_ANNOTATION,
    SOURCES_ANNOTATION,
    cluster_name,
    files_secret,
    namespace_of,
    object_metadata,
)
from planton.translate.namespace import namespace_object
from planton.translate.platform import BackupPlatform, sources_text
from planton.translate.resources import resource_requirements
from planton.translate.secret_values import Credentials
from planton.translate.service_accounts import service_account
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
    return database_backup(message, platform, existing, operator_of(platform, existing))


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
    if namespace not in existing.terminating_namespaces:
        objects += platform_secrets(platform, namespace)
        objects += _own_secrets(message, backup)
        annotations = platform.service_account_annotations if platform is not None else {}
        if annotations or namespace in existing.annotated_accounts:
            objects.append(service_account(annotations, namespace))
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
    name = message.metadata.name
    entries: dict[str, KubernetesObject] = {
        variable: {"name": variable, "value": value} for variable, value in backup.environment.items()
    }
    for variable in backup.references:
        reference = {"name": backup.secret_name, "key": variable}
        entries[variable] = {"name": variable, "valueFrom": {"secretKeyRef": reference}}
    if entries:
        spec["env"] = [entries[variable] for variable in sorted(entries)]
    if backup.files:
        # The operator sees a change of an additional volume by its name only (pkg/cluster/cluster.go, v1.15.1): so the
        # volume has that of the Secret.
        volume = files_secret(name)
        spec["additionalVolumes"] = [
            {
                "name": volume,
                "mountPath": DATABASE_FILES_PATH,
                "targetContainers": ["postgres"],
                "volumeSource": {"secret": {"secretName": volume}},
            }
        ]
    metadata = object_metadata(message, cluster_name(message.metadata.name), namespace=namespace_of(message))
    return {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": metadata, "spec": spec}


def _own_secrets(message: PostgresKubernetes, backup: DatabaseBackup) -> list[KubernetesObject]:
    """Makes the Secrets of a database that has a store, credentials or an encryption key of its own."""
    name = message.metadata.name
    secrets = []
    if backup.files:
        secrets.append(_secret(message, files_secret(name), backup.files, backup.sources, 0))
    if backup.credentials:
        secrets.append(_secret(message, backup.secret_name, backup.credentials, backup.sources, backup.generation))
    return secrets


def _secret(
    message: PostgresKubernetes, name: str, contents: Credentials, sources: Mapping[str, str], generation: int
) -> KubernetesObject:
    annotations = {GENERATION_ANNOTATION: str(generation)} if generation else {}
    if mine := {key: place for key, place in sources.items() if key in contents.keys()}:  # noqa: SIM118
        annotations[SOURCES_ANNOTATION] = sources_text(mine)
    metadata = object_metadata(message, name, namespace=namespace_of(message), annotations=annotations)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": contents.data()}


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
