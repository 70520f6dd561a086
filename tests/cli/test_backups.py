"""`planton backups` on a real object store, by manifests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from planton.cli import main
from sandbox.object_store import ObjectStore
from tests.catalogue.archives import ORDERS, Archive, at
from tests.manifests import database

KEY = "TEST_BACKUPS_KEY"
SECRET = "TEST_BACKUPS_SECRET"
# Of an archive with a gap; worked out by hand. Backups: segment 2 (finished 08:02:30) and segment 12 (08:12:30), whose
# sentinels came a second later. Segment 7 is missing, each segment's last commit is a second before it came.
FIRST, SECOND = "2026-11-01T08:02:31Z", "2026-11-01T08:12:31Z"


def with_a_gap() -> Archive:
    archive = Archive()
    archive.run(1, 20, at("01T08:01:00"))
    archive.drop_segment(7)
    archive.backup(2, at("01T08:02:30"))
    archive.backup(12, at("01T08:12:30"))
    return archive


@pytest.fixture
def manifests(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Archive], str]:
    def make(name: str, archive: Archive) -> str:
        object_store.create_bucket(name)
        archive.write(object_store.folder / "data" / name / "backups" / f"db-{name}" / "17")
        monkeypatch.setenv(KEY, object_store.access_key_id)
        monkeypatch.setenv(SECRET, object_store.secret_access_key)
        path = tmp_path / "manifests.yaml"
        path.write_text(
            database(
                name,
                backup=f"""
                enable_backup: true
                storage:
                  bucket_name: {name}
                  s3_compatible: {{endpoint: "{object_store.endpoint}", region: {object_store.region}}}
                credentials:
                  access_key_id: {{environment_variable: {KEY}}}
                  secret_access_key: {{environment_variable: {SECRET}}}
                """,
            )
        )
        return str(path)

    return make


Made = Callable[[str, Archive], str]


def test_list(manifests: Made, capsys: pytest.CaptureFixture[str]) -> None:
    archive = with_a_gap()
    archive.put(
        "basebackups_005/base_000000010000000000000013/tar_partitions/part_001.tar.lz4", at("01T08:19:59"), b"", 10
    )
    assert main(["backups", "list", "listed", "-f", manifests("listed", archive)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("Archive:    s3://listed/backups/db-listed/17 at 127.0.0.1:")
    # Its segments are empty files, so that no commit can be read.
    assert lines[1].startswith(f"Restorable: after {FIRST} and before 2026-11-01T08:20:00Z at the latest")
    assert lines[1].endswith("with 1 hole")
    assert "WAL could not be read" in captured.err
    rows = [line.split() for line in lines if line.startswith("base_")]
    assert [row[:3] for row in rows[:2]] == [
        ["base_00000001000000000000000C", "full", "2026-11-01T08:12:30Z"],
        ["base_000000010000000000000002", "full", "2026-11-01T08:02:30Z"],
    ]
    assert "base_000000010000000000000013: not finished; being made right now, or broken off" in lines
    assert lines[-1].startswith("2 base backups, 19 WAL segments, 8.3 MiB in the store.")


def test_window(manifests: Made, capsys: pytest.CaptureFixture[str]) -> None:
    files = manifests("seen", with_a_gap())
    assert main(["backups", "window", "seen", "-f", files, "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["archive"] == "s3://seen/backups/db-seen/17"
    window = data["window"]
    assert (window["after"], window["exact"]) == (FIRST, False)
    assert [(one["after"], one["before"], one["backup"]) for one in window["spans"]] == [
        (FIRST, "2026-11-01T08:06:00Z", "base_000000010000000000000002"),
        (SECOND, "2026-11-01T08:20:00Z", "base_00000001000000000000000C"),
    ]
    (hole,) = window["holes"]
    assert (hole["from"], hole["to"]) == ("2026-11-01T08:06:00Z", SECOND)
    assert "000000010000000000000007" in hole["reason"]
    assert main(["backups", "window", "seen", "-f", files]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("restorable", "hole"))] == [
        "restorable",
        "hole",
        "restorable",
    ]


def test_show(manifests: Made, capsys: pytest.CaptureFixture[str]) -> None:
    files = manifests("shown", with_a_gap())
    assert main(["backups", "show", "shown", "-f", files]) == 0
    out = capsys.readouterr().out
    assert f"PostgreSQL 15, system identifier {ORDERS}" in out
    missing = next(line for line in out.splitlines() if "MISSING" in line)
    assert missing.split()[1:4] == ["000000010000000000000007", "000000010000000000000007", "1"]
    assert main(["backups", "show", "shown", "LATEST", "-f", files, "-o", "json"]) == 0
    backup = json.loads(capsys.readouterr().out)
    assert (backup["name"], backup["kind"], backup["finished"]) == (
        "base_00000001000000000000000C",
        "full",
        "2026-11-01T08:12:30Z",
    )
    assert backup["systemIdentifier"] == str(ORDERS)
    assert main(["backups", "show", "shown", "base_00000001000000000000000D", "-f", files]) == 1
    assert 'Did you mean "base_00000001000000000000000C"?' in capsys.readouterr().err


def test_empty(manifests: Made, capsys: pytest.CaptureFixture[str]) -> None:
    files = manifests("nothing", Archive())
    assert main(["backups", "list", "nothing", "-f", files]) == 0
    assert "The archive is empty." in capsys.readouterr().out
    assert main(["backups", "show", "nothing", "LATEST", "-f", files]) == 1
    assert "the archive has no base backup\n`planton backups create`" in capsys.readouterr().err
    assert main(["backups", "window", "nothing", "-f", files]) == 1
    assert main(["backups", "window", "nothing", "-f", files, "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["window"] is None


def test_what_cannot_be_done(
    manifests: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = manifests("wrong", Archive())
    for arguments, text in (
        (["list", "wrong", "base_1", "-f", files], '"base_1" is one argument too many'),
        (["list", "wrnog", "-f", files], 'did you mean "wrong"?'),
        (["create", "wrong", "-f", files], "the database's own pod makes the backup"),
        (["list", "wrong", "-f", files, "--context", "other"], "the cluster is not asked without --live"),
    ):
        assert main(["backups", *arguments]) == 1
        assert text in capsys.readouterr().err
    sentinel = "sentinel/of+a+secret=key0123456789abcdef"
    monkeypatch.setenv(SECRET, sentinel)
    assert main(["backups", "list", "wrong", "-f", files]) == 1
    captured = capsys.readouterr()
    assert "SignatureDoesNotMatch" in captured.err
    assert sentinel not in captured.out + captured.err
