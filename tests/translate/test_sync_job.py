"""The CronJob that keeps credentials where they belong: its account, and how it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import planton
from planton.translate.contract import KubernetesObject
from planton.translate.order import ordered
from planton.translate.platform import BackupPlatform
from planton.translate.sync_job import SYNC_JOB, sync_job
from tests.manifests import operator


@pytest.fixture
def platform() -> BackupPlatform:
    found = planton.render(planton.loads(operator())).platform
    assert found is not None
    return found


def rules(objects: list[KubernetesObject], kind: str, namespace: str = "") -> list[KubernetesObject]:
    (role,) = [obj for obj in objects if (obj["kind"], obj["metadata"].get("namespace", "")) == (kind, namespace)]
    found: list[KubernetesObject] = role["rules"]
    return found


def test_secrets_are_named_and_never_listed(platform: BackupPlatform) -> None:
    sources = {"AWS_ACCESS_KEY_ID": "vault/bucket/id", "AWS_SECRET_ACCESS_KEY": "postgres-operator/mine/key"}
    objects = sync_job(replace(platform, sources=sources), "image")
    every = [rule for obj in objects for rule in obj.get("rules", ())]
    for rule in every:
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        if rule["resources"] != ["namespaces"] and rule["resources"] != ["postgresqls"]:
            assert rule["resourceNames"]
            assert not {"list", "watch", "delete", "update"} & set(rule["verbs"])
    assert rules(objects, "ClusterRole") == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
        {"apiGroups": ["acid.zalan.do"], "resources": ["postgresqls"], "verbs": ["list"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "verbs": ["create", "get", "patch"],
            "resourceNames": ["r2-postgres-backup-credentials"],
        },
    ]
    assert rules(objects, "Role", "vault") == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["bucket"]}
    ]
    assert rules(objects, "Role", "postgres-operator")[-1]["resourceNames"] == ["mine"]


def test_service_accounts_only_where_they_have_annotations(platform: BackupPlatform) -> None:
    assert "serviceaccounts" not in str(rules(sync_job(platform, "image"), "ClusterRole"))
    with_them = replace(platform, service_account_annotations={"a": "b"}, secret_name="", files_secret_name="files")
    assert rules(sync_job(with_them, "image"), "ClusterRole")[2:] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "get", "patch"], "resourceNames": ["files"]},
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts"],
            "verbs": ["create", "get", "patch"],
            "resourceNames": ["postgres-pod"],
        },
    ]


def test_how_it_runs(platform: BackupPlatform) -> None:
    objects = sync_job(replace(platform, namespace="data"), "registry.example/planton:1", "*/7 * * * *")
    assert objects == ordered(objects)
    job = objects[-1]
    assert (job["kind"], job["metadata"]["name"], job["metadata"]["namespace"]) == ("CronJob", SYNC_JOB, "data")
    spec = job["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/7 * * * *", "Forbid")
    inner = spec["jobTemplate"]["spec"]
    assert inner["backoffLimit"] == 1
    assert inner["ttlSecondsAfterFinished"] > 0
    pod = inner["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/planton:1"
    assert container["command"] == ["planton", "sync-credentials", "--in-cluster", "--operator", "data"]
    assert set(container["resources"]) == {"limits", "requests"}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    # Two operators' accounts do not meet in what stands in no namespace.
    assert {obj["metadata"]["name"] for obj in objects if obj["kind"].startswith("Cluster")} == {f"{SYNC_JOB}-data"}
