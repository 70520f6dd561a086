"""What watches the tests of rotation and migration finds what it is there to find: states made by hand, no cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.watching import (
    ANNOTATION,
    BACKUP,
    BETWEEN,
    GENERATION,
    OPERATOR,
    STORAGE,
    Object,
    Rules,
    State,
    digest_of,
)

SPACE, DATABASE = "town", "db"
NEXT = f"{STORAGE}-libsodium"
SETTINGS = (OPERATOR, OPERATOR)


def thing(place: tuple[str, str], **more: Any) -> Object:
    metadata = {"namespace": place[0], "name": place[1], **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


class Small:
    """One database whose operator has given it the keys of generation 1."""

    def __init__(self) -> None:
        self.state = State()
        self.rules = Rules()
        self.rules.contents[STORAGE, 1].add(digest_of({}))
        self.rules.contents[NEXT, 2].add(digest_of({}))
        self.put("postgresql", thing((SPACE, DATABASE)))
        self.secrets(STORAGE, 1)
        self.backup(STORAGE, 1)
        self.settings(STORAGE)
        self.deploy(1)
        self.state.begin()
        self.makes(STORAGE, 1)

    def put(self, kind: str, obj: Object, event: str = "MODIFIED") -> None:
        self.state.take(event, kind, obj)

    def secrets(self, name: str, generation: int, *spaces: str) -> None:
        for space in spaces or (OPERATOR, SPACE):
            self.put("Secret", thing((space, name), metadata={"annotations": {ANNOTATION: str(generation)}}))

    def backup(self, name: str, generation: int) -> None:
        annotations = {"planton.ai/backup-platform": json.dumps({"secret_name": name})}
        self.put("ConfigMap", thing(BACKUP, metadata={"annotations": annotations}, data={GENERATION: str(generation)}))

    def settings(self, name: str) -> None:
        self.put("ConfigMap", thing(SETTINGS, data={"pod_environment_secret": name}))

    def deploy(self, generation: int, *, ready: bool = True) -> None:
        status = {"observedGeneration": generation, **({"availableReplicas": 1} if ready else {})}
        self.put("Deployment", thing(SETTINGS, metadata={"generation": generation}, status=status))

    def makes(self, name: str, generation: int) -> None:
        """Has the operator make a StatefulSet, of whose Secret no key is asked for."""
        reference = {"name": name, "key": "ID", "optional": True}
        env = [{"name": "ID", "valueFrom": {"secretKeyRef": reference}}, {"name": GENERATION, "value": str(generation)}]
        template = {"spec": {"containers": [{"name": "postgres", "env": env}]}}
        self.put("StatefulSet", thing((SPACE, DATABASE), spec={"template": template}))

    def found(self) -> set[str]:
        """What is wrong, but for the one known limit."""
        return {one.text for one in self.state.wrong(self.rules) if one.limit != BETWEEN}

    def limits(self) -> set[str]:
        return {one.limit for one in self.state.wrong(self.rules)} - {""}


def to_next(small: Small, *, until: str = "ready") -> None:
    """Does what an apply does, step by step, that gives a Secret of another name."""
    steps: dict[str, Callable[[], None]] = {
        "secrets": lambda: small.secrets(NEXT, 2),
        "backup": lambda: small.backup(NEXT, 2),
        "settings": lambda: small.settings(NEXT),
        "restart": lambda: small.deploy(2, ready=False),
        "ready": lambda: small.deploy(2),
    }
    for name, step in steps.items():
        step()
        if name == until:
            return


@pytest.mark.parametrize("until", ["secrets", "backup", "settings", "restart", "ready"])
def test_an_apply_as_it_should_be(until: str) -> None:
    small = Small()
    assert not small.found() | small.limits()
    to_next(small, until=until)
    assert not small.found()
    is_limited = until in ("backup", "settings", "restart")
    assert small.limits() == ({BETWEEN} if is_limited else set())
    assert small.state.is_between == is_limited
    assert bool(list(small.state.unfinished())) == is_limited


def test_a_restart_is_over_when_the_operator_is_ready() -> None:
    small = Small()
    to_next(small, until="restart")
    assert small.state.running == {STORAGE}
    small.deploy(2)
    assert small.state.running == {NEXT}
    # It ends by itself, and reads what is there when it starts again.
    small.settings(STORAGE)
    assert small.state.running == {NEXT}
    small.deploy(2, ready=False)
    small.deploy(2)
    assert small.state.running == {STORAGE}


def test_the_secret_of_the_operator_that_runs_goes_too_early() -> None:
    small = Small()
    to_next(small, until="settings")
    small.put("Secret", thing((SPACE, STORAGE)), "DELETED")
    assert f"the operator is told of Secret {STORAGE}, which is not there" in small.found()


def test_the_secret_of_the_operator_that_runs_gets_other_contents() -> None:
    small = Small()
    to_next(small, until="settings")
    small.rules.contents[STORAGE, 1].clear()
    assert f"Secret {STORAGE} of generation 1 does not hold the keys of that generation" in small.found()


def test_the_secret_of_the_operator_that_runs_falls_back() -> None:
    """The limit is that it is not the new one, not that it may be older than it was."""
    small = Small()
    to_next(small, until="settings")
    small.rules.contents[STORAGE, 0].add(digest_of({}))
    small.secrets(STORAGE, 0)
    assert f"pods are told generation 1, and Secret {STORAGE} has 0" in small.found()


@pytest.mark.parametrize("space", [OPERATOR, SPACE])
def test_a_generation_that_is_told_before_the_secret_is_there(space: str) -> None:
    small = Small()
    small.rules.contents[STORAGE, 2].add(digest_of({}))
    small.secrets(STORAGE, 2, *({OPERATOR, SPACE} - {space}))
    small.backup(STORAGE, 2)
    assert f"pods are told generation 2, and Secret {STORAGE} has 1" in small.found()
    # The same name: there is no limit that would excuse it.
    assert not small.limits()


def test_the_name_that_is_told_before_what_belongs_to_it() -> None:
    small = Small()
    small.secrets(NEXT, 2)
    small.settings(NEXT)
    assert f"the operator is told of {NEXT!r} before what belongs to it" in small.found()


def test_the_contents_of_one_secret_in_another() -> None:
    small = Small()
    small.rules.contents[STORAGE, 1] = {digest_of({"key": "of its own"})}
    assert f"Secret {STORAGE} of generation 1 does not hold the keys of that generation" in small.found()


def test_a_template_with_the_former_secret() -> None:
    small = Small()
    to_next(small, until="settings")
    small.makes(STORAGE, 2)
    assert not small.found()
    small.deploy(2, ready=False)
    small.deploy(2)
    # The operator has not come to it yet: that is the limit still, and nothing that may stay.
    assert not small.found()
    assert small.limits() == {BETWEEN}
    assert any("still has the former Secret" in one for one in small.state.unfinished())
    small.makes(NEXT, 2)
    assert not list(small.state.unfinished())
    # Once it runs with the new name, nothing excuses such a template any more.
    small.makes(STORAGE, 2)
    assert f"StatefulSet {DATABASE} says generation 2, and its Secret {STORAGE} has 1" in small.found()


def test_a_configuration_that_stays_behind() -> None:
    small = Small()
    to_next(small, until="backup")
    assert any("configuration names" in one for one in small.state.unfinished())
