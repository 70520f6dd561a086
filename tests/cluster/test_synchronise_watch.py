"""`follow_credentials`: at once what a change asks for, and nothing missed for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from planton.cluster import Change
from planton.cluster.api.connection import NO_CONNECTION, ApiError, Request
from planton.cluster.api.resources import POSTGRESQL
from planton.cluster.api.retry import Patience
from planton.cluster.api.server import Server
from planton.cluster.api.watch import Event, Watcher, lines
from planton.cluster.synchronising.follow import Follower
from planton.errors import ClusterError, PlantonError
from planton.translate.generation import GENERATION
from tests.cluster.conftest import Installed
from tests.cluster.sync import FILES, OPERATOR, STORAGE, VAULT, Vault, leaks, vault_of_a_sandbox


class Telling:
    """A connection that answers a watch with what a test gives it."""

    identity = "the test"

    def __init__(self, *answers: Iterable[bytes] | ApiError) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        self.patience = Patience()
        self.ready: list[int] = []

    def open(self, request: Request, **facts: object) -> Iterator[bytes]:
        if request.path == "/readyz":
            status = self.ready.pop(0)
            if status != 200:
                raise ApiError("not yet", status=status)
            yield b"ok"
            return
        self.asked.append(dict(request.query))
        if not self.answers:
            raise ApiError("gone", status=403)
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        yield from answer


def heard(*answers: Iterable[bytes] | ApiError, ready: Iterable[int] = ()) -> tuple[Telling, list[object]]:
    """Lets a watcher run until the answers are over."""
    telling = Telling(*answers)
    telling.ready += ready
    told: list[object] = []

    def failed(error: ClusterError) -> None:
        told.append(error.status)
        if error.status == 403:
            watcher.stop()

    watcher = Watcher(
        Server(telling, "watch"),  # type: ignore[arg-type]
        POSTGRESQL,
        on_event=told.append,
        on_gap=lambda: told.append("gap"),
        on_error=failed,
    )
    watcher.start()
    watcher.join(20)
    assert not watcher.is_alive()
    return telling, told


def line(word: str, version: str, name: str = "x") -> bytes:
    metadata = f'{{"namespace": "n", "name": "{name}", "resourceVersion": "{version}"}}'
    return f'{{"type": "{word}", "object": {{"metadata": {metadata}}}}}\n'.encode()


OLD = b'{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}\n'


def test_it_goes_on_after_what_it_has_seen_and_after_bookmarks() -> None:
    first = line("ADDED", "5")
    second = line("MODIFIED", "6")
    telling, told = heard([first[:9], first[9:] + second[:3], second[3:]], [line("BOOKMARK", "9")])
    assert told == [Event("n", "x", False), Event("n", "x", False), 403]
    assert [one.get("resourceVersion") for one in telling.asked] == [None, "6", "9"]
    assert all(one["allowWatchBookmarks"] == "true" for one in telling.asked)


def test_what_is_too_long_ago_begins_anew_and_is_told() -> None:
    telling, told = heard([line("ADDED", "5"), OLD], ApiError("expired", status=410), [line("DELETED", "7")])
    assert told == [Event("n", "x", False), "gap", "gap", Event("n", "x", True), 403]
    assert [one.get("resourceVersion") for one in telling.asked] == [None, None, None, "7"]


def test_a_server_that_is_away_is_told_and_tried_again() -> None:
    def broken() -> Iterator[bytes]:
        yield line("ADDED", "5")
        raise ApiError("reset", status=0, reason=NO_CONNECTION)

    telling, told = heard(
        broken(), ApiError("refused", status=0), [b"no JSON\n"], ApiError("no such", status=404, is_absent=True)
    )
    # An end in the middle is nothing special; without its definition there is no custom resource.
    assert told == [Event("n", "x", False), 0, 0, 403]
    assert [one.get("resourceVersion") for one in telling.asked] == [None, "5", "5", "5", "5"]


def test_a_server_that_has_just_started_is_not_told_of_as_one_that_refuses() -> None:
    words = 'postgresqls.acid.zalan.do is forbidden: User "ci" cannot watch resource "postgresqls" in API group'
    refused = [ApiError(words, status=403) for _ in range(3)]
    telling, told = heard([line("ADDED", "5")], *refused[:2], [line("DELETED", "7")], ready=[500, 200])
    assert told == [Event("n", "x", False), Event("n", "x", True), 403]
    assert [one.get("resourceVersion") for one in telling.asked] == [None, "5", "5", "5", "7"]
    # One that is ready, and refuses once more, means it.
    telling, told = heard(*refused, ready=[200])
    assert told == [403]
    assert len(telling.asked) == 2


def test_a_line_without_an_end_is_not_kept() -> None:
    assert list(lines([b"a\nb", b"c\n\n", b"d"])) == [b"a", b"bc"]
    with pytest.raises(ClusterError, match="not what an API server says"):
        list(lines([b"x" * 50] * 3, longest=100))


class Followed:
    """A follower in a thread, and what it said."""

    def __init__(self, installed: Installed, interval: float = 300.0) -> None:
        self.changes: list[Change] = []
        self.errors: list[PlantonError] = []
        self.follower: Follower = installed.cluster.follow_credentials(
            OPERATOR, interval=interval, on_change=self.changes.append, on_error=self.errors.append
        )
        self.thread = threading.Thread(target=self.follower.run, daemon=True)

    @property
    def said(self) -> list[str]:
        return [f"{one.action} {one.subject}" for one in self.changes]


@contextmanager
def following(vault: Vault, interval: float = 300.0) -> Iterator[Followed]:
    followed = Followed(vault.installed, interval)
    followed.thread.start()
    try:
        # Until it has been quiet for a moment: its own watches have begun by then.
        time.sleep(3)
        yield followed
    finally:
        followed.follower.stop()
        followed.thread.join(10)
        assert not followed.thread.is_alive()
        assert not leaks("".join([*map(str, followed.changes), *map(str, followed.errors)]))


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    """A sandbox with an operator whose keys are in somebody else's Secrets."""
    with vault_of_a_sandbox() as made:
        yield made


