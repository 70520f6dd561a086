"""planton does all of its work with the roles that it prints, and says so before it writes when it has less."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import planton
from planton.cli import main
from planton.cluster import DeleteOptions, PlanOptions
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.resources import POD, Key
from planton.cluster.api.server import Server
from planton.cluster.checking.check_job import check_from_cluster
from planton.errors import ClusterError, PlantonError, WaitError
from planton.translate.planton_permissions import PERMISSIONS, RBAC, WORKS
from planton.translate.planton_roles import operator_grants, permissions_for, planton_roles
from planton.translate.versions import OPERATOR_VERSIONS
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import SETTINGS, words
from tests.cluster.conftest import store as store
from tests.cluster.objects import Object
from tests.faults.observed import Observed, tries
from tests.faults.roles import Account, World, atoms, until_allowed, without

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("permissions")]

OPERATOR = manifests.operator(spec=SETTINGS)
INGRESS = "ingress: {enabled: true, dns_domain: example.org}"
OWN = """
    credentials: {access_key_id: {value: OWNACCESSKEY00000001}, secret_access_key: {value: own-secret-key}}
"""


CLOUD = """
backup_config:
  storage: {bucket_name: postgres-backups, aws_s3: {region: eu-central-1}}
  credentials: {cloud_identity: {aws_role_arn: "arn:aws:iam::123456789012:role/backups"}}
  backup_schedule: "0 2 * * *"
"""


@pytest.fixture(scope="module")
def _installed() -> Iterator[World]:
    with Sandbox.start() as started:
        made = World(started)
        made.admin.apply(planton.loads(OPERATOR), options=PlanOptions(skip_checks=True), timeout=60.0)
        # Nobody makes pods, and what is deleted is gone at once.
        started.stop_operator()
        yield made


@pytest.fixture
def installed(_installed: World) -> Iterator[World]:
    """A sandbox with the operator's objects and backups; without a database at the end."""
    yield _installed
    _installed.clear()


def in_namespaces(names: Sequence[str], spec: str = "") -> str:
    return "".join(manifests.database(one, spec=spec) for one in names)


