"""What rules on single fields cannot say of backup_config: which fields go together, and which contradict."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TypeAlias

from planton import quantity
from planton.manifest._prefix import reserved_bucket_problem
from planton.sensitive import HIDDEN
from planton.types import (
    BackupCredentials,
    BackupEncryption,
    BackupStorage,
    BackupTuning,
    PostgresKubernetesArchiveLocation,
    PostgresKubernetesBackupConfig,
    PostgresOperatorKubernetesBackupConfig,
    PostgresOperatorKubernetesBackupR2Config,
    SecretValue,
)

Complaint: TypeAlias = tuple[str, str]
"""A path below backup_config, with its dot, and what is wrong."""

_SHORTEST_KEY = 8
# A WAL segment has 16 MiB; above the second, wal-g reads the number as 0 sooner or later (viper.GetInt64).
_SLOWEST, _FASTEST = 2**20, 2**40
# The ports that a URL has by itself. One spelling of an endpoint, so that one archive is known as one.
_USUAL_PORTS = {"http": "80", "https": "443"}
_ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


def operator_problems(config: PostgresOperatorKubernetesBackupConfig) -> Iterator[Complaint]:
    """Checks the backup_config of an operator.

    Args:
        config: It, with its defaults filled.

    Yields:
        Paths and what is wrong.
    """
    r2, storage, credentials = (config.HasField(name) for name in ("r2_config", "storage", "credentials"))
    if r2 and storage:
        yield ".storage", "is given beside r2_config: there is one object store, keep one of them"
    elif not r2 and not storage:
        yield (
            ".storage",
            "is required: the object store and its bucket (or r2_config, the short form for Cloudflare R2)",
        )
    if r2:
        yield from _r2_problems(config.r2_config, credentials)
    if storage and not credentials:
        yield ".credentials", "is missing: the keys for the object store, or the identity that its cloud gives"
    yield from _common_problems(config)
    kind = config.storage.WhichOneof("store") if storage else "cloudflare_r2" if r2 else None
    yield from _identity_problems(config.credentials, kind)


def database_problems(config: PostgresKubernetesBackupConfig) -> Iterator[Complaint]:
    """Checks the backup_config of a database.

    Args:
        config: It, with its defaults filled.

    Yields:
        Paths and what is wrong.
    """
    storage = config.HasField("storage")
    if storage and not config.HasField("credentials"):
        text = "is missing, and a storage of its own needs it: the operator's keys would be sent to another store"
        yield ".credentials", text
    yield from _common_problems(config)
    kind = config.storage.WhichOneof("store") if storage else None
    yield from _identity_problems(config.credentials, kind)
    yield from _account_problems(config.credentials)


def location_problems(location: PostgresKubernetesArchiveLocation) -> Iterator[Complaint]:
    """Checks the place of another database's archive.

    Args:
        location: It, with its defaults filled.

    Yields:
        Paths below it, and what is wrong.
    """
    storage = location.HasField("storage")
    if storage:
        yield from _storage_problems(location.storage)
        if not location.HasField("credentials"):
            text = "is missing, and a storage of its own needs it: the operator's keys would be sent to another store"
            yield ".credentials", text
    if location.HasField("credentials"):
        yield from _credentials_problems(location.credentials)
    if location.HasField("encryption"):
        yield from _encryption_problems(location.encryption)
    yield from _identity_problems(location.credentials, location.storage.WhichOneof("store") if storage else None)
    yield from _account_problems(location.credentials)


def _account_problems(credentials: BackupCredentials) -> Iterator[Complaint]:
    for name in ("aws_role_arn", "service_account_annotations"):
        if getattr(credentials.cloud_identity, name):
            yield (
                f".credentials.cloud_identity.{name}",
                "belongs in the operator's manifest: the service account of the pods is one for a whole namespace",
            )


def _r2_problems(r2: PostgresOperatorKubernetesBackupR2Config, credentials: bool) -> Iterator[Complaint]:
    for name in ("access_key_id", "secret_access_key"):
        key = getattr(r2, name)
        if credentials and key:
            yield f".r2_config.{name}", "is given beside credentials: keep one of them"
        elif not credentials and not key:
            yield f".r2_config.{name}", "is missing or empty (or give credentials, which can refer to keys elsewhere)"
        elif key == HIDDEN:
            yield f".r2_config.{name}", "is what stands for a key in redacted output: write the key"
        elif 0 < len(key) < _SHORTEST_KEY:
            # R2's have 32 and 64 characters: https://developers.cloudflare.com/r2/api/tokens/. Much shorter ones can
            # be a slip, and could not be taken out of what a server says without tearing other words.
            yield f".r2_config.{name}", f"must have at least {_SHORTEST_KEY} characters"
    if text := reserved_bucket_problem(r2.bucket_name):
        yield ".r2_config.bucket_name", text


def _common_problems(
    config: PostgresOperatorKubernetesBackupConfig | PostgresKubernetesBackupConfig,
) -> Iterator[Complaint]:
    if config.HasField("storage"):
        yield from _storage_problems(config.storage)
    if config.HasField("credentials"):
        yield from _credentials_problems(config.credentials)
    if config.HasField("encryption"):
        yield from _encryption_problems(config.encryption)
    yield from _tuning_problems(config.tuning)


def _storage_problems(storage: BackupStorage) -> Iterator[Complaint]:
    kind = storage.WhichOneof("store")
    if text := reserved_bucket_problem(storage.bucket_name):
        yield ".storage.bucket_name", text
    encryption = storage.server_side_encryption.WhichOneof("method")
    if kind in ("cloudflare_r2", "google_cloud_storage") and encryption in ("store_key", "kms_key"):
        yield (
            f".storage.server_side_encryption.{encryption}",
            "is refused by this store, which encrypts everything by itself: leave it out",
        )
    endpoint = storage.s3_compatible.endpoint
    if endpoint.startswith("http://") and storage.HasField("certificate_authority"):
        yield ".storage.certificate_authority", "has no meaning with a plain http:// endpoint: write https://"
    if kind == "s3_compatible":
        yield from _endpoint_problems(endpoint, storage.s3_compatible.force_path_style)
    if storage.HasField("proxy") and (text := _port_problem(storage.proxy.url)):
        yield ".storage.proxy.url", text


def _endpoint_problems(endpoint: str, force_path_style: bool) -> Iterator[Complaint]:
    path = ".storage.s3_compatible.endpoint"
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.partition(":")
    if text := _port_problem(endpoint):
        yield path, text
    elif port and port == _USUAL_PORTS.get(scheme):
        yield path, f"names port {port}, which {scheme}:// has by itself: leave it out"
    # What aws_s3 cannot say stays possible: addresses inside a private network, and those of approved cryptography.
    if _is_within(host, "amazonaws.com", "amazonaws.com.cn") and "vpce" not in host and "fips" not in host:
        yield path, "is Amazon S3: write aws_s3 with its region instead"
    elif _is_within(host, "r2.cloudflarestorage.com"):
        yield path, "is Cloudflare R2: write cloudflare_r2 with its account instead"
    elif _is_within(host, "storage.googleapis.com"):
        yield path, "is Google Cloud Storage: write google_cloud_storage: {} instead"
    elif not force_path_style and _is_address(host):
        yield (
            ".storage.s3_compatible.force_path_style",
            "cannot be false with an address as endpoint: the bucket stands before a host name then",
        )


def _is_within(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _port_problem(url: str) -> str:
    port = url.partition("://")[2].rstrip("/").partition(":")[2]
    return "has a port above 65535" if port.isdecimal() and int(port) > 65535 else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _credentials_problems(credentials: BackupCredentials) -> Iterator[Complaint]:
    keys = [name for name in ("access_key_id", "secret_access_key") if credentials.HasField(name)]
    if credentials.HasField("cloud_identity"):
        for name in keys:
            yield f".credentials.{name}", "is given beside cloud_identity: keep one of them"
    elif not keys:
        yield ".credentials", "holds nothing: give access_key_id and secret_access_key, or cloud_identity"
    else:
        for name in ("access_key_id", "secret_access_key"):
            if name not in keys:
                yield f".credentials.{name}", "is missing: access_key_id and secret_access_key go together"


def _identity_problems(credentials: BackupCredentials, kind: str | None) -> Iterator[Complaint]:
    if not credentials.HasField("cloud_identity"):
        return
    path = ".credentials.cloud_identity"
    if kind not in (None, "aws_s3"):
        yield path, "works with Amazon S3 only: the S3 API of this store wants keys"
    if _ROLE_ANNOTATION in credentials.cloud_identity.service_account_annotations:
        yield f'{path}.service_account_annotations["{_ROLE_ANNOTATION}"]', "is what aws_role_arn writes: use that"


def _encryption_problems(encryption: BackupEncryption) -> Iterator[Complaint]:
    method = encryption.WhichOneof("method")
    fields: tuple[tuple[str, SecretValue], ...] = ()
    if method == "libsodium":
        fields = (("key", encryption.libsodium.key),)
    elif method == "pgp":
        fields = (("key", encryption.pgp.key), ("passphrase", encryption.pgp.passphrase))
    for name, value in fields:
        if value.WhichOneof("source") == "value":
            yield (
                f".encryption.{method}.{name}.value",
                "is not taken: who reads the manifest could read every backup. Refer to it by environment_variable, "
                "file or secret",
            )


def _tuning_problems(tuning: BackupTuning) -> Iterator[Complaint]:
    slow = {
        "network_rate_limit": "WAL could not be archived as fast as it is made",
        "disk_rate_limit": "base backups would never end",
    }
    for name, why in slow.items():
        text = getattr(tuning, name)
        try:
            amount = quantity.parse(text) if text else None
        except ValueError:
            continue  # The rule on the field says so.
        if amount is not None and amount < _SLOWEST:
            yield f".tuning.{name}", f"is too slow: {why}. Write at least 1Mi"
        elif amount is not None and amount > _FASTEST:
            yield f".tuning.{name}", "is more than 1024Gi a second: leave it out for no limit"
