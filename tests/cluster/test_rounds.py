"""An object that others write all the time: it is read and written again, for long enough, and then that is said."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_record import write_record
from planton.cluster.planning.apply import Applier
from planton.cluster.planning.steps import Decisions
from planton.cluster.rounds import Rounds
from planton.cluster.synchronising.sync_write import put
from planton.cluster.wait import Deadline
from planton.errors import ClusterError
from planton.stopping import STOPPING
from planton.translate.archive_record import TAKEN
from planton.translate.contract import KubernetesObject
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import config_map, namespace, secret
from tests.cluster.test_made_meanwhile import remembering

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, slots=True)
class Disturbed(Server):
    """A server to which something happens before each write of an object that is there."""

    def happen(self, key: Key) -> None:
        raise NotImplementedError

    def apply(
        self, key: Key, obj: KubernetesObject, *, force: bool = False, dry_run: bool = False
    ) -> tuple[KubernetesObject, bool]:
        if self.get(key) is not None:
            self.happen(key)
        return Server.apply(self, key, obj, dry_run=dry_run, force=force)

    def merge(self, key: Key, patch: KubernetesObject) -> KubernetesObject:
        self.happen(key)
        return Server.merge(self, key, patch)


@dataclass(frozen=True, slots=True)
class Webhook(Disturbed):
    """A server that refuses such a write by 409, as an admission webhook may, and changes nothing."""

    asked: list[Key] = field(default_factory=list)

    def happen(self, key: Key) -> None:
        self.asked.append(key)
        raise ApiError("denied: not on Mondays", subject=key.subject, phase="apply", status=409, reason="Conflict")


@dataclass(frozen=True, slots=True)
class Outrun(Disturbed):
    """A server to which somebody else always comes first, so often."""

    edit: Callable[[Key], object] = lambda key: None
    left: list[None] = field(default_factory=list)

    def happen(self, key: Key) -> None:
        if self.left:
            self.left.pop()
            self.edit(key)


def outrun(harness: Harness, phase: str, times: int) -> Outrun:
    numbers = itertools.count()

    def edit(key: Key) -> None:
        patch = {"metadata": {"annotations": {"example.org/seen": str(next(numbers))}}}
        harness.api.request("PATCH", key.path, patch, content_type="application/merge-patch+json")

    return Outrun(harness.connection, phase, edit=edit, left=[None] * times)


def applied(harness: Harness, space: str, server: Server) -> str:
    objects = [namespace(space), config_map(space)]
    harness.apply(objects)
    plan = harness.plan([namespace(space), config_map(space, a="2")])
    decisions: Decisions = plan._sealed.content
    applier = Applier(server, decisions, copies=list, deadline=Deadline(10.0), progress=lambda event: None)
    return words(applier.run(wait=False))[f"ConfigMap/{space}/settings"]


def removed(harness: Harness, space: str, server: Server) -> str:
    """What is not ours goes out of a Secret by a request of its own."""
    ours = secret(space, "keys", AWS_ACCESS_KEY_ID="sentinel-ours")
    harness.apply([namespace(space), ours])
    harness.edit(ours, {"data": {"THEIRS": "eA=="}})
    decisions: Decisions = harness.plan([namespace(space), ours])._sealed.content
    applier = Applier(server, decisions, copies=list, deadline=Deadline(10.0), progress=lambda event: None)
    return words(applier.run(wait=False))[f"Secret/{space}/keys"]


def copied(harness: Harness, space: str, server: Server) -> str:
    harness.apply([namespace(space), secret(space, "keys", AWS_ACCESS_KEY_ID="sentinel-old")])
    return put(server, secret(space, "keys", AWS_ACCESS_KEY_ID="sentinel-new")).action


def recorded(harness: Harness, space: str, server: Server) -> str:
    harness.apply([namespace(space)])
    write_record(harness.server, remembering(space, "theirs", TAKEN))
    step = remembering(space, "ours", TAKEN)
    write_record(server, step)
    live = harness.server.get(step.key)
    assert live is not None
    assert len(live["data"]) == 2
    return "configured"


WRITERS = [applied, removed, copied, recorded]
Writer = Callable[[Harness, str, Server], str]


@pytest.mark.parametrize("write", WRITERS)
def test_whoever_is_outrun_many_times_goes_on(harness: Harness, space: str, write: Writer) -> None:
    server = outrun(harness, "apply", 25)
    assert write(harness, space, server) == "configured"
    assert not server.left


@pytest.mark.parametrize("write", WRITERS)
def test_whoever_is_always_outrun_says_so(
    harness: Harness, space: str, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planton.cluster.rounds._SECONDS", 0.0)
    server = outrun(harness, "apply", 1000)
    with pytest.raises(ClusterError, match="it changes faster than it can be written") as caught:
        write(harness, space, server)
    assert "Then run the same command again" in caught.value.remedy
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    # Ten rounds at least, and not for ever.
    assert 10 <= 1000 - len(server.left) <= 12
    assert "sentinel" not in str(caught.value)


@pytest.mark.parametrize("write", WRITERS)
def test_whoever_is_refused_without_a_race_says_so_soon(harness: Harness, space: str, write: Writer) -> None:
    server = Webhook(harness.connection, "apply")
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=r"not on Mondays|refused as changed meanwhile, and it has not") as caught:
        write(harness, space, server)
    assert "faster" not in str(caught.value)
    assert len(server.asked) <= 12
    assert time.monotonic() - begin < 15.0


def test_rounds_end_soon_when_the_process_was_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STOPPING, "asked", True)
    rounds = Rounds()
    number = 0
    while rounds.again():
        rounds.saw({"metadata": {"resourceVersion": str(number)}})
        number += 1
    # Not at once: a permission to delete is taken back then, too.
    assert number == 10
