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
    SOURCES_ANNOTATION,
    labels_of,
    namespace_of,
    object_metadata,
)
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform, sources_text
from planton.translate.policy import Encryption, encryption_of, policy_environment
from planton.translate.secret_checks import value_problem
from planton.translate.secret_fields import secret_name
from planton.translate.secret_values import Credentials, SecretValues, credentials_from, reference_of
from planton.translate.service_accounts import identity_annotations
from planton.translate.store import (
    CERTIFICATE_VARIABLE,
    CLOUDFLARE_R2,
    Store,
    further_environment,
    r2_endpoint,
    store_of,
)
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
    keys = _given_keys(config)
    secrets = {**keys, **encryption.keys}
    files = {CERTIFICATE: store.certificate_authority} if store.certificate_authority is not None else {}
    name = secret_name(message)
    # No credentials, but of use only together with the keys and with the mount, of which the operator is told at its
    # start. The ConfigMap is read at every sync.
    together = {**encryption.environment, **({CERTIFICATE_VARIABLE: f"{FILES_PATH}/{CERTIFICATE}"} if files else {})}
    credentials = credentials_from(secrets, namespace, existing.values, together)
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
        secret_name=name,
        secret_keys=credentials.keys(),
        labels=labels_of(message),
        annotations=dict(sorted(message.metadata.annotations.items())),
        store=store.kind,
        settings={**further_environment(store), **policy_environment(config.retention, config.tuning)},
        encryption=encryption.method,
        files_secret_name=FILES_SECRET if files else "",
        file_names=tuple(sorted(files)),
        sources=sources_of({**secrets, **files}, namespace, existing.values),
        service_account_annotations=identity_annotations(config.credentials),
        max_instances=message.spec.operator_settings.get("max_instances", ""),
        credentials=credentials,
        files=credentials_from(files, namespace, existing.values),
        generation=generation_of(existing, namespace, name, credentials, existing.generation) if name else 0,
    )


def sources_of(given: Mapping[str, SecretValue], namespace: str, found: SecretValues) -> dict[str, str]:
    """Remembers the Secrets of others, so that what changes there can be seen without the manifest.

    What could be a key in the place of a name is left out, unless there is such a Secret.

    Args:
        given: Key of a Secret -> the value of a manifest.
        namespace: Namespace in which a Secret is meant that names none.
        found: What references lead to, as far as they were looked up.

    Returns:
        Key of the Secret -> `namespace/name/key` of a Secret of somebody else's.
    """
    references = {key: reference_of(value, namespace) for key, value in given.items() if _is_given(value)}
    places = {
        key: f"{one.name}/{one.key}"
        for key, one in references.items()
        if one is not None and one.key and (one.is_showable or found.get(one) is not None)
    }
    # Of a pair half a new one is worse than the old pair.
    halves = {key for pair in _PAIRS if not pair & set(references) <= set(places) for key in pair}
    return {key: place for key, place in places.items() if key not in halves}


_PAIRS = (
    frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}),
    frozenset({"WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE"}),
)
"""Values that go together."""


def _is_given(value: SecretValue) -> bool:
    return value.WhichOneof("source") != "value" or bool(value.value)


def secret_problems(
    credentials: Credentials, transform: str, path: str = "spec.backup_config", *, store: str = ""
) -> list[Problem]:
    """Checks what is to be written into a Secret.

    Args:
        credentials: Its contents.
        transform: How a key of libsodium is written, where the contents do not say it.
        path: Path of the backup_config.
        store: The store, as its field in `storage` is called; empty when it is not known.

    Returns:
        A problem for each value of the wrong form.
    """
    problems = []
    transform = credentials.reveal().get("WALG_LIBSODIUM_KEY_TRANSFORM", transform)
    passphrase = "WALG_PGP_KEY_PASSPHRASE"
    has_passphrase = bool(credentials.reveal().get(passphrase)) or passphrase in credentials.unresolved
    for key, value in credentials.reveal().items():
        if key not in PATHS or (key == "WALG_PGP_KEY_PASSPHRASE" and not value):
            continue
        if text := value_problem(key, value, transform, has_passphrase=has_passphrase, store=store):
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
    metadata: KubernetesObject = {"name": name, "namespace": namespace, "labels": dict(platform.labels)}
    annotations = dict(platform.annotations)
    if generation:
        annotations[GENERATION_ANNOTATION] = str(generation)
    if platform.sources and namespace == platform.namespace:
        annotations[SOURCES_ANNOTATION] = sources_text(platform.sources)
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
        The Secret; that of the operator's namespace says as well where its contents come from.

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
