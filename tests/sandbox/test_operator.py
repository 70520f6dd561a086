"""The real operator runs as its Deployment says, under its own account, and the Deployment's status tells how it is."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

from sandbox import ApiError, Sandbox, SandboxError
from sandbox._api import Api
from sandbox._processes import start_time

from .conftest import Installation, Wait

pytestmark = pytest.mark.cluster

_DATABASE = {
    "apiVersion": "acid.zalan.do/v1",
    "kind": "postgresql",
    "metadata": {"name": "refused"},
    "spec": {
        "teamId": "refused",
        "numberOfInstances": 1,
        "volume": {"size": "1Gi"},
        "postgresql": {"version": "17"},
    },
}


def _audit(sandbox: Sandbox) -> list[dict[str, Any]]:
    # The server writes while it is read: the last line may be half of one.
    lines = sandbox.audit_log.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _user(event: dict[str, Any]) -> str | None:
    # Nobody, where the token was not known.
    name: str | None = event["user"].get("username")
    return name


def test_becomes_available_and_registers_its_definition(installation: Installation, api: Api) -> None:
    """The first start dies after registering the definition; the second one is what becomes available."""
    status = installation.status()
    reasons = {condition["type"]: condition["reason"] for condition in status["conditions"]}
    assert reasons == {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    assert "unavailableReplicas" not in status
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/postgresqls.acid.zalan.do"
    conditions = api.request("GET", path)["status"]["conditions"]
    assert {"Established"} <= {condition["type"] for condition in conditions if condition["status"] == "True"}


def test_runs_under_its_account_and_is_refused_what_its_role_lacks(
    installation: Installation, sandbox: Sandbox, api: Api, wait: Wait
) -> None:
    """The role of this installation allows start-up only, so making a database must fail on rights."""
    api.request("POST", "/apis/acid.zalan.do/v1/namespaces/default/postgresqls", _DATABASE)
    user = f"system:serviceaccount:{installation.namespace}:operator"

    def refused() -> list[str]:
        events = [event for event in _audit(sandbox) if _user(event) == user]
        return [event["requestURI"] for event in events if event["responseStatus"]["code"] == 403]

    assert any("serviceaccounts" in uri or "services" in uri for uri in wait(refused))
    assert "is forbidden" in sandbox.operator_log(installation.namespace)
    assert {"sandbox-keeper"}.isdisjoint({_user(event) for event in _audit(sandbox)})


def test_changed_template_restarts_it(installation: Installation, sandbox: Sandbox, wait: Wait) -> None:
    """An annotation of the template is enough, and a label of its own is not; while it starts, nothing is available."""
    before = sandbox.operator_log().count("starting the operator")
    # Looked at ten times a second: were it seen together with the template, it would show nothing, and break nothing.
    installation.patch({"metadata": {"labels": {"changed": str(time.monotonic_ns())}}})
    time.sleep(0.2)
    patch = {"spec": {"template": {"metadata": {"annotations": {"changed": str(time.monotonic())}}}}}
    changed = installation.patch(patch)
    wait(installation.available)
    # On the way it was seen that nothing was available: that passes too quickly to be asked for.
    on_the_way = installation.since(changed)
    reasons = [one["reason"] for each in on_the_way for one in each["conditions"] if one["type"] == "Progressing"]
    assert "ReplicaSetUpdated" in reasons
    assert any(not each.get("availableReplicas") for each in on_the_way)
    assert sandbox.operator_log().count("starting the operator") == before + 1


def test_no_replicas_stops_it(installation: Installation, sandbox: Sandbox, wait: Wait) -> None:
    """Scaled to nothing it is stopped, and scaled back it is started."""
    installation.patch({"spec": {"replicas": 0}})
    wait(lambda: installation.status() and "replicas" not in installation.status())
    assert sandbox.operator_log().rstrip().endswith("the operator was stopped ---")
    installation.patch({"spec": {"replicas": 1}})
    wait(installation.available)


def test_pausing_the_operator_leaves_the_status(installation: Installation, sandbox: Sandbox, wait: Wait) -> None:
    """Between stop and start nothing looks at Deployments."""
    before = len(sandbox.operator_log())
    sandbox.stop_operator()
    try:
        installation.patch({"spec": {"template": {"metadata": {"annotations": {"paused": str(time.monotonic())}}}}})
        time.sleep(0.3)
        assert installation.status() == {}
    finally:
        sandbox.start_operator()
    wait(lambda: "started working" in sandbox.operator_log()[before:])
    wait(installation.available)


def test_a_crash_of_the_runner_is_visible(installation: Installation, sandbox: Sandbox, wait: Wait) -> None:
    """Killed from outside, it takes its operators along, and whoever asks is told."""
    before = len(sandbox.operator_log())
    log = sandbox.folder / "operator-runner.log"
    runner = next(
        int(record.name)
        for record in (sandbox.folder / "processes").iterdir()
        if os.path.samestat(os.stat(f"/proc/{record.name}/fd/1"), log.stat())
    )
    started = start_time(runner)
    os.kill(runner, signal.SIGKILL)
    wait(lambda: start_time(runner) != started)

    def trouble() -> str:
        try:
            sandbox.check()
        except SandboxError as error:
            return str(error)
        return ""

    assert "operator runner ended with -9" in wait(trouble)
    with pytest.raises(SandboxError, match="operator runner"):
        sandbox.operator_log()
    sandbox.start_operator()
    sandbox.check()
    wait(lambda: "started working" in sandbox.operator_log()[before:])
    wait(installation.available)


def test_another_image_is_not_run(api: Api, wait: Wait) -> None:
    """The sandbox has one program; a Deployment of anything else says so."""
    made = Installation(api, "other-image")
    made.create(image="ghcr.io/zalando/postgres-operator:v2.0.1")
    condition = wait(lambda: made.condition("Available"))
    assert (condition["status"], condition["reason"]) == ("False", "ImageNotInSandbox")
    assert "v2.0.1" in condition["message"]
    made.api.request("DELETE", made.path)


def test_missing_account_then_missing_configuration_is_tried_again(api: Api, sandbox: Sandbox, wait: Wait) -> None:
    """Each obstacle is reported as on a cluster, and the operator starts as soon as it is gone."""
    made = Installation(api, "incomplete")
    made.create(account="late")
    wait(lambda: "late" in made.condition("ReplicaFailure").get("message", ""))
    assert made.condition("ReplicaFailure")["reason"] == "FailedCreate"
    assert "replicas" not in made.status()
    rules = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/incomplete"
    subjects = [{"kind": "ServiceAccount", "name": "late", "namespace": "incomplete"}]
    api.request("PATCH", rules, {"subjects": subjects}, content_type="application/merge-patch+json")
    configuration = api.request("GET", "/api/v1/namespaces/incomplete/configmaps/operator")["data"]
    api.request("DELETE", "/api/v1/namespaces/incomplete/configmaps/operator")
    api.request("POST", "/api/v1/namespaces/incomplete/serviceaccounts", {"metadata": {"name": "late"}})
    wait(lambda: '"operator" not found' in sandbox.operator_log("incomplete"))
    wait(lambda: made.condition("Available").get("reason") == "MinimumReplicasUnavailable")
    assert not made.condition("ReplicaFailure")
    api.request(
        "POST",
        "/api/v1/namespaces/incomplete/configmaps",
        {"metadata": {"name": "operator"}, "data": configuration},
    )
    wait(made.available)
    # A foreground deletion waits for a garbage collector on a cluster; here it must not wait for ever.
    api.request("DELETE", f"{made.path}?propagationPolicy=Foreground")

    def gone() -> bool:
        try:
            api.request("GET", made.path)
        except ApiError as error:
            return error.status == 404
        return False

    wait(gone)
    wait(lambda: sandbox.operator_log("incomplete").rstrip().endswith("the operator was stopped ---"))
