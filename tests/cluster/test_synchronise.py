"""Credentials reach every namespace with a database, follow when they change, and survive being killed anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.connection import Connection, Request
from planton.cluster.api.resources import CONFIG_MAP, SECRET
from planton.cluster.planning.extract import applied
from planton.cluster.synchronising.sync_state import read_state
from planton.cluster.synchronising.synchronise import Synchroniser
from planton.errors import ClusterError, ConflictError, RefusedError
from planton.translate.generation import GENERATION
from tests.cluster.conftest import words
from tests.cluster.objects import Object
from tests.cluster.sync import (
    BACKUP,
    ENCRYPTED,
    FILES,
    OPERATOR,
    ROLE,
    STORAGE,
    VAULT,
    Vault,
    certificate,
    dumped,
    keys,
    leaks,
    operator,
    vault_of_a_sandbox,
)

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("synchronise")]

SECRETS = {f"Secret/{OPERATOR}/{name}" for name in (STORAGE, FILES)}


@pytest.fixture(scope="module")
def shared() -> Iterator[Vault]:
    """A sandbox with an operator whose keys are in somebody else's Secrets."""
    with vault_of_a_sandbox() as vault:
        yield vault


@pytest.fixture
def vault(shared: Vault) -> Iterator[Vault]:
    """The same, with valid keys and everything written, before each test; without its databases after it."""
    shared.write("authority", {"pem": certificate(1)})
    shared.rotate(1)
    shared.installed.cluster.synchronise_credentials()
    made: list[str] = []
    make = shared.foreign_database

    def noted(space: str, *, make_space: bool = True) -> None:
        made.append(space)
        make(space, make=make_space)

    shared.foreign_database = noted  # type: ignore[assignment, method-assign]
    yield shared
    shared.foreign_database = make  # type: ignore[method-assign]
    shared.drop(*made)


def managers(obj: Object) -> dict[str, Object]:
    return {f"{one['manager']}/{one['operation']}": one["fieldsV1"] for one in obj["metadata"]["managedFields"]}


