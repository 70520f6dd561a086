"""What a delete says of archives, what it keeps for their sake, and how one comes back: against the sandbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import planton
from planton.catalogue.model import Catalogue
from planton.cluster import Change, DeleteOptions, DeleteResult, Plan
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key
from planton.cluster.backups.left_access import read_access, read_left_archives
from planton.errors import ClusterError, RefusedError, StoreError
from tests.cluster.conftest import Installed, words
from tests.cluster.left import UNREACHABLE, Store, backup, catalogue
from tests.cluster.patroni import create_pod, pod, told
from tests.cluster.test_delete import made, there
from tests.manifests import ACCESS_KEY, SECRET_KEY, database

pytestmark = pytest.mark.cluster

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOME = "postgres-operator"


def plan(installed: Installed, text: str, *names: str, **options: Any) -> Plan:
    return installed.cluster.plan_delete(planton.loads(text), options=DeleteOptions(databases=names, **options))


def delete(installed: Installed, text: str, *names: str, **options: Any) -> DeleteResult:
    chosen = DeleteOptions(databases=names, **options)
    return installed.cluster.delete(planton.loads(text), options=chosen, timeout=60.0)


def of(result: Plan | DeleteResult, kind: str) -> Change:
    (change,) = [one for one in result.changes if one.kind == kind]
    return change


def effects(result: Plan | DeleteResult) -> str:
    return "\n".join(of(result, "postgresql").effects)


def test_a_plan_says_what_is_in_the_archive_and_how_one_comes_back(
    installed: Installed, name: str, store: Store
) -> None:
    text = made(installed, name)
    now = datetime.now(UTC)
    store.answer = lambda look: catalogue(now)
    found = plan(installed, text, name)
    said = effects(found)
    place = f"s3://postgres-backups/backups/db-{name}/17"
    assert f"the archive of {name}, {place} at account.r2.cloudflarestorage.com, stays: 2 base backups" in said
    assert "--last-backup makes one before anything is deleted" in said
    assert set(of(found, "postgresql").effects) <= set(found.effects)
    (remaining,) = found.remaining
    assert (remaining.state, remaining.base_backups, remaining.lost_secrets) == ("restorable", 2, ())
    # With the keys of the pods, and not with what is lying about here.
    (access,) = store.asked
    assert (access.prefix, access.scope, access.version) == (place, f"db-{name}", "17")
    assert sorted(access.contents.reveal().values()) == sorted([ACCESS_KEY, SECRET_KEY])
    assert remaining.manifest is not None
    archive = remaining.manifest.tree["spec"]["clone"]["source"]["archive"]
    assert archive["credentials"]["access_key_id"]["secret"]["namespace"] == name
    assert ACCESS_KEY not in repr(found) + json.dumps([one.data() for one in found.remaining])


def test_a_store_that_cannot_be_reached_keeps_nobody_from_deleting_what_holds_no_data(
    installed: Installed, name: str, store: Store
) -> None:
    text = made(installed, name)
    store.answer = lambda look: UNREACHABLE
    assert "could not be read from here, so nobody knows what is in it: no such host" in effects(
        plan(installed, text, name)
    )
    before = there(installed, name)
    for run in (plan, delete):
        with pytest.raises(RefusedError) as caught:
            run(installed, text, name, volumes=True)
        (reason,) = caught.value.reasons
        assert f"the volumes of {name}/{name} do not go" in reason
        assert "--without-backup" in reason
    assert there(installed, name) == before
    done = delete(installed, text, name)
    assert words(done)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "skipped"
    assert "could not be read after the shutdown: no such host" in effects(done)
    # The volumes of one that is gone are no less its data.
    with pytest.raises(RefusedError, match="could not be read"):
        delete(installed, text, name, volumes=True)
    done = delete(installed, text, name, volumes=True, without_backup=True)
    assert words(done)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"


def test_volumes_whose_data_is_not_in_the_archive_do_not_go(installed: Installed, name: str, store: Store) -> None:
    text = made(installed, name)
    for found in (Catalogue("s3://b/x"), catalogue(LONG_AGO)):
        store.answer = lambda look, found=found: found  # type: ignore[misc]
        with pytest.raises(RefusedError, match="the volumes of"):
            delete(installed, text, name, volumes=True)
    assert "delete-clustername" not in installed.database(name)["metadata"].get("annotations", {})
    done = delete(installed, text, name, volumes=True, without_backup=True)
    assert words(done)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"


def test_volumes_stay_when_no_wal_comes_with_the_shutdown(installed: Installed, name: str, store: Store) -> None:
    text = made(installed, name)
    still = catalogue(datetime.now(UTC) - timedelta(minutes=5))
    store.answer = lambda look: still
    done = delete(installed, text, name, volumes=True)
    claim = of(done, "PersistentVolumeClaim")
    assert claim.action == "skipped"
    assert "no WAL has come into its archive with the shutdown" in claim.reason
    assert "--without-backup" in claim.reason
    assert "A database at rest has none left" in effects(done)
    assert f"PersistentVolumeClaim/pgdata-db-{name}-0" in there(installed, name)
    with pytest.raises(RefusedError, match="before it was deleted"):
        delete(installed, text, name, volumes=True)


def test_until_when_the_archive_reaches_is_seen_after_the_shutdown(
    installed: Installed, name: str, store: Store
) -> None:
    text = made(installed, name)
    first = datetime.now(UTC) - timedelta(minutes=5)
    # It is looked into for the plan, and again when the operator has cleaned up.
    ends = {1: first, 2: first + timedelta(minutes=4)}
    store.answer = lambda look: catalogue(ends[look])
    done = delete(installed, text, name, volumes=True)
    assert words(done)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"
    end = ends[2].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"the archive of {name} reaches until {end}, with the WAL of its shutdown" in effects(done)
    assert effects(done).splitlines()[-1] in done.effects
    (remaining,) = done.remaining
    assert remaining.last_wal == ends[2]
    assert remaining.command == f"planton restore {name} --to latest --as {name}-restored -n {name}"
    # It was reached with the Secret as it was before, which a delete may take away.
    assert store.asked[0] == store.asked[1]


class Maker:
    """Stands for the base backups that are made in pods; there is none in a sandbox."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.made: list[Key] = []

    def check(self, keys: Any) -> None:
        list(keys)

    def __call__(self, key: Key) -> str:
        self.made.append(key)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def use(monkeypatch: pytest.MonkeyPatch, maker: Maker) -> None:
    # In this order: `deletion` takes the name over when it is imported, which may be now.
    for module in ("deletion", "last_backup"):
        monkeypatch.setattr(f"planton.cluster.deleting.{module}.LastBackup", lambda *_, **__: maker)


