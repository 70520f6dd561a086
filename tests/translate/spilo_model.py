"""What wal-g sees in the end: a small model of the operator, of Spilo's configure_spilo.py, and of wal-g's S3 storage.

Written anew from what these programs do, as far as our variables go: Zalando operator v1.15.1 and v2.0.1
(pkg/cluster/k8sres.go, generateSpiloPodEnvVars), Spilo 4.0-p3 and master as of 4.1-p2
(postgres-appliance/scripts/configure_spilo.py, write_wale_environment and write_walg_environment), wal-g v3.0.5 and
v3.0.8 (pkg/storages/s3, internal/configure.go). It judges what planton emits without knowing how it was made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SPILO = {"1.15.1": "4.0", "2.0.1": "4.1"}
"""Version of the operator -> its Spilo."""

_FIXED = {"SCOPE", "PGVERSION", "POD_NAMESPACE"}

# Names for which Spilo writes a file that envdir gives to wal-g. The last ones exist under the second name in 4.1 only.
_PASSED = (
    "WALG_S3_PREFIX AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT AWS_REGION WALG_S3_SSE WALG_S3_SSE_KMS_ID "
    "WALG_DISABLE_S3_SSE AWS_S3_FORCE_PATH_STYLE AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE WALG_DELTA_MAX_STEPS "
    "WALG_DELTA_ORIGIN WALG_DOWNLOAD_CONCURRENCY WALG_UPLOAD_CONCURRENCY WALG_UPLOAD_DISK_CONCURRENCY "
    "WALG_DISK_RATE_LIMIT WALG_NETWORK_RATE_LIMIT WALG_COMPRESSION_METHOD WALG_BACKUP_COMPRESSION_METHOD "
    "WALG_BACKUP_FROM_REPLICA WALG_PREVENT_WAL_OVERWRITE WALG_S3_CA_CERT_FILE WALG_LIBSODIUM_KEY "
    "WALG_LIBSODIUM_KEY_TRANSFORM WALG_PGP_KEY WALG_PGP_KEY_PASSPHRASE http_proxy https_proxy no_proxy "
    "BACKUP_NUM_TO_RETAIN"
).split()


@dataclass(frozen=True)
class Archive:
    """How wal-g archives.

    Attributes:
        prefix: Where.
        endpoint: URL of the store; empty for Amazon's own.
        region: Region in signatures.
        path_style: Whether the bucket stands in the path.
        encryption: What the header of server-side encryption says; empty for no header.
        kms_key: Key for it.
        authority: File with the one authority that is trusted; empty for the system's.
        keys: Access key and secret key; None when the cloud is asked for an identity.
        proxy: Proxy on the way to the store.
        cipher: `libsodium`, `pgp` or empty.
        wal_compression: Method for WAL.
        base_compression: Method for base backups.
        retained: How many base backups and days are kept.
        variables: Everything that reaches wal-g.
    """

    prefix: str
    endpoint: str
    region: str
    path_style: bool
    encryption: str
    kms_key: str
    authority: str
    keys: tuple[str, str] | None
    proxy: str
    cipher: str
    wal_compression: str
    base_compression: str
    retained: int
    variables: Mapping[str, str]


def pod_environment(objects: Iterable[Mapping[str, Any]], name: str, namespace: str) -> dict[str, str]:
    """Gives what the containers of a database see: the custom resource wins, then the Secret, then the ConfigMap."""
    items = list(objects)
    cluster = _one(items, "postgresql", name, namespace)
    settings = _one(items, "ConfigMap", "postgres-operator")["data"]
    environment: dict[str, str] = {}

    def add(variable: str, value: str) -> None:
        if variable.lower() not in {known.lower() for known in environment}:
            environment[variable] = value

    def secret(of: str) -> dict[str, str]:
        data = _one(items, "Secret", of, namespace)["data"]
        return {key: base64.b64decode(value, validate=True).decode() for key, value in data.items()}

    for entry in cluster["spec"].get("env", []):
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        add(entry["name"], secret(source["name"])[source["key"]] if source else entry["value"])
    if settings["pod_environment_secret"]:
        for key, value in sorted(secret(settings["pod_environment_secret"]).items()):
            add(key, value)
    if settings["pod_environment_configmap"]:
        where, _, what = settings["pod_environment_configmap"].partition("/")
        for key, value in sorted(_one(items, "ConfigMap", what, where)["data"].items()):
            add(key, value)
    return environment


def mounted_files(objects: Iterable[Mapping[str, Any]], name: str, namespace: str) -> dict[str, str]:
    """Gives the files that are mounted into a database's pods: path -> contents."""
    items = list(objects)
    settings = _one(items, "ConfigMap", "postgres-operator")["data"]
    mounts: list[tuple[str, str]] = []
    if secret := settings.get("additional_secret_mount"):
        mounts.append((settings["additional_secret_mount_path"], secret))
    for volume in _one(items, "postgresql", name, namespace)["spec"].get("additionalVolumes", []):
        mounts.append((volume["mountPath"], volume["volumeSource"]["secret"]["secretName"]))
    paths = [path for path, _ in mounts]
    volumes = [secret for _, secret in mounts]
    # The API server refuses a pod with two volumes of one name, or two mounts at one path.
    assert len(set(paths)) == len(paths)
    assert len(set(volumes)) == len(volumes)
    files = {}
    for path, secret in mounts:
        for key, value in _one(items, "Secret", secret, namespace)["data"].items():
            files[f"{path}/{key}"] = base64.b64decode(value, validate=True).decode()
    return files