def test_one_namespace_of_fifty(
    installed: World, observed: Observed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other 49 are done, and the error names the one and the verb."""
    names = [f"team-{number:02}" for number in range(50)]
    for one in names:
        installed.namespace(one)
    text = in_namespaces(names)
    account = Account(installed, "fifty", ["databases"], names[:-1])
    closed = names[-1]
    plan = account.plan(text)
    assert [one.subject for one in plan.refused] == [f"postgresql/{closed}/db-{closed}"]
    assert 'cannot get resource "secrets"' in plan.refused[0].reason
    assert plan.summary == "99 created, 49 skipped, 1 refused"
    file = tmp_path / "databases.yaml"
    file.write_text(text)
    words_of = ["plan", "-f", str(file), "--kubeconfig", str(account.kubeconfig), "--skip-check"]
    assert main(words_of) == 1
    printed = capsys.readouterr()
    assert re.search(rf"^refused +postgresql/{closed}/db-{closed}  \(no permission: ", printed.out, re.MULTILINE)
    assert "Plan: 99 created, 0 configured, 0 unchanged, 0 deleted, 49 skipped, 1 refused" in printed.out
    assert "no permission for 1 object: an apply does all else, and then fails" in printed.err
    assert account.written() == []
    with pytest.raises(ClusterError) as caught:
        account.apply(text)
    error = caught.value
    assert (error.status, error.reason, error.subject) == (403, "Forbidden", f"Namespace/{closed}")
    assert "no permission in 1 of 50 namespaces; all else is done" in error.text
    assert f'cannot get resource "secrets" in API group "" in the namespace "{closed}"' in error.text
    assert "planton permissions" in error.remedy
    done = words(error.changes)
    assert installed.databases() == {f"{one}/db-{one}" for one in names[:-1]}
    assert {done[f"postgresql/{one}/db-{one}"] for one in names[:-1]} == {"created"}
    assert done[f"postgresql/{closed}/db-{closed}"] == "refused"
    # Its archive is not written down: it would be another's when the database is made at last.
    assert closed not in installed.record()
    assert names[0] in installed.record()
    # The same command goes on from there: the one is still closed, and all else is done.
    written = len(account.written())
    assert main(["apply", *words_of[1:]]) == 1
    printed = capsys.readouterr()
    assert f"Namespace/{closed}: apply (Forbidden): no permission in 1 of 50 namespaces" in printed.err
    assert "planton permissions databases" in printed.err
    assert len(account.written()) == written
    role = f"{account.name}-databases"
    (binding,) = [one for one in account.objects if one["metadata"].get("namespace") == names[0]]
    installed.put({**binding, "metadata": {"name": role, "namespace": closed}})
    until_allowed(account, "patch", "", "secrets", namespace=closed)
    assert main(["apply", *words_of[1:]]) == 0
    assert len(installed.databases()) == 50
    assert closed in installed.record()
    observed(
        "no permission for one namespace of fifty",
        "the plan names it; the other 49 databases are created, the apply ends with 1 and names the namespace and the "
        "verb; with the permission, the same command adds the one",
    )


def test_one_namespace_of_fifty_that_is_being_deleted(
    installed: World, observed: Observed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other 49 are done, and nothing shared is, from which the one would be left out."""
    names = [f"block-{number:02}" for number in range(50)]
    going = names[7]
    path = f"/api/v1/namespaces/{going}"
    installed.namespace(going)
    # Nobody clears it up in the sandbox, so that it stays as it is.
    installed.api.request("DELETE", path)
    text = in_namespaces(names)
    file = tmp_path / "databases.yaml"
    file.write_text(text)
    words_of = ["-f", str(file), "--kubeconfig", str(installed.sandbox.kubeconfig), "--skip-check", "--set", "blocks"]
    assert main(["plan", *words_of]) == 1
    printed = capsys.readouterr()
    assert f"postgresql/{going}/db-{going}  (its namespace is being deleted)" in printed.out
    assert "1 object in a namespace that is being deleted: an apply does all else, and then fails" in printed.err
    shared = tmp_path / "operator.yaml"
    shared.write_text(OPERATOR.replace("0 2 * * *", "0 3 * * *"))
    assert main(["apply", *words_of, "-f", str(shared)]) == 1
    printed = capsys.readouterr()
    assert "error: refused, nothing was written" in printed.err
    assert f"postgresql/{going}/db-{going} would inherit the new settings without its own" in printed.err
    assert installed.databases() == set()
    assert main(["apply", *words_of]) == 1
    printed = capsys.readouterr()
    assert (
        f"apply (Terminating): left out what is being deleted; all else is done:\n  Namespace/{going} is" in printed.err
    )
    assert installed.databases() == {f"{one}/db-{one}" for one in names if one != going}
    assert going not in installed.record()
    # Once it is gone the same command makes it anew.
    body = installed.api.request("GET", path)
    installed.api.request("PUT", f"{path}/finalize", {**body, "spec": {"finalizers": []}})
    assert main(["apply", *words_of]) == 0
    assert len(installed.databases()) == 50
    assert going in installed.record()
    observed(
        "one namespace of fifty is being deleted",
        "the plan names it; the other 49 databases are created and the apply ends with 1; where something shared would "
        "change, nothing is written; once it is gone, the same command makes the one",
    )


def test_a_permission_that_vanishes(installed: World, observed: Observed) -> None:
    """Between the plan and the write: what comes later in that namespace is not written, all else is."""
    names = [f"vanish-{number}" for number in range(4)]
    for one in names:
        installed.namespace(one)
    text = in_namespaces(names)
    account = Account(installed, "vanish", ["databases"], names)
    plan = account.plan(text)
    assert not plan.refused
    lost = names[1]
    account.unbind(lost)
    with pytest.raises(ClusterError) as caught:
        account.cluster.apply(plan)
    error = caught.value
    assert (error.status, error.subject) == (403, f"Namespace/{lost}")
    assert "no permission in 1 of 4 namespaces" in error.text
    done = words(error.changes)
    assert installed.databases() == {f"{one}/db-{one}" for one in names if one != lost}
    assert done[f"postgresql/{lost}/db-{lost}"] == "refused"
    assert {done[f"postgresql/{one}/db-{one}"] for one in names if one != lost} == {"created"}
    assert lost not in installed.record()
    # What nobody may any more is an error as a whole, and nothing is written.
    before = len(account.written())
    for one in names:
        account.unbind(one)
    with pytest.raises(ClusterError) as caught:
        account.apply(text)
    assert caught.value.status == 403
    assert len(account.written()) == before
    observed(
        "a permission that is taken away between plan and apply",
        "its namespace is left alone from there on, its database is not written; the others are done and the error "
        "names it; when all are closed, nothing is written",
    )


def test_few_questions_are_asked(installed: World) -> None:
    """As many for fifty new namespaces as for one, and none where nothing changes."""
    account = Account(installed, "asking", ["databases"])

    def asked() -> int:
        events = installed.events(account.user)
        return sum((one.get("objectRef") or {}).get("resource") == "selfsubjectaccessreviews" for one in events)

    counts = []
    for number in (1, 50):
        before = asked()
        plan = account.plan(in_namespaces([f"asking-{one}" for one in range(number)]))
        assert len(plan.changes) > 2 * number
        counts.append(asked() - before)
    assert counts[0] == counts[1] <= 10
    account.apply(in_namespaces(["asking-0"]))
    before = asked()
    assert not account.plan(in_namespaces(["asking-0"])).changed
    assert asked() == before


def test_where_nobody_may_ask(installed: World) -> None:
    """Then nothing is known before, and a refusal comes when it comes."""
    account = Account(
        installed, "unasked", ["databases"], change=lambda made: without(made[0], "", "secrets", ["create"])
    )
    text = in_namespaces(["unasked"])
    path = f"/apis/{RBAC}/v1/clusterrolebindings"
    basic = installed.api.request("GET", f"{path}/system:basic-user")
    installed.api.request("DELETE", f"{path}/system:basic-user")
    try:
        until_allowed(account, "create", "authorization.k8s.io", "selfsubjectaccessreviews", allowed=False)
        assert account.plan(text).changed
        with pytest.raises(ClusterError, match='cannot create resource "secrets"') as caught:
            account.apply(text)
        assert words(caught.value.changes) == {"Namespace/unasked": "created"}
        assert installed.databases() == set()
    finally:
        metadata = {key: basic["metadata"][key] for key in ("name", "labels", "annotations")}
        installed.api.request("POST", path, {**basic, "metadata": metadata})
    until_allowed(account, "create", "authorization.k8s.io", "selfsubjectaccessreviews")
    with pytest.raises(ClusterError, match='cannot create resource "secrets"'):
        account.plan(text)


def test_a_database_in_a_closed_namespace_is_not_pruned(installed: World) -> None:
    """It is left out of the plan, and still in the set."""
    names = ["pruned-0", "pruned-1", "pruned-2"]
    text = "".join(manifests.database(one, spec=INGRESS, backup=OWN) for one in names)
    account = Account(installed, "pruned", ["databases", "prune"])
    account.apply(text, set_id="closed")
    closed = names[1]
    path = f"/api/v1/namespaces/{closed}/services"
    services = [one["metadata"]["name"] for one in installed.api.request("GET", path)["items"]]
    assert services
    # It may delete there, and may not write.
    narrow = Account(installed, "pruned-narrow", ["read", "prune"])
    for number, space in enumerate(names):
        if space != closed:
            name = f"narrow-{number}"
            for obj in planton_roles(["databases"], subject=narrow.subject, namespaces=[space], name=name):
                installed.put(obj)
            until_allowed(narrow, "patch", "acid.zalan.do", "postgresqls", namespace=space)
    changed = text.replace("disk_size: 10Gi", "disk_size: 20Gi")
    plan = narrow.plan(changed, set_id="closed")
    assert [one.subject for one in plan.refused] == [f"postgresql/{closed}/db-{closed}"]
    assert [one.action for one in plan.changes if one.namespace == closed] == ["refused"]
    with pytest.raises(ClusterError, match="no permission in 1 of 3 namespaces"):
        narrow.apply(changed, set_id="closed")
    assert [one["metadata"]["name"] for one in installed.api.request("GET", path)["items"]] == services
    sizes = {one: installed.size(one) for one in names}
    assert sizes == {names[0]: "20Gi", closed: "10Gi", names[2]: "20Gi"}


def test_the_operator_with_one_right_less(fresh: World, observed: Observed) -> None:
    """Whoever applies the operator holds its rights: without one of them the first plan is refused."""
    own = atoms([one.rule for one in permissions_for(["operator"])])
    # Endpoints belong to installations that have kept Patroni's state there, which a new one does not.
    found = [one for one in sorted(atoms(operator_grants()) - own) if one[1] != "endpoints"]
    versions = [manifests.operator(version=version, spec=SETTINGS) for version in OPERATOR_VERSIONS]
    step = 1 if tries(0) else len(found) // 6
    for number, (group, resource, verb) in enumerate(found[::step]):

        def change(made: list[Object], atom: tuple[str, str, str] = (group, resource, verb)) -> None:
            for obj in made:
                without(obj, atom[0], atom[1], [atom[2]])

        account = Account(fresh, f"rights-{number}", ["operator"], change=change)
        said = []
        for text in versions:
            with contextlib.suppress(PlantonError):
                account.plan(text)
                continue
            said.append(text)
        assert said, (group, resource, verb)
        with pytest.raises(ClusterError, match="attempting to grant RBAC permissions not currently held") as caught:
            account.apply(said[0])
        assert caught.value.status == 403
        assert account.written() == []
    observed(
        "a right of the operator that its applier does not hold",
        f"{len(found[::step])} rights taken away one by one: each time the plan is refused, and nothing is written",
    )


def test_nothing_is_told_before_every_copy_is_there(installed: World, observed: Observed) -> None:
    """The operator's own set: pods must not be told of keys that one namespace did not get."""
    names = [f"shared-{number}" for number in range(3)]
    installed.admin.apply(planton.loads(in_namespaces(names)), options=PlanOptions(skip_checks=True))

    def all_but_one(objects: list[Object]) -> None:
        """Secrets in every namespace but one: by a binding in each, in place of one for all."""
        for obj in objects:
            for rule in obj.get("rules", ()):
                rule["resources"] = [one for one in rule["resources"] if one != "secrets"]
            obj["rules"] = [rule for rule in obj["rules"] if rule["resources"]] if "rules" in obj else None
            if obj["rules"] is None:
                del obj["rules"]
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}
        metadata = {"name": "shared-secrets"}
        role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": [rule]}
        (wide,) = [
            obj for obj in objects if obj["kind"] == "ClusterRoleBinding" and obj["metadata"]["name"] == "shared"
        ]
        bindings = [
            {
                **wide,
                "kind": "RoleBinding",
                "metadata": metadata | {"namespace": space},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "shared-secrets"},
            }
            for space in ("postgres-operator", *names[:2])
        ]
        objects += [role, *bindings]

    account = Account(installed, "shared", ["operator", "databases"], change=all_but_one)
    rotated = OPERATOR.replace(manifests.SECRET_KEY, "another-secret-key")
    with pytest.raises(ClusterError) as caught:
        account.apply(rotated + in_namespaces(names))
    assert caught.value.status == 403
    assert f'in the namespace "{names[2]}"' in caught.value.text
    assert account.written() == []
    observed(
        "no permission for the copy of the storage Secret in one namespace, with the operator in the set",
        "nothing is written: databases would be told of keys that they do not get",
    )


