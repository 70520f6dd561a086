"""Plans what can be done: without the databases in namespaces that are closed to the caller, or are being deleted.

They are left out of the set before anything is decided, so that all that follows from the set (archives, the record of
them, what pods are told) is what it is without them. What is shared is never done in part: a database that is left out
would inherit the operator's new settings without its own, which keep its archive where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.changes import Plan, Sealed
from planton.cluster.permissions.losses import GOING, is_shared, not_in_part
from planton.cluster.permissions.needed import refused
from planton.cluster.permissions.review import Need, NoPermissionError, denied_in
from planton.cluster.planning.order import Stage
from planton.cluster.planning.plan import going_away
from planton.cluster.planning.steps import Decisions, Step, change_of, with_action
from planton.errors import ClusterError, PlantonError, RefusedError
from planton.manifest import Manifests
from planton.translate.names import cluster_name, namespace_of
from planton.types import PostgresKubernetes

MakePlan = Callable[[Manifests, frozenset[str]], Plan]
"""Plans a set; what stands in the given namespaces is left alone, though it is in the set no more."""


def plan_permitted(messages: Manifests, make: MakePlan) -> Plan:
    """Plans a set, without the databases in namespaces where that is not permitted, or which are being deleted.

    Args:
        messages: The set.
        make: Makes a plan.

    Returns:
        The plan; the databases that are left out are in it as refused.

    Raises:
        NoPermissionError: A database is left out, and something shared changes: it would inherit that.
        RefusedError: Likewise, of a namespace that is being deleted.
        ClusterError: What is not permitted is shared, or is all that there is to do.
        PlantonError: As `make` raises it.
    """
    closed: dict[str, list[Need]] = {}
    going: set[str] = set()
    first: ClusterError | None = None
    kept = messages
    while True:
        try:
            plan = make(kept, frozenset(closed) | going)
            break
        except PlantonError as error:
            denied, leaving = denied_in(error), error.going if isinstance(error, RefusedError) else frozenset()
            spaces = {one.namespace for one in denied} | leaving
            rest = _without(kept, spaces) if spaces else None
            if rest is None:
                # What goes wrong without them can be a consequence of that.
                raise (first or error) from None
            first = first or (error if isinstance(error, ClusterError) else None)
            for one in denied:
                closed.setdefault(one.namespace, []).append(one)
            going |= leaving
            kept = rest
    if not closed and not going:
        return plan
    if shared := _shared(plan, messages):
        refusals = [need for found in closed.values() for need in found]
        databases = [_key(one).subject for one in _databases(messages) if namespace_of(one) in closed.keys() | going]
        why = not_in_part(shared, databases)
        if not refusals:
            raise RefusedError([*map(going_away, sorted(going)), why], going=going)
        raise NoPermissionError(refusals, phase="plan", why=why)
    return _with_refused(plan, messages, closed, going)


def _shared(plan: Plan, messages: Manifests) -> list[str]:
    """Names what a plan changes that databases of several namespaces share."""
    decisions: Decisions = plan._sealed.content
    homes = {namespace_of(one) for one in messages if not isinstance(one, PostgresKubernetes)}
    return [step.key.subject for step in (*decisions.steps, *decisions.prunes) if is_shared(step, homes)]


def _databases(messages: Manifests) -> list[PostgresKubernetes]:
    return [one for one in messages if isinstance(one, PostgresKubernetes)]


def _key(message: PostgresKubernetes) -> Key:
    return Key(POSTGRESQL, namespace_of(message), cluster_name(message.metadata.name))


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


def _with_refused(plan: Plan, messages: Manifests, closed: Mapping[str, list[Need]], going: Collection[str]) -> Plan:
    steps = []
    for one in _databases(messages):
        key, space = _key(one), namespace_of(one)
        step = Step(key, change_of(key, "refused"), Stage.DATABASES, 0)
        if space in closed:
            steps.append(refused(step, closed[space]))
        elif space in going:
            steps.append(with_action(step, "refused", GOING))
    decisions: Decisions = plan._sealed.content
    denied = (*decisions.denied, *(need for found in closed.values() for need in found))
    sealed = Sealed(replace(decisions, steps=(*decisions.steps, *steps), denied=denied, going=tuple(sorted(going))))
    return replace(plan, changes=(*plan.changes, *(step.change for step in steps)), _sealed=sealed)
