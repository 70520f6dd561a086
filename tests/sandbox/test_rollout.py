"""What a Deployment's status says, without any process."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sandbox._rollout import Phase, State, fingerprint, status, status_patch

_NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
_LATER = _NOW + datetime.timedelta(seconds=30)
_MUCH_LATER = _NOW + datetime.timedelta(seconds=601)


def _deployment(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "operator", "generation": 3}, "spec": {"replicas": 1, "template": {}, **spec}}


def _after(deployment: dict[str, Any], phase: Phase, now: datetime.datetime = _NOW) -> dict[str, Any]:
    return {**deployment, "status": status(deployment, State(phase), now)}


def _condition(deployment: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in deployment["status"]["conditions"] if c["type"] == kind)
    return found


@pytest.mark.parametrize(
    ("phase", "counts"),
    [
        (Phase.ABSENT, {}),
        (Phase.NOT_CREATED, {"unavailableReplicas": 1}),
        (Phase.UNRUNNABLE, {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}),
        (Phase.STARTING, {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}),
        (Phase.READY, {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}),
    ],
)
def test_counts(phase: Phase, counts: dict[str, int]) -> None:
    """Counts of zero are absent, and the generation is always that of the object."""
    deployment = _deployment(replicas=0) if phase is Phase.ABSENT else _deployment()
    found = status(deployment, State(phase), _NOW)
    found.pop("conditions")
    assert found == {"observedGeneration": 3, **counts}


def test_a_rollout_from_creation_to_the_end() -> None:
    """The reasons follow each other as those of the real controller do."""
    created = _after(_deployment(), Phase.STARTING)
    assert _condition(created, "Progressing")["reason"] == "NewReplicaSetCreated"
    assert _condition(created, "Available")["status"] == "False"
    ready = _after(created, Phase.READY, _LATER)
    assert _condition(ready, "Progressing")["reason"] == "NewReplicaSetAvailable"
    # True before and after, so only the update is new.
    assert _condition(ready, "Progressing")["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert _condition(ready, "Progressing")["lastUpdateTime"] == "2026-01-02T03:04:35Z"
    assert _condition(ready, "Available")["lastTransitionTime"] == "2026-01-02T03:04:35Z"
    failed = _after(ready, Phase.STARTING, _MUCH_LATER)
    assert _condition(failed, "Progressing") == _condition(ready, "Progressing")
    assert _condition(failed, "Available")["status"] == "False"
    changed = _after({**failed, "spec": {**failed["spec"], "template": {"metadata": {}}}}, Phase.STARTING)
    assert _condition(changed, "Progressing")["reason"] == "ReplicaSetUpdated"


def test_nothing_changes_while_nothing_happens() -> None:
    """Times stay, so that the status need not be written again."""
    first = _after(_deployment(), Phase.STARTING)
    assert _after(first, Phase.STARTING, _LATER) == first


def test_a_rollout_that_takes_too_long_has_failed() -> None:
    """After the Deployment's own deadline, 600 s by default."""
    first = _after(_deployment(), Phase.STARTING)
    late = _condition(_after(first, Phase.STARTING, _MUCH_LATER), "Progressing")
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")
    sooner = {**first, "spec": {**first["spec"], "progressDeadlineSeconds": 10}}
    assert _condition(_after(sooner, Phase.STARTING, _LATER), "Progressing")["status"] == "False"


def test_the_fingerprint_follows_the_template() -> None:
    """Annotations count, replicas do not."""
    plain = fingerprint(_deployment())
    assert fingerprint(_deployment(replicas=2)) == plain
    assert fingerprint(_deployment(template={"metadata": {"annotations": {"a": "b"}}})) != plain


def test_a_patch_removes_counts_that_are_gone() -> None:
    """A merge patch keeps what it does not name."""
    patch = status_patch(status(_deployment(), State(Phase.STARTING), _NOW))
    assert patch["availableReplicas"] is None
    assert patch["replicas"] == 1
