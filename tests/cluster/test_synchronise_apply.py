"""Credentials that are followed while an apply is under way, or when the Secret that they are copied from is lost."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import planton
from planton.cluster import PlanOptions, ProgressEvent
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET
from planton.cluster.api.server import Server
from planton.cluster.planning.own_secrets import read_outdated
from planton.cluster.synchronising.synchronise import Synchroniser
from planton.errors import ClusterError
from planton.translate.names import storage_secret_name
from planton.translate.platform import PLATFORM_ANNOTATION
from planton.translate.sync_job import sync_job
from sandbox import Sandbox
from tests.cluster.conftest import Installed, words
from tests.cluster.sync import (
    BACKUP,
    ENCRYPTED,
    FILES,
    OPERATOR,
    ROLE,
    STORAGE,
    Vault,
    certificate,
    keys,
    leaks,
    operator,
)
from tests.keys import TEST_ONLY_KEY

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("synchronise-apply")]

LIBSODIUM = (
    "    encryption: {libsodium: {transform: hex, key: {secret: {namespace: vault, name: encryption, key: hex}}}}"
)
SECRETS_PATH = f"/api/v1/namespaces/{OPERATOR}/secrets"


@pytest.fixture(scope="module")
def shared() -> Iterator[Vault]:
    """A sandbox with an operator whose keys are in somebody else's Secrets."""
    with Sandbox.start() as started:
        installed = Installed(started)
        vault = Vault(installed)
        vault.write("encryption", {"hex": "ab" * 32})
        installed.operator = operator()
        installed.apply(installed.operator)
        yield vault


@pytest.fixture
def vault(shared: Vault) -> Iterator[Vault]:
    """The same, as it was before afterwards."""
    yield shared
    shared.write("authority", {"pem": certificate(1)})
    shared.write("encryption", {"hex": "ab" * 32})
    shared.installed.apply(shared.installed.operator, allow_encryption_change=True, force_conflicts=True)
    shared.drop(*(one["metadata"]["namespace"] for one in shared.server.list(POSTGRESQL) or ()))


def inline(number: int) -> str:
    """The operator's manifest with keys of its own in the place of those of somebody else."""
    text = operator()
    for key, value in zip(("id", "key"), keys(number), strict=True):
        text = text.replace(f"{{secret: {{namespace: vault, name: bucket, key: {key}}}}}", f'{{value: "{value}"}}')
    return text


def apply_with(vault: Vault, text: str, phase: str, then: Callable[[], None]) -> None:
    """Applies, and does something else as soon as a phase is through."""
    cluster = vault.installed.cluster
    done: list[ProgressEvent] = []

    def progress(event: ProgressEvent) -> None:
        if event.phase == phase and event.done and not done and (phase == "configuration" or event.done == event.total):
            done.append(event)
            then()

    options = PlanOptions(allow_encryption_change=True)
    plan = cluster.plan(planton.loads(text), options=options)
    cluster.apply(plan, progress=progress, timeout=60.0)
    assert done


def test_keys_that_changed_while_the_source_was_lost_are_told() -> None:
    """Even where no credentials had ever changed: what pods have is not what they would get now."""
    with Sandbox.start() as started:
        installed = Installed(started)
        vault = Vault(installed)
        installed.apply(operator())
        vault.foreign_database("orders")
        installed.cluster.synchronise_credentials()
        assert vault.told() == 0
        vault.rotate(2)
        vault.api.request("DELETE", f"{SECRETS_PATH}/{STORAGE}")
        installed.cluster.synchronise_credentials()
        assert vault.copies(2, OPERATOR, "orders")
        assert vault.told() == vault.generation(OPERATOR) == vault.generation("orders") == 1
        assert not installed.plan(operator()).changed


