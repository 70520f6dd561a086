"""In which order databases are written beside their operator, and what is said of a change: pure."""

from __future__ import annotations

from typing import Any

import pytest

from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.backups.archives import Archives
from planton.cluster.changes import PlanOptions
from planton.cluster.planning.effects import effects_of
from planton.cluster.planning.plan import _reason
from planton.cluster.planning.safety import refusals
from planton.translate.names import ENVIRONMENT_LABEL
from tests.cluster.objects import Object, config_map

TEMPLATE = "s3://b/$(SCOPE)/$(PGVERSION)"
ON = {"WALG_S3_PREFIX": TEMPLATE, "USE_WALG_BACKUP": "true"}
SWITCHED_OFF = {"USE_WALG_BACKUP": "false"}
OFF = {"WALG_S3_PREFIX": "", "USE_WALG_BACKUP": "false"}
OWN = {"WALG_S3_PREFIX": "s3://b/own"}
OWN_ON = {**OWN, "USE_WALG_BACKUP": "true"}
KEY = Key(POSTGRESQL, "a", "db-x")
RESTART = "rolling restart of the pods of db-x:"


def cr(env: dict[str, str] | None = None, *, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "db-x", "namespace": "a", "labels": labels or {}},
        "spec": {
            "numberOfInstances": 1,
            "postgresql": {"version": "16"},
            "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
            **spec,
        },
    }


def archives(before: dict[str, str], after: dict[str, str], old: Object, new: Object | None = None) -> Archives:
    return Archives(before, after, {KEY: old}, {KEY: new} if new else {})


@pytest.mark.parametrize(
    ("before", "after", "old", "new", "first"),
    [
        # The operator gets backups and the database is off: it would archive in between.
        ({}, ON, {}, OFF, True),
        # The operator is switched off and the database, too: its own prefix would be left without the switch.
        (ON, SWITCHED_OFF, OWN, OFF, True),
        (ON, SWITCHED_OFF, {}, OFF, True),
        # An archive of its own, complete in itself, before it gets the operator's.
        ({}, ON, {}, OWN_ON, True),
        ({}, {**ON, "AWS_ENDPOINT": "https://e"}, {}, OWN_ON, True),
        # A prefix without the switch only works when the operator has the switch.
        ({}, ON, {}, OWN, False),
        # The switch goes on at both: a database that said "off" would be right either way.
        (SWITCHED_OFF, ON, OFF, OWN, False),
        # Better the operator's archive for a moment than a prefix without the switch.
        (ON, SWITCHED_OFF, OWN, {}, True),
        # Nothing is at stake, so the operator comes first as ever.
        (ON, {**ON, "BACKUP_SCHEDULE": "x"}, {}, {"BACKUP_SCHEDULE": "y"}, False),
        (ON, ON, {}, OFF, False),
        ({}, ON, OFF, OFF, False),
    ],
)  # fmt: skip
def test_which_databases_are_written_before_the_operator_is_told(
    before: dict[str, str], after: dict[str, str], old: dict[str, str], new: dict[str, str], first: bool
) -> None:
    assert archives(before, after, cr(old), cr(new)).goes_first(KEY) is first


def test_a_new_database_and_a_new_version_wait_for_the_operator() -> None:
    assert not Archives({}, ON, {}, {KEY: cr(OFF)}).goes_first(KEY)
    newer = cr(OFF, postgresql={"version": "17"})
    assert not archives({}, ON, cr({}), newer).goes_first(KEY)


