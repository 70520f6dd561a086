"""The Job that tries an archive out from within the cluster: what it is, what its script does, and how it can fail."""

from __future__ import annotations

import copy
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.resources import Key
from planton.cluster.api.server import Server
from planton.cluster.checking.check_job import JOB, SCRIPT, check_from_cluster, check_job, findings_in
from planton.cluster.wait import Deadline
from planton.errors import ClusterError, RefusedError, WaitError
from tests.cluster.conftest import Harness
from tests.cluster.objects import Object

SECRET = "sentinel/secret+key=0002"
SERVER = Server(Connection(None, ClusterIdentity("", "", "")), "test", Scrubber([SECRET]))
ENV: list[Object] = [
    {"name": "SCOPE", "value": "db-orders"},
    {"name": "PGPASSWORD_SUPERUSER", "valueFrom": {"secretKeyRef": {"name": "postgres", "key": "password"}}},
    {"name": "WALG_S3_PREFIX", "value": "s3://backups/$(SCOPE)/15"},
    {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "secret"}}},
    {"name": "WALG_LIBSODIUM_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "sodium"}}},
    {"name": "CLONE_AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "clone"}}},
    {"name": "APPLICATION_TOKEN", "valueFrom": {"secretKeyRef": {"name": "application", "key": "token"}}},
    {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
]
TEMPLATE: Object = {
    "metadata": {"labels": {"application": "spilo", "cluster-name": "db-orders", "planton.ai/id": "x"}},
    "spec": {
        "serviceAccountName": "postgres-pod",
        "securityContext": {"runAsUser": 101, "fsGroup": 103},
        "tolerations": [{"key": "databases"}],
        "affinity": {"podAntiAffinity": {}},
        "volumes": [
            {"name": "pgdata", "persistentVolumeClaim": {"claimName": "pgdata-db-orders-0"}},
            {"name": "dshm", "emptyDir": {"medium": "Memory"}},
            {"name": "authority", "secret": {"secretName": "certificates"}},
        ],
        "containers": [
            {"name": "sidecar", "image": "stub.invalid/other:1"},
            {
                "name": "postgres",
                "image": "stub.invalid/spilo:1",
                "env": ENV,
                "volumeMounts": [
                    {"name": "pgdata", "mountPath": "/home/postgres/pgdata"},
                    {"name": "authority", "mountPath": "/etc/planton/certificates"},
                ],
                "securityContext": {"allowPrivilegeEscalation": False},
            },
        ],
    },
}


def test_it_has_what_the_pods_have_for_the_archive_and_no_more() -> None:
    before = copy.deepcopy(TEMPLATE)
    job = check_job(TEMPLATE, Key(JOB, "shop", "planton-check-1"), "1", seconds=60)
    assert before == TEMPLATE
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    names = [entry["name"] for entry in container["env"]]
    assert names == ["SCOPE", "WALG_S3_PREFIX", "AWS_SECRET_ACCESS_KEY", "WALG_LIBSODIUM_KEY", "POD_NAMESPACE"]
    assert container["image"] == "stub.invalid/spilo:1"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False}
    # No data, and nobody takes it for a pod of the database.
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["authority"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["authority"]
    assert set(pod["metadata"]["labels"]) == {"app.kubernetes.io/managed-by", "planton.ai/check", "planton.ai/id"}
    assert pod["spec"]["serviceAccountName"] == "postgres-pod"
    assert pod["spec"]["securityContext"] == {"runAsUser": 101, "fsGroup": 103}
    assert pod["spec"]["restartPolicy"] == "Never"
    assert "affinity" not in pod["spec"]
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 60)


class Container:
    """Runs the script with a Spilo and a wal-g that are a few lines of shell."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bin").mkdir()
        (home / "store").mkdir()
        self.program("python3", f'[ "$*" = "/scripts/configure_spilo.py wal-e" ] && mkdir -p {home}/env')
        self.program("envdir", f'[ "$1" = {home}/env ] && shift && exec "$@"')
        self.wal_g()

    def program(self, name: str, text: str) -> None:
        path = self.home / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def wal_g(self, **failing: str) -> None:
        """Writes a wal-g: a command of `st` -> what it does in place of what it should."""
        commands = {
            "ls": f"ls {self.home}/store",
            "put": f'mkdir -p "{self.home}/store/$(dirname "$4")"; cp "$3" "{self.home}/store/$4"',
            "get": f'cp "{self.home}/store/$3" "$4"',
            "rm": f'rm "{self.home}/store/$3"',
        } | failing
        cases = "\n".join(f"{name}) {body} ;;" for name, body in commands.items())
        self.program("wal-g", f'[ -z "${{WALG_LEAK:-}}" ] || exit 9\ncase $2 in\n{cases}\nesac')

    def run(self) -> dict[str, tuple[str, str]]:
        report = self.home / "report"
        report.unlink(missing_ok=True)
        path = f"{self.home}/bin:{os.defpath}"
        environment = {"PATH": path, "WALE_ENV_DIR": f"{self.home}/env", "WALG_LEAK": "1"}
        command = ["/bin/bash", "-c", SCRIPT, "planton", "planton-check/1", str(report)]
        subprocess.run(command, env=environment, check=False, timeout=60)
        text = report.read_text()
        assert len(text.encode()) < 4096
        found = findings_in(text, SERVER, object_key="planton-check/1")
        return {one.check: (one.outcome, one.text) for one in found}

    @property
    def left(self) -> list[str]:
        return [path.name for path in (self.home / "store").rglob("*") if path.is_file()]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def test_all_is_well(container: Container) -> None:
    found = container.run()
    assert list(found) == ["settings", "readable", "writable", "read back", "deletable in a batch"]
    assert {outcome for outcome, _ in found.values()} == {"ok"}
    assert not container.left


@pytest.mark.parametrize(
    ("failing", "check", "after"),
    [
        ("ls", "readable", {"writable", "read back", "deletable in a batch"}),
        ("put", "writable", {"read back", "deletable in a batch"}),
        ("get", "read back", set()),
        ("rm", "deletable in a batch", set()),
    ],
)
def test_what_fails_says_why(container: Container, failing: str, check: str, after: set[str]) -> None:
    words = f"echo INFO: begun; echo 'ERROR: 2026/11/22 AccessDenied: with {SECRET}' >&2; exit 1"
    container.wal_g(**{failing: words})
    found = container.run()
    assert found[check] == ("failed", "ERROR: 2026/11/22 AccessDenied: with <hidden>")
    assert {name for name, (outcome, _) in found.items() if outcome == "not tried"} == after
    assert {name for name, (outcome, _) in found.items() if outcome == "failed"} == {check}
    # What could be written was deleted, also when it could not be read back.
    assert bool(container.left) is (failing == "rm")


def test_what_comes_back_is_compared(container: Container) -> None:
    container.wal_g(get='echo other > "$4"')
    assert container.run()["read back"] == ("failed", "it is not what was written")


def test_without_an_archive(container: Container) -> None:
    container.program("python3", "echo 'ERROR no prefix'; exit 1")
    found = container.run()
    assert found["settings"][0] == "failed"
    assert "exit status 1" in found["settings"][1]
    assert {outcome for check, (outcome, _) in found.items() if check != "settings"} == {"not tried"}


def test_a_long_answer_fits(container: Container) -> None:
    container.wal_g(ls="head -c 100000 /dev/zero | tr '\\0' E; printf 'ERROR: \\t %s\\n' x; exit 1")
    assert container.run()["readable"][0] == "failed"


@pytest.mark.parametrize("text", ["", "nonsense", "readable\tperhaps\t", "\t\t\n" * 9])
def test_a_message_of_another_form_proves_nothing(text: str) -> None:
    assert {one.outcome for one in findings_in(text, SERVER, object_key="planton-check/1")} == {"not tried"}


@pytest.mark.parametrize(
    ("said", "is_left"),
    [
        ("settings\tok\t\nreadable\tfailed\tx\n", False),
        # wal-g may have written what it got no answer to.
        ("readable\tok\t\nwritable\tfailed\tx\n", True),
        ("readable\tok\t\nwritable\tok\t\nread back\tok\t\n", True),
        ("writable\tok\t\nread back\tok\t\ndeletable in a batch\tfailed\tx\n", True),
        ("writable\tok\t\nread back\tfailed\tx\ndeletable in a batch\tok\t\n", False),
    ],
)
def test_what_may_be_left_in_the_archive_is_named(said: str, is_left: bool) -> None:
    remedies = " ".join(one.remedy for one in findings_in(said, SERVER, object_key="planton-check/1"))
    assert ("planton-check/1 may still be there" in remedies) is is_left


def waiting(reason: str) -> Object:
    return {"state": {"waiting": {"reason": reason, "message": f"pulling with {SECRET}"}}}


def a_minute() -> Deadline:
    """Gives a minute in which everything is looked at a few times, however slow the machine is."""
    over = 0.0

    def sleep(seconds: float) -> None:
        nonlocal over
        time.sleep(0.05)
        over += 20.0

    return Deadline(60.0, clock=lambda: over, sleep=sleep)


@pytest.mark.cluster
def test_on_a_cluster(harness: Harness, name: str) -> None:
    """Its controller and its kubelet are played: what they say is what counts."""
    api, resource = harness.api, f"db-{name}"
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    account = {"metadata": {"name": "postgres-pod"}}
    api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    server = Server(harness.connection, "check", Scrubber([SECRET]))
    with pytest.raises(RefusedError, match="is not there"):
        check_from_cluster(server, name, resource)
    template = copy.deepcopy(TEMPLATE)
    # It needs a priority that only a real cluster has; all else is as the operator makes it.
    spec = {"serviceName": "x", "selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}
    api.request("POST", f"/apis/apps/v1/namespaces/{name}/statefulsets", {"metadata": {"name": resource}, "spec": spec})
    jobs = f"/apis/batch/v1/namespaces/{name}/jobs"

    def run(status: Object | None = None, event: str = "", **options: Any) -> list[str]:
        """Runs a check; as soon as there is a Job, plays its controller and the kubelet."""
        told: list[str] = []

        def progress(seen: ProgressEvent) -> None:
            told.append(seen.subject)
            if len(told) > 1:
                return
            (job,) = api.request("GET", jobs)["items"]
            if event:
                about = {
                    "kind": "Job",
                    "namespace": name,
                    "name": job["metadata"]["name"],
                    "uid": job["metadata"]["uid"],
                }
                facts = {"reason": "FailedCreate", "type": "Warning", "message": event, "involvedObject": about}
                api.request("POST", f"/api/v1/namespaces/{name}/events", {"metadata": {"generateName": "e-"}, **facts})
            if status is not None:
                made = job["spec"]["template"]
                pods = f"/api/v1/namespaces/{name}/pods"
                pod = {"metadata": {"name": job["metadata"]["name"], **made["metadata"]}, "spec": made["spec"]}
                api.request("POST", pods, pod)
                place = f"{pods}/{job['metadata']['name']}/status"
                api.request("PATCH", place, {"status": status}, content_type="application/merge-patch+json")

        try:
            found = check_from_cluster(server, name, resource, progress=progress, **options)
        finally:
            # Whatever becomes of it.
            assert not api.request("GET", jobs)["items"]
        return [f"{one.check}: {one.outcome}" for one in found]

    def container(**more: Any) -> Object:
        base = {"name": "check", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        return {"phase": "Pending", "containerStatuses": [base | more]}

    said = "settings\tok\t\nreadable\tok\t\nwritable\tfailed\tERROR: AccessDenied\n"
    ended = container(state={"terminated": {"exitCode": 0, "reason": "Completed", "message": said}})
    assert run(ended)[:3] == ["settings: ok", "readable: ok", "writable: failed"]

    for reason in ("ImagePullBackOff", "CreateContainerConfigError"):
        with pytest.raises(ClusterError, match=reason) as caught:
            run(container(**waiting(reason)))
        assert SECRET not in str(caught.value)
    silent = container(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    with pytest.raises(ClusterError, match=r"ended with 137 \(OOMKilled\)"):
        run(silent)
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        run(event='pods "x" is forbidden: violates PodSecurity "restricted:latest"')
    unscheduled = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]
    with pytest.raises(WaitError, match="not scheduled: 0/3 nodes"):
        run({"phase": "Pending", "conditions": unscheduled}, deadline=a_minute())
    with pytest.raises(WaitError, match="it has no pod yet"):
        run(deadline=a_minute())
