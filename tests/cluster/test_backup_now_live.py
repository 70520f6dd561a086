"""A base backup on demand, through a real API server and a kubelet that runs the script as a process here."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.connection import ApiError
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.server import Server
from planton.cluster.backups.backup_now import make_backup, plan_backup
from sandbox import Sandbox
from sandbox.object_store import ObjectStore
from tests.cluster.backup_pod import BackupPod
from tests.cluster.conftest import Harness
from tests.cluster.kubelet import Kubelet, kubelet
from tests.cluster.patroni import create_pod, pod, told

pytestmark = pytest.mark.cluster


def namespace(harness: Harness, name: str) -> None:
    harness.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    harness.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})


@pytest.mark.usefixtures("served")
def test_a_backup_through_everything(harness: Harness, object_store: ObjectStore, name: str, tmp_path: Path) -> None:
    namespace(harness, name)
    resource = f"db-{name}"
    database = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": resource, "namespace": name},
        "spec": {"teamId": "db", "numberOfInstances": 1, "postgresql": {"version": "15"}},
    }
    harness.create(database)
    container = BackupPod(tmp_path)
    container.push_to_store()
    object_store.create_bucket(name)
    container.setting("WALG_S3_PREFIX", f"s3://{name}/{resource}/15")
    container.setting("AWS_ENDPOINT", object_store.endpoint)
    container.setting("AWS_REGION", object_store.region)
    container.setting("AWS_ACCESS_KEY_ID", object_store.access_key_id)
    container.setting("AWS_SECRET_ACCESS_KEY", object_store.secret_access_key)

    def newest() -> tuple[str, datetime] | None:
        found = [key for key in object_store.keys(name) if key.endswith("_backup_stop_sentinel.json")]
        return (Path(found[-1]).name.removesuffix("_backup_stop_sentinel.json"), datetime.now(UTC)) if found else None

    told_of: list[str] = []

    def progress(event: ProgressEvent) -> None:
        told_of.append(event.subject)

    server = Server(harness.connection, "backup", Scrubber([object_store.secret_access_key]))
    with kubelet(harness.api, name, container.path, tmp_path) as node:
        node.environment = {"WALG_LEAK": "of the container"}
        create_pod(harness.api, pod(name, resource, status=told(), node=name))
        planned = plan_backup(server, name, resource)
        cut_the_second(node)
        made = make_backup(server, planned, newest=newest, timeout=60.0, progress=progress, sleep=lambda seconds: None)
    assert made.name == "base_000000010000000000000007"
    assert made.pod == f"{resource}-0"
    assert f"{resource}/15/basebackups_005/{made.name}_backup_stop_sentinel.json" in object_store.keys(name)
    output = "\n".join(told_of)
    assert "the connection to the pod was cut" in output
    assert f"pushing {tmp_path}/data as " in output
    assert "not deleting any" in output
    assert object_store.secret_access_key not in output + repr(made) + "".join(made.lines)
    assert len(node.requests) >= 3
    assert set(node.requests) == {f"/exec/{name}/{resource}-0/postgres"}


def cut_the_second(node: Kubelet) -> None:
    """Cuts the connection over which the output is followed first, at once."""

    def before() -> None:
        if len(node.requests) == 2:
            node.cut_after = 0.0

    node.before = before


def test_what_a_command_says_and_how_it_ends(harness: Harness, sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    namespace(harness, name)
    lines: list[str] = []

    def run(script: str, server: Server = harness.server, **options: Any) -> int | None:
        lines.clear()
        command = ["/bin/bash", "-c", script, "x", "a b", "ü&?%"]
        return run_in_pod(server, name, "db-x-0", command, container="postgres", on_line=lines.append, **options)

    with kubelet(harness.api, name, os.defpath, tmp_path):
        create_pod(harness.api, pod(name, "db-x", status=told(), node=name))
        assert run('echo "$1"; echo "$2" >&2; printf end; exit 7') == 7
        assert sorted(lines) == ["a b", "end", "ü&?%"]
        assert run("for i in $(seq 3000); do echo line $i; done") == 0
        assert lines == [f"line {number}" for number in range(1, 3001)]
        assert run("head -c 10000 /dev/zero | tr '\\0' x") == 0
        assert "".join(lines) == "x" * 10000
        # Nothing is said for too long, and the time is over.
        assert run("sleep 2", silence=0.5) is None
        assert run("while sleep 0.1; do echo on; done", until=0.0) is None
        with pytest.raises(ApiError) as caught:
            run_in_pod(harness.server, name, "db-x-0", ["true"], container="other", on_line=lines.append)
        assert caught.value.status == 400
        assert "container other is not valid" in str(caught.value)

    user = Server(open_connection(sandbox.kubeconfig_for(name, "default"), None), "test")
    with pytest.raises(ApiError) as caught:
        run("true", user)
    error = caught.value
    assert (error.status, error.reason, error.subject) == (403, "Forbidden", f"Pod/{name}/db-x-0")
    assert "needs the verbs get and create on pods/exec" in error.remedy
    assert error.__cause__ is None
    assert error.__context__ is None
    # Its node is gone.
    with pytest.raises(ApiError) as caught:
        run("true")
    assert caught.value.status in (404, 500, 502)


def test_a_server_that_does_not_answer(harness: Harness, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nusers: [{name: x, user: {token: sentinel-token}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\n"
        "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n"
    )
    server = Server(open_connection(kubeconfig, None), "test")
    with pytest.raises(ApiError) as caught:
        run_in_pod(server, "a", "b", ["true"], container="postgres", on_line=print)
    assert caught.value.status == 0
    assert "sentinel-token" not in str(caught.value)
    assert "Connection refused" in str(caught.value)
