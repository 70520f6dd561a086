"""`planton status`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml

import planton
from planton.cli import main
from planton.cluster.backups.backup_age import ArchiveStatus
from planton.cluster.status import EventStatus, PodStatus, ResourceStatus
from planton.translate.outputs import fill_outputs
from tests.cli.fake import FakeCluster
from tests.manifests import ACCESS_KEY, SECRET_KEY, database, operator


@pytest.fixture
def answered(cluster: FakeCluster) -> FakeCluster:
    """A cluster with an operator, a database in trouble, and one that is not there."""
    first, second, third = planton.loads(operator() + database("orders") + database("billing"))
    for message in (first, second):
        fill_outputs(message)
    cluster.statuses = [
        ResourceStatus(first, "PostgresOperatorKubernetes/postgres-operator", "postgres-operator", True, True,
                       version="1.15.1", replicas=1, ready_replicas=1),
        ResourceStatus(
            second, "PostgresKubernetes/orders", "orders", True, False, reported="UpdateFailed", version="17",
            replicas=2, ready_replicas=1,
            pods=(
                PodStatus("db-orders-0", "Running", True, "master", True, "", 2, 5 << 32),
                PodStatus("db-orders-1", "", False),
                PodStatus("db-orders-2", "Running", True, "replica", False, "streaming", 2, 0x4FFD00000, 0x300000),
                PodStatus("db-orders-3", "Running", True, "replica", False, "", 0, 5 << 32, 0),
                PodStatus("db-orders-4", "Running", True, "master", False, "in archive recovery", 1, 0x7000060),
            ),
            events=(EventStatus("2026-01-02T03:04:05Z", "StatefulSet/orders/db-orders", "FailedCreate", "no room", 3),),
            differing=("WALG_S3_PREFIX",),
            problems=("1 of 2 pods are ready",),
        ),
        ResourceStatus(third, "PostgresKubernetes/billing", "billing", False, False,
                       problems=("postgresql/billing/db-billing is not there",)),
    ]  # fmt: skip
    return cluster


def test_table(capsys: pytest.CaptureFixture[str], answered: FakeCluster, manifests: str) -> None:
    assert main(["status", "-f", manifests, "--operator", "ns"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "Server:  https://cluster.example:6443"
    start = lines.index("")
    assert [line.split() for line in lines[start + 1 : start + 5]] == [
        ["RESOURCE", "NAMESPACE", "READY", "OPERATOR", "SAYS", "VERSION", "PODS"],
        ["PostgresOperatorKubernetes/postgres-operator", "postgres-operator", "yes", "1.15.1", "1/1"],
        ["PostgresKubernetes/orders", "orders", "no", "UpdateFailed", "17", "1/2"],
        ["PostgresKubernetes/billing", "billing", "absent"],
    ]
    for text in (
        "problem      1 of 2 pods are ready",
        "address      db-orders.orders.svc.cluster.local",
        "from here    kubectl port-forward -n orders service/db-orders 5432:5432",
        "Secret/orders/postgres.db-orders.credentials.postgresql.acid.zalan.do, keys username and password",
        "db-orders-0: Running, ready, master, to be restarted",
        "db-orders-1: unknown, not ready",
        "db-orders-2: Running, ready, replica, streaming, has WAL up to 4/FFD00000 of timeline 2, 3.0 MiB less than",
        "db-orders-3: Running, ready, replica, has WAL up to 5/0, all that its leader has",
        "db-orders-4: Running, ready, master, in archive recovery, has WAL up to 0/7000060 of timeline 1",
        "StatefulSet/orders/db-orders: FailedCreate: no room (3 times)",
        "what to do  planton apply",
    ):
        assert text in captured.out
    assert lines[-1] == "1 of 3 resources ready."
    wanted: dict[str, object] = {"names": [], "namespace": None, "operator_namespace": "ns", "archives": True}
    assert answered.asked["status"] == wanted


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_for_programs(capsys: pytest.CaptureFixture[str], answered: FakeCluster, manifests: str, output: str) -> None:
    assert main(["status", "-f", manifests, "-o", output]) == 0
    out = capsys.readouterr().out
    data = json.loads(out) if output == "json" else list(yaml.safe_load_all(out))
    assert [one["kind"] for one in data] == ["PostgresOperatorKubernetes", "PostgresKubernetes", "PostgresKubernetes"]
    assert data[1]["status"]["outputs"]["service"] == "db-orders"
    assert data[1]["status"]["outputs"]["password_secret"]["key"] == "password"
    observed = data[1]["status"]["observed"]
    assert (observed["ready"], observed["reported"], observed["readyReplicas"]) == (False, "UpdateFailed", 1)
    assert observed["pods"][0]["restartPending"] is True
    assert observed["events"][0]["count"] == 3
    assert data[2]["status"] == {"observed": data[2]["status"]["observed"]}
    assert data[0]["spec"]["backup_config"]["r2_config"]["secret_access_key"] == "<hidden>"
    assert ACCESS_KEY not in out
    assert SECRET_KEY not in out


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FRESH = ArchiveStatus(
    "s3://backups/db-orders/17",
    "base_000000010000000000000003",
    NOW - timedelta(hours=26),
    "000000010000000000000007",
    NOW - timedelta(minutes=7),
    NOW,
)


@pytest.mark.parametrize(
    ("archive", "code", "words"),
    [
        (FRESH, 0, ["1 d 2 h", "7 min", "s3://backups/db-orders/17"]),
        (replace(FRESH, note="idle: all is archived"), 0, ["(idle: all is archived)"]),
        (replace(FRESH, stale=("the last WAL segment came 3 h ago",)), 3,
         ["TOO OLD: the last WAL segment came 3 h ago", "Backups of 1 database are too old, or cannot be seen."]),
        (ArchiveStatus("s3://b/x", unknown="the keys are refused", problem="credentials"), 3,
         ["not known: the keys are refused", "cannot be seen"]),
        (ArchiveStatus("s3://b/x", unknown="no such name: minio", problem="unreachable", is_inside=True), 0,
         ["not known: no such name: minio", "planton check --from-cluster"]),
        (None, 0, []),
    ],
)  # fmt: skip
def test_backups(
    capsys: pytest.CaptureFixture[str],
    answered: FakeCluster,
    manifests: str,
    archive: ArchiveStatus | None,
    code: int,
    words: list[str],
) -> None:
    answered.statuses[1] = replace(answered.statuses[1], archive=archive)
    assert main(["status", "-f", manifests, "--no-archive"]) == code
    assert answered.asked["status"]["archives"] is False
    out = capsys.readouterr().out
    for word in words:
        assert word in out
    assert ("LAST BACKUP" in out) is (archive is not None)
    assert main(["status", "-f", manifests, "-o", "json"]) == code
    observed = json.loads(capsys.readouterr().out)[1]["status"]["observed"]
    assert ("archive" in observed) is (archive is not None)
    if archive is FRESH:
        assert observed["archive"] == {
            "archive": "s3://backups/db-orders/17",
            "alarming": False,
            "stale": [],
            "unknown": None,
            "note": None,
            "backup": "base_000000010000000000000003",
            "backupTime": "2026-11-21T10:00:00Z",
            "backupAgeSeconds": 93600,
            "segment": "000000010000000000000007",
            "segmentTime": "2026-11-22T11:53:00Z",
            "segmentAgeSeconds": 420,
        }
