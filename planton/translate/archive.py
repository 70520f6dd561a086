"""Where an archive is: prefixes, their variables, and the identity of an archive."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planton.translate.platform import BackupPlatform

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


@dataclass(frozen=True, slots=True)
class ArchiveIdentity:
    """Names one archive: two databases with one identity destroy each other's backups.

    Attributes:
        endpoint: URL of the object store, empty for AWS itself.
        prefix: `s3://<bucket>/<path>` with every variable filled in and no slash at the end.
    """

    endpoint: str
    prefix: str


def full_prefix(given: str, platform: BackupPlatform | None) -> str | None:
    """Turns the `s3_prefix` of a database into the address of its archive.

    Args:
        given: `<bucket>/<path>`, `s3://<bucket>/<path>`, or `/<path>` in the operator's bucket.
        platform: Backup platform, for the operator's bucket.

    Returns:
        `s3://<bucket>/<path>`, or None when it asks for the operator's bucket and there is no operator.
    """
    trimmed = given.removeprefix("s3://").rstrip("/")
    if given.startswith("/"):
        return f"s3://{platform.bucket}{trimmed}" if platform else None
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
        version: Major version of PostgreSQL.
        namespace: Namespace of the pod.

    Returns:
        The value as the pod sees it.
    """
    known = {"SCOPE": scope, "PGVERSION": version, "POD_NAMESPACE": namespace}
    return _VARIABLE.sub(lambda match: known.get(match[1], match[0]), value)


def identity(prefix: str, endpoint: str, *, scope: str, version: str, namespace: str) -> ArchiveIdentity:
    """Gives the identity of a database's archive.

    Args:
        prefix: Full prefix with variables.
        endpoint: URL of the object store.
        scope: Name of the custom resource.
        version: Major version of PostgreSQL.
        namespace: Namespace of the database.

    Returns:
        The identity.
    """
    resolved = resolve(prefix, scope=scope, version=version, namespace=namespace)
    return ArchiveIdentity(endpoint.rstrip("/"), re.sub(r"(?<!:)/+", "/", resolved).rstrip("/"))
