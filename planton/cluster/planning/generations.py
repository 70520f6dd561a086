"""Which pods still run on old credentials.

A pod takes the values of a Secret at its start. The generation beside them in its environment says which it has: it is
copied literally into the StatefulSet's template by the operator, and into the pod by the API server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CONFIG_MAP, POD, POSTGRESQL, STATEFUL_SET, Key, ResourceType
from planton.cluster.api.server import Server, in_parallel
from planton.cluster.backups.archives import environment
from planton.cluster.permissions.review import gathered
from planton.translate.contract import KubernetesObject
from planton.translate.generation import DATABASE_GENERATION, GENERATION, GENERATIONS, STANDBY_GENERATION
from planton.translate.names import BACKUP_CONFIGMAP

_WHOSE = {GENERATION: "", DATABASE_GENERATION: "its own ", STANDBY_GENERATION: "of its source "}
# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/config.go (cluster_labels,
# cluster_name_label), which planton leaves as they are.
_PODS = "application=spilo"
_CLUSTER_LABEL = "cluster-name"


@dataclass(frozen=True, slots=True)
class OldCredentials:
    """A database of which something still runs on old credentials.

    Attributes:
        namespace: Its namespace.
        name: Name of its custom resource.
        generation: The generation that it should have, such as `2`, or `2, its own 1`.
        template: Whether the operator has not taken it into the StatefulSet yet.
        pods: Names of the pods that were started with an older one.
    """

    namespace: str
    name: str
    generation: str
    template: bool
    pods: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What is old, in words."""
        what = []
        if self.template:
            what.append("the operator has not taken them over yet")
        if self.pods:
            what.append(f"{', '.join(self.pods)} not restarted yet")
        return f"new credentials (generation {self.generation}): {'; '.join(what)}"

    @property
    def line(self) -> str:
        """`postgresql/namespace/name: what is old`."""
        return f"postgresql/{self.namespace}/{self.name}: {self.what}"


def read_old_credentials(
    server: Server,
    operator_namespace: str,
    only: Iterable[tuple[str, str]] | None = None,
    databases: Sequence[KubernetesObject] | None = None,
) -> tuple[OldCredentials, ...]:
    """Finds the databases of which something still runs on old credentials.

    Args:
        server: The API server.
        operator_namespace: Namespace of the operator; empty without one.
        only: Namespace and name of the custom resources that are meant; None for all of the cluster.
        databases: Every custom resource of the cluster; None reads them.

    Returns:
        The databases, sorted; empty when every pod has the newest credentials, or none have ever changed.

    Raises:
        ClusterError: The server refused.
    """
    config_map = server.get(Key(CONFIG_MAP, operator_namespace, BACKUP_CONFIGMAP)) if operator_namespace else None
    inherited = (config_map or {}).get("data") or {}
    chosen = None if only is None else set(only)
    wanted: dict[tuple[str, str], dict[str, str]] = {}
    for database in (server.list(POSTGRESQL) or ()) if databases is None else databases:
        place = _place(database)
        told = _generations(environment(database), inherited)
        if told and (chosen is None or place in chosen):
            wanted[place] = told
    if not wanted:
        return ()
    spaces = {namespace for namespace, _ in wanted}
    templates = {_place(one): one["spec"]["template"] for one in _listed(server, STATEFUL_SET, spaces)}
    return old_credentials(wanted, templates, _listed(server, POD, spaces, _PODS))


def _listed(
    server: Server, resource: ResourceType, spaces: Collection[str], labels: str = ""
) -> list[KubernetesObject]:
    """Lists in all namespaces at once, or in those that are meant where that is all that one may."""
    if len(spaces) > 1:
        try:
            return server.list(resource, labels=labels) or []
        except ApiError as error:
            if error.status != 403:
                raise
    found = gathered(in_parallel(lambda space: server.list(resource, space, labels=labels) or [], sorted(spaces)))
    return [one for items in found for one in items]


def old_credentials(
    wanted: Mapping[tuple[str, str], Mapping[str, str]],
    templates: Mapping[tuple[str, str], KubernetesObject],
    pods: Sequence[KubernetesObject],
) -> tuple[OldCredentials, ...]:
    """Compares generations.

    Args:
        wanted: (namespace, name) of a custom resource -> its generations by the names of their variables.
        templates: (namespace, name) of a StatefulSet -> its pod template.
        pods: Pods of databases.

    Returns:
        The databases that have something old, sorted.
    """
    by_database: dict[tuple[str, str], list[KubernetesObject]] = defaultdict(list)
    for pod in pods:
        metadata = pod["metadata"]
        name = (metadata.get("labels") or {}).get(_CLUSTER_LABEL, "")
        by_database[str(metadata["namespace"]), str(name)].append(pod)
    found = []
    for place, told in sorted(wanted.items()):
        template = templates.get(place)
        old = tuple(
            sorted(str(pod["metadata"]["name"]) for pod in by_database[place] if not _has(told, pod.get("spec") or {}))
        )
        behind = template is not None and not _has(told, template.get("spec") or {})
        if old or behind:
            generation = ", ".join(f"{_WHOSE[name]}{told[name]}" for name in GENERATIONS if name in told)
            found.append(OldCredentials(*place, generation, behind, old))
    return tuple(found)


def _place(obj: Mapping[str, Any]) -> tuple[str, str]:
    return str(obj["metadata"]["namespace"]), str(obj["metadata"]["name"])


def _generations(own: Mapping[str, str], inherited: Mapping[str, Any]) -> dict[str, str]:
    effective = {name: own.get(name) or str(inherited.get(name) or "") for name in GENERATIONS}
    return {name: value for name, value in effective.items() if value}


def _has(told: Mapping[str, str], pod_spec: Mapping[str, Any]) -> bool:
    entries = {
        str(entry.get("name")): str(entry.get("value") or "")
        for container in pod_spec.get("containers") or ()
        if container.get("name") == "postgres"
        for entry in container.get("env") or ()
    }
    return all(entries.get(name) == value for name, value in told.items())
