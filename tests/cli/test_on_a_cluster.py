"""The command against a real API server and the real operator: exit codes, interruptions, and what is never shown."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.api import Api, eventually
from tests.cli.support import environment, planton
from tests.manifests import ACCESS_KEY, SECRET_KEY, database, operator

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cli-cluster")]

FORMS = [form for key in (ACCESS_KEY, SECRET_KEY) for form in (key, base64.b64encode(key.encode()).decode())]
# The operator waits for pods that never come; with its own timeouts every database would block it for ten minutes.
SETTINGS = """
operator_settings:
  resource_check_interval: "1s"
  resource_check_timeout: "1s"
  pod_label_wait_timeout: "1s"
  ready_wait_interval: "1s"
  ready_wait_timeout: "1s"
  enable_database_access: "false"
"""


class Command:
    """The command with the sandbox as its cluster. Keeps everything that was printed."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.kubeconfig = str(sandbox.kubeconfig)
        self.api = Api(sandbox.kubeconfig)
        self.folder = folder
        self.printed: list[str] = []

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = planton(*arguments, "--kubeconfig", self.kubeconfig)
        self.printed += [done.stdout, done.stderr]
        return done

    def stop_at(self, mark: bytes, number: signal.Signals, *arguments: str) -> tuple[int, str]:
        """Runs the command on a terminal and sends a signal when a mark is on it."""
        terminal, other = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "planton", *arguments, "--kubeconfig", self.kubeconfig],
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment({"NO_COLOR": "1"}),
        )
        os.close(other)
        seen, sent, end = b"", False, time.monotonic() + 60
        try:
            while time.monotonic() < end:
                if not select.select([terminal], [], [], 0.5)[0]:
                    continue
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    # How Linux says that the other end of a terminal is closed.
                    break
                seen += chunk
                if not sent and mark in seen:
                    process.send_signal(number)
                    sent = True
        finally:
            os.close(terminal)
            try:
                code = process.wait(30)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        assert sent, seen.decode()
        self.printed.append(seen.decode())
        return code, seen.decode()


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with Sandbox.start() as sandbox:
        yield Command(sandbox, tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="module")
def installed(command: Command) -> str:
    """The operator, applied; gives its file."""
    path = command.file("operator.yaml", operator(spec=SETTINGS))
    done = command.run("apply", "-f", path)
    assert done.returncode == 0, done.stderr
    return path


def test_plan_writes_nothing(command: Command, installed: str) -> None:
    path = command.file("planned.yaml", database("planned"))
    done = command.run("plan", "-f", installed, "-f", path, "-o", "json")
    assert done.returncode == 2, done.stderr
    data = json.loads(done.stdout)
    assert {change["action"] for change in data["changes"] if change["namespace"] == "planned"} == {"created"}
    assert command.api.get("/api/v1/namespaces/planned") is None


