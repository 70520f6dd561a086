"""Where an archive is: prefixes, their variables, and the identity of an archive."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from planton.sensitive import has_user
from planton.translate.platform import BackupPlatform

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_ENDPOINT = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^/@]*@)?(\[[^\]/]*\]|[^:/]*)(?::([0-9]+))?(/.*)?", re.DOTALL
)
# https://docs.aws.amazon.com/general/latest/gr/s3.html: s3.amazonaws.com, s3.<region>, s3-<region>, s3-fips.<region>,
# s3.dualstack.<region>, <id>.s3.<region>.vpce; a bucket may stand before each of them. The partition of China has its
# own domain and its own buckets, and is taken as one with the others: better a clash too many than one missed.
_AMAZON = re.compile(r"(?:.*\.)?s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
# Regional endpoints, and the older name: https://cloud.google.com/storage/docs/regional-endpoints
_GOOGLE = re.compile(r"(?:.*\.)?(?:storage|commondatastorage)(?:\.[a-z0-9-]+\.rep)?\.googleapis\.com")
_GOOGLE_STORE = "storage.googleapis.com"
_DEFAULT_PORTS = ("80", "443")


_SLASHES = re.compile("/+")
_SCHEME_END = len("s3://")


class ArchiveIdentity(NamedTuple):
    """Names one archive: two databases with one identity destroy each other's backups.

    Attributes:
        store: The object store in its one form: host, and port where it is not the default; empty for Amazon S3 itself.
        prefix: `s3://<bucket>/<path>` with every variable filled in and no slash at the end.
    """

    store: str
    prefix: str

    def __str__(self) -> str:
        """Formats it for people."""
        return f"{self.prefix} at {self.store}" if self.store else self.prefix

    def above(self) -> list[tuple[str, str]]:
        """Gives the archives that this one would lie within.

        Returns:
            Their stores and prefixes, which equal such identities: the longest first, down to the whole bucket.
        """
        store, prefix = self
        found = []
        while (end := prefix.rfind("/")) > _SCHEME_END:
            prefix = prefix[:end]
            found.append((store, prefix))
        return found

    def is_within(self, other: ArchiveIdentity) -> bool:
        """Tells whether it lies in another archive.

        Args:
            other: The other one.

        Returns:
            True when the other one's prefix ends with a slash somewhere in this one's.
        """
        return self.store == other.store and self.prefix.startswith(f"{other.prefix}/")


def store_name(endpoint: str, bucket: str) -> str:
    """Brings the address of an object store into one form, so that two of them can be compared.

    Not seen are: two names of one host in DNS (a CNAME, `minio.minio` for `minio.minio.svc`), a port that is forwarded,
    and a bucket that a store replicates to another one.

    Args:
        endpoint: URL of the store; empty for Amazon S3 itself.
        bucket: The bucket. Before the host it means virtual-host addressing of the same store.

    Returns:
        Host, and port where it is not the default; empty for Amazon S3 itself.
    """
    # Thousands of databases share a few stores. What may have a password in it is not remembered.
    return _store_name(endpoint, bucket) if has_user(endpoint) else _known_store_name(endpoint, bucket)


def _store_name(endpoint: str, bucket: str) -> str:
    match = _ENDPOINT.fullmatch(endpoint.strip())
    if match is None:
        return endpoint
    host, port, path = match[2].lower().rstrip("."), match[3] or "", (match[4] or "").rstrip("/")
    if not host or _AMAZON.fullmatch(host):
        return ""
    if _GOOGLE.fullmatch(host):
        return _GOOGLE_STORE
    host = host.removeprefix(f"{bucket.lower()}.") or host
    if host.endswith(".svc.cluster.local"):
        host = host.removesuffix(".cluster.local")
    return host + (f":{port}" if port and port not in _DEFAULT_PORTS else "") + path


_known_store_name = lru_cache(maxsize=256)(_store_name)


def full_prefix(given: str, bucket: str) -> str | None:
    """Turns the `s3_prefix` of a database into the address of its archive.

    Args:
        given: `<bucket>/<path>`, `s3://<bucket>/<path>`, or `/<path>` in the bucket of its store.
        bucket: Bucket of its store; empty when none is known.

    Returns:
        `s3://<bucket>/<path>`, or None when it asks for the bucket of a store that is not known.
    """
    trimmed = given.removeprefix("s3://").rstrip("/")
    if given.startswith("/"):
        return f"s3://{bucket}{trimmed}" if bucket else None
    return f"s3://{trimmed}"


def platform_prefix(platform: BackupPlatform) -> str:
    """Gives the prefix that databases inherit, with its variables.

    Args:
        platform: Backup platform.

    Returns:
        `s3://<bucket>/<template>`.
    """
    return f"s3://{platform.bucket}/{platform.prefix_template.strip('/')}"


def bucket_of(prefix: str) -> str:
    """Gives the bucket of a full prefix.

    Args:
        prefix: `s3://<bucket>/<path>`.

    Returns:
        The bucket.
    """
    return prefix.removeprefix("s3://").split("/", 1)[0]


def resolve(value: str, *, scope: str, version: str, namespace: str) -> str:
    """Fills in the variables that the kubelet fills in when the pod starts.

    The kubelet expands `$(NAME)` from entries that stand earlier in the list; the operator puts SCOPE,
    POD_NAMESPACE and PGVERSION first (postgres-operator v1.15.1, pkg/cluster/k8sres.go,
    generateSpiloPodEnvVars). Unknown names stay as they are.

    Args:
        value: Value with variables.
        scope: Name of the custom resource.
        version: Major version of PostgreSQL; empty when it is not known.
        namespace: Namespace of the pod.

    Returns:
        The value as the pod sees it; a variable that is not known stays as it is.
    """
    if "$(" not in value:
        return value
    known = {"SCOPE": scope, "PGVERSION": version, "POD_NAMESPACE": namespace}
    return _VARIABLE.sub(lambda match: known.get(match[1]) or match[0], value)


def identity(prefix: str, endpoint: str, *, scope: str, version: str, namespace: str) -> ArchiveIdentity:
    """Gives the identity of a database's archive.

    Args:
        prefix: Full prefix with variables; `gs://` for Google Cloud Storage by its own API.
        endpoint: URL of the object store.
        scope: Name of the custom resource.
        version: Major version of PostgreSQL; empty when it is not known.
        namespace: Namespace of the database.

    Returns:
        The identity.
    """
    resolved = resolve(prefix, scope=scope, version=version, namespace=namespace)
    scheme, _, path = resolved.rpartition("://")
    path = (_SLASHES.sub("/", path) if "//" in path else path).strip("/")
    store = _GOOGLE_STORE if scheme == "gs" else store_name(endpoint, path.split("/", 1)[0])
    return ArchiveIdentity(store, f"s3://{path}")