def test_a_last_backup_is_made_before_anything_is_deleted(
    installed: Installed, name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = made(installed, name)
    now = datetime.now(UTC)
    fresh = backup(now, 12)
    maker = Maker(fresh.name)
    use(monkeypatch, maker)
    # Nothing to restore from before; the backup is what makes it so, and nothing comes after it.
    store.answer = lambda look: Catalogue("s3://b/x") if look == 1 else catalogue(now, backups=(fresh,))
    assert "a last base backup is made and waited for" in effects(plan(installed, text, name, last_backup=True))
    store.asked.clear()
    done = delete(installed, text, name, last_backup=True, volumes=True)
    assert maker.made == [Key(POSTGRESQL, name, f"db-{name}")]
    assert words(done)[f"postgresql/{name}/db-{name}"] == "deleted"
    assert words(done)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"
    # The same command again has nothing to back up, and nothing to do.
    assert set(words(delete(installed, text, name, last_backup=True)).values()) == {"skipped"}
    assert len(maker.made) == 1


OLD = backup(LONG_AGO, 3)
BROKEN = backup(LONG_AGO + timedelta(days=1), 4, problem="its WAL is missing")


OUTCOMES: tuple[tuple[str | Exception, str], ...] = (
    (ClusterError("its script has ended", subject="Pod/x", remedy="Look at it."), "its script has ended\nLook at it."),
    (StoreError("access denied", subject="s3://b/x", problem="forbidden"), "access denied"),
    (RefusedError(["has no primary that is ready"]), "has no primary that is ready"),
    ("base_000000010000000000000063", "base_000000010000000000000063 is not in its archive"),
    (OLD.name, f"{OLD.name} was there before"),
    (BROKEN.name, f"nothing can be restored from {BROKEN.name}: its WAL is missing"),
)


def test_without_a_last_backup_nothing_is_deleted(
    installed: Installed, name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = made(installed, name)
    before = there(installed, name)
    store.answer = lambda look: catalogue(LONG_AGO, backups=(OLD,) if look == 1 else (OLD, BROKEN))
    for outcome, why in OUTCOMES:
        use(monkeypatch, Maker(outcome))
        store.asked.clear()
        with pytest.raises(ClusterError) as caught:
            delete(installed, text, name, last_backup=True, volumes=True)
        assert f"no last base backup was made, so nothing was deleted: {why}" in str(caught.value)
        assert caught.value.changes == ()
        assert there(installed, name) == before
        (entry,) = read_left_archives(installed.harness.server, HOME, name)
        assert entry.why == "taken"


def test_a_last_backup_of_what_cannot_make_one_is_refused(installed: Installed, name: str, store: Store) -> None:
    off = database(name, backup="enable_backup: false")
    installed.apply(off)
    installed.environment(name)
    with pytest.raises(RefusedError, match="has no archive to which a last backup could go"):
        plan(installed, off, name, last_backup=True)
    said = effects(plan(installed, off, name, volumes=True))
    assert said == f"{name} has no archive: with its volumes all data is lost"
    other = f"{name}-b"
    stopped = database(other).replace("  container:\n", "  container:\n    replicas: 0\n")
    installed.apply(stopped)
    with pytest.raises(RefusedError, match="is stopped, so that no last backup can be made"):
        plan(installed, stopped, other, last_backup=True)
    running = f"{name}-c"
    text = made(installed, running)
    # For real: there is no pod in a sandbox.
    with pytest.raises(RefusedError, match=r"no last base backup: .* has no primary that is ready"):
        plan(installed, text, running, last_backup=True)


def test_an_archive_is_reached_by_the_record_alone(installed: Installed, name: str, store: Store) -> None:
    text = made(installed, name)
    done = delete(installed, text, name, storage_secret=True)
    before = store.asked[0]
    # The copy of the keys is gone, and the operator's own Secret is not.
    assert words(done)[f"Secret/{name}/r2-postgres-backup-credentials"] == "deleted"
    (remaining,) = done.remaining
    assert remaining.lost_secrets == ()
    assert remaining.manifest is not None
    archive = remaining.manifest.tree["spec"]["clone"]["source"]["archive"]
    assert archive["credentials"]["access_key_id"]["secret"]["namespace"] == HOME
    (left,) = read_left_archives(installed.harness.server, HOME, name)
    access = read_access(installed.harness.server, left, HOME)
    assert access == before
    data = installed.harness.server.get(Key(CONFIG_MAP, HOME, "planton-archives"))
    assert not any(key in json.dumps(data) for key in (ACCESS_KEY, SECRET_KEY))


def test_keys_of_its_own_that_go_with_it_are_said(installed: Installed, name: str, store: Store) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    own = """
    enable_backup: true
    storage: {bucket_name: own-bucket, s3_compatible: {endpoint: "https://minio.example.com:9000"}}
    credentials:
      access_key_id: {value: OWNACCESSKEY0001}
      secret_access_key: {value: own/secret+key=0002}
    """
    text = database(name, backup=own)
    installed.apply(text)
    installed.environment(name)
    secret = f"{name}/db-{name}-backup-credentials"
    assert "the keys to its archive go with" not in effects(plan(installed, text, name))
    found = plan(installed, text, name, storage_secret=True)
    assert f"the keys to its archive go with Secret {secret}" in effects(found)
    done = delete(installed, text, name, storage_secret=True)
    (remaining,) = done.remaining
    assert remaining.lost_secrets == (secret,)
    assert remaining.manifest is not None
    assert "credentials.access_key_id" in remaining.manifest.notes[-1]
    (left,) = read_left_archives(installed.harness.server, HOME, name)
    access = read_access(installed.harness.server, left, HOME)
    assert access is not None
    assert access.endpoint == "https://minio.example.com:9000"
    assert set(access.references) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert dict(access.contents.reveal()) == {}


def test_a_record_with_little_room_keeps_at_least_whose_an_archive_is(
    installed: Installed, name: str, store: Store
) -> None:
    text = made(installed, name)
    record = installed.api.request("GET", f"/api/v1/namespaces/{HOME}/configmaps/planton-archives")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "planton-archives", "namespace": HOME}}
    size = sum(len(key) + len(value) for key, value in record["data"].items())
    installed.harness.edit(body, {"data": {f"full-{name}": "x" * (900_000 - size - 100)}})
    try:
        delete(installed, text, name)
    finally:
        installed.harness.edit(body, {"data": {f"full-{name}": None}})
    (left,) = read_left_archives(installed.harness.server, HOME, name)
    assert (left.why, left.reading) == ("deleted", None)


