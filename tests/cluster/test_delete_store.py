"""A delete with a real object store: what it finds there, what comes in meanwhile, and the way back by the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import planton
from planton.cli import main
from planton.cluster import DeleteOptions, PlanOptions, ProgressEvent
from planton.cluster.backups.archive_reading import catalogue_of
from planton.cluster.backups.left_access import read_access, read_left_archives
from sandbox.object_store import ObjectStore
from tests.catalogue.archives import Archive
from tests.cluster.conftest import Installed, words
from tests.cluster.test_delete import made

pytestmark = pytest.mark.cluster


def test_a_database_is_deleted_and_its_archive_leads_back(
    installed: Installed,
    name: str,
    object_store: ObjectStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    object_store.create_bucket(name)
    own = f"""
    enable_backup: true
    s3_prefix: /deep/$(SCOPE)/$(PGVERSION)
    storage:
      bucket_name: {name}
      s3_compatible: {{endpoint: "{object_store.endpoint}", region: {object_store.region}}}
    credentials:
      access_key_id: {{value: "{object_store.access_key_id}"}}
      secret_access_key: {{value: "{object_store.secret_access_key}"}}
    """
    text = made(installed, name, backup=own)
    now = datetime.now(UTC).replace(microsecond=0)
    archive = Archive()
    # A base backup of two hours ago, and WAL since, the last of it five minutes old.
    begin = now - timedelta(hours=2)
    archive.run(1, 24, begin, step=timedelta(minutes=5))
    finished = begin + timedelta(minutes=2)
    archive.backup(2, finished, version=170002)
    folder = object_store.folder / "data" / name / "deep" / f"db-{name}" / "17"
    archive.write(folder)
    chosen = DeleteOptions(databases=(name,), volumes=True)
    (before,) = installed.cluster.plan_delete(planton.loads(text), options=chosen).remaining
    assert (before.state, before.base_backups, before.segments) == ("restorable", 1, 24)
    assert before.newest_backup == finished
    assert before.last_wal == now - timedelta(minutes=5)
    path = tmp_path / "restore.yaml"
    source = tmp_path / "database.yaml"
    source.write_text(text)
    arguments = ["delete", "-f", str(source), "--yes-delete", name, "--write-restore", str(path)]
    arguments += ["--kubeconfig", str(installed.sandbox.kubeconfig)]

    def shut_down(event: ProgressEvent) -> None:
        # What PostgreSQL does when the operator has ended it: one more segment.
        if event.phase == "delete" and event.subject == f"postgresql/{name}/db-{name}":
            archive.segment(25, now, now)
            archive.write(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planton.cli._progress.Progress.__call__", lambda self, event: shut_down(event))
        assert main([*arguments, "--volumes"]) == 0
    shown = capsys.readouterr().out
    assert f"planton restore {name} --to latest --as {name}-restored -n {name}" in shown
    assert f"deleted     PersistentVolumeClaim/{name}/pgdata-db-{name}-0" in shown
    assert f"the archive of {name} reaches until about {now.strftime('%Y-%m-%dT%H:%M:%SZ')}" in shown
    # By the record alone.
    (left,) = read_left_archives(installed.harness.server, "postgres-operator", name)
    access = read_access(installed.harness.server, left, "postgres-operator")
    assert access is not None
    found = catalogue_of(access)
    assert (found.segments, len(found.backups)) == (25, 1)
    # And so its times can be seen.
    capsys.readouterr()
    assert main(["backups", "window", name, "-o", "json", *arguments[-2:]]) == 0
    assert json.loads(capsys.readouterr().out)["archive"] == f"s3://{name}/deep/db-{name}/17"
    # By the file alone: planton has a plan for it, with the keys of the Secret that stayed.
    manifest = path.read_text()
    assert object_store.secret_access_key not in manifest
    assert object_store.access_key_id not in manifest
    messages = planton.loads(manifest)
    # Its files are empty: that a restore of such an archive is refused is not what this is about.
    plan = words(installed.cluster.plan(messages, options=PlanOptions(skip_checks=True)))
    assert plan[f"postgresql/{name}/db-{name}-restored"] == "created"
    # The same once more goes on, though the file is there; another file is not written over.
    assert main(arguments) == 0
    path.write_text("mine")
    assert main(arguments) == 1
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
