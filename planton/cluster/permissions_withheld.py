"""Plans what is permitted: where one namespace of many is closed to the caller, the databases in it are left out.

They are left out of the set before anything is decided, so that all that follows from the set (archives, the record of
them, what pods are told) is what it is without them. What is shared is never done in part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from planton.cluster._resources import POSTGRESQL, Key
from planton.cluster._steps import Decisions, Step, change_of
from planton.cluster.changes import Plan, Sealed
from planton.cluster.order import Stage
from planton.cluster.permissions import Need, denied_in
from planton.cluster.permissions_needed import refused
from planton.errors import ClusterError, PlantonError
from planton.manifest import Manifests
from planton.translate.names import cluster_name, namespace_of
from planton.types import PostgresKubernetes

MakePlan = Callable[[Manifests, frozenset[str]], Plan]
"""Plans a set; what stands in the given namespaces is left alone, though it is in the set no more."""


def plan_permitted(messages: Manifests, make: MakePlan) -> Plan:
    """Plans a set, without the databases in namespaces where that is not permitted.

    Args:
        messages: The set.
        make: Makes a plan.

    Returns:
        The plan; the databases that are left out are in it as refused.

    Raises:
        ClusterError: What is not permitted is shared, or is all that there is to do.
        PlantonError: As `make` raises it.
    """
    closed: dict[str, list[Need]] = {}
    first: ClusterError | None = None
    kept = messages
    while True:
        try:
            plan = make(kept, frozenset(closed))
            break
        except PlantonError as error:
            denied = denied_in(error)
            rest = _without(kept, {one.namespace for one in denied}) if denied else None
            if rest is None:
                # What goes wrong without them can be a consequence of that.
                raise (first or error) from None
            first = first or (error if isinstance(error, ClusterError) else None)
            for one in denied:
                closed.setdefault(one.namespace, []).append(one)
            kept = rest
    return _with_refused(plan, messages, closed) if closed else plan


def _without(messages: Manifests, spaces: Collection[str]) -> Manifests | None:
    """Gives a set without the databases of some namespaces; None where that would not be the whole of it."""
    homes = {namespace_of(one) for one in messages if not isinstance(one, PostgresKubernetes)}
    databases = {namespace_of(one) for one in messages if isinstance(one, PostgresKubernetes)}
    if not set(spaces) <= databases - homes or databases <= set(spaces):
        return None
    kept = [index for index, one in enumerate(messages) if namespace_of(one) not in spaces]
    return Manifests(
        [messages[index] for index in kept],
        [messages.origins[index] for index in kept],
        [messages.marks(index) for index in kept],
    )


def _with_refused(plan: Plan, messages: Manifests, closed: Mapping[str, list[Need]]) -> Plan:
    steps = []
    for one in messages:
        if isinstance(one, PostgresKubernetes) and namespace_of(one) in closed:
            space = namespace_of(one)
            key = Key(POSTGRESQL, space, cluster_name(one.metadata.name))
            steps.append(refused(Step(key, change_of(key, "refused"), Stage.DATABASES, 0), closed[space]))
    decisions: Decisions = plan._sealed.content
    denied = (*decisions.denied, *(need for found in closed.values() for need in found))
    sealed = Sealed(replace(decisions, steps=(*decisions.steps, *steps), denied=denied))
    return replace(plan, changes=(*plan.changes, *(step.change for step in steps)), _sealed=sealed)
