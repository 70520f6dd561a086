"""An object store: what a manifest says of it, and the variables by which wal-g reaches it.

Which variables reach wal-g, and how Spilo changes them on the way: Spilo 4.0-p3 and 4.1,
postgres-appliance/scripts/configure_spilo.py (write_wale_environment, write_walg_environment); what wal-g makes of
them: wal-g v3.0.5 and v3.0.8, pkg/storages/s3 (configure.go, session.go, uploader.go). A new store is a message in
proto/project_planton/shared/backup/v1/storage.proto and a function in _STORES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from planton.types import BackupStorage, SecretValue

AWS_S3 = "aws_s3"
CLOUDFLARE_R2 = "cloudflare_r2"

_TITLES: Mapping[str, str] = MappingProxyType(
    {
        AWS_S3: "Amazon S3",
        "google_cloud_storage": "Google Cloud Storage",
        CLOUDFLARE_R2: "Cloudflare R2",
        "s3_compatible": "an S3-compatible store",
    }
)

NEVER_BY_PROXY = ("169.254.169.254", "localhost", "127.0.0.1", ".svc", ".cluster.local")
"""What no proxy is for: the metadata service of a cloud, and what is in the cluster itself."""


@dataclass(frozen=True, slots=True)
class Store:
    """One bucket in one object store.

    Attributes:
        kind: Which store, as its field in `storage` is called.
        bucket: Name of the bucket.
        endpoint: URL of the store; empty for Amazon S3 itself.
        region: Region that goes into signatures.
        force_path_style: Whether the bucket stands in the path of a request.
        server_side_encryption: `AES256`, `aws:kms`, or empty when none is asked for.
        kms_key_id: Key for `aws:kms`.
        proxy: URL of a proxy; empty for none.
        no_proxy: Hosts that are reached without it.
        certificate_authority: Certificate of a private authority; None when the system's are trusted.
    """

    kind: str
    bucket: str
    endpoint: str
    region: str
    force_path_style: bool
    server_side_encryption: str = ""
    kms_key_id: str = ""
    proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    certificate_authority: SecretValue | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Its name for people."""
        return _TITLES[self.kind]


def r2_endpoint(account: str, jurisdiction: str = "") -> str:
    """Gives the endpoint of a Cloudflare account.

    https://developers.cloudflare.com/r2/reference/data-location/

    Args:
        account: Id of the account.
        jurisdiction: `eu`, `fedramp` or empty.

    Returns:
        Its URL.
    """
    middle = f".{jurisdiction}" if jurisdiction else ""
    return f"https://{account}{middle}.r2.cloudflarestorage.com"


def _aws_s3(storage: BackupStorage) -> Store:
    # Encryption is on by default: Spilo asks for AES256 where there is no endpoint and nothing is said.
    return Store(AWS_S3, storage.bucket_name, "", storage.aws_s3.region, False, "AES256")


def _google_cloud_storage(storage: BackupStorage) -> Store:
    return Store("google_cloud_storage", storage.bucket_name, "https://storage.googleapis.com", "auto", True)


def _cloudflare_r2(storage: BackupStorage) -> Store:
    r2 = storage.cloudflare_r2
    return Store(
        CLOUDFLARE_R2, storage.bucket_name, r2_endpoint(r2.cloudflare_account_id, r2.jurisdiction), "auto", True
    )


def _s3_compatible(storage: BackupStorage) -> Store:
    given = storage.s3_compatible
    return Store("s3_compatible", storage.bucket_name, given.endpoint, given.region, given.force_path_style)


_STORES: Mapping[str, Callable[[BackupStorage], Store]] = MappingProxyType(
    {
        AWS_S3: _aws_s3,
        "google_cloud_storage": _google_cloud_storage,
        CLOUDFLARE_R2: _cloudflare_r2,
        "s3_compatible": _s3_compatible,
    }
)


def store_of(storage: BackupStorage) -> Store:
    """Reads the storage of a manifest.

    Args:
        storage: The storage, with its defaults filled and one store given.

    Returns:
        The store.
    """
    store = _STORES[storage.WhichOneof("store") or "s3_compatible"](storage)
    if storage.HasField("server_side_encryption"):
        asked = storage.server_side_encryption
        methods = {"store_key": "AES256", "kms_key": "aws:kms"}
        store = replace(
            store,
            server_side_encryption=methods.get(asked.WhichOneof("method") or "", ""),
            kms_key_id=asked.kms_key.key_id,
        )
    if storage.HasField("proxy"):
        store = replace(store, proxy=storage.proxy.url, no_proxy=tuple(storage.proxy.no_proxy))
    if storage.HasField("certificate_authority"):
        store = replace(store, certificate_authority=storage.certificate_authority)
    return store


CERTIFICATE_VARIABLE = "WALG_S3_CA_CERT_FILE"
"""Path of the certificate of the store's authority. When the file is missing, every call of wal-g fails."""


def further_environment(store: Store) -> dict[str, str]:
    """Gives the variables of a store beyond address, region and style, and beyond the certificate.

    Args:
        store: The store.

    Returns:
        Name -> value, without what is not needed.
    """
    whole = whole_environment(store, "")
    base = ("AWS_ENDPOINT", "AWS_REGION", "AWS_S3_FORCE_PATH_STYLE", "WALG_DISABLE_S3_SSE")
    return {name: value for name, value in whole.items() if value and name not in base}


def whole_environment(store: Store, certificate_file: str) -> dict[str, str]:
    """Gives every variable that decides about a store, empty where it is not needed.

    For a database with a store of its own: whatever its operator says of its store must not shine through. An empty
    value never reaches wal-g: Spilo writes no file for it.

    Args:
        store: The store.
        certificate_file: Path in the pod at which the certificate of its authority is mounted.

    Returns:
        Name -> value, sorted by name.
    """
    scheme, _, host = store.endpoint.partition("://")
    virtual_host = bool(store.endpoint) and not store.force_path_style
    plain = scheme == "http"
    no_proxy = ",".join(dict.fromkeys((*NEVER_BY_PROXY, *store.no_proxy))) if store.proxy else ""
    environment = {
        "AWS_ENDPOINT": store.endpoint,
        "AWS_REGION": store.region,
        # Spilo overwrites it with an endpoint; without one it is passed on as it is.
        "AWS_S3_FORCE_PATH_STYLE": "true" if store.force_path_style else "false",
        # The one way to virtual-host style with an endpoint. Spilo 4.1 reads it as WALG_S3_ENDPOINT, and 4.0 knows no
        # other name.
        "WALE_S3_ENDPOINT": f"{scheme}+virtualhost://{host}" if virtual_host else "",
        # With an endpoint and nothing said, Spilo 4.1 asks for AES256, which R2, and MinIO without KMS, refuse.
        "WALG_DISABLE_S3_SSE": "false" if store.server_side_encryption else "true",
        "WALG_S3_SSE": store.server_side_encryption,
        "WALG_S3_SSE_KMS_ID": store.kms_key_id,
        CERTIFICATE_VARIABLE: certificate_file if store.certificate_authority is not None else "",
        # Lower case: upper case would not reach wal-g but in the base backup at the start of a container.
        "http_proxy": store.proxy if plain else "",
        "https_proxy": "" if plain else store.proxy,
        "no_proxy": no_proxy,
    }
    return dict(sorted(environment.items()))


STORE_VARIABLES = frozenset(whole_environment(Store("s3_compatible", "", "", "", True), ""))
"""Names of all variables that decide about a store. None of them is a credential."""
