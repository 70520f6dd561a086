"""The backup environment of one database's pods: each variable, where it comes from, what it resolves to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planton.translate.archive import resolve
from planton.translate.backup import environment_of
from planton.translate.database import backup_of, postgres_version
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes

SPILO_DEFAULTS: Mapping[str, str] = MappingProxyType({"BACKUP_SCHEDULE": "0 1 * * *", "BACKUP_NUM_TO_RETAIN": "5"})
"""What Spilo does where nothing is said, in a database with an archive: 4.0-p3,
postgres-appliance/scripts/configure_spilo.py (get_placeholders)."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a database's pods.

    Attributes:
        name: Its name.
        value: As the operator writes it into the pod; None for a reference to a Secret.
        resolved: With $(SCOPE), $(PGVERSION) and $(POD_NAMESPACE) filled in; None for a reference to a Secret.
        source: `database` (its custom resource), `operator` (backup ConfigMap or storage Secret), or `default`.
        secret: `name/key` of a reference to a Secret, else empty.
    """

    name: str
    value: str | None
    resolved: str | None
    source: str
    secret: str = ""


def environment(
    message: PostgresKubernetes, platform: BackupPlatform | None = None, existing: Existing | None = None
) -> list[Variable]:
    """Computes the backup environment of a database's pods, as the operator will make it.

    The custom resource wins over the storage Secret, and that over the backup ConfigMap (postgres-operator
    v1.15.1, pkg/cluster/k8sres.go, generateSpiloPodEnvVars).

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.

    Returns:
        The variables, sorted by name.
    """
    existing = existing or Existing()
    backup = backup_of(message, platform, existing)
    variables: dict[str, Variable] = {}

    def add(name: str, value: str, source: str) -> None:
        resolved = resolve(
            value,
            scope=cluster_name(message.metadata.name),
            version=postgres_version(message, existing),
            namespace=namespace_of(message),
        )
        variables.setdefault(name, Variable(name, value, resolved, source))

    for name, value in backup.environment.items():
        add(name, value, "database")
    if platform is not None:
        keys = platform.credentials.keys() if platform.credentials else ()
        for name in keys:
            secret = f"{platform.secret_name}/{name}"
            variables.setdefault(name, Variable(name, None, None, "operator", secret))
        for name, value in environment_of(platform).items():
            add(name, value, "operator")
    if backup.prefix:
        for name, value in SPILO_DEFAULTS.items():
            add(name, value, "default")
    return sorted(variables.values(), key=lambda variable: variable.name)