def test_an_apply_that_is_under_way_is_not_undone(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.installed.cluster.synchronise_credentials()
    told = vault.told()
    errors: list[ClusterError] = []

    def meanwhile() -> None:
        # The new keys are written, and the ConfigMap still says where the old ones came from.
        assert vault.copies(20, OPERATOR)
        with pytest.raises(ClusterError, match="under way") as caught:
            vault.installed.cluster.synchronise_credentials()
        errors.append(caught.value)
        assert vault.copies(20, OPERATOR, name)
        assert vault.told() == told

    apply_with(vault, inline(20), "secrets", meanwhile)
    (error,) = errors
    assert error.subject == f"Secret/{OPERATOR}/{STORAGE}" or f"Secret/{OPERATOR}/{FILES}" in str(error)
    assert not leaks(str(error))
    assert vault.copies(20, OPERATOR, name)
    assert vault.told() == vault.generation(OPERATOR) == vault.generation(name) == told + 1
    assert not vault.installed.cluster.synchronise_credentials().changed
    assert not vault.installed.plan(inline(20)).changed


def test_pods_are_not_told_of_a_source_that_others_have_written_into(vault: Vault) -> None:
    before = vault.read(CONFIG_MAP, OPERATOR, BACKUP)

    def meanwhile() -> None:
        value = base64.b64encode(keys(22)[0].encode()).decode()
        patch = {"data": {"AWS_ACCESS_KEY_ID": value}}
        path = f"{SECRETS_PATH}/{STORAGE}?fieldManager=them"
        vault.api.request("PATCH", path, patch, content_type="application/merge-patch+json")

    with pytest.raises(ClusterError, match="has changed since the plan") as caught:
        apply_with(vault, inline(21), "secrets", meanwhile)
    assert caught.value.subject == f"Secret/{OPERATOR}/{STORAGE}"
    assert not leaks(str(caught.value))
    after = vault.read(CONFIG_MAP, OPERATOR, BACKUP)
    assert after["data"] == before["data"]
    assert (
        after["metadata"]["annotations"][PLATFORM_ANNOTATION] == before["metadata"]["annotations"][PLATFORM_ANNOTATION]
    )


@pytest.mark.parametrize("phase", ["secrets", "configuration"])
def test_another_set_of_keys_comes_with_the_apply(vault: Vault, name: str, phase: str) -> None:
    vault.foreign_database(name)
    later = f"{name}x"

    def meanwhile() -> None:
        vault.foreign_database(later)
        done = Synchroniser(vault.installed.harness.connection, OPERATOR).run()
        assert done.failures
        assert all("under way" in str(one) for one in done.failures)

    apply_with(vault, operator(LIBSODIUM), phase, meanwhile)
    vault.installed.cluster.synchronise_credentials()
    for space in (OPERATOR, name, later):
        found = vault.values(space, ENCRYPTED)
        assert found["WALG_LIBSODIUM_KEY"] == "ab" * 32
        assert found["WALG_LIBSODIUM_KEY_TRANSFORM"] == "hex"
        assert found["WALG_S3_CA_CERT_FILE"] == "/etc/planton/backup-files/ca.crt"
    assert not vault.installed.cluster.synchronise_credentials().changed
    assert not vault.installed.plan(operator(LIBSODIUM)).changed
    platform, _ = vault.installed.cluster.facts()
    assert platform is not None
    wide = next(one for one in sync_job(platform, "image") if one["kind"] == "ClusterRole")
    assert [one["resourceNames"] for one in wide["rules"] if one["resources"] == ["secrets"]] == [[FILES, ENCRYPTED]]
    # A key that is another one is measured by the transform that stands beside it in the Secret.
    vault.write("encryption", {"hex": base64.b64encode(b"x" * 32).decode()})
    with pytest.raises(ClusterError, match="64 hexadecimal digits"):
        vault.installed.cluster.synchronise_credentials()


def test_an_encryption_key_is_taken_only_where_a_copy_proves_it(vault: Vault, name: str) -> None:
    installed = vault.installed
    installed.apply(operator(LIBSODIUM), allow_encryption_change=True)
    path = f"{SECRETS_PATH}/{ENCRYPTED}"
    whole = vault.values(OPERATOR, ENCRYPTED)
    vault.api.request("DELETE", path)
    with pytest.raises(ClusterError, match="no copy of it proves that WALG_LIBSODIUM_KEY"):
        installed.cluster.synchronise_credentials()
    assert not vault.values(OPERATOR, ENCRYPTED)
    installed.apply(operator(LIBSODIUM), allow_encryption_change=True)
    vault.foreign_database(name)
    installed.cluster.synchronise_credentials()
    told = vault.told()
    vault.api.request("DELETE", path)
    vault.write("encryption", {"hex": "cd" * 32})
    with pytest.raises(ClusterError, match="no copy of it proves") as caught:
        installed.cluster.synchronise_credentials()
    assert "cdcd" not in str(caught.value)
    assert vault.values(name, ENCRYPTED) == whole
    vault.write("encryption", {"hex": "ab" * 32})
    installed.cluster.synchronise_credentials()
    assert vault.values(OPERATOR, ENCRYPTED) == vault.values(name, ENCRYPTED) == whole
    assert vault.told() == told + 1
    assert not installed.plan(operator(LIBSODIUM)).changed


def test_a_key_that_was_written_by_hand_reaches_no_copy(vault: Vault, name: str) -> None:
    """The copy that would be written over may be the last that has the key of the archives."""
    installed = vault.installed
    installed.apply(operator(LIBSODIUM), allow_encryption_change=True)
    vault.foreign_database(name)
    installed.cluster.synchronise_credentials()

    def by_hand(space: str, key: str) -> None:
        data = {"WALG_LIBSODIUM_KEY": base64.b64encode(key.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": ENCRYPTED, "namespace": space}}
        installed.harness.edit(body, {"data": data})

    by_hand(OPERATOR, "cd" * 32)
    before, told = vault.values(name, ENCRYPTED), vault.told()
    for number in (None, 26):
        if number is not None:
            # With new keys of the store the generation would go up, and then nobody could tell any more.
            vault.rotate(number)
        with pytest.raises(ClusterError, match="its WALG_LIBSODIUM_KEY is another than in") as caught:
            installed.cluster.synchronise_credentials()
        assert not {"cdcd", "abab"} & {str(caught.value)[at : at + 4] for at in range(len(str(caught.value)))}
        assert vault.values(name, ENCRYPTED) == before
        assert vault.told() == told
    by_hand(OPERATOR, "ab" * 32)
    installed.cluster.synchronise_credentials()
    assert vault.values(name, ENCRYPTED) == vault.values(OPERATOR, ENCRYPTED)
    assert vault.values(name, ENCRYPTED)["AWS_ACCESS_KEY_ID"] == keys(26)[0]
    assert vault.told() == told + 1
    # The other way round: which of the two is right is not for a CronJob to say.
    by_hand(name, "cd" * 32)
    with pytest.raises(ClusterError, match="written by hand"):
        installed.cluster.synchronise_credentials()
    installed.apply(operator(LIBSODIUM), force_conflicts=True)
    assert vault.values(name, ENCRYPTED)["WALG_LIBSODIUM_KEY"] == "ab" * 32


def test_a_key_without_passphrase_is_complete(vault: Vault, name: str) -> None:
    installed = vault.installed
    vault.write("encryption", {"hex": "ab" * 32, "pgp": TEST_ONLY_KEY})
    text = operator("    encryption: {pgp: {key: {secret: {namespace: vault, name: encryption, key: pgp}}}}")
    installed.apply(text, allow_encryption_change=True)
    vault.foreign_database(name)
    vault.rotate(25)
    installed.cluster.synchronise_credentials()
    secret = storage_secret_name(keys=True, encryption="pgp", certificate=True)
    whole = vault.values(OPERATOR, secret)
    assert (whole["WALG_PGP_KEY_PASSPHRASE"], whole["AWS_ACCESS_KEY_ID"]) == ("", keys(25)[0])
    assert vault.values(name, secret) == whole
    vault.api.request("DELETE", f"{SECRETS_PATH}/{secret}")
    installed.cluster.synchronise_credentials()
    assert vault.values(OPERATOR, secret) == whole
    assert not installed.plan(text).changed


def test_an_account_that_the_operator_made_is_written_over(vault: Vault, name: str) -> None:
    installed = vault.installed
    text = operator().replace('s3_compatible: {endpoint: "https://store.example:9000"}', "aws_s3: {region: eu-west-1}")
    identity = text.replace(
        "      access_key_id: {secret: {namespace: vault, name: bucket, key: id}}\n"
        "      secret_access_key: {secret: {namespace: vault, name: bucket, key: key}}\n",
        f"      cloud_identity: {{service_account_annotations: {{{ROLE}: them}}}}\n",
    )
    installed.apply(identity, allow_archive_reuse=True)
    vault.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    account = {"metadata": {"name": "postgres-pod", "annotations": {ROLE: "another"}}}
    vault.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts?fieldManager=postgres-operator", account)
    vault.foreign_database(name, make=False)
    assert words(installed.cluster.synchronise_credentials())[f"ServiceAccount/{name}/postgres-pod"] == "configured"
    assert vault.account(name)["metadata"]["annotations"][ROLE] == "them"
    assert not installed.cluster.synchronise_credentials().changed
    installed.apply(operator(), allow_archive_reuse=True)


def test_the_source_says_where_its_contents_come_from(vault: Vault, name: str) -> None:
    vault.foreign_database(name)
    vault.installed.cluster.synchronise_credentials()
    mark = "planton.ai/credential-sources"
    for secret in (STORAGE, FILES):
        annotations = vault.read(SECRET, OPERATOR, secret)["metadata"]["annotations"]
        assert '"AWS_ACCESS_KEY_ID":"vault/bucket/id"' in annotations[mark]
        assert mark not in (vault.read(SECRET, name, secret)["metadata"].get("annotations") or {})


OWN = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata: {name: %s}
spec:
  container: {replicas: 1, disk_size: 1Gi}
  backup_config:
    credentials:
      access_key_id: {secret: {namespace: vault, name: own, key: id}}
      secret_access_key: {secret: {namespace: vault, name: own, key: key}}
"""


def test_a_secret_of_a_database_that_has_fallen_behind_is_named(vault: Vault, name: str) -> None:
    installed, text = vault.installed, OWN % name
    vault.write("own", dict(zip(("id", "key"), keys(23), strict=True)))
    installed.apply(text)
    assert not installed.plan(text).changed
    subject = f"Secret/{name}/db-{name}-backup-credentials"
    assert not installed.cluster.synchronise_credentials().changed
    (before,) = installed.cluster.status(planton.loads(text))
    assert not any(subject in one for one in before.problems)
    vault.write("own", dict(zip(("id", "key"), keys(24), strict=True)))
    with pytest.raises(ClusterError) as caught:
        installed.cluster.synchronise_credentials()
    error = caught.value
    assert error.subject == subject
    assert "AWS_ACCESS_KEY_ID in Secret/vault/own, AWS_SECRET_ACCESS_KEY in Secret/vault/own" in error.text
    assert "database's manifest" in error.remedy
    (after,) = installed.cluster.status(planton.loads(text))
    assert any(one.startswith(f"{subject}: it is not followed") for one in after.problems)
    assert not leaks(f"{error}{after}")
    # An account without permission is told so, and everything else is done.
    vault.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "nobody"}})
    server = installed.sandbox.kubeconfig_for(name, "nobody")
    assert [one.readable for one in read_outdated(_as(server), vault.server.list(POSTGRESQL) or ())] == [False]
    installed.apply(text)
    assert not installed.cluster.synchronise_credentials().changed
    vault.api.request("DELETE", "/api/v1/namespaces/vault/secrets/own")
    with pytest.raises(ClusterError, match="or none"):
        installed.cluster.synchronise_credentials()


def _as(kubeconfig: Path) -> Server:
    return Server(open_connection(kubeconfig, None), "test")
