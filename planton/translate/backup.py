"""The operator's backup_config: the platform that it makes, its ConfigMap and its Secrets."""

from __future__ import annotations

from collections.abc import Mapping

from planton.errors import Problem
from planton.translate.archive import platform_prefix
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.generation import GENERATION, IDENTITY, generation_of
from planton.translate.names import (
    BACKUP_CONFIGMAP,
    FILES_SECRET,
    GENERATION_ANNOTATION,
    STORAGE_SECRET,
    labels_of,
    namespace_of,
    object_metadata,
)
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.policy import Encryption, encryption_of, policy_environment
from planton.translate.secret_checks import value_problem
from planton.translate.secret_values import Credentials, credentials_from, reference_of
from planton.translate.service_accounts import identity_annotations
from planton.translate.store import CLOUDFLARE_R2, Store, further_environment, r2_endpoint, store_of
from planton.types import (
    BackupCredentials,
    PostgresOperatorKubernetes,
    PostgresOperatorKubernetesBackupConfig,
    SecretValue,
)

CERTIFICATE = "ca.crt"
"""File with the certificate of the store's authority."""
FILES_PATH = "/etc/planton/backup-files"
"""Where the operator mounts FILES_SECRET into every database's pods."""

PATHS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "credentials.access_key_id",
    "AWS_SECRET_ACCESS_KEY": "credentials.secret_access_key",
    "WALG_LIBSODIUM_KEY": "encryption.libsodium.key",
    "WALG_PGP_KEY": "encryption.pgp.key",
    "WALG_PGP_KEY_PASSPHRASE": "encryption.pgp.passphrase",
    CERTIFICATE: "storage.certificate_authority",
}
"""Key of a Secret -> the field of backup_config that gives it."""


def boolean(value: bool) -> str:
    """Writes a switch as Spilo and the operator read it.

    Args:
        value: The switch.

    Returns:
        "true" or "false".
    """
    return "true" if value else "false"


def access_keys(credentials: BackupCredentials) -> dict[str, SecretValue]:
    """Gives the pair of keys.

    Args:
        credentials: Credentials of a manifest.

    Returns:
        Name of the variable -> value of the manifest; empty for a cloud identity.
    """
    if credentials.HasField("cloud_identity"):
        return {}
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
    }


def _given_keys(config: PostgresOperatorKubernetesBackupConfig) -> dict[str, SecretValue]:
    if config.HasField("credentials"):
        return access_keys(config.credentials)
    r2 = config.r2_config
    return {
        "AWS_ACCESS_KEY_ID": SecretValue(value=r2.access_key_id),
        "AWS_SECRET_ACCESS_KEY": SecretValue(value=r2.secret_access_key),
    }


def operator_store(config: PostgresOperatorKubernetesBackupConfig) -> Store:
    """Reads the store of an operator.

    Args:
        config: Its backup_config, with its defaults filled.

    Returns:
        The store.
    """
    if config.HasField("storage"):
        return store_of(config.storage)
    r2 = config.r2_config
    return Store(CLOUDFLARE_R2, r2.bucket_name, r2_endpoint(r2.cloudflare_account_id), "auto", True)


def platform_of(message: PostgresOperatorKubernetes, existing: Existing | None = None) -> BackupPlatform | None:
    """Gives the platform that an operator's manifest makes.

    Args:
        message: The operator, with its defaults filled.
        existing: Facts of the cluster, with what the references of the manifest lead to.

    Returns:
        The platform with its credentials, or None without backup_config.
    """
    if not message.spec.HasField("backup_config"):
        return None
    existing = existing or Existing()
    config = message.spec.backup_config
    namespace = namespace_of(message)
    store = operator_store(config)
    encryption = encryption_of(config.encryption) if config.HasField("encryption") else Encryption("")
    secrets = {**_given_keys(config), **encryption.keys}
    files = {CERTIFICATE: store.certificate_authority} if store.certificate_authority is not None else {}
    credentials = credentials_from(secrets, namespace, existing.values)
    return BackupPlatform(
        namespace=namespace,
        operator_version=message.spec.operator_version,
        bucket=store.bucket,
        prefix_template=config.s3_prefix_template,
        schedule=config.backup_schedule,
        backup=config.enable_wal_g_backup,
        restore=config.enable_wal_g_restore,
        clone=config.enable_clone_wal_g_restore,
        endpoint=store.endpoint,
        region=store.region,
        force_path_style=store.force_path_style,
        disable_server_side_encryption=not store.server_side_encryption,
        secret_name=STORAGE_SECRET if secrets else "",
        secret_keys=tuple(sorted(secrets)),
        labels=labels_of(message),
        annotations=dict(sorted(message.metadata.annotations.items())),
        store=store.kind,
        settings={
            **further_environment(store, f"{FILES_PATH}/{CERTIFICATE}"),
            **encryption.environment,
            **policy_environment(config.retention, config.tuning),
        },
        encryption=encryption.method,
        files_secret_name=FILES_SECRET if files else "",
        file_names=tuple(sorted(files)),
        sources=_sources({**secrets, **files}, namespace),
        service_account_annotations=identity_annotations(config.credentials),
        credentials=credentials,
        files=credentials_from(files, namespace, existing.values),
        generation=generation_of(existing, namespace, STORAGE_SECRET, credentials, existing.generation)
        if secrets
        else 0,
    )