def test_taking_backup_config_away_says_whose_backups_stop() -> None:
    old = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_configmap="a/b")
    new = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_configmap="")
    restart = "rolling restart of the pods of 1 database (a/db-x): "
    assert effects_of(new, old, archives(ON, {}, cr())) == (
        f"{restart}USE_WALG_BACKUP and WALG_S3_PREFIX change",
        "backups of 1 database stop: a/db-x",
    )
    assert effects_of(new, old, archives(ON, {}, cr({"USE_WALG_BACKUP": "true"}))) == (
        f"{restart}WALG_S3_PREFIX changes",
        "backups of 1 database stop: a/db-x",
    )
    assert effects_of(new, old, archives(ON, {}, cr(), cr(OFF))) == ()  # Its own change says it.
    many = {Key(POSTGRESQL, "a", f"db-{number:02}"): cr() for number in range(12)}
    (first, effect) = effects_of(new, old, Archives(ON, {}, many))
    assert first.startswith("rolling restart of the pods of 12 databases (a/db-00, ")
    assert effect.startswith("backups of 12 databases stop: a/db-00, ")
    assert effect.endswith("a/db-09 and 2 more")


def test_another_image_restarts_every_database() -> None:
    name = "postgres-operator"
    old, new = config_map("a", name, docker_image="one"), config_map("a", name, docker_image="two")
    own = cr(dockerImage="mine")
    many = Archives({}, {}, {KEY: cr(), Key(POSTGRESQL, "b", "db-x"): cr(), Key(POSTGRESQL, "c", "db-x"): own})
    assert effects_of(new, old, many) == ("rolling restart of all 2 databases (image one -> two)",)
    assert effects_of(new, old, Archives()) == ()
    assert effects_of(config_map("a", name, workers="2"), config_map("a", name, workers="1"), many) == ()


@pytest.mark.parametrize(
    ("inherited", "old", "new", "said"),
    [
        (ON, {}, OFF, [f"{RESTART} USE_WALG_BACKUP and WALG_S3_PREFIX change", "backups of db-x stop"]),
        (ON, OFF, {}, [f"{RESTART} USE_WALG_BACKUP and WALG_S3_PREFIX change", "backups of db-x begin"]),
        # It had none.
        ({}, {}, OFF, [f"{RESTART} USE_WALG_BACKUP and WALG_S3_PREFIX change"]),
        # What it says now is what it inherited: nothing changes in the pods.
        (ON, {}, ON, []),
        (ON, {}, {"USE_WALG_BACKUP": "true"}, []),
        (ON, {"A": "1", "B": "2"}, {"B": "2", "A": "1"}, []),
    ],
)
def test_effects_follow_from_what_is_in_force(
    inherited: dict[str, str], old: dict[str, str], new: dict[str, str], said: list[str]
) -> None:
    assert list(effects_of(cr(new), cr(old), Archives(inherited, inherited))) == said


def test_an_archive_that_moves() -> None:
    effects = effects_of(cr(OWN), cr(), Archives(ON, ON))
    assert (
        "the archive of db-x moves from s3://b/db-x/16 to s3://b/own: what is in the old place stays there, and "
        "restores need it; the new place has nothing to restore from until its first base backup"
    ) in effects
    same = {"WALG_S3_PREFIX": "s3://b/db-x/16/"}
    assert not any("moves" in effect for effect in effects_of(cr(same), cr(), Archives(ON, ON)))


def test_inherited_labels_restart_the_pods_later() -> None:
    dev, prod = {ENVIRONMENT_LABEL: "dev"}, {ENVIRONMENT_LABEL: "prod"}
    (effect,) = effects_of(cr(labels=prod), cr(labels=dev))
    assert effect.startswith("rolling restart of the pods of db-x at the operator's next sync")
    (effect, _) = effects_of(cr(labels=prod, numberOfInstances=2), cr(labels=dev))
    assert effect == "rolling restart of the pods of db-x: labels that they inherit change"
    assert effects_of(cr(labels={"team": "x"}), cr()) == ()


def test_a_raised_version_upgrades_nothing_by_itself() -> None:
    (effect,) = effects_of(cr(postgresql={"version": "17"}), cr(), Archives(ON, ON))
    for words in ("PGVERSION=17", "stays at PostgreSQL 16 until /scripts/inplace_upgrade.py", "archive of 17"):
        assert words in effect


