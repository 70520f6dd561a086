"""What a plan and a delete need to be allowed, beyond what making them has proven already.

A dry run asks for the same permissions as the write, and a list or a read has been done. What is left: objects in
namespaces that are not there yet, kinds that the server does not know yet, deletions, and reads that come only after
something was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planton.cluster.api.resources import (
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    POD,
    POSTGRESQL,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Key,
)
from planton.cluster.api.server import Server
from planton.cluster.operators import is_operator
from planton.cluster.permissions.review import Need, NoPermissionError, check_allowed, denied_of, needs, needs_of
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.prune import USERS
from planton.cluster.planning.steps import Step, change_of
from planton.cluster.wait import CRD_KEY

if TYPE_CHECKING:
    from planton.cluster.deleting.deletion import Deletion

_WRITES = "get create patch"


def check_plan(
    server: Server, steps: Sequence[Step], prunes: Sequence[Step], inventory: Inventory
) -> tuple[list[Step], tuple[Need, ...]]:
    """Makes sure that a plan can be carried out.

    Args:
        server: The API server.
        steps: What is written.
        prunes: What goes, or is kept, at the end.
        inventory: Facts of the cluster.

    Returns:
        What goes, with that refused which may not be deleted: nothing depends on it. And what is not allowed of it.

    Raises:
        NoPermissionError: Something may not be written.
        ApiError: The server could not be reached.
    """
    wanted = _of_steps(steps, inventory)
    going = {step.key: set(needs_of(step.key, "delete")) for step in prunes if step.change.action == "deleted"}
    denied = denied_of(server, {*wanted, *(need for found in going.values() for need in found)})
    if first := [need for need in denied if need in wanted]:
        raise NoPermissionError(first, phase=server.phase)
    judged = [
        refused(step, [need])
        if (need := next((one for one in going.get(step.key, ()) if one in denied), None))
        else step
        for step in prunes
    ]
    return judged, tuple(denied)


def refused(step: Step, denied: Sequence[Need]) -> Step:
    """Gives a step that is not carried out because it is not allowed.

    Args:
        step: The step.
        denied: What is not allowed.

    Returns:
        The step; nothing is sent for it.
    """
    reason = f"no permission: {denied[0].words}"
    return replace(step, change=change_of(step.key, "refused", reason=reason), desired=None, removals=())


def check_backup(server: Server, namespace: str) -> None:
    """Makes sure that a base backup can be made through a pod.

    Args:
        server: The API server.
        namespace: Namespace of the database.

    Raises:
        NoPermissionError: Something is not allowed.
        ApiError: The server could not be reached.
    """
    check_allowed(server, _of_backup(namespace))


def check_job_of(server: Server, job: Key) -> None:
    """Makes sure that a Job can be made, looked at, and taken away again.

    Args:
        server: The API server.
        job: The Job.

    Raises:
        NoPermissionError: Something is not allowed.
        ApiError: The server could not be reached.
    """
    check_allowed(server, [*needs_of(job, f"{_WRITES} delete"), *needs(POD, "list", job.namespace)])


def _of_backup(namespace: str) -> list[Need]:
    # A WebSocket is opened by a GET, and Kubernetes from 1.35 on asks for `create` as well.
    return [*needs(POD, "get list", namespace), *needs("pods/exec", "create get", namespace)]


def _of_steps(steps: Iterable[Step], inventory: Inventory) -> set[Need]:
    wanted: set[Need] = set()
    for step in steps:
        key, action = step.key, step.change.action
        if action == "deleted":
            wanted.update(needs_of(key, "delete"))
        elif step.desired is None:
            continue
        elif action == "created" and _is_unknown(key, inventory):
            wanted.update(needs_of(key, _WRITES))
        elif key.resource is POSTGRESQL:
            # It comes from a list; when somebody has written it meanwhile, it is looked at once more.
            wanted.update(needs_of(key, "get"))
        if is_operator(key):
            wanted.update(needs_of(CRD_KEY, "get"))
    return wanted


def _is_unknown(key: Key, inventory: Inventory) -> bool:
    """Whether the server could not be asked to try it."""
    if key.resource in (CLUSTER_ROLE_BINDING, ROLE_BINDING):
        # Its role may not be there yet.
        return True
    if key.resource is NAMESPACE:
        # Of many only a few are tried.
        return True
    is_there = not key.namespace or key.namespace in inventory.namespaces
    return not is_there or (key.resource is POSTGRESQL and not inventory.serves_databases)


def check_deletion(server: Server, deletion: Deletion) -> None:
    """Makes sure that a delete can be carried out, the waiting and the looking in it too.

    Args:
        server: The API server.
        deletion: What was decided.

    Raises:
        NoPermissionError: Something is not allowed.
        ApiError: The server could not be reached.
    """
    wanted: set[Need] = set()
    for step in deletion.steps:
        key = step.key
        if step.desired is not None:
            wanted.update(needs_of(key, _WRITES))
        elif step.change.action == "deleted":
            wanted.update(needs_of(key, "delete"))
            if key.resource is POSTGRESQL:
                wanted.update(needs_of(key, "get patch"))
            if key.resource is SECRET:
                for resource in USERS:
                    wanted.update(needs(resource, "list", key.namespace))
            if key.resource is NAMESPACE:
                # Everything in it is listed, whatever its kind.
                wanted.update(needs("*", "list", key.name, group="*"))
    for target in deletion.targets:
        if target.live is not None and deletion.is_cleaned_up:
            for resource in (STATEFUL_SET, SERVICE, POD):
                wanted.update(needs(resource, "list", target.namespace))
        if target.live is not None and deletion.options.last_backup:
            wanted.update(_of_backup(target.namespace))
    check_allowed(server, wanted)