def test_a_foreign_database_that_came_later_gets_both_secrets(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    cluster = vault.installed.cluster
    assert words(cluster.synchronise_credentials()) == {
        **dict.fromkeys(SECRETS, "unchanged"),
        f"Secret/{name}/{STORAGE}": "created",
        f"Secret/{name}/{FILES}": "created",
        f"ConfigMap/{OPERATOR}/{BACKUP}": "unchanged",
    } | ({f"Deployment/{OPERATOR}/{OPERATOR}": "unchanged"} if vault.told() else {})
    assert vault.values(name) == vault.values(OPERATOR)
    assert vault.values(name, FILES) == {"ca.crt": certificate(1)}
    again = cluster.synchronise_credentials()
    assert not again.changed
    assert not vault.installed.plan(vault.installed.operator).changed


def test_rotated_keys_reach_everything_and_the_next_apply_has_nothing_to_do(vault: Vault, name: str) -> None:
    installed, before = vault.installed, vault.told()
    vault.foreign_database(name)
    installed.apply(installed.operator)
    installed.cluster.synchronise_credentials()  # Another test may have put the operator into a set.
    owners = managers(vault.deployment()), managers(vault.read(CONFIG_MAP, OPERATOR, BACKUP))
    vault.rotate(2)
    events: list[ProgressEvent] = []
    result = installed.cluster.synchronise_credentials(progress=events.append)
    configured = {subject for subject, word in words(result).items() if word == "configured"}
    # Other tests may have left databases in this sandbox.
    assert {subject for subject in configured if f"/{OPERATOR}/" in subject or f"/{name}/" in subject} == {
        f"Secret/{OPERATOR}/{STORAGE}",
        f"Secret/{name}/{STORAGE}",
        f"ConfigMap/{OPERATOR}/{BACKUP}",
        f"Deployment/{OPERATOR}/{OPERATOR}",
    }
    assert vault.copies(2, OPERATOR, name)
    assert vault.told() == vault.generation(OPERATOR) == vault.generation(name) == before + 1
    assert {event.phase for event in events} == {"read", "secrets", "configuration", "wait"}
    # The real operator takes it into what it makes pods of.
    installed.until(lambda: vault.template(name).get(GENERATION) == str(before + 1))
    for again in (
        installed.plan(installed.operator),
        installed.apply(installed.operator),
        installed.cluster.synchronise_credentials(),
    ):
        assert set(words(again).values()) == {"unchanged"}
    # No field was lost, none changed hands, and no other manager has come: but for the generation and the status.
    after = managers(vault.deployment()), managers(vault.read(CONFIG_MAP, OPERATOR, BACKUP))
    assert after[0]["planton/Apply"] == owners[0]["planton/Apply"]
    owned = owners[1]["planton/Apply"]
    owned["f:data"][f"f:{GENERATION}"] = {}
    assert after[1] == {"planton/Apply": owned}
    assert not leaks(dumped([result, events, str(result), repr(result)]))


def test_what_we_applied_can_be_applied_again_without_a_change(vault: Vault) -> None:
    config_map = vault.read(CONFIG_MAP, OPERATOR, BACKUP)
    for live in (vault.deployment(), config_map):
        ours = applied(live)
        assert ours is not None
        assert vault.installed.harness.apply([ours])[0].action == "unchanged"
    assert applied({**config_map, "metadata": {**config_map["metadata"], "managedFields": []}}) is None


class KilledError(BaseException):
    """The process is gone."""


class Mortal(Connection):
    """Dies after a number of writes: nothing is sent any more."""

    def __init__(self, other: Connection, lives: int) -> None:
        super().__init__(other.client, other.identity)
        self.lives = lives
        self.writes = 0

    def send(self, request: Request, **facts: Any) -> tuple[int, Any]:
        if self.writes >= self.lives:
            raise KilledError
        answer = super().send(request, **facts)
        if request.method != "GET" and "/selfsubject" not in request.path:
            self.writes += 1
        if self.writes >= self.lives:
            raise KilledError
        return answer


def test_killed_after_any_request_the_next_run_finishes(vault: Vault, name: str) -> None:
    spaces = [f"{name}{letter}" for letter in "ab"]
    for space in spaces:
        vault.foreign_database(space)
    installed, number = vault.installed, 10
    installed.cluster.synchronise_credentials()
    everywhere = (OPERATOR, *spaces)
    for lives in range(1, 12):
        number += 1
        before = vault.told()
        vault.rotate(number)
        vault.write("authority", {"pem": certificate(number)})
        mortal = Mortal(installed.harness.connection, lives)
        died = False
        try:
            Synchroniser(mortal, OPERATOR).run()
        except KilledError:
            died = True
        # Pods are told of a generation only when every copy has its keys.
        told = vault.told()
        assert told in (before, before + 1)
        if told > before:
            assert vault.copies(number, *everywhere)
        assert all(vault.generation(space) >= told for space in everywhere)
        Synchroniser(installed.harness.connection, OPERATOR).run().check()
        assert vault.copies(number, *everywhere)
        assert all(vault.values(space, FILES) == {"ca.crt": certificate(number)} for space in everywhere)
        assert vault.told() == vault.generation(OPERATOR) == before + 1
        again = Synchroniser(installed.harness.connection, OPERATOR).run()
        assert set(words(again.changes).values()) == {"unchanged"}
        assert not installed.plan(installed.operator).changed
        if not died:
            break
    else:
        pytest.fail("it writes more often than that")
    assert lives == 9  # 2 of the operator's own, 2 copies in each of 2 namespaces, ConfigMap, Deployment: and one more


@pytest.mark.parametrize("what", ["gone", "key", "short", "white space", "certificate"])
def test_a_source_that_cannot_be_used_is_named_and_changes_nothing(vault: Vault, name: str, what: str) -> None:
    vault.foreign_database(name)
    path = f"/api/v1/namespaces/{VAULT}/secrets/bucket"
    pair = keys(5)
    subject, told = f"Secret/{VAULT}/bucket", "AWS_SECRET_ACCESS_KEY"
    if what == "gone":
        vault.api.request("DELETE", path)
    elif what == "key":
        vault.write("bucket", {"id": pair[0]})
    elif what == "short":
        vault.write("bucket", {"id": pair[0], "key": "SENTI"})
    elif what == "white space":
        vault.write("bucket", {"id": pair[0], "key": "SENTINELID and more"})
    else:
        vault.rotate(5)
        vault.write("authority", {"pem": "SENTINELAUTHORITY"})
        subject, told = f"Secret/{VAULT}/authority", "ca.crt"
    before = vault.values(OPERATOR)
    with pytest.raises(ClusterError) as caught:
        vault.installed.cluster.synchronise_credentials()
    text = str(caught.value)
    assert subject in text
    assert told in text
    assert not leaks(text)
    assert "SENTI" not in text
    # What is there stays, and a namespace without any gets the last that were right.
    assert vault.values(OPERATOR) == vault.values(name) == before
    assert vault.values(name, FILES) == {"ca.crt": certificate(1)}
    assert words(caught.value.changes)[f"Secret/{name}/{STORAGE}"] == "created"


def test_a_key_of_the_archives_is_not_followed(vault: Vault) -> None:
    installed = vault.installed
    vault.write("encryption", {"hex": "ab" * 32})
    more = (
        "    encryption: {libsodium: {transform: hex, key: {secret: {namespace: vault, name: encryption, key: hex}}}}"
    )
    installed.apply(operator(more), allow_encryption_change=True)
    vault.write("encryption", {"hex": "cd" * 32})
    vault.rotate(6)
    with pytest.raises(ClusterError, match="could not be read") as caught:
        installed.cluster.synchronise_credentials()
    assert "--allow-encryption-change" in caught.value.remedy
    assert "cdcd" not in str(caught.value)
    assert vault.values(OPERATOR, ENCRYPTED)["WALG_LIBSODIUM_KEY"] == "ab" * 32
    # The keys of the store are followed all the same.
    assert vault.values(OPERATOR, ENCRYPTED)["AWS_ACCESS_KEY_ID"] == keys(6)[0]
    assert vault.told() == vault.generation(OPERATOR, ENCRYPTED)
    installed.apply(operator(), allow_encryption_change=True)


def test_a_secret_of_somebody_else_is_a_conflict_and_the_others_are_done(vault: Vault, name: str) -> None:
    theirs, other = f"{name}a", f"{name}b"
    vault.foreign_database(theirs)
    vault.foreign_database(other)
    told = vault.told()
    vault.api.request(
        "POST",
        f"/api/v1/namespaces/{theirs}/secrets?fieldManager=them",
        {"metadata": {"name": STORAGE}, "data": {"OWN": "b3du"}},
    )
    vault.rotate(7)
    with pytest.raises(ConflictError) as caught:
        vault.installed.cluster.synchronise_credentials()
    (conflict,) = caught.value.conflicts
    assert (conflict.subject, conflict.manager) == (f"Secret/{theirs}/{STORAGE}", "them")
    assert "--force" not in caught.value.remedy
    assert "generation" in caught.value.remedy
    assert vault.values(theirs) == {"OWN": "own"}
    assert vault.copies(7, OPERATOR, other)
    # The operator would restart pods that find the old keys there.
    assert vault.told() == told
    vault.api.request("DELETE", f"/api/v1/namespaces/{theirs}/secrets/{STORAGE}")
    vault.installed.cluster.synchronise_credentials()
    assert vault.copies(7, OPERATOR, theirs, other)
    assert vault.told() == told + 1


def test_a_namespace_that_is_going_away_is_passed_over(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.installed.until(
        lambda: vault.api.request("GET", f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}")
    )
    finalizer = {"metadata": {"finalizers": ["test/stays"]}}
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}"
    vault.api.request("PATCH", path, finalizer, content_type="application/merge-patch+json")
    vault.api.request("DELETE", f"/api/v1/namespaces/{name}")
    result = vault.installed.cluster.synchronise_credentials()
    assert words(result)[f"Namespace/{name}"] == "skipped"
    assert not vault.values(name)
    # And where that is found out only by the server's refusal.
    done = Synchroniser(vault.installed.harness.connection, OPERATOR).copy_to([name])
    assert words(done.changes) == {f"Namespace/{name}": "skipped"}
    assert not done.failures


def test_a_generation_never_falls(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.rotate(8)
    installed = vault.installed
    installed.cluster.synchronise_credentials()
    told = vault.told()
    assert told > 0
    path = f"/api/v1/namespaces/{OPERATOR}/secrets/{STORAGE}?fieldManager=them"
    patch = {"metadata": {"annotations": {"planton.ai/credentials-generation": None}}}
    vault.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    installed.cluster.synchronise_credentials()
    assert vault.told() == vault.generation(OPERATOR) == vault.generation(name) == told + 1
    # Lost altogether, it is made again of what the others' Secrets hold.
    vault.api.request("DELETE", path.partition("?")[0])
    installed.cluster.synchronise_credentials()
    assert vault.told() == vault.generation(OPERATOR) == vault.generation(name) == told + 2
    assert vault.copies(8, OPERATOR, name)
    assert not installed.cluster.synchronise_credentials().changed


def test_what_another_run_has_written_meanwhile_is_not_written_over(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.rotate(3)
    installed = vault.installed
    slow = Synchroniser(installed.harness.connection, OPERATOR)
    server = installed.harness.server
    read: list[object] = []

    def meddle(event: ProgressEvent) -> None:
        # The slow one has read the third keys, and is about to write them.
        if event.phase == "secrets" and not read:
            read.append(event)
            vault.rotate(4)
            Synchroniser(installed.harness.connection, OPERATOR).run()

    slow._progress = meddle
    done = slow.run()
    assert not done.failures
    assert read
    assert vault.copies(4, OPERATOR, name)
    assert vault.told() == vault.generation(name) == vault.generation(OPERATOR)
    state = read_state(server, OPERATOR, follow=True)
    assert state.platform.generation == state.told
    assert not leaks(repr(state))


def test_annotations_reach_the_service_accounts(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    installed = vault.installed
    text = operator().replace('s3_compatible: {endpoint: "https://store.example:9000"}', "aws_s3: {region: eu-west-1}")
    identity = text.replace(
        "      access_key_id: {secret: {namespace: vault, name: bucket, key: id}}\n"
        "      secret_access_key: {secret: {namespace: vault, name: bucket, key: key}}\n",
        f"      cloud_identity: {{service_account_annotations: {{{ROLE}: them}}}}\n",
    )
    installed.apply(identity)
    later = f"{name}x"
    vault.foreign_database(later)
    installed.cluster.synchronise_credentials()
    for space in (name, later):
        assert vault.account(space)["metadata"]["annotations"][ROLE] == "them"
    assert not installed.cluster.synchronise_credentials().changed
    assert not installed.plan(identity).changed
    installed.apply(operator(), allow_archive_reuse=True)


def test_copies_are_in_the_set_of_the_operator(vault: Vault, name: str) -> None:
    installed = vault.installed
    installed.apply(operator(), set_id="platform")
    vault.foreign_database(name)
    vault.rotate(11)
    installed.cluster.synchronise_credentials()
    assert vault.read(SECRET, name, STORAGE)["metadata"]["labels"]["planton.ai/set"] == "platform"
    assert not installed.plan(operator(), set_id="platform").changed
    assert not installed.plan(operator()).changed
    assert not installed.cluster.synchronise_credentials().changed


def test_without_backups_there_is_nothing_to_copy(vault: Vault) -> None:
    with pytest.raises(RefusedError, match="has no backups"):
        vault.installed.cluster.synchronise_credentials("default")


def test_no_key_is_anywhere_but_in_secrets(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.rotate(9)
    vault.installed.cluster.synchronise_credentials()
    found = []
    for group in ("/api/v1", "/apis/apps/v1", "/apis/acid.zalan.do/v1", "/apis/rbac.authorization.k8s.io/v1"):
        for resource in vault.api.request("GET", group)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                text = dumped(vault.api.request("GET", f"{group}/{resource['name']}"))
                found += [(resource["name"], leak) for leak in leaks(text)]
    assert {kind for kind, _ in found} == {"secrets"}
    assert not leaks(vault.installed.sandbox.operator_log())
