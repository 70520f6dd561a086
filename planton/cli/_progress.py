"""Where long work has got to: one updating line on a terminal, nothing in a pipe."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from planton.cli._output import Console

if TYPE_CHECKING:
    from planton.cluster import Change, Plan, ProgressEvent

_READING = frozenset({"read", "plan", "wait", "status"})
"""Phases that write nothing."""
_TICK = 1.0
"""Seconds after which the time on the line is written anew, so that a long wait does not look dead."""


class Progress:
    """Shows progress events, and remembers what was written. A context manager; can be called from any thread."""

    def __init__(self, console: Console) -> None:
        """Makes the line; shows nothing yet.

        Args:
            console: Where to show it.
        """
        self._console = console
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._line = ""
        self._phase = ""
        self._done = 0
        self._since = time.monotonic()
        self._written: set[str] = set()

    def __enter__(self) -> Progress:
        """Starts to count the time, on a terminal."""
        if self._console.notices_on_terminal:
            self._ticker = threading.Thread(target=self._tick, name="planton-progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Takes the line away."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        self._console.transient("")

    def __call__(self, event: ProgressEvent) -> None:
        """Takes an event.

        Args:
            event: Where the work has got to.
        """
        with self._lock:
            if event.phase not in _READING:
                self._written.add(event.subject)
            if event.phase != self._phase:
                self._since, self._done = time.monotonic(), 0
            self._phase = event.phase
            # Threads report in any order; what is done stays done.
            self._done = max(self._done, event.done)
            number = f" {self._done}/{event.total}" if event.total else ""
            self._line = f"{event.phase}{number} {event.subject}".rstrip()
            self._show()

    @property
    def phase(self) -> str:
        """What was being done last; empty before the first event."""
        return self._phase

    def done_of(self, plan: Plan) -> tuple[Change, ...]:
        """Tells which changes of a plan were made, as far as it was reported.

        Args:
            plan: The plan that is being carried out.

        Returns:
            Those changes, in the order of the plan.
        """
        with self._lock:
            return tuple(change for change in plan.changes if change.subject in self._written)

    def _show(self) -> None:
        seconds = int(time.monotonic() - self._since)
        # In front, where a long line does not push it off the screen.
        self._console.transient(f"[{seconds:3d} s] {self._line}" if self._line else "")

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self._lock:
                self._show()
