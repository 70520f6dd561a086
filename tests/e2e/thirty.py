"""A cluster with 30 databases in 10 namespaces, 3 of them made by others, for the tests of rotation and migration."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import pytest

import planton
from planton.cluster import ApplyResult, Plan, PlanOptions, connect
from sandbox import ApiError, Sandbox
from sandbox._api import Api
from sandbox._rollout import Phase, State, status, status_patch
from tests.api import is_review
from tests.cluster.conftest import PATIENT
from tests.cluster.objects import foreign_database
from tests.e2e.watching import (
    BACKUP,
    GENERATION,
    MARK,
    OPERATOR,
    PATHS,
    STORAGE,
    Object,
    Place,
    Recording,
    digest_of,
    place_of,
)

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "system:serviceaccount:default:planton"
SPACES = [f"town-{number}" for number in range(9)]
OWN, OFF = ("town-2", "own"), ("town-3", "silent")
PLAIN = ("town-4", "plain")
ELSEWHERE = "elsewhere"
FOREIGN = [(ELSEWHERE, "legacy-0"), ("town-0", "legacy-1"), ("town-1", "legacy-2")]
R2 = "storage: {bucket_name: backups, cloudflare_r2: {cloudflare_account_id: account}}"
KEYS = """
credentials:
  access_key_id: {environment_variable: TEST_BUCKET_ID}
  secret_access_key: {environment_variable: TEST_BUCKET_SECRET}
"""
OWN_KEYS = KEYS.replace("TEST_BUCKET", "TEST_OWN")


def operator(*parts: str, schedule: str = "0 2 * * *") -> str:
    """Writes the operator's manifest; without parts it has no backup_config."""
    lines = ["apiVersion: kubernetes.project-planton.org/v1", "kind: PostgresOperatorKubernetes", "metadata:"]
    lines += ["  name: postgres-operator", "spec:"]
    lines += [f"  {line}" for line in [*PATIENT.strip().splitlines(), '  workers: "16"']]
    if parts:
        body = "\n".join((*parts, f'backup_schedule: "{schedule}"'))
        lines += ["  backup_config:", *(f"    {line}" for line in body.splitlines() if line)]
    return "\n".join([*lines, "---", ""])


def database(place: Place, backup: str = "") -> str:
    namespace, name = place
    lines = ["apiVersion: kubernetes.project-planton.org/v1", "kind: PostgresKubernetes", "metadata:"]
    lines += [f"  name: {name}", f"  labels: {{kubernetes.project-planton.org/namespace: {namespace}}}"]
    lines += ["spec:", "  container: {disk_size: 1Gi}"]
    if backup:
        lines += ["  backup_config:", *(f"    {line}" for line in backup.splitlines() if line)]
    return "\n".join([*lines, "---", ""])


def databases(spaces: int, each: int, *, own: str = OWN_KEYS) -> str:
    """Writes the manifests of planton's databases: so many in each of so many namespaces."""
    special = {"town-2": (OWN, own), "town-3": (OFF, "enable_backup: false"), "town-4": (PLAIN, "")}
    text = ""
    for space in SPACES[:spaces]:
        names = [(space, f"{space}-{number}") for number in range(each)]
        if space in special:
            names.pop()
            text += database(*special[space])
        text += "".join(database(one) for one in names)
    return text


class Standin(threading.Thread):
    """Says of the operator's Deployment that it is rolled out, as soon as it changes, while no operator runs.

    The real one takes seconds to restart, and more of them to look at thirty databases: too long for many runs.
    """

    PATH = f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{OPERATOR}"

    def __init__(self, sandbox: Sandbox, api: Api) -> None:
        super().__init__(daemon=True)
        self._sandbox = sandbox
        self._api = api
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            with contextlib.suppress(ApiError):
                deployment = self._api.request("GET", self.PATH)
                if deployment.get("status", {}).get("observedGeneration") != deployment["metadata"]["generation"]:
                    patch = status_patch(status(deployment, State(Phase.READY), datetime.datetime.now(datetime.UTC)))
                    content_type = "application/merge-patch+json"
                    self._api.request("PATCH", f"{self.PATH}/status", {"status": patch}, content_type=content_type)

    def __enter__(self) -> Standin:
        self._sandbox.stop_operator()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self._sandbox.start_operator()


