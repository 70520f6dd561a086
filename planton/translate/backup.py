"""The operator's backup_config: the platform that it makes, its ConfigMap and its Secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from planton.translate.archive import platform_prefix
from planton.translate.contract import KubernetesObject
from planton.translate.names import (
    BACKUP_CONFIGMAP,
    STORAGE_SECRET,
    labels_of,
    namespace_of,
    object_metadata,
)
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform, Credentials
from planton.types import PostgresOperatorKubernetes


def boolean(value: bool) -> str:
    """Writes a switch as Spilo and the operator read it.

    Args:
        value: The switch.

    Returns:
        "true" or "false".
    """
    return "true" if value else "false"


def platform_of(message: PostgresOperatorKubernetes) -> BackupPlatform | None:
    """Gives the platform that an operator's manifest makes.

    Args:
        message: The operator, with its defaults filled.

    Returns:
        The platform with its credentials, or None without backup_config.
    """
    if not message.spec.HasField("backup_config"):
        return None
    config = message.spec.backup_config
    r2 = config.r2_config
    return BackupPlatform(
        namespace=namespace_of(message),
        operator_version=message.spec.operator_version,
        bucket=r2.bucket_name,
        prefix_template=config.s3_prefix_template,
        schedule=config.backup_schedule,
        backup=config.enable_wal_g_backup,
        restore=config.enable_wal_g_restore,
        clone=config.enable_clone_wal_g_restore,
        endpoint=f"https://{r2.cloudflare_account_id}.r2.cloudflarestorage.com",
        region="auto",
        force_path_style=True,
        disable_server_side_encryption=True,
        secret_name=STORAGE_SECRET,
        labels=labels_of(message),
        annotations=dict(sorted(message.metadata.annotations.items())),
        credentials=Credentials({"AWS_ACCESS_KEY_ID": r2.access_key_id, "AWS_SECRET_ACCESS_KEY": r2.secret_access_key}),
    )


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


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode("ascii") for key, value in values.items()}


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
        ValueError: The platform's credentials were not read.
    """
    if platform.credentials is None:
        raise ValueError("the backup platform has no credentials")
    metadata = {"name": platform.secret_name, "namespace": namespace, "labels": dict(platform.labels)}
    if platform.annotations:
        metadata["annotations"] = dict(platform.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": _encoded(platform.credentials.reveal()),
    }
