"""The handle on a running sandbox that tests and programs use."""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from sandbox import _folders, _keys, build
from sandbox._api import Api, Object, kubeconfig_text, service_account_token
from sandbox._errors import AlreadyUpError, SandboxError
from sandbox._processes import tail
from sandbox._stub_pods import stub_pod
from sandbox.control_plane import READY_TIMEOUT

_PROJECT = Path(__file__).resolve().parent.parent
_STOP_SECONDS = 20.0
_TOKEN_SECONDS = 24 * 3600
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class Sandbox:
    """A control plane on this machine: etcd, kube-apiserver, and the Postgres operator where a Deployment asks for it.

    Made by `Sandbox.start`. Ends when told to, at the end of the ``with`` block, and in any case when the process that
    started it ends. Methods may be called from several threads.
    """

    def __init__(self, folder: Path, keeper: subprocess.Popen[bytes], link: socket.socket) -> None:
        """Take over a keeper that was just started; use `Sandbox.start` instead."""
        self._folder = folder
        self._keeper = keeper
        self._link = link
        self._answers = link.makefile("rb")
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._stopped = False
        self._url = ""
        self._client: Api | None = None

    @classmethod
    def start(cls, *, name: str | None = None) -> Sandbox:
        """Start a sandbox and wait until its API server is ready. Builds the programs the first time.

        Args:
            name: a name to find it by with ``python -m sandbox list``; without one it is nobody else's business.

        Returns:
            The running sandbox; use it as a context manager, or call `stop`.

        Raises:
            BuildError: if a program cannot be built.
            AlreadyUpError: if one of that name is up.
            SandboxError: if it does not start.
        """
        programs = build.ensure()
        for line in _folders.sweep():
            print(f"sandbox: {line}", file=sys.stderr)
        claim = _folders.claim(name)
        if isinstance(claim, Path):
            raise AlreadyUpError(claim)
        try:
            keeper, link = _start_keeper(claim, programs)
        except BaseException:
            _folders.remove(claim.folder)
            raise
        finally:
            # From here on the keeper alone holds the lock.
            os.close(claim.lock)
        sandbox = cls(claim.folder, keeper, link)
        atexit.register(sandbox.stop)
        try:
            sandbox._url = str(sandbox._read_answer(READY_TIMEOUT + 30)["url"])
        except BaseException:
            sandbox.stop()
            raise
        return sandbox

    def __enter__(self) -> Sandbox:
        """Return the sandbox itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the sandbox."""
        self.stop()

    @property
    def folder(self) -> Path:
        """State folder, mode 0700; gone after `stop`."""
        return self._folder

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator (group system:masters)."""
        return self._folder / "kubeconfig"

    @property
    def url(self) -> str:
        """Address of the API server, ``https://127.0.0.1:port``."""
        return self._url

    @property
    def admin_token(self) -> str:
        """Bearer token of the administrator."""
        token: str = self._admin()["users"][0]["user"]["token"]
        return token

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object a line, level Metadata, without the sandbox's own requests."""
        return self._folder / "audit.log"

    def api_server_log(self) -> str:
        """Return the log of kube-apiserver so far."""
        return _read(self._folder / "kube-apiserver.log")

    def operator_log(self, namespace: str = "postgres-operator", name: str | None = None) -> str:
        """Return what the operator of a namespace has logged so far, all its starts included.

        Args:
            namespace: namespace of the operator's Deployment.
            name: name of the Deployment; by default all of the namespace, one after the other.

        Returns:
            The log; empty if no operator ever ran there.

        Raises:
            SandboxError: if what runs the operators has died.
        """
        self.check()
        logs = sorted((self._folder / _folders.OPERATORS).glob(f"{namespace}_{name or '*'}/operator.log"))
        return "".join(_read(log) for log in logs)

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """Write a kubeconfig with a token of a service account, valid for a day.

        Args:
            namespace: namespace of the account.
            service_account: name of the account, which must exist.

        Returns:
            Path of the file, mode 0600, in the state folder.

        Raises:
            ApiError: if the account does not exist.
            SandboxError: if a name cannot be one.
        """
        for part in (namespace, service_account):
            if not _SAFE_NAME.fullmatch(part):
                raise SandboxError(f"{part!r} is not a name of a Kubernetes object")
        token = service_account_token(self._api(), namespace, service_account, seconds=_TOKEN_SECONDS)
        authority = self._admin()["clusters"][0]["cluster"]["certificate-authority-data"]
        certificates = base64.b64decode(authority).decode()
        text = kubeconfig_text(self.url, certificates, {"token": token}, name="sandbox", namespace=namespace)
        path = self._folder / f"{namespace}_{service_account}.kubeconfig"
        _keys.write_private(path, text)
        return path

    def stub_pod(
        self,
        namespace: str,
        name: str,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
        *,
        service_account: str = "default",
        running: bool = True,
    ) -> Object:
        """Create a Pod object with the status of a pod that runs, since no pod ever runs here.

        Args:
            namespace: an existing namespace.
            name: name of the pod.
            labels: labels of the pod.
            annotations: annotations of the pod.
            service_account: account of the pod; ``default`` is made where it is missing, as on a real cluster.
            running: False leaves it pending.

        Returns:
            The object as the API server has it.

        Raises:
            ApiError: if the API server refuses it.
        """
        return stub_pod(self._api(), namespace, name, labels, annotations, service_account, running)

    def stop_operator(self) -> None:
        """End every operator process and look at no Deployment until `start_operator`; the status stays as it is.

        Raises:
            SandboxError: if the sandbox is gone.
        """
        self._request("stop_operator")

    def start_operator(self) -> None:
        """Run operators again after `stop_operator`, or after what runs them has died.

        Raises:
            SandboxError: if the sandbox is gone.
        """
        self._request("start_operator")

    def restart_api_server(self) -> None:
        """Kill the API server and start it again on the same port, with the same data and keys; wait until ready.

        Raises:
            SandboxError: if it does not become ready.
        """
        self._request("restart_api_server")

    def restart_etcd(self) -> None:
        """Kill etcd and start it again with the same data; wait until the API server is ready again.

        Raises:
            SandboxError: if it does not become ready.
        """
        self._request("restart_etcd")

    def pause_etcd(self) -> None:
        """Stop etcd without ending it, until `resume_etcd`: the API server's requests hang, as with a disk that does.

        Raises:
            SandboxError: if the sandbox is gone.
        """
        self._request("pause_etcd")

    def resume_etcd(self) -> None:
        """Let etcd go on after `pause_etcd`.

        Raises:
            SandboxError: if the sandbox is gone.
        """
        self._request("resume_etcd")

    def check(self) -> None:
        """Do nothing if all is well.

        Raises:
            SandboxError: if a program of the sandbox has ended by itself; with the end of its log.
        """
        if troubles := self._request("status").get("troubles"):
            raise SandboxError("\n".join(troubles))

    def detach(self) -> None:
        """Leave the sandbox running when this process ends; afterwards only ``python -m sandbox down`` stops it.

        Raises:
            SandboxError: if the sandbox is gone.
        """
        self._request("detach")
        self._stopped = True
        atexit.unregister(self.stop)
        self._close_link()
        # Nobody will wait for the keeper any more; without this its handle complains about that when collected.
        self._keeper.returncode = 0

    def stop(self) -> None:
        """End everything that runs and remove the state folder. Harmless when done twice."""
        # A child that this process forked has a copy of the handle and must not stop its parent's sandbox.
        if self._stopped or os.getpid() != self._owner_pid:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        if self._client is not None:
            self._client.close()
        with contextlib.suppress(OSError):
            self._link.sendall(b'{"op": "stop"}\n')
        # The keeper also ends when this end closes, whatever it was doing.
        self._close_link()
        try:
            self._keeper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        with _folders.exclusive():
            _folders.remove(self._folder)

    def _close_link(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._answers.close()
        self._link.close()

    def _request(self, operation: str) -> dict[str, Any]:
        with self._lock:
            if self._stopped:
                raise SandboxError("the sandbox is stopped")
            with contextlib.suppress(OSError):
                self._link.sendall(json.dumps({"op": operation}).encode() + b"\n")
            return self._read_answer(READY_TIMEOUT + 30)

    def _read_answer(self, timeout: float) -> dict[str, Any]:
        self._link.settimeout(timeout)
        try:
            line = self._answers.readline()
        except OSError as error:
            raise SandboxError(f"the sandbox's keeper does not answer: {type(error).__name__}") from error
        if not line:
            raise SandboxError(f"the sandbox's keeper has died. End of its log:\n{tail(self._folder / 'keeper.log')}")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise SandboxError(answer["error"])
        return answer

    def _admin(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        return config

    def _api(self) -> Api:
        with self._lock:
            if self._client is None:
                self._client = Api.from_kubeconfig(self._folder / "keeper.kubeconfig")
            return self._client


def _start_keeper(claim: _folders.Claim, programs: build.Binaries) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    paths = {key: str(value) for key, value in vars(programs).items()}
    arguments = [str(claim.folder), str(claim.lock), json.dumps(paths)]
    search = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
    log = os.open(claim.folder / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "sandbox.keeper", *arguments],
            cwd="/",
            env={**os.environ, "PYTHONPATH": search},
            stdin=theirs.fileno(),
            stdout=log,
            stderr=log,
            pass_fds=(claim.lock,),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(log)
    return keeper, ours


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