def comes(vault: Vault, followed: Followed, space: str) -> None:
    """Makes a database in a new namespace and looks that it has what the operator needs before that looks."""
    vault.foreign_database(space)
    vault.installed.until(lambda: vault.values(space), seconds=60)
    vault.installed.until(lambda: f"created Secret/{space}/{STORAGE}" in followed.said, seconds=60)
    assert followed.said[-2:] == [f"created Secret/{space}/{FILES}", f"created Secret/{space}/{STORAGE}"]
    # The operator's look-up at its first sync found it: it has made the pods' template of it.
    vault.installed.until(lambda: "AWS_ACCESS_KEY_ID" in vault.template(space))


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_a_new_namespace_has_its_secrets_before_the_operator_gives_up(vault: Vault, name: str) -> None:
    with following(vault) as followed:
        assert followed.said == []
        for number in range(3):
            comes(vault, followed, f"{name}{number}")
    assert followed.errors == []


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_rotated_keys_are_followed_until_the_operator_has_them(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    with following(vault) as followed:
        told = vault.told()
        vault.rotate(2)
        vault.installed.until(lambda: vault.copies(2, OPERATOR, name), seconds=60)
        vault.installed.until(lambda: vault.told() == told + 1, seconds=60)
        vault.installed.until(lambda: vault.template(name).get(GENERATION) == str(told + 1))
        vault.installed.until(lambda: f"configured Deployment/{OPERATOR}/{OPERATOR}" in followed.said, seconds=60)
        # Its own writes are no reason to write again.
        time.sleep(3)
        count = len(followed.changes)
        time.sleep(2)
        assert len(followed.changes) == count
    assert not vault.installed.plan(vault.installed.operator).changed


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_an_apply_at_the_same_time_is_not_in_the_way(vault: Vault, name: str) -> None:
    spaces = [f"{name}{number}" for number in range(4)]
    for space in spaces:
        vault.foreign_database(space)
    told = vault.told()
    with following(vault) as followed:
        for number in range(11, 15):
            vault.rotate(number)
            # Before, while and after the other one is at it.
            time.sleep((number - 11) * 0.45)
            vault.installed.apply(vault.installed.operator)
        vault.installed.until(lambda: vault.copies(14, OPERATOR, *spaces), seconds=60)
        # Each change of keys was counted once.
        vault.installed.until(lambda: vault.told() == told + 4, seconds=60)
        assert {vault.generation(space) for space in (OPERATOR, *spaces)} == {told + 4}
    assert followed.errors == []
    vault.drop(*spaces)


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_what_goes_wrong_is_told_once_and_mended_by_itself(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    with following(vault) as followed:
        vault.write("bucket", {"id": "SENTINELID0003"})
        vault.installed.until(lambda: followed.errors, seconds=60)
        time.sleep(4)
        (error,) = followed.errors
        assert f"Secret/{VAULT}/bucket" in str(error)
        vault.rotate(4)
        vault.installed.until(lambda: vault.copies(4, OPERATOR, name), seconds=60)
        assert len(followed.errors) == 1


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_a_namespace_that_is_going_away_is_told_once(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.api.request("DELETE", f"/api/v1/namespaces/{name}")
    with following(vault, interval=1.0) as followed:
        vault.installed.until(lambda: f"skipped Namespace/{name}" in followed.said, seconds=60)
        time.sleep(3)
        assert followed.said.count(f"skipped Namespace/{name}") == 1
    vault.drop(name)


@pytest.mark.cluster
@pytest.mark.xdist_group("synchronise-watch")
def test_a_copy_that_somebody_removes_comes_back_at_the_interval(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    with following(vault, interval=2.0) as followed:
        vault.api.request("DELETE", f"/api/v1/namespaces/{name}/secrets/{STORAGE}")
        vault.installed.until(lambda: vault.values(name), seconds=60)
    assert followed.errors == []
