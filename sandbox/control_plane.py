"""etcd and kube-apiserver as two plain processes on this machine.

Settings that differ from a common cluster's are here, each with its reason; admission plugins, API groups and RBAC are
the release's own defaults, because the point of the sandbox is to be refused what a real cluster refuses.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sandbox import _keys
from sandbox._api import Api, kubeconfig_text
from sandbox._errors import ApiError, SandboxError
from sandbox._processes import end, spawn, tail

READY_TIMEOUT = 60.0
"""Seconds that the control plane has to become ready; two to four is usual, a loaded machine takes longer."""

ADMIN = "sandbox-admin"
KEEPER = "sandbox-keeper"
"""User name of the sandbox's own requests, which the audit log leaves out."""

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_PORT_ATTEMPTS = 4

# etcd listens on a socket in the private state folder and not on a port: it has no passwords here, and whoever can
# write to it owns the cluster. The name is relative to the working directory that both programs share, so the length
# of the folder's path does not matter (a socket's path is limited to about 100 bytes).
_ETCD_URL = "unix://etcd:0"
_PEER_URL = "unix://peer:0"

# Everything at Metadata (who asked for what, and the answer; never a body, so never a Secret's data), except the
# server's talk with itself and the sandbox's own requests.
_AUDIT_POLICY = f"""\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "{KEEPER}"]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version"]
- level: Metadata
"""


