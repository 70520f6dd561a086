"""What one run of `sync-credentials` has done, and the error that is made of what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from planton.cluster.api.server import joined
from planton.cluster.changes import Change
from planton.cluster.synchronising.sync_state import SyncState
from planton.errors import ClusterError, ConflictError


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What one run has done.

    Attributes:
        state: What it went by; None when it did not get as far.
        changes: One for each object that was looked at, in the order in which it was.
        failures: What went wrong; everything else was done all the same.
        spaces: Namespaces whose copies are right now.
        failed_spaces: Namespaces with a database whose copies are not.
    """

    state: SyncState | None
    changes: tuple[Change, ...]
    failures: tuple[ClusterError, ...]
    spaces: frozenset[str]
    failed_spaces: frozenset[str]

    def check(self) -> None:
        """Raises what went wrong.

        Raises:
            ConflictError: Secrets of others stand where copies belong, and nothing else went wrong.
            ClusterError: Something went wrong; `changes` on it says what was done.
        """
        if self.failures:
            raise failure_of(self.failures, self.changes, self._note)

    @property
    def _note(self) -> str:
        state = self.state
        if state is None or not self.failed_spaces or state.platform.generation <= state.told:
            return ""
        return (
            f"Pods are told of the new credentials (generation {state.platform.generation}) only when every copy is "
            "written: until then they go on with the old ones, which must stay valid."
        )


def failure_of(failures: Iterable[ClusterError], changes: Iterable[Change], note: str = "") -> ClusterError:
    """Makes one error of all that went wrong.

    Args:
        failures: At least one.
        changes: What was done.
        note: What else to know.

    Returns:
        The error, with the words of all.
    """
    told = list({str(one): one for one in failures}.values())
    if len(told) == 1 and not note:
        told[0].changes = tuple(changes)
        return told[0]
    conflicts = [one for failure in told if isinstance(failure, ConflictError) for one in failure.conflicts]
    if all(isinstance(one, ConflictError) for one in told):
        return ConflictError(conflicts, changes=tuple(changes), remedy=_lines(told[0].remedy, note))
    first = joined(told)
    if not isinstance(first, ClusterError):
        raise first
    return ClusterError(
        first.text,
        subject=first.subject,
        phase=first.phase,
        status=first.status,
        reason=first.reason,
        remedy=_lines(first.remedy, note),
        changes=tuple(changes),
        denied=[need for one in told for need in one.denied],
    )


def _lines(*texts: str) -> str:
    return "\n".join(text for text in texts if text)
