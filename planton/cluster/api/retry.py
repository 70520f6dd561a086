"""When a request is sent again, how long that goes on, and when it is given up for everybody.

One connection has one `Patience`. It knows what no single request can: since when the server has not answered anybody.
When that is too long, whoever waits is told at once, and what comes after is not tried at all for a while: three
thousand objects for a dead server end as soon as one does.

Pauses have full jitter, between nothing and a limit that doubles: clients that a server has lost together would come
back together otherwise. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from planton.cluster.api.readiness import Readiness
from planton.stopping import STOPPING

# What the API server passes on of whom it asks itself, with status 500: etcd that is killed or has no leader, and an
# admission webhook that does not answer, after which nothing is written. k8s.io/apiserver v0.36.3,
# pkg/endpoints/handlers/responsewriters/status.go (ErrorToAPIStatus), pkg/util/webhook/error.go (ErrCallingWebhook).
_BEHIND = re.compile(
    r"etcdserver|etcdclient: no available endpoints|transport is closing|failed calling webhook|"
    r"rpc error: code = (?:Unavailable|Unknown|Canceled|DeadlineExceeded|ResourceExhausted|Aborted)"
)
# What etcd says to an object beyond 1.5 MiB, and its client to one beyond 2 MiB: k8s.io/apiserver v0.36.3,
# pkg/endpoints/handlers/rest.go (isTooLargeError), which passes both on with status 500.
_TOO_LARGE = re.compile(r"etcdserver: request is too large|trying to send message larger than max")
# Of admission, for as long as it has not read what it goes by: k8s.io/apiserver v0.36.3,
# pkg/admission/plugin/namespace/lifecycle/admission.go (Admit). As a refusal, with status 403.
_NOT_YET = "not yet ready to handle request"
NO_CONNECTION = "NoConnection"
"""Reason of an error without an answer."""

BAD_ANSWER = "BadAnswer"
"""Reason of an error by an answer that is none of an API server."""

NO_PAGE = "NoPage"
"""Reason of `404 page not found`, which an API server says in plain text, and many a proxy, too."""

FAILED_INSIDE = "FailedInside"
"""Reason of a status 500 that an API server gives in plain text."""

SECONDS = 60.0
"""How long a server that has answered before is waited for: a control plane that restarts is back by then."""

_CONNECT_SECONDS = 5.0
# Longer than any admission webhook may take (30 s, of which the API server allows no more); the server itself ends a
# request after 60 s (--request-timeout of kube-apiserver).
_READ_SECONDS = 32.0
# A server that has never answered is more likely the wrong one than one that restarts.
_FIRST_READ_SECONDS = 15.0
_FIRST_ATTEMPTS = 2
# An answer that comes byte by byte is never silent: this bounds it as a whole.
_WHOLE_SECONDS = 120.0
_SHORTEST_READ = 5.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
# What a server asks for is done up to here; beyond it, it is asked all the same whether it is back.
_LONGEST_ASKED = 20.0
# So that a clock that stands still in a test, or pauses of nothing, do not make a storm.
_MOST_ATTEMPTS = 30
# Between two looks whether a server is back that was given up, each by one request alone.
_NEXT_LOOK = 1.0
# How much longer than for a server that serves nobody one request goes on that alone is not served.
_ALONE = 1.25
# Between two looks whether the process was told to stop.
_SLICE = 0.1
CREDENTIALS_SECONDS = 1.0
"""Between a token that has expired and the next one, where an agent writes it."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause in a refusal of the server.

    Attributes:
        reason: Such as `FieldManagerConflict`.
        message: What the server says.
        field: Path of the field, such as `.spec.replicas`.
    """

    reason: str
    message: str
    field: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        status: HTTP status, 0 without an answer.
        reason: Kubernetes' reason, or a word of ours.
        text: What the server said, or why there is no answer.
        causes: Details of a refusal.
        retry_after: Seconds that the server asks to wait.
        may_have_arrived: Whether the server may have done what was asked.
        not_found: Name and kind that a Status NotFound is about, empty where it does not say; None for anything else.
    """

    status: int
    reason: str
    text: str
    causes: tuple[Cause, ...] = ()
    retry_after: float | None = None
    may_have_arrived: bool = True
    not_found: tuple[str, str] | None = None

    @property
    def is_passing(self) -> bool:
        """Whether another attempt may succeed."""
        if self.status == 500:
            if self.is_too_large:
                return False
            # It is also what the server says to an unknown field in an apply.
            is_told = self.retry_after is not None or self.reason in ("ServerTimeout", FAILED_INSIDE)
            return is_told or bool(_BEHIND.search(self.text))
        if self.status == 403:
            return self.text.endswith(_NOT_YET)
        return self.status in (429, 502, 503, 504) or self.reason == NO_CONNECTION

    @property
    def is_too_large(self) -> bool:
        """Whether an object is larger than what the cluster keeps."""
        return self.status == 413 or (self.status == 500 and bool(_TOO_LARGE.search(self.text)))


