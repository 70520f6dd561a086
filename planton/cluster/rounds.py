"""How long an object is read and written again while others write it, too, and what is said when that does not end."""

from __future__ import annotations

import random
import time

from planton.errors import ClusterError

_LEAST = 10
_SECONDS = 20.0
# What goes on at once meets whoever writes in a rhythm at the same place of it each time.
_AT_ONCE = 3
_PAUSE = 0.05
_CHANCE = random.SystemRandom()


class Rounds:
    """Counts the rounds of reading an object and writing it on the condition that it is still that.

    Others may write it all the time, such as a controller that keeps its status there: then most rounds are in vain.
    """

    def __init__(self) -> None:
        """Begins to count."""
        self._number = 0
        self._end = time.monotonic() + _SECONDS

    def again(self) -> bool:
        """Begins a round, after a short pause where several were in vain.

        Returns:
            False where there were enough, and for long enough.
        """
        if self._number >= _LEAST and time.monotonic() > self._end:
            return False
        if self._number > _AT_ONCE:
            time.sleep(_CHANCE.uniform(0.0, _PAUSE))
        self._number += 1
        return True


def too_fast(subject: str, phase: str) -> ClusterError:
    """Says that an object could not be written, because others always came first.

    Args:
        subject: `Kind/namespace/name`.
        phase: What was being done.

    Returns:
        The error.
    """
    return ClusterError(
        "it changes faster than it can be written",
        subject=subject,
        phase=phase,
        status=409,
        reason="Conflict",
        remedy=(
            "Find out what writes to it (`kubectl get --watch --show-managed-fields -o yaml` shows every write and its "
            "manager), then run the same command again."
        ),
    )
