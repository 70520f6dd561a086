"""The variables of one database's pods for its own archive: each with its origin, and what it resolves to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from planton.translate.archive import resolve
from planton.translate.backup import access_keys, environment_of
from planton.translate.database_facts import backup_of, postgres_version
from planton.translate.existing import Existing
from planton.translate.generation import DATABASE_GENERATION, told_generation
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.policy import DEFAULT_RETENTION, encryption_of
from planton.translate.secret_values import reference_of
from planton.types import PostgresKubernetes

SPILO_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "BACKUP_NUM_TO_RETAIN": str(DEFAULT_RETENTION),
        "BACKUP_SCHEDULE": "0 1 * * *",
        "WALG_BACKUP_COMPRESSION_METHOD": "lz4",
        "WALG_BACKUP_FROM_REPLICA": "false",
        "WALG_COMPRESSION_METHOD": "lz4",
        "WALG_DELTA_MAX_STEPS": "0",
        "WALG_DELTA_ORIGIN": "LATEST",
        "WALG_DISK_RATE_LIMIT": "unlimited",
        "WALG_DOWNLOAD_CONCURRENCY": "CPUs of the node, at most 10",
        "WALG_NETWORK_RATE_LIMIT": "unlimited",
        "WALG_PREVENT_WAL_OVERWRITE": "false",
        "WALG_UPLOAD_CONCURRENCY": "CPUs of the node, at most 10",
        "WALG_UPLOAD_DISK_CONCURRENCY": "1",
    }
)
"""What Spilo and wal-g do where nothing is said, in a database with an archive: Spilo 4.0-p3 and 4.1,
postgres-appliance/scripts/configure_spilo.py and postgres_backup.sh; wal-g v3.0.5 and v3.0.8,
internal/config/config.go."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a database's pods.

    Attributes:
        name: Its name.
        value: As the operator writes it into the pod; None for a reference to a Secret.
        resolved: With $(SCOPE), $(PGVERSION) and $(POD_NAMESPACE) filled in; None for a reference to a Secret.
        source: `database` (its custom resource), `operator` (backup ConfigMap or storage Secret), or `default`.
        secret: `name/key` of a reference to a Secret, else empty.
        origin: Where planton takes the content of that Secret from, where it is a reference itself, such as
            `environment variable R2_KEY` or `key id of Secret storage/bucket`; else empty.
        overrules: What the operator says of it where the database says something else: a value, or `secret name/key`;
            None where the operator says nothing.
    """

    name: str
    value: str | None
    resolved: str | None
    source: str
    secret: str = ""
    origin: str = ""
    overrules: str | None = None

    @property
    def is_switched_off(self) -> bool:
        """Whether the database takes away what the operator says: an empty value never reaches wal-g."""
        return self.source == "database" and self.value == "" and bool(self.overrules)


def backup_variables(
    message: PostgresKubernetes,
    platform: BackupPlatform | None = None,
    existing: Existing | None = None,
    further: Iterable[Variable] = (),
    dropped: Collection[str] = (),
) -> list[Variable]:
    """Computes the backup environment of a database's pods, as the operator will make it.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.
        further: Variables of its custom resource besides those of backup_config; they win.
        dropped: Names of variables of backup_config that its custom resource does not have.

    Returns:
        The variables, sorted by name; never the value of a Secret.
    """
    existing = existing or Existing()
    namespace, scope = namespace_of(message), cluster_name(message.metadata.name)
    version = postgres_version(message, existing)
    backup = backup_of(message, platform, existing)

    def written(name: str, value: str, source: str) -> Variable:
        resolved = resolve(value, scope=scope, version=version, namespace=namespace)
        return Variable(name, value, resolved, source)

    live = existing.database(namespace, scope)
    told = told_generation(live.environment.get(DATABASE_GENERATION)) if live else 0
    own = [written(name, value, "database") for name, value in backup.environment.items()]
    own = [one for one in own if one.name != DATABASE_GENERATION]
    if told and backup.credentials:
        own.append(written(DATABASE_GENERATION, str(told), "database"))
    origins = _origins(message)
    secret = backup.secret_name
    own += [
        Variable(name, None, None, "database", f"{secret}/{name}", origins.get(name, "")) for name in backup.references
    ]
    given = list(further)
    without = {*dropped, *(one.name for one in given)}
    own = [*(one for one in own if one.name not in without), *given]
    # Whether the next apply raises the generation only a plan knows, which compares keys. Here stands what pods have.
    return effective(own, replace(platform, generation=existing.generation) if platform else None, written)


def effective(
    own: Iterable[Variable], platform: BackupPlatform | None, written: Callable[[str, str, str], Variable]
) -> list[Variable]:
    """Lays what a custom resource says over what its operator says.

    The custom resource wins over the storage Secret, and that over the backup ConfigMap, name by name
    (postgres-operator v1.15.1, pkg/cluster/k8sres.go, generateSpiloPodEnvVars).

    Args:
        own: Variables of the custom resource.
        platform: Backup platform, or None without operator-level backups.
        written: Makes a variable out of its name, its value and its source.

    Returns:
        The variables, sorted by name.
    """
    variables: dict[str, Variable] = {}
    if platform is not None:
        for name, value in environment_of(platform).items():
            variables[name] = written(name, value, "operator")
        for name in platform.secret_keys if platform.secret_name else ():
            secret = f"{platform.secret_name}/{name}"
            variables[name] = Variable(name, None, None, "operator", secret, _platform_origin(platform, name))
    for one in own:
        inherited = variables.get(one.name)
        if inherited is None:
            variables[one.name] = one
        else:
            said = f"secret {inherited.secret}" if inherited.secret else inherited.value
            variables[one.name] = replace(one, overrules=said)
    archive = variables.get("WALG_S3_PREFIX")
    if archive is not None and archive.value:
        for name, value in SPILO_DEFAULTS.items():
            variables.setdefault(name, written(name, value, "default"))
    return [variables[name] for name in sorted(variables)]


def _origins(message: PostgresKubernetes) -> dict[str, str]:
    """Says where a database's manifest refers to for each key of its own Secret."""
    config = message.spec.backup_config
    given = {**access_keys(config.credentials), **encryption_of(config.encryption).keys}
    references = {key: reference_of(value, namespace_of(message)) for key, value in given.items()}
    return {key: str(one) for key, one in references.items() if one is not None}


def _platform_origin(platform: BackupPlatform, key: str) -> str:
    if platform.credentials is not None and key in platform.credentials.unresolved:
        return str(platform.credentials.unresolved[key])
    place, _, name = platform.sources.get(key, "").rpartition("/")
    return f"key {name} of Secret {place}" if place else ""
