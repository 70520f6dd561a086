"""Facts read back from the cluster: namespaces, databases, operators, and the backup platform."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster._resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    POSTGRESQL,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Key,
)
from planton.cluster._server import Server, in_parallel, results
from planton.cluster.operators import LiveOperator, is_true, operators_in, read_settings
from planton.errors import ClusterError, RefusedError
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.ingress import HOSTNAME_ANNOTATION
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform, Credentials
from planton.translate.versions import OPERATOR_VERSIONS


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
) -> Inventory:
    """Reads the facts.

    Args:
        server: The API server.
        set_operator: Namespace of the operator whose manifest is in the set; None when there is none.
        chosen: Namespace that was given for the operator.
        credentials: Whether the storage Secret is read.
        hostnames: Whether the external host names of Services are read.

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
    reads: list[Callable[[], list[KubernetesObject] | None]] = [
        lambda: server.list(NAMESPACE),
        lambda: server.list(POSTGRESQL),
        lambda: server.list(DEPLOYMENT),
        lambda: [] if set_operator else _backup_configmaps(server, chosen),
        lambda: server.list(SERVICE, metadata_only=True) if hostnames else [],
    ]
    spaces, databases, deployments, config_maps, services = results(in_parallel(lambda read: read(), reads))
    operators = operators_in(deployments or ())
    annotated = {
        str(one["metadata"]["namespace"]): one
        for one in config_maps or ()
        if PLATFORM_ANNOTATION in (one["metadata"].get("annotations") or {})
    }
    namespace = set_operator or chosen or _only_operator(operators, annotated)
    platform = None
    if set_operator is None and namespace:
        config_map = annotated.get(namespace)
        if config_map is not None and _is_told(server, namespace, operators):
            platform = _platform(server, config_map, namespace, credentials=credentials)
    if chosen and set_operator is None and platform is None and all(one.namespace != chosen for one in operators):
        raise RefusedError([f"namespace {chosen} has no operator: none of its Deployments runs it"])
    existing = Existing(
        from_cluster=True,
        databases=tuple(sorted((_database(one) for one in databases or ()), key=lambda one: (one.namespace, one.name))),
        kubernetes_use_configmaps=_use_configmaps(server, namespace, operators, databases or ()),
        operator_version=next((one.version for one in operators if one.namespace == namespace and one.version), None),
        terminating_namespaces=frozenset(str(one["metadata"]["name"]) for one in spaces or () if is_terminating(one)),
        hostnames=dict(name for one in services or () for name in _hostnames(one)),
    )
    return Inventory(
        platform,
        existing,
        operators,
        namespace,
        {str(one["metadata"]["name"]): one for one in spaces or ()},
        tuple(databases or ()),
        databases is not None,
    )


def _backup_configmaps(server: Server, namespace: str | None) -> list[KubernetesObject] | None:
    if namespace is None:
        return server.list(CONFIG_MAP, fields=f"metadata.name={BACKUP_CONFIGMAP}")
    found = server.get(Key(CONFIG_MAP, namespace, BACKUP_CONFIGMAP))
    return [found] if found else []


def _only_operator(operators: Sequence[LiveOperator], annotated: Mapping[str, Any]) -> str:
    running = {one.namespace for one in operators}
    # A ConfigMap of that name proves an operator only where one runs: anybody may write ConfigMaps somewhere.
    found = sorted(running or set(annotated))
    if len(found) > 1:
        raise RefusedError(
            [f"the cluster has operators in namespaces {', '.join(found)}: say which one with --operator NAMESPACE"]
        )
    return found[0] if found else ""


def _is_told(server: Server, namespace: str, operators: Sequence[LiveOperator]) -> bool:
    """Whether the operator uses the backup ConfigMap of its namespace: one that is left over proves nothing."""
    told = _settings(server, namespace, operators).get("pod_environment_configmap", "")
    space, _, name = told.rpartition("/")
    return name == BACKUP_CONFIGMAP and space in ("", namespace)


def _settings(server: Server, namespace: str, operators: Sequence[LiveOperator]) -> Mapping[str, str]:
    """Reads what the operator of a namespace is told; when it is gone, what it was told may still be there."""
    operator = next((one for one in operators if one.namespace == namespace), None)
    if operator:
        return read_settings(server, operator)
    found = server.get(Key(CONFIG_MAP, namespace, OPERATOR)) if namespace else None
    return (found or {}).get("data") or {}


