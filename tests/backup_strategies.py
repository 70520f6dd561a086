"""Random backup settings that are valid: stores, credentials, encryption, retention, tuning."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from planton.types import (
    BackupCredentials,
    BackupEncryption,
    BackupRetention,
    BackupStorage,
    BackupTuning,
    SecretValue,
)
from tests.keys import certificate

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
buckets = st.from_regex(r"[a-z]([a-z0-9]{1,20})[a-z0-9]", fullmatch=True)
# By the name at the end, none is one that has a message of its own.
hosts = st.lists(labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
ports = st.integers(1024, 65535).map(lambda port: f":{port}") | st.just("")
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
rates = st.sampled_from(["1Mi", "100Mi", "1.5Gi", "2G", "2048Ki", "1024Gi"])
CERTIFICATE = certificate()


@st.composite
def references(draw: st.DrawFn) -> SecretValue:
    """Makes a value that is somewhere else."""
    value = SecretValue()
    form = draw(st.sampled_from(["environment_variable", "file", "secret"]))
    if form == "environment_variable":
        value.environment_variable = draw(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
    elif form == "file":
        value.file = draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
    else:
        value.secret.name = draw(labels)
        value.secret.key = draw(st.from_regex(r"[-._a-zA-Z0-9]{1,20}", fullmatch=True))
        if draw(st.booleans()):
            value.secret.namespace = draw(labels)
    return value


def secret_values(written: st.SearchStrategy[str]) -> st.SearchStrategy[SecretValue]:
    """Makes a value that is written down, or somewhere else."""
    return references() | written.map(lambda text: SecretValue(value=text))


@st.composite
def storages(draw: st.DrawFn) -> BackupStorage:
    """Makes a bucket in a store."""
    storage = BackupStorage(bucket_name=draw(buckets))
    kind = draw(st.sampled_from([field.name for field in BackupStorage.DESCRIPTOR.oneofs_by_name["store"].fields]))
    is_plain = False
    if kind == "aws_s3":
        storage.aws_s3.region = draw(st.sampled_from(["eu-central-1", "us-gov-west-1", "ap-southeast-10"]))
    elif kind == "google_cloud_storage":
        storage.google_cloud_storage.SetInParent()
    elif kind == "cloudflare_r2":
        storage.cloudflare_r2.cloudflare_account_id = draw(labels)
        if draw(st.booleans()):
            storage.cloudflare_r2.jurisdiction = draw(st.sampled_from(["eu", "fedramp"]))
    else:
        is_plain = draw(st.booleans())
        storage.s3_compatible.endpoint = f"http{'' if is_plain else 's'}://{draw(hosts)}{draw(ports)}"
        if draw(st.booleans()):
            storage.s3_compatible.region = draw(labels)
        if draw(st.booleans()):
            storage.s3_compatible.force_path_style = draw(st.booleans())
    if not is_plain and draw(st.booleans()):
        storage.certificate_authority.CopyFrom(draw(secret_values(st.just(CERTIFICATE))))
    methods = ["", "none", *(["store_key", "kms_key"] if kind in ("aws_s3", "s3_compatible") else [])]
    method = draw(st.sampled_from(methods))
    if method == "kms_key":
        storage.server_side_encryption.kms_key.key_id = f"alias/{draw(labels)}"
    elif method:
        getattr(storage.server_side_encryption, method).SetInParent()
    if draw(st.booleans()):
        storage.proxy.url = f"http://{draw(hosts)}{draw(ports)}"
        storage.proxy.no_proxy.extend(draw(st.lists(hosts, max_size=3)))
    return storage


@st.composite
def credentials(draw: st.DrawFn, store: str | None, *, annotated: bool) -> BackupCredentials:
    """Makes credentials for a store."""
    made = BackupCredentials()
    if store == "aws_s3" and draw(st.booleans()):
        made.cloud_identity.SetInParent()
        if annotated:
            given: dict[str, str] = draw(st.dictionaries(labels, st.text("abc", max_size=5), max_size=2))
            made.cloud_identity.service_account_annotations.update(given)
        return made
    made.access_key_id.CopyFrom(draw(secret_values(keys)))
    made.secret_access_key.CopyFrom(draw(secret_values(keys)))
    return made


@st.composite
def encryptions(draw: st.DrawFn) -> BackupEncryption:
    """Makes an encryption by wal-g."""
    encryption = BackupEncryption()
    method = draw(st.sampled_from(["libsodium", "pgp", "none"]))
    if method == "libsodium":
        encryption.libsodium.key.CopyFrom(draw(references()))
        encryption.libsodium.transform = draw(st.sampled_from(["hex", "base64"]))
    elif method == "pgp":
        encryption.pgp.key.CopyFrom(draw(references()))
        if draw(st.booleans()):
            encryption.pgp.passphrase.CopyFrom(draw(references()))
    else:
        encryption.none.SetInParent()
    return encryption


retentions = st.builds(BackupRetention, backups_and_days=st.none() | st.integers(2, 3650))


def tunings(*, replicas: bool) -> st.SearchStrategy[BackupTuning]:
    """Makes settings of wal-g.

    Args:
        replicas: Whether base backups can be made on replicas.
    """

    def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.none() | values

    count = st.integers(1, 256)
    return st.builds(
        BackupTuning,
        compression_method=maybe(st.sampled_from(["lz4", "zstd", "brotli", "lzma"])),
        delta_max_steps=maybe(st.integers(0, 1000)),
        delta_origin=maybe(st.sampled_from(["LATEST", "LATEST_FULL"])),
        upload_concurrency=maybe(count),
        download_concurrency=maybe(count),
        upload_disk_concurrency=maybe(count),
        network_rate_limit=maybe(rates),
        disk_rate_limit=maybe(rates),
        backup_from_replica=maybe(st.booleans() if replicas else st.just(False)),
        prevent_wal_overwrite=maybe(st.booleans()),
    )


@st.composite
def policies(draw: st.DrawFn, config: Any, *, replicas: bool) -> None:
    """Fills encryption, retention and tuning of either kind's backup_config."""
    if draw(st.booleans()):
        config.encryption.CopyFrom(draw(encryptions()))
    if draw(st.booleans()):
        config.retention.CopyFrom(draw(retentions))
    if draw(st.booleans()):
        config.tuning.CopyFrom(draw(tunings(replicas=replicas)))
