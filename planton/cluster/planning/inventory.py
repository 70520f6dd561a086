"""Facts read back from the cluster: namespaces, databases, operators, and the backup platform."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from planton.cluster.api.resources import (
    NAMESPACE,
    POSTGRESQL,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Key,
    key_of,
)
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.sources import OperatorGives, read_sources
from planton.cluster.operators import LiveOperator, is_true
from planton.cluster.ownership import applied_fields
from planton.cluster.permissions.review import gathered
from planton.cluster.planning.ahead import Ahead
from planton.cluster.planning.told import Told, generation_in, read_told, read_told_settings
from planton.errors import RefusedError
from planton.translate.archive_sources import Asked
from planton.translate.contract import KubernetesObject
from planton.translate.effective_archive import clone_environment
from planton.translate.existing import Existing, ExistingDatabase, ExistingSecret
from planton.translate.generation import GENERATION, told_generation
from planton.translate.ingress import HOSTNAME_ANNOTATION
from planton.translate.names import (
    POD_SERVICE_ACCOUNT,
    RESTORED_FROM_ANNOTATION,
    SOURCE_KINDS,
    cluster_name,
    source_files_secret,
)
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.pod_variables import entries_that_count
from planton.translate.secret_values import Credentials, secret_text
from planton.translate.versions import OPERATOR_VERSIONS
from planton.types import PostgresKubernetes

# So many StatefulSets are read one by one before all of them are listed.
_LOOKS = 12


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a cluster has, as far as it matters to every plan.

    Attributes:
        platform: The backup platform read back, or None; its credentials are there unless the Secret is missing.
        existing: Facts for translation.
        operators: Every Deployment that runs the operator.
        operator_namespace: Namespace of the operator that is meant; empty when there is none.
        namespaces: Every Namespace by name.
        databases: Every `postgresql` custom resource.
        serves_databases: Whether the server knows `postgresql` custom resources.
    """

    platform: BackupPlatform | None
    existing: Existing
    operators: tuple[LiveOperator, ...]
    operator_namespace: str
    namespaces: Mapping[str, KubernetesObject] = field(repr=False)
    databases: tuple[KubernetesObject, ...] = field(repr=False)
    serves_databases: bool


def is_terminating(namespace: Mapping[str, Any]) -> bool:
    """Tells whether a Namespace is being deleted.

    Args:
        namespace: The Namespace.

    Returns:
        True when nothing can be created in it any more.
    """
    return bool((namespace.get("metadata") or {}).get("deletionTimestamp")) or (
        (namespace.get("status") or {}).get("phase") == "Terminating"
    )


