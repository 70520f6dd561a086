"""A plan -> what was done."""

from __future__ import annotations

from planton.cluster.api.connection import Connection
from planton.cluster.api.server import Server
from planton.cluster.changes import ApplyResult, Plan, Progress, ProgressEvent, effects_in
from planton.cluster.outputs import with_outputs
from planton.cluster.permissions.advice import advised, operator_in, works_of_plan
from planton.cluster.planning.apply import Applier, copy_steps
from planton.cluster.planning.steps import Decisions
from planton.cluster.wait import Deadline


def apply_plan(connection: Connection, plan: Plan, *, timeout: float, wait: bool, progress: Progress) -> ApplyResult:
    """Carries out a plan.

    Args:
        connection: The cluster.
        plan: A plan of this cluster.
        timeout: How long may be waited, in seconds.
        wait: Whether to wait for the databases, too.
        progress: Is told where the work has got to.

    Returns:
        What was done.

    Raises:
        RefusedError: A store said no. Nothing was written.
        ConflictError: Others own fields or objects of the set. `changes` on it says what was done before.
        WaitError: Something was not ready in time. Likewise.
        ClusterError: The server refused something, or could not be reached. Likewise.
    """
    decisions: Decisions = plan._sealed.content
    refresh = decisions.refresh
    warnings = plan.warnings
    if decisions.checks is not None:
        found = decisions.checks.run(write=True, report=lambda text: progress(ProgressEvent("check", 0, 0, text)))
        warnings = tuple(dict.fromkeys((*warnings, *found)))
    applier = Applier(
        Server(connection, "apply", decisions.scrubber),
        decisions,
        copies=lambda: copy_steps(refresh.storage_secrets()) if refresh else [],
        deadline=Deadline(timeout),
        progress=progress,
    )
    works = works_of_plan(decisions.messages, decisions.options)
    home = operator_in(decisions.messages, decisions.options.operator_namespace)
    with advised(connection, works, home):
        changes = tuple(applier.run(wait=wait))
    filled = tuple(with_outputs(message) for message in decisions.messages)
    effects = effects_in(changes)
    return ApplyResult(connection.identity, changes, warnings, effects, filled, applier.old_credentials)
