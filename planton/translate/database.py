"""PostgresKubernetes -> Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping

from planton.errors import Problem
from planton.translate.archive import identity
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
    Naming,
    cluster_name,
    files_secret,
)
from planton.translate.namespace import namespace_object
from planton.translate.platform import BackupPlatform, sources_text
from planton.translate.resources import resource_requirements
from planton.translate.secret_values import Credentials
from planton.translate.service_accounts import service_account
from planton.translate.source_reading import files_volume
from planton.translate.versions import OperatorVersion
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
    # Held from here on: each who asks a message for one in it gets a new one, unless somebody holds it.
    spec, _metadata = message.spec, message.metadata
    container, _config = spec.container, spec.backup_config
    naming = Naming(message)
    namespace = naming.namespace
    backup = backup_of(message, platform, existing)
    beginning = beginning_of(message, platform, existing)
    version = postgres_version(message, existing)
    errors = [*backup.errors, *_version_problems(version, operator_of(platform, existing)), *beginning.errors]
    warnings = [*backup.warnings, *beginning.warnings]
    objects = [namespace_object(naming), _postgresql(message, naming, version, backup, beginning)]
    if namespace not in existing.terminating_namespaces:
        if platform is not None:
            objects += platform_secrets(platform, namespace)
        if backup.files or backup.credentials:
            objects += _own_secrets(naming, backup)
        for name, contents in beginning.secrets.items():
            generation = beginning.generations.get(name, 0)
            objects.append(_secret(naming, name, contents, beginning.sources, generation))
        annotations = platform.service_account_annotations if platform is not None else {}
        if annotations or namespace in existing.annotated_accounts:
            objects.append(service_account(annotations, namespace))
    if spec.HasField("ingress") and spec.ingress.enabled:
        objects.append(external_service(message))
        if not spec.ingress.allowed_source_ranges:
            warnings.append(
                Problem(
                    "is not given: the database is open to every address that reaches its load balancer",
                    "spec.ingress.allowed_source_ranges",
                )
            )
    if container.replicas == 0:
        warnings.append(Problem("is 0: the database is stopped, and nothing is archived", "spec.container.replicas"))
    archive = None
    if backup.prefix:
        scope = cluster_name(naming.name)
        archive = identity(backup.prefix, backup.endpoint, scope=scope, version=version, namespace=namespace)
    return Translation(objects, errors, warnings, archive)


def _postgresql(
    message: PostgresKubernetes, naming: Naming, version: str, backup: DatabaseBackup, beginning: Beginning
) -> KubernetesObject:
    container = message.spec.container
    name = naming.name
    spec: KubernetesObject = {
        "teamId": TEAM,
        "numberOfInstances": container.replicas,
        "postgresql": {
            "version": version,
            "parameters": {"max_connections": "200"},
        },
        # Manifests may write "1 Gi"; the custom resource may not.
        "volume": {"size": "".join(container.disk_size.split())},
        "resources": resource_requirements(container.resources),
        "podAnnotations": {"postgres-cluster-id": name},
    }
    if env := _environment(backup, beginning):
        spec["env"] = env
    volumes = [files_volume(files_secret(name), DATABASE_FILES_PATH)] if backup.files else []
    if volumes or beginning.volumes:
        spec["additionalVolumes"] = [*volumes, *beginning.volumes]
    if beginning.standby is not None:
        spec["standby"] = dict(beginning.standby)
    metadata = naming.metadata(cluster_name(name), namespace=naming.namespace, annotations=beginning.annotations)
    return {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": metadata, "spec": spec}


def _environment(backup: DatabaseBackup, beginning: Beginning) -> list[KubernetesObject]:
    """Makes `spec.env`, sorted by name."""
    if not (backup.references or beginning.entries or beginning.dropped):
        # As most are; the environment of the backups is sorted already.
        return [{"name": variable, "value": value} for variable, value in backup.environment.items()]
    entries: dict[str, KubernetesObject] = {
        variable: {"name": variable, "value": value} for variable, value in backup.environment.items()
    }
    for variable in backup.references:
        reference = {"name": backup.secret_name, "key": variable}
        entries[variable] = {"name": variable, "valueFrom": {"secretKeyRef": reference}}
    for variable in beginning.dropped:
        entries.pop(variable, None)
    entries.update(beginning.entries)
    return [entries[variable] for variable in sorted(entries)]


def _own_secrets(naming: Naming, backup: DatabaseBackup) -> list[KubernetesObject]:
    """Makes the Secrets of a database that has a store, credentials or an encryption key of its own."""
    secrets = []
    if backup.files:
        secrets.append(_secret(naming, files_secret(naming.name), backup.files, backup.sources, 0))
    if backup.credentials:
        secrets.append(_secret(naming, backup.secret_name, backup.credentials, backup.sources, backup.generation))
    return secrets


def _secret(
    naming: Naming, name: str, contents: Credentials, sources: Mapping[str, str], generation: int
) -> KubernetesObject:
    annotations = {GENERATION_ANNOTATION: str(generation)} if generation else {}
    if mine := {key: place for key, place in sources.items() if key in contents.keys()}:  # noqa: SIM118
        annotations[SOURCES_ANNOTATION] = sources_text(mine)
    metadata = naming.metadata(name, namespace=naming.namespace, annotations=annotations)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": contents.data()}


def _version_problems(version: str, operator: OperatorVersion) -> list[Problem]:
    if version in operator.postgres_versions:
        return []
    return [
        Problem(
            f"operator {operator.version} runs PostgreSQL {operator.postgres_versions[0]} to "
            f"{operator.postgres_versions[-1]}; choose one of these, or another operator_version",
            "spec.version",
        )
    ]