SELDOM = {
    ("*", "*", "list"): "asked for in a review: whoever has it lists one kind after the other",
    ("", "namespaces", "get"): "when somebody else makes the namespace at the same moment",
    ("", "endpoints", "get"): "when Patroni keeps its state there",
    ("apiextensions.k8s.io", "customresourcedefinitions", "get"): "when the operator runs, and has not registered yet",
}
"""What need not be seen in each run, and when it is. That its want is told: test_permissions_rules.py."""


def volume(world: World, name: str) -> None:
    """Makes a volume claim as the operator would."""
    labels = {"application": "spilo", "cluster-name": f"db-{name}"}
    metadata = {"name": f"pgdata-db-{name}-0", "namespace": name, "labels": labels}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})


@pytest.fixture
def fresh() -> Iterator[World]:
    """A sandbox without an operator."""
    with Sandbox.start() as started:
        yield World(started)


@pytest.mark.usefixtures("store")
def test_all_the_work(fresh: World, observed: Observed) -> None:
    """From nothing to nothing: no request is refused, and no permission goes unused."""
    account = Account(fresh, "all", list(WORKS))
    cluster = account.cluster
    first, second = "first", "second"
    databases = manifests.database(first, spec=INGRESS, backup=OWN) + manifests.database(second)
    account.apply(OPERATOR, set_id="house")
    account.apply(OPERATOR + databases, set_id="house")
    assert not account.plan(OPERATOR + databases, set_id="house").changed
    # Rotation; then an archive moves, and a load balancer goes.
    rotated = OPERATOR.replace(manifests.SECRET_KEY, "another-secret-key")
    account.apply(rotated + databases, set_id="house")
    moved = manifests.database(second, backup='s3_prefix: "s3://postgres-backups/elsewhere"')
    databases = manifests.database(first, backup=OWN) + moved
    clone = manifests.database("third", spec=f"clone: {{source: {{database: {{name: {first}}}}}}}")
    account.apply(rotated + databases + clone, set_id="house")
    cluster.status(planton.loads(rotated + databases + clone), archives=False)
    volume(fresh, first)
    fresh.sandbox.stub_pod(first, f"db-{first}-0", {"application": "spilo", "cluster-name": f"db-{first}"})
    server = Server(account.connection, "check")
    with pytest.raises(WaitError):
        check_from_cluster(server, first, f"db-{first}", timeout=0.5, progress=lambda event: None)
    with pytest.raises(ClusterError) as caught:
        # No kubelet is there to answer.
        run_in_pod(server, first, f"db-{first}-0", ["true"], container="postgres", on_line=lambda line: None)
    assert caught.value.status != 403
    assert server.get(Key(POD, first, f"db-{first}-0")) is not None
    fresh.api.request("DELETE", f"/api/v1/namespaces/{first}/pods/db-{first}-0?gracePeriodSeconds=0")
    # An identity by a cloud is for another version of the operator, which does not run here.
    account.plan(manifests.operator(version="2.0.1", backup=None, spec=SETTINGS + CLOUD) + databases)
    words = DeleteOptions(
        databases=(first, second, "third"), volumes=True, passwords=True, storage_secret=True, namespace=True,
        set_id="house", without_backup=True,
    )  # fmt: skip
    done = cluster.delete(planton.loads(databases + clone), options=words, timeout=60.0)
    assert {f"postgresql/{one}/db-{one}" for one in (first, second, "third")} <= {
        one.subject for one in done.changes if one.action == "deleted"
    }
    cluster.delete(planton.loads(rotated), options=DeleteOptions(operator=True, set_id="house"), timeout=60.0)
    assert fresh.databases() == set()
    assert account.refused() == []
    unused = {(one.group, one.resource, verb) for one in PERMISSIONS for verb in one.verbs} - account.used()
    assert unused <= SELDOM.keys()
    observed(
        "all of planton's work with the role that it prints",
        f"{len(account.events())} requests from the first apply of the operator to its deletion; none was refused, and "
        "no permission of the role went unused",
    )
