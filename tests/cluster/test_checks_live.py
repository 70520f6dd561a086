"""What a plan, an apply, `check` and `status` see of real stores, against a cluster with the real operator."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.cluster import PlanOptions
from planton.cluster.checking.checks import Checked
from planton.cluster.status import ResourceStatus
from planton.errors import RefusedError
from sandbox.object_store import ObjectStore
from tests import manifests
from tests.catalogue.archives import Archive
from tests.cluster.conftest import Installed
from tests.cluster.patroni import create_pod, pod, told

IDENTIFIER = 7654321098765432109


class Stored:
    """A database with a store of its own: a bucket in a real server."""

    def __init__(self, installed: Installed, store: ObjectStore, name: str) -> None:
        self.installed, self.store, self.name, self.bucket = installed, store, name, f"b-{name}"

    def text(self, *, bucket: str = "", secret: str = "", endpoint: str = "", prefix: str = "") -> str:
        store = self.store
        lines = f"""
            storage:
              bucket_name: {bucket or self.bucket}
              s3_compatible:
                endpoint: {endpoint or store.endpoint}
                region: {store.region}
            credentials:
              access_key_id:
                value: "{store.access_key_id}"
              secret_access_key:
                value: "{secret or store.secret_access_key}"
            """
        if prefix:
            lines = f"{lines.rstrip()}\n            s3_prefix: {prefix}\n"
        return manifests.database(self.name, backup=lines)

    @property
    def folder(self) -> Path:
        """Where the server keeps the archive."""
        return self.store.folder / "data" / self.bucket / f"backups/db-{self.name}/17"

    @property
    def objects(self) -> list[str]:
        """Objects of the whole bucket."""
        root = self.store.folder / "data" / self.bucket
        return sorted(str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())

    def put(self, archive: Archive) -> None:
        """Puts an archive in the place of what is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        archive.write(self.folder)

    def apply(self, text: str, **options: Any) -> planton.cluster.ApplyResult:
        return self.installed.apply(text, **options)

    def refused(self, text: str, **options: Any) -> str:
        """What an apply is refused with; a plan as well, unless only writing shows it."""
        with pytest.raises(RefusedError) as error:
            self.apply(text, **options)
        return str(error.value)

    @property
    def exists(self) -> bool:
        """Whether anything was created."""
        found = self.installed.api.request("GET", "/api/v1/namespaces")["items"]
        return self.name in [one["metadata"]["name"] for one in found]

    def check(self, **options: Any) -> tuple[Checked, ...]:
        return self.installed.cluster.check(names=[self.name], **options)

    def status(self) -> ResourceStatus:
        (status,) = self.installed.cluster.status(planton.loads(self.text()))
        return status

    def patroni(self, identifier: int) -> None:
        """Writes what Patroni writes once a database runs."""
        obj = {"metadata": {"name": f"db-{self.name}-config", "annotations": {"initialize": str(identifier)}}}
        self.installed.api.request("POST", f"/api/v1/namespaces/{self.name}/configmaps", obj)


@pytest.fixture
def stored(installed: Installed, object_store: ObjectStore, name: str) -> Stored:
    return Stored(installed, object_store, name)


def archive(age: timedelta, *, owner: int = IDENTIFIER) -> Archive:
    """An archive with a backup and three segments, of which the last came some time ago."""
    made = Archive()
    end = datetime.now(UTC) - age
    made.run(1, 3, end - timedelta(minutes=2), owner=owner, version="17")
    made.backup(2, end - timedelta(minutes=1), owner=owner, version=170006)
    return made


def whose(checked: tuple[Checked, ...]) -> tuple[str, str]:
    (found,) = [one for each in checked if each.kind == "archive" for one in each.findings]
    return found.outcome, found.text


def test_a_store_says_no_before_anything_is_created(stored: Stored) -> None:
    # There is no such bucket: a plan sees it, too.
    with pytest.raises(RefusedError, match="bucket") as error:
        stored.installed.plan(stored.text())
    assert f"PostgresKubernetes/{stored.name}" in str(error.value)
    assert "--skip-check" in str(error.value)
    assert "bucket" in stored.refused(stored.text())
    stored.store.create_bucket(stored.bucket)
    wrong = "sentinel-wrong-secret-000"
    said = stored.refused(stored.text(secret=wrong))
    assert f"s3://{stored.bucket} at 127.0.0.1" in said
    assert wrong not in said
    assert not stored.exists
    assert stored.objects == []
    # Nobody listens there: that says nothing of the pods.
    plan = stored.installed.plan(stored.text(endpoint="http://127.0.0.1:9"))
    (warning,) = [one for one in plan.warnings if "127.0.0.1:9" in one.message]
    assert "not tried out from here" in warning.message
    assert "planton check --from-cluster" in warning.message
    # An archive that is not empty.
    stored.put(archive(timedelta(minutes=5)))
    before = stored.objects
    said = stored.refused(stored.text())
    assert "not empty" in said
    assert "basebackups_005" in said
    assert "--allow-archive-reuse" in said
    assert not stored.exists
    assert stored.objects == before
    assert stored.installed.plan(stored.text(), allow_archive_reuse=True).changed
    assert stored.installed.plan(stored.text(), skip_checks=True).changed


