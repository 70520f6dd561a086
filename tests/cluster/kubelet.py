"""A kubelet that can do one thing: run a command "in a container", which is a process on this machine.

The API server passes an exec on to the kubelet of the pod's node. A client that asks for v4.channel.k8s.io (versions 33
and 34 of the official one) is passed through as it is; v5 is passed through where the node declares that it can
(Kubernetes v1.36, pkg/registry/core/pod/rest/subresources.go). So this speaks both over WebSockets, and no SPDY.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from sandbox._api import Api

_PROTOCOLS = [Subprotocol("v5.channel.k8s.io"), Subprotocol("v4.channel.k8s.io")]


class Kubelet:
    """Answers exec for all pods of one node."""

    def __init__(self, path: str, home: Path) -> None:
        """Makes it; `path` is what commands have as PATH, `home` their HOME and RW_DIR."""
        self.path, self.home = path, home
        self.environment: dict[str, str] = {}
        self.requests: list[str] = []
        self.protocols: list[str] = []
        self.cut_after: float | None = None
        """Seconds after which a connection that is open then is cut, once."""
        self.before: Callable[[], None] = lambda: None
        """Is called before a command is run."""

    def answer(self, connection: ServerConnection) -> None:
        """Runs what is asked for, and sends what it says."""
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        self.requests.append(url.path)
        self.protocols.append(str(connection.subprotocol))
        self.before()
        environment = {"PATH": self.path, "HOME": str(self.home), "RW_DIR": str(self.home), **self.environment}
        command = parse_qs(url.query)["command"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            timer = threading.Timer(self.cut_after or 0, self._cut, (connection, process))
            if self.cut_after is not None:
                self.cut_after = None
                timer.start()
            assert process.stdout is not None
            assert process.stderr is not None
            errors = threading.Thread(target=_pump, args=(connection, process, process.stderr.fileno(), b"\2"))
            errors.start()
            _pump(connection, process, process.stdout.fileno(), b"\1")
            errors.join()
            process.wait()
            timer.cancel()
        with contextlib.suppress(ConnectionClosed):
            connection.send(b"\3" + json.dumps(_status(process.returncode)).encode())

    def _cut(self, connection: ServerConnection, process: subprocess.Popen[bytes]) -> None:
        # Without a word, as a proxy does it; a runtime closes the command's output then.
        connection.socket.shutdown(2)
        process.kill()


def _pump(connection: ServerConnection, process: subprocess.Popen[bytes], source: int, channel: bytes) -> None:
    with contextlib.suppress(ConnectionClosed):
        while piece := os.read(source, 4096):
            connection.send(channel + piece)
        return
    process.kill()


def _status(code: int) -> Mapping[str, object]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


@contextlib.contextmanager
def kubelet(api: Api, node: str, path: str, home: Path) -> Iterator[Kubelet]:
    """Runs a kubelet on loopback, with its Node object in the cluster."""
    made = Kubelet(path, home)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    quiet = logging.getLogger("tests.kubelet")
    quiet.setLevel(logging.CRITICAL)
    server: Server
    with serve(
        made.answer, "127.0.0.1", 0, ssl=context, subprotocols=_PROTOCOLS, logger=quiet, compression=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.socket.getsockname()[1]
        api.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        }
        api.request(
            "PATCH", f"/api/v1/nodes/{node}/status", {"status": status}, content_type="application/merge-patch+json"
        )
        try:
            yield made
        finally:
            api.request("DELETE", f"/api/v1/nodes/{node}")
            server.shutdown()
            thread.join()