@dataclass(frozen=True, slots=True)
class _GivenUp:
    """What was given up for everybody, and when it may be looked at again."""

    failure: Failure
    since: float
    next_look: float


class Patience:
    """How long a connection bears with a server that does not answer. Safe for several threads."""

    def __init__(
        self,
        *,
        seconds: float = SECONDS,
        silence: float = _READ_SECONDS,
        whole: float = _WHOLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """Makes it.

        Args:
            seconds: How long a server that has answered before is waited for.
            silence: Seconds without a byte after which an attempt has failed.
            whole: Seconds after which an answer has to be there, slow as it may come.
            clock: Gives the time in seconds.
            sleep: Waits a number of seconds; None for a wait that ends when another request gives up.
            chance: Gives the jitter.
        """
        self._seconds = seconds
        self._silence = silence
        self._whole = whole
        self._clock = clock
        self._sleep = sleep
        self._chance = chance or random.SystemRandom()
        self.readiness = Readiness()
        self._changed = threading.Condition()
        self._bounds: list[float] = []
        self._reports: list[Callable[[str], None]] = []
        self._has_answered = False
        self._last_good = clock()
        self._down_since: float | None = None
        self._given_up: _GivenUp | None = None
        self._told = False

    @contextmanager
    def bounded(self, seconds: float, report: Callable[[str], None] | None = None) -> Iterator[None]:
        """Waits no longer for the server than a command may wait for anything.

        Args:
            seconds: The command's timeout.
            report: Is told, once for each time, that the server is waited for.

        Yields:
            Nothing; the bound holds inside of the block, for all threads.
        """
        with self._changed:
            self._bounds.append(seconds)
            if report is not None:
                self._reports.append(report)
        try:
            yield
        finally:
            with self._changed:
                self._bounds.remove(seconds)
                if report is not None:
                    self._reports.remove(report)

    @property
    def limit(self) -> float:
        """How long a server is waited for now, in seconds."""
        return min([self._seconds, *self._bounds])

    def begin(self) -> Attempts:
        """Begins a request.

        Returns:
            Its attempts.
        """
        return Attempts(self)

    # What follows is for Attempts.

    def given_up(self) -> Failure | None:
        """Tells why a request need not be tried; None when it shall be, if only to see whether the server is back."""
        with self._changed:
            if self._given_up is None:
                return None
            if self._clock() < self._given_up.next_look:
                return self._given_up.failure
            self._given_up = replace(self._given_up, next_look=self._clock() + _NEXT_LOOK)
            return None

    def timeout(self, started: float) -> tuple[float, float]:
        """Gives the seconds to connect, and to read, of an attempt of a request that began at a time of `now`."""
        with self._changed:
            left = self.limit - (self._clock() - (self._down_since or started))
            read = min(self._silence, max(left, _SHORTEST_READ))
            if not self._has_answered:
                read = min(read, _FIRST_READ_SECONDS)
            return min(_CONNECT_SECONDS, read), read

    def whole(self) -> float:
        """Gives the seconds that one answer may take from its first byte to its last."""
        return max(self._silence, min([self._whole, *self._bounds]))

    def now(self) -> float:
        """Gives the time of the clock that all of this goes by, in seconds."""
        return self._clock()

    def answered(self, started: float = math.inf) -> None:
        """Notes that the server has answered: whoever waits for it, waits anew.

        Args:
            started: When it was asked; what was given up after that stays so, since the answer may be older.
        """
        with self._changed:
            self._has_answered = True
            self._last_good = self._clock()
            self._down_since = None
            if self._given_up is not None and started >= self._given_up.since:
                self._given_up = None
            self._told = False

    def end_for_all(self, failure: Failure) -> None:
        """Gives up for everybody, unless another request has done so."""
        with self._changed:
            if self._given_up is None:
                self._give_up(failure, self._clock())

    def pause(self, failure: Failure, number: int, *, begun: float, started: float) -> bool:
        """Waits before the next attempt.

        Args:
            failure: How the last one failed.
            number: How many there were.
            begun: When the first one began.
            started: When the last one began.

        Returns:
            False when there shall be no other.
        """
        self.readiness.forget()
        if STOPPING.asked:
            return False
        with self._changed:
            if failure.status:
                self._has_answered = True
            if self._down_since is None:
                self._down_since = max(started, self._last_good)
            if not self._has_answered and number >= _FIRST_ATTEMPTS:
                return False
            now = self._clock()
            left = self.limit - (now - self._down_since)
            if left <= 0 and self._given_up is None:
                self._give_up(failure, now)
            # Where others are served meanwhile it is about this request alone; where none is, all end by the above: one
            # that failed first, while what others had asked before was still answered, too.
            if now - self._last_good < (_ALONE - 1.0) * self.limit:
                left = min(left, _ALONE * self.limit - (now - begun))
            if left <= 0 or number >= _MOST_ATTEMPTS or self._given_up is not None:
                return False
            seconds = min(self._seconds_of(failure, number), left)
            reports, self._told = ([] if self._told else list(self._reports)), True
            more = _FIRST_ATTEMPTS - number
            is_first = not self._has_answered
            times = "once" if more == 1 else f"{more} times"
            how = f"{times}, since it has never answered" if is_first else f"for up to {left:.0f} s"
        # Never the server's own words: this is not scrubbed.
        words = f"HTTP status {failure.status}" if failure.status else failure.text
        for report in reports:
            report(f"the API server does not do its work ({words}): trying again {how}")
        return self.wait(seconds)

    def was_given_up_for_another(self, failure: Failure) -> bool:
        """Tells whether a request ended only because another one did.

        Args:
            failure: How its own last attempt failed.

        Returns:
            True when what was given up for everybody is not this.
        """
        with self._changed:
            return self._given_up is not None and self._given_up.failure is not failure

    def wait(self, seconds: float) -> bool:
        """Waits.

        Args:
            seconds: How long.

        Returns:
            False when another request has given up meanwhile, or the process was told to stop.
        """
        if self._sleep is not None:
            self._sleep(seconds)
            return not STOPPING.asked
        end = time.monotonic() + seconds
        with self._changed:
            while not STOPPING.asked and (left := end - time.monotonic()) > 0:
                # In slices: a handler of signals can wake nobody up.
                if self._changed.wait_for(lambda: self._given_up is not None, min(left, _SLICE)):
                    return False
        return not STOPPING.asked

    def _give_up(self, failure: Failure, now: float) -> None:
        self._given_up = _GivenUp(failure, now, now + _NEXT_LOOK)
        self._changed.notify_all()

    def _seconds_of(self, failure: Failure, number: int) -> float:
        usual = self._chance.uniform(0.0, min(_FIRST_PAUSE * 2.0 ** (number - 1), _LONGEST_PAUSE))
        asked = failure.retry_after
        if asked is None or not math.isfinite(asked) or asked <= 0.0:
            return usual
        # All that were sent away together shall not come back in the same moment.
        return min(asked, _LONGEST_ASKED) + self._chance.uniform(0.0, min(0.1 * asked, 1.0))


class Attempts:
    """The attempts of one request.

    Attributes:
        number: How many there were.
        may_have_arrived: Whether one of those that failed may have done what was asked.
        is_echo: Whether the request ended because another one has given up: that one says why.
    """

    def __init__(self, patience: Patience) -> None:
        """Begins.

        Args:
            patience: That of the connection.
        """
        self._patience = patience
        self._begun = self._started = patience.now()
        self.number = 0
        self.may_have_arrived = False
        self.is_echo = False

    def refusal(self) -> Failure | None:
        """Tells why not even one attempt is made; None when one is."""
        failure = self._patience.given_up()
        self.is_echo = failure is not None
        return failure

    def next(self) -> tuple[float, float]:
        """Begins an attempt.

        Returns:
            Seconds to connect, and seconds without a byte.
        """
        self.number += 1
        self._started = self._patience.now()
        return self._patience.timeout(self._started)

    @property
    def whole(self) -> float:
        """Gives the seconds that one answer may take from its first byte to its last."""
        return self._patience.whole()

    @property
    def limit(self) -> float:
        """Seconds for which the server is waited for."""
        return self._patience.limit

    @property
    def seconds(self) -> float:
        """Seconds since the first attempt began."""
        return self._patience.now() - self._begun

    def answered(self) -> None:
        """Notes that the server did what was asked, or refused it for a reason of its own."""
        self._patience.answered(self._started)

    def again(self, failure: Failure) -> bool:
        """Waits for the next attempt.

        Args:
            failure: How the last one failed, in a way that may pass.

        Returns:
            False when there shall be no other.
        """
        self.may_have_arrived = self.may_have_arrived or failure.may_have_arrived
        if self._patience.pause(failure, self.number, begun=self._begun, started=self._started):
            return True
        self.is_echo = self._patience.was_given_up_for_another(failure)
        return False

    def again_soon(self) -> bool:
        """Waits a moment, for whoever writes new credentials.

        Returns:
            False when another request has given up meanwhile.
        """
        return self._patience.wait(CREDENTIALS_SECONDS)

    def end_for_all(self, failure: Failure) -> None:
        """Gives up for everybody.

        Args:
            failure: What nobody needs to try any more.
        """
        self._patience.end_for_all(failure)
        self.is_echo = self._patience.was_given_up_for_another(failure)
