"""Which stores a plan tries out, and what their answers count for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import planton
from planton.catalogue.probe import Finding, Probe
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.checking import apply_checks, check_inside, checks
from planton.cluster.checking.apply_checks import StoreChecks, affected
from planton.cluster.checking.checks import Checked, Target, check_targets
from planton.cluster.planning.facts import Facts, facts_in_force
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Step, change_of
from planton.errors import ClusterError, RefusedError, StoreProblem
from planton.manifest import prepare
from planton.rendering import render
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from tests.catalogue.conftest import access
from tests.manifests import database, operator

OPERATOR = "postgres-operator"
ORDERS = Key(POSTGRESQL, "orders", "db-orders")
OWN_STORE = """
    storage:
      bucket_name: own
      s3_compatible:
        endpoint: https://minio.example.com
    credentials:
      access_key_id:
        value: "SENTINELACCESSKEY0009"
      secret_access_key:
        value: "sentinel-own-secret-0009"
    """


def objects(text: str) -> dict[Key, KubernetesObject]:
    return {key_of(one): one for one in render(planton.loads(text))}


def affected_by(text: str, before: str = "", *, others: Sequence[KubernetesObject] = ()) -> tuple[list[str], list[str]]:
    """Who is tried out when a set is applied over what another one has made; and who begins to archive there."""
    live = objects(before) if before else {}
    settings = live.get(Key(CONFIG_MAP, OPERATOR, "postgres-pod-backup-config"))
    databases = [one for key, one in live.items() if key.resource is POSTGRESQL]
    existing = Existing(from_cluster=True, inherited=(settings or {}).get("data"))
    inventory = Inventory(None, existing, (), OPERATOR, {}, (*databases, *others), True)
    messages = prepare(planton.loads(text))
    platform, in_force = facts_in_force(messages, inventory, existing)
    steps = []
    for key, obj in objects(text).items():
        was = live.get(key)
        action = "created" if was is None else "unchanged" if was == obj else "configured"
        change = change_of(key, action)  # type: ignore[arg-type]
        desired = None if action == "unchanged" else obj
        steps.append(Step(key, change, Stage.DATABASES, 0, desired=desired, live=was))
    targets, new = affected(steps, Facts(messages, platform, in_force, inventory))
    return sorted(one.subject for one in targets), sorted(str(one.subject) for one in new)


FIRST = operator() + database("orders") + database("users", backup=OWN_STORE)


def test_nothing_changes() -> None:
    assert affected_by(FIRST, FIRST) == ([], [])


def test_a_schedule_and_the_size_of_a_database_concern_no_store() -> None:
    other = FIRST.replace("0 2 * * *", "0 3 * * *").replace("10Gi", "20Gi")
    assert other != FIRST
    assert affected_by(other, FIRST) == ([], [])


def test_everything_is_new() -> None:
    both = ["PostgresKubernetes/orders", "PostgresKubernetes/users"]
    # The store of the operator is tried out as that of orders.
    assert affected_by(FIRST) == (both, ["postgresql/orders/db-orders", "postgresql/users/db-users"])


def test_an_operator_without_databases() -> None:
    assert affected_by(operator()) == (["PostgresOperatorKubernetes/postgres-operator"], [])


def test_one_more_database() -> None:
    assert affected_by(FIRST + database("more"), FIRST) == (
        ["PostgresKubernetes/more"],
        ["postgresql/more/db-more"],
    )


def test_a_database_without_backups() -> None:
    assert affected_by(FIRST + database("more", backup="enable_backup: false"), FIRST) == ([], [])


def test_backups_that_are_switched_on() -> None:
    before = operator() + database("orders", backup="enable_backup: false")
    after = operator() + database("orders")
    assert affected_by(after, before) == (["PostgresKubernetes/orders"], ["postgresql/orders/db-orders"])


def test_other_keys_of_one_database() -> None:
    other = FIRST.replace("sentinel-own-secret-0009", "sentinel-own-secret-0010")
    assert affected_by(other, FIRST) == (["PostgresKubernetes/users"], [])


def test_other_keys_of_the_operator() -> None:
    other = FIRST.replace("SENTINELACCESSKEY0001", "SENTINELACCESSKEY0002")
    assert affected_by(other, FIRST) == (["PostgresOperatorKubernetes/postgres-operator"], [])


def test_another_bucket_of_the_operator_moves_databases_of_others_too() -> None:
    other = FIRST.replace("postgres-backups", "elsewhere")
    foreign = {
        "metadata": {"namespace": "legacy", "name": "legacy-0"},
        "spec": {"postgresql": {"version": "16"}},
    }
    own = {"name": "WALG_S3_PREFIX", "value": "s3://theirs/legacy"}
    stays = {"metadata": {"namespace": "stays", "name": "stays"}, "spec": {"env": [own]}}
    targets, new = affected_by(other, FIRST, others=[foreign, stays])
    assert targets == ["PostgresKubernetes/orders", "postgresql/legacy/legacy-0"]
    assert new == ["postgresql/legacy/legacy-0", "postgresql/orders/db-orders"]


def test_another_region_of_the_same_archive() -> None:
    place = "        endpoint: https://minio.example.com\n"
    other = FIRST.replace(place, f"{place}        region: eu-test-1\n")
    assert affected_by(other, FIRST) == (["PostgresKubernetes/users"], [])


def test_another_store_is_another_archive() -> None:
    other = FIRST.replace("        endpoint: https://minio.example.com", "        endpoint: https://minio.example.org")
    assert affected_by(other, FIRST) == (["PostgresKubernetes/users"], ["postgresql/users/db-users"])


def test_a_standby_that_is_promoted() -> None:
    source = """
        standby:
          source:
            archive:
              cluster_name: db-old
              version: "17"
        """
    before = operator() + database("orders", spec=source)
    assert affected_by(before, before) == ([], [])
    assert affected_by(operator() + database("orders"), before) == (
        ["PostgresKubernetes/orders"],
        ["postgresql/orders/db-orders"],
    )


TARGET = Target("PostgresKubernetes/orders", access("https://minio.example.com"), ORDERS, is_there=False)
SERVER: Any = None


def answering(monkeypatch: pytest.MonkeyPatch, *findings: Finding, owner: Finding | None = None) -> list[bool]:
    """Puts answers in the place of stores: there is none that gives all of them."""
    asked: list[bool] = []

    def probe(one: Any, *, write: bool, timeout: float) -> Probe:
        assert timeout <= 10
        asked.append(write)
        return Probe("s3://bucket/backups/db/17 at minio.example.com", findings)

    monkeypatch.setattr(checks, "probe", probe)
    monkeypatch.setattr(checks, "check_owner", lambda target, server: owner or Finding("archive", "ok", "empty"))
    return asked


READABLE = Finding("readable", "ok")


@pytest.mark.parametrize(
    ("problem", "check", "refused"),
    [
        ("no bucket", "bucket", True),
        ("credentials", "keys", True),
        ("forbidden", "writable", True),
        ("region", "region", True),
        ("certificate", "certificate", True),
        ("clock", "clock", True),
        ("refused", "deletable in a batch", True),
        ("unreachable", "reachable", False),
        ("busy", "readable", False),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, problem: StoreProblem, check: str, refused: bool) -> None:
    failed = Finding(check, "failed", "it is so", "Do this.", problem)
    asked = answering(monkeypatch, READABLE, failed)
    run = StoreChecks(SERVER, [TARGET], frozenset())
    if refused:
        with pytest.raises(RefusedError) as error:
            run.run(write=True)
        assert str(error.value) == (
            "PostgresKubernetes/orders: s3://bucket at minio.example.com: it is so. Do this. To leave the check out: "
            "--skip-check."
        )
    else:
        (warning,) = run.run(write=True)
        assert "not tried out from here: it is so" in warning.message
        assert warning.subject == "PostgresKubernetes/orders"
    assert asked == [True]


def test_a_store_that_is_not_reached_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"https://one.example.com": "one.example.com", "https://two.example.com": "two.example.com"}

    def probe(one: Any, *, write: bool, timeout: float) -> Probe:
        host = hosts[one.environment["AWS_ENDPOINT"]]
        failed = Finding("reachable", "failed", f"no such name: {host}", "", "unreachable")
        return Probe(f"s3://{one.bucket}/x at {host}", (failed,))

    monkeypatch.setattr(checks, "probe", probe)
    targets = [
        Target(
            f"PostgresKubernetes/{host[0]}-{bucket}-{key}",
            access(f"https://{host}", f"s3://{bucket}/x", keys=(f"key-{key}", "secret")),
            ORDERS,
            is_there=False,
        )
        for host in hosts.values()
        for bucket in (["a", "b", "c", "d", "e"] if host.startswith("one") else ["a"])
        for key in range(3)
    ]
    first, second = StoreChecks(SERVER, targets, frozenset()).run(write=False)
    assert first.message.startswith("s3://a, s3://b, s3://c and 2 more at one.example.com: not tried out from here: ")
    assert first.subject == ("PostgresKubernetes/o-a-0, PostgresKubernetes/o-a-1, PostgresKubernetes/o-a-2 and 12 more")
    assert second.message.startswith("s3://a at two.example.com: not tried out from here: no such name: two")


def test_a_store_that_was_not_reached_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, Finding("reachable", "failed", "no such name", "", "unreachable"))
    run = StoreChecks(SERVER, [TARGET], frozenset())
    assert len(run.run(write=False)) == 1
    assert run.run(write=True) == ()
    assert asked == [False]


@pytest.mark.parametrize("problem", ["credentials", "forbidden"])
def test_keys_that_only_the_pods_have(monkeypatch: pytest.MonkeyPatch, problem: StoreProblem) -> None:
    answering(monkeypatch, Finding("keys", "failed", "nobody has them here", "Set them.", problem))
    identity = replace(TARGET, access=access("https://s3.example.com", keys=None))
    (store,) = check_targets([identity], write=True)
    assert store.is_ok
    assert store.findings[0].outcome == "warning"
    (warning,) = StoreChecks(SERVER, [identity], frozenset()).run(write=True)
    assert "says nothing of the pods" in warning.message


@pytest.mark.parametrize("outcome", ["failed", "warning"])
def test_a_new_database_has_to_find_an_empty_archive_or_its_own(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    answering(monkeypatch, READABLE, owner=Finding("archive", outcome, "not empty", "Look.", "refused"))
    with pytest.raises(RefusedError, match="not empty"):
        StoreChecks(SERVER, [TARGET], frozenset({ORDERS})).run(write=False)
    # What it has already is not asked for.
    assert StoreChecks(SERVER, [TARGET], frozenset()).run(write=False) == ()


def test_one_store_is_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, READABLE)
    users = Key(POSTGRESQL, "users", "db-users")
    more = [
        replace(TARGET, subject="b", key=users, access=access("https://minio.example.com", "s3://bucket/b")),
        replace(TARGET, subject="c", key=users, access=access("https://minio.example.com", "s3://other/b")),
        replace(TARGET, subject="d", key=None, access=access("https://minio.example.com", "s3://bucket/d")),
    ]
    checked = check_targets([TARGET, *more], write=False)
    assert asked == [False, False]
    assert [one.used_by for one in checked if one.kind == "store"] == [(TARGET.subject, "b", "d"), ("c",)]
    # An operator has no archive of its own.
    assert [one.used_by for one in checked if one.kind == "archive"] == [(TARGET.subject,), ("b",), ("c",)]


def inside(monkeypatch: pytest.MonkeyPatch, answer: Any, *, is_there: bool = True) -> tuple[Checked, ...]:
    def job(server: Any, namespace: str, name: str, **options: Any) -> tuple[Finding, ...]:
        assert (namespace, name) == ("orders", "db-orders")
        if isinstance(answer, Exception):
            raise answer
        return (answer,)

    class NoServer:
        def during(self, *_: object) -> Any:
            return self

    monkeypatch.setattr(check_inside, "check_from_cluster", job)
    unreached = Finding("reachable", "failed", "no such name", "Look.", "unreachable")
    store = Checked("store", "s3://bucket at minio", (TARGET.subject,), (unreached,))
    server: Server = NoServer()  # type: ignore[assignment]
    target = replace(TARGET, is_there=is_there)
    return check_inside.check_inside(server, [target], [store], timeout=1.0, progress=lambda event: None)


def test_what_is_reached_from_within_is_only_not_reached_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    store, job = inside(monkeypatch, Finding("readable", "ok"))
    assert store.is_ok
    assert store.findings[0].outcome == "warning"
    assert job.is_ok


@pytest.mark.parametrize(
    "answer",
    [Finding("readable", "failed", "AccessDenied"), ClusterError("its pod cannot start", remedy="Look.")],
    ids=["no", "no job"],
)
def test_what_fails_from_within_stays_a_failure(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    store, job = inside(monkeypatch, answer)
    assert not store.is_ok
    assert not job.is_ok


def test_a_database_that_is_not_there_has_no_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    store, job = inside(monkeypatch, AssertionError(), is_there=False)
    assert not store.is_ok
    assert [one.outcome for one in job.findings] == ["not tried"]


def test_nothing_of_it_prints_a_key() -> None:
    said = repr((TARGET, StoreChecks(SERVER, [TARGET], frozenset()), apply_checks))
    values: Mapping[str, str] = TARGET.access.contents.reveal()
    assert values
    assert not [one for one in values.values() if one in said]