def archive(environment: Mapping[str, str], spilo: str) -> Archive | None:
    """Gives how wal-g archives under a version of Spilo; None without an archive."""
    given = {name: value for name, value in environment.items() if name not in _FIXED}
    if spilo != "4.0":
        # Old names are read as new ones, unless the new one is there, empty or not.
        for name in [name for name in given if "WALE" in name]:
            given.setdefault(name.replace("WALE", "WALG"), given[name])
    prefix = given.get("WALG_S3_PREFIX", "")
    assert not any(given.get(name) for name in ("WAL_S3_BUCKET", "WALE_S3_PREFIX", "WAL_GS_BUCKET", "WALG_GS_PREFIX"))
    if not prefix:
        return None
    switched_on = given.get("USE_WALG_BACKUP", "").lower() == "true"
    # Else 4.0 archives by wal-e to an address that is none, and WAL fills the volume.
    assert switched_on or spilo != "4.0"
    seen = {name: given[name] for name in _PASSED if given.get(name)}
    _address(given, seen, spilo)
    if seen.get("WALG_DISABLE_S3_SSE") != "true" and not seen.get("WALG_S3_SSE"):
        seen["WALG_S3_SSE"] = "AES256"
    if spilo != "4.0":
        # Exported before a base backup whether it is set or not.
        base = seen.get("WALG_BACKUP_COMPRESSION_METHOD") or "lz4"
    else:
        base = seen.get("WALG_BACKUP_COMPRESSION_METHOD") or seen.get("WALG_COMPRESSION_METHOD") or "lz4"
    return _as_walg_reads(prefix, seen, base, given)


def _address(given: Mapping[str, str], seen: dict[str, str], spilo: str) -> None:
    """Does what Spilo does to endpoint, style and region."""
    endpoint = given.get("AWS_ENDPOINT", "")
    special = given.get("WALE_S3_ENDPOINT" if spilo == "4.0" else "WALG_S3_ENDPOINT", "")
    if endpoint or special:
        convention = "path"
        if special:
            protocol, _, rest = special.partition("+")
            convention, _, host = rest.partition("://")
            assert convention, "not of the form protocol+convention://host"
            endpoint = endpoint or f"{protocol}://{host}"
        seen["AWS_ENDPOINT"] = endpoint
        # Whatever was said of the style is lost.
        seen["AWS_S3_FORCE_PATH_STYLE"] = "true" if convention == "path" else "false"
        if spilo == "4.0":
            seen.setdefault("WALG_DISABLE_S3_SSE", "true")
    elif "AWS_REGION" not in seen:
        # Neither finds it out by themselves: what comes of it is no region.
        seen["AWS_REGION"] = "loca"


def _as_walg_reads(prefix: str, seen: Mapping[str, str], base: str, given: Mapping[str, str]) -> Archive:
    encryption, kms_key = seen.get("WALG_S3_SSE", ""), seen.get("WALG_S3_SSE_KMS_ID", "")
    # Otherwise every call fails, restoring included.
    assert (encryption == "aws:kms") == bool(kms_key)
    endpoint = seen.get("AWS_ENDPOINT", "")
    key, secret = seen.get("AWS_ACCESS_KEY_ID", ""), seen.get("AWS_SECRET_ACCESS_KEY", "")
    for name, value in seen.items():
        # envdir passes the first line on, without blanks at its end.
        assert "\n" not in value, name
        assert value == value.rstrip(), name
    cipher = "pgp" if seen.get("WALG_PGP_KEY") else "libsodium" if seen.get("WALG_LIBSODIUM_KEY") else ""
    retained = given.get("BACKUP_NUM_TO_RETAIN", "5")
    return Archive(
        prefix=prefix,
        endpoint=endpoint,
        region=seen.get("AWS_REGION", "us-east-1"),
        path_style=seen.get("AWS_S3_FORCE_PATH_STYLE") == "true",
        encryption=encryption,
        kms_key=kms_key,
        authority=seen.get("WALG_S3_CA_CERT_FILE", ""),
        keys=(key, secret) if key and secret else None,
        proxy=seen.get("http_proxy" if endpoint.startswith("http://") else "https_proxy", ""),
        cipher=cipher,
        wal_compression=seen.get("WALG_COMPRESSION_METHOD", "lz4"),
        base_compression=base,
        retained=max(2, int(retained or 2)),
        variables=seen,
    )


def _one(items: Iterable[Mapping[str, Any]], kind: str, name: str, namespace: str | None = None) -> Mapping[str, Any]:
    (found,) = [
        item
        for item in items
        if item["kind"] == kind
        and item["metadata"]["name"] == name
        and namespace in (None, item["metadata"].get("namespace"))
    ]
    return found
