"""`planton env`: from manifests, with the cluster, and from the cluster alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import planton
from planton.cli import main
from planton.translate.existing import Existing, ExistingDatabase
from tests.cli.fake import FakeCluster
from tests.cli.support import on_terminal
from tests.manifests import ACCESS_KEY, SECRET_KEY, database, operator

SECRET = "r2-postgres-backup-credentials"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": (f"secret {SECRET}/AWS_ACCESS_KEY_ID", "operator"),
    "AWS_ENDPOINT": ("https://account.r2.cloudflarestorage.com", "operator"),
    "AWS_REGION": ("auto", "operator"),
    "AWS_S3_FORCE_PATH_STYLE": ("true", "operator"),
    "AWS_SECRET_ACCESS_KEY": (f"secret {SECRET}/AWS_SECRET_ACCESS_KEY", "operator"),
    "BACKUP_SCHEDULE": ("0 2 * * *", "operator"),
    "CLONE_USE_WALG_RESTORE": ("true", "operator"),
    "USE_WALG_BACKUP": ("true", "operator"),
    "USE_WALG_RESTORE": ("true", "operator"),
    "WALG_DISABLE_S3_SSE": ("true", "operator"),
    "WALG_S3_PREFIX": ("s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)", "operator"),
    # What Spilo 4.0-p3 and wal-g v3.0.5 do by themselves.
    "BACKUP_NUM_TO_RETAIN": ("5", "default"),
    "WALG_BACKUP_COMPRESSION_METHOD": ("lz4", "default"),
    "WALG_BACKUP_FROM_REPLICA": ("false", "default"),
    "WALG_COMPRESSION_METHOD": ("lz4", "default"),
    "WALG_DELTA_MAX_STEPS": ("0", "default"),
    "WALG_DELTA_ORIGIN": ("LATEST", "default"),
    "WALG_DISK_RATE_LIMIT": ("unlimited", "default"),
    "WALG_DOWNLOAD_CONCURRENCY": ("CPUs of the node, at most 10", "default"),
    "WALG_NETWORK_RATE_LIMIT": ("unlimited", "default"),
    "WALG_PREVENT_WAL_OVERWRITE": ("false", "default"),
    "WALG_UPLOAD_CONCURRENCY": ("CPUs of the node, at most 10", "default"),
    "WALG_UPLOAD_DISK_CONCURRENCY": ("1", "default"),
}


def entries(**changed: Any) -> list[dict[str, Any]]:
    """Gives the environment that the operator makes of the database `orders`, with changes."""
    env: list[dict[str, Any]] = [{"name": "SCOPE", "value": "db-orders"}, {"name": "PGVERSION", "value": "17"}]
    for name, (value, source) in VARIABLES.items():
        if source == "default":
            continue
        if value.startswith("secret "):
            secret, key = value.removeprefix("secret ").split("/")
            env.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
        else:
            env.append({"name": name, "value": value})
    return [{**entry, **changed.get(entry["name"], {})} for entry in env if changed.get(entry["name"], {}) is not None]


def table(text: str) -> dict[str, list[str]]:
    """Reads a table whose cells are separated by two blanks."""
    lines = text.split("\n\n")[1].splitlines()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert rows[0][0] == "NAME"
    return {row[0]: row[1:] for row in rows[1:]}


def test_from_manifests_alone(capsys: pytest.CaptureFixture[str], manifests: str) -> None:
    assert main(["env", "orders", "-f", manifests]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(
        "Database:   orders/db-orders\nBackups:    on, to s3://postgres-backups/backups/db-orders/17\n"
        "Encryption: none by wal-g\n"
    )
    rows = table(captured.out)
    prefix = rows.pop("WALG_S3_PREFIX")
    template, source = VARIABLES["WALG_S3_PREFIX"]
    assert prefix == [template, "s3://postgres-backups/backups/db-orders/17", source]
    assert rows == {name: [*value] for name, value in VARIABLES.items() if name != "WALG_S3_PREFIX"}
    assert ACCESS_KEY not in captured.out
    assert SECRET_KEY not in captured.out


def test_backups_off(capsys: pytest.CaptureFixture[str], manifests: str) -> None:
    assert main(["env", "billing", "-f", manifests]) == 0
    out = capsys.readouterr().out
    assert "Backups:  off\n" in out
    assert "Encryption" not in out
    inherited = "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)"
    assert table(out)["WALG_S3_PREFIX"] == ['"" (switched off by the database)', "database", inherited]
    assert table(out)["USE_WALG_BACKUP"] == ["false", "database", "true"]
    assert "default" not in out


def test_a_narrow_terminal_gets_values_under_each_other(monkeypatch: pytest.MonkeyPatch, manifests: str) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["env", "orders", "-f", manifests]) == 0
    assert max(map(len, terminal.text.splitlines())) <= 80
    lines = [line.strip() for line in terminal.text.splitlines()]
    assert any("from s3://postgres-backups/backups/" in line for line in lines)
    assert "RESOLVES TO" not in terminal.text


def test_without_the_operator_it_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "database.yaml"
    path.write_text(database("orders"))
    assert main(["env", "orders", "-f", str(path)]) == 0
    captured = capsys.readouterr()
    assert "Backups:  as the operator says" in captured.out
    assert "No backup variable at all." in captured.out
    assert "give its manifest, or --live" in captured.err


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_for_programs(capsys: pytest.CaptureFixture[str], manifests: str, output: str) -> None:
    assert main(["env", "orders", "-f", manifests, "-o", output]) == 0
    out = capsys.readouterr().out
    data = json.loads(out) if output == "json" else yaml.safe_load(out)
    assert (data["database"], data["namespace"]) == ("db-orders", "orders")
    assert "differs" not in data
    variables = {one.pop("name"): one for one in data["variables"]}
    assert set(variables) == set(VARIABLES)
    assert variables["WALG_S3_PREFIX"] == {
        "value": "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)",
        "resolved": "s3://postgres-backups/backups/db-orders/17",
        "source": "operator",
        "secret": None,
        "origin": None,
        "overrules": None,
        "switched_off": False,
    }
    assert variables["AWS_ACCESS_KEY_ID"] == {
        "value": None,
        "resolved": None,
        "source": "operator",
        "secret": f"{SECRET}/AWS_ACCESS_KEY_ID",
        "origin": None,
        "overrules": None,
        "switched_off": False,
    }
    assert data["encryption"] == "none by wal-g"


def test_an_unknown_name_suggests_the_nearest(capsys: pytest.CaptureFixture[str], manifests: str) -> None:
    assert main(["env", "order", "-f", manifests]) == 1
    assert 'did you mean "orders"?' in capsys.readouterr().err


def test_one_name_in_two_namespaces(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    labels = "labels:\n  kubernetes.project-planton.org/namespace: other"
    template = 's3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"'
    path.write_text(operator(backup=template) + database("orders") + database("orders", metadata=labels))
    assert main(["env", "orders", "-f", str(path)]) == 1
    assert "orders, other" in capsys.readouterr().err
    assert main(["env", "orders", "-f", str(path), "-n", "other"]) == 0
    out = capsys.readouterr().out
    assert "Database:   other/db-orders" in out
    assert "s3://postgres-backups/other/db-orders/17" in out


def test_live_and_as_it_should_be(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.live = entries()
    assert main(["env", "orders", "-f", manifests, "--live", "--operator", "ns"]) == 0
    captured = capsys.readouterr()
    states = {name: row[-1] for name, row in table(captured.out).items()}
    assert states == {name: "not set" if source == "default" else "same" for name, (_, source) in VARIABLES.items()}
    assert "No difference" in captured.out
    assert cluster.asked["live_environment"] == {"namespace": "orders", "name": "db-orders"}
    assert cluster.asked["facts"] == {"operator_namespace": "ns"}


def test_live_differences_are_pointed_out(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.live = [
        *entries(
            BACKUP_SCHEDULE={"value": "0 9 * * *"},
            AWS_REGION=None,
            AWS_ACCESS_KEY_ID={"valueFrom": {"secretKeyRef": {"name": "other", "key": "id"}}},
            AWS_SECRET_ACCESS_KEY={"value": SECRET_KEY, "valueFrom": None},
        ),
        {"name": "WALG_UPLOAD_CONCURRENCY", "value": "4"},
        {"name": "https_proxy", "value": f"http://user:{SECRET_KEY}@proxy.example.com"},
        {"name": "CLONE_AWS_SECRET_ACCESS_KEY", "value": SECRET_KEY},
        {"name": "BACKUP_NUM_TO_RETAIN", "value": "9"},
        {"name": "USE_WALG_BACKUP", "value": "true"},
        {"name": "PGUSER_SUPERUSER", "value": "postgres"},
    ]
    assert main(["env", "orders", "-f", manifests, "--live"]) == 2
    captured = capsys.readouterr()
    states = {name: row[-1] for name, row in table(captured.out).items() if row[-1] not in ("same", "not set")}
    assert states == {
        "AWS_ACCESS_KEY_ID": "different: secret other/id",
        "AWS_REGION": "missing",
        "AWS_SECRET_ACCESS_KEY": "different: <hidden>",
        "BACKUP_NUM_TO_RETAIN": "different: 9",
        "BACKUP_SCHEDULE": "different: 0 9 * * *",
        "CLONE_AWS_SECRET_ACCESS_KEY": "extra",
        "USE_WALG_BACKUP": "different: true, 2 times",
        "WALG_UPLOAD_CONCURRENCY": "different: 4",
        "https_proxy": "extra",
    }
    assert "9 differences" in captured.out
    assert "resync period" in captured.err
    assert SECRET_KEY not in captured.out + captured.err
    assert main(["env", "orders", "-f", manifests, "--live", "-o", "json"]) == 2
    out = capsys.readouterr().out
    assert SECRET_KEY not in out
    data = json.loads(out)
    assert data["differs"] is True
    (region,) = [one for one in data["variables"] if one["name"] == "AWS_REGION"]
    assert (region["state"], region["live"]) == ("missing", None)


def test_an_empty_value_reads_as_absent(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.live = [
        *entries(
            WALG_S3_PREFIX={"value": None},
            USE_WALG_BACKUP={"value": "false"},
        )
    ]
    del next(entry for entry in cluster.live if entry["name"] == "WALG_S3_PREFIX")["value"]
    assert main(["env", "billing", "-f", manifests, "--live"]) == 0
    row = table(capsys.readouterr().out)["WALG_S3_PREFIX"]
    assert row == ['"" (switched off by the database)', "database", row[2], "same"]


def test_no_statefulset_yet(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    assert main(["env", "orders", "-f", manifests, "--live"]) == 1
    err = capsys.readouterr().err
    assert "error: StatefulSet/orders/db-orders is not in the cluster" in err
    assert "planton status" in err


@pytest.fixture
def alone(cluster: FakeCluster) -> FakeCluster:
    """A cluster with an operator and databases of ours and of others."""
    cluster.platform = planton.render(planton.loads(operator())).platform
    cluster.existing = Existing(
        from_cluster=True,
        databases=(
            ExistingDatabase("a", "db-twice", "17"),
            ExistingDatabase("b", "db-twice", "17"),
            ExistingDatabase(
                "orders",
                "db-orders",
                "16",
                {"BACKUP_SCHEDULE": "0 4 * * *", "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "PGTZ": "UTC"},
            ),
            ExistingDatabase("theirs", "acid-minimal", "15"),
        ),
    )
    return cluster


def test_from_the_cluster_alone(capsys: pytest.CaptureFixture[str], alone: FakeCluster) -> None:
    alone.live = entries(
        BACKUP_SCHEDULE={"value": "0 4 * * *"}, AWS_SECRET_ACCESS_KEY={"value": SECRET_KEY, "valueFrom": None}
    )
    assert main(["env", "orders", "--live"]) == 0
    captured = capsys.readouterr()
    rows = table(captured.out)
    assert rows["BACKUP_SCHEDULE"] == ["0 4 * * *", "database", "0 2 * * *", "same"]
    assert rows["AWS_SECRET_ACCESS_KEY"] == [
        "<hidden>",
        "database",
        f"secret {SECRET}/AWS_SECRET_ACCESS_KEY",
        "same",
    ]
    assert rows["WALG_S3_PREFIX"][1:] == ["s3://postgres-backups/backups/db-orders/16", "operator", "same"]
    assert "PGTZ" not in rows
    # As with manifests.
    assert rows["BACKUP_NUM_TO_RETAIN"] == ["5", "default", "not set"]
    assert SECRET_KEY not in captured.out


def test_databases_of_others_by_the_name_of_their_resource(
    capsys: pytest.CaptureFixture[str], alone: FakeCluster
) -> None:
    alone.live = []
    assert main(["env", "acid-minimal", "--live"]) == 2
    assert "Database:   theirs/acid-minimal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["twice"], ["several databases are named twice", "-n", "a, b"]),
        (["nope"], ["the cluster has no database nope", "orders/db-orders"]),
        (["orders", "-n", "a"], ["no database orders in namespace a"]),
    ],
)
def test_not_one_in_the_cluster(
    capsys: pytest.CaptureFixture[str], alone: FakeCluster, arguments: list[str], words: list[str]
) -> None:
    assert main(["env", *arguments, "--live"]) == 1
    err = capsys.readouterr().err
    for word in words:
        assert word in err


def test_one_of_two_in_the_cluster(capsys: pytest.CaptureFixture[str], alone: FakeCluster) -> None:
    alone.live = []
    assert main(["env", "twice", "--live", "-n", "b"]) == 2
    assert "Database:   b/db-twice" in capsys.readouterr().out
    assert alone.asked["live_environment"] == {"namespace": "b", "name": "db-twice"}


def test_an_empty_cluster(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    assert main(["env", "orders", "--live"]) == 1
    assert "It has no database at all." in capsys.readouterr().err
    cluster.existing = Existing(from_cluster=True, databases=tuple(ExistingDatabase("a", f"db-{n}") for n in range(23)))
    assert main(["env", "orders", "--live"]) == 1
    assert capsys.readouterr().err.endswith("a/db-18, a/db-19 and 3 more.\n")
