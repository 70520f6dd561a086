"""Load balancers of databases whose ingress is switched off: they are open to the world until they are deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import POSTGRESQL, SERVICE, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import Change
from planton.cluster.ownership import is_applied_by_us, labels_of
from planton.cluster.planning.ahead import LIST_FROM, Ahead
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.live import read_live
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Step, change_of
from planton.kinds import KINDS
from planton.translate.contract import KubernetesObject
from planton.translate.names import KIND_LABEL, NAME_LABEL
from planton.types import PostgresKubernetes

_DATABASE_KIND = next(kind.name for kind in KINDS.values() if kind.message is PostgresKubernetes)
OF_DATABASES = f"{KIND_LABEL}={_DATABASE_KIND}"
"""Label selector of what planton makes for databases."""

_RANK = 2
_REASON = "ingress is switched off"


def closed_ingresses(
    server: Server, wanted: Mapping[Key, KubernetesObject], inventory: Inventory, ahead: Ahead | None = None
) -> list[Step]:
    """Finds the load balancers that databases of a set no longer have.

    Args:
        server: The API server.
        wanted: The set.
        inventory: Facts of the cluster.
        ahead: Lists that were begun.

    Returns:
        A step that deletes each of them.

    Raises:
        ClusterError: The server refused.
    """
    owners = {
        Key(SERVICE, key.namespace, f"{key.name}-external"): obj
        for key, obj in wanted.items()
        if key.resource is POSTGRESQL
    }
    live = _read(server, _without(owners, wanted), inventory, ahead or Ahead())
    steps = []
    for key, service in sorted(live.items(), key=lambda pair: pair[0]):
        database = owners[key]
        if not _is_of(service, database) or service["metadata"].get("deletionTimestamp"):
            continue
        effect = f"{database['metadata']['name']} is no longer reachable from outside the cluster"
        step = Step(key, change_of(key, "deleted", effects=(effect,), reason=_REASON), Stage.DATABASES, _RANK)
        metadata = service["metadata"]
        steps.append(
            replace(step, uid=str(metadata["uid"]), resource_version=str(metadata["resourceVersion"]), desired=database)
        )
    return steps


def _read(server: Server, keys: Collection[Key], inventory: Inventory, ahead: Ahead) -> dict[Key, KubernetesObject]:
    """Reads them: one by one, or where there may be many only those with our labels, from lists in pages."""
    if len(keys) >= LIST_FROM:
        try:
            found = ahead.list(server, SERVICE, labels=OF_DATABASES) or ()
        except ApiError as error:
            if error.status != 403:
                raise
        else:
            meant = set(keys)
            return {key: one for one in found if (key := key_of(one, SERVICE)) in meant}
    return read_live(server, keys, inventory)


def _without(owners: Mapping[Key, KubernetesObject], wanted: Mapping[Key, KubernetesObject]) -> Collection[Key]:
    return [key for key in owners if key not in wanted]


def _is_of(service: KubernetesObject, database: KubernetesObject) -> bool:
    """Whether we made a Service, and for this database: labels alone prove nothing, the operator passes them on."""
    labels = labels_of(service)
    return (
        is_applied_by_us(service)
        and not service["metadata"].get("ownerReferences")
        and labels.get(KIND_LABEL) == _DATABASE_KIND
        and labels.get(NAME_LABEL, "") == labels_of(database).get(NAME_LABEL)
    )


def close_ingress(server: Server, step: Step) -> Change:
    """Deletes a load balancer, if it is still the one that was looked at.

    Args:
        server: The API server.
        step: The step that deletes it; it holds the database as `desired`.

    Returns:
        What was done: deleted, or skipped when it is somebody else's by now.

    Raises:
        ClusterError: The server refused.
    """
    try:
        server.delete(step.key, uid=step.uid, resource_version=step.resource_version)
    except ApiError as error:
        if error.status != 409:
            raise
        # Its status changes when the load balancer gets its address: look again, and delete only what is still ours.
        service = server.get(step.key)
        if service is None:
            return step.change
        if service["metadata"]["uid"] != step.uid or not _is_of(service, step.desired or {}):
            return change_of(step.key, "skipped", reason="left alone: somebody has changed it meanwhile")
        server.delete(step.key, uid=step.uid, resource_version=str(service["metadata"]["resourceVersion"]))
    return step.change
