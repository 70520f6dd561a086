"""`planton check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from planton.catalogue.probe import Finding
from planton.cli import main
from planton.cluster.checking.checks import Checked
from sandbox.object_store import ObjectStore
from tests.cli.fake import FakeCluster
from tests.cli.support import planton
from tests.manifests import database, operator

GOOD = Checked(
    "store",
    "s3://backups at minio.example.com",
    ("postgresql/orders/db-orders", "postgresql/users/db-users"),
    (Finding("reachable", "ok"), Finding("deletable in a batch", "ok")),
)
BAD = Checked(
    "store",
    "s3://other at store.example.com",
    ("postgresql/users/db-users",),
    (
        Finding("reachable", "ok"),
        Finding("keys", "failed", "the secret key is wrong", "Correct it.", "credentials"),
        Finding("readable", "not tried"),
        Finding("writable", "not tried"),
    ),
    ("planton-check/abc-1",),
)
OWN = Checked(
    "archive", "s3://backups/db-orders/17", ("postgresql/orders/db-orders",), (Finding("archive", "ok", "empty"),)
)
DOUBT = Checked(
    "archive",
    "s3://backups/db-users/17",
    ("postgresql/users/db-users",),
    (Finding("archive", "warning", "not proven to be its own", "Look into it."),),
)
OFF = Checked(
    "settings", "postgresql/x/db-x", ("postgresql/x/db-x",), (Finding("archive", "not tried", "backups are off"),)
)


def test_all_is_well(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    cluster.checked = (GOOD, OWN, DOUBT, OFF)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert (
        "Store s3://backups at minio.example.com\n  used by postgresql/orders/db-orders, postgresql/users/db-users"
        in out
    )
    assert "not proven to be its own. Look into it." in out
    assert "backups are off" in out
    assert out.splitlines()[-1] == "1 store and 2 archives looked at: all is well, with 1 warning."
    assert cluster.asked["check"] == {
        "manifests": [],
        "names": [],
        "namespace": None,
        "operator_namespace": None,
        "from_cluster": False,
        "timeout": 300.0,
    }


def test_something_is_wrong(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.checked = (GOOD, BAD)
    arguments = ["check", "orders", "users", "-f", manifests, "--from-cluster", "--operator", "ns", "--timeout", "1m"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "the secret key is wrong. Correct it." in out
    # What could not be tried takes one line.
    assert "the rest" in out
    assert "readable, writable" in out
    assert "left behind: planton-check/abc-1" in out
    assert out.splitlines()[-1] == "2 stores and 0 archives looked at: 1 thing wrong."
    asked = cluster.asked["check"]
    assert asked["manifests"]
    assert (asked["names"], asked["from_cluster"], asked["timeout"]) == (["orders", "users"], True, 60.0)
    assert asked["operator_namespace"] == "ns"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_for_programs(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, output: str) -> None:
    cluster.checked = (GOOD, BAD, DOUBT)
    assert main(["check", "-o", output]) == 1
    out = capsys.readouterr().out
    data = json.loads(out) if output == "json" else yaml.safe_load(out)
    assert data["ok"] is False
    assert [one["ok"] for one in data["checks"]] == [True, False, True]
    assert data["checks"][1]["findings"][1] == {
        "check": "keys",
        "outcome": "failed",
        "text": "the secret key is wrong",
        "remedy": "Correct it.",
        "problem": "credentials",
    }
    assert data["checks"][1]["leftBehind"] == ["planton-check/abc-1"]


def test_nothing_tried_is_not_called_well(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.checked = (OFF,)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 stores and 0 archives looked at: nothing was tried."
    # Without the operator and without the cluster nobody knows where a database archives to.
    path = tmp_path / "orders.yaml"
    path.write_text(database("orders"))
    assert main(["check", "-f", str(path)]) == 1
    out = capsys.readouterr().out
    assert "Give the operator's manifest too, or --live, which asks the cluster." in out
    assert out.splitlines()[-1] == "0 stores and 0 archives looked at: 1 thing wrong."
    off = database("orders", backup="enable_backup: false")
    for text in (off + operator(), off):
        path.write_text(text)
        assert main(["check", "orders", "-f", str(path)]) == 0
        assert "its backups are off" in capsys.readouterr().out


def test_nothing_to_check(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    assert main(["check"]) == 0
    assert "There is nothing to check" in capsys.readouterr().out


def test_the_cluster_is_not_asked_without_a_word(capsys: pytest.CaptureFixture[str], manifests: str) -> None:
    assert main(["check", "-f", manifests, "--context", "production"]) == 1
    assert "--live" in capsys.readouterr().err


def test_before_the_first_apply(object_store: ObjectStore, tmp_path: Path) -> None:
    """With manifests alone, against a real store: first as they should not be, then as they should."""
    bucket = f"check-{tmp_path.name.lower()[:20].replace('_', '-')}"
    backup = f"""
        storage:
          bucket_name: {bucket}
          s3_compatible:
            endpoint: {object_store.endpoint}
            region: {object_store.region}
        credentials:
          access_key_id:
            value: "{object_store.access_key_id}"
          secret_access_key:
            value: "{object_store.secret_access_key}"
        """
    text = operator(backup=backup)
    start = text.index("    r2_config:")
    text = text[:start] + text[text.index("    backup_schedule:") :]
    path = tmp_path / "all.yaml"
    path.write_text(text + database("orders") + database("users"))
    refused = planton("check", "-f", str(path))
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "failed     bucket" in refused.stdout
    assert object_store.secret_access_key not in refused.stdout + refused.stderr
    object_store.create_bucket(bucket)
    done = planton("check", "-f", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    # One store for both of them and for the operator.
    assert "used by PostgresKubernetes/orders, PostgresKubernetes/users" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 store and 2 archives looked at: all is well."
    assert not [one for one in (object_store.folder / "data" / bucket).rglob("*") if one.is_file()]
    one = planton("check", "users", "-f", str(path), "-o", "json")
    (store, archive) = json.loads(one.stdout)["checks"]
    assert store["usedBy"] == archive["usedBy"] == ["PostgresKubernetes/users"]
    unknown = planton("check", "userz", "-f", str(path))
    assert unknown.returncode == 1
    assert 'did you mean "users"?' in unknown.stderr
