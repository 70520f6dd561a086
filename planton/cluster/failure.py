"""What ended an apply or a delete, with what was done before: that must never be lost."""

from __future__ import annotations

from collections.abc import Sequence

from planton.cluster.changes import Change
from planton.errors import ClusterError, ConflictError, PlantonError, WaitError

_STAYS = "What was done stays. The same command goes on from there."


def with_changes(error: Exception, changes: Sequence[Change], *, phase: str, waited: float) -> ClusterError:
    """Gives an error that says what was done before it.

    Args:
        error: What ended the work.
        changes: What was done, in order.
        phase: What was being done.
        waited: How long was waited, in seconds.

    Returns:
        An error of the same class where it is one of the cluster, with the changes.
    """
    if isinstance(error, WaitError):
        return WaitError(error.pending, seconds=waited, changes=changes)
    if isinstance(error, ConflictError):
        return ConflictError(error.conflicts, changes=changes)
    if isinstance(error, ClusterError):
        return ClusterError(
            error.text,
            subject=error.subject,
            phase=error.phase,
            status=error.status,
            reason=error.reason,
            remedy=error.remedy,
            changes=changes,
            denied=error.denied,
        )
    if isinstance(error, PlantonError):
        return ClusterError(str(error), phase=phase, remedy=_STAYS, changes=changes)
    # Not its text, which can quote what nobody has told the scrubber: a header, a body, a line of a kubeconfig.
    return ClusterError(
        f"this is a bug in planton: {type(error).__name__}{_place_of(error)}",
        phase=phase,
        remedy=_STAYS,
        changes=changes,
    )


def _place_of(error: Exception) -> str:
    """Says where an error was raised."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f" at {code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
    return place