def test_what_is_removed_is_no_change_of_ownership_only() -> None:
    live = config_map("a", one="1")
    live["metadata"]["managedFields"] = [{"manager": "planton", "operation": "Apply", "fieldsV1": {}}]
    assert _reason(live, live, [], []) == "only the ownership of fields changes"
    assert _reason(live, live, [], [("data", "two")]) == ""


def standby_of(prefix: str = "s3://b/source/16", env: dict[str, str] | None = None) -> Object:
    return cr(env, standby={"s3_wal_path": prefix})


def test_what_a_new_database_begins_with() -> None:
    born = {"CLONE_METHOD": "CLONE_WITH_WALE", "CLONE_WALG_S3_PREFIX": "s3://b/source/16"}
    assert effects_of(cr(born), None) == ("db-x starts from the archive s3://b/source/16, with all that is archived",)
    at_time = effects_of(cr({**born, "CLONE_TARGET_TIME": "2026-11-22T08:14:35Z"}), None)
    assert at_time == ("db-x starts from the archive s3://b/source/16, as it was at 2026-11-22T08:14:35Z",)
    assert effects_of(standby_of(), None) == (
        "db-x follows the archive s3://b/source/16, read-only, until standby is taken out of its manifest",
    )
    assert effects_of(cr(), None) == ()
    assert effects_of(cr({"CLONE_METHOD": "CLONE_WITH_BASEBACKUP"}), None) == ()


PROMOTED = {
    "STANDBY_METHOD": "STANDBY_WITH_WALE",
    "STANDBY_WALE_S3_PREFIX": "s3://b/source/16",
    "STANDBY_WAL_BUCKET_SCOPE_PREFIX": "",
}


@pytest.mark.parametrize(
    ("inherited", "archive"),
    [(ON, "begins to archive to s3://b/db-x/16;"), ({}, "archives nowhere, since its backups are off;")],
)
def test_what_a_promotion_means(inherited: dict[str, str], archive: str) -> None:
    before, after = standby_of(env={"STANDBY_AWS_REGION": "auto"}), cr({"STANDBY_AWS_REGION": "auto", **PROMOTED})
    effects = effects_of(after, before, archives(inherited, inherited, before, after))
    assert len(effects) == 3
    assert archive in effects[0]
    assert "nothing ever flows to it from s3://b/source/16 again" in effects[0]
    assert "gone or fenced" in effects[1]
    assert "without a restart of its pod" in effects[2]


def test_a_promotion_that_changes_something_else_restarts_before_it() -> None:
    before = standby_of(env={"STANDBY_AWS_REGION": "auto"})
    after = cr({"STANDBY_AWS_REGION": "auto", **PROMOTED, "BACKUP_SCHEDULE": "x"})
    effects = effects_of(after, before, archives(ON, ON, before, after))
    assert f"{RESTART} BACKUP_SCHEDULE changes" in effects
    # Without what the operator made of spec.standby the pods would restart, too.
    after = cr({"STANDBY_AWS_REGION": "auto", "STANDBY_WALE_S3_PREFIX": "s3://b/other"})
    effects = effects_of(after, before, archives(ON, ON, before, after))
    assert f"{RESTART} STANDBY_WALE_S3_PREFIX changes" in effects


@pytest.mark.parametrize(
    ("live", "desired", "words"),
    [
        (cr(), standby_of(), "it is a primary"),
        (standby_of("s3://b/one"), standby_of("s3://b/two"), "it follows s3://b/one, and would follow s3://b/two"),
        (cr(standby={"standby_host": "h"}), standby_of("s3://b/two"), "it follows h,"),
        (standby_of(), standby_of(), ""),
        (standby_of(), cr(PROMOTED), ""),
        (cr(), cr(), ""),
    ],
)
def test_what_a_standby_must_not_become(live: Object, desired: Object, words: str) -> None:
    found = refusals(KEY, desired, live, PlanOptions())
    assert len(found) == bool(words)
    assert all(words in one for one in found)