def test_from_the_first_apply_to_an_alarm(stored: Stored) -> None:
    stored.store.create_bucket(stored.bucket)
    result = stored.apply(stored.text())
    assert result.changed
    assert [one for one in result.warnings if "127.0.0.1" in one.message] == []
    # What was tried out is taken away again.
    assert stored.objects == []
    new = stored.status().archive
    assert new is not None
    assert (new.is_alarming, new.note, new.unknown) == (False, "new: nothing is archived yet", "")
    assert whose(stored.check()) == ("ok", "empty")

    # Nothing changes: no store is asked, not even one that says no by now.
    stored.put(archive(timedelta(minutes=5), owner=1234567))
    assert not stored.apply(stored.text()).changed
    # Keys that change are tried out; the archive is the one that it has, and nobody asks whose it is.
    assert "s3://" in stored.refused(stored.text(secret="sentinel-wrong-secret-000"))
    outcome, text = whose(stored.check())
    assert outcome == "warning"
    assert "not proven" in text

    stored.patroni(IDENTIFIER)
    checked = stored.check()
    outcome, text = whose(checked)
    assert outcome == "failed"
    assert "another database cluster: system identifier 1234567 by base_000000010000000000000002" in text
    assert f"here it is {IDENTIFIER}" in text
    (store,) = [one for one in checked if one.kind == "store"]
    assert store.is_ok
    assert {one.check: one.outcome for one in store.findings}["deletable in a batch"] == "ok"
    assert not [one for one in stored.objects if "planton-check" in one]

    stored.put(archive(timedelta(minutes=5)))
    outcome, text = whose(stored.check())
    assert outcome == "ok"
    assert f"its own, by base_000000010000000000000002 (system identifier {IDENTIFIER})" in text
    fresh = stored.status().archive
    assert fresh is not None
    assert not fresh.is_alarming
    assert fresh.backup == "base_000000010000000000000002"
    assert fresh.segment == "000000010000000000000003"
    assert 250 < (fresh.segment_age or 0) < 900

    # Three hours without a segment: an alarm, unless the primary says that nothing was written.
    stored.put(archive(timedelta(hours=3)))
    late = stored.status().archive
    assert late is not None
    assert late.is_alarming
    assert "the last WAL segment came 3 h" in late.stale[0]
    primary(stored, timeline=1, lsn=4 * (16 << 20) + 40)
    idle = stored.status().archive
    assert idle is not None
    assert (idle.stale, idle.note) == ((), "idle: all that was written is archived")
    primary(stored, timeline=1, lsn=6 * (16 << 20))
    behind = stored.status().archive
    assert behind is not None
    assert behind.is_alarming

    # To a place where somebody else's archive is.
    other = stored.store.folder / "data" / stored.bucket / "other"
    archive(timedelta(minutes=5), owner=1234567).write(other)
    moved = stored.text(prefix=f"{stored.bucket}/other")
    assert "another database cluster" in stored.refused(moved)
    assert stored.installed.plan(moved, allow_archive_reuse=True).changed
    shutil.rmtree(other)
    assert stored.apply(moved).changed
    assert stored.installed.plan(moved).changed is False

    # From within the cluster nothing can be tried in the sandbox, whose pods do not run: that is no success.
    inside = stored.check(from_cluster=True, timeout=1.0)
    (job,) = [one for one in inside if one.kind == "from the cluster"]
    assert not job.is_ok


def primary(stored: Stored, *, timeline: int, lsn: int) -> None:
    """Makes the primary's pod say where it is."""
    api, name = stored.installed.api, f"db-{stored.name}"
    status = told(timeline=timeline, xlog_location=lsn)
    path = f"/api/v1/namespaces/{stored.name}"
    if api.request("GET", f"{path}/pods")["items"]:
        patch = {"metadata": {"annotations": {"status": status}}}
        api.request("PATCH", f"{path}/pods/{name}-0", patch, content_type="application/merge-patch+json")
        return
    api.request("POST", f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
    create_pod(api, pod(stored.name, name, status=status))


def test_check_without_a_cluster(stored: Stored) -> None:
    from planton.cluster.checking.check_targets import targets_in_manifests
    from planton.cluster.checking.checks import check_targets

    stored.store.create_bucket(stored.bucket)
    text = stored.text(prefix=f"{stored.bucket}/backups/db-{stored.name}/17")
    # Without a cluster and without an operator nobody knows that it has backups, unless it says so itself.
    targets, without = targets_in_manifests(None, None, planton.loads(text), ())
    assert targets == []
    assert without[0].failures[0].text.endswith("no operator is among these manifests")
    messages = planton.loads(text.replace("  backup_config:\n", "  backup_config:\n    enable_backup: true\n"))
    targets, without = targets_in_manifests(None, None, messages, ())
    assert without == []
    store, empty = check_targets(targets, write=True)
    assert store.is_ok
    assert store.used_by == (f"PostgresKubernetes/{stored.name}",)
    assert [one.text for one in empty.findings] == ["empty"]
    stored.put(archive(timedelta(minutes=5)))
    _, full = check_targets(targets_in_manifests(None, None, messages, [stored.name])[0], write=True)
    assert [one.outcome for one in full.findings] == ["not tried"]
    assert full.is_ok


def test_options_are_one_word() -> None:
    assert PlanOptions().skip_checks is False
