"""One sandbox for all of these tests, and a handle on it that plans and applies plain objects."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import planton
from planton.cluster import ApplyResult, Plan, PlanOptions, ProgressEvent, connect
from planton.cluster.api.connection import Connection
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import POSTGRESQL, key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import Change
from planton.cluster.ownership import check_set_id
from planton.cluster.planning.apply import Applier
from planton.cluster.planning.inventory import Inventory, read_inventory
from planton.cluster.planning.planning import plan_set
from planton.cluster.planning.steps import Decisions
from planton.cluster.wait import CRD_KEY, Deadline, pending_crd
from sandbox import Sandbox
from sandbox._api import Api
from sandbox._folders import OPERATORS
from tests import manifests
from tests.cluster.left import Store
from tests.cluster.objects import Object


class Harness:
    """The cluster layer below manifests: plans and applies plain objects."""

    def __init__(self, api: Api, connection: Connection) -> None:
        self.api = api
        self.connection = connection
        self.server = Server(connection, "test")

    def inventory(self) -> Inventory:
        return read_inventory(self.server, chosen=None)

    def plan(self, objects: Iterable[Object], **options: Any) -> Plan:
        chosen = PlanOptions(**options)
        check_set_id(chosen.set_id)
        return plan_set(self.connection, objects, self.inventory(), chosen)

    def carry_out(
        self, plan: Plan, *, progress: Callable[[ProgressEvent], None] = lambda event: None, wait: bool = False
    ) -> list[Change]:
        decisions: Decisions = plan._sealed.content
        server = Server(self.connection, "apply", decisions.scrubber)
        applier = Applier(server, decisions, copies=list, deadline=Deadline(10.0), progress=progress)
        return applier.run(wait=wait)

    def apply(self, objects: Iterable[Object], **options: Any) -> list[Change]:
        return self.carry_out(self.plan(objects, **options))

    def get(self, obj: Object) -> Object:
        """Reads an object that must be there."""
        found = self.server.get(key_of(obj))
        assert found is not None, key_of(obj).subject
        return found

    def find(self, obj: Object) -> Object | None:
        """Reads an object that may be there."""
        return self.server.get(key_of(obj))

    def versions(self, objects: Iterable[Object]) -> dict[str, str]:
        return {key_of(obj).subject: self.get(obj)["metadata"]["resourceVersion"] for obj in objects}

    def edit(self, obj: Object, patch: Object, manager: str = "somebody") -> Object:
        """Changes an object as another field manager."""
        return self.api.request(
            "PATCH",
            f"{key_of(obj).path}?fieldManager={manager}",
            patch,
            content_type="application/merge-patch+json",
        )

    def create(self, obj: Object, manager: str = "somebody") -> Object:
        """Creates an object as another field manager."""
        key = key_of(obj)
        return self.api.request("POST", f"{key.resource.path(key.namespace)}?fieldManager={manager}", obj)


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox that these tests share."""
    with Sandbox.start() as started:
        yield started


@pytest.fixture(scope="package")
def harness(sandbox: Sandbox) -> Harness:
    """The cluster layer on the shared sandbox."""
    return Harness(Api.from_kubeconfig(sandbox.kubeconfig), open_connection(sandbox.kubeconfig, None))


