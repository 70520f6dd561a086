"""What is withheld from a plan is not harmed by the rest: nothing that databases inherit changes without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.cli import main
from planton.cluster import PlanOptions
from planton.errors import ClusterError
from planton.translate.names import BACKUP_CONFIGMAP
from planton.translate.planton_permissions import RBAC
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import SETTINGS, words
from tests.cluster.objects import Object
from tests.faults.observed import Observed
from tests.faults.roles import Account, World, until_allowed, without

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("permissions-shared")]

HOME = "postgres-operator"
NAMES = ("open-0", "closed", "open-1")
CLOSED = "closed"
KEEP = "retention: {backups_and_days: 60}"
ON = "enable_backup: true"
OPERATOR = manifests.operator(spec=SETTINGS, backup=KEEP)
DATABASES = "".join(manifests.database(one) for one in NAMES)
GRANTED = f"/apis/{RBAC}/v1/namespaces"


def with_own(backup: str) -> str:
    """The closed database with settings of its own, by which it would stay as it is."""
    return "".join(manifests.database(one, backup=backup if one == CLOSED else None) for one in NAMES)


MOVED = OPERATOR.replace("postgres-backups", "other-backups")
SHORT = OPERATOR.replace("days: 60", "days: 2")
OFF = manifests.operator(spec=SETTINGS, backup=f"{KEEP}\nenable_wal_g_backup: false")
CASES = {
    "move": (MOVED, with_own('s3_prefix: "s3://postgres-backups/backups/closed/db-closed"')),
    "retention": (SHORT, with_own(KEEP)),
    "off": (OFF, with_own(ON)),
}


def narrowed(name: str) -> Any:
    """May do all but change databases; that, in the open namespaces alone."""

    def change(objects: list[Object]) -> None:
        (wide,) = [obj for obj in objects if obj["kind"] == "ClusterRoleBinding" and obj["metadata"]["name"] == name]
        for obj in objects:
            without(obj, "acid.zalan.do", "postgresqls", ["create", "patch"])
        rule = {"apiGroups": ["acid.zalan.do"], "resources": ["postgresqls"], "verbs": ["create", "patch"]}
        metadata = {"name": f"{name}-postgresqls"}
        objects.append({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": [rule]})
        objects += [
            {
                **wide,
                "kind": "RoleBinding",
                "metadata": {**metadata, "namespace": space},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": metadata["name"]},
            }
            for space in NAMES
            if space != CLOSED
        ]

    return change


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The operator's objects, and three databases that inherit all."""
    with Sandbox.start() as started:
        made = World(started)
        made.admin.apply(planton.loads(OPERATOR), options=PlanOptions(skip_checks=True), timeout=60.0)
        started.stop_operator()
        made.admin.apply(planton.loads(OPERATOR + DATABASES), options=PlanOptions(skip_checks=True), timeout=60.0)
        yield made


def configuration(world: World) -> dict[str, str]:
    path = f"/api/v1/namespaces/{HOME}/configmaps/{BACKUP_CONFIGMAP}"
    return dict(world.api.request("GET", path)["data"])


@pytest.mark.parametrize("case", CASES)
def test_nothing_shared_changes_while_a_database_is_closed(world: World, observed: Observed, case: str) -> None:
    account = Account(world, f"shared-{case}", ["operator", "databases"], change=narrowed(f"shared-{case}"))
    before = configuration(world)
    operator, databases = CASES[case]
    for attempt in (account.plan, account.apply):
        with pytest.raises(ClusterError) as caught:
            attempt(operator + databases)
        error = caught.value
        assert (error.status, error.reason) == (403, "Forbidden")
        assert f'cannot patch resource "postgresqls" in API group "acid.zalan.do" in the namespace "{CLOSED}"' in (
            error.text
        )
        assert f"postgresql/{CLOSED}/db-{CLOSED} would inherit the new settings without its own" in error.text
        assert f"ConfigMap/{HOME}/{BACKUP_CONFIGMAP}" in error.text
        assert f"planton permissions databases operator --account ci/{account.name}" in error.remedy
    assert account.written() == []
    assert configuration(world) == before
    observed(
        "a database that may not be written while the operator's settings change",
        f"{case}: nothing is written; the error names the database, its namespace and the verb",
    )


def test_an_unchanged_operator_holds_nothing_up(world: World) -> None:
    """One closed namespace of several, and the operator in the set: the others are done."""
    account = Account(world, "unchanged", ["operator", "databases"], change=narrowed("unchanged"))
    before = configuration(world)
    larger = DATABASES.replace("disk_size: 10Gi", "disk_size: 10Gi\n    replicas: 2")
    plan = account.plan(OPERATOR + larger)
    assert [one.subject for one in plan.refused] == [f"postgresql/{CLOSED}/db-{CLOSED}"]
    with pytest.raises(ClusterError, match="no permission in 1 of 3 namespaces; all else is done") as caught:
        account.apply(OPERATOR + larger)
    done = words(caught.value.changes)
    assert done[f"postgresql/{CLOSED}/db-{CLOSED}"] == "refused"
    items = world.api.request("GET", "/apis/acid.zalan.do/v1/postgresqls")["items"]
    assert {one["metadata"]["namespace"]: one["spec"]["numberOfInstances"] for one in items} == {
        "open-0": 2,
        CLOSED: 1,
        "open-1": 2,
    }
    assert configuration(world) == before


