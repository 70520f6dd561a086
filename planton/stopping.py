"""Whether the process was told to stop, and which requests are under way meanwhile.

A signal comes to the main thread, while others wait for a server that does not answer. What they need to know, and what
is told about them, stands here without any lock: a handler of signals may run while its own thread holds one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SECONDS = 7
"""How long requests that are under way are waited for then: whoever ends a container kills it after ten seconds."""


class Stopping:
    """The state of the process. There is one, STOPPING.

    Attributes:
        asked: Whether nothing shall be tried again any more.
        end: Time until which requests that are under way are waited for, as of time.monotonic().
        done: Gives in words what was done up to now; None where nothing is.
        permitted: Databases that are permitted to be deleted at this moment, which would be so for ever.
    """

    __slots__ = ("_under_way", "asked", "done", "end", "permitted")

    def __init__(self) -> None:
        """Makes it: nothing has been asked."""
        self._under_way: dict[int, bool] = {}
        self.asked = False
        self.end = 0.0
        self.done: Callable[[], str] | None = None
        self.permitted: set[str] = set()

    def ask(self) -> None:
        """Says that the process was told to stop."""
        self.end = time.monotonic() + SECONDS
        self.asked = True

    @property
    def is_over(self) -> bool:
        """Whether requests that are under way are not waited for any more."""
        return self.asked and time.monotonic() >= self.end

    def begins(self) -> None:
        """Says that this thread sends a request."""
        self._under_way[threading.get_ident()] = True

    def ends(self) -> None:
        """Says that it has been answered, or was given up."""
        self._under_way.pop(threading.get_ident(), None)

    @property
    def under_way(self) -> int:
        """Requests of other threads that are not answered yet."""
        own = threading.get_ident()
        return sum(one != own for one in list(self._under_way))

    def clear(self) -> None:
        """Begins anew, for another command in the same process."""
        self.asked = False
        self.done = None
        self.permitted.clear()


STOPPING = Stopping()
"""That of this process."""
