"""The backup_config of a restored database: that of its source, without its archive and without any credential.

A manifest of a restore is written to a file that is reviewed and committed. So what the source's manifest has in clear
becomes a reference to the Secret that planton has made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from planton.errors import Problem
from planton.translate.archive import bucket_of
from planton.translate.backup import CERTIFICATE
from planton.translate.database_backup import DEFAULT_TEMPLATE
from planton.translate.names import cluster_name, files_secret, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.secret_fields import secret_fields, secret_name
from planton.types import (
    PostgresKubernetes,
    PostgresKubernetesArchiveLocation,
    PostgresKubernetesBackupConfig,
    SecretValue,
)

HasKey = Callable[[str, str, str], bool]
"""Namespace, name and key -> whether there is a Secret that has it."""

# Field of a backup_config that may be in clear -> key of the database's own Secret. Keys for encryption may not.
_KEYS: Mapping[str, str] = {
    "credentials.access_key_id": "AWS_ACCESS_KEY_ID",
    "credentials.secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "storage.certificate_authority": CERTIFICATE,
}


@dataclass(slots=True)
class Carried:
    """What is carried over.

    Attributes:
        config: The backup_config of the new database.
        notes: What is to be known about it, each a sentence.
        problems: Values in clear that are in no Secret.
    """

    config: PostgresKubernetesBackupConfig
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def carried_config(source: PostgresKubernetes, platform: BackupPlatform | None, has_key: HasKey) -> Carried:
    """Carries the backup_config of a database over to one that is restored from it.

    Args:
        source: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        has_key: Says what Secrets have.

    Returns:
        The same settings, with an archive of its own by the operator's template and without credentials in clear.
    """
    config = PostgresKubernetesBackupConfig()
    config.CopyFrom(source.spec.backup_config)
    carried = Carried(config)
    if config.HasField("s3_prefix"):
        config.ClearField("s3_prefix")
        carried.notes.append(
            "Its own archive is not that of the source (s3_prefix is left out), or both would be destroyed."
        )
        # Keys beside a bucket of another name are for that bucket.
        path = source.spec.backup_config.s3_prefix
        own_bucket = not path.startswith("/") and not config.HasField("storage")
        is_elsewhere = own_bucket and (platform is None or bucket_of(f"s3://{_bare(path)}") != platform.bucket)
        if is_elsewhere and config.HasField("credentials"):
            config.ClearField("credentials")
            carried.notes.append(
                "The source's own keys are for its own bucket, and are left out: it archives with the operator's."
            )
    # What kept the source from restoring must not keep this one from it.
    config.ClearField("enable_clone")
    _without_values(source, config, carried, has_key)
    return carried


def _bare(path: str) -> str:
    return path.removeprefix("s3://").strip("/")


def _without_values(
    source: PostgresKubernetes,
    message: PostgresKubernetesBackupConfig | PostgresKubernetesArchiveLocation,
    carried: Carried,
    has_key: HasKey,
) -> None:
    namespace = namespace_of(source)
    for path, value in secret_fields(message):
        given = value.WhichOneof("source")
        if given == "secret" and not value.secret.HasField("namespace"):
            # Without one it means that of the database in whose manifest it stands.
            value.secret.namespace = namespace
        elif given == "value":
            _refer(source, path, value, carried, has_key)


def _refer(source: PostgresKubernetes, path: str, value: SecretValue, carried: Carried, has_key: HasKey) -> None:
    namespace, key = namespace_of(source), _KEYS.get(path, "")
    secret = files_secret(source.metadata.name) if key == CERTIFICATE else secret_name(source)
    if key and secret and has_key(namespace, secret, key):
        value.secret.namespace, value.secret.name, value.secret.key = namespace, secret, key
        return
    carried.problems.append(
        Problem(
            "is written in clear in the manifest of the source, and is in no Secret of the cluster: no credential is "
            "written into the manifest of a restore. Put it into a Secret there, and refer to that in the manifest",
            path=f"spec.backup_config.{path}",
            subject=f"{source.kind}/{source.metadata.name}",
        )
    )


def location_of(
    source: PostgresKubernetes, version: str, platform: BackupPlatform | None, has_key: HasKey
) -> tuple[PostgresKubernetesArchiveLocation, list[Problem]]:
    """Says where the archive of a database of a manifest is, for one that is not in the cluster.

    Args:
        source: The database, with its defaults filled.
        version: Its major version of PostgreSQL.
        platform: Backup platform, or None without operator-level backups.
        has_key: Says what Secrets have.

    Returns:
        The archive by its place; and values in clear that are in no Secret.
    """
    config = source.spec.backup_config
    location = PostgresKubernetesArchiveLocation(cluster_name=cluster_name(source.metadata.name), version=version)
    for name in ("storage", "credentials", "encryption"):
        if config.HasField(name):
            getattr(location, name).CopyFrom(getattr(config, name))
    template = platform.prefix_template if platform is not None else DEFAULT_TEMPLATE
    if config.HasField("s3_prefix"):
        location.s3_prefix = config.s3_prefix
    elif config.HasField("storage") or "$(POD_NAMESPACE)" in template:
        location.s3_prefix = "/" + template.strip("/")
    if location.HasField("s3_prefix"):
        location.s3_prefix = location.s3_prefix.replace("$(POD_NAMESPACE)", namespace_of(source))
    carried = Carried(PostgresKubernetesBackupConfig())
    _without_values(source, location, carried, has_key)
    return location, carried.problems
