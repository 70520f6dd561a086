"""How long an object is read and written again while others write it, too, and what is said when that does not end."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from planton.errors import ClusterError
from planton.stopping import STOPPING

_LEAST = 10
_SECONDS = 20.0
# What goes on at once meets whoever writes in a rhythm at the same place of it each time.
_AT_ONCE = 3
_PAUSE = 0.05
_CHANCE = random.SystemRandom()

# Without its content, which may be keys.
_RACE = (
    "it changes faster than it can be written",
    "Find out what writes to it: `kubectl get --watch --show-managed-fields -o "
    "jsonpath='{.metadata.managedFields[*].manager}'` names all that do. Then run the same command again.",
)
_NO_RACE = (
    "it is refused as changed meanwhile, and it has not changed",
    "Something says so that stands between the server and what it keeps, such as an admission webhook. Find out which "
    "one, then run the same command again.",
)


class Rounds:
    """Counts the rounds of reading an object and writing it on the condition that it is still that.

    Others may write it all the time, such as a controller that keeps its status there: then most rounds are in vain.

    Attributes:
        is_race: Whether it was another one at each look. Else something refuses it as changed that has not changed,
            such as an admission webhook that answers with 409.
    """

    def __init__(self) -> None:
        """Begins to count."""
        self.is_race = True
        self._number = 0
        self._end = time.monotonic() + _SECONDS
        self._versions: set[str] = set()

    def again(self) -> bool:
        """Begins a round, after a short pause where several were in vain.

        Returns:
            False where there were enough, and for long enough: where it is no race, and where the process was told to
            stop, ten are.
        """
        is_over = STOPPING.asked or not self.is_race or time.monotonic() > self._end
        if self._number >= _LEAST and is_over:
            return False
        if self._number > _AT_ONCE:
            time.sleep(_CHANCE.uniform(0.0, _PAUSE))
        self._number += 1
        return True

    def saw(self, live: Mapping[str, Any] | None) -> None:
        """Notes what a look has found.

        Args:
            live: The object; None where there is none.
        """
        version = str(((live or {}).get("metadata") or {}).get("resourceVersion") or "")
        self.is_race = version not in self._versions
        self._versions.add(version)

    def failed(self, subject: str, phase: str) -> ClusterError:
        """Says that an object could not be written in all rounds.

        Args:
            subject: `Kind/namespace/name`.
            phase: What was being done.

        Returns:
            The error.
        """
        text, remedy = _RACE if self.is_race else _NO_RACE
        return ClusterError(text, subject=subject, phase=phase, status=409, reason="Conflict", remedy=remedy)
