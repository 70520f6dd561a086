"""What fails says what and why, and what was done before; 403 is never "absent"."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest
import yaml

from planton.cluster import ProgressEvent, connect
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.failure import with_changes
from planton.errors import ClusterError, RefusedError
from sandbox import Sandbox
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import Object, config_map, deployment, everything, namespace, secret, service_account

pytestmark = pytest.mark.cluster

_READ = ("", "namespaces configmaps secrets services"), ("apps", "deployments"), ("acid.zalan.do", "postgresqls")


def restricted(harness: Harness, sandbox: Sandbox, space: str, *rules: Object, without: str = "") -> Harness:
    """Makes a harness that may read what every plan reads, and otherwise only what the rules say."""
    read = [
        {"apiGroups": [group], "resources": [one for one in names.split() if one != without], "verbs": ["get", "list"]}
        for group, names in _READ
        if names != without
    ]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    home = f"{space}-user"
    harness.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": home}})
    harness.api.request("POST", f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": "user"}})
    harness.api.request("POST", f"{rbac}/clusterroles", {"metadata": {"name": home}, "rules": [*read, *rules]})
    binding = {
        "metadata": {"name": home},
        "subjects": [{"kind": "ServiceAccount", "name": "user", "namespace": home}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": home},
    }
    harness.api.request("POST", f"{rbac}/clusterrolebindings", binding)
    return Harness(harness.api, open_connection(sandbox.kubeconfig_for(home, "user"), None))


def rule(names: str, verbs: str = "get list create patch delete") -> Object:
    return {"apiGroups": [""], "resources": names.split(), "verbs": verbs.split()}


def test_a_failure_halfway_carries_what_was_done(harness: Harness, sandbox: Sandbox, space: str) -> None:
    user = restricted(harness, sandbox, space, rule("namespaces configmaps"))
    objects = [namespace(space), secret(space), config_map(space)]
    with pytest.raises(ClusterError, match='cannot create resource "secrets"'):
        # The namespace is not there yet, so that no dry run says it.
        user.plan(objects)
    plan = harness.plan(objects)
    assert set(words(plan).values()) == {"created"}
    with pytest.raises(ClusterError) as caught:
        user.carry_out(plan)
    error = caught.value
    assert (error.status, error.reason, error.subject) == (403, "Forbidden", f"Secret/{space}/keys")
    assert words(error.changes) == {f"Namespace/{space}": "created"}
    assert "cannot patch resource" in error.text
    assert "needs that permission" in error.remedy
    # Nothing of a later stage was begun.
    assert harness.find(config_map(space)) is None
    assert words(harness.apply(objects)) == {
        f"Namespace/{space}": "unchanged",
        f"Secret/{space}/keys": "created",
        f"ConfigMap/{space}/settings": "created",
    }


def test_what_may_be_written_in_the_same_stage_is_written_and_told(
    harness: Harness, sandbox: Sandbox, space: str
) -> None:
    user = restricted(harness, sandbox, space, rule("namespaces secrets"))
    full = [f"{space}-b", f"{space}-c"]
    spaces = [space, *full]
    plan = user.plan([*map(namespace, spaces), *map(secret, spaces)])
    for one in full:
        harness.apply([namespace(one)])
        path = f"/api/v1/namespaces/{one}/resourcequotas"
        hard = {"hard": {"count/secrets": "0"}}
        harness.api.request("POST", path, {"metadata": {"name": "none"}, "spec": hard})
        status = {"status": {**hard, "used": {"count/secrets": "0"}}}
        harness.api.request("PATCH", f"{path}/none/status", status, content_type="application/merge-patch+json")
    with pytest.raises(ClusterError) as caught:
        user.carry_out(plan)
    for one in full:
        assert f"Secret/{one}/keys" in str(caught.value)
    assert words(caught.value.changes) == {
        f"Namespace/{space}": "created",
        **{f"Namespace/{one}": "unchanged" for one in full},
        f"Secret/{space}/keys": "created",
    }


def test_a_missing_permission_is_found_by_the_plan_where_the_namespace_exists(
    harness: Harness, sandbox: Sandbox, space: str
) -> None:
    harness.apply([namespace(space)])
    user = restricted(harness, sandbox, space, rule("configmaps"))
    with pytest.raises(ClusterError) as caught:
        user.plan([namespace(space), config_map(space), secret(space), deployment(space)])
    assert caught.value.phase == "plan"
    assert caught.value.status == 403
    for group, resource, name in (("", "secrets", "keys"), ("apps", "deployments", "worker")):
        denied = f'cannot patch resource "{resource}" in API group "{group}" in the namespace "{space}" ({name})'
        assert denied in caught.value.text
    assert harness.find(config_map(space)) is None


@pytest.mark.parametrize("missing", ["namespaces", "configmaps", "secrets", "deployments", "postgresqls"])
def test_what_may_not_be_read_is_an_error_and_not_absent(
    harness: Harness, sandbox: Sandbox, space: str, missing: str
) -> None:
    harness.apply([namespace(space)])
    user = restricted(harness, sandbox, space, without=missing)
    with pytest.raises(ClusterError) as caught:
        user.plan([namespace(space), secret(space)])
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert missing in caught.value.text


def test_a_terminating_namespace_is_refused_with_the_reason(harness: Harness, space: str) -> None:
    harness.apply([namespace(space), config_map(space)])
    harness.api.request("DELETE", f"/api/v1/namespaces/{space}")
    with pytest.raises(RefusedError) as caught:
        harness.plan([namespace(space), config_map(space, a="2"), secret(space)])
    assert caught.value.reasons == (
        f"Namespace/{space} is being deleted: wait until it is gone, then run the same command again, or leave out "
        "the manifests of what is in it",
    )


def test_an_object_in_a_namespace_that_nobody_makes_is_refused(harness: Harness, space: str) -> None:
    with pytest.raises(RefusedError, match="is not there, and is not in the set"):
        harness.plan([config_map(space)])


def test_what_the_server_says_shows_no_value_of_a_secret(harness: Harness, space: str) -> None:
    values = {"AWS_SECRET_ACCESS_KEY": 'sentinel/"secret"+key=0002'}
    echo = config_map(space)
    echo["metadata"]["labels"] = {**echo["metadata"]["labels"], "echo": values["AWS_SECRET_ACCESS_KEY"]}
    harness.apply([namespace(space)])
    with pytest.raises(ClusterError) as caught:
        harness.plan([namespace(space), secret(space, **values), echo])
    text = f"{caught.value} {caught.value.args!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert caught.value.status == 422
    assert "<hidden>" in text
    assert "sentinel" not in text


def test_a_refused_object_is_named_and_nothing_is_written(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    bad = deployment(space)
    bad["spec"]["template"]["metadata"]["labels"] = {"app": "another"}
    with pytest.raises(ClusterError) as caught:
        harness.plan([namespace(space), config_map(space), bad])
    assert (caught.value.status, caught.value.subject) == (422, f"Deployment/{space}/worker")
    assert "selector" in caught.value.text
    assert harness.find(config_map(space)) is None


def test_an_unknown_field_is_an_error_at_once(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    bad = config_map(space) | {"unknown": "field"}
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        harness.plan([namespace(space), bad])
    assert "unknown" in caught.value.text
    assert time.monotonic() - started < 3


def test_an_apply_survives_a_restart_of_the_api_server(harness: Harness, sandbox: Sandbox, space: str) -> None:
    objects = [namespace(space), *(config_map(space, f"many-{number}") for number in range(120))]
    plan = harness.plan(objects)
    restart = threading.Thread(target=sandbox.restart_api_server)

    def kill_it_halfway(event: ProgressEvent) -> None:
        if (event.phase, event.done) == ("configuration", 30):
            restart.start()
            while _answers(sandbox):
                time.sleep(0.01)

    changes = harness.carry_out(plan, progress=kill_it_halfway)
    restart.join()
    assert set(words(changes).values()) == {"created"}
    assert not harness.plan(objects).changed


def test_a_server_that_is_not_there(tmp_path: Path, sandbox: Sandbox) -> None:
    text = sandbox.kubeconfig.read_text().replace(sandbox.url, "https://127.0.0.1:9")
    (tmp_path / "kubeconfig").write_text(text)
    cluster = connect(tmp_path / "kubeconfig")
    with pytest.raises(ClusterError) as caught:
        cluster.facts()
    assert (caught.value.status, caught.value.reason) == (0, "NoConnection")
    assert "Connection refused" in caught.value.text
    assert "https://127.0.0.1:9" in caught.value.remedy


def test_a_certificate_that_nobody_signed(tmp_path: Path, sandbox: Sandbox) -> None:
    lines = sandbox.kubeconfig.read_text().splitlines(keepends=True)
    (tmp_path / "kubeconfig").write_text("".join(one for one in lines if "certificate-authority" not in one))
    with pytest.raises(ClusterError) as caught:
        connect(tmp_path / "kubeconfig").facts()
    assert caught.value.status == 0
    assert "certificate" in caught.value.text.lower()


def test_a_token_that_is_not_accepted(tmp_path: Path, sandbox: Sandbox) -> None:
    text = sandbox.kubeconfig.read_text().replace(sandbox.admin_token, "not-a-token")
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(ClusterError) as caught:
        connect(tmp_path / "kubeconfig").facts()
    assert caught.value.status == 401
    assert "log in again" in caught.value.remedy
    assert "not-a-token" not in str(caught.value)


def test_a_kubeconfig_with_a_plugin_that_gives_tokens(tmp_path: Path, sandbox: Sandbox) -> None:
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": sandbox.admin_token},
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(tmp_path / "answer.json")],
        "interactiveMode": "Never",
    }
    config["users"][0]["user"] = {"exec": plugin}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    assert connect(tmp_path / "kubeconfig").facts()[1].from_cluster
    (tmp_path / "answer.json").write_text("{}")
    with pytest.raises(ClusterError):
        connect(tmp_path / "kubeconfig").facts()


def test_no_object_of_the_layer_prints_a_token(harness: Harness, sandbox: Sandbox) -> None:
    cluster = connect(sandbox.kubeconfig)
    for one in (cluster, cluster.identity, harness.connection, harness.server):
        assert sandbox.admin_token not in repr(one) + str(one)


@pytest.mark.parametrize(
    ("text", "context", "words_"),
    [
        (None, None, "no such file"),
        ("", None, "Invalid kube-config"),
        ("{[", None, "is not a kubeconfig"),
        ("contexts: 5", None, ""),
        ("sandbox", "elsewhere", 'no context "elsewhere", only sandbox'),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(
    tmp_path: Path, sandbox: Sandbox, text: str | None, context: str | None, words_: str
) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(sandbox.kubeconfig.read_text() if text == "sandbox" else text)
    with pytest.raises(ClusterError) as caught:
        connect(path, context)
    assert caught.value.phase == "connect"
    assert str(path) in caught.value.subject
    assert words_ in caught.value.text
    assert sandbox.admin_token not in str(caught.value)


def test_service_accounts_and_all_else_come_back_after_a_namespace_was_lost(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    for one in objects:
        if one["kind"] != "Namespace":
            key = f"{one['kind']}/{one['metadata']['name']}"
            harness.api.request("DELETE", _path(one))
            assert harness.find(one) is None, key
    assert list(words(harness.apply(objects)).values()).count("created") == 7
    assert harness.find(service_account(space))


def _answers(sandbox: Sandbox) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))).close()
        return True
    return False


def _path(obj: Object) -> str:
    from planton.cluster.api.resources import key_of

    return key_of(obj).path


def test_a_bug_is_told_by_its_kind_and_its_place() -> None:
    """Its text can quote what is in no Secret of the set, and so what the scrubber does not know."""

    def broken() -> None:
        raise KeyError("authorization: bearer sentinel-of-a-token")

    with pytest.raises(KeyError) as caught:
        broken()
    told = with_changes(caught.value, [], phase="apply", waited=1.0)
    assert "this is a bug in planton: KeyError at " in str(told)
    assert "in broken" in str(told)
    assert "sentinel" not in f"{told}{vars(told)}"
