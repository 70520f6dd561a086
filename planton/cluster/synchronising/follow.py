"""`sync-credentials --watch`: does at once what a change asks for, and everything again at an interval."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from planton.cluster.api.connection import Connection
from planton.cluster.api.resources import POSTGRESQL, SECRET, Key
from planton.cluster.api.server import Server
from planton.cluster.api.watch import Event, Watcher
from planton.cluster.changes import Change
from planton.cluster.synchronising.sync_result import Synchronised
from planton.cluster.synchronising.sync_state import PHASE, source_secrets
from planton.cluster.synchronising.synchronise import Synchroniser
from planton.errors import ClusterError, PlantonError

# A controller that writes two Secrets shall have written both.
_SETTLE = 1.0
_FIRST_PAUSE = 1.0
_CHANCE = random.SystemRandom()


class Follower:
    """Keeps the credentials where they belong until it is told to stop."""

    def __init__(
        self,
        connection: Connection,
        operator_namespace: str | None,
        *,
        interval: float,
        on_change: Callable[[Change], None],
        on_error: Callable[[PlantonError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes the value; asks nothing yet.

        Args:
            connection: The cluster.
            operator_namespace: Namespace of the operator; None finds the only one.
            interval: Seconds after which everything is looked at again.
            on_change: Is told each change as soon as it is made, by one thread at a time.
            on_error: Is told what goes wrong, each time that it is another than before.
            clock: Gives the time in seconds.
        """
        self._server = Server(connection, PHASE)
        self._synchroniser = Synchroniser(connection, operator_namespace, on_change=self._changed)
        self._tell = on_change
        self._interval = interval
        self._tell_error = on_error
        self._clock = clock
        self._lock = threading.Condition()
        self._due = clock()
        self._asked: set[str] = set()
        self._known: set[str] = set()
        self._ended = False
        self._pause = _FIRST_PAUSE
        self._gone: set[str] = set()
        self._told: set[str] = set()
        self._skipped: set[str] = set()
        self._watch_told: dict[str, str] = {}
        self._watchers: dict[Key | None, Watcher] = {}

    def run(self) -> None:
        """Works until stop is called. Whatever goes wrong is told, and tried again."""
        self._watch(None)
        try:
            while (work := self._next()) is not None:
                if work:
                    self._some(work)
                else:
                    self._all()
        finally:
            for one in self._watchers.values():
                one.stop()

    def stop(self) -> None:
        """Ends run, when what it does at the moment is done. Can be called from any thread."""
        with self._lock:
            self._ended = True
            self._lock.notify_all()

    def _next(self) -> set[str] | None:
        """Waits for something to do: some namespaces; everything, which is an empty set; None at the end."""
        with self._lock:
            while not self._ended:
                left = self._due - self._clock()
                if left <= 0:
                    self._asked.clear()
                    self._gone.clear()
                    self._due = self._clock() + self._interval
                    return set()
                if self._asked:
                    asked, self._asked = self._asked, set()
                    return asked
                self._lock.wait(left)
            return None

    def _all(self) -> None:
        done = self._attempt(self._synchroniser.run)
        if done is None or done.state is None:
            return
        with self._lock:
            # What has failed is tried with everything else, and not at each event of its databases.
            self._known = set(done.spaces | done.failed_spaces) - self._gone
        self._skipped &= {change.subject for change in done.changes if change.action == "skipped"}
        wanted = source_secrets(done.state.platform)
        for key in wanted:
            self._watch(key)
        for gone in [key for key in self._watchers if key is not None and key not in wanted]:
            self._watchers.pop(gone).stop()

    def _some(self, spaces: set[str]) -> None:
        done = self._attempt(lambda: self._synchroniser.copy_to(spaces))
        if done is not None:
            with self._lock:
                self._known |= (done.spaces | done.failed_spaces) - self._gone

    def _attempt(self, work: Callable[[], Synchronised]) -> Synchronised | None:
        errors: list[PlantonError] = []
        done = None
        try:
            done = work()
            errors += done.failures
        except PlantonError as error:
            errors.append(error)
        for one in errors:
            if str(one) not in self._told:
                self._tell_error(one)
        if errors:
            self._again_soon()
        else:
            self._pause = _FIRST_PAUSE
        # What is mended and breaks again is told again.
        self._told = {str(one) for one in errors}
        return done

    def _again_soon(self) -> None:
        with self._lock:
            pause = min(self._pause * _CHANCE.uniform(0.75, 1.25), self._interval)
            self._due = min(self._due, self._clock() + pause)
        self._pause = min(self._pause * 2, self._interval)

    def _changed(self, change: Change) -> None:
        # A namespace can be going away for days.
        if change.action == "skipped":
            if change.subject in self._skipped:
                return
            self._skipped.add(change.subject)
        self._tell(change)

    def _watch(self, key: Key | None) -> None:
        """Watches databases (None), or one Secret."""
        if key in self._watchers:
            return
        watcher = Watcher(
            self._server,
            POSTGRESQL if key is None else SECRET,
            namespace=key.namespace if key else "",
            name=key.name if key else "",
            on_event=self._database if key is None else self._secret,
            on_gap=self._gap,
            on_error=self._watch_failed,
        )
        self._watchers[key] = watcher
        watcher.start()

    def _database(self, event: Event) -> None:
        with self._lock:
            if event.gone:
                # Its namespace may go too, and come again.
                self._known.discard(event.namespace)
                self._gone.add(event.namespace)
            elif event.namespace not in self._known:
                self._asked.add(event.namespace)
                self._lock.notify_all()

    def _secret(self, event: Event) -> None:
        self._soon()

    def _gap(self) -> None:
        self._soon()

    def _soon(self) -> None:
        with self._lock:
            self._due = min(self._due, self._clock() + _SETTLE)
            self._lock.notify_all()

    def _watch_failed(self, error: ClusterError) -> None:
        with self._lock:
            if self._watch_told.get(error.subject) == str(error):
                return
            self._watch_told[error.subject] = str(error)
        self._tell_error(error)
