"""What somebody makes between a look and a write: nothing is merged into, and nothing that is there goes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CONFIG_MAP, Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_record import write_record
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Step, change_of
from planton.cluster.synchronising.sync_write import put, write_over
from planton.errors import ConflictError
from planton.translate.archive_record import (
    DELETED,
    RECORD_CONFIGMAP,
    TAKEN,
    LeftArchive,
    read_record,
    record_object,
    with_left,
)
from planton.translate.contract import KubernetesObject
from tests.cluster.conftest import Harness
from tests.cluster.objects import namespace, secret

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, slots=True)
class Overtaken(Server):
    """A server that somebody else is faster at: once, when something was looked for and is not there."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def get(self, key: Key) -> KubernetesObject | None:
        found = Server.get(self, key)
        if found is None and self.meanwhile:
            self.meanwhile.pop()()
        return found


@dataclass(frozen=True, slots=True)
class Unanswered(Server):
    """A server whose first answer to a write is lost; the second attempt finds what the first one has made."""

    lost: list[str] = field(default_factory=list)

    def apply(
        self, key: Key, obj: KubernetesObject, *, force: bool = False, dry_run: bool = False
    ) -> tuple[KubernetesObject, bool]:
        if not self.lost:
            Server.apply(self, key, obj, dry_run=dry_run, force=force)
            self.lost.append(key.subject)
        try:
            return Server.apply(self, key, obj, dry_run=dry_run, force=force)
        except ApiError as error:
            error.may_have_arrived = True
            raise


def remembering(space: str, name: str, why: str) -> Step:
    """A step of an apply, or of a delete, that began while there was no record."""
    key = Key(CONFIG_MAP, space, RECORD_CONFIGMAP)
    left = LeftArchive("store", f"s3://archives/{name}", name, f"db-{name}", "17", why)
    obj = record_object(space, with_left({}, [left]))
    return Step(key, change_of(key, "created"), Stage.DATABASES, 9, desired=obj, live=None)


@pytest.mark.parametrize(("first", "second"), [(TAKEN, TAKEN), (DELETED, TAKEN), (TAKEN, DELETED)])
def test_two_that_begin_the_record_keep_what_the_other_wrote(
    harness: Harness, space: str, first: str, second: str
) -> None:
    harness.apply([namespace(space)])
    ours, theirs = remembering(space, "ours", second), remembering(space, "theirs", first)
    faster: list[Callable[[], object]] = [lambda: write_record(harness.server, theirs)]
    write_record(Overtaken(harness.connection, "apply", meanwhile=faster), ours)
    assert not faster
    live = harness.server.get(ours.key)
    assert live is not None
    assert {one.name: one.why for one in read_record(live["data"])} == {"db-ours": second, "db-theirs": first}


def test_a_secret_that_somebody_makes_meanwhile_is_theirs(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    ours = secret(space, "storage", AWS_ACCESS_KEY_ID="sentinel-ours")
    theirs = {**secret(space, "storage", THEIR_TOKEN="theirs"), "metadata": {"name": "storage", "namespace": space}}
    faster: list[Callable[[], object]] = [lambda: harness.create(theirs, "vault")]
    with pytest.raises(ConflictError) as caught:
        put(Overtaken(harness.connection, "credentials", meanwhile=faster), ours)
    assert not faster
    (conflict,) = caught.value.conflicts
    assert (conflict.subject, conflict.manager) == (f"Secret/{space}/storage", "vault")
    live = harness.get(ours)
    assert live["data"] == {"THEIR_TOKEN": base64.b64encode(b"theirs").decode()}
    assert "labels" not in live["metadata"]
    assert [one["manager"] for one in live["metadata"]["managedFields"]] == ["vault"]


def test_one_key_that_both_write_does_not_hide_whose_the_secret_is(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    ours = secret(space, "storage", AWS_ACCESS_KEY_ID="sentinel-ours")
    theirs = {**secret(space, "storage", AWS_ACCESS_KEY_ID="x"), "metadata": {"name": "storage", "namespace": space}}
    # Told apart from a field of an object of ours: the remedy is another one.
    assert write_over(harness.server, ours, None) is not None
    harness.api.request("DELETE", f"/api/v1/namespaces/{space}/secrets/storage")
    harness.create(theirs, "vault")
    assert write_over(harness.server, ours, None) is None
    with pytest.raises(ConflictError) as caught:
        put(harness.server, ours)
    (conflict,) = caught.value.conflicts
    assert "the whole object" in conflict.fields[0]


def test_what_was_made_and_never_answered_is_created(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    ours = secret(space, "storage", AWS_ACCESS_KEY_ID="sentinel-ours")
    server = Unanswered(harness.connection, "credentials")
    assert put(server, ours).action == "created"
    assert server.lost
    assert put(harness.server, ours).action == "unchanged"


def test_what_another_run_makes_meanwhile_is_looked_at_again(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    ours = secret(space, "storage", AWS_ACCESS_KEY_ID="sentinel-ours")
    faster: list[Callable[[], object]] = [lambda: put(harness.server, ours)]
    assert put(Overtaken(harness.connection, "credentials", meanwhile=faster), ours).action == "unchanged"
    # And its own key goes, as that of any other run before this one.
    again = secret(space, "other", AWS_ACCESS_KEY_ID="sentinel-ours")
    older: list[Callable[[], object]] = [
        lambda: put(harness.server, secret(space, "other", AWS_ROLE_ARN="sentinel-older"))
    ]
    assert put(Overtaken(harness.connection, "credentials", meanwhile=older), again).action == "configured"
    assert list(harness.get(again)["data"]) == ["AWS_ACCESS_KEY_ID"]
