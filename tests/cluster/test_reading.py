"""Answers that come byte by byte, or without end: those of a refusal too, and in a process that was forked."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from urllib3.exceptions import HTTPError

from planton.cluster.api import reading
from planton.cluster.api.pooled_client import PooledClient

Answer = Callable[[ssl.SSLSocket], None]


def drips(wrapped: ssl.SSLSocket) -> None:
    wrapped.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 200\r\n\r\n")
    for _ in range(200):
        wrapped.sendall(b"x")
        time.sleep(0.1)


def floods(wrapped: ssl.SSLSocket) -> None:
    wrapped.sendall(b"HTTP/1.1 500 Error\r\n\r\n")
    while True:
        wrapped.sendall(b"x" * 65536)


def refuses(wrapped: ssl.SSLSocket) -> None:
    wrapped.sendall(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n5\r\nthing\r\n0\r\n\r\n")


def serves(wrapped: ssl.SSLSocket) -> None:
    wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Place:
    """A server whose answers are functions, and a client of it."""

    def __init__(self, folder: Path) -> None:
        from kubernetes.client import ApiClient, Configuration

        authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.answers: list[Answer] = []
        self.connections = 0
        self._threads = [threading.Thread(target=self._run)]
        self._threads[0].start()
        settings: Any = Configuration()
        settings.host = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        settings.proxy, settings.retries = None, False
        settings.ssl_ca_cert = str(folder / "authority")
        authority.cert_pem.write_to_path(settings.ssl_ca_cert)
        self.client = PooledClient(ApiClient(settings))
        self.answers.append(serves)
        assert self.ask() == (200, b"{}")

    def ask(self) -> tuple[int, bytes]:
        from kubernetes.client.exceptions import ApiException

        try:
            response = self.client.request("get", "/a", _request_timeout=(1.0, 1.0))
        except ApiException as error:
            body: Any = error.body
            return int(error.status or 0), body
        return int(response.status), response.data

    def _run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, suppress(OSError), self._context.wrap_socket(connection, server_side=True) as wrapped:
                self.connections += 1
                while wrapped.recv(65536):
                    self.answers.pop(0)(wrapped)
            if self._socket.fileno() < 0 or not self._threads:
                return

    def hang_up(self) -> None:
        """Ends the client's connections; urllib3 opens them again."""
        for connection in list(self.client._target.pool.pool.queue):
            if connection is not None:
                connection.close()

    def close(self) -> None:
        self.hang_up()
        thread = self._threads.pop()
        with suppress(OSError), socket.create_connection(self._socket.getsockname()):
            pass
        thread.join(10.0)
        assert not thread.is_alive()
        self._socket.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_refusal_that_drips_ends_in_time(place: Place, is_first: bool) -> None:
    if is_first:
        # By urllib3 then, and not on the connection that stands.
        place.hang_up()
    place.answers = [drips, serves]
    begun = time.monotonic()
    with pytest.raises(HTTPError) as caught:
        place.ask()
    assert str(caught.value.__cause__) == "it was not complete after 1 s"
    assert time.monotonic() - begun < 5.0
    assert place.ask() == (200, b"{}")


@pytest.mark.parametrize("is_first", [True, False])
def test_of_a_refusal_without_end_the_beginning_is_read(place: Place, is_first: bool) -> None:
    if is_first:
        place.hang_up()
    place.answers = [floods, serves]
    status, body = place.ask()
    assert (status, len(body), set(body)) == (500, 1 << 20, {ord("x")})
    assert place.ask() == (200, b"{}")


def test_a_refusal_leaves_its_connection_to_the_next_request(place: Place) -> None:
    connections = place.connections
    place.answers = [refuses, refuses, serves]
    assert [place.ask(), place.ask(), place.ask()] == [(404, b"no thing"), (404, b"no thing"), (200, b"{}")]
    assert place.connections == connections


def test_a_forked_process_bounds_its_answers_too() -> None:
    def is_cut() -> bool:
        try:
            with reading.whole(SimpleNamespace(), 0.1):
                time.sleep(1.5)
        except HTTPError:
            return True
        return False

    # Starts the thread, of which the fork has none.
    assert is_cut()
    child = os.fork()
    if child == 0:
        code = 3
        with suppress(BaseException):
            code = 0 if is_cut() else 1
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
