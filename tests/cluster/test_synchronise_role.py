"""The account of the rendered CronJob can do what it is for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes.config.incluster_config
import pytest
import yaml

import planton
from planton.cluster import ApplyResult
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import POD, SECRET, SERVICE_ACCOUNT, Key
from planton.cluster.api.server import Server
from planton.cluster.synchronising.synchronise import Synchroniser
from planton.errors import ClusterError
from planton.translate.sync_job import SYNC_JOB, sync_job
from sandbox import Sandbox
from sandbox._api import Api
from sandbox._errors import ApiError
from tests.cluster.conftest import Installed, words
from tests.cluster.objects import Object
from tests.cluster.sync import BACKUP, FILES, OPERATOR, STORAGE, VAULT, Vault, keys, operator

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("synchronise-role")]


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    """A sandbox with the operator, and the objects of the CronJob applied."""
    with Sandbox.start() as started:
        installed = Installed(started)
        made = Vault(installed)
        installed.operator = operator()
        installed.apply(installed.operator)
        platform, _ = installed.cluster.facts()
        assert platform is not None
        for obj in sync_job(platform, "registry.example/planton:1"):
            path = _path(obj)
            body = f"{path}?fieldManager=kubectl&fieldValidation=Strict"
            made.api.request("PATCH", body, obj, content_type="application/apply-patch+yaml")
        yield made


def _path(obj: Object) -> str:
    from planton.cluster.api.resources import key_of

    return key_of(obj).path


@pytest.fixture
def account(vault: Vault) -> Path:
    """A kubeconfig with the CronJob's account and no other right."""
    return vault.installed.sandbox.kubeconfig_for(OPERATOR, SYNC_JOB)


def test_everything_works_with_it(vault: Vault, account: Path, name: str) -> None:
    cluster = planton.connect(account)
    vault.foreign_database(name)
    assert words(cluster.synchronise_credentials(OPERATOR))[f"Secret/{name}/{STORAGE}"] == "created"
    vault.rotate(2)
    result = cluster.synchronise_credentials(OPERATOR)
    assert {subject.partition("/")[0] for subject, word in words(result).items() if word == "configured"} == {
        "Secret",
        "ConfigMap",
        "Deployment",
    }
    assert vault.copies(2, OPERATOR, name)
    assert not cluster.synchronise_credentials(OPERATOR).changed
    assert not vault.installed.plan(vault.installed.operator).changed
    vault.drop(name)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/secrets"),
        ("GET", f"/api/v1/namespaces/{OPERATOR}/secrets"),
        ("GET", f"/api/v1/namespaces/{VAULT}/secrets"),
        ("GET", f"/api/v1/namespaces/{VAULT}/secrets/other"),
        ("PATCH", f"/api/v1/namespaces/{VAULT}/secrets/bucket"),
        ("PATCH", "/api/v1/namespaces/default/secrets/other"),
        ("POST", "/api/v1/namespaces/default/secrets"),
        ("DELETE", f"/api/v1/namespaces/{OPERATOR}/secrets/{STORAGE}"),
        ("GET", "/api/v1/configmaps"),
        ("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"),
        ("PATCH", f"/api/v1/namespaces/{OPERATOR}/configmaps/{OPERATOR}"),
        ("DELETE", f"/api/v1/namespaces/{OPERATOR}/configmaps/{BACKUP}"),
        ("PATCH", "/apis/apps/v1/namespaces/default/deployments/any"),
        ("GET", "/apis/apps/v1/deployments"),
        ("DELETE", f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{OPERATOR}"),
        ("PATCH", "/apis/acid.zalan.do/v1/namespaces/default/postgresqls/any"),
        ("GET", "/api/v1/pods"),
        ("PATCH", "/api/v1/namespaces/default/serviceaccounts/postgres-pod"),
        ("POST", f"/api/v1/namespaces/{OPERATOR}/serviceaccounts/{OPERATOR}/token"),
    ],
)
def test_nothing_else_is_allowed(account: Path, method: str, path: str) -> None:
    body = None if method in ("GET", "DELETE") else {"metadata": {"name": "other"}}
    with pytest.raises(ApiError) as caught:
        Api.from_kubeconfig(account).request(method, path, body, content_type="application/merge-patch+json")
    assert caught.value.status == 403


