"""Facts that only a cluster knows, as one frozen value that translation takes as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planton.translate.secret_values import Credentials, SecretValues

if TYPE_CHECKING:
    from planton.translate.archive_access import FoundSource


@dataclass(frozen=True, slots=True)
class ExistingDatabase:
    """A live `postgresql` custom resource, ours or not.

    Attributes:
        namespace: Its namespace.
        name: Its name, such as `db-orders`.
        version: `spec.postgresql.version`; empty when not set.
        environment: The literal values of `spec.env`, by name.
        team: `spec.teamId`.
        references: Names in `spec.env` whose values come from a Secret or another place.
        instances: `spec.numberOfInstances`; None when not set.
        clone: What the operator adds to the environment for `spec.clone`, over that of `spec.env`.
        begun: Entries of `spec.env` with the names CLONE_… and STANDBY_…, as they are.
        begun_volumes: Entries of `spec.additionalVolumes` with files for the source of a clone or standby, as they are.
        restored_from: The annotation RESTORED_FROM_ANNOTATION; empty when there is none.
        standby: `spec.standby` as it is; None for a primary.
    """

    namespace: str
    name: str
    version: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    team: str = ""
    references: frozenset[str] = frozenset()
    instances: int | None = None
    clone: Mapping[str, str] = field(default_factory=dict)
    begun: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    begun_volumes: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    restored_from: str = ""
    standby: Mapping[str, Any] | None = None

    @property
    def has_begun_empty(self) -> bool:
        """Whether it has nothing of a clone or a standby, as most have."""
        return not (self.begun or self.begun_volumes or self.restored_from) and self.standby is None


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """A live Secret that planton made.

    Attributes:
        values: What it holds.
        generation: How often its values have changed, by its annotation; 0 for never.
    """

    values: Credentials
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Existing:
    """What is there already.

    Attributes:
        from_cluster: True when the facts were read from a cluster; False when nothing is known.
        databases: Every live `postgresql` custom resource in every namespace, sorted by namespace and name.
        kubernetes_use_configmaps: The live operator's setting, "true" or "false"; None without an operator.
        operator_version: Version of the live operator, from its image; None without one.
        terminating_namespaces: Namespaces that are being deleted: nothing can be created there.
        hostnames: External host name -> `namespace/name` of the Service that publishes it.
        values: What the references of the manifests lead to.
        secrets: (namespace, name) -> live Secret with credentials, None where there is none; only those that were
            looked up.
        generation: Generation of the credentials that the backup ConfigMap tells; 0 for none.
        annotated_accounts: Namespaces whose service account of the pods has annotations of planton's.
        inherited: What the live operator gives to the environment of every database, credentials apart; None where no
            operator is known.
        running_version: Version of the live operator, also where the set has another one; None without one.
        encryption: How wal-g encrypts by the live operator: `libsodium`, `pgp` or empty; None when that is not known.
        sources: Namespace (empty where none is said) and name, as clones and standbys of the set ask for a database ->
            its archive, or why there is none; only those that were looked up.
    """

    from_cluster: bool = False
    databases: tuple[ExistingDatabase, ...] = ()
    kubernetes_use_configmaps: str | None = None
    operator_version: str | None = None
    terminating_namespaces: frozenset[str] = frozenset()
    hostnames: Mapping[str, str] = field(default_factory=dict)
    values: SecretValues = field(default_factory=SecretValues)
    secrets: Mapping[tuple[str, str], ExistingSecret | None] = field(default_factory=dict)
    generation: int = 0
    annotated_accounts: frozenset[str] = frozenset()
    encryption: str | None = None
    inherited: Mapping[str, str] | None = None
    running_version: str | None = None
    sources: Mapping[tuple[str, str], FoundSource] = field(default_factory=dict)
    _index: Mapping[tuple[str, str], ExistingDatabase] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Builds the index by namespace and name."""
        index = {(one.namespace, one.name): one for one in self.databases}
        object.__setattr__(self, "_index", index)

    def database(self, namespace: str, name: str) -> ExistingDatabase | None:
        """Finds a live database.

        Args:
            namespace: Its namespace.
            name: Name of the custom resource.

        Returns:
            The database, or None.
        """
        return self._index.get((namespace, name))


def secret_reference(entry: object) -> Mapping[str, Any]:
    """Finds what an entry of a live environment refers to.

    Args:
        entry: An entry of `spec.env` of a custom resource. The operator's CRD looks at none of it (postgres-operator
            v1.15.1, crds.go: x-kubernetes-preserve-unknown-fields), so whoever made it may have written anything.

    Returns:
        Its `secretKeyRef`; empty where there is none, and where what stands there is none.
    """
    source = entry.get("valueFrom") if isinstance(entry, Mapping) else None
    reference = source.get("secretKeyRef") if isinstance(source, Mapping) else None
    return reference if isinstance(reference, Mapping) else {}