def _platform(server: Server, config_map: KubernetesObject, namespace: str, *, credentials: bool) -> BackupPlatform:
    subject = f"ConfigMap/{namespace}/{BACKUP_CONFIGMAP}"
    try:
        platform = BackupPlatform.from_json(config_map["metadata"]["annotations"][PLATFORM_ANNOTATION])
    except ValueError as error:
        raise ClusterError(
            str(error), subject=subject, phase=server.phase, remedy="Apply the operator's manifest again."
        ) from None
    platform = replace(platform, namespace=namespace)
    if not credentials or not platform.secret_name:
        return platform
    secret = server.get(Key(SECRET, namespace, platform.secret_name))
    return replace(platform, credentials=_credentials(secret, platform, server)) if secret else platform


def _credentials(secret: KubernetesObject, platform: BackupPlatform, server: Server) -> Credentials:
    """Takes the keys that are meant: every key of a copy reaches the pods of that namespace."""
    data = secret.get("data") or {}
    metadata = secret["metadata"]
    missing = [name for name in platform.secret_keys if not data.get(name)]
    if missing:
        raise ClusterError(
            f"it has no {', '.join(missing)}",
            subject=f"Secret/{metadata['namespace']}/{metadata['name']}",
            phase=server.phase,
            remedy="Apply the operator's manifest again.",
        )
    try:
        return Credentials(
            {
                str(name): base64.b64decode(value, validate=True).decode("utf-8")
                for name, value in data.items()
                if name in platform.secret_keys
            }
        )
    except (binascii.Error, ValueError):
        pass
    raise ClusterError(
        "its data is not text",
        subject=f"Secret/{metadata['namespace']}/{metadata['name']}",
        phase=server.phase,
        remedy="Apply the operator's manifest again.",
    )


def _database(obj: KubernetesObject) -> ExistingDatabase:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    return ExistingDatabase(
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        version=str((spec.get("postgresql") or {}).get("version") or ""),
        environment={
            str(one["name"]): str(one.get("value", ""))
            for one in spec.get("env") or ()
            if isinstance(one, Mapping) and "name" in one and "valueFrom" not in one
        },
        team=str(spec.get("teamId") or ""),
        references=frozenset(
            str(one["name"])
            for one in spec.get("env") or ()
            if isinstance(one, Mapping) and "name" in one and "valueFrom" in one
        ),
    )


def _hostnames(service: KubernetesObject) -> list[tuple[str, str]]:
    metadata = service["metadata"]
    names = str((metadata.get("annotations") or {}).get(HOSTNAME_ANNOTATION) or "")
    place = f"{metadata['namespace']}/{metadata['name']}"
    return [(name.strip(), place) for name in names.split(",") if name.strip()]


def _use_configmaps(
    server: Server,
    namespace: str,
    operators: Sequence[LiveOperator],
    databases: Sequence[KubernetesObject],
) -> str | None:
    """Finds where Patroni keeps its state: what the operator is told, else what a database has, else its default.

    What a database has comes before the default: the operator's ConfigMap may be lost, and a value that is guessed
    wrong would move the state of every live database.
    """
    value = _settings(server, namespace, operators).get("kubernetes_use_configmaps")
    if value:
        return "true" if is_true(value) else "false"
    for one in databases:
        stateful_set = server.get(Key(STATEFUL_SET, one["metadata"]["namespace"], one["metadata"]["name"]))
        if stateful_set is None:
            continue
        containers = stateful_set["spec"]["template"]["spec"].get("containers") or ()
        env = [entry for container in containers for entry in container.get("env") or ()]
        # https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/cluster/k8sres.go (generateSpiloPodEnvVars)
        return "true" if any(entry.get("name") == "KUBERNETES_USE_CONFIGMAPS" for entry in env) else "false"
    operator = next((one for one in operators if one.namespace == namespace), None)
    if operator and operator.version in OPERATOR_VERSIONS:
        return "true" if OPERATOR_VERSIONS[operator.version].uses_configmaps_by_default else "false"
    return None
