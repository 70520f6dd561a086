"""`planton backups` by a cluster: a base backup on demand, and what the command shows of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planton.cli import main
from sandbox.object_store import ObjectStore
from tests.catalogue.archives import Archive
from tests.cluster.backup_pod import BackupPod
from tests.cluster.conftest import Installed
from tests.cluster.kubelet import kubelet
from tests.cluster.patroni import create_pod, pod, told
from tests.manifests import database

pytestmark = pytest.mark.cluster


def test_create(
    installed: Installed,
    object_store: ObjectStore,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive = Archive()
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    archive.run(1, 3, start)
    archive.backup(2, start + timedelta(minutes=2), version=170002)
    object_store.create_bucket(name)
    text = database(
        name,
        backup=f"""
        enable_backup: true
        storage:
          bucket_name: {name}
          s3_compatible: {{endpoint: "{object_store.endpoint}", region: {object_store.region}}}
        credentials:
          access_key_id: {{value: "{object_store.access_key_id}"}}
          secret_access_key: {{value: "{object_store.secret_access_key}"}}
        """,
    )
    kubeconfig = ["--kubeconfig", str(installed.sandbox.kubeconfig)]
    installed.apply(text)
    archive.write(object_store.folder / "data" / name / "backups" / f"db-{name}" / "17")
    # No controller makes it in a sandbox.
    account = {"metadata": {"name": "default"}}
    installed.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    resource = f"db-{name}"
    container = BackupPod(tmp_path)
    container.push_to_store()
    for variable, value in {
        "WALG_S3_PREFIX": f"s3://{name}/backups/{resource}/17",
        "AWS_ENDPOINT": object_store.endpoint,
        "AWS_REGION": object_store.region,
        "AWS_ACCESS_KEY_ID": object_store.access_key_id,
        "AWS_SECRET_ACCESS_KEY": object_store.secret_access_key,
    }.items():
        container.setting(variable, value)
    with kubelet(installed.api, f"node-{name}", container.path, tmp_path):
        assert main(["backups", "create", name, *kubeconfig]) == 1
        assert "has no primary that is ready" in capsys.readouterr().err
        create_pod(installed.api, pod(name, resource, status=told(), node=f"node-{name}"))
        assert main(["backups", "create", name, *kubeconfig, "--timeout", "2m"]) == 0
    captured = capsys.readouterr()
    assert "! retention runs after it" in captured.out
    assert "base_000000010000000000000007 is in the archive" in captured.out
    assert object_store.secret_access_key not in captured.out + captured.err
    # The way by the cluster finds the same archive, and the new backup in it.
    assert main(["backups", "show", resource, "LATEST", "-n", name, *kubeconfig, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "base_000000010000000000000007"