def read_inventory(
    server: Server,
    *,
    set_operator: str | None = None,
    chosen: str | None = None,
    credentials: bool = True,
    hostnames: bool = False,
    secrets: Iterable[tuple[str, str]] = (),
    sources: Mapping[Asked, Sequence[PostgresKubernetes]] = MappingProxyType({}),
    databases_too: bool = True,
    ahead: Ahead | None = None,
) -> Inventory:
    """Reads the facts.

    Args:
        server: The API server.
        set_operator: Namespace of the operator whose manifest is in the set; None when there is none.
        chosen: Namespace that was given for the operator.
        credentials: Whether the storage Secret is read.
        hostnames: Whether the external host names of Services are read.
        secrets: Namespace and name of Secrets with credentials that the set has.
        sources: Databases whose archives clones and standbys of the set ask for, with those who ask.
        databases_too: Whether Namespaces and databases are read, and not only what is known of the operator.
        ahead: Lists that were begun.

    Returns:
        The facts.

    Raises:
        ClusterError: The server refused (a missing permission is an error, never "absent"), or what it has is broken.
        RefusedError: The cluster has several operators and none was chosen.
    """
    if set_operator and chosen and set_operator != chosen:
        raise RefusedError(
            [f"the manifests hold an operator for namespace {set_operator}, but --operator says {chosen}"]
        )
    lists = ahead or Ahead()
    # What the operator is told is read meanwhile: one small object after the other.
    reads: list[Callable[[], Any]] = [
        lambda: lists.list(server, NAMESPACE) if databases_too else [],
        lambda: lists.list(server, POSTGRESQL) if databases_too else [],
        lambda: server.list(SERVICE, metadata_only=True) if hostnames else [],
        lambda: read_told(server, lists, set_operator=set_operator, chosen=chosen, credentials=credentials),
    ]
    spaces, databases, services, found = results(in_parallel(lambda read: read(), reads))
    told: Told = found
    namespace, operators, settings, inherited = told.namespace, told.operators, told.settings, told.inherited
    existing = Existing(
        from_cluster=True,
        databases=tuple(
            sorted((database_facts(one) for one in databases or ()), key=lambda one: (one.namespace, one.name))
        ),
        kubernetes_use_configmaps=_use_configmaps(server, namespace, operators, settings, databases or ()),
        operator_version=next((one.version for one in operators if one.namespace == namespace and one.version), None),
        terminating_namespaces=frozenset(str(one["metadata"]["name"]) for one in spaces or () if is_terminating(one)),
        hostnames=dict(name for one in services or () for name in _hostnames(one)),
        secrets=_with_lost(
            read_secrets(server, secrets),
            {(namespace, settings.get("pod_environment_secret", "")), *_own(databases)},
        ),
        generation=told_generation(((told.config_map or {}).get("data") or {}).get(GENERATION)),
        inherited=inherited,
        running_version=next((one.version for one in operators if one.namespace == namespace), None),
        annotated_accounts=_annotated_accounts(server, told.config_map) if set_operator else frozenset(),
        sources=read_sources(
            server,
            sources,
            databases or (),
            OperatorGives(inherited or {}, settings if sources else {}, namespace),
        ),
    )
    return Inventory(
        told.platform,
        existing,
        operators,
        namespace,
        {str(one["metadata"]["name"]): one for one in spaces or ()},
        tuple(databases or ()),
        databases is not None,
    )


def operator_gives(server: Server, inventory: Inventory) -> OperatorGives:
    """Reads what the operator gives to the pods of every database now.

    Args:
        server: The API server.
        inventory: Facts of the cluster.

    Returns:
        What it gives; nothing where there is no operator.

    Raises:
        ClusterError: The server refused.
    """
    told = read_told_settings(server, inventory.operator_namespace, inventory.operators)
    return OperatorGives(inventory.existing.inherited or {}, told)


def read_secrets(server: Server, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], ExistingSecret | None]:
    """Reads Secrets with credentials that the set has, as they are now.

    Args:
        server: The API server.
        places: Namespace and name of each.

    Returns:
        Namespace and name -> the Secret, None where there is none.

    Raises:
        ClusterError: The server refused.
    """
    wanted = sorted(set(places))
    found = gathered(in_parallel(lambda place: server.get(Key(SECRET, *place)), wanted))
    return {place: _existing_secret(one) if one else None for place, one in zip(wanted, found, strict=True)}


def _with_lost(
    secrets: Mapping[tuple[str, str], ExistingSecret | None], told: Collection[tuple[str, str]]
) -> dict[tuple[str, str], ExistingSecret | None]:
    """Tells a Secret that is lost from one that never was: nobody knows what pods have that were told of it.

    It counts as one with other contents, so that the generation is raised whatever it will hold.
    """
    return {
        place: ExistingSecret(Credentials({})) if one is None and place in told else one
        for place, one in secrets.items()
    }


def _own(databases: Iterable[KubernetesObject] | None) -> Iterable[tuple[str, str]]:
    """Namespace and name of the Secrets to which custom resources refer."""
    for database in databases or ():
        for entry in (database.get("spec") or {}).get("env") or ():
            # Whoever makes a custom resource may write anything here.
            source = entry.get("valueFrom") if isinstance(entry, Mapping) else None
            reference = source.get("secretKeyRef") if isinstance(source, Mapping) else None
            name = reference.get("name") if isinstance(reference, Mapping) else None
            yield str(database["metadata"]["namespace"]), str(name or "")


def _existing_secret(secret: KubernetesObject) -> ExistingSecret:
    # What is no text becomes empty, so that it differs from whatever is wanted.
    values = {str(name): secret_text(value) or "" for name, value in (secret.get("data") or {}).items()}
    return ExistingSecret(Credentials(values), generation_in(secret))


