"""No permission that planton asks for is superfluous, and the want of each is told before anything is written."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import planton
from planton.cluster import DeleteOptions, Plan, PlanOptions
from planton.cluster.api.server import Server
from planton.cluster.backups.backup_now import plan_backup
from planton.cluster.checking.check_job import check_from_cluster
from planton.cluster.permissions.needed import check_backup
from planton.errors import PlantonError
from planton.translate.archive_record import RECORD_CONFIGMAP
from planton.translate.names import BACKUP_CONFIGMAP
from planton.translate.planton_permissions import Work
from planton.translate.planton_roles import planton_roles
from planton.translate.platform import PLATFORM_ANNOTATION
from sandbox import Sandbox
from tests import manifests
from tests.cluster import objects, patroni
from tests.cluster.conftest import SETTINGS
from tests.cluster.conftest import store as store
from tests.cluster.objects import Object
from tests.faults.observed import Observed, tries
from tests.faults.roles import Account, World, atoms, without

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("permissions-rules")]

HOME = "postgres-operator"
OPERATOR = manifests.operator(spec=SETTINGS)
INGRESS = "ingress: {enabled: true, dns_domain: example.org}"
OWN = """
    credentials: {access_key_id: {value: OWNACCESSKEY00000001}, secret_access_key: {value: own-secret-key}}
"""
ROTATED = OWN.replace("own-secret-key", "another-own-key")
KEPT = manifests.database("kept", spec=INGRESS, backup=ROTATED)
PATHS = manifests.database("paths")
COPY = manifests.database("copy", spec="clone: {source: {database: {name: paths}}}")
TWIN = manifests.database("twin", spec="clone: {source: {database: {name: paths}}}")
AGAIN = manifests.database("again")
SPACES = ("kept", "paths", "copy", "twin", "again")
LITTER = "litter"

Scenario = Callable[[Account, bool], object]
"""Something that an account tries; it writes only when it is told to."""


def planned(text: str, **options: str) -> Scenario:
    return lambda account, do: account.apply(text, **options) if do else account.plan(text, **options)


def deleted(*databases: str, **more: Any) -> Scenario:
    chosen = DeleteOptions(databases=databases, without_backup=True, **more)

    def run(account: Account, do: bool) -> object:
        messages = planton.loads(OPERATOR + KEPT + PATHS + COPY + TWIN)
        if do:
            return account.cluster.delete(messages, options=chosen, timeout=10.0)
        return account.cluster.plan_delete(messages, options=chosen)

    return run


def status(account: Account, do: bool) -> object:
    found = account.cluster.status(planton.loads(OPERATOR + KEPT + COPY + TWIN), archives=False)
    return "\n".join(problem for one in found for problem in one.problems)


def backed_up(account: Account, do: bool) -> object:
    server = Server(account.connection, "backup")
    plan_backup(server, "kept", "db-kept")
    check_backup(server, "kept")
    return ""


def checked(account: Account, do: bool) -> object:
    server = Server(account.connection, "check")
    return check_from_cluster(server, "kept", "db-kept", timeout=0.3, progress=lambda event: None)


def cloud(account: Account, do: bool) -> object:
    """A new database, where the platform gives an identity by the pods' account."""
    path = f"/api/v1/namespaces/{HOME}/configmaps/{BACKUP_CONFIGMAP}"
    there = account.world.api.request("GET", path)["metadata"]["annotations"][PLATFORM_ANNOTATION]
    platform = {**json.loads(there), "service_account_annotations": {"example.org/role": "backups"}}

    def annotate(text: str) -> None:
        patch = {"metadata": {"annotations": {PLATFORM_ANNOTATION: text}}}
        account.world.api.request("PATCH", path, patch, content_type="application/merge-patch+json")

    annotate(json.dumps(platform))
    try:
        return planned(manifests.database("fresh"))(account, do)
    finally:
        annotate(there)


MOVED = planned(manifests.database("paths", backup='s3_prefix: "s3://postgres-backups/elsewhere"'))


def unrecorded(account: Account, do: bool) -> object:
    """A move of an archive, when none was ever written down."""
    path = f"/api/v1/namespaces/{HOME}/configmaps/{RECORD_CONFIGMAP}"
    there = account.world.api.request("GET", path)
    account.world.api.request("DELETE", path)
    try:
        return MOVED(account, do)
    finally:
        metadata = {key: there["metadata"][key] for key in ("name", "namespace", "labels")}
        account.world.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": there["data"]})


@dataclass(frozen=True)
class Case:
    """Kinds of work with what is tried of them.

    Attributes:
        works: The kinds.
        scenarios: What is tried, until something is refused.
        namespaces: Where the account may work; empty for everywhere.
    """

    works: tuple[Work, ...]
    scenarios: tuple[Scenario, ...]
    namespaces: Sequence[str] = ()

    def roles(self, name: str = "any") -> list[Object]:
        return planton_roles(self.works, namespaces=self.namespaces, name=name)