def test_a_namespace_without_permission_is_named_and_the_others_are_done(vault: Vault, name: str) -> None:
    """With a role in each namespace instead of one everywhere, and one namespace forgotten."""
    home, rbac = f"{name}-user", "rbac.authorization.k8s.io"
    spaces = [f"{name}{letter}" for letter in "abc"]
    for space in spaces:
        vault.foreign_database(space)
    vault.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": home}})
    vault.api.request("POST", f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": "user"}})
    subject = {"kind": "ServiceAccount", "name": "user", "namespace": home}
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}
    wide = [
        {"apiGroups": ["", "acid.zalan.do"], "resources": ["namespaces", "postgresqls"], "verbs": ["list"]},
        {"apiGroups": ["", "apps"], "resources": ["configmaps", "deployments"], "verbs": ["get", "patch"]},
    ]
    url = f"/apis/{rbac}/v1"
    vault.api.request("POST", f"{url}/clusterroles", {"metadata": {"name": home}, "rules": wide})
    binding = {"metadata": {"name": home}, "subjects": [subject]}
    reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": home}
    vault.api.request("POST", f"{url}/clusterrolebindings", {**binding, "roleRef": reference})
    for space in (OPERATOR, VAULT, spaces[0], spaces[2]):
        where = f"{url}/namespaces/{space}"
        vault.api.request("POST", f"{where}/roles", {"metadata": {"name": home}, "rules": [secrets]})
        vault.api.request("POST", f"{where}/rolebindings", {**binding, "roleRef": {**reference, "kind": "Role"}})
    told = vault.told()
    vault.rotate(3)
    with pytest.raises(ClusterError) as caught:
        planton.connect(vault.installed.sandbox.kubeconfig_for(home, "user")).synchronise_credentials(OPERATOR)
    error = caught.value
    assert (error.status, error.subject) == (403, f"Secret/{spaces[1]}/{FILES}")
    assert 'cannot get resource "secrets"' in error.text
    assert f'in the namespace "{spaces[1]}"' in error.text
    assert "generation" in error.remedy
    assert words(error.changes)[f"Secret/{spaces[2]}/{STORAGE}"] == "created"
    assert vault.copies(3, OPERATOR, spaces[0], spaces[2])
    assert vault.told() == told
    vault.installed.cluster.synchronise_credentials()
    assert vault.told() == told + 1
    vault.drop(*spaces)


def test_it_works_in_a_pod(vault: Vault, account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod's environment and files, made by hand: the sandbox has no kubelet."""
    loader = kubernetes.config.incluster_config
    with pytest.raises(ClusterError, match="Service host/port is not set") as caught:
        planton.connect(in_cluster=True)
    assert "--in-cluster" in caught.value.remedy
    given = yaml.safe_load(account.read_text())
    address = urlsplit(given["clusters"][0]["cluster"]["server"])
    import base64

    authority = tmp_path / "ca.crt"
    authority.write_bytes(base64.b64decode(given["clusters"][0]["cluster"]["certificate-authority-data"]))
    token = tmp_path / "token"
    token.write_text(given["users"][0]["user"]["token"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    monkeypatch.setattr(loader, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(loader, "SERVICE_CERT_FILENAME", str(authority))
    cluster = planton.connect(in_cluster=True)
    assert cluster.identity.context == "in-cluster"
    assert given["users"][0]["user"]["token"] not in repr(cluster)
    result = cluster.synchronise_credentials(OPERATOR)
    assert isinstance(result, ApplyResult)
    token.unlink()
    with pytest.raises(ClusterError, match="token file does not exist"):
        planton.connect(in_cluster=True)
    with pytest.raises(TypeError):
        planton.connect("file", in_cluster=True)


def test_the_role_is_read_off_the_calls(vault: Vault) -> None:
    """Keys of a pair that stand in several namespaces have a role each."""
    platform, _ = vault.installed.cluster.facts()
    assert platform is not None
    kinds = {(obj["kind"], obj["metadata"].get("namespace", "")) for obj in sync_job(platform, "image")}
    assert ("Role", VAULT) in kinds
    server = Server(open_connection(vault.installed.sandbox.kubeconfig_for(OPERATOR, SYNC_JOB), None), "test")
    assert server.get(Key(SECRET, VAULT, "bucket")) is not None
    for resource in (SECRET, POD, SERVICE_ACCOUNT):
        with pytest.raises(ClusterError, match="cannot list"):
            server.list(resource)
    assert Synchroniser(server.connection, OPERATOR).run().failures == ()
    assert keys(3)[0] not in repr(server)
