"""The account of the rendered CronJob can do what it is for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes.config.incluster_config
import pytest
import yaml

import planton
from planton.cluster import ApplyResult
from planton.cluster.api.connection import Connection, Request
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, POD, SECRET, SERVICE_ACCOUNT, Key
from planton.cluster.api.server import Server
from planton.cluster.synchronising.synchronise import Synchroniser
from planton.errors import ClusterError
from planton.translate.planton_roles import planton_roles
from planton.translate.sync_job import SYNC_JOB, sync_job
from sandbox._api import Api
from sandbox._errors import ApiError
from tests.cluster.conftest import words
from tests.cluster.objects import Object
from tests.cluster.sync import BACKUP, FILES, OPERATOR, STORAGE, VAULT, Vault, certificate, keys, vault_of_a_sandbox

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("synchronise-role")]


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    """A sandbox with the operator, and the objects of the CronJob applied."""
    with vault_of_a_sandbox() as made:
        platform, _ = made.installed.cluster.facts()
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


def account_like_it(
    vault: Vault, name: str, resource: str, verb: str = "", *, spaces: Sequence[str] | None = None, more: str = ""
) -> Path:
    """Makes an account as the CronJob's, but for a verb; or with Secrets of copies in some namespaces only."""
    platform, _ = vault.installed.cluster.facts()
    assert platform is not None
    objects = json.loads(json.dumps(sync_job(platform, "image")[:-1]).replace(SYNC_JOB, f"{name}{more}"))
    for obj in objects:
        taken = [rule for rule in obj.get("rules", ()) if resource in rule["resources"]]
        for rule in taken:
            rule["verbs"] = [one for one in rule["verbs"] if one != verb]
        if "rules" in obj:
            obj["rules"] = [rule for rule in obj["rules"] if rule["verbs"]]
        if obj["kind"] == "ClusterRole" and spaces is not None:
            obj["rules"] = [rule for rule in obj["rules"] if rule not in taken]
            for space in spaces:
                where = {"name": f"{name}{more}-copies", "namespace": space}
                role = {"kind": "Role", "name": where["name"], "apiGroup": "rbac.authorization.k8s.io"}
                subject = {"kind": "ServiceAccount", "name": f"{name}{more}", "namespace": OPERATOR}
                version = obj["apiVersion"]
                objects += [
                    {"apiVersion": version, "kind": "Role", "metadata": where, "rules": taken},
                    {
                        "apiVersion": version,
                        "kind": "RoleBinding",
                        "metadata": where,
                        "roleRef": role,
                        "subjects": [subject],
                    },
                ]
    for obj in objects:
        vault.api.request(
            "PATCH", f"{_path(obj)}?fieldManager=kubectl&force=true", obj, content_type="application/apply-patch+yaml"
        )
    return vault.installed.sandbox.kubeconfig_for(OPERATOR, f"{name}{more}")


def versions(vault: Vault, *spaces: str) -> dict[str, str]:
    """Gives the version of everything that may be written."""
    keys_ = [Key(SECRET, space, secret) for space in (OPERATOR, *spaces) for secret in (STORAGE, FILES)]
    keys_ += [Key(CONFIG_MAP, OPERATOR, BACKUP), Key(DEPLOYMENT, OPERATOR, OPERATOR)]
    found = {key.subject: vault.server.get(key) for key in keys_}
    # The operator's status changes by itself.
    return {
        subject: str(one and (one["metadata"].get("generation") or one["metadata"]["resourceVersion"]))
        for subject, one in found.items()
    }


