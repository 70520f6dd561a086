"""Waits, each with a deadline, each naming everything that is not ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CRD, POSTGRESQL, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.errors import WaitError

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0

CRD_KEY = Key(CRD, "", "postgresqls.acid.zalan.do")
"""The CRD that the operator registers itself."""

# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/apis/acid.zalan.do/v1/const.go
RUNNING = "Running"
FAILED = frozenset({"CreateFailed", "UpdateFailed", "SyncFailed", "Invalid"})


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that is not ready.

    Attributes:
        line: `Kind/namespace/name: what is missing`.
        final: Whether waiting on is of no use.
    """

    line: str
    final: bool = False


class Deadline:
    """A point in time after which nothing is waited for any more.

    Attributes:
        waited: Seconds since the clock was started, as of the end of the last wait.
    """

    __slots__ = ("_clock", "_seconds", "_sleep", "_start", "waited")

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Starts the clock.

        Args:
            seconds: How long all waits together may take.
            clock: Gives the time in seconds.
            sleep: Waits a number of seconds.
        """
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self.waited = 0.0

    @property
    def left(self) -> float:
        """Seconds until nothing is waited for any more; 0 when that is now."""
        return max(0.0, self._start + self._seconds - self._clock())

    def restart(self) -> None:
        """Starts the clock again, after work that has a limit of its own."""
        self._start = self._clock()

    def wait_for(self, look: Callable[[], Sequence[Pending]], report: Callable[[str], None]) -> None:
        """Looks again and again until nothing is pending.

        Args:
            look: Gives what is not ready.
            report: Is told what is waited for.

        Raises:
            WaitError: Something was not ready in time, or will never be.
        """
        pause = _FIRST_PAUSE
        told: tuple[str, ...] = ()
        while True:
            pending = _looked(look)
            self.waited = round(self._clock() - self._start, 1)
            if not pending:
                return
            lines = tuple(one.line for one in pending)
            left = self._start + self._seconds - self._clock()
            if left <= 0 or any(one.final for one in pending):
                raise WaitError(lines, seconds=self.waited)
            if lines != told:
                report("; ".join(lines))
                told = lines
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _looked(look: Callable[[], Sequence[Pending]]) -> Sequence[Pending]:
    """Looks; a server that is away for a while is one more thing to wait for, until the deadline."""
    try:
        return look()
    except ApiError as error:
        if not error.is_passing:
            raise
        return [Pending(f"the API server: {error.text}")]


def pending_crd(server: Server) -> list[Pending]:
    """Tells what is missing until databases can be created.

    Args:
        server: The API server.

    Returns:
        Empty when the CRD is established and the server serves it.
    """
    # Established is said a moment before it is served. Besides, whoever applies databases beside an operator that stays
    # as it is may list them everywhere, and need not be allowed to look at the CRD.
    if server.list(POSTGRESQL, metadata_only=True) is not None:
        return []
    crd = server.get(CRD_KEY)
    if crd is None:
        return [Pending(f"{CRD_KEY.subject}: the operator has not registered it yet")]
    conditions = {one["type"]: one["status"] for one in (crd.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established") != "True":
        return [Pending(f"{CRD_KEY.subject}: not established yet")]
    return [Pending(f"{CRD_KEY.subject}: established, and not served yet")]


def pending_rollout(server: Server, key: Key) -> list[Pending]:
    """Tells what is missing until a Deployment runs as it is written.

    Args:
        server: The API server.
        key: Identity of the Deployment.

    Returns:
        Empty when all its pods are of the newest template and available.
    """
    deployment = server.get(key)
    if deployment is None:
        return [Pending(f"{key.subject}: not there any more", final=True)]
    return rollout(key.subject, deployment)


def rollout(subject: str, deployment: Mapping[str, Any]) -> list[Pending]:
    """Reads a Deployment's status, as `kubectl rollout status` does.

    https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go

    Args:
        subject: `Kind/namespace/name`.
        deployment: The Deployment.

    Returns:
        What is missing; empty when it is rolled out.
    """
    status = deployment.get("status") or {}
    if int(deployment["metadata"].get("generation", 0)) > int(status.get("observedGeneration", 0)):
        return [Pending(f"{subject}: its change has not been seen yet")]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    progressing = conditions.get("Progressing") or {}
    detail = "".join(
        f" ({conditions[name].get('message', '')})"
        for name in ("ReplicaFailure", "Available")
        if name in conditions and conditions[name]["status"] == ("True" if name == "ReplicaFailure" else "False")
    )
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return [Pending(f"{subject}: its rollout has failed{detail}", final=True)]
    wanted = int(deployment["spec"].get("replicas", 1))
    updated, there = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    available = int(status.get("availableReplicas", 0))
    if updated < wanted:
        return [Pending(f"{subject}: {updated} of {wanted} pods are new{detail}")]
    if there > updated:
        return [Pending(f"{subject}: {there - updated} old pods are still there{detail}")]
    if available < updated:
        return [Pending(f"{subject}: {available} of {updated} pods are available{detail}")]
    return []


@dataclass(frozen=True, slots=True)
class AwaitedDatabase:
    """A database that shall run.

    Attributes:
        key: Identity of its custom resource.
        after: resourceVersion that the operator must have gone beyond; empty when what it says now counts.
    """

    key: Key
    after: str = ""


def pending_databases(server: Server, awaited: Sequence[AwaitedDatabase]) -> list[Pending]:
    """Tells which databases the operator does not report as running.

    Args:
        server: The API server.
        awaited: The databases.

    Returns:
        One for each that does not run; final where the operator has given up.
    """
    objects = results(in_parallel(lambda one: server.get(one.key), awaited))
    pending = []
    for one, obj in zip(awaited, objects, strict=True):
        if obj is None:
            pending.append(Pending(f"{one.key.subject}: not there any more", final=True))
            continue
        # The operator says Updating, then Running: until it has said anything, the old word stands there.
        if one.after and obj["metadata"].get("resourceVersion") == one.after:
            pending.append(Pending(f"{one.key.subject}: the operator has not seen the change yet"))
            continue
        word = str((obj.get("status") or {}).get("PostgresClusterStatus") or "")
        if word != RUNNING:
            said = f"the operator reports {word}" if word else "the operator has not reported anything yet"
            pending.append(Pending(f"{one.key.subject}: {said}", final=word in FAILED))
    return pending
