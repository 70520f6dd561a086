"""Where long work has got to: one updating line on a terminal, now and then a line in a log, nothing for short work."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from planton.cli._output import Console
from planton.stopping import STOPPING

if TYPE_CHECKING:
    from planton.cluster import Change, Plan, ProgressEvent

_READING = frozenset({"load", "read", "plan", "check", "backup", "wait", "status"})
"""Phases after whose events nothing of a plan is done yet."""
_CHANGING = frozenset({"created", "configured", "deleted"})
"""What an apply or a delete does something for."""
_RETRY = "retry"
"""Phase of the events that say that the server is waited for, whatever is being done."""
_TICK = 1.0
"""Seconds after which the time on the line is written anew, so that a long wait does not look dead."""
_OFTEN = 0.05
"""Seconds between two writes of the line at least: a terminal can be slower than the work."""
_LOGGED = 10.0
"""Seconds between two lines in a log."""
_LOGGED_WAITING = 60.0
"""Likewise while nothing has moved."""
_WINDOW = 10.0
"""Seconds back to which the rate is counted: what was fast an hour ago says nothing about what is left."""
_SURE = 2.0
"""Seconds of work from which on a rate means something."""
_POINTS = 3
"""Events from which on likewise."""
_STILL = 5.0
"""Seconds without any progress after which that is said, in place of a rate that says nothing about the rest."""


class Progress:
    """Shows how far work has got, and remembers what was written. A context manager; can be called from any thread."""

    def __init__(self, console: Console, *, after: float = 0) -> None:
        """Makes the line; shows nothing yet.

        Args:
            console: Where to show it.
            after: Seconds before anything is shown: for what hardly ever takes long.
        """
        self._after = after
        self._console = console
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._subject = ""
        self._phase = ""
        self._done = self._total = 0
        # The time on the line is that of the whole run: a person wants to know when they began to wait.
        self._clock = console.begun
        self._begun = self._since = self._shown = self._moved = time.monotonic()
        self._logged = self._since
        self._logged_state: tuple[str, int] = ("", 0)
        self._pace: deque[tuple[float, int]] = deque()
        self._written: set[str] = set()
        self._notice = ""
        self._is_slow = False

    def __enter__(self) -> Progress:
        """Starts to count the time."""
        self._logged = time.monotonic()
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
            if event.phase == _RETRY:
                # It says nothing of how far the work has got.
                self._notice = event.subject
                self._show(time.monotonic())
                return
            self._notice = ""
            if event.phase not in _READING:
                self._written.add(event.subject)
            self._take(event.phase, event.done, event.total, event.subject)

    def at(self, phase: str, done: int = 0, subject: str = "") -> None:
        """Says how far work has got whose end is not known.

        Args:
            phase: What is being done.
            done: How much of it is done.
            subject: With what.
        """
        with self._lock:
            self._take(phase, done, 0, subject)

    def _take(self, phase: str, done: int, total: int, subject: str) -> None:
        now = time.monotonic()
        is_new = phase != self._phase
        if is_new:
            self._since, self._done = now, 0
            self._pace.clear()
        # One pause says nothing about what is left; where each step takes so long, it does.
        was_slow, self._is_slow = self._is_slow, not is_new and now - self._moved >= _STILL
        if self._is_slow and not was_slow:
            self._pace.clear()
        self._phase, self._total, self._subject = phase, total, subject
        # Threads report in any order; what is done stays done.
        self._done = max(self._done, done)
        self._moved = now
        if not self._pace or now - self._pace[-1][0] >= _OFTEN:
            self._pace.append((now, self._done))
            while now - self._pace[0][0] > _WINDOW and len(self._pace) > _POINTS:
                self._pace.popleft()
        if is_new or now - self._shown >= _OFTEN:
            self._show(now)

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

    def so_far(self, plan: Plan) -> tuple[int, int]:
        """Counts without any lock, for a handler of signals, which may have come while this thread holds it.

        Args:
            plan: The plan that is being carried out.

        Returns:
            How many of its changes were made, and how many there are.
        """
        wanted = {change.subject for change in plan.changes if change.action in _CHANGING}
        return sum(subject in self._written for subject in wanted), len(wanted)

    def left_of(self, plan: Plan) -> tuple[Change, ...]:
        """Tells which changes of a plan were not made, as far as it was reported: the last few can have been.

        Args:
            plan: The plan that was being carried out.

        Returns:
            Those changes, in the order of the plan.
        """
        with self._lock:
            return tuple(
                change for change in plan.changes if change.action in _CHANGING and change.subject not in self._written
            )

    def _show(self, now: float) -> None:
        # Of what was told to stop nothing but its end is told.
        if now - self._begun < self._after or STOPPING.asked:
            return
        self._shown = now
        # The time in front, where a long line does not push it off the screen.
        self._console.transient(self._line(now))

    def _line(self, now: float) -> str:
        if not self._phase and not self._notice:
            return ""
        number = f" {self._done}/{self._total}" if self._total else f" {self._done}" if self._done else ""
        words = " ".join(
            part for part in (f"{self._phase}{number}", self._speed(now), self._notice or self._subject) if part
        )
        return f"[{int(now - self._clock):3d} s] {words}"

    def _speed(self, now: float) -> str:
        """Words the rate, and how long the rest of the phase takes at it; empty while that would be a guess."""
        if now - self._since < _SURE or self._notice:
            return ""
        if now - self._moved >= _STILL:
            return f"(nothing new for {span(now - self._moved)})" if self._done else ""
        if len(self._pace) < _POINTS:
            return ""
        begin, before = self._pace[0]
        rate = (self._done - before) / max(now - begin, _OFTEN)
        if rate <= 0:
            return ""
        left = f", {span((self._total - self._done) / rate)} left" if self._total > self._done else ""
        pace = f"{rate:,.{0 if rate >= 10 else 1}f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min"
        return f"({pace}{left})"

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self._lock:
                now = time.monotonic()
                if self._console.notices_on_terminal:
                    self._show(now)
                else:
                    self._log(now)

    def _log(self, now: float) -> None:
        state = (self._phase, self._done)
        pause = _LOGGED_WAITING if state == self._logged_state else _LOGGED
        is_said = bool(self._phase or self._notice) and not STOPPING.asked
        if is_said and now - self._logged >= pause:
            self._logged, self._logged_state = now, state
            self._console.plain(self._line(now))


def span(seconds: float) -> str:
    """Writes how long something takes, for people.

    Args:
        seconds: Seconds.

    Returns:
        Such as `12 s`, `3 min` or `1 h 20 min`.
    """
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