def test_the_work_operator_has_it_too(vault: Vault, name: str) -> None:
    """As docs/permissions.md says, and the remedy of a refusal."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": OPERATOR}
    objects = planton_roles(["operator"], subject=subject, name=name)
    metadata = {"name": name, "namespace": OPERATOR}
    for obj in [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, *objects]:
        vault.api.request(
            "PATCH", f"{_path(obj)}?fieldManager=kubectl", obj, content_type="application/apply-patch+yaml"
        )
    account = vault.installed.sandbox.kubeconfig_for(OPERATOR, name)
    vault.foreign_database(name)
    vault.rotate(21)
    assert planton.connect(account).synchronise_credentials(OPERATOR).changed
    assert vault.copies(21, OPERATOR, name)
    vault.drop(name)


class Counting(Connection):
    """Counts the questions whether something is allowed."""

    def __init__(self, other: Connection) -> None:
        super().__init__(other.client, other.identity)
        self.questions = 0

    def send(self, request: Request, **facts: Any) -> tuple[int, Any]:
        self.questions += "selfsubjectaccessreviews" in request.path
        return super().send(request, **facts)


@pytest.mark.parametrize(
    ("resource", "verb", "number"),
    [("deployments", "patch", 11), ("configmaps", "patch", 12), ("secrets", "patch", 13), ("secrets", "create", 0)],
)
def test_without_one_permission_nothing_is_written(
    vault: Vault, name: str, resource: str, verb: str, number: int
) -> None:
    vault.foreign_database(name)
    if number:
        vault.installed.cluster.synchronise_credentials()
    account = account_like_it(vault, name, resource, verb)
    # Nobody is asked what he may do when there is nothing to do.
    if number:
        counting = Counting(open_connection(account, None))
        assert not Synchroniser(counting, OPERATOR).run().failures
        assert counting.questions == 0
        vault.rotate(number)
    before = versions(vault, name)
    with pytest.raises(ClusterError) as caught:
        planton.connect(account).synchronise_credentials(OPERATOR)
    error = caught.value
    space = name if verb == "create" else OPERATOR
    assert f'cannot {verb} resource "{resource}"' in error.text
    assert f'in the namespace "{space}"' in error.text
    assert (error.status, error.phase, error.changes) == (403, "sync", ())
    assert "--render-cron-job" in error.remedy
    assert "planton permissions operator" in error.remedy
    assert versions(vault, name) == before
    vault.installed.cluster.synchronise_credentials()
    vault.drop(name)


def test_namespaces_that_are_closed_are_told_at_once_and_the_others_are_done(vault: Vault, name: str) -> None:
    spaces = [f"{name}{number:02}" for number in range(9)]
    for space in spaces:
        vault.foreign_database(space)
    vault.installed.cluster.synchronise_credentials()
    # They can be looked at, and not be written.
    account = account_like_it(vault, name, "secrets", spaces=[OPERATOR, *spaces[:-2]])
    account_like_it(vault, name, "secrets", "patch", spaces=spaces[-2:], more="-readers")
    for space in spaces[-2:]:
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings/{name}-readers-copies"
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": OPERATOR}]
        vault.api.request("PATCH", path, {"subjects": subjects}, content_type="application/merge-patch+json")
    vault.rotate(14)
    told, before = vault.told(), versions(vault, *spaces[-2:])
    with pytest.raises(ClusterError) as caught:
        planton.connect(account).synchronise_credentials(OPERATOR)
    error = caught.value
    for space in spaces[-2:]:
        assert error.text.count(f'cannot patch resource "secrets" in API group "" in the namespace "{space}"') == 1
    assert {one.namespace for one in error.denied} == set(spaces[-2:])
    assert "generation" in error.remedy
    assert vault.copies(14, OPERATOR, *spaces[:-2])
    assert vault.told() == told
    after = versions(vault, *spaces[-2:])
    assert [after[one] for one in before if OPERATOR not in one] == [
        before[one] for one in before if OPERATOR not in one
    ]
    vault.installed.cluster.synchronise_credentials()
    # Of many namespaces it is asked by the few names, as the CronJob's account has them.
    vault.rotate(15)
    vault.write("authority", {"pem": certificate(15)})
    counting = Counting(open_connection(vault.installed.sandbox.kubeconfig_for(OPERATOR, SYNC_JOB), None))
    assert not Synchroniser(counting, OPERATOR).run().failures
    assert 0 < counting.questions <= 8
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