def _sources(given: Mapping[str, SecretValue], namespace: str) -> dict[str, str]:
    """Remembers the Secrets of others, so that what changes there can be copied without the manifest."""
    references = {key: reference_of(value, namespace) for key, value in given.items()}
    return {key: f"{one.name}/{one.key}" for key, one in references.items() if one is not None and one.key}


def secret_problems(credentials: Credentials, transform: str, path: str = "spec.backup_config") -> list[Problem]:
    """Checks what is to be written into a Secret.

    Args:
        credentials: Its contents.
        transform: How a key of libsodium is written.
        path: Path of the backup_config.

    Returns:
        A problem for each value of the wrong form.
    """
    problems = []
    for key, value in credentials.reveal().items():
        if text := value_problem(key, value, transform):
            problems.append(Problem(text, f"{path}.{PATHS[key]}"))
    return problems


def environment_of(platform: BackupPlatform) -> dict[str, str]:
    """Gives the environment that every database's pods get from the operator, credentials apart.

    Which of these reach wal-g, and when: Spilo 4.0-p3 and 4.1-p2, postgres-appliance/scripts/configure_spilo.py.
    With an endpoint and no encryption asked for, WALG_DISABLE_S3_SSE is harmless on 4.0 and needed on 4.1.

    Args:
        platform: Backup platform.

    Returns:
        Name -> value, sorted by name.
    """
    environment = {
        **platform.settings,
        "USE_WALG_BACKUP": boolean(platform.backup),
        "USE_WALG_RESTORE": boolean(platform.restore),
        "CLONE_USE_WALG_RESTORE": boolean(platform.clone),
        "BACKUP_SCHEDULE": platform.schedule,
    }
    if platform.backup:
        # An empty archive address is the one thing that every Spilo version understands as "off".
        environment["WALG_S3_PREFIX"] = platform_prefix(platform)
    if platform.endpoint:
        environment["AWS_ENDPOINT"] = platform.endpoint
        environment["AWS_S3_FORCE_PATH_STYLE"] = boolean(platform.force_path_style)
    if platform.region:
        environment["AWS_REGION"] = platform.region
    if platform.disable_server_side_encryption:
        environment["WALG_DISABLE_S3_SSE"] = "true"
    if platform.generation:
        environment[GENERATION] = str(platform.generation)
    if platform.service_account_annotations:
        pairs = sorted(platform.service_account_annotations.items())
        environment[IDENTITY] = ",".join(f"{name}={value}" for name, value in pairs)
    return dict(sorted(environment.items()))


def backup_configmap(message: PostgresOperatorKubernetes, platform: BackupPlatform) -> KubernetesObject:
    """Makes the ConfigMap with the backup environment, which also remembers the platform.

    Args:
        message: The operator.
        platform: Its platform.

    Returns:
        The ConfigMap. No credential is in it.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": object_metadata(
            message,
            BACKUP_CONFIGMAP,
            namespace=platform.namespace,
            annotations={PLATFORM_ANNOTATION: platform.to_json()},
        ),
        "data": environment_of(platform),
    }


def _secret(
    platform: BackupPlatform, name: str, namespace: str, contents: Credentials, generation: int
) -> KubernetesObject:
    metadata = {"name": name, "namespace": namespace, "labels": dict(platform.labels)}
    annotations = dict(platform.annotations)
    if generation:
        annotations[GENERATION_ANNOTATION] = str(generation)
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": contents.data()}


def storage_secret(platform: BackupPlatform, namespace: str) -> KubernetesObject:
    """Makes the storage Secret, or a copy of it.

    The operator looks `pod_environment_secret` up in the namespace of each custom resource
    (postgres-operator v1.15.1, pkg/cluster/k8sres.go, getPodEnvironmentSecretVariables).

    Args:
        platform: Backup platform with its credentials.
        namespace: Where the Secret goes.

    Returns:
        The Secret, the same in every namespace.

    Raises:
        ValueError: The platform's credentials were not read, or it has none.
    """
    if platform.credentials is None or not platform.secret_name:
        raise ValueError("the backup platform has no credentials")
    return _secret(platform, platform.secret_name, namespace, platform.credentials, platform.generation)


def platform_secrets(platform: BackupPlatform | None, namespace: str) -> list[KubernetesObject]:
    """Makes everything of the platform that has to stand in a namespace before the operator is told of it.

    The Secret with files comes first: without the storage Secret the operator waits before it makes a pod; without that
    of the files, a pod that it has made hangs.

    Args:
        platform: Backup platform, or None without one.
        namespace: A namespace with a database.

    Returns:
        Secrets; none that were not read.
    """
    if platform is None:
        return []
    secrets = []
    if platform.files_secret_name and platform.files is not None:
        secrets.append(_secret(platform, platform.files_secret_name, namespace, platform.files, 0))
    if platform.secret_name and platform.credentials is not None:
        secrets.append(storage_secret(platform, namespace))
    return secrets
