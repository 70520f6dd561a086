"""Where Spilo archives by an environment: by wal-g's names, and by the older ones that databases of others use.

Which name wins: Spilo 4.0-p3, postgres-appliance/scripts/configure_spilo.py (get_placeholders, write_wale_environment,
set_extended_wale_placeholders); 4.1 reads every name with WALE as the one with WALG.

What cannot be known here, so that no clash is seen:
- The operator of a chart with `wal_s3_bucket` (or `wal_gs_bucket`, `wal_az_storage_account`) adds WAL_S3_BUCKET and a
  WAL_BUCKET_SCOPE_SUFFIX with the uid of the custom resource to every database (postgres-operator v1.15.1,
  pkg/cluster/k8sres.go, generateSpiloPodEnvVars). planton's operator refuses these settings. An archive with a uid in
  its address meets no other one by chance.
- A value that a custom resource takes from a Secret or a ConfigMap (`valueFrom`).
- Azure, Swift and SSH: none of planton's archives is there.
- What a wal-g configuration file in a volume says (~/.walg.json).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from planton.translate.archive import ArchiveIdentity, identity

_CONVENTION = re.compile(r"(\w+)\+\w+(://.+)")
Environment: TypeAlias = Mapping[str, str]


def archive_address(environment: Environment, namespace: str) -> tuple[str, str]:
    """Finds where a database archives.

    Args:
        environment: What its pods get, as far as it is known.
        namespace: Its namespace.

    Returns:
        Full prefix with its variables, and the endpoint; an empty prefix without an archive.
    """
    # Spilo puts the namespace before the scope on Kubernetes, and leaves it out for "default".
    scope_prefix = "" if namespace in ("default", "") else f"{namespace}-"
    # wal-g reads its own name. Spilo 4.0 runs wal-e without the switch, which reads the other one.
    by_wal_g = environment.get("USE_WALG_BACKUP", "").lower() == "true"
    return _address(environment, "", scope_prefix, "$(SCOPE)", "$(PGVERSION)", by_wal_g), _endpoint(environment, "")


def is_broken(environment: Environment) -> bool:
    """Tells whether archiving fails for ever, since wal-e is started for an address that only wal-g reads.

    Spilo 4.0 does that for a WALG_S3_PREFIX without USE_WALG_BACKUP "true", and nothing else that wal-e could read.

    Args:
        environment: What the pods of a database get.

    Returns:
        True for that; Spilo 4.1 archives then.
    """
    if environment.get("USE_WALG_BACKUP", "").lower() == "true" or not environment.get("WALG_S3_PREFIX"):
        return False
    return not any(environment.get(name) for name in ("WALE_S3_PREFIX", "WAL_S3_BUCKET"))


def clone_address(environment: Environment) -> tuple[str, str]:
    """Finds the archive that a database was cloned from.

    Args:
        environment: What its pods get, with what the operator adds for `spec.clone`.

    Returns:
        Full prefix and endpoint; an empty prefix for one that is no clone of an archive.
    """
    if environment.get("CLONE_METHOD") != "CLONE_WITH_WALE":
        return "", ""
    scope, version = environment.get("CLONE_SCOPE", ""), environment.get("CLONE_PGVERSION", "")
    return _address(environment, "CLONE_", "", scope, version, True), _endpoint(environment, "CLONE_")


def clone_environment(clone: Mapping[str, object]) -> dict[str, str]:
    """Gives what the operator adds to the environment for `spec.clone`, credentials apart.

    It is appended without a look at what is there already, and of two entries with one name the kubelet takes the last
    (postgres-operator v1.15.1, pkg/cluster/k8sres.go, generateCloneEnvironment). Without a path of its own the archive
    is that of the operator's wal_s3_bucket, which is not known here.

    Args:
        clone: `spec.clone` of a custom resource.

    Returns:
        Name -> value; empty for a copy of the live source, which has nothing to do with archives.
    """
    given = {name: str(clone.get(name) or "") for name in ("cluster", "timestamp", "s3_wal_path", "s3_endpoint")}
    if not given["cluster"] or not given["timestamp"]:
        return {}
    environment = {
        "CLONE_METHOD": "CLONE_WITH_WALE",
        "CLONE_SCOPE": given["cluster"],
        "CLONE_WAL_BUCKET_SCOPE_PREFIX": "",
        "CLONE_WALE_S3_PREFIX": given["s3_wal_path"],
        "CLONE_AWS_ENDPOINT": given["s3_endpoint"],
    }
    return {name: value for name, value in environment.items() if value or name.endswith("_SCOPE_PREFIX")}


def archive_of(
    environment: Environment, *, name: str, namespace: str, version: str, clone: bool = False
) -> ArchiveIdentity | None:
    """Gives the identity of the archive of a custom resource.

    Args:
        environment: What its pods get, as far as it is known.
        name: Its name.
        namespace: Its namespace.
        version: Major version of PostgreSQL; empty when it is not known.
        clone: Whether the archive is meant that it was cloned from.

    Returns:
        The identity, or None without an archive.
    """
    prefix, endpoint = clone_address(environment) if clone else archive_address(environment, namespace)
    if not prefix:
        return None
    return identity(prefix, endpoint, scope=name, version=version, namespace=namespace)


def _address(environment: Environment, kind: str, scope_prefix: str, scope: str, version: str, by_wal_g: bool) -> str:
    def value(name: str) -> str:
        return environment.get(f"{kind}{name}", "")

    def in_bucket(scheme: str, bucket: str) -> str:
        before = environment.get(f"{kind}WAL_BUCKET_SCOPE_PREFIX", scope_prefix)
        return f"{scheme}://{bucket}/spilo/{before}{scope}{value('WAL_BUCKET_SCOPE_SUFFIX')}/wal/{version}"

    bucket = value("WAL_S3_BUCKET")
    older = value("WALE_S3_PREFIX") or (in_bucket("s3", bucket) if bucket else "")
    found = (value("WALG_S3_PREFIX") or older) if by_wal_g else (older or value("WALG_S3_PREFIX"))
    if found:
        return found
    google = value("WAL_GS_BUCKET") or value("WAL_GCS_BUCKET")
    return value("WALG_GS_PREFIX") or value("WALE_GS_PREFIX") or (in_bucket("gs", google) if google else "")


def _endpoint(environment: Environment, kind: str) -> str:
    given = environment.get(f"{kind}AWS_ENDPOINT", "")
    if given:
        return given
    older = environment.get(f"{kind}WALG_S3_ENDPOINT", "") or environment.get(f"{kind}WALE_S3_ENDPOINT", "")
    match = _CONVENTION.fullmatch(older)
    return match[1] + match[2] if match else older
