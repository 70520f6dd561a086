"""What of a set is no longer rendered and may go, and what is kept for a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    POSTGRESQL,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Key,
    ResourceType,
    key_of,
)
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.changes import Action, Change
from planton.cluster.operators import LiveOperator, is_operator
from planton.cluster.ownership import SET_LABEL, is_applied_by_us, labels_of
from planton.cluster.planning.order import place
from planton.cluster.planning.steps import Step, change_of
from planton.kinds import KINDS
from planton.translate.contract import KubernetesObject
from planton.translate.existing import secret_reference
from planton.translate.names import (
    BACKUP_CONFIGMAP,
    KIND_LABEL,
    NAME_LABEL,
    SOURCE_KINDS,
    cluster_name,
    source_files_secret,
)
from planton.translate.policy import ENCRYPTION_KEYS
from planton.types import PostgresOperatorKubernetes

PRUNABLE: tuple[ResourceType, ...] = (
    DEPLOYMENT,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    CLUSTER_ROLE_BINDING,
    ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE,
    SERVICE_ACCOUNT,
)
"""Kinds that may be pruned, in the order in which they go. Nothing that holds data is among them."""

_SHOWN: tuple[ResourceType, ...] = (POSTGRESQL, NAMESPACE)
_OPERATOR_KIND = next(kind.name for kind in KINDS.values() if kind.message is PostgresOperatorKubernetes)


@dataclass(frozen=True, slots=True)
class _World:
    """What the reasons to keep something are found in."""

    rendered: frozenset[Key]
    databases: frozenset[tuple[str, str]]
    operators: Sequence[LiveOperator]
    server: Server
    begun_with: frozenset[tuple[str, str]]
    known: Mapping[str, frozenset[str]]

    def has_operator(self, namespace: str) -> bool:
        """Whether the set still has the operator of a namespace; of any, for what stands in none."""
        return any(is_operator(key) and namespace in ("", key.namespace) for key in self.rendered)

    def is_storage_secret_of_operator(self, key: Key) -> bool:
        """Whether a Secret is the one from which the copies beside the databases are made."""
        if any(one.namespace == key.namespace for one in self.operators):
            return True
        # The operator's Deployment may be gone while its databases wait for it to come back.
        return self.server.get(Key(CONFIG_MAP, key.namespace, BACKUP_CONFIGMAP)) is not None

    def why_operator_stays(self, namespace: str) -> str:
        """What an operator is still there for; empty when it is in the set, or when there is nothing."""
        if self.has_operator(namespace):
            return ""
        if self.databases:
            return "the operator still looks after databases"
        if any(one.wanted > 0 and namespace in ("", one.namespace) for one in self.operators):
            return "the operator still runs: delete it with planton delete"
        return ""


def plan_prune(
    server: Server,
    set_id: str,
    rendered: Collection[Key],
    databases: Sequence[KubernetesObject],
    operators: Sequence[LiveOperator] = (),
) -> list[Step]:
    """Decides what of a set goes.

    Args:
        server: The API server.
        set_id: Id of the set.
        rendered: Identities of the objects that the set has now.
        databases: Every `postgresql` custom resource of the cluster.
        operators: Every Deployment of the cluster that runs the operator.

    Returns:
        Steps that delete, in their order, and steps that keep, with the reason.

    Raises:
        ClusterError: The server refused.
    """
    selector = f"{SET_LABEL}={set_id}"
    types = [*PRUNABLE, *_SHOWN]
    lists = results(in_parallel(lambda one: server.list(one, labels=selector) or [], types))
    world = _World(
        frozenset(rendered),
        frozenset((one["metadata"]["namespace"], one["metadata"]["name"]) for one in databases),
        tuple(operators),
        server,
        frozenset(one for database in databases for one in _begun_with(database)),
        _by_namespace(
            [*(key_of(one, POSTGRESQL) for one in databases), *(one for one in rendered if one.resource is POSTGRESQL)]
        ),
    )
    steps = []
    for resource, objects in zip(types, lists, strict=True):
        for obj in objects:
            key = key_of(obj, resource)
            if key not in world.rendered and (step := _decide(key, obj, world)) is not None:
                steps.append(step)
    return steps


def _by_namespace(databases: Iterable[Key]) -> dict[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for key in databases:
        names.setdefault(key.namespace, set()).add(key.name)
    return {namespace: frozenset(found) for namespace, found in names.items()}


def _begun_with(database: KubernetesObject) -> Iterable[tuple[str, str]]:
    """Gives the Secrets with which a clone was read, or a standby is: its custom resource refers to them for ever."""
    metadata, spec = database["metadata"], database.get("spec") or {}
    names: set[object] = set()
    for entry in spec.get("env") or ():
        # Whoever makes a custom resource may write anything here.
        if isinstance(entry, Mapping) and str(entry.get("name") or "").startswith(("CLONE_", "STANDBY_")):
            name = secret_reference(entry).get("name")
            if isinstance(name, str):
                names.add(name)
    own = {source_files_secret(str(metadata["name"]).removeprefix(cluster_name("")), kind) for kind in SOURCE_KINDS}
    for volume in spec.get("additionalVolumes") or ():
        if isinstance(volume, Mapping) and volume.get("name") in own:
            names.add(volume.get("name"))
    yield from ((str(metadata["namespace"]), str(name)) for name in names if name)


def _decide(key: Key, obj: KubernetesObject, world: _World) -> Step | None:
    # Labels can be copied, and are inherited by what the operator makes: only what we applied is ours to prune.
    if not is_applied_by_us(obj) or obj["metadata"].get("ownerReferences"):
        return None
    if obj["metadata"].get("deletionTimestamp"):
        return None
    if key.resource is SECRET and (key.namespace, key.name) in world.begun_with:
        # Nobody renders it any more, and its pods do not start without it: it is a part of the database.
        return None
    reason = _why_kept(key, obj, world)
    action: Action = "skipped" if reason else "deleted"
    stage, rank = place(obj)
    step = Step(key, change_of(key, action, reason=reason or "no longer in the set"), stage, rank)
    metadata = obj["metadata"]
    return replace(
        step,
        uid=str(metadata["uid"]),
        resource_version=str(metadata["resourceVersion"]),
        databases=world.known.get(key.namespace, frozenset()),
    )


def _why_kept(key: Key, obj: KubernetesObject, world: _World) -> str:
    if key.resource is POSTGRESQL:
        return "no longer in the set, left alone: planton delete takes its former manifest and its name"
    if key.resource is NAMESPACE:
        return "no longer in the set, left alone: Namespaces are never pruned"
    labels = labels_of(obj)
    if labels.get(KIND_LABEL) == _OPERATOR_KIND:
        reason = world.why_operator_stays(key.namespace)
        # Copies of the storage Secret carry the labels of the operator, too: those go with the databases beside them.
        if reason and (key.resource is not SECRET or world.is_storage_secret_of_operator(key)):
            return f"no longer in the set, left alone: {reason}"
    else:
        database = (key.namespace, cluster_name(labels.get(NAME_LABEL, "")))
        if database in world.databases and Key(POSTGRESQL, *database) not in world.rendered:
            return f"no longer in the set, left alone: it belongs to postgresql/{database[0]}/{database[1]}"
    if key.resource is SECRET:
        return _why_secret_kept(key, world)
    return ""


def _why_secret_kept(key: Key, world: _World) -> str:
    # Until its pods are made, nothing but the operator knows that a database needs the Secret.
    operator = next((one for one in world.rendered if is_operator(one)), None)
    is_told = operator is None or Key(SECRET, operator.namespace, key.name) in world.rendered
    database = next((one for one in sorted(world.databases) if one[0] == key.namespace), None)
    if database is not None and is_told:
        return f"no longer in the set, left alone: the operator needs it for postgresql/{database[0]}/{database[1]}"
    user = secret_user(world.server, key.namespace, key.name)
    if user:
        return f"no longer in the set, left alone: {user} refers to it"
    if ENCRYPTION_KEYS & set((world.server.get(key) or {}).get("data") or {}):
        return "no longer in the set, left alone: it holds a key with which backups are encrypted"
    return ""


_TEMPLATE = ("spec", "template", "spec")
USERS: Mapping[ResourceType, tuple[str, ...]] = MappingProxyType(
    {
        POD: ("spec",),
        STATEFUL_SET: _TEMPLATE,
        DEPLOYMENT: _TEMPLATE,
        ResourceType("apps/v1", "ReplicaSet", "replicasets"): _TEMPLATE,
        ResourceType("apps/v1", "DaemonSet", "daemonsets"): _TEMPLATE,
        ResourceType("batch/v1", "Job", "jobs"): _TEMPLATE,
        ResourceType("batch/v1", "CronJob", "cronjobs"): ("spec", "jobTemplate", *_TEMPLATE),
        ResourceType("v1", "ReplicationController", "replicationcontrollers"): _TEMPLATE,
        SERVICE_ACCOUNT: (),
    }
)
"""Where what refers to Secrets has the spec of its pods."""


def secret_user(server: Server, namespace: str, name: str) -> str:
    """Finds something that refers to a Secret.

    Args:
        server: The API server.
        namespace: Namespace of the Secret.
        name: Name of the Secret.

    Returns:
        `Kind/namespace/name` of what refers to it: a pod, a template of pods, or their account; empty when there is
        none.

    Raises:
        ClusterError: The server refused.
    """
    lists = results(in_parallel(lambda one: server.list(one, namespace) or [], list(USERS)))
    for (resource, path), objects in zip(USERS.items(), lists, strict=True):
        for obj in objects:
            part: Any = obj
            for key in path:
                part = part.get(key) or {}
            if not _is_over(obj, resource) and refers_to_secret(part, name):
                return key_of(obj, resource).subject
    return ""


def _is_over(obj: Mapping[str, Any], resource: ResourceType) -> bool:
    """Tells whether nothing will start from a template any more: on its way out, an old revision, or a job done."""
    if resource is POD:
        return False
    if obj["metadata"].get("deletionTimestamp"):
        return True
    if resource.kind == "ReplicaSet":
        return (obj.get("spec") or {}).get("replicas") == 0
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ended = {one.get("type") for one in conditions if one.get("status") == "True"}
    return resource.kind == "Job" and bool(ended & {"Complete", "Failed"})


def refers_to_secret(spec: Mapping[str, Any], name: str) -> bool:
    """Tells whether a pod's spec refers to a Secret: by variables, volumes, or to pull images.

    Args:
        spec: Spec of a pod or of a pod template, or a ServiceAccount.
        name: Name of the Secret.

    Returns:
        True when it does.
    """
    if any(one.get("name") == name for part in ("imagePullSecrets", "secrets") for one in spec.get(part) or ()):
        return True
    if _mounts_secret(spec.get("volumes") or (), name):
        return True
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            for one in container.get("env") or ():
                if ((one.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name") == name:
                    return True
            if any((one.get("secretRef") or {}).get("name") == name for one in container.get("envFrom") or ()):
                return True
    return False


def _mounts_secret(part: Any, name: str) -> bool:
    """Looks through volumes of every kind, `secret`, `projected`, and the references of drivers; and variables."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "secretName" and value == name:
                return True
            is_reference = key == "secret" or key.lower().endswith(("secretref", "secretkeyref"))
            if is_reference and isinstance(value, Mapping) and value.get("name") == name:
                return True
        return any(_mounts_secret(value, name) for value in part.values())
    return isinstance(part, Sequence) and not isinstance(part, str) and any(_mounts_secret(one, name) for one in part)


