"""Fixtures of the sandbox's own tests: one sandbox for all, and the smallest operator installation that starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from sandbox import Sandbox
from sandbox._api import Api
from sandbox._errors import ApiError

Object = dict[str, Any]

OPERATOR_IMAGE = "ghcr.io/zalando/postgres-operator:v1.15.1"

# What start-up needs, and nothing that making a database needs: the refusals are what a test looks for.
_RULES: list[Object] = [
    {"apiGroups": ["acid.zalan.do"], "resources": ["postgresqls", "postgresqls/status"], "verbs": ["*"]},
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "create", "patch", "update"],
    },
    {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
]

_CONFIGURATION = {
    "watched_namespace": "*",
    "enable_teams_api": "false",
    "enable_master_load_balancer": "false",
    "enable_replica_load_balancer": "false",
    "docker_image": "ghcr.io/zalando/spilo-17:4.0-p3",
    "pod_service_account_name": "postgres-pod",
    "workers": "1",
}


class Wait(Protocol):
    """Call a function until it returns something true, and return that."""

    def __call__(self, probe: Callable[[], Any], *, seconds: float = 60.0) -> Any:
        """Fail after the given seconds; errors of the API server count as not yet."""


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """Return the sandbox that the tests share."""
    with Sandbox.start() as started:
        yield started


@pytest.fixture(scope="package")
def api(sandbox: Sandbox) -> Api:
    """Return an administrator's client."""
    return Api.from_kubeconfig(sandbox.kubeconfig)


@pytest.fixture(scope="package")
def wait() -> Wait:
    """Return the function that waits."""

    def until(probe: Callable[[], Any], *, seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        last: Any = None
        while time.monotonic() < deadline:
            try:
                last = probe()
            except ApiError as error:
                last = error
            else:
                if last:
                    return last
            time.sleep(0.05)
        pytest.fail(f"not within {seconds:.0f} s; last seen: {last!r}")

    return until


class Installation:
    """One minimal operator installation in a namespace of its own."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Prepare; nothing is created yet."""
        self.api = api
        self.namespace = namespace
        self.path = f"/apis/apps/v1/namespaces/{namespace}/deployments/operator"

    def create(self, *, image: str = OPERATOR_IMAGE, account: str = "operator") -> None:
        """Create all objects, the Deployment last."""
        core, rbac = f"/api/v1/namespaces/{self.namespace}", "/apis/rbac.authorization.k8s.io/v1"
        binding = {
            "metadata": {"name": self.namespace},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": self.namespace}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace},
        }
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.api.request("POST", f"{core}/serviceaccounts", {"metadata": {"name": "operator"}})
        self.api.request("POST", f"{core}/configmaps", {"metadata": {"name": "operator"}, "data": _CONFIGURATION})
        self.api.request("POST", f"{rbac}/clusterroles", {"metadata": {"name": self.namespace}, "rules": _RULES})
        self.api.request("POST", f"{rbac}/clusterrolebindings", binding)
        self.create_deployment(image=image, account=account)

    def create_deployment(self, *, image: str = OPERATOR_IMAGE, account: str = "operator") -> None:
        """Create the Deployment alone."""
        labels = {"app.kubernetes.io/name": "postgres-operator"}
        environment = [
            {"name": "CONFIG_MAP_NAME", "value": f"{self.namespace}/operator"},
            {"name": "CRD_READY_WAIT_INTERVAL", "value": "1s"},
        ]
        container = {"name": "operator", "image": image, "env": environment}
        template = {
            "metadata": {"labels": labels},
            "spec": {"serviceAccountName": account, "containers": [container]},
        }
        deployment = {
            "metadata": {"name": "operator", "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        self.api.request("POST", self.path.rpartition("/")[0], deployment)

    def patch(self, change: Object) -> Object:
        """Change the Deployment."""
        return self.api.request("PATCH", self.path, change, content_type="application/merge-patch+json")

    def status(self) -> Object:
        """Return the Deployment's status, empty while it is about an older generation."""
        deployment = self.api.request("GET", self.path)
        status: Object = deployment.get("status", {})
        return status if status.get("observedGeneration") == deployment["metadata"]["generation"] else {}

    def since(self, deployment: Object) -> list[Object]:
        """Return every status that the Deployment has had for its present generation since it was as given."""
        version, generation = deployment["metadata"]["resourceVersion"], deployment["metadata"]["generation"]
        name = f"fieldSelector=metadata.name%3D{deployment['metadata']['name']}"
        path = f"{self.path.rpartition('/')[0]}?watch=1&timeoutSeconds=1&resourceVersion={version}&{name}"
        found = [event["object"].get("status", {}) for event in self.api.stream(path, timeout=30.0)]
        return [status for status in found if status.get("observedGeneration") == generation]

    def condition(self, kind: str) -> Object:
        """Return one condition of the present generation, empty if there is none."""
        conditions = self.status().get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def available(self) -> bool:
        """Return whether the present generation is available."""
        return self.status().get("availableReplicas") == 1


@pytest.fixture(scope="package")
def installation(sandbox: Sandbox, api: Api, wait: Wait) -> Installation:
    """Return an installation whose operator is up."""
    made = Installation(api, "postgres-operator")
    made.create()
    wait(made.available)
    return made
