"""`planton status` of a database that was to be restored, on a cluster without pods."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import planton
from planton.cluster import ResourceStatus, connect
from sandbox import Sandbox
from tests.cluster.conftest import Harness
from tests.cluster.objects import Object
from tests.cluster.patroni import config, create_pod, history, pod, told
from tests.manifests import database

IDENTIFIER, ANOTHER = 7433520190412345678, 7433520190499999999
PREFIX = "s3://backups/db-orders/15"
PROMOTED = history((1, "no recovery target specified", "2026-11-22T08:20:01+00:00"))

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("served")]


class Copy:
    """A clone on a cluster: its custom resource, its StatefulSet, its pod, and what Patroni has written."""

    def __init__(self, harness: Harness, sandbox: Sandbox, name: str, kind: str) -> None:
        self.api, self.sandbox, self.name, self.kind = harness.api, sandbox, name, kind
        self.resource = f"db-{name}"
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        account = {"metadata": {"name": "default", "namespace": name}}
        self.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
        facts = {"prefix": PREFIX, "system_identifier": str(IDENTIFIER), "timeline": "1"}
        self.database({"planton.ai/restored-from": json.dumps(facts)})
        env = [{"name": "KUBERNETES_USE_CONFIGMAPS", "value": "true"}] if kind == "ConfigMap" else []
        self.stateful_set(env)

    def database(self, annotations: dict[str, str]) -> None:
        path = f"/apis/acid.zalan.do/v1/namespaces/{self.name}/postgresqls"
        metadata = {"name": self.resource, "namespace": self.name, "annotations": annotations}
        spec = {"teamId": "db", "numberOfInstances": 1, "postgresql": {"version": "15"}, "volume": {"size": "10Gi"}}
        head = {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": metadata}
        self.api.request("POST", path, head | {"spec": spec})
        self.patch(f"{path}/{self.resource}/status", {"status": {"PostgresClusterStatus": "Running"}})

    def stateful_set(self, env: list[dict[str, str]]) -> None:
        path = f"/apis/apps/v1/namespaces/{self.name}/statefulsets"
        labels = {"cluster-name": self.resource}
        containers = [{"name": "postgres", "image": "stub.invalid/spilo:1", "env": env}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
        spec = {"replicas": 1, "serviceName": "x", "selector": {"matchLabels": labels}, "template": template}
        self.api.request("POST", path, {"metadata": {"name": self.resource}, "spec": spec})
        self.patch(f"{path}/{self.resource}/status", {"status": {"replicas": 1, "readyReplicas": 1}})

    def patch(self, path: str, patch: Object) -> None:
        self.api.request("PATCH", path, patch, content_type="application/merge-patch+json")

    def pod(self, status: str | None) -> None:
        create_pod(self.api, pod(self.name, self.resource, status=status))

    def patroni(self, initialize: str | None, lines: str | None = None, kind: str = "") -> None:
        obj = config(self.name, self.resource, initialize, lines, kind=kind or self.kind)
        plural = {"ConfigMap": "configmaps", "Endpoints": "endpoints"}[obj["kind"]]
        self.api.request("POST", f"/api/v1/namespaces/{self.name}/{plural}", obj)

    def annotate(self, **annotations: str | None) -> None:
        plural = {"ConfigMap": "configmaps", "Endpoints": "endpoints"}[self.kind]
        path = f"/api/v1/namespaces/{self.name}/{plural}/{self.resource}-config"
        self.patch(path, {"metadata": {"annotations": annotations}})

    def status(self, kubeconfig: object = None) -> ResourceStatus:
        cluster = connect(str(kubeconfig or self.sandbox.kubeconfig))
        (status,) = cluster.status(planton.loads(database(self.name)))
        return status


@pytest.fixture(params=["ConfigMap", "Endpoints"])
def copy(request: pytest.FixtureRequest, harness: Harness, sandbox: Sandbox, name: str) -> Iterator[Copy]:
    made = Copy(harness, sandbox, name, request.param)
    yield made
    # Else the next test would find its databases.
    harness.api.request("DELETE", f"/api/v1/namespaces/{name}")


def state(status: ResourceStatus) -> str:
    assert status.restoration is not None
    assert status.restoration.is_proven or status.problems[0] == status.restoration.line
    assert status.restoration.is_proven or not status.ready
    return status.restoration.state


def forbidden(copy: Copy) -> None:
    """Reads a restored one as somebody who may not read what Patroni has written."""
    everything = {"get", "list"}
    role = {"metadata": {"name": copy.name}, "rules": [
        {"apiGroups": [""], "resources": ["namespaces", "secrets", "services", "events", "serviceaccounts"],
         "verbs": sorted(everything)},
        # Lists are needed for all else, too; only reading what Patroni has written is not allowed.
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
        {"apiGroups": ["apps", "acid.zalan.do"], "resources": ["*"], "verbs": sorted(everything)},
    ]}  # fmt: skip
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    copy.api.request("POST", f"{rbac}/clusterroles", role)
    binding = {
        "metadata": {"name": copy.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": copy.name},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": copy.name}],
    }
    copy.api.request("POST", f"{rbac}/clusterrolebindings", binding)
    status = copy.status(copy.sandbox.kubeconfig_for(copy.name, "default"))
    assert state(status) == "not proven"
    plural = "configmaps" if copy.kind == "ConfigMap" else "endpoints"
    assert f"{copy.kind}/{copy.name}/{copy.resource}-config cannot be read: no permission to get {plural}" in str(
        status.problems[0]
    )
    assert f"no permission to list pods in {copy.name}" in status.problems[0]


def test_from_the_first_moment_to_a_failover(copy: Copy) -> None:
    """The operator says Running all the time: its word is worth nothing alone."""
    assert state(copy.status()) == "restoring"
    copy.pod(told("running custom bootstrap script", "uninitialized", None))
    copy.patroni("")
    assert state(copy.status()) == "restoring"
    copy.annotate(initialize=str(IDENTIFIER))
    pods = f"/api/v1/namespaces/{copy.name}/pods/{copy.resource}-0"
    copy.patch(pods, {"metadata": {"annotations": {"status": told(timeline=1)}}})
    assert state(copy.status()) == "not proven"
    copy.patch(pods, {"metadata": {"annotations": {"status": told(timeline=2)}}})
    copy.annotate(history=PROMOTED)
    good = copy.status()
    assert state(good) == "restored"
    assert good.restoration is not None
    assert good.restoration.line not in good.problems
    assert not any("EMPTY" in one or "proven" in one for one in good.problems)
    copy.patch(pods, {"metadata": {"annotations": {"status": told(timeline=5)}}})
    assert state(copy.status()) == "restored"
    forbidden(copy)


def test_an_empty_database_is_the_first_problem(copy: Copy) -> None:
    copy.pod(told(timeline=1))
    copy.patroni(str(ANOTHER), "[]")
    # Of a time when the operator kept it in the other kind of objects: nobody writes there any more.
    copy.patroni(str(IDENTIFIER), PROMOTED, kind="Endpoints" if copy.kind == "ConfigMap" else "ConfigMap")
    status = copy.status()
    assert state(status) == "empty"
    assert status.problems[0].startswith("EMPTY, not restored: ")
    assert (status.reported, status.ready_replicas) == ("Running", 1)

    # One that was to start empty has nothing to prove.
    path = f"/apis/acid.zalan.do/v1/namespaces/{copy.name}/postgresqls/{copy.resource}"
    copy.patch(path, {"metadata": {"annotations": {"planton.ai/restored-from": None}}})
    assert copy.status().restoration is None