@pytest.fixture
def served(harness: Harness) -> Iterator[None]:
    """A CRD for databases that accepts anything, as if an operator had been there; without databases at the end."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    versions = [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
    ]
    crd = {
        "metadata": {"name": "postgresqls.acid.zalan.do"},
        "spec": {
            "group": "acid.zalan.do",
            "scope": "Namespaced",
            "names": {"plural": "postgresqls", "kind": "postgresql", "listKind": "postgresqlList"},
            "versions": versions,
        },
    }
    harness.api.request("POST", path, crd)
    Deadline(10.0).wait_for(lambda: pending_crd(harness.server), lambda text: None)
    yield
    for one in harness.server.list(POSTGRESQL) or ():
        harness.api.request("DELETE", key_of(one).path)
    harness.api.request("DELETE", f"{path}/postgresqls.acid.zalan.do")
    while harness.server.get(CRD_KEY) is not None:
        time.sleep(0.05)


@pytest.fixture
def space(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, for a namespace and for what stands in none."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:30].strip("-")
    return f"{stem}-{uuid.uuid4().hex[:6]}"


def words(result: ApplyResult | Plan | Iterable[Change]) -> dict[str, str]:
    """Gives the action for each subject."""
    changes = result.changes if isinstance(result, (ApplyResult, Plan)) else result
    return {change.subject: change.action for change in changes}


# The operator waits for pods that never come; with its own timeouts every database would block it for ten minutes.
SETTINGS = """
operator_settings:
  resource_check_interval: "100ms"
  resource_check_timeout: "300ms"
  pod_label_wait_timeout: "300ms"
  pod_deletion_wait_timeout: "300ms"
  ready_wait_interval: "100ms"
  ready_wait_timeout: "100ms"
  patroni_api_check_interval: "100ms"
  patroni_api_check_timeout: "300ms"
  enable_database_access: "false"
"""
# That long the operator looks for a Secret that pods' variables come from, too, and waits for a StatefulSet that it
# replaces (postgres-operator v1.15.1, pkg/cluster/k8sres.go, getPodEnvironmentSecretVariables, and resources.go,
# replaceStatefulSet). Where a test brings the one after the database, or lets go of the other, it has to be given time.
PATIENT = SETTINGS.replace('check_interval: "100ms"', 'check_interval: "1s"', 1)
PATIENT = PATIENT.replace('check_timeout: "300ms"', 'check_timeout: "3s"', 1)


class Installed:
    """A sandbox with planton's operator and backups."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.cluster = connect(sandbox.kubeconfig)
        self.harness = Harness(Api.from_kubeconfig(sandbox.kubeconfig), open_connection(sandbox.kubeconfig, None))
        self.api = self.harness.api
        self.operator = manifests.operator(spec=SETTINGS)

    def apply(self, text: str, **options: Any) -> ApplyResult:
        return self.cluster.apply(planton.loads(text), options=PlanOptions(**options), timeout=60.0)

    def plan(self, text: str, **options: Any) -> Plan:
        return self.cluster.plan(planton.loads(text), options=PlanOptions(**options))

    def database(self, name: str) -> Object:
        return self.api.request("GET", f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}")

    def until(self, probe: Callable[[], Any], *, seconds: float = 90.0) -> Any:
        """Asks until there is a true answer."""
        end = time.monotonic() + seconds
        while not (answer := probe()):
            assert time.monotonic() < end, "not in time"
            time.sleep(0.1)
        return answer

    @contextlib.contextmanager
    def frozen_operator(self) -> Iterator[None]:
        """Holds the operator still: what happens meanwhile it sees afterwards, as after a slow moment of its own."""
        records = (self.sandbox.folder / OPERATORS / "processes").iterdir()
        processes = [int(record.name) for record in records]
        assert processes
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def environment(self, name: str) -> dict[str, Any]:
        """Gives the environment of a database, as soon as the operator has made its StatefulSet."""
        entries = self.until(lambda: self.cluster.live_environment(name, f"db-{name}"))
        return {entry["name"]: entry.get("value", entry.get("valueFrom", "")) for entry in entries}


@pytest.fixture(scope="package")
def installed() -> Iterator[Installed]:
    """A sandbox of its own, with the operator; tests bring databases in namespaces of their own."""
    with Sandbox.start() as started:
        made = Installed(started)
        made.apply(made.operator)
        yield made


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """What a delete finds in every archive: one that is whole and up to date, unless a test says otherwise."""
    made = Store()
    monkeypatch.setattr("planton.cluster.backups.archive_reading.catalogue_of", made.look)
    return made


@pytest.fixture
def name(space: str) -> str:
    """A name for a database that no other test uses."""
    return f"d{space[-6:]}"