def _annotated_accounts(server: Server, config_map: KubernetesObject | None) -> frozenset[str]:
    """Finds service accounts with annotations of ours, where the platform of until now has some."""
    text = ((config_map or {}).get("metadata") or {}).get("annotations", {}).get(PLATFORM_ANNOTATION)
    if text is None or '"service_account_annotations"' not in text:
        return frozenset()
    accounts = server.list(SERVICE_ACCOUNT, fields=f"metadata.name={POD_SERVICE_ACCOUNT}") or ()
    return frozenset(str(one["metadata"]["namespace"]) for one in accounts if applied_fields(one))


def database_facts(obj: KubernetesObject) -> ExistingDatabase:
    """Reads what matters to translation of a database.

    Args:
        obj: Its custom resource.

    Returns:
        The facts.
    """
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    entries = dict(entries_that_count(obj))
    return ExistingDatabase(
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        version=str((spec.get("postgresql") or {}).get("version") or ""),
        environment={
            name: "" if one.get("value") is None else str(one["value"])
            for name, one in entries.items()
            if one.get("valueFrom") is None
        },
        team=str(spec.get("teamId") or ""),
        instances=spec.get("numberOfInstances") if isinstance(spec.get("numberOfInstances"), int) else None,
        clone=clone_environment(spec["clone"]) if isinstance(spec.get("clone"), Mapping) else {},
        references=frozenset(name for name, one in entries.items() if one.get("valueFrom") is not None),
        begun=tuple(one for name, one in entries.items() if name.startswith(("CLONE_", "STANDBY_"))),
        begun_volumes=tuple(
            one
            for one in spec.get("additionalVolumes") or ()
            if isinstance(one, Mapping) and one.get("name") in _source_volumes(str(metadata["name"]))
        ),
        restored_from=str((metadata.get("annotations") or {}).get(RESTORED_FROM_ANNOTATION) or ""),
        standby=spec["standby"] if isinstance(spec.get("standby"), Mapping) else None,
    )


def _source_volumes(name: str) -> set[str]:
    return {source_files_secret(name.removeprefix(cluster_name("")), kind) for kind in SOURCE_KINDS}


def _hostnames(service: KubernetesObject) -> list[tuple[str, str]]:
    metadata = service["metadata"]
    names = str((metadata.get("annotations") or {}).get(HOSTNAME_ANNOTATION) or "")
    place = f"{metadata['namespace']}/{metadata['name']}"
    return [(name.strip(), place) for name in names.split(",") if name.strip()]


def _use_configmaps(
    server: Server,
    namespace: str,
    operators: Sequence[LiveOperator],
    settings: Mapping[str, str],
    databases: Sequence[KubernetesObject],
) -> str | None:
    """Finds where Patroni keeps its state: what the operator is told, else what a database has, else its default.

    What a database has comes before the default: the operator's ConfigMap may be lost, and a value that is guessed
    wrong would move the state of every live database.
    """
    value = settings.get("kubernetes_use_configmaps")
    if value:
        return "true" if is_true(value) else "false"
    for stateful_set in _stateful_sets(server, databases):
        containers = stateful_set["spec"]["template"]["spec"].get("containers") or ()
        env = [entry for container in containers for entry in container.get("env") or ()]
        # https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/cluster/k8sres.go (generateSpiloPodEnvVars)
        return "true" if any(entry.get("name") == "KUBERNETES_USE_CONFIGMAPS" for entry in env) else "false"
    operator = next((one for one in operators if one.namespace == namespace), None)
    if operator and operator.version in OPERATOR_VERSIONS:
        return "true" if OPERATOR_VERSIONS[operator.version].uses_configmaps_by_default else "false"
    return None


def _stateful_sets(server: Server, databases: Sequence[KubernetesObject]) -> Iterator[KubernetesObject]:
    """Reads StatefulSets of databases, no more than are looked at; a database that is new has none yet."""
    keys = [key_of(one, STATEFUL_SET) for one in databases]
    for key in keys[:_LOOKS]:
        if (found := server.get(key)) is not None:
            yield found
    meant = set(keys[_LOOKS:])
    listed = server.list(STATEFUL_SET) if meant else None
    yield from (one for one in listed or () if key_of(one, STATEFUL_SET) in meant)
