"""Manifests against a real API server with the real operator: what it makes of them, and what is refused."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from typing import Any

import pytest

import planton
from planton.cluster import PlanOptions
from planton.errors import ConflictError, RefusedError, WaitError
from planton.translate.environment import environment
from planton.translate.platform import PLATFORM_ANNOTATION
from planton.types import PostgresKubernetes
from sandbox import ApiError
from tests.cluster.conftest import Installed, words
from tests.manifests import ACCESS_KEY, SECRET_KEY, database

pytestmark = pytest.mark.cluster

STORAGE = "r2-postgres-backup-credentials"
OFF = "enable_backup: false"
CUSTOM = "s3_prefix: /archives/$(SCOPE)\nbackup_schedule: '0 3 * * *'\nenable_clone: false"


@pytest.mark.parametrize("backup", [None, OFF, CUSTOM], ids=["inherits", "off", "custom"])
def test_the_operator_makes_the_environment_that_was_rendered(installed: Installed, name: str, backup: str) -> None:
    text = database(name, backup=backup)
    installed.apply(text)
    live = installed.environment(name)
    platform, existing = installed.cluster.facts()
    (message,) = planton.loads(text)
    assert isinstance(message, PostgresKubernetes)
    wanted = [one for one in environment(message, platform, existing) if one.source != "default"]
    assert len(wanted) >= 8
    for variable in wanted:
        if variable.secret:
            secret, _, key = variable.secret.partition("/")
            assert live[variable.name] == {"secretKeyRef": {"name": secret, "key": key}}
        else:
            assert live[variable.name] == (variable.value or "")
    if backup == OFF:
        assert live["WALG_S3_PREFIX"] == ""
        assert live["USE_WALG_BACKUP"] == "false"
    (status,) = installed.cluster.status(planton.loads(text))
    assert status.differing == ()


def test_a_second_apply_changes_nothing_after_the_operator_has_worked(installed: Installed, name: str) -> None:
    text = installed.operator + database(name, backup=CUSTOM) + database(f"{name}-b")
    first = installed.apply(text, set_id=name)
    installed.environment(name)
    installed.environment(f"{name}-b")
    # The operator's last word on both; afterwards nothing of it moves.
    installed.until(lambda: {_word(installed, one) for one in (name, f"{name}-b")} == {"CreateFailed"})
    versions = _versions(installed, first.changes)
    second = installed.apply(text, set_id=name)
    assert set(words(second).values()) == {"unchanged"}
    assert not second.changed
    assert _versions(installed, first.changes) == versions
    assert installed.plan(text).changed is False


def _word(installed: Installed, name: str) -> str:
    return str(installed.database(name).get("status", {}).get("PostgresClusterStatus", ""))


def _versions(installed: Installed, changes: Any) -> dict[str, str]:
    found = {}
    for change in changes:
        obj = {
            "apiVersion": change.api_version,
            "kind": change.kind,
            "metadata": {"name": change.name, "namespace": change.namespace},
        }
        found[change.subject] = installed.harness.get(obj)["metadata"]["resourceVersion"]
    return found


def test_a_change_reaches_the_pods_and_the_plan_says_so(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    text = database(name, backup="backup_schedule: '30 4 * * *'")
    plan = installed.plan(text)
    (change,) = [change for change in plan.changes if change.action == "configured"]
    assert change.subject == f"postgresql/{name}/db-{name}"
    assert [(one.path, one.before, one.after) for one in change.diff] == [
        ("spec.env[name=BACKUP_SCHEDULE].value", None, '"30 4 * * *"')
    ]
    assert plan.effects == (f"rolling restart of the pods of db-{name}: BACKUP_SCHEDULE changes",)
    installed.cluster.apply(plan)
    installed.until(lambda: installed.environment(name).get("BACKUP_SCHEDULE") == "30 4 * * *", seconds=60)


def test_backups_that_stop_and_archives_that_move_are_said(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    assert f"backups of db-{name} stop" in installed.plan(database(name, backup=OFF)).effects
    moved = installed.plan(database(name, backup="s3_prefix: /elsewhere/$(PGVERSION)"))
    assert any(f"the archive of db-{name} moves" in effect for effect in moved.effects)
    stopped = installed.plan(database(name).replace("disk_size: 10Gi", "disk_size: 10Gi\n    replicas: 0"))
    assert any("is stopped" in effect for effect in stopped.effects)
    grown = installed.plan(database(name).replace("10Gi", "20Gi"))
    assert any("volumes" in effect and "grow" in effect for effect in grown.effects)


def test_another_version_wants_its_own_word_and_never_goes_back(installed: Installed, name: str) -> None:
    installed.apply(database(name, spec='version: "15"'))
    # Not said: the live one stays.
    assert not installed.plan(database(name)).changed
    with pytest.raises(RefusedError, match="--allow-version-change"):
        installed.plan(database(name, spec='version: "16"'))
    plan = installed.plan(database(name, spec='version: "16"'), allow_version_change=True)
    assert any("major upgrade" in effect for effect in plan.effects)
    with pytest.raises(RefusedError, match="no way back"):
        installed.plan(database(name, spec='version: "14"'), allow_version_change=True)
    assert installed.database(name)["spec"]["postgresql"]["version"] == "15"


def test_a_volume_does_not_shrink(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    with pytest.raises(RefusedError) as caught:
        installed.plan(database(name).replace("10Gi", "9Gi"), force_conflicts=True)
    assert f"postgresql/{name}/db-{name}" in str(caught.value)
    assert "10Gi" in str(caught.value)
    # The same size in other words is no shrinking.
    assert installed.plan(database(name).replace("10Gi", "10240Mi")).changed


def test_a_database_alone_gets_its_platform_from_the_cluster(installed: Installed, name: str) -> None:
    platform, existing = installed.cluster.facts()
    assert platform is not None
    assert platform.bucket == "postgres-backups"
    assert platform.credentials is not None
    assert platform.credentials.reveal() == {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    assert (existing.operator_version, existing.kubernetes_use_configmaps) == ("1.15.1", "true")
    result = installed.apply(database(name))
    assert words(result)[f"Secret/{name}/{STORAGE}"] == "created"
    path = f"/api/v1/namespaces/{{}}/secrets/{STORAGE}"
    copies = [installed.api.request("GET", path.format(space)) for space in (name, "postgres-operator")]
    assert copies[0]["data"] == copies[1]["data"]
    existing = installed.cluster.facts()[1]
    assert existing.database(name, f"db-{name}") is not None


def test_results_carry_outputs_and_print_no_credential(installed: Installed, name: str) -> None:
    manifests = planton.loads(installed.operator + database(name))
    result = installed.cluster.apply(manifests, timeout=60.0)
    operator, made = result.messages
    assert operator.status.outputs.kube_endpoint == "postgres-operator.postgres-operator.svc.cluster.local"
    assert made.status.outputs.kube_endpoint == f"db-{name}.{name}.svc.cluster.local"
    assert not manifests[0].HasField("status")
    plan = installed.cluster.plan(manifests)
    for text in (repr(result), str(result), repr(plan), str(plan), repr(installed.cluster.facts())):
        assert ACCESS_KEY not in text
        assert SECRET_KEY not in text


def test_keys_stand_in_secrets_and_nowhere_else(installed: Installed, name: str) -> None:
    installed.apply(installed.operator + database(name, backup=CUSTOM))
    installed.environment(name)
    found = set()
    for group in ("/api/v1", "/apis/apps/v1", "/apis/acid.zalan.do/v1", "/apis/rbac.authorization.k8s.io/v1"):
        for resource in installed.api.request("GET", group)["resources"]:
            if "list" not in resource["verbs"] or "/" in resource["name"]:
                continue
            items = installed.api.request("GET", f"{group}/{resource['name']}").get("items") or ()
            for item in items:
                text = json.dumps(item)
                if any(key in text for key in _encoded(ACCESS_KEY) + _encoded(SECRET_KEY)):
                    found.add((resource["name"], item["metadata"]["name"]))
    assert found == {("secrets", STORAGE)}
    log = installed.sandbox.operator_log()
    assert ACCESS_KEY not in log
    assert SECRET_KEY not in log


def _encoded(value: str) -> list[str]:
    import base64

    return [value, base64.b64encode(value.encode()).decode()]


def test_a_secret_of_that_name_that_others_made_is_not_overwritten(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    theirs = {"metadata": {"name": STORAGE}, "data": {"theirs": "eA=="}}
    installed.api.request("POST", f"/api/v1/namespaces/{name}/secrets?fieldManager=their-tool", theirs)
    with pytest.raises(ConflictError) as caught:
        installed.plan(database(name))
    (conflict,) = caught.value.conflicts
    assert (conflict.subject, conflict.manager) == (f"Secret/{name}/{STORAGE}", "their-tool")
    result = installed.apply(database(name), force_conflicts=True)
    assert words(result)[f"Namespace/{name}"] == "skipped"


def test_a_host_name_that_a_live_service_has_is_refused(installed: Installed, name: str) -> None:
    annotations = {"external-dns.alpha.kubernetes.io/hostname": f"{name}.example.org"}
    front = {"metadata": {"name": "front", "annotations": annotations}, "spec": {"ports": [{"port": 80}]}}
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": f"{name}-b"}})
    installed.api.request("POST", f"/api/v1/namespaces/{name}-b/services", front)
    text = database(name, spec="ingress: {enabled: true, dns_domain: example.org}")
    with pytest.raises(planton.ManifestError, match=f"the live Service {name}-b/front"):
        installed.plan(text)
    installed.api.request("DELETE", f"/api/v1/namespaces/{name}-b/services/front")
    installed.apply(text)
    # Its own Service is no other.
    assert not installed.plan(text).changed


def test_waiting_for_a_database_ends_when_the_operator_gives_up(installed: Installed, name: str) -> None:
    with pytest.raises(WaitError) as caught:
        installed.cluster.apply(planton.loads(database(name) + database(f"{name}-b")), timeout=60.0, wait=True)
    assert any(f"postgresql/{name}/db-{name}: the operator reports CreateFailed" in one for one in caught.value.pending)
    assert words(caught.value.changes)[f"postgresql/{name}-b/db-{name}-b"] == "created"


def test_waiting_has_an_end_and_names_what_is_not_ready(installed: Installed, name: str) -> None:
    # By itself it would give up soon, and that is another end.
    with installed.frozen_operator(), pytest.raises(WaitError) as caught:
        installed.cluster.apply(planton.loads(database(name)), timeout=0.5, wait=True)
    assert len(caught.value.pending) == 1
    assert caught.value.pending[0].startswith(f"postgresql/{name}/db-{name}: ")
    seconds = re.search(r"not ready after ([0-9.]+) s", str(caught.value))
    assert seconds is not None
    assert 0.5 <= float(seconds[1]) < 30


def test_waiting_succeeds_when_the_operator_reports_running(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    _run_a_pod(installed, name)
    controller = threading.Thread(target=_play_controller, args=(installed, name), daemon=True)
    controller.start()
    result = installed.cluster.apply(planton.loads(database(name)), timeout=60.0, wait=True)
    controller.join()
    assert result.changed
    assert installed.database(name)["status"]["PostgresClusterStatus"] == "Running"
    (status,) = installed.cluster.status(planton.loads(database(name)))
    assert status.ready, status.problems
    assert (status.reported, status.replicas, status.ready_replicas) == ("Running", 1, 1)
    assert [(pod.name, pod.role, pod.ready) for pod in status.pods] == [(f"db-{name}-0", "master", True)]


def _run_a_pod(installed: Installed, name: str) -> None:
    """Makes a pod with the environment that counts: other tests may have rotated the keys of this sandbox."""
    installed.sandbox.stub_pod(name, "any", {})  # Makes the account without which no pod is admitted.
    path = "/api/v1/namespaces/postgres-operator/configmaps/postgres-pod-backup-config"
    told = installed.api.request("GET", path)["data"].get("PLANTON_CREDENTIALS_GENERATION", "")
    env = [{"name": "PLANTON_CREDENTIALS_GENERATION", "value": told}] if told else []
    labels = {"application": "spilo", "cluster-name": f"db-{name}", "spilo-role": "master"}
    pods = f"/api/v1/namespaces/{name}/pods"
    containers = [{"name": "postgres", "image": "stub.invalid/never-runs:1", "env": env}]
    pod = {"metadata": {"name": f"db-{name}-0", "labels": labels}, "spec": {"containers": containers}}
    installed.api.request("POST", pods, pod)
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    installed.api.request("PATCH", f"{pods}/db-{name}-0/status", status, content_type="application/merge-patch+json")


def _play_controller(installed: Installed, name: str) -> None:
    """Says of a StatefulSet what its controller says when its pod runs, as soon as there is one."""
    path = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}/status"
    status = {"status": {"replicas": 1, "readyReplicas": 1, "currentReplicas": 1}}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(ApiError):
            installed.api.request("PATCH", path, status, content_type="application/merge-patch+json")
            return
        time.sleep(0.02)


def test_status_says_what_is_wrong(installed: Installed, name: str) -> None:
    text = installed.operator + database(name) + database(f"{name}-gone")
    installed.apply(installed.operator + database(name))
    installed.until(lambda: _word(installed, name) == "CreateFailed")
    operator, made, gone = installed.cluster.status(planton.loads(text))
    # Other tests may have rotated the keys of this sandbox, and left pods.
    assert not [problem for problem in operator.problems if "new credentials" not in problem]
    assert (operator.version, operator.replicas, operator.ready_replicas) == ("1.15.1", 1, 1)
    assert not made.ready
    assert (made.reported, made.version, made.replicas) == ("CreateFailed", "17", 1)
    assert any("CreateFailed" in problem for problem in made.problems)
    assert any("0 of 1 pods" in problem for problem in made.problems)
    events = installed.until(lambda: installed.cluster.status(planton.loads(database(name)))[0].events)
    assert any(event.subject.endswith(f"db-{name}") and event.reason == "Create" for event in events)
    assert isinstance(made.message, PostgresKubernetes)
    assert made.message.status.outputs.username_secret.name.startswith(f"postgres.db-{name}.")
    assert not gone.exists
    assert not gone.message.HasField("status")
    installed.api.request("DELETE", f"/api/v1/namespaces/{name}/secrets/{STORAGE}")
    made = installed.cluster.status(planton.loads(database(name)))[0]
    assert any(f"Secret/{name}/{STORAGE} is missing" in problem for problem in made.problems)
    assert ACCESS_KEY not in repr(operator) + repr(made)


def test_a_variable_that_is_not_in_the_pods_as_rendered_is_named(installed: Installed, name: str) -> None:
    installed.apply(database(name))
    installed.environment(name)
    (status,) = installed.cluster.status(planton.loads(database(name, backup=CUSTOM)))
    assert status.differing == ("BACKUP_SCHEDULE", "CLONE_USE_WALG_RESTORE", "WALG_S3_PREFIX")


def test_a_lost_storage_secret_stops_a_new_database(installed: Installed, name: str) -> None:
    path = f"/api/v1/namespaces/postgres-operator/secrets/{STORAGE}"
    installed.api.request("DELETE", path)
    try:
        with pytest.raises(RefusedError, match="is missing"):
            installed.plan(database(name))
    finally:
        installed.apply(installed.operator)
    assert not installed.plan(installed.operator).changed


def test_a_broken_platform_is_an_error(installed: Installed, name: str) -> None:
    path = "/api/v1/namespaces/postgres-operator/configmaps/postgres-pod-backup-config"
    patch = {"metadata": {"annotations": {PLATFORM_ANNOTATION: "{}"}}}
    installed.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    try:
        with pytest.raises(planton.PlantonError, match="does not hold a backup platform"):
            installed.plan(database(name))
    finally:
        installed.apply(installed.operator, force_conflicts=True)


def test_a_second_operator_is_refused(installed: Installed, space: str) -> None:
    home = f"metadata:\n  labels:\n    kubernetes.project-planton.org/namespace: {space}\n"
    other = installed.operator.replace("metadata:\n", home, 1)
    with pytest.raises(RefusedError) as caught:
        installed.plan(other)
    assert "Deployment/postgres-operator/postgres-operator is an operator already" in caught.value.reasons[0]


def test_a_cluster_with_two_operators_wants_to_be_told_which_one(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    labels = {"app": "theirs"}
    container = {"name": "operator", "image": "registry.example.org:5000/mirror/postgres-operator:v1.14.0@sha256:0"}
    theirs = {
        "metadata": {"name": "theirs"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    path = f"/apis/apps/v1/namespaces/{name}/deployments"
    installed.api.request("POST", path, theirs)
    try:
        with pytest.raises(RefusedError, match="--operator NAMESPACE"):
            installed.cluster.facts()
        with pytest.raises(RefusedError, match=f"Deployment/{name}/theirs is an operator already"):
            installed.plan(installed.operator)
        platform, existing = installed.cluster.facts("postgres-operator")
        assert platform is not None
        assert installed.cluster.facts(name)[0] is None
        assert installed.cluster.facts(name)[1].operator_version == "1.14.0"
        assert words(installed.plan(database(name), operator_namespace="postgres-operator"))
        with pytest.raises(RefusedError, match="has no operator"):
            installed.cluster.facts("default")
        installed.api.request(
            "PATCH", f"{path}/theirs", {"spec": {"replicas": 0}}, content_type="application/merge-patch+json"
        )
        # Not refused any more. Copies of the Secret may be due in namespaces that other tests have made meanwhile.
        assert (
            words(installed.plan(installed.operator))["Deployment/postgres-operator/postgres-operator"] == "unchanged"
        )
    finally:
        installed.api.request("DELETE", f"{path}/theirs")
    assert existing.operator_version == "1.15.1"


def test_a_manifest_for_another_cluster_is_refused(installed: Installed) -> None:
    target = "target_cluster: {kubernetes_cluster_credential_id: cluster-one}"
    text = installed.operator.replace("spec:\n", f"spec:\n  {target}\n", 1)
    plan = installed.plan(text, cluster_id="cluster-one")
    assert plan.target_clusters == ("cluster-one",)
    assert "cluster-one" in str(plan)
    for verb in ("plan", "delete"):
        with pytest.raises(RefusedError, match='for cluster "cluster-one", but --cluster-id says "cluster-two"'):
            _ask(installed, verb, text)


def _ask(installed: Installed, verb: str, text: str) -> None:
    if verb == "plan":
        installed.plan(text, cluster_id="cluster-two")
    else:
        from planton.cluster import DeleteOptions

        installed.cluster.delete(planton.loads(text), options=DeleteOptions(operator=True, cluster_id="cluster-two"))


def test_a_plan_is_for_one_cluster(installed: Installed, name: str, harness: Any, sandbox: Any) -> None:
    plan = installed.plan(database(name))
    with pytest.raises(RefusedError, match="the plan was made for"):
        planton.connect(sandbox.kubeconfig).apply(plan)
    with pytest.raises(TypeError):
        installed.cluster.apply(plan, options=PlanOptions())