CASES = {
    "read": Case(("read",), (status, planned(KEPT), planned(AGAIN), planned(OPERATOR)), SPACES),
    "databases": Case(
        ("databases",),
        (
            planned(manifests.database("fresh", spec=INGRESS, backup=OWN)),
            planned(manifests.database("kept", backup=ROTATED)),
            MOVED,
            unrecorded,
            cloud,
        ),
    ),
    "delete": Case(("delete",), (deleted("kept", "paths", "copy", volumes=True, passwords=True, storage_secret=True),)),
    "namespaces": Case(("delete", "namespaces"), (deleted("kept", namespace=True),)),
    "prune": Case(
        ("databases", "delete", "prune"),
        (planned(KEPT, set_id=LITTER), deleted("kept", "paths", "copy", "twin", operator=True)),
    ),
    "backup": Case(("backup",), (backed_up,)),
    "check": Case(("check",), (checked,)),
}


Removal = tuple[int, str, str, tuple[str, ...]]
"""Which role, API group and resource; and the verbs that are taken away."""


def removals(case: Case) -> list[Removal]:
    """Gives what is taken away from a case's roles, without what belongs to the works in it alone.

    In the suite all verbs of a resource at once, which is quick; that each verb is used is seen where all the work is
    done. By hand one verb after the other.
    """
    known = [CASES[work] for work in case.works if work in CASES and CASES[work] is not case]
    others = [obj["rules"] for one in known for obj in one.roles()]
    if case.works != ("read",):
        others += [obj["rules"] for obj in planton_roles(["read"])]
    reading = {atom for found in others for atom in atoms(found)}
    by_resource: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for number, obj in enumerate(case.roles()):
        for group, resource, verb in sorted(atoms(obj["rules"]) - reading):
            by_resource[number, group, resource].append(verb)
    if tries(0):
        return [(*place, (verb,)) for place, verbs in by_resource.items() for verb in verbs]
    return [(*place, tuple(verbs)) for place, verbs in by_resource.items()]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The operator's objects, and databases with what the operator and its pods would have made."""
    with Sandbox.start() as started:
        made = World(started)
        chosen = PlanOptions(skip_checks=True)
        made.admin.apply(planton.loads(OPERATOR), options=chosen, timeout=60.0)
        started.stop_operator()
        first = manifests.database("kept", spec=INGRESS, backup=OWN)
        made.admin.apply(planton.loads(first + PATHS + COPY + TWIN + AGAIN), options=chosen)
        made.admin.apply(planton.loads(KEPT), options=chosen)
        # Its archive is written down, and a volume could be there.
        made.api.request("DELETE", "/apis/acid.zalan.do/v1/namespaces/again/postgresqls/db-again")
        made.namespace(LITTER)
        for obj in (objects.service(LITTER), objects.secret(LITTER)):
            obj["metadata"]["labels"]["planton.ai/set"] = LITTER
            made.put(obj, manager="planton")
        labels = {"application": "spilo", "cluster-name": "db-kept"}
        metadata: dict[str, Any] = {"namespace": "kept", "labels": labels}
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "pgdata-db-kept-0", **metadata},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        name = "postgres.db-kept.credentials.postgresql.acid.zalan.do"
        data = {"password": base64.b64encode(b"secret").decode()}
        password = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, "data": data}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "postgres", "image": "any"}]}}
        stateful_set = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db-kept", **metadata},
            "spec": {"serviceName": "db-kept", "selector": {"matchLabels": labels}, "template": template},
        }
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "kept"}}
        # Its pods keep their state in Endpoints.
        endpoints = {**stateful_set, "metadata": {"name": "db-copy", "namespace": "copy", "labels": labels}}
        for obj in (claim, password, stateful_set, account, endpoints):
            made.put(obj)
        patroni.create_pod(made.api, patroni.pod("kept", "db-kept", status=patroni.told(), node="any"))
        yield made


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", CASES)
def test_a_role_with_one_permission_less(world: World, observed: Observed, name: str) -> None:
    case = CASES[name]
    found = removals(case)
    assert found
    wrong = []
    for count, (number, group, resource, verbs) in enumerate(found):

        def change(made: list[Object], removal: Removal = (number, group, resource, verbs)) -> None:
            without(made[removal[0]], *removal[1:])

        account = Account(world, f"{name}-{count}", case.works, case.namespaces, change)
        said = attempt(account, case, resource, verbs)
        if not said or account.written():
            wrong.append((number, group, resource, verbs, said, account.written()))
    assert not wrong
    observed(
        "a role with one permission less",
        f"{len(found)} of the role for {name} taken away one by one: each time it is told, and nothing is written",
    )


def attempt(account: Account, case: Case, resource: str, verbs: Sequence[str]) -> str:
    """Tries what belongs to a case; gives what is said of the permission that is missing."""
    words = [f'cannot {verb} resource "{resource}"' for verb in verbs]
    words += [f"no permission to {verb} {resource}" for verb in verbs]
    words += [f"{resource} in namespace {space} cannot be read: no permission" for space in (HOME, *SPACES)]
    for scenario in case.scenarios:
        said, refused = heard(scenario, account, do=False)
        if any(one in said for one in words):
            # A plan that leaves out what nothing depends on does all else.
            return said if refused else heard(scenario, account, do=True)[0]
    return ""


def heard(scenario: Scenario, account: Account, *, do: bool) -> tuple[str, bool]:
    try:
        answer = scenario(account, do)
    except PlantonError as error:
        return str(error), False
    return str(answer), isinstance(answer, Plan) and bool(answer.refused)
