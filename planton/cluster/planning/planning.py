"""Objects -> a plan: decisions about the set, and about what is no longer in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from planton.cluster.api.connection import Connection
from planton.cluster.api.mask import scrubber_for
from planton.cluster.api.resources import key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import Plan, PlanOptions, ProgressEvent, Sealed, effects_in
from planton.cluster.ownership import with_set
from planton.cluster.permissions.needed import check_plan
from planton.cluster.planning.ahead import Ahead
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.plan import plan_objects
from planton.cluster.planning.prune import plan_prune
from planton.cluster.planning.steps import Decisions, SecondLook, Step
from planton.errors import Problem
from planton.translate.contract import KubernetesObject
from planton.types import Resource


def plan_set(
    connection: Connection,
    objects: Iterable[KubernetesObject],
    inventory: Inventory,
    options: PlanOptions,
    *,
    progress: Callable[[ProgressEvent], None] = lambda event: None,
    warnings: Sequence[Problem] = (),
    target_clusters: Sequence[str] = (),
    refresh: SecondLook | None = None,
    messages: Sequence[Resource] = (),
    withheld: Collection[str] = (),
    ahead: Ahead | None = None,
) -> Plan:
    """Makes the plan for a set of objects. Writes nothing.

    Args:
        connection: The cluster.
        objects: The set, rendered.
        inventory: Facts of the cluster.
        options: What is allowed.
        progress: Is told where the work has got to.
        warnings: What the plan shows of the manifests.
        target_clusters: What the plan shows in its head.
        refresh: Looks at the cluster again while the plan is carried out.
        messages: The set as messages.
        withheld: Namespaces of which something is in the set, and is left out of this plan: nothing is pruned in them.
        ahead: Lists that were begun.

    Returns:
        The plan.

    Raises:
        RefusedError: Something must not be done, or not without an explicit word.
        NoPermissionError: Something may not be written.
        ConflictError: Others own fields or objects of the set.
        ClusterError: The server refused something, or could not be reached.
    """
    labelled = with_set(objects, options.set_id)
    server = Server(connection, "plan", scrubber_for(labelled))
    steps = plan_objects(
        server,
        labelled,
        inventory,
        options,
        lambda done, total, subject: progress(ProgressEvent("plan", done, total, subject)),
        ahead,
    )
    prunes: list[Step] = []
    if options.set_id is not None:
        rendered = {key_of(obj) for obj in labelled} | {step.key for step in steps}
        prunes = plan_prune(server, options.set_id, rendered, inventory.databases, inventory.operators)
        prunes = [step for step in prunes if (step.key.namespace or step.key.name) not in withheld]
    prunes, denied = check_plan(server, steps, prunes, inventory)
    changes = tuple(step.change for step in (*steps, *prunes))
    decisions = Decisions(
        tuple(steps), tuple(prunes), server.scrubber, options, refresh, tuple(messages), denied=denied
    )
    return Plan(
        connection.identity,
        changes,
        (*warnings, *(Problem(step.warning, subject=step.key.subject) for step in steps if step.warning)),
        effects_in(changes),
        tuple(target_clusters),
        Sealed(decisions),
    )