def test_apply_twice(command: Command, installed: str) -> None:
    path = command.file("orders.yaml", database("orders"))
    done = command.run("apply", "-f", path)
    assert done.returncode == 0, done.stderr
    assert "created     postgresql/orders/db-orders" in done.stdout
    done = command.run("apply", "-f", path, "-f", installed, "-o", "json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert {change["action"] for change in data["changes"]} == {"unchanged"}
    assert (data["changed"], data["complete"]) == (False, True)
    assert command.run("plan", "-f", path, "-f", installed).returncode == 0


def test_mistakes_stop_everything(command: Command, installed: str) -> None:
    wrong = "\n".join(line for line in database("wrong").splitlines() if "disk_size" not in line) + "\n"
    path = command.file("wrong.yaml", database("right") + wrong.replace("container:", "container:\n    replicas: -1"))
    for verb in ("plan", "apply"):
        done = command.run(verb, "-f", path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "spec.container.replicas" in done.stderr
    assert command.api.get("/api/v1/namespaces/right") is None


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_stopped_and_run_again(command: Command, installed: str, number: signal.Signals, code: int, word: str) -> None:
    names = [f"{word}-{index}" for index in range(3)]
    path = command.file(f"{word}.yaml", "".join(database(name) for name in names))
    stopped, text = command.stop_at(b" namespaces 1/3 ", number, "apply", "-f", path)
    assert stopped == code, text
    assert f"created     Namespace/{word}-" in text
    assert f"{word} in phase " in text
    assert f"/{word}-" in text.partition("not done, as far as is known: ")[2].partition(". What was done stays")[0]
    assert "the same command goes on" in text
    places = [f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}" for name in names]
    there = [place for place in places if command.api.get(place)]
    assert len(there) < len(names)
    done = command.run("apply", "-f", path)
    assert done.returncode == 0, done.stderr
    done = command.run("plan", "-f", path)
    assert done.returncode == 0, done.stdout


def test_a_conflict_writes_nothing_and_can_be_forced(command: Command, installed: str) -> None:
    path = "/apis/apps/v1/namespaces/postgres-operator/deployments/postgres-operator"
    command.api.request(
        "patch",
        path,
        {"spec": {"replicas": 2}},
        content_type="application/merge-patch+json",
        query_params=[("fieldManager", "somebody")],
    )
    done = command.run("apply", "-f", installed)
    assert (done.returncode, done.stdout) == (1, "")
    assert 'Deployment/postgres-operator/postgres-operator: "somebody" owns spec.replicas' in done.stderr
    assert "--force-conflicts" in done.stderr
    assert command.api.get(path)["spec"]["replicas"] == 2
    done = command.run("apply", "-f", installed, "--force-conflicts")
    assert done.returncode == 0, done.stderr
    assert "~ spec.replicas: 2 -> 1" in done.stdout
    assert command.api.get(path)["spec"]["replicas"] == 1


def test_env_in_the_cluster(command: Command, installed: str) -> None:
    path = command.file("shown.yaml", database("shown", backup='backup_schedule: "0 4 * * *"'))
    assert command.run("apply", "-f", path).returncode == 0
    place = "/apis/apps/v1/namespaces/shown/statefulsets/db-shown"
    eventually(lambda: command.api.get(place), "StatefulSet/shown/db-shown", 120)
    for arguments in (["-f", path, "-f", installed], ["-f", path], []):
        done = command.run("env", "shown", "--live", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "on, to s3://postgres-backups/backups/db-shown/17" in done.stdout
        assert "0 4 * * *" in done.stdout
    path = command.file("shown-otherwise.yaml", database("shown", backup='backup_schedule: "0 5 * * *"'))
    done = command.run("env", "shown", "--live", "-f", path)
    assert done.returncode == 2, done.stdout
    assert "different: 0 4 * * *" in done.stdout


def test_status_in_the_cluster(command: Command, installed: str) -> None:
    path = command.file("absent.yaml", database("absent"))
    done = command.run("status", "-f", installed, "-f", path, "-o", "json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first["status"]["observed"]["ready"] is True
    assert first["status"]["outputs"]["namespace"] == "postgres-operator"
    assert second["status"]["observed"]["exists"] is False


def test_delete_needs_its_word(command: Command, installed: str) -> None:
    path = command.file("doomed.yaml", database("doomed"))
    assert command.run("apply", "-f", path).returncode == 0
    place = "/apis/acid.zalan.do/v1/namespaces/doomed/postgresqls/db-doomed"
    secret = "/api/v1/namespaces/doomed/secrets/r2-postgres-backup-credentials"
    eventually(
        lambda: command.api.get("/apis/apps/v1/namespaces/doomed/statefulsets/db-doomed"), "its StatefulSet", 120
    )
    done = command.run("delete", "-f", path)
    assert done.returncode == 1
    assert "deleted     postgresql/doomed/db-doomed" in done.stdout
    assert "--yes-delete doomed" in done.stderr
    assert command.api.get(place)["metadata"].get("deletionTimestamp") is None
    done = command.run("delete", "-f", path, "--yes-delete", "doomed", "--timeout", "2m")
    assert done.returncode == 0, done.stdout + done.stderr
    assert command.api.get(place) is None
    assert command.api.get(secret) is not None
    assert command.api.get("/api/v1/namespaces/doomed") is not None


def test_a_cluster_that_does_not_answer(command: Command, installed: str) -> None:
    kubeconfig = Path(command.kubeconfig).read_text()
    elsewhere = command.file("elsewhere", re.sub(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:9", kubeconfig))
    done = planton("plan", "-f", installed, "--kubeconfig", elsewhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert "https://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Retrying" not in done.stderr


def test_no_key_was_ever_shown(command: Command, installed: str) -> None:
    for arguments in (["render", "-f", installed], ["render", "-f", installed, "-o", "json"]):
        done = planton(*arguments)
        command.printed += [done.stdout, done.stderr]
    rotated = command.file("rotated.yaml", operator(spec=SETTINGS).replace(SECRET_KEY, "another/key+of=theirs"))
    done = command.run("plan", "-f", rotated)
    assert done.returncode == 2
    assert "Secret/postgres-operator/r2-postgres-backup-credentials" in done.stdout
    everything = "".join(command.printed)
    assert len(everything) > 1000
    assert not [form for form in [*FORMS, "another/key"] if form in everything]
