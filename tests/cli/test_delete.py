"""`planton delete`: nothing goes without its word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planton.cli import main
from planton.cli._parser import build
from planton.cli._restore import target_of
from planton.cluster import Change, DeleteOptions
from planton.cluster.deleting.remaining import Remaining, restore_command
from planton.errors import RefusedError
from planton.translate.restore_manifest import RestoreManifest
from tests.cli.fake import FakeCluster
from tests.manifests import database, operator

GONE = (
    Change("deleted", "acid.zalan.do/v1", "postgresql", "orders", "db-orders"),
    Change("skipped", "v1", "Secret", "orders", "postgres.db-orders", reason="holds a password; stays"),
)


def test_without_a_name_it_shows_and_refuses(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.changes = GONE
    assert main(["delete", "-f", manifests, "--volumes"]) == 1
    captured = capsys.readouterr()
    assert "deleted     postgresql/orders/db-orders" in captured.out
    assert "skipped     Secret/orders/postgres.db-orders  (holds a password; stays)" in captured.out
    assert "Set:" not in captured.out
    assert captured.out.splitlines()[-1].startswith(
        "If all were named: 0 created, 0 configured, 0 unchanged, 1 deleted"
    )
    assert captured.err.startswith("error: nothing was named, so nothing was deleted\n")
    assert "--yes-delete orders --yes-delete billing" in captured.err
    assert "delete" not in cluster.asked
    assert cluster.asked["plan_delete"]["options"] == DeleteOptions(
        databases=("orders/orders", "billing/billing"), volumes=True
    )


def test_names_that_stand_twice_are_offered_with_their_namespace(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    path = tmp_path / "two.yaml"
    labels = "labels:\n  kubernetes.project-planton.org/namespace: other"
    path.write_text(database("orders") + database("orders", metadata=labels))
    assert main(["delete", "-f", str(path)]) == 1
    assert "--yes-delete orders/orders --yes-delete other/orders" in capsys.readouterr().err


def test_an_operator_alone_is_offered_by_its_own_word(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text(operator())
    assert main(["delete", "-f", str(path)]) == 1
    assert "--yes-delete-operator" in capsys.readouterr().err
    assert cluster.asked["plan_delete"]["options"] == DeleteOptions(operator=True)
    assert "delete" not in cluster.asked


def test_no_word_stands_for_another(cluster: FakeCluster, manifests: str) -> None:
    words = {
        "--volumes": "volumes",
        "--passwords": "passwords",
        "--storage-secret": "storage_secret",
        "--namespace": "namespace",
        "--without-operator": "without_operator",
        "--yes-delete-operator": "operator",
        "--last-backup": "last_backup",
        "--without-backup": "without_backup",
    }
    for word, name in words.items():
        assert main(["delete", "-f", manifests, "--yes-delete", "orders", word]) == 0
        assert cluster.asked["delete"]["options"] == DeleteOptions(databases=("orders",), **{name: True})  # type: ignore[arg-type]


def test_delete(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.changes = GONE
    names = ["--yes-delete", "orders", "--yes-delete", "other/billing"]
    target = ["--operator", "ns", "--cluster-id", "id", "--set", "prod"]
    assert main(["delete", "-f", manifests, *names, *target, "--timeout", "60"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "Done: 0 created, 0 configured, 0 unchanged, 1 deleted, 1 skipped"
    assert captured.err == ""
    expected = DeleteOptions(("orders", "other/billing"), operator_namespace="ns", cluster_id="id", set_id="prod")
    assert cluster.asked["plan_delete"]["options"] == expected
    assert cluster.asked["delete"] == {"options": expected, "timeout": 60.0}


def test_for_programs(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.changes = GONE
    assert main(["delete", "-f", manifests, "--yes-delete", "orders", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["complete"] is True
    assert data["summary"]["deleted"] == 1
    assert main(["delete", "-f", manifests, "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["complete"] is False


def test_a_refusal(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.error = RefusedError(["no operator runs"])
    assert main(["delete", "-f", manifests, "--yes-delete", "orders"]) == 1
    assert capsys.readouterr().err == "error: refused, nothing was deleted\n  no operator runs\n"


def test_ctrl_c(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.changes = GONE
    cluster.events = (("delete", 1, 2, "postgresql/orders/db-orders"),)
    cluster.error = KeyboardInterrupt()
    assert main(["delete", "-f", manifests, "--yes-delete", "orders"]) == 130
    captured = capsys.readouterr()
    assert "deleted     postgresql/orders/db-orders" in captured.out
    assert "interrupted in phase delete, after at least 1 change." in captured.err


TREE = {"apiVersion": "x/v1", "kind": "PostgresKubernetes", "metadata": {"name": "orders-restored"}}
NOTE = "The keys to this archive are in no Secret any more. " * 4
COMMAND = "planton restore orders --to latest --as orders-restored -n orders"
LEFT = (
    Remaining(
        "orders", "orders", "s3://b/orders", "restorable", 2, command=COMMAND, manifest=RestoreManifest(TREE, (NOTE,))
    ),
    Remaining("billing", "billing", "", "none"),
)


def deleted(*arguments: str, manifests: str) -> int:
    return main(["delete", "-f", manifests, "--yes-delete", "orders", *arguments])


def test_how_one_comes_back_is_printed(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.changes, cluster.remaining = GONE, LEFT
    assert deleted(manifests=manifests) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"  {COMMAND}"
    assert "(or --to TIME, with its zone)" in lines[-2]
    assert deleted("-o", "json", manifests=manifests) == 0
    first, second = json.loads(capsys.readouterr().out)["remaining"]
    assert (first["restore"], first["manifest"], first["notes"]) == (COMMAND, TREE, [NOTE])
    assert (second["state"], second["manifest"], second["restore"]) == ("none", None, "")


def test_the_command_that_is_printed_is_one() -> None:
    """Whoever types it has lost a database, and must not hear of a missing option."""
    parser, _ = build("restore")
    arguments = parser.parse_args(restore_command("orders", "orders").split()[1:])
    assert (arguments.name, arguments.namespace, arguments.new_name) == ("orders", "orders", "orders-restored")
    assert target_of(arguments.to, arguments.name) == ""


def test_the_way_back_is_written_before_anything_is_deleted(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, tmp_path: Path
) -> None:
    cluster.changes, cluster.remaining = GONE, LEFT
    path = tmp_path / "restore.yaml"
    seen: list[bool] = []

    def delete(*_: object, **__: object) -> None:
        seen.append(path.exists())
        raise RefusedError(["no"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "delete", delete)
        assert deleted("--write-restore", str(path), manifests=manifests) == 1
    assert seen == [True]
    text = path.read_text()
    first, second = text.split("---\n")
    assert first.startswith("# orders/orders, archive s3://b/orders\n# The keys to this archive")
    assert max(map(len, text.splitlines())) <= 102
    assert first.endswith("apiVersion: x/v1\nkind: PostgresKubernetes\nmetadata:\n  name: orders-restored\n")
    assert "billing/billing, archive none\n# Nothing can be written down to restore it: it has none." in second
    assert f"Wrote {path}: how to restore orders/orders, billing/billing" in capsys.readouterr().err
    # A delete that was broken off goes on with the same command.
    assert deleted("--write-restore", str(path), manifests=manifests) == 0


@pytest.mark.parametrize("there", ["mine", "directory", "link", "no directory"])
def test_a_file_that_is_there_is_not_written_over(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, tmp_path: Path, there: str
) -> None:
    cluster.changes, cluster.remaining = GONE, LEFT
    path = tmp_path / "restore.yaml"
    if there == "mine":
        path.write_text("mine")
    elif there == "directory":
        path.mkdir()
    elif there == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path = tmp_path / "nowhere" / "restore.yaml"
    assert deleted("--write-restore", str(path), manifests=manifests) == 1
    assert str(path) in capsys.readouterr().err
    assert "delete" not in cluster.asked
    assert there != "mine" or path.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_the_way_back_is_written_for_named_databases_only(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, tmp_path: Path
) -> None:
    assert main(["delete", "-f", manifests, "--write-restore", str(tmp_path / "x.yaml")]) == 1
    assert "--write-restore goes with --yes-delete" in capsys.readouterr().err
    assert not (tmp_path / "x.yaml").exists()
    assert cluster.asked == {}


def test_a_database_whose_last_backup_failed_does_not_count_as_deleted(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.changes = GONE
    cluster.events = (("backup", 0, 1, "last backup of orders/db-orders"),)
    cluster.error = KeyboardInterrupt()
    assert deleted("--last-backup", manifests=manifests) == 130
    captured = capsys.readouterr()
    assert "postgresql/orders/db-orders" not in captured.out
    assert "in phase backup, after at least 0 changes" in captured.err
