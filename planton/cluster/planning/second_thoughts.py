"""What becomes of a step when the server has another object than the plan saw, or has one where there was none."""

from __future__ import annotations

from dataclasses import replace

from planton.cluster.api.resources import NAMESPACE
from planton.cluster.api.server import Server
from planton.cluster.changes import PlanOptions
from planton.cluster.ownership import is_ours, is_pod_account
from planton.cluster.planning.compare import foreign_data, is_settled
from planton.cluster.planning.plan import FOREIGN_NAMESPACE, foreign_object
from planton.cluster.planning.safety import refusals
from planton.cluster.planning.stale import changed, is_as_planned
from planton.cluster.planning.steps import Step, change_of, with_action
from planton.errors import ConflictError


def of_new(server: Server, step: Step, options: PlanOptions, *, may_be_ours: bool = False) -> Step:
    """Looks at an object that should not be there: an apply would merge into it without a word.

    Args:
        server: The API server.
        step: The step that creates it.
        options: With which the plan was made.
        may_be_ours: Whether an earlier attempt of this very step may have made it, and its answer was lost.

    Returns:
        What is to be done now; without `desired` when nothing is. The same step when the object is gone again.

    Raises:
        ConflictError: Somebody else has made it.
        ClusterError: It is another than the wanted one, or the server refused.
    """
    live = server.get(step.key)
    if live is None:
        return step
    settled = replace(step, desired=None) if may_be_ours else with_action(step, "unchanged", "")
    if step.key.resource is NAMESPACE:
        return settled if is_ours(live) else with_action(step, "skipped", FOREIGN_NAMESPACE)
    desired = step.desired or {}
    is_account = is_pod_account(desired)
    if not is_ours(live) and not is_account and not options.force_conflicts:
        raise ConflictError([foreign_object(step.key, live)])
    if is_settled(desired, live) and not foreign_data(desired, live):
        return settled
    if step.is_copy or is_account:
        reason = "the operator has made it" if is_account else "its keys were old"
        return replace(step, change=change_of(step.key, "configured", reason=reason), live=live)
    raise changed(step.key, refusals(step.key, desired, live, options))


def of_changed(server: Server, step: Step, options: PlanOptions) -> Step:
    """Finds out why the server has another version of an object than the plan saw.

    Args:
        server: The API server.
        step: The step that changes it.
        options: With which the plan was made.

    Returns:
        What is to be done now; without `desired` when nothing is.

    Raises:
        ClusterError: It has changed since the plan, is gone, or the server refused.
    """
    live, desired = server.get(step.key), step.desired or {}
    if live is None:
        raise changed(step.key, ["it is not there any more"])
    if is_settled(desired, live) and not foreign_data(desired, live):
        return replace(step, desired=None)  # Somebody applied the same, or our own request went through unanswered.
    if not is_as_planned(step.live or {}, live, desired):
        raise changed(step.key, refusals(step.key, desired, live, options))
    return replace(step, live=live)
