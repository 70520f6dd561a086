"""The way to the API server through a proxy: the same on all versions of the official client, and as kubectl goes."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from planton.cluster.api.answers import no_answer
from planton.cluster.api.connection import ApiError
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.proxy import is_direct, set_proxy
from planton.cluster.api.resources import NAMESPACE
from planton.cluster.api.server import Server
from planton.errors import ClusterError
from sandbox import Sandbox
from tests.cluster.answering import kubeconfig

LOGIN = "me:sentinel@word"


class Tunnel:
    """A proxy that lets those through who log in."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.heads: list[str] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (part := client.recv(4096)):
                    return
                head += part
            self.heads.append(head.decode())
            wanted = base64.b64encode(LOGIN.encode()).decode()
            if f"proxy-authorization: basic {wanted}".lower() not in head.decode().lower():
                client.sendall(b"HTTP/1.1 407 sentinel of the proxy\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=_pipe, args=(server, client), daemon=True).start()
                _pipe(client, server)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    made = Tunnel()
    yield made
    made.close()


@pytest.mark.cluster
def test_requests_and_exec_go_through_the_proxy_of_the_kubeconfig(
    sandbox: Sandbox, tmp_path: Path, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which is for the proxies of the environment alone.
    monkeypatch.setenv("NO_PROXY", "*")

    def opened(address: str) -> Server:
        config = yaml.safe_load(Path(sandbox.kubeconfig).read_text())
        config["clusters"][0]["cluster"]["proxy-url"] = f"http://{address}"
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return Server(open_connection(path, None), "test")

    server = opened(f"me:sentinel%40word@{tunnel.address}")
    assert server.list(NAMESPACE)
    assert len(tunnel.heads) == 1
    with pytest.raises(ApiError):
        run_in_pod(server, "default", "db-0", ["true"], container="postgres", on_line=print)
    assert len(tunnel.heads) == 2
    assert not any("Bearer" in head for head in tunnel.heads)
    with pytest.raises(ApiError) as caught:
        opened(f"me:sentinel-other@{tunnel.address}").list(NAMESPACE)
    assert "Tunnel connection failed: 407" in str(caught.value)
    assert "The proxy on the way" in caught.value.remedy
    assert "wants a login" in caught.value.remedy
    assert "sentinel" not in f"{caught.value}{caught.value.remedy}"


def chosen(server: str, proxy_url: str = "", **environment: str) -> Any:
    settings = SimpleNamespace(host=server)
    set_proxy(settings, proxy_url, environment)
    return settings


@pytest.mark.parametrize(
    ("server", "proxy_url", "environment", "proxy", "no_proxy"),
    [
        ("https://a.test", "", {}, None, None),
        ("https://a.test", "", {"HTTPS_PROXY": "http://p:1"}, "http://p:1", "nobody.invalid"),
        ("https://a.test", "", {"https_proxy": "p:1"}, "http://p:1", "nobody.invalid"),
        ("https://a.test", "", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, None, None),
        ("http://a.test", "", {"HTTP_PROXY": "http://p:1"}, "http://p:1", "nobody.invalid"),
        ("http://a.test", "", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None, None),
        ("https://a.test", "", {"HTTPS_PROXY": "http://p:1", "no_proxy": "b, .a.test,a.test"}, "http://p:1", "*"),
        ("https://127.0.0.1:1", "", {"HTTPS_PROXY": "http://p:1"}, "http://p:1", "*"),
        ("https://127.0.0.1:1", "http://q:1", {"HTTPS_PROXY": "http://p:1"}, "http://q:1", "nobody.invalid"),
        ("https://a.test", "https://u:w@q:1/", {"NO_PROXY": "*"}, "https://q:1", "nobody.invalid"),
    ],
)
def test_the_proxy_of_the_cluster_comes_before_that_of_the_environment(
    server: str, proxy_url: str, environment: dict[str, str], proxy: str | None, no_proxy: str | None
) -> None:
    settings = chosen(server, proxy_url, **environment)
    assert (settings.proxy, settings.no_proxy) == (proxy, no_proxy)
    assert bool(settings.proxy_headers) is ("@" in proxy_url)


@pytest.mark.parametrize(
    ("server", "no_proxy", "direct"),
    [
        ("https://localhost", "", True),
        ("https://[::1]:1", "", True),
        ("https://a.test", "", False),
        ("https://a.test", "*", True),
        ("https://a.test", "test", True),
        ("https://a.test", ".test", True),
        ("https://a.test", "*.test", True),
        ("https://a.test", ".a.test", False),
        ("https://ba.test", "a.test", False),
        ("https://a.test", "A.TEST:443", True),
        ("https://a.test:6443", "a.test:443", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.9.9.9/8", True),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://10.1.2.3", "10.1.2.4,2.3", False),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://a.test:port", "b,:,.,[]", False),
    ],
)
def test_hosts_that_are_reached_without_the_proxy_of_the_environment(server: str, no_proxy: str, direct: bool) -> None:
    assert is_direct(server, no_proxy) is direct


@pytest.mark.parametrize("url", ["socks5://me:sentinel@p:1", "p:1", "http://", "http://me:sent/inel@p:x"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    path = kubeconfig(tmp_path, "https://127.0.0.1:9", {}, proxy_url=url)
    with pytest.raises(ClusterError, match="proxy-url of the cluster is not http://") as caught:
        open_connection(path, None)
    assert "sent" not in str(caught.value)


def test_only_a_proxy_that_was_not_reached_has_passed_nothing_on() -> None:
    pool: Any = None
    for first in (NewConnectionError(pool, "refused"), ConnectTimeoutError("late")):
        assert not no_answer(ProxyError("Cannot connect to proxy.", first)).may_have_arrived
    # So urllib3 1.26 says it of a request that was sent before.
    assert no_answer(ProxyError("Cannot connect to proxy.", ConnectionResetError("reset"))).may_have_arrived