def prune_one(server: Server, step: Step) -> Change:
    """Deletes one object, if it is still the one that was looked at.

    Args:
        server: The API server.
        step: The step that deletes it.

    Returns:
        What was done: deleted, or skipped when the object has changed meanwhile or is needed now.

    Raises:
        ClusterError: The server refused.
    """
    if step.key.resource is SECRET:
        reason = secret_user(server, step.key.namespace, step.key.name)
        if reason := f"{reason} refers to it" if reason else _database_against(server, step):
            return change_of(step.key, "skipped", reason=f"left alone: {reason}")
    try:
        server.delete(step.key, uid=step.uid, resource_version=step.resource_version)
    except ApiError as error:
        if error.status != 409:
            raise
        # A Deployment's status changes all the time, an owner does not: look again, and delete only what is still ours.
        return _again(server, step)
    return step.change


def _database_against(server: Server, step: Step) -> str:
    """Says which database of the namespace, as they are now, speaks against pruning a Secret; empty for none."""
    for database in server.list(POSTGRESQL, step.key.namespace) or ():
        subject = key_of(database, POSTGRESQL).subject
        if _mounts_secret(database.get("spec") or {}, step.key.name):
            return f"{subject} refers to it"
        # Whether it needs the Secret was judged without it.
        if database["metadata"]["name"] not in step.databases:
            return f"{subject} was not there when this was planned"
    return ""


def _again(server: Server, step: Step) -> Change:
    obj = server.get(step.key)
    if obj is None:
        return step.change
    metadata = obj["metadata"]
    if metadata["uid"] != step.uid or not is_applied_by_us(obj) or metadata.get("ownerReferences"):
        return change_of(step.key, "skipped", reason="left alone: somebody has changed it meanwhile")
    if labels_of(obj).get(SET_LABEL, "") == "":
        return change_of(step.key, "skipped", reason="left alone: it was taken out of the set meanwhile")
    server.delete(step.key, uid=step.uid, resource_version=str(metadata["resourceVersion"]))
    return step.change
