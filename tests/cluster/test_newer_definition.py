"""A set with a newer operator and with a database that only this one knows: its definition comes in the same apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import planton
from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import POSTGRESQL, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.planning.apply import Applier
from planton.cluster.wait import CRD_KEY
from planton.errors import ClusterError
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import SETTINGS, Installed, words
from tests.cluster.objects import foreign_database, namespace

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

VERSION = "17"
DATABASE = manifests.database("young", spec=f'version: "{VERSION}"')


def known(crd: Any) -> list[str]:
    """The versions of PostgreSQL in a definition of databases: the list itself."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found: list[str] = schema["postgresql"]["properties"]["version"]["enum"]
    return found


def define(installed: Installed, versions: list[str]) -> None:
    """Writes these versions into the definition, as an operator does that has them."""
    crd = installed.api.request("GET", CRD_KEY.path)
    known(crd)[:] = versions
    patch = {"spec": {"versions": crd["spec"]["versions"]}}
    installed.api.request("PATCH", CRD_KEY.path, patch, content_type="application/merge-patch+json")
    one = foreign_database("young")
    one["spec"]["postgresql"]["version"] = VERSION
    installed.until(lambda: is_taken(installed, one) == (VERSION in versions))


def is_taken(installed: Installed, one: Any) -> bool:
    """Whether the API server goes by the definition with that version by now."""
    try:
        installed.harness.server.apply(key_of(one), one, dry_run=True)
    except ApiError as error:
        if error.status != 422:
            raise
        return False
    return True


@pytest.fixture
def outdated() -> Iterator[Installed]:
    """A sandbox whose operator is of another version, and has left a definition without the version of PostgreSQL.

    The sandbox has the program of one version only: so that is the newer one here.
    """
    with Sandbox.start() as started:
        made = Installed(started)
        made.apply(made.operator)
        other = planton.loads(manifests.operator(spec=SETTINGS, version="2.0.1"))
        with pytest.raises(ClusterError, match="Deployment"):
            made.cluster.apply(other, timeout=2.0)
        made.harness.apply([namespace("young")])
        define(made, [one for one in known(made.api.request("GET", CRD_KEY.path)) if one != VERSION])
        yield made


def forgotten(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes the version out again as soon as the operator has registered it; gives what it had, once that is so."""
    wait = Applier._wait_for_operator
    newer: list[str] = []

    def wait_and_forget(self: Applier, keys: Any) -> None:
        wait(self, keys)
        newer[:] = known(installed.api.request("GET", CRD_KEY.path))
        define(installed, [one for one in newer if one != VERSION])

    monkeypatch.setattr(Applier, "_wait_for_operator", wait_and_forget)
    return newer


def test_an_api_server_that_has_not_heard_of_it_yet_is_asked_again(
    outdated: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the operator had told another API server than the one that is asked: here it is told when it has refused.
    apply = Server.apply
    newer = forgotten(outdated, monkeypatch)
    refused: list[int] = []

    def apply_and_tell(self: Server, key: Key, obj: Any, **options: Any) -> Any:
        try:
            return apply(self, key, obj, **options)
        except ApiError as error:
            if newer and not refused and key.resource is POSTGRESQL:
                refused.append(error.status)
                define(outdated, newer)
            raise

    monkeypatch.setattr(Server, "apply", apply_and_tell)
    monkeypatch.setattr("planton.cluster.planning.apply._NEWS_SECONDS", 60.0)
    done = outdated.apply(outdated.operator + DATABASE)
    assert words(done)["postgresql/young/db-young"] == "created"
    assert refused == [422]


def test_what_the_new_definition_does_not_have_either_is_said_so(
    outdated: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten(outdated, monkeypatch)
    monkeypatch.setattr("planton.cluster.planning.apply._NEWS_SECONDS", 0.5)
    with pytest.raises(ClusterError, match="Unsupported value") as caught:
        outdated.apply(outdated.operator + DATABASE)
    assert "the operator of this set has registered just now: it does not have that either" in caught.value.remedy
    assert "alone" not in caught.value.remedy
    assert words(caught.value.changes)["Deployment/postgres-operator/postgres-operator"] == "configured"


def test_a_database_waits_for_the_definition_of_the_operator_in_its_set(outdated: Installed) -> None:
    subject = "postgresql/young/db-young"
    # Without another operator nothing would change the definition: that is said before anything is written.
    for text in (DATABASE, manifests.operator(spec=SETTINGS, version="2.0.1") + DATABASE):
        with pytest.raises(ClusterError, match="Unsupported value") as caught:
            outdated.plan(text)
        assert "Then apply the operator's manifest alone" in caught.value.remedy

    plan = outdated.plan(outdated.operator + DATABASE)
    assert words(plan)[subject] == "created"
    effects = next(one.effects for one in plan.changes if one.subject == subject)
    assert any(one.startswith("cannot be tried out before the operator's new version") for one in effects)

    done = outdated.cluster.apply(plan, timeout=60.0)
    assert words(done)[subject] == "created"
    assert VERSION in known(outdated.api.request("GET", CRD_KEY.path))
    assert outdated.database("young")["spec"]["postgresql"]["version"] == VERSION
    again = outdated.plan(outdated.operator + DATABASE)
    assert {one.action for one in again.changes} <= {"unchanged", "skipped"}
