"""A sandbox starts, is a real API server, and leaves nothing behind whatever ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sandbox import ApiError, Sandbox, SandboxError, _folders, build
from sandbox._api import Api
from sandbox._folders import read_facts
from sandbox._processes import start_time
from sandbox.control_plane import ControlPlane

from .conftest import Wait

pytestmark = pytest.mark.cluster

_PROJECT = Path(__file__).resolve().parents[2]


class Traces:
    """The processes and the folder of a sandbox, to see afterwards that they are gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pids = [int(record.name) for record in folder.glob("**/processes/*")]
        keeper = read_facts(folder).keeper
        assert keeper is not None
        self.keeper = keeper
        self.processes = {pid: start_time(pid) for pid in [*pids, keeper]}
        # etcd, kube-apiserver, the operator runner and the keeper itself.
        assert len(self.processes) >= 4
        assert None not in self.processes.values()

    def running(self) -> list[int]:
        return [pid for pid, started in self.processes.items() if start_time(pid) == started]

    def gone(self) -> bool:
        return not self.running() and not self.folder.exists()

    def pid_of(self, program: str) -> int:
        return next(pid for pid in self.processes if program in os.readlink(f"/proc/{pid}/exe"))


def _python(*arguments: str, temp: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=_PROJECT,
        env={**os.environ, "TMPDIR": str(temp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def _command(*arguments: str, temp: Path) -> tuple[int, str, str]:
    with _python("-m", "sandbox", *arguments, temp=temp) as process:
        out, err = process.communicate(timeout=90)
        return process.returncode, out.strip(), err


@pytest.fixture
def temp(tmp_path: Path) -> Iterator[Path]:
    """Return a temp dir of the commands' own; what they leave up in it is ended."""
    yield tmp_path
    _command("down", "--all", temp=tmp_path)


def test_is_a_real_api_server(sandbox: Sandbox, api: Api) -> None:
    """It has the version that was asked for, and it is ours alone."""
    assert api.request("GET", "/version")["gitVersion"] == "v1.36.3"
    with pytest.raises(ApiError) as refused:
        Api(sandbox.url, "wrong", _authority(sandbox)).request("GET", "/api/v1/namespaces")
    assert refused.value.status == 401
    assert sandbox.folder.stat().st_mode & 0o777 == 0o700
    assert sandbox.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert sandbox.url.startswith("https://127.0.0.1:")
    assert sandbox.admin_token not in sandbox.api_server_log()


def _authority(sandbox: Sandbox) -> str:
    return (sandbox.folder / "control-plane" / "certificates" / "apiserver.crt").read_text(encoding="utf-8")


def test_nothing_else_can_be_reached(sandbox: Sandbox) -> None:
    """Every listening TCP socket of the sandbox is on loopback, and etcd has none."""
    listening = set()
    for pid in Traces(sandbox.folder).processes:
        inodes = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(entry).removeprefix("socket:[").rstrip("]"))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
                fields = line.split()
                if fields[9] in inodes and fields[3] == "0A":
                    listening.add(fields[1])
    port = int(sandbox.url.rpartition(":")[2])
    assert f"0100007F:{port:04X}" in listening
    assert all(address.startswith("0100007F:") for address in listening)


def test_service_accounts_have_their_own_rights(sandbox: Sandbox, api: Api) -> None:
    """A token of a fresh account is known and may do nothing."""
    api.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "poor"}})
    path = sandbox.kubeconfig_for("default", "poor")
    assert path.stat().st_mode & 0o777 == 0o600
    poor = Api.from_kubeconfig(path)
    with pytest.raises(ApiError, match="system:serviceaccount:default:poor") as refused:
        poor.request("GET", "/api/v1/namespaces/default/secrets")
    assert refused.value.status == 403
    with pytest.raises(ApiError, match="not found"):
        sandbox.kubeconfig_for("default", "nobody")
    with pytest.raises(SandboxError, match="not a name"):
        sandbox.kubeconfig_for("..", "x/y")
    lines = sandbox.audit_log.read_text(encoding="utf-8").splitlines(keepends=True)
    entries = [json.loads(line) for line in lines if line.endswith("\n")]
    refusals = [entry for entry in entries if entry["responseStatus"].get("code") == 403]
    assert any(entry["user"].get("username") == "system:serviceaccount:default:poor" for entry in refusals)


def test_stub_pods(sandbox: Sandbox, api: Api) -> None:
    """Admission is as on a cluster; the status is what a running pod has."""
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "stubs"}})
    pod = sandbox.stub_pod("stubs", "one", {"role": "master"}, {"note": "text"})
    assert pod["status"]["phase"] == "Running"
    assert pod["metadata"]["annotations"] == {"note": "text"}
    assert sandbox.stub_pod("stubs", "two", {}, running=False)["status"]["phase"] == "Pending"
    with pytest.raises(ApiError, match="service account"):
        sandbox.stub_pod("stubs", "three", {}, service_account="missing")


def test_data_survives_a_restart_of_the_api_server(sandbox: Sandbox, api: Api) -> None:
    """Same address, same tokens, same objects; and nobody goes on to speak on a connection to the one before."""
    maps = "/api/v1/namespaces/default/configmaps"
    api.request("POST", maps, {"metadata": {"name": "kept"}})
    assert len(api._idle._connections) == 1
    url = sandbox.url
    sandbox.restart_api_server()
    sandbox.check()
    assert sandbox.url == url
    # Not sent twice, as a request that only reads could be.
    api.request("POST", maps, {"metadata": {"name": "after"}})
    assert api.request("GET", f"{maps}/kept")["metadata"]["name"] == "kept"


