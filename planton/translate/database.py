"""PostgresKubernetes -> Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping

from planton.errors import Problem
from planton.translate.backup import platform_secrets
from planton.translate.beginning import Beginning, beginning_of
from planton.translate.contract import KubernetesObject, Translation
from planton.translate.database_backup import DATABASE_FILES_PATH, DatabaseBackup
from planton.translate.database_facts import backup_of as backup_of
from planton.translate.database_facts import operator_of
from planton.translate.database_facts import postgres_version as postgres_version
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
from planton.translate.source_reading import files_volume
from planton.types import PostgresKubernetes

TEAM = "db"
"""Team of every database (`spec.teamId`)."""


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
    beginning = beginning_of(message, platform, existing)
    errors = [*backup.errors, *_version_problems(message, platform, existing), *beginning.errors]
    warnings = [*backup.warnings, *beginning.warnings]
    objects: list[KubernetesObject] = [namespace_object(message), _postgresql(message, existing, backup, beginning)]
    if namespace not in existing.terminating_namespaces:
        objects += platform_secrets(platform, namespace)
        objects += _own_secrets(message, backup)
        objects += [
            _secret(message, name, contents, {}, beginning.generations.get(name, 0))
            for name, contents in beginning.secrets.items()
        ]
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


def _postgresql(
    message: PostgresKubernetes, existing: Existing, backup: DatabaseBackup, beginning: Beginning
) -> KubernetesObject:
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
    for variable in beginning.dropped:
        entries.pop(variable, None)
    entries.update(beginning.entries)
    if entries:
        spec["env"] = [entries[variable] for variable in sorted(entries)]
    volumes = [files_volume(files_secret(name), DATABASE_FILES_PATH)] if backup.files else []
    if volumes or beginning.volumes:
        spec["additionalVolumes"] = [*volumes, *beginning.volumes]
    if beginning.standby is not None:
        spec["standby"] = dict(beginning.standby)
    metadata = object_metadata(
        message,
        cluster_name(message.metadata.name),
        namespace=namespace_of(message),
        annotations=beginning.annotations,
    )
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