def test_a_permission_that_goes_before_the_configuration(world: World) -> None:
    """It was there when the plan was made: asked again right before what databases inherit changes."""
    name = "late"
    account = Account(world, name, ["operator", "databases"], change=narrowed(name))
    (binding,) = [
        obj for obj in account.objects if obj["kind"] == "RoleBinding" and obj["metadata"]["namespace"] == NAMES[0]
    ]
    metadata = {**binding["metadata"], "namespace": CLOSED}
    world.put({**binding, "metadata": metadata})
    until_allowed(account, "patch", "acid.zalan.do", "postgresqls", namespace=CLOSED)
    before = configuration(world)
    operator, databases = SHORT, with_own(KEEP)
    plan = account.plan(operator + databases)
    assert not plan.refused
    world.api.request("DELETE", f"{GRANTED}/{CLOSED}/rolebindings/{metadata['name']}")
    until_allowed(account, "patch", "acid.zalan.do", "postgresqls", namespace=CLOSED, allowed=False)
    with pytest.raises(ClusterError, match="would inherit the new settings without its own") as caught:
        account.cluster.apply(plan)
    assert caught.value.status == 403
    assert configuration(world) == before


def test_status_of_many_with_one_closed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], observed: Observed
) -> None:
    """A row for each that can be read, one that says why for the others, and the error at the end."""
    account = Account(world, "looking", ["read"], [one for one in NAMES if one != CLOSED])
    file = tmp_path / "all.yaml"
    file.write_text(DATABASES)
    line = ["status", "-f", str(file), "--kubeconfig", str(account.kubeconfig), "--no-archive"]
    assert main(line) == 1
    printed = capsys.readouterr()
    rows = [row.split() for row in printed.out.splitlines() if row.startswith("PostgresKubernetes/")]
    assert [row[2:4] == ["no", "permission"] for row in rows[:3]] == [False, True, False]
    assert "No permission to look at 1 resource." in printed.out
    assert f'in the namespace "{CLOSED}"' in printed.err
    assert "cannot get resource" in printed.err
    assert f"planton permissions read --namespaces {CLOSED} --account ci/looking" in printed.err
    assert "with the namespaces that it has already" in printed.err
    assert main([*line, "-o", "json"]) == 1
    found = [one["status"]["observed"] for one in json.loads(capsys.readouterr().out)]
    assert [bool(one["noPermission"]) for one in found] == [False, True, False]
    assert found[1]["noPermission"][0]["verb"] == "get"
    assert found[1]["exists"]
    observed(
        "no permission to look at one database of several",
        "status shows the others and says which permission is missing, then ends with 1",
    )


def test_a_reader_plans_an_unchanged_operator(world: World) -> None:
    account = Account(world, "reading", ["read"])
    assert not account.plan(OPERATOR).changed
    # An apply of it waits for the operator, and needs no more either.
    assert not account.apply(OPERATOR).changed
    assert account.refused() == []


def test_new_databases_beside_an_unchanged_operator_need_no_more_than_databases(world: World) -> None:
    """It used to end in the middle, with Secrets and without databases, since it was to look at the CRD."""
    account = Account(world, "beside", ["databases"])
    place = "labels: {kubernetes.project-planton.org/namespace: open-0}"
    text = OPERATOR + manifests.database("beside", metadata=place)
    assert {change.action for change in account.apply(text).changes} == {"created", "configured", "unchanged"}
    assert account.refused() == []
    assert not account.plan(text).changed


def test_an_account_without_any_role(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every word leads on: the command is whole, and nothing of the server's sentence is left."""
    account = Account(world, "bare", ["read"], change=list.clear)
    file = tmp_path / "one.yaml"
    file.write_text(manifests.database(CLOSED))
    end = ["--kubeconfig", str(account.kubeconfig)]
    for line, works in (
        (["plan", "-f", str(file), "--set", "mine"], "databases prune"),
        (["status", "-f", str(file)], "read"),
        (["env", CLOSED, "--live"], "read"),
        (["delete", "-f", str(file), "--yes-delete", CLOSED], "delete"),
        (["check"], "read"),
        (["check", "--from-cluster"], "check"),
        (["restore", CLOSED, "--as", "other", "--to", "latest", "--yes"], "databases"),
    ):
        assert main([*line, *end]) == 1
        said = capsys.readouterr().err
        assert f"planton permissions {works} --account ci/bare" in said, line
        assert "User " not in said
