"""Deleting: only what is named goes, and the operator cleans up, or nothing is begun."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import pytest

import planton
from planton.cluster import Change, DeleteOptions
from planton.errors import ClusterError, RefusedError, WaitError
from tests.cluster.conftest import Installed, words
from tests.cluster.objects import Object, foreign_database
from tests.manifests import ACCESS_KEY, database

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("store")]

RECORD = "ConfigMap/postgres-operator/planton-archives"
STORAGE = "r2-postgres-backup-credentials"
EVERYTHING = {"volumes": True, "passwords": True, "storage_secret": True, "namespace": True}
INGRESS = "ingress: {enabled: true, dns_domain: example.org, allowed_source_ranges: [10.0.0.0/8]}"


def made(installed: Installed, name: str, **manifest: str) -> str:
    """Makes a database whose StatefulSet the operator has made, with a volume claim as a real cluster has it."""
    text = database(name, **manifest)
    installed.apply(text)
    installed.environment(name)
    labels = {"application": "spilo", "cluster-name": f"db-{name}"}
    claim = {
        "metadata": {"name": f"pgdata-db-{name}-0", "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    installed.api.request("POST", f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    return text


def delete(installed: Installed, text: str, *names: str, timeout: float = 60.0, **options: Any) -> dict[str, str]:
    """Deletes, and gives the words for all but the record of archives, which test_archives_record.py is about."""
    chosen = DeleteOptions(databases=names, **options)
    done = words(installed.cluster.delete(planton.loads(text), options=chosen, timeout=timeout))
    return {subject: word for subject, word in done.items() if subject != RECORD}


def there(installed: Installed, name: str) -> set[str]:
    """Lists what is left of a database, without what is on its way out."""
    core = f"/api/v1/namespaces/{name}"
    lists = {
        "postgresql": f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls",
        "StatefulSet": f"/apis/apps/v1/namespaces/{name}/statefulsets",
        "Service": f"{core}/services",
        "PersistentVolumeClaim": f"{core}/persistentvolumeclaims",
        "Secret": f"{core}/secrets",
    }
    left = set()
    for kind, path in lists.items():
        for one in installed.api.request("GET", path).get("items") or ():
            if "deletionTimestamp" not in one["metadata"]:
                left.add(f"{kind}/{one['metadata']['name']}")
    if "deletionTimestamp" not in installed.api.request("GET", f"/api/v1/namespaces/{name}")["metadata"]:
        left.add("Namespace")
    return left


def test_a_database_goes_by_its_name_and_all_that_holds_data_stays(installed: Installed, name: str) -> None:
    text = made(installed, name, spec=INGRESS)
    assert f"Service/db-{name}-external" in there(installed, name)
    password = f"postgres.db-{name}.credentials.postgresql.acid.zalan.do"
    result = delete(installed, text, name)
    assert result == {
        f"postgresql/{name}/db-{name}": "deleted",
        f"Service/{name}/db-{name}-external": "deleted",
        f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0": "skipped",
        f"Secret/{name}/{password}": "skipped",
        f"Secret/{name}/{password.replace('postgres', 'standby', 1)}": "skipped",
        f"Secret/{name}/{STORAGE}": "skipped",
        f"Namespace/{name}": "skipped",
    }
    assert there(installed, name) == {
        f"PersistentVolumeClaim/pgdata-db-{name}-0",
        f"Secret/{password}",
        f"Secret/{password.replace('postgres', 'standby', 1)}",
        f"Secret/{STORAGE}",
        "Namespace",
    }
    # The same again finds nothing to do, and the database can come back to its volume.
    assert set(delete(installed, text, name).values()) == {"skipped"}
    assert words(installed.apply(text))[f"postgresql/{name}/db-{name}"] == "created"


def test_each_word_takes_its_own_and_no_more(installed: Installed, name: str) -> None:
    text = made(installed, name)
    delete(installed, text, name)
    assert delete(installed, text, name, volumes=True)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"
    assert len([one for one in there(installed, name) if one.startswith("Secret/")]) == 3
    after = delete(installed, text, name, passwords=True)
    assert [one for one, word in after.items() if word == "deleted"] == [
        f"Secret/{name}/postgres.db-{name}.credentials.postgresql.acid.zalan.do",
        f"Secret/{name}/standby.db-{name}.credentials.postgresql.acid.zalan.do",
    ]
    not_empty = installed.cluster.delete(
        planton.loads(text), options=DeleteOptions(databases=(name,), namespace=True)
    ).changes[-1]
    assert (not_empty.subject, not_empty.action) == (f"Namespace/{name}", "skipped")
    assert f"it is not empty (Secret/{STORAGE})" in not_empty.reason
    after = delete(installed, text, name, storage_secret=True, namespace=True)
    assert after[f"Secret/{name}/{STORAGE}"] == "deleted"
    assert after[f"Namespace/{name}"] == "deleted"
    assert there(installed, name) == set()


def test_all_words_at_once(installed: Installed, name: str) -> None:
    text = made(installed, name)
    result = delete(installed, text, name, **EVERYTHING)
    assert set(result.values()) == {"deleted"}
    assert there(installed, name) == set()


def test_a_namespace_that_others_made_or_use_stays(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    text = made(installed, name)
    assert delete(installed, text, name, **EVERYTHING)[f"Namespace/{name}"] == "skipped"
    other = f"{name}-b"
    text = made(installed, other)
    lease = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "theirs"}, "spec": _cron_job()}
    installed.api.request("POST", f"/apis/batch/v1/namespaces/{other}/cronjobs", lease)
    options = DeleteOptions((other,), volumes=True, passwords=True, storage_secret=True, namespace=True)
    result = installed.cluster.delete(planton.loads(text), options=options)
    assert "CronJob/theirs" in result.changes[-1].reason
    assert there(installed, other) == {"Namespace"}


def _cron_job() -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "one", "image": "example.org/one:1"}]}
    return {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}


def test_the_storage_secret_stays_while_another_database_needs_it(installed: Installed, name: str) -> None:
    home = f"labels:\n  kubernetes.project-planton.org/namespace: {name}"
    both = database("one", metadata=home) + database("two", metadata=home)
    installed.apply(both)
    installed.until(lambda: installed.cluster.live_environment(name, "db-one"))
    installed.until(lambda: installed.cluster.live_environment(name, "db-two"))
    options = DeleteOptions(databases=("one",), storage_secret=True, namespace=True)
    result = installed.cluster.delete(planton.loads(both), options=options, timeout=60.0)
    reasons = {change.subject: change.reason for change in result.changes}
    assert reasons[f"Secret/{name}/{STORAGE}"] == "stays: db-two needs it"
    assert "it is not empty" in reasons[f"Namespace/{name}"]
    assert installed.cluster.live_environment(name, "db-two")
    assert words(installed.plan(both, allow_archive_reuse=True))[f"postgresql/{name}/db-one"] == "created"


@pytest.mark.parametrize("options", [{}, {"volumes": True, "namespace": True}])
def test_nothing_goes_that_is_not_named(installed: Installed, name: str, options: dict[str, bool]) -> None:
    installed.apply(database(name))
    with pytest.raises(RefusedError) as caught:
        delete(installed, database(name), **options)
    assert f"postgresql/{name}/db-{name}" in str(caught.value)
    assert "stay unless each is named" in str(caught.value)
    with pytest.raises(RefusedError, match="give the one that it had, with -f"):
        delete(installed, database(name), f"{name}-b")
    assert installed.database(name)


def test_a_plan_of_a_delete_writes_nothing(installed: Installed, name: str) -> None:
    text = made(installed, name)
    before = there(installed, name)
    options = DeleteOptions(databases=(f"{name}/{name}",), volumes=True)
    plan = installed.cluster.plan_delete(planton.loads(text), options=options)
    assert words(plan)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"
    assert words(plan)[f"Namespace/{name}"] == "skipped"
    assert there(installed, name) == before
    assert ACCESS_KEY not in repr(plan) + str(plan)


def test_a_database_is_not_deleted_while_the_operator_is_down(installed: Installed, name: str) -> None:
    text = made(installed, name)
    deployment = "/apis/apps/v1/namespaces/postgres-operator/deployments/postgres-operator"
    installed.api.request("PATCH", deployment, {"spec": {"replicas": 0}}, content_type="application/merge-patch+json")
    try:
        installed.until(lambda: not installed.api.request("GET", deployment)["status"].get("availableReplicas"))
        with pytest.raises(RefusedError, match="leaves its pods running"):
            delete(installed, text, name)
        assert installed.database(name)
        assert "delete-clustername" not in installed.database(name)["metadata"].get("annotations", {})
        with pytest.raises(RefusedError, match="cannot go with them"):
            delete(installed, text, name, without_operator=True, volumes=True)
        result = delete(installed, text, name, without_operator=True)
        assert result[f"postgresql/{name}/db-{name}"] == "deleted"
        assert result[f"StatefulSet/{name}/db-{name}"] == "skipped"
        left = installed.cluster.plan_delete(planton.loads(text), options=DeleteOptions(databases=(name,)))
        reasons = {change.subject: change.reason for change in left.changes}
        assert "deleted while none ran" in reasons[f"StatefulSet/{name}/db-{name}"]
        with pytest.raises(RefusedError, match="the volumes are in use"):
            delete(installed, text, name, volumes=True)
    finally:
        installed.apply(installed.operator, force_conflicts=True)


def test_an_operator_that_would_take_volumes_along_is_refused(installed: Installed, name: str) -> None:
    text = made(installed, name)
    path = "/api/v1/namespaces/postgres-operator/configmaps/postgres-operator"
    patch = {"data": {"enable_persistent_volume_claim_deletion": "true", "enable_secrets_deletion": None}}
    installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    try:
        with pytest.raises(RefusedError) as caught:
            delete(installed, text, name)
        assert len(caught.value.reasons) == 2
        assert "deletes volumes" in caught.value.reasons[0]
        with pytest.raises(RefusedError, match="deletes passwords"):
            delete(installed, text, name, volumes=True)
    finally:
        installed.apply(installed.operator, force_conflicts=True)
    assert installed.database(name)


def test_a_delete_that_is_broken_off_leaves_no_permission_behind(
    installed: Installed, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = made(installed, name)

    def broken(*_: object, **__: object) -> bool:
        raise ClusterError("broken off", subject="test")

    with monkeypatch.context() as patch:
        patch.setattr("planton.cluster.api.server.Server.delete", broken)
        with pytest.raises(ClusterError, match="broken off"):
            delete(installed, text, name)
    assert "delete-clustername" not in installed.database(name)["metadata"].get("annotations", {})
    assert not installed.plan(text).changed
    # One that is killed takes nothing back: the next apply does.
    with monkeypatch.context() as patch:
        patch.setattr("planton.cluster.api.server.Server.delete", broken)
        patch.setattr("planton.cluster.deleting.delete.Deleter._take_back", lambda *_: None)
        with pytest.raises(ClusterError, match="broken off"):
            delete(installed, text, name)
    annotations = installed.database(name)["metadata"]["annotations"]
    assert annotations["delete-clustername"] == f"db-{name}"
    plan = installed.plan(text)
    (change,) = [one for one in plan.changes if (one.action, one.kind) == ("configured", "postgresql")]
    assert [one.path for one in change.diff] == ["metadata.annotations.delete-clustername"]
    installed.cluster.apply(plan)
    assert "delete-clustername" not in installed.database(name)["metadata"].get("annotations", {})
    assert not installed.plan(text).changed


def test_a_permission_that_somebody_else_gave_is_left_alone(
    installed: Installed, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.apply(database(name))
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}?fieldManager=kubectl-annotate"
    patch = {"metadata": {"annotations": {"delete-clustername": f"db-{name}"}}}
    installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    assert not installed.plan(database(name)).changed

    def broken(*_: object, **__: object) -> bool:
        raise ClusterError("broken off", subject="test")

    monkeypatch.setattr("planton.cluster.api.server.Server.delete", broken)
    with pytest.raises(ClusterError, match="broken off"):
        delete(installed, database(name), name)
    assert installed.database(name)["metadata"]["annotations"]["delete-clustername"] == f"db-{name}"


def test_a_cleaning_that_takes_too_long_is_named_and_carries_on_later(
    installed: Installed, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = made(installed, name)
    with ExitStack() as frozen:
        frozen.enter_context(installed.frozen_operator())
        with pytest.raises(WaitError) as caught:
            delete(installed, text, name, timeout=0.0, volumes=True)
        done = words(caught.value.changes)
        assert list(done) == [RECORD, f"postgresql/{name}/db-{name}"]
        assert done[f"postgresql/{name}/db-{name}"] == "deleted"
        assert any(f"StatefulSet/{name}/db-{name}" in one for one in caught.value.pending)
        assert f"PersistentVolumeClaim/pgdata-db-{name}-0" in there(installed, name)
        with pytest.raises(RefusedError, match="the operator is cleaning up"):
            delete(installed, text, name, volumes=True)
        # The run after it waits for what the operator still takes away, although the database itself is gone.
        threading.Timer(1.5, frozen.close).start()
        delete(installed, text, name)
        assert f"StatefulSet/db-{name}" not in there(installed, name)
    assert delete(installed, text, name, volumes=True)[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"] == "deleted"


def test_an_operator_with_databases_is_not_deleted(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    with pytest.raises(RefusedError, match="looks after"):
        delete(installed, installed.operator, operator=True)
    with pytest.raises(RefusedError, match="with the word for it"):
        delete(installed, installed.operator)
    plan = words(installed.plan(installed.operator))
    assert plan["Deployment/postgres-operator/postgres-operator"] == "unchanged"


def test_a_database_of_a_set_goes_with_its_set(installed: Installed, name: str) -> None:
    text = database(name)
    installed.apply(text, set_id=name)
    for other in (None, f"{name}-b"):
        with pytest.raises(RefusedError, match=f"say --set {name}"):
            delete(installed, text, name, set_id=other)
    assert "delete-clustername" not in installed.database(name)["metadata"].get("annotations", {})
    installed.environment(name)
    assert delete(installed, text, name, set_id=name)[f"postgresql/{name}/db-{name}"] == "deleted"


def test_a_copy_of_a_volume_stays_whatever_is_named(installed: Installed, name: str) -> None:
    text = made(installed, name)
    claims = f"/api/v1/namespaces/{name}/persistentvolumeclaims"
    copy = installed.api.request("GET", f"{claims}/pgdata-db-{name}-0")
    copy["metadata"] = {"name": "my-safety-copy", "labels": copy["metadata"]["labels"]}
    installed.api.request("POST", claims, copy)
    options = DeleteOptions(databases=(name,), volumes=True)
    result = installed.cluster.delete(planton.loads(text), options=options, timeout=60.0)
    changes = {change.subject: change for change in result.changes}
    assert changes[f"PersistentVolumeClaim/{name}/pgdata-db-{name}-0"].action == "deleted"
    stays = changes[f"PersistentVolumeClaim/{name}/my-safety-copy"]
    assert (stays.action, "no volume that the operator made" in stays.reason) == ("skipped", True)
    assert "PersistentVolumeClaim/my-safety-copy" in there(installed, name)


def test_a_secret_that_something_uses_stays_whatever_is_named(installed: Installed, name: str) -> None:
    text = made(installed, name)
    job = _cron_job()
    container = job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"secretRef": {"name": STORAGE}}]
    body = {"metadata": {"name": "verify-backups"}, "spec": job}
    installed.api.request("POST", f"/apis/batch/v1/namespaces/{name}/cronjobs", body)
    options = DeleteOptions(databases=(name,), storage_secret=True)
    result = installed.cluster.delete(planton.loads(text), options=options, timeout=60.0)
    (change,) = [change for change in result.changes if change.name == STORAGE]
    assert (change.action, change.reason) == ("skipped", f"stays: CronJob/{name}/verify-backups refers to it")
    assert f"Secret/{STORAGE}" in there(installed, name)


def test_a_stateful_set_that_takes_its_volumes_along_is_refused(installed: Installed, name: str) -> None:
    text = made(installed, name)
    path = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}"
    policy = {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}
    installed.api.request("PATCH", path, policy, content_type="application/merge-patch+json")
    with pytest.raises(RefusedError, match="deletes its volumes when it is deleted"):
        delete(installed, text, name)
    assert installed.database(name)


def test_a_database_that_others_made_is_not_deleted(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    installed.api.request("POST", f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls", foreign_database(name))
    try:
        with pytest.raises(RefusedError, match="was not made by planton"):
            delete(installed, database(name), name)
        assert installed.database(name)
    finally:
        # The operator's set would bring the storage Secret to it, which other tests do not expect.
        installed.api.request("DELETE", f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}")


def test_progress_tells_what_is_done(installed: Installed, name: str) -> None:
    text = made(installed, name)
    events: list[Any] = []
    result = installed.cluster.delete(
        planton.loads(text), options=DeleteOptions(databases=(name,)), timeout=60.0, progress=events.append
    )
    assert {event.phase for event in events} >= {"delete"}
    done = [event for event in events if event.phase == "delete"]
    assert [event.subject for event in done[:2]] == [RECORD, f"postgresql/{name}/db-{name}"]
    assert all(isinstance(change, Change) for change in result.changes)
