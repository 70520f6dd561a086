"""What a Deployment's status says about one process: the words of the real controller, without one.

Pure: from the object, the state of the process and the time to the status. Form and texts as in
https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go and
https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/progress.go
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
import json
from typing import Any

from sandbox._api import Object

_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
_DEFAULT_DEADLINE_SECONDS = 600


class Phase(enum.Enum):
    """How far the process of a Deployment has got."""

    ABSENT = "no replica is wanted"
    NOT_CREATED = "a pod could not be created"
    UNRUNNABLE = "a pod would exist but cannot run here"
    STARTING = "started, not ready yet, or waiting to be started again"
    READY = "past its start-up"


@dataclasses.dataclass(frozen=True)
class State:
    """The process of a Deployment as its status tells it.

    Attributes:
        phase: how far it has got.
        reason: for NOT_CREATED and UNRUNNABLE, the condition's reason.
        message: likewise, the condition's text.
    """

    phase: Phase
    reason: str = ""
    message: str = ""


def fingerprint(deployment: Object) -> str:
    """Return a text that changes with the pod template, annotations included, as a ReplicaSet's hash does.

    Args:
        deployment: the object.

    Returns:
        Ten hexadecimal digits.
    """
    template = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(template.encode()).hexdigest()[:10]


def replica_set(deployment: Object) -> str:
    """Return the name that the ReplicaSet of the present template would have.

    Args:
        deployment: the object.

    Returns:
        Name, as it appears in conditions.
    """
    return f"{deployment['metadata']['name']}-{fingerprint(deployment)}"


def wanted_replicas(deployment: Object) -> int:
    """Return how many replicas a Deployment asks for.

    Args:
        deployment: the object.

    Returns:
        The number; the API server writes its default of 1 into every object.
    """
    return int(deployment["spec"].get("replicas", 1))


def status(deployment: Object, state: State, now: datetime.datetime) -> Object:
    """Return the whole status of a Deployment.

    One process stands for all replicas: the operator knows no leader election, so more would fight each other.

    Args:
        deployment: the object with its present status, whose timestamps are kept where nothing changes.
        state: the process.
        now: the time, with a zone.

    Returns:
        The status. Counts of zero are absent, as the API server leaves them out.
    """
    wanted = wanted_replicas(deployment)
    ready = wanted if state.phase is Phase.READY else 0
    existing = 0 if state.phase in (Phase.ABSENT, Phase.NOT_CREATED) else wanted
    counts = dict(zip(_COUNTS, (existing, existing, ready, ready, wanted - ready), strict=True))
    old = {condition["type"]: condition for condition in deployment.get("status", {}).get("conditions", [])}
    conditions = [_available(state), _progressing(deployment, state, old.get("Progressing"), now)]
    if state.phase is Phase.NOT_CREATED:
        conditions.append(_condition("ReplicaFailure", True, state.reason, state.message))
    stamped = [_stamp(condition, old.get(condition["type"]), now) for condition in conditions]
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: count for name, count in counts.items() if count},
        "conditions": stamped,
    }


def status_patch(new: Object) -> Object:
    """Return a merge patch that leaves a Deployment with exactly this status.

    Args:
        new: result of `status`.

    Returns:
        Patch of the status; counts that are absent are removed.
    """
    return {**dict.fromkeys(_COUNTS), **new}


def _available(state: State) -> Object:
    if state.phase in (Phase.READY, Phase.ABSENT):
        return _condition("Available", True, "MinimumReplicasAvailable", "Deployment has minimum availability.")
    if state.phase is Phase.UNRUNNABLE:
        return _condition("Available", False, state.reason, state.message)
    return _condition(
        "Available", False, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    )


def _progressing(deployment: Object, state: State, old: Object | None, now: datetime.datetime) -> Object:
    name = replica_set(deployment)
    done = _condition(
        "Progressing", True, "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
    )
    if state.phase in (Phase.READY, Phase.ABSENT):
        return done
    if old is None:
        return _condition("Progressing", True, "NewReplicaSetCreated", f'Created new replica set "{name}"')
    if f'"{name}"' not in old["message"]:
        return _condition("Progressing", True, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    # A rollout that was finished stays finished when its pod fails later: only Available tells that.
    if old["reason"] == done["reason"] or not _timed_out(deployment, old, now):
        return old
    return _condition(
        "Progressing", False, "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
    )


def _timed_out(deployment: Object, progressing: Object, now: datetime.datetime) -> bool:
    seconds = int(deployment["spec"].get("progressDeadlineSeconds", _DEFAULT_DEADLINE_SECONDS))
    since = datetime.datetime.fromisoformat(progressing["lastUpdateTime"])
    return now > since + datetime.timedelta(seconds=seconds)


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": str(holds), "reason": reason, "message": message}


def _stamp(condition: Object, old: Object | None, now: datetime.datetime) -> Object:
    """Add times: of the last change of anything, and of the last change between true and false."""
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if old is None:
        return {**condition, "lastUpdateTime": time, "lastTransitionTime": time}
    if all(old.get(key) == condition[key] for key in ("status", "reason", "message")):
        return old
    changed = time if old["status"] != condition["status"] else old["lastTransitionTime"]
    return {**condition, "lastUpdateTime": time, "lastTransitionTime": changed}