class City:
    """The cluster, and planton on it under an account of its own, so that the audit log tells its requests apart."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        account = {"metadata": {"name": "planton", "namespace": "default"}}
        self.api.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        binding = {
            "metadata": {"name": "planton-of-the-tests"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "planton", "namespace": "default"}],
        }
        self.api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        self.kubeconfig = sandbox.kubeconfig_for("default", "planton")
        self.cluster = connect(self.kubeconfig)
        self.environment: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._dying: subprocess.Popen[str] | None = None
        self._recordings: list[Recording] = []
        self.kills = 0

    # Keys, operators and databases.

    def new_keys(self, prefix: str = "TEST_BUCKET") -> dict[str, str]:
        """Gives the next apply other keys than there have ever been; gives what a Secret shall hold then."""
        number = next(self._numbers)
        return self.set_keys(f"{MARK}id-{number:04}", f"{MARK}secret/key+{number:04}", prefix)

    def set_keys(self, key_id: str, secret: str, prefix: str = "TEST_BUCKET") -> dict[str, str]:
        self.environment |= {f"{prefix}_ID": key_id, f"{prefix}_SECRET": secret}
        return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}

    def make_foreign(self, place: Place) -> None:
        """Makes a database as somebody does who never heard of planton."""
        namespace, name = place
        if namespace not in {one["metadata"]["name"] for one in self.api.request("GET", "/api/v1/namespaces")["items"]}:
            self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        self.api.request(
            "POST",
            f"/apis/acid.zalan.do/v1/namespaces/{namespace}/postgresqls",
            foreign_database(namespace, name),
        )

    # What planton does.

    def stand_in(self) -> Standin:
        return Standin(self.sandbox, self.api)

    def apply(self, text: str, *, timeout: float = 90.0, wait: bool = False, **options: Any) -> ApplyResult:
        os.environ.update(self.environment)
        chosen = PlanOptions(**options)
        return self.cluster.apply(planton.loads(text), options=chosen, timeout=timeout, wait=wait)

    def plan(self, text: str, **options: Any) -> Plan:
        os.environ.update(self.environment)
        return self.cluster.plan(planton.loads(text), options=PlanOptions(**options))

    def run(
        self, text: str, *, before: int = 0, after: int = 0, uncounted: tuple[str, ...] = (), **options: Any
    ) -> int:
        """Applies in another process, and kills it at a write; gives the number of writes that were done."""
        file = self.folder / "manifests.yaml"
        file.write_text(text)
        process = self._process()
        order = {
            "kubeconfig": str(self.kubeconfig),
            "file": str(file),
            "environment": self.environment,
            "options": options,
            "kill_before": before,
            "kill_after": after,
            "uncounted": uncounted,
        }
        standard_input, standard_output = _pipes(process)
        print(json.dumps(order), file=standard_input, flush=True)
        word, status, written = standard_output.readline().split(" ", 2)
        assert word == "done"
        assert int(status) in ((-9, 0) if before or after else (0,))
        self.kills += int(status) == -9
        return len(json.loads(written))

    def _process(self) -> subprocess.Popen[str]:
        if self._dying is None:
            command = [sys.executable, "-m", "tests.e2e.dying"]
            self._dying = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self._dying

    def record(self) -> Recording:
        """Records everything that happens from now on, until the city is closed."""
        self._recordings.append(Recording(self.api))
        return self._recordings[-1]

    def close(self) -> None:
        for one in self._recordings:
            one.close()
        if self._dying is not None:
            with self._dying as process:
                _pipes(process)[0].close()

    def join(self) -> None:
        """Waits for what ends with the sandbox."""
        for one in self._recordings:
            one.join()

    def collect_orphans(self) -> None:
        """Does what a garbage collector does of which a sandbox has none: lets go of StatefulSets that are replaced.

        The operator replaces one whose number of volumes changes, and leaves its pods where they are
        (postgres-operator v1.15.1, pkg/cluster/resources.go, replaceStatefulSet).
        """
        for one in self.get("/apis/apps/v1/statefulsets")["items"]:
            if "deletionTimestamp" in one["metadata"] and one["metadata"].get("finalizers") == ["orphan"]:
                namespace, name = place_of(one)
                path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
                body = {"metadata": {"finalizers": None}}
                with contextlib.suppress(ApiError):
                    self.api.request("PATCH", path, body, content_type="application/merge-patch+json")

    @contextlib.contextmanager
    def garbage_collected(self) -> Iterator[None]:
        """Collects orphans all the time, during an apply too: the operator waits for that for a few seconds only."""
        over = threading.Event()

        def collect() -> None:
            while not over.wait(0.2):
                with contextlib.suppress(ApiError):
                    self.collect_orphans()

        collector = threading.Thread(target=collect, daemon=True)
        collector.start()
        try:
            yield
        finally:
            over.set()
            collector.join()

    # What there is.

    def writes(self) -> int:
        """How often planton has written, in this process and in others, by the audit log."""
        reading = {"get", "list", "watch"}
        done = [one for one in self.requests() if one["verb"] not in reading and not is_review(one)]
        return sum("dryRun=All" not in one["requestURI"] for one in done)

    def get(self, path: str) -> Object:
        return self.api.request("GET", path)

    def secret(self, space: str, name: str = STORAGE) -> Object:
        return self.get(f"/api/v1/namespaces/{space}/secrets/{name}")

    def generation(self) -> int:
        """The generation that the backup ConfigMap tells; 0 for none."""
        found = self.get(f"/api/v1/namespaces/{BACKUP[0]}/configmaps/{BACKUP[1]}")
        return int(found["data"].get(GENERATION, 0))

    def environments(self) -> dict[Place, dict[str, Any]]:
        """Place of each StatefulSet -> the environment of its pods; a reference is (Secret, key)."""
        found = {}
        for one in self.get("/apis/apps/v1/statefulsets")["items"]:
            (postgres,) = [
                container
                for container in one["spec"]["template"]["spec"]["containers"]
                if container["name"] == "postgres"
            ]
            values: dict[str, Any] = {}
            for entry in postgres["env"]:
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                values[entry["name"]] = (reference["name"], reference["key"]) if reference else entry.get("value", "")
            found[str(one["metadata"]["namespace"]), str(one["metadata"]["name"])] = values
        return found

    def until(self, probe: Callable[[], Any], what: str, *, seconds: float = 90.0) -> Any:
        end = time.monotonic() + seconds
        while not (answer := probe()):
            assert time.monotonic() < end, f"not in time: {what}"
            time.sleep(0.2)
        return answer

    def until_told(self, count: int, wanted: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> None:
        """Waits until the operator has taken variables over into so many StatefulSets."""

        def late() -> list[Place]:
            found = self.environments()
            return [
                place
                for place, values in found.items()
                if any(values.get(name) != value for name, value in wanted.items()) or values.keys() & set(without)
            ] + [("", "not made yet")] * (count - len(found))

        end = time.monotonic() + 120
        while missing := late():
            assert time.monotonic() < end, f"not in time: {missing}"
            time.sleep(0.3)

    def made(self, replaced: Mapping[str, str]) -> dict[str, str]:
        """Gives what planton has made, without what the server adds and with texts replaced, to be compared."""
        found = {}
        for path in PATHS.values():
            for one in self.get(path)["items"]:
                managers = {entry["manager"] for entry in one["metadata"].get("managedFields", ())}
                if "planton" not in managers:
                    continue
                kept = {key: value for key, value in one.items() if key not in ("metadata", "status")}
                annotations = dict(one["metadata"].get("annotations") or {})
                annotations.pop("deployment.kubernetes.io/revision", None)
                text = json.dumps([kept, one["metadata"].get("labels"), annotations], sort_keys=True)
                for old, new in replaced.items():
                    text = re.sub(old, new, text)
                found[f"{path} {'/'.join(place_of(one))}"] = text
        return found

    def requests(self) -> list[dict[str, Any]]:
        """What planton has asked for, by the audit log."""
        # Others write while it is read: the last line may be half of one.
        lines = self.sandbox.audit_log.read_text().splitlines(keepends=True)
        asked = [json.loads(line) for line in lines if ACCOUNT in line and line.endswith("\n")]
        return [one for one in asked if one["user"]["username"] == ACCOUNT]

    def check_deeds(self) -> None:
        """Checks that planton has deleted nothing, and that it writes no pods and no StatefulSets."""
        reading = {"get", "list", "watch"}
        for one in self.requests():
            resource = one.get("objectRef", {}).get("resource", "")
            assert one["verb"] in reading | {"patch"} or is_review(one), one
            assert one["verb"] in reading or resource not in ("pods", "statefulsets"), one


@contextlib.contextmanager
def started(folder: Path) -> Iterator[City]:
    """Starts a cluster for a test; at the end nothing is left of it, whatever went wrong in between."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TEST_BUCKET_ID", "TEST_BUCKET_SECRET", "TEST_OWN_ID", "TEST_OWN_SECRET", "TEST_SODIUM"):
            # An apply in this process sets them: so they are taken back.
            patch.setenv(name, "")
        with Sandbox.start() as sandbox:
            city = City(sandbox, folder)
            try:
                yield city
            finally:
                city.close()
        city.join()


def _pipes(process: subprocess.Popen[str]) -> tuple[TextIO, TextIO]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout  # type: ignore[return-value]


def expect(recording: Recording, generation: int, keys: Mapping[str, str], name: str = "") -> None:
    """Says by hand what the storage Secret of a generation holds: one of that name, or each."""
    recording.rules.contents[name, generation].add(digest_of(keys))