class ControlPlane:
    """The two processes, their keys and their files."""

    def __init__(self, folder: Path, *, etcd: Path, api_server: Path, checkpoint: Callable[[], None]) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            folder: private state folder of the sandbox.
            etcd: path of the etcd program.
            api_server: path of the kube-apiserver program.
            checkpoint: called again and again while something is waited for; raises to give up.
        """
        self._folder = folder
        self._programs = (str(etcd), str(api_server))
        self._checkpoint = checkpoint
        self._home = folder / "control-plane"
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._tokens = {ADMIN: _keys.token(), KEEPER: _keys.token()}
        self._reservation: socket.socket | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Address of the API server."""
        return f"https://{_HOST}:{self._port}"

    def start(self) -> None:
        """Start both programs and wait until the API server is ready; write the kubeconfigs.

        Raises:
            SandboxError: if one of them ends or is not ready in time; the message has the end of its log.
        """
        self._write_files()
        deadline = time.monotonic() + READY_TIMEOUT
        self._etcd = self._start_etcd()
        for attempt in range(_PORT_ATTEMPTS):
            self._reserve_port()
            self._server = self._start_server()
            if self._wait_until_ready(deadline, retry_port=attempt + 1 < _PORT_ATTEMPTS):
                break
        self._write_kubeconfigs()

    def restart_api_server(self) -> None:
        """Kill the API server and start it again on the same port with the same data, keys and certificates.

        Raises:
            SandboxError: if it is not ready in time.
        """
        if self._server is not None:
            end(self._server, folder=self._folder)
        self._server = self._start_server()
        self._wait_until_ready(time.monotonic() + READY_TIMEOUT, retry_port=False)

    def restart_etcd(self) -> None:
        """Kill etcd and start it again with the same data; wait until the API server is ready again.

        Raises:
            SandboxError: if it is not ready in time.
        """
        if self._etcd is not None:
            end(self._etcd, folder=self._folder)
        self._etcd = self._start_etcd()
        self._wait_until_ready(time.monotonic() + READY_TIMEOUT, retry_port=False)

    def signal_etcd(self, number: int) -> None:
        """Send etcd a signal.

        Args:
            number: ``SIGSTOP``, so that it answers nothing, or ``SIGCONT``.
        """
        if self._etcd is not None:
            self._etcd.send_signal(number)

    def troubles(self) -> list[str]:
        """Return a message for each program that has ended by itself."""
        programs = {"etcd": self._etcd, "kube-apiserver": self._server}
        return [
            _ended(name, process.returncode, self._folder / f"{name}.log")
            for name, process in programs.items()
            if process is not None and process.poll() is not None
        ]

    def stop(self) -> None:
        """Kill both programs; their data goes with the state folder."""
        for process in (self._server, self._etcd):
            if process is not None:
                end(process, folder=self._folder)
        if self._reservation is not None:
            self._reservation.close()

    def _write_files(self) -> None:
        self._home.mkdir(mode=0o700)
        rows = [f'{token},{user},{user},"system:masters"\n' for user, token in self._tokens.items()]
        _keys.write_private(self._home / "tokens.csv", "".join(rows))
        _keys.write_private(self._home / "service-account.key", _keys.signing_key())
        _keys.write_private(self._home / "audit-policy.yaml", _AUDIT_POLICY)

    def _environment(self) -> dict[str, str]:
        # Both programs also read settings from the environment (ETCD_*, proxies), which must not be the caller's.
        # Their memory is small and short-lived: collecting it less often takes an eighth of their work away.
        return {"PATH": "/usr/bin:/bin", "HOME": str(self._home), "TMPDIR": str(self._home), "GOGC": "300"}

    def _start_etcd(self) -> subprocess.Popen[bytes]:
        command = [
            self._programs[0],
            "--name=sandbox",
            "--data-dir=etcd-data",
            f"--listen-client-urls={_ETCD_URL}",
            f"--advertise-client-urls={_ETCD_URL}",
            f"--listen-peer-urls={_PEER_URL}",
            f"--initial-advertise-peer-urls={_PEER_URL}",
            f"--initial-cluster=sandbox={_PEER_URL}",
            "--log-level=warn",
            # The data need not survive a power cut: nothing of a sandbox does.
            "--unsafe-no-fsync",
        ]
        return spawn(
            command, folder=self._folder, log=self._folder / "etcd.log", cwd=self._home, env=self._environment()
        )

    def _start_server(self) -> subprocess.Popen[bytes]:
        command = [
            self._programs[1],
            f"--etcd-servers={_ETCD_URL}",
            f"--bind-address={_HOST}",
            # Without it the server looks for an address on another interface and fails on a machine that has none.
            f"--advertise-address={_HOST}",
            # It would put that address into an Endpoints object, and loopback is not allowed there.
            "--endpoint-reconciler-type=none",
            f"--secure-port={self._port}",
            # The reservation below holds the same port.
            "--permit-port-sharing",
            "--cert-dir=certificates",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-signing-key-file=service-account.key",
            "--service-account-key-file=service-account.key",
            # Small: the server keeps a map of the whole range in memory and in etcd.
            "--service-cluster-ip-range=10.96.0.0/20",
            "--audit-policy-file=audit-policy.yaml",
            f"--audit-log-path={self._folder / 'audit.log'}",
            "--profiling=false",
        ]
        log = self._folder / "kube-apiserver.log"
        return spawn(command, folder=self._folder, log=log, cwd=self._home, env=self._environment())

    def _reserve_port(self) -> None:
        """Choose a free port and keep it bound, without listening, for as long as the sandbox lives.

        With SO_REUSEPORT on both sides the server can bind it too, while the system gives it to nobody else: no race
        between looking for a port and using it, and a restarted server gets the same one.
        """
        if self._reservation is not None:
            self._reservation.close()
        self._reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind((_HOST, 0))
        self._port = self._reservation.getsockname()[1]

    def _wait_until_ready(self, deadline: float, *, retry_port: bool) -> bool:
        """Wait for the API server; False means that its port was taken after all and another one is worth a try."""
        log = self._folder / "kube-apiserver.log"
        last = "no answer"
        while True:
            self._checkpoint()
            if self._server is not None and self._server.poll() is not None and retry_port and _port_was_taken(log):
                end(self._server, folder=self._folder)
                return False
            if ended := self.troubles():
                raise SandboxError("the control plane does not start: " + "\n".join(ended))
            try:
                api = self._api(KEEPER)
                if api is not None:
                    api.request("GET", "/readyz", timeout=5.0)
                    # Made in the background after start-up; whoever writes first would meet a missing namespace.
                    api.request("GET", "/api/v1/namespaces/default", timeout=5.0)
                    return True
            except ApiError as error:
                last = error.reason or str(error.status)
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"the API server is not ready after {READY_TIMEOUT:.0f} s ({last}). End of its log:\n{tail(log)}"
                )
            time.sleep(_POLL_SECONDS)

    def _certificates(self) -> str | None:
        """Return the certificates that the server made for itself: its own, then the authority that signed it."""
        with contextlib.suppress(OSError):
            text = (self._home / "certificates" / "apiserver.crt").read_text(encoding="utf-8")
            # The key is written after it: only then is the file whole.
            if (self._home / "certificates" / "apiserver.key").stat().st_size:
                return text
        return None

    def _api(self, user: str) -> Api | None:
        certificates = self._certificates()
        return None if certificates is None else Api(self.url, self._tokens[user], certificates)

    def _write_kubeconfigs(self) -> None:
        certificates = self._certificates() or ""
        for name, user in (("kubeconfig", ADMIN), ("keeper.kubeconfig", KEEPER)):
            text = kubeconfig_text(
                self.url, certificates, {"token": self._tokens[user]}, name="sandbox", namespace="default"
            )
            _keys.write_private(self._folder / name, text)


def _port_was_taken(log: Path) -> bool:
    return "address already in use" in tail(log, lines=60)


def _ended(name: str, code: int, log: Path) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    return f"{name} {how}. End of its log:\n{tail(log)}"
