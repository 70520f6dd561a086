"""What ended an apply or a delete, with what was done before: that must never be lost."""

from __future__ import annotations

from collections.abc import Sequence

from planton.cluster.api.mask import Scrubber
from planton.cluster.changes import Change
from planton.errors import ClusterError, ConflictError, PlantonError, WaitError

_STAYS = "What was done stays. The same command goes on from there."


def with_changes(
    error: Exception, changes: Sequence[Change], *, phase: str, waited: float, scrubber: Scrubber
) -> ClusterError:
    """Gives an error that says what was done before it.

    Args:
        error: What ended the work.
        changes: What was done, in order.
        phase: What was being done.
        waited: How long was waited, in seconds.
        scrubber: Knows the credentials.

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
    text = scrubber.text(f"{type(error).__name__}: {error}")
    return ClusterError(f"this is a bug in planton: {text}", phase=phase, remedy=_STAYS, changes=changes)
