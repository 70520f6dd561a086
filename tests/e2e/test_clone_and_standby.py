"""Clones and standbys on the real operator: what the pods get, variable for variable, and what never changes again."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any, Literal

import pytest

import planton
from planton.cluster import ApplyResult, Plan, PlanOptions, connect
from planton.errors import ManifestError
from sandbox import Sandbox
from sandbox.object_store import ObjectStore
from tests.api import Api, eventually
from tests.cluster.conftest import SETTINGS
from tests.e2e.stores import Pod, pod_of
from tests.e2e.support import as_values
from tests.manifests import database
from tests.store.support import LoopbackProxy, client_from_environment
from tests.store.walg import Spilo
from tests.translate.beginnings import TARGET, beginning, by_name, by_place

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-clone-and-standby")]

SHOP = "labels:\n  kubernetes.project-planton.org/namespace: shop"
STORAGE = "r2-postgres-backup-credentials-ca"
SODIUM = "5e" * 32
THEIR_KEY = "THEIRACCESSKEY0001"
MERGE = "application/merge-patch+json"

# By hand: what Spilo is told of the operator's store, of the store far away, and of that of somebody else's database.
OF_OPERATOR: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID"),
    "AWS_SECRET_ACCESS_KEY": (STORAGE, "AWS_SECRET_ACCESS_KEY"),
    "AWS_ENDPOINT": "MAIN",
    "AWS_REGION": "us-east-1",
    "AWS_S3_FORCE_PATH_STYLE": "true",
    "WALG_DISABLE_S3_SSE": "true",
    "WALG_S3_CA_CERT_FILE": (STORAGE, "WALG_S3_CA_CERT_FILE"),
}
FAR_AWAY: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": ("OWN-credentials-libsodium", "AWS_ACCESS_KEY_ID"),
    "AWS_SECRET_ACCESS_KEY": ("OWN-credentials-libsodium", "AWS_SECRET_ACCESS_KEY"),
    "AWS_ENDPOINT": "FAR",
    "AWS_REGION": "eu-test-1",
    "AWS_S3_FORCE_PATH_STYLE": "false",
    "WALE_S3_ENDPOINT": "VIRTUAL",
    "WALG_DISABLE_S3_SSE": "true",
    "WALG_LIBSODIUM_KEY": ("OWN-credentials-libsodium", "WALG_LIBSODIUM_KEY"),
    "WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
    "WALG_S3_CA_CERT_FILE": "/etc/planton/KIND-ca/ca.crt",
}
# Its own variables, over which nothing of the operator's is; what it takes from the operator are the switches alone.
OF_THEIRS: dict[str, Any] = {
    **OF_OPERATOR,
    "AWS_ACCESS_KEY_ID": ("OWN-credentials", "AWS_ACCESS_KEY_ID"),
    "AWS_SECRET_ACCESS_KEY": ("OWN-credentials", "AWS_SECRET_ACCESS_KEY"),
}


def clone(scope: str, prefix: str, target: str = "") -> dict[str, Any]:
    told = {
        "CLONE_METHOD": "CLONE_WITH_WALE",
        "CLONE_SCOPE": scope,
        "CLONE_USE_WALG_RESTORE": "true",
        "CLONE_WALG_S3_PREFIX": prefix,
    }
    return {**told, "CLONE_TARGET_TIME": target.replace("Z", "+00:00")} if target else told


def standby(prefix: str) -> dict[str, Any]:
    return {
        "STANDBY_METHOD": "STANDBY_WITH_WALE",
        "STANDBY_WALE_S3_PREFIX": prefix,
        "STANDBY_WAL_BUCKET_SCOPE_PREFIX": "",
    }


ORDERS, LEDGER = "s3://main-bucket/shop/db-orders/16", "s3://far-bucket/ledger/db-ledger/15"
THEIRS = "s3://main-bucket/theirs/acid-theirs/17"
# Database -> kind, version, variables without their prefix, and those with.
WANTED: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "latest": ("CLONE_", "16", OF_OPERATOR, clone("db-orders", ORDERS)),
    "at-time": ("CLONE_", "16", OF_OPERATOR, clone("db-orders", ORDERS, TARGET)),
    "newer": ("CLONE_", "17", OF_OPERATOR, clone("db-orders", ORDERS)),
    "far-copy": ("CLONE_", "15", FAR_AWAY, clone("db-ledger", LEDGER)),
    "far-by-place": ("CLONE_", "15", FAR_AWAY, clone("db-ledger", LEDGER, TARGET)),
    "of-theirs": ("CLONE_", "17", OF_THEIRS, clone("acid-theirs", THEIRS)),
    "follower": ("STANDBY_", "16", OF_OPERATOR, standby(ORDERS)),
    "far-follower": ("STANDBY_", "15", FAR_AWAY, standby(LEDGER)),
}
# Standbys that are promoted: version, and what they follow.
PROMOTED = {"lead": ("16", ORDERS), "far-lead": ("15", LEDGER)}
CLONES = [name for name, wanted in WANTED.items() if wanted[0] == "CLONE_"]


@dataclass
class World:
    """A cluster with two stores, and what was made in it."""

    sandbox: Sandbox
    api: Api
    main: ObjectStore
    far: ObjectStore
    names: LoopbackProxy
    folder: Path
    plans: dict[str, Plan] = field(default_factory=dict)

    def apply(self, text: str) -> ApplyResult:
        # There is nothing in these archives: what pods are told is the matter here.
        options = PlanOptions(skip_checks=True)
        return connect(self.sandbox.kubeconfig).apply(planton.loads(text), options=options, timeout=120.0)

    def plan(self, text: str) -> Plan:
        return connect(self.sandbox.kubeconfig).plan(planton.loads(text), options=PlanOptions(skip_checks=True))

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        group = {"statefulsets": "apps/v1", "postgresqls": "acid.zalan.do/v1"}[kind]
        path = f"/apis/{group}/namespaces/{namespace or name}/{kind}/db-{name}"
        found: dict[str, Any] = eventually(lambda: self.api.get(path), f"{kind} db-{name}")
        return found

    def environment(self, name: str) -> dict[str, Any]:
        template = self.get("statefulsets", name)["spec"]["template"]["spec"]
        (container,) = [one for one in template["containers"] if one["name"] == "postgres"]
        assert len({one["name"] for one in container["env"]}) == len(container["env"])
        return as_values(container["env"])

    def pod(self, name: str) -> Pod:
        return pod_of(self.api, name, self.get("statefulsets", name))

    def written(self) -> int:
        """Counts the requests that changed an object that planton makes, but for those of the operator."""
        found = 0
        for line in self.sandbox.audit_log.read_text().splitlines():
            entry = json.loads(line)
            who, verb = entry["user"]["username"], entry["verb"]
            is_dry = "dryRun" in entry["requestURI"]
            found += not who.startswith("system:serviceaccount:") and verb in _WRITING and not is_dry
        return found


_WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def store_of(kind: str, where: World) -> str:
    """Writes storage, credentials and encryption."""
    main = kind == "main"
    server = where.main if main else where.far
    authority = where.folder / f"{kind}.pem"
    authority.write_text(server.certificate_authority_pem or "")
    more = "" if main else ", region: eu-test-1, force_path_style: false"
    text = f"storage:\n  bucket_name: {kind}-bucket\n  s3_compatible: {{endpoint: {server.endpoint!r}{more}}}\n"
    text += f"  certificate_authority: {{file: {str(authority)!r}}}\n"
    text += f"credentials:\n  access_key_id: {{value: {server.access_key_id!r}}}\n"
    text += f"  secret_access_key: {{value: {server.secret_access_key!r}}}\n"
    if not main:
        text += "encryption: {libsodium: {key: {environment_variable: FAR_SODIUM}, transform: hex}}\n"
    return text


def operator(where: World) -> str:
    config = 'backup_schedule: "0 2 * * *"\ns3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"\n'
    # What the operator says of clones must not keep one from its archive.
    config += "enable_clone_wal_g_restore: false\n" + store_of("main", where)
    text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresOperatorKubernetes\n"
    text += f'metadata:\n  name: postgres-operator\nspec:\n  container: {{}}{indent(SETTINGS, "  ")}    workers: "8"\n'
    return f"{text}  backup_config:\n{indent(config, '    ')}---\n"


def sources(where: World) -> str:
    far = store_of("far", where) + 's3_prefix: "/ledger/$(SCOPE)/$(PGVERSION)"\n'
    return database("orders", spec='version: "16"', metadata=SHOP) + database(
        "ledger", spec='version: "15"', backup=far
    )


def far_place(where: World) -> str:
    return by_place(store_of("far", where) + 's3_prefix: "/ledger/$(SCOPE)/$(PGVERSION)"', "db-ledger", "15")


def promoted(where: World) -> str:
    main = beginning("standby", by_name("orders", "shop"), name="lead")
    return main + beginning("standby", far_place(where), name="far-lead")


def made(where: World) -> str:
    place = far_place(where)
    return "".join(
        [
            beginning("clone", by_name("orders", "shop"), name="latest"),
            beginning("clone", by_name("orders", "shop"), name="at-time", target=f'"{TARGET}"'),
            beginning("clone", by_name("orders", "shop"), name="newer", spec='version: "17"'),
            beginning("clone", by_name("ledger"), name="far-copy"),
            beginning("clone", place, name="far-by-place", target=f'"{TARGET}"'),
            beginning("clone", by_name("acid-theirs", "theirs"), name="of-theirs"),
            beginning("standby", by_name("orders", "shop"), name="follower"),
            beginning("standby", place, name="far-follower"),
        ]
    )


def make_theirs(api: Api) -> None:
    """A database that planton did not make: its keys in a Secret of its own, under other names."""
    api.request("post", "/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    data = {"id": base64.b64encode(THEIR_KEY.encode()).decode(), "key": base64.b64encode(b"their/secret+0001").decode()}
    api.request("post", "/api/v1/namespaces/theirs/secrets", {"metadata": {"name": "pod-keys"}, "data": data})
    names = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
    entries = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "pod-keys", "key": key}}} for name, key in names.items()
    ]
    spec = {
        "teamId": "acid",
        "numberOfInstances": 1,
        "volume": {"size": "1Gi"},
        "postgresql": {"version": "17"},
        "env": entries,
    }
    body = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "acid-theirs", "namespace": "theirs"},
        "spec": spec,
    }
    api.request("post", "/apis/acid.zalan.do/v1/namespaces/theirs/postgresqls", body)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    far = {"virtual_host_domain": "far.storage.example", "region": "eu-test-1"}
    main = {"host": "main.storage.example", "region": "us-east-1"}
    with (
        ObjectStore.start(**main) as one,  # type: ignore[arg-type]
        ObjectStore.start(**far) as other,  # type: ignore[arg-type]
        LoopbackProxy(one, other) as names,
        Sandbox.start() as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(os.environ, "FAR_SODIUM", SODIUM)
        one.create_bucket("main-bucket")
        other.create_bucket("far-bucket")
        world = World(sandbox, Api(sandbox.kubeconfig), one, other, names, tmp_path_factory.mktemp("clones"))
        world.apply(operator(world) + sources(world))
        make_theirs(world.api)
        world.plans["made"] = world.plan(made(world))
        world.apply(made(world) + promoted(world))
        for name in (*WANTED, *PROMOTED):
            world.get("statefulsets", name)
        yield world


def expected(where: World, name: str) -> dict[str, Any]:
    prefix, _, reading, told = WANTED[name]
    kind = prefix[:-1].lower()
    virtual = where.far.endpoint.replace("://", "+virtualhost://")
    words = {"MAIN": where.main.endpoint, "FAR": where.far.endpoint, "VIRTUAL": virtual}

    def filled(value: Any) -> Any:
        if isinstance(value, tuple):
            return value[0].replace("OWN", f"db-{name}-{kind}"), value[1]
        return words.get(value, value.replace("KIND", kind))

    return {**{prefix + key: filled(value) for key, value in reading.items()}, **told}


@pytest.mark.parametrize("name", WANTED)
def test_variable_for_variable(where: World, name: str) -> None:
    found = where.environment(name)
    ours = {key: value for key, value in found.items() if key.startswith(("CLONE_", "STANDBY_"))}
    wanted = expected(where, name)
    if WANTED[name][0] == "STANDBY_":
        # The operator's switch reaches a standby as it reaches every database, and means nothing there.
        wanted["CLONE_USE_WALG_RESTORE"] = "false"
    assert ours == wanted
    resource = where.get("postgresqls", name)["spec"]
    assert resource["postgresql"]["version"] == WANTED[name][1]
    assert ("standby" in resource, "clone" in resource) == (WANTED[name][0] == "STANDBY_", False)


@pytest.mark.parametrize("spilo", ["4.0", "4.1"])
@pytest.mark.parametrize("name", [name for name in WANTED if name != "of-theirs"])
def test_the_source_is_reached_with_it(where: World, name: str, spilo: Spilo) -> None:
    pod = where.pod(name)
    environment = dict(pod.environment)
    prefix: Literal["CLONE_", "STANDBY_"] = "CLONE_" if name in CLONES else "STANDBY_"
    if prefix == "STANDBY_":
        # Spilo 4.0, write_wale_environment: the newer name is filled from the older one.
        environment["STANDBY_WALG_S3_PREFIX"] = environment["STANDBY_WALE_S3_PREFIX"]
    client = client_from_environment(
        environment, files=pod.files, spilo=spilo, variable_prefix=prefix, names=where.names
    )
    client.put("basebackups_005/probe", b"there")
    server, path = (where.far, LEDGER) if "far" in name else (where.main, ORDERS)
    bucket, _, folder = path.removeprefix("s3://").partition("/")
    assert f"{folder}/basebackups_005/probe" in server.keys(bucket)
    assert client.get("basebackups_005/probe") == b"there"
    client.delete("basebackups_005/probe")
    if "far" in name:
        assert environment[f"{prefix}WALG_LIBSODIUM_KEY"] == SODIUM


def test_keys_of_somebody_else_are_copied_as_they_are(where: World) -> None:
    environment = where.pod("of-theirs").environment
    assert environment["CLONE_AWS_ACCESS_KEY_ID"] == THEIR_KEY
    assert environment["CLONE_AWS_SECRET_ACCESS_KEY"] == "their/secret+0001"


def test_their_own_archive_is_where_it_always_is(where: World) -> None:
    for name in WANTED:
        environment = where.pod(name).environment
        assert environment["WALG_S3_PREFIX"] == f"s3://main-bucket/{name}/db-{name}/{WANTED[name][1]}"
        assert environment["AWS_ACCESS_KEY_ID"] == where.main.access_key_id


def test_the_plan_says_what_they_begin_with(where: World) -> None:
    effects = where.plans["made"].effects
    assert f"db-latest starts from the archive {ORDERS}, with all that is archived" in effects
    assert f"db-at-time starts from the archive {ORDERS}, as it was at {TARGET}" in effects
    assert f"db-follower follows the archive {ORDERS}, read-only, until standby is taken out of its manifest" in effects
    text = "\n".join([str(where.plans["made"]), *effects])
    for secret in (where.far.secret_access_key, "their/secret+0001", SODIUM):
        assert secret not in text


def test_a_second_apply_changes_nothing(where: World) -> None:
    plan = where.plan(made(where))
    assert {one.action for one in plan.changes} <= {"unchanged", "skipped"}, [str(one) for one in plan.changes]
    assert not where.apply(made(where)).changed


@pytest.mark.parametrize("name", CLONES)
def test_a_clone_is_a_fact_of_birth(where: World, name: str) -> None:
    before = where.get("statefulsets", name)
    resource = where.get("postgresqls", name)
    version = f'version: "{WANTED[name][1]}"'
    other = beginning("clone", by_place("", "db-other", "13"), name=name, target='"2020-01-01T00:00:00Z"', spec=version)
    for text in (database(name, spec=version), other):
        plan = where.plan(text)
        assert {one.action for one in plan.changes} <= {"unchanged", "skipped"}, [str(one) for one in plan.changes]
        (warning,) = [one for one in plan.warnings if one.path == "spec.clone"]
        assert "is a fact of its birth and changes nothing there" in warning.message
        assert not where.apply(text).changed
    now = where.get("postgresqls", name)
    assert now["spec"] == resource["spec"]
    assert now["metadata"]["annotations"] == resource["metadata"]["annotations"]
    # The resourceVersion goes up with the status, too, which the operator writes.
    assert now["metadata"]["generation"] == resource["metadata"]["generation"]
    after = where.get("statefulsets", name)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_standby_is_not_added_to_a_primary(where: World) -> None:
    before = where.get("postgresqls", "orders", "shop")
    text = beginning("standby", by_name("ledger"), name="orders", metadata=SHOP, spec='version: "16"')
    written = where.written()
    assert written > len(WANTED)
    with pytest.raises(ManifestError, match="would be demoted"):
        where.apply(text)
    assert where.written() == written
    assert where.get("postgresqls", "orders", "shop") == before


def test_another_source_of_a_standby_is_refused(where: World) -> None:
    written = where.written()
    with pytest.raises(ManifestError, match="would make the standby follow"):
        where.apply(beginning("standby", by_name("ledger"), name="follower", spec='version: "16"'))
    assert where.written() == written


@pytest.mark.parametrize("name", PROMOTED)
def test_promotion_is_the_operators_and_restarts_nothing(where: World, name: str) -> None:
    before = where.get("statefulsets", name)
    number, source = PROMOTED[name]
    version = f'version: "{number}"'
    plan = where.plan(database(name, spec=version))
    effects = "\n".join(plan.effects)
    assert "becomes a primary of its own: it accepts writes and begins to archive to s3://main-bucket/" in effects
    assert f"the old primary behind {source} is gone or fenced" in effects
    assert "rolling restart" not in effects
    where.apply(database(name, spec=version))
    # The operator has got to Patroni, which is not there in the sandbox: so it has been past the StatefulSet.
    eventually(lambda: f"{name}/db-{name}" in _promotions(where.sandbox.operator_log()), "the operator's promotion")
    resource = where.get("postgresqls", name)
    assert "standby" not in resource["spec"]
    after = where.get("statefulsets", name)
    assert _as_set(after) == _as_set(before)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert not where.apply(database(name, spec=version)).changed
    # It is a primary now.
    with pytest.raises(ManifestError, match="would be demoted"):
        where.apply(beginning("standby", by_name("ledger"), name=name, spec=version))


def _promotions(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "promoting standby cluster" in line)


def _as_set(stateful_set: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    template = stateful_set["spec"]["template"]["spec"]
    (container,) = [one for one in template["containers"] if one["name"] == "postgres"]
    return as_values(container["env"]), template["volumes"]