def test_a_standby_takes_nothing_along_that_is_not_elsewhere(installed: Installed, name: str, store: Store) -> None:
    text = made(installed, name)
    store.answer = lambda look: Catalogue("s3://b/x")
    following = {"spec": {"standby": {"s3_wal_path": "s3://b/other"}}}
    installed.harness.edit(installed.database(name), following)
    found = plan(installed, text, name, volumes=True)
    assert words(found)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"
    assert effects(found) == f"{name} is a standby: all that it holds is in the archive that it follows, which stays"
    assert store.asked == []
    with pytest.raises(RefusedError, match="is a standby"):
        plan(installed, text, name, last_backup=True)


def test_a_standby_that_was_promoted_by_other_means_has_data_of_its_own(
    installed: Installed, name: str, store: Store
) -> None:
    """Who promotes by Patroni alone leaves `spec.standby` as it was, and what was written since is here only."""
    text = made(installed, name)
    store.answer = lambda look: Catalogue("s3://b/x")
    installed.harness.edit(installed.database(name), {"spec": {"standby": {"s3_wal_path": "s3://b/other"}}})
    installed.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    create_pod(installed.api, pod(name, f"db-{name}", status=told()))
    with pytest.raises(RefusedError, match="nothing can be restored from its archive"):
        plan(installed, text, name, volumes=True)
    assert "NOTHING can be restored once the volumes are gone" in effects(plan(installed, text, name))
