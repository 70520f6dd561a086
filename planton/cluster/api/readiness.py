"""What is known of whether an API server is ready, for whoever has to know whether its refusals count."""

from __future__ import annotations

import math


class Readiness:
    """Since when a server is known to be ready, and until when that is taken for granted. Safe for several threads."""

    def __init__(self) -> None:
        """Makes it: nothing is known."""
        # One value, so that no thread sees half of it.
        self._known = (math.inf, -math.inf)

    def forget(self) -> None:
        """Says that the server did not answer, or not well: it may be another process when it does again."""
        self._known = (math.inf, -math.inf)

    def note(self, now: float, seconds: float) -> None:
        """Says that the server is ready.

        Args:
            now: The time at which it was asked, in seconds.
            seconds: For how long nobody asks again.
        """
        start, end = self._known
        self._known = (start if start <= now <= end else now, max(now + seconds, end))

    def was_given(self, moment: float) -> bool:
        """Tells whether the server was ready.

        Args:
            moment: A time, in seconds.

        Returns:
            True when that is known.
        """
        start, end = self._known
        return start <= moment <= end
