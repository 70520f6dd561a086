"""Requests on connections that stand, against a server whose answers are written here byte by byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from planton.cluster import _exchange
from planton.cluster._exchange import exchange

_GOOD = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\n{}"
_REQUEST = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Scripted:
    """Answers each request with the next parts of a script; after each connection's last answer it hangs up."""

    def __init__(self, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.script: list[list[bytes]] = []
        self.asked: list[bytes] = []
        self.connections = 0
        self.release = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        client = ssl.create_default_context()
        authority.configure_trust(client)
        port = self._socket.getsockname()[1]
        self.pool: Any = urllib3.HTTPSConnectionPool("localhost", port, ssl_context=client, retries=False, maxsize=1)

    def _run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self.release.is_set():
                    return
                try:
                    with self._context.wrap_socket(connection, server_side=True) as wrapped:
                        self.connections += 1
                        self._serve(wrapped)
                except OSError:
                    continue

    def _serve(self, wrapped: ssl.SSLSocket) -> None:
        while self.script:
            got = b""
            while not got.endswith((b"\r\n\r\n", b"}")):
                part = wrapped.recv(65536)
                if not part:
                    return
                got += part
            self.asked.append(got)
            for piece in self.script.pop(0):
                if piece == b"wait":
                    self.release.wait(5.0)
                else:
                    wrapped.sendall(piece)

    def close(self) -> None:
        self.pool.close()
        self.release.set()
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()

    def open(self) -> None:
        """Lets urllib3 open the connection, as it does for the first request."""
        assert self.pool.urlopen("GET", "/").data == b"{}"

    def exchanged(self, seconds: float = 5.0) -> tuple[int, bytes]:
        answer = exchange(self.pool, _REQUEST, seconds)
        assert answer is not None
        return answer.status, answer.data


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Scripted]:
    made = Scripted(authority)
    yield made
    made.close()


def _chunked(*pieces: bytes) -> list[bytes]:
    return [b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces]


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([_GOOD], (200, b"{}")),
        ([_GOOD[:-1], b"}"], (200, b"{}")),
        ([_GOOD[:9], _GOOD[9:40], _GOOD[40:]], (200, b"{}")),
        ([b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  0 \r\n\r\n"], (200, b"")),
        (_chunked(b"2\r\n{}\r\n", b"0\r\n\r\n"), (201, b"{}")),
        (_chunked(b"1;a=b\r\n{\r", b"\n0A", b"\r\n123456789}\r\n0\r\n\r\n"), (201, b"{123456789}")),
        ([b"".join(_chunked(b"FfF\r\n" + b"x" * 4095 + b"\r\n0\r\n\r\n"))], (201, b"x" * 4095)),
        # What http.client reads.
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + _GOOD], (200, b"{}")),
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!"], (404, b"no!")),
        ([b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"], (200, b"{}")),
        ([b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"], (200, b"{}")),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}"], (200, b"{}")),
    ],
)
def test_answers_are_read_to_their_end_and_the_connection_is_used_again(
    server: Scripted, pieces: list[bytes], wanted: tuple[int, bytes]
) -> None:
    server.script = [[_GOOD], pieces, pieces, [_GOOD]]
    server.open()
    assert server.exchanged() == wanted
    assert server.exchanged() == wanted
    assert server.exchanged() == (200, b"{}")
    assert server.connections == 1
    assert server.asked[1:] == [_REQUEST] * 3


def test_nothing_is_sent_without_a_connection_that_stands(server: Scripted) -> None:
    assert exchange(server.pool, _REQUEST, 5.0) is None
    server.script = [[_GOOD]]
    server.open()
    # It has hung up after the last answer, which is known before anything is sent.
    connection = server.pool.pool.get(block=False)
    assert connection.sock.recv(1) == b""
    server.pool.pool.put(connection)
    assert exchange(server.pool, _REQUEST, 5.0) is None
    server.script = [[_GOOD], [_GOOD]]
    server.open()
    assert server.exchanged() == (200, b"{}")
    assert (server.connections, len(server.asked)) == (2, 3)


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"],
        _chunked(b"2\r\n{}\r\n"),
        _chunked(b"2\r\n{}}\r\n0\r\n\r\n"),
        _chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
        _chunked(b"2 2\r\n{}\r\n0\r\n\r\n"),
        _chunked(b"2\r\n{}\r\n0\r\nmore"),
        [b"nonsense\r\n\r\n"],
    ],
)
def test_an_answer_that_is_cut_or_nonsense_is_no_answer_and_ends_the_connection(
    server: Scripted, pieces: list[bytes]
) -> None:
    server.script = [[_GOOD], pieces]
    server.open()
    with pytest.raises(ProtocolError):
        server.exchanged()
    server.script = [[_GOOD], [_GOOD]]
    server.open()
    assert server.exchanged() == (200, b"{}")
    assert server.connections == 2


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"])
def test_silence_ends_after_its_time(server: Scripted, begun: bytes) -> None:
    server.script = [[_GOOD], [begun, b"wait"]]
    server.open()
    with pytest.raises(ReadTimeoutError):
        server.exchanged(seconds=0.2)
    assert server.pool.pool.get(block=False).sock is None


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [[_GOOD], [_GOOD.replace(b"{}", b"[]")]]
    server.open()
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(_exchange.Answer, "_is_everyday", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.exchanged()
    server.script = [[_GOOD], [_GOOD]]
    server.open()
    assert server.exchanged() == (200, b"{}")
    assert server.connections == 2


def test_a_connection_that_the_server_ends_is_not_used_again(server: Scripted) -> None:
    server.script = [[_GOOD], [_GOOD.replace(b"Date: now", b"Connection: close")], [_GOOD]]
    server.open()
    assert server.exchanged() == (200, b"{}")
    assert exchange(server.pool, _REQUEST, 5.0) is None


def test_two_lengths_are_left_to_http_client(server: Scripted) -> None:
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    server.script = [[_GOOD], [both], [_GOOD]]
    server.open()
    answer = exchange(server.pool, _REQUEST, 5.0)
    assert answer is not None
    assert answer.data == b"{}"
