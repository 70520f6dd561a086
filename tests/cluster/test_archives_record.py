"""Archives that databases leave behind, and who may write to one again: against the sandbox and its operator."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import planton
from planton.cluster import DeleteOptions
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key
from planton.cluster.backups.archive_record import read_record_change
from planton.cluster.backups.archives import Archives
from planton.errors import ClusterError, ConflictError, RefusedError
from tests.cluster.conftest import Harness, Installed, words
from tests.cluster.objects import Object
from tests.cluster.test_effects import KEY, ON, OWN, cr
from tests.manifests import ACCESS_KEY, SECRET_KEY, database

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("store")]

RECORD = "ConfigMap/postgres-operator/planton-archives"
PATH = "/api/v1/namespaces/postgres-operator/configmaps/planton-archives"
OFF = "enable_backup: false"


def record(installed: Installed, name: str) -> list[dict[str, Any]]:
    """What is remembered of a database, sorted by prefix."""
    found = installed.harness.server.get(Key(CONFIG_MAP, "postgres-operator", "planton-archives")) or {}
    facts = [json.loads(text) for text in (found.get("data") or {}).values() if text.startswith("{")]
    return sorted((one for one in facts if one["name"] == f"db-{name}"), key=lambda one: one["prefix"])


def delete(installed: Installed, name: str, **options: Any) -> dict[str, str]:
    chosen = DeleteOptions(databases=(name,), **options)
    return words(installed.cluster.delete(planton.loads(database(name)), options=chosen, timeout=60.0))


def claim(installed: Installed, name: str, number: int = 0) -> None:
    body = {
        "metadata": {"name": f"pgdata-db-{name}-{number}"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    installed.api.request("POST", f"/api/v1/namespaces/{name}/persistentvolumeclaims", body)


def test_a_database_that_is_made_anew_does_not_write_into_the_old_archive(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    assert [one["why"] for one in record(installed, name)] == ["taken"]
    plan = installed.cluster.plan_delete(planton.loads(database(name)), options=DeleteOptions(databases=(name,)))
    assert words(plan)[RECORD] in ("created", "configured")
    assert [one["why"] for one in record(installed, name)] == ["taken"]
    done = delete(installed, name)
    assert list(done)[:2] == [RECORD, f"postgresql/{name}/db-{name}"]
    (entry,) = record(installed, name)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(entry.pop("left_at")))
    secret = f"{name}/r2-postgres-backup-credentials"
    assert entry == {
        "store": "account.r2.cloudflarestorage.com",
        "prefix": f"s3://postgres-backups/backups/db-{name}/17",
        "namespace": name,
        "name": f"db-{name}",
        "version": "17",
        "why": "deleted",
        "encryption": "",
        "key_in": "",
        "reading": {
            "environment": {
                "AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
                "AWS_REGION": "auto",
                "AWS_S3_FORCE_PATH_STYLE": "true",
                "WALG_DISABLE_S3_SSE": "true",
            },
            "references": {one: f"{secret}/{one}" for one in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        },
    }
    with pytest.raises(RefusedError) as caught:
        installed.plan(database(name))
    (reason,) = caught.value.reasons
    assert f"is that of {name}/db-{name} (PostgreSQL 17), which was deleted and left it behind" in reason
    assert "--allow-archive-reuse" in reason
    # Another archive, another version with an archive of its own, none at all, or the word for it.
    for other in (
        database(name, backup=f"s3_prefix: /elsewhere/{name}"),
        database(name, spec='version: "16"'),
        database(name, backup=OFF),
    ):
        assert words(installed.plan(other))[f"postgresql/{name}/db-{name}"] == "created"
    assert words(installed.apply(database(name), allow_archive_reuse=True))[f"postgresql/{name}/db-{name}"] == "created"
    # It lives in it now, and nothing more is asked.
    assert not installed.plan(database(name)).changed


def test_a_plan_after_an_apply_names_as_many_objects(installed: Installed, name: str) -> None:
    done = installed.apply(database(name))
    assert words(done)[RECORD] == "configured" or words(done)[RECORD] == "created"
    again = installed.cluster.plan(planton.loads(database(name)))
    assert words(again) == dict.fromkeys(words(done), "unchanged")
    # A database without an archive has nothing to do with the record.
    installed.apply(database(f"{name}-off", backup=OFF))
    assert RECORD not in words(installed.cluster.plan(planton.loads(database(f"{name}-off", backup=OFF))))


def test_the_same_database_with_its_volume_may(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    delete(installed, name)
    claim(installed, name, 1)  # The first pod would find nothing, and begin anew.
    with pytest.raises(RefusedError, match="--allow-archive-reuse"):
        installed.plan(database(name))
    claim(installed, name)
    assert words(installed.plan(database(name)))[f"postgresql/{name}/db-{name}"] == "created"


def test_another_database_may_not_take_the_archive_though_it_has_a_volume(installed: Installed, name: str) -> None:
    installed.apply(database(name, backup=f"s3_prefix: /taken/{name}"))
    installed.environment(name)
    delete(installed, name)
    other = f"{name}-b"
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    claim(installed, other)
    with pytest.raises(RefusedError, match=f"is that of {name}/db-{name} "):
        installed.plan(database(other, backup=f"s3_prefix: /taken/{name}"))
    with pytest.raises(RefusedError, match=f"below that is s3://postgres-backups/taken/{name} of {name}/db-{name} "):
        installed.plan(database(other, backup="s3_prefix: /taken"))
    assert installed.plan(database(other, backup=f"s3_prefix: /taken/{name}/deeper")).changed


def test_an_archive_that_moves_is_remembered_before_and_does_not_take_its_database_back(
    installed: Installed, name: str
) -> None:
    installed.apply(database(name))
    installed.environment(name)
    moved = database(name, backup=f"s3_prefix: /moved/{name}")
    plan = installed.plan(moved)
    assert any(f"the archive of db-{name} moves from s3://postgres-backups/backups" in one for one in plan.effects)
    subjects = [change.subject for change in plan.changes if change.action != "unchanged"]
    assert subjects == [RECORD, f"postgresql/{name}/db-{name}"]
    installed.cluster.apply(plan, timeout=60.0)
    left, used = record(installed, name)
    assert (left["why"], used["why"]) == ("moved", "taken")
    # The one that was left can be read without its database; the one in use takes no more room than it did.
    assert left["reading"]["environment"]["AWS_ENDPOINT"] == "https://account.r2.cloudflarestorage.com"
    assert not {"reading", "left_at"} & set(used)
    with pytest.raises(RefusedError, match="it would go back to s3://postgres-backups/backups"):
        installed.plan(database(name))
    installed.apply(database(name), allow_archive_reuse=True)
    assert [(one["prefix"].split("/")[3], one["why"]) for one in record(installed, name)] == [
        ("backups", "taken"),
        ("moved", "moved"),
    ]
    # To switch off and on again in one place is no harm.
    installed.apply(database(name, backup=OFF))
    assert [one["why"] for one in record(installed, name)] == ["stopped", "moved"]
    assert installed.plan(database(name)).changed


def test_a_database_without_backups_leaves_nothing(installed: Installed, name: str) -> None:
    installed.apply(database(name, backup=OFF))
    installed.environment(name)
    chosen = DeleteOptions(databases=(name,))
    result = installed.cluster.delete(planton.loads(database(name, backup=OFF)), options=chosen, timeout=60.0)
    assert RECORD not in words(result)
    assert record(installed, name) == []


def test_what_others_wrote_into_the_record_stays(installed: Installed, name: str) -> None:
    both = [database(name), database(f"{name}-b")]
    installed.apply("".join(both))
    for one in (name, f"{name}-b"):
        installed.environment(one)
    delete(installed, name)
    installed.harness.edit(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "planton-archives", "namespace": "postgres-operator"},
        },
        {"data": {f"note-{name}": "theirs"}},
    )
    delete(installed, f"{name}-b")
    found = installed.api.request("GET", PATH)
    assert found["data"][f"note-{name}"] == "theirs"
    assert record(installed, name)
    assert record(installed, f"{name}-b")
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "planton", "planton.ai/resource": "true"}
    assert ACCESS_KEY not in json.dumps(found)
    assert SECRET_KEY not in json.dumps(found)
    installed.harness.edit(found | {"apiVersion": "v1", "kind": "ConfigMap"}, {"data": {f"note-{name}": None}})


def test_the_record_is_in_no_set_and_is_never_pruned(installed: Installed, name: str) -> None:
    installed.apply(database(name), set_id=name)
    installed.environment(name)
    installed.apply(database(name, backup=f"s3_prefix: /moved/{name}"), set_id=name)
    assert "planton.ai/set" not in installed.api.request("GET", PATH)["metadata"]["labels"]
    again = installed.plan(database(name, backup=f"s3_prefix: /moved/{name}"), set_id=name)
    assert not again.changed


def test_two_plans_at_once_do_not_forget_each_other(installed: Installed, name: str) -> None:
    first, second = name, f"{name}-b"
    installed.apply(database(first) + database(second))
    for one in (first, second):
        installed.environment(one)
    plans = [installed.plan(database(one, backup=f"s3_prefix: /moved/{one}")) for one in (first, second)]
    installed.cluster.apply(plans[0], timeout=60.0)
    with pytest.raises(ClusterError, match="it has changed since the plan"):
        installed.cluster.apply(plans[1], timeout=60.0)
    assert [one["why"] for one in record(installed, second)] == ["taken"]
    installed.apply(database(second, backup=f"s3_prefix: /moved/{second}"))
    for one in (first, second):
        assert [each["why"] for each in record(installed, one)] == ["moved", "taken"]


def test_two_new_databases_at_once_do_not_keep_each_other_waiting(installed: Installed, name: str) -> None:
    first, second = name, f"{name}-b"
    plans = [installed.plan(database(one)) for one in (first, second)]
    for plan in plans:
        installed.cluster.apply(plan, timeout=60.0)
    assert record(installed, first)
    assert record(installed, second)
    # But for one archive, which the second one did not know to be taken.
    same = [database(f"{name}-{one}", backup=f"s3_prefix: /same/{name}") for one in "cd"]
    plans = [installed.plan(one) for one in same]
    installed.cluster.apply(plans[0], timeout=60.0)
    with pytest.raises(ClusterError, match="since the plan"):
        installed.cluster.apply(plans[1], timeout=60.0)


def test_a_database_that_was_deleted_without_planton(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}"
    installed.harness.edit(
        installed.database(name), {"metadata": {"annotations": {"delete-clustername": f"db-{name}"}}}
    )
    installed.api.request("DELETE", path)
    installed.until(lambda: installed.harness.server.get(Key(POSTGRESQL, name, f"db-{name}")) is None)
    with pytest.raises(RefusedError, match="has been deleted since without planton"):
        installed.plan(database(name))
    claim(installed, name)
    assert words(installed.plan(database(name)))[f"postgresql/{name}/db-{name}"] == "created"


def test_an_installation_without_entries_gets_them(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    found = installed.api.request("GET", PATH)
    mine = {key: None for key in found["data"] if key.startswith(f"{name}.")}
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": found["metadata"]}
    installed.harness.edit(body, {"data": mine})
    # An apply that was killed right before it wrote them leaves nothing else to be done.
    done = words(installed.apply(database(name)))
    assert {subject for subject, word in done.items() if word != "unchanged"} == {RECORD}
    assert [one["why"] for one in record(installed, name)] == ["taken"]
    assert not installed.plan(database(name)).changed
    # Those of others wait until something is written anyway: nothing else is left to be done, whatever was before.
    installed.apply(installed.operator)
    installed.harness.edit(body, {"data": mine})
    other = f"{name}-b"
    assert record(installed, name) == []
    assert not installed.plan(installed.operator).changed
    installed.apply(database(other))
    assert [one["why"] for one in record(installed, name)] == ["taken"]


def test_backups_that_go_on_with_another_key(installed: Installed, name: str) -> None:
    def encrypted(key: str, *, on: bool = True, more: str = "") -> str:
        method = f"encryption: {{libsodium: {{transform: hex, key: {{secret: {{name: keys, key: {key}}}}}}}}}"
        return database(name, backup=f"enable_backup: {'true' if on else 'false'}\n{method}\n{more}")

    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    keys = {"one": "01" * 32, "two": "02" * 32}
    installed.api.request(
        "POST", f"/api/v1/namespaces/{name}/secrets", {"metadata": {"name": "keys"}, "stringData": keys}
    )
    installed.apply(encrypted("one"))
    installed.environment(name)
    installed.apply(encrypted("one", on=False))
    (stopped,) = record(installed, name)
    assert (stopped["why"], stopped["encryption"].split()[0]) == ("stopped", "libsodium")
    assert stopped["key_in"].startswith(f"db-{name}-backup")
    assert not any(value in json.dumps(stopped) for value in keys.values())
    assert installed.plan(encrypted("one")).changed
    with pytest.raises(RefusedError, match="--allow-encryption-change"):
        installed.plan(encrypted("two"))
    with pytest.raises(RefusedError, match="would be encrypted in another way"):
        installed.plan(database(name, backup="enable_backup: true"))
    # A delta would be made of what cannot be read, whatever is allowed.
    with pytest.raises(RefusedError, match="Set delta_max_steps to 0 in the same apply"):
        installed.plan(encrypted("two", more="tuning: {delta_max_steps: 2}"), allow_encryption_change=True)
    plan = installed.plan(encrypted("two"), allow_encryption_change=True)
    assert any("becomes unreadable" in effect for effect in plan.effects)
    # The same on the kept volume.
    installed.apply(encrypted("one"))
    delete(installed, name)
    claim(installed, name)
    with pytest.raises(RefusedError, match="--allow-encryption-change"):
        installed.plan(encrypted("two"))
    assert installed.plan(encrypted("one")).changed
    secret = stopped["key_in"].partition("/")[0]
    installed.api.request("DELETE", f"/api/v1/namespaces/{name}/secrets/{secret}")
    with pytest.raises(RefusedError, match="cannot be compared any more"):
        installed.plan(encrypted("one"))


def test_a_record_that_is_full_ends_a_plan(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    key = f"full-{name}"
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "planton-archives", "namespace": "postgres-operator"},
    }
    if installed.harness.find(body) is None:
        installed.harness.create(body)
    installed.harness.edit(body, {"data": {key: "x" * 900_000}})
    try:
        with pytest.raises(ClusterError, match="is full"):
            installed.plan(database(name, backup=f"s3_prefix: /moved/{name}"))
    finally:
        installed.harness.edit(body, {"data": {key: None}})


def test_archives_in_use_that_have_no_room_are_told_of(installed: Installed, name: str) -> None:
    installed.apply(database(f"{name}a"))
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap"}
    body["metadata"] = {"name": "planton-archives", "namespace": "postgres-operator"}
    installed.harness.edit(body, {"data": {f"full-{name}": "x" * 800_000}})
    try:
        done = installed.apply(database(f"{name}b"))
        (warning,) = [str(one) for one in done.warnings if "planton-archives" in str(one)]
        assert warning.startswith(f"{RECORD}: 1 archive in use does not fit into ConfigMap planton-archives")
        assert not record(installed, f"{name}b")
        # Also when nothing is to be done; and of others it is not said.
        plan = installed.plan(database(f"{name}b"))
        assert not plan.changed
        assert [str(one) for one in plan.warnings if "planton-archives" in str(one)] == [warning]
        assert not [one for one in installed.plan(database(f"{name}a")).warnings if "planton-archives" in str(one)]
        # One that is left has a place.
        assert delete(installed, f"{name}b")[RECORD] == "configured"
        assert [one["why"] for one in record(installed, f"{name}b")] == ["deleted"]
    finally:
        installed.harness.edit(body, {"data": {f"full-{name}": None}})


def test_a_config_map_of_somebody_elses_is_in_the_way(harness: Harness, served: None, space: str) -> None:
    harness.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    name = {"name": "planton-archives", "namespace": space}
    harness.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"theirs": "1"}})
    made = Archives(ON, ON, {KEY: cr()}, {KEY: cr(OWN)}, namespace=space)
    change = read_record_change(harness.server, made)
    assert change is not None
    assert change.desired is not None
    with pytest.raises(ConflictError, match="the whole object"):
        harness.plan([change.desired])


def test_where_nothing_moves_nothing_is_read(harness: Harness) -> None:
    assert read_record_change(harness.server, Archives(ON, ON, {KEY: cr()}, namespace="none")) is None
    assert read_record_change(harness.server, Archives(ON, ON, {KEY: cr()}, {KEY: cr(OWN)})) is None