def test_a_connection_is_kept_for_the_next_request(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[http.client.HTTPSConnection] = []
    connect = http.client.HTTPSConnection.connect

    def counted(connection: http.client.HTTPSConnection) -> None:
        opened.append(connection)
        connect(connection)

    monkeypatch.setattr(http.client.HTTPSConnection, "connect", counted)
    api = Api.from_kubeconfig(sandbox.kubeconfig)
    for _ in range(10):
        api.request("GET", "/api/v1/namespaces/default")
        with pytest.raises(ApiError):
            api.request("GET", "/api/v1/namespaces/none")
    assert len(opened) == 1
    # Each thread has one alone.
    read = partial(api.request, "GET")
    with ThreadPoolExecutor(4) as pool:
        names = [f"/api/v1/namespaces/{name}" for name in ("default", "kube-system") * 20]
        for path, found in zip(names, pool.map(read, names), strict=True):
            assert path.endswith(found["metadata"]["name"])
    assert len(opened) <= 4
    # A time of its own for each request, whoever had the connection before.
    with pytest.raises(ApiError, match="TimeoutError"):
        api.request("GET", "/api/v1/namespaces?watch=1&timeoutSeconds=5", timeout=0.2)
    api.request("GET", "/api/v1/namespaces/default")
    # A warning about an open socket is an error here.
    del api, read
    assert all(one.sock is None for one in opened)


def test_killing_the_owner_ends_everything_of_it(sandbox: Sandbox, temp: Path, wait: Wait) -> None:
    """Kill -9 of one owner; the sandbox of another one on the same machine goes on."""
    script = "from sandbox import Sandbox; import time; print(Sandbox.start().folder, flush=True); time.sleep(60)"
    with _python("-c", script, temp=temp) as owner:
        assert owner.stdout is not None
        traces = Traces(Path(owner.stdout.readline().strip()))
        assert traces.folder.is_relative_to(temp)
        owner.kill()
    wait(traces.gone)
    sandbox.check()


def test_killing_the_keeper_ends_everything_too(wait: Wait) -> None:
    """The processes die with it; the owner is told, and removes the folder."""
    with Sandbox.start() as sandbox:
        traces = Traces(sandbox.folder)
        os.kill(traces.keeper, signal.SIGKILL)
        wait(lambda: not traces.running())
        with pytest.raises(SandboxError, match="keeper"):
            sandbox.check()
    assert traces.gone()
    with pytest.raises(SandboxError, match="stopped"):
        sandbox.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_on_a_signal(number: signal.Signals, temp: Path, wait: Wait) -> None:
    """Standard output has the kubeconfig alone; the end is an orderly one."""
    with _python("-m", "sandbox", "run", temp=temp) as process:
        assert process.stdout is not None
        kubeconfig = Path(process.stdout.readline().strip())
        traces = Traces(kubeconfig.parent)
        process.send_signal(number)
        try:
            _, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0
    assert f"export KUBECONFIG={kubeconfig}" in err
    assert "Traceback" not in err
    assert traces.gone()


def test_up_and_down(temp: Path) -> None:
    """What `up` leaves is found again by name and ended by `down`."""
    code, kubeconfig, err = _command("up", temp=temp)
    assert code == 0
    assert f"export KUBECONFIG={kubeconfig}" in err
    assert "make sandbox-down" in err
    traces = Traces(Path(kubeconfig).parent)
    again = _command("up", temp=temp)
    assert again[:2] == (0, kubeconfig)
    assert "up already" in again[2]
    assert Api.from_kubeconfig(Path(kubeconfig)).request("GET", "/api/v1/namespaces/default")
    assert _command("list", temp=temp)[1].split("\t")[::2] == ["default", kubeconfig]
    assert _command("down", temp=temp)[0] == 0
    assert traces.gone()
    code, _, err = _command("down", temp=temp)
    assert code == 0
    assert "default is not up" in err


def test_one_that_ended_by_itself_is_swept_and_explained(temp: Path, wait: Wait) -> None:
    """Without an owner to tell, the next command tells."""
    code, kubeconfig, _ = _command("up", "--name", "frail", temp=temp)
    assert code == 0
    traces = Traces(Path(kubeconfig).parent)
    os.kill(traces.pid_of("kube-apiserver"), signal.SIGKILL)
    wait(lambda: not traces.running())
    code, out, err = _command("list", temp=temp)
    assert (code, out) == (0, "")
    assert "frail" in err
    assert "kube-apiserver was killed by signal 9" in err
    assert traces.gone()


def test_a_failed_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the end of the log of what failed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho no etcd today\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(build, "ensure", lambda: build.Binaries(broken, broken, broken))
    with pytest.raises(SandboxError, match="etcd ended with 3") as caught:
        Sandbox.start()
    assert "no etcd today" in str(caught.value)
    assert [entry.name for entry in _folders.root().iterdir()] == [".lock"]


def test_a_port_that_is_lost_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else takes the port between the choice and the start."""
    programs = build.ensure()
    plane = ControlPlane(tmp_path, etcd=programs.etcd, api_server=programs.api_server, checkpoint=lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        reserve = plane._reserve_port
        ports: list[int] = []

        def unlucky() -> None:
            reserve()
            plane._port = plane._port if ports else taken
            ports.append(plane._port)

        monkeypatch.setattr(plane, "_reserve_port", unlucky)
        try:
            plane.start()
            assert len(ports) == 2
            assert plane.url == f"https://127.0.0.1:{ports[1]}"
            assert Api.from_kubeconfig(tmp_path / "kubeconfig").request("GET", "/version")
        finally:
            plane.stop()


def test_wrong_names_and_arguments(temp: Path) -> None:
    """Refused before anything is started."""
    assert _command("up", "--name", "../x", temp=temp)[0] == 1
    assert _command("launch", temp=temp)[0] == 2
    assert _command(temp=temp)[0] == 2
