"""Requests on connections that stand, against a server whose answers are written here byte by byte."""

from __future__ import annotations

import gzip
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from planton.cluster.api import exchange as exchanging
from planton.cluster.api import incoming as reading_of
from planton.cluster.api.exchange import exchange
from planton.cluster.api.incoming import read_by
from planton.stopping import STOPPING

_GOOD = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\n{}"
_IN_GZIP = gzip.compress(b"{}")
_ZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_IN_GZIP) + _IN_GZIP
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
        manager = urllib3.PoolManager(ssl_context=client, retries=False, maxsize=1)
        read_by(manager)
        self.pool: Any = manager.connection_from_host("localhost", port, "https")

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
                elif piece == b"drip":
                    # Byte by byte of a header that never ends, until nobody reads it any more.
                    while not self.release.wait(0.05):
                        wrapped.sendall(b"x")
                elif piece == b"pause":
                    time.sleep(0.1)
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
        (_chunked(b"2\r\n{}\r\n0\r\nGrpc-Status: 0\r\nX: y\r\n\r\n"), (201, b"{}")),
        ([_GOOD[:-4], b"Trailer: X\r\n\r\n{}"], (200, b"{}")),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", b"x" * 3_000_000], (200, b"x" * 3_000_000)),
        (_chunked(b"1;a=b\r\n{\r", b"\n0A", b"\r\n123456789}\r\n0\r\n\r\n"), (201, b"{123456789}")),
        ([b"".join(_chunked(b"FfF\r\n" + b"x" * 4095 + b"\r\n0\r\n\r\n"))], (201, b"x" * 4095)),
        # What http.client reads.
        ([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _GOOD], (200, b"{}")),
        ([b"HTTP/1.1 102 Processing\r\n\r\n", b"pause", b"HTTP/1.1 103 \r\n\r\n", b"pause", _GOOD], (200, b"{}")),
        ([_ZIPPED], (200, b"{}")),
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
        _chunked(b"2\r\n{}\r\n0\r\n" + b"more: headers\r\n" * 101 + b"\r\n"),
        # As many bytes as no memory has, though they are only promised.
        [b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{}"],
        _chunked(b"ffffffff\r\n{}\r\n"),
        [b"HTTP/1.1 400 Bad Request\r\nno header\r\nContent-Length: 2\r\n\r\n{}"],
        [_ZIPPED.replace(_IN_GZIP, b"x" * len(_IN_GZIP))],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + _GOOD],
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


@pytest.mark.parametrize(
    "pieces",
    [
        [_GOOD + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"],
        # In one record of TLS, of which less is read at a time.
        [_GOOD + b"x" * 12_000],
        # All that is read at a time is the answer, and the rest of the record is with TLS.
        [_GOOD.replace(b"now", b"now" + b"w" * (8192 - len(_GOOD))) + b"x"],
        [_GOOD.replace(b"{}", b"{}" + b" " * 9_000).replace(b": 2", b": 9002") + b"x"],
        [b"".join(_chunked(b"2\r\n{}\r\n0\r\n\r\nx"))],
        [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}x"],
        [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}" + b"x" * 12_000],
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["opening", "standing"])
def test_what_comes_beyond_an_answer_is_not_taken_for_the_next_one(
    server: Scripted, pieces: list[bytes], is_first: bool
) -> None:
    # The server waits for the next request, and does not hang up.
    server.script = [*([] if is_first else [[_GOOD]]), pieces, [_GOOD]]
    if is_first:
        assert server.pool.urlopen("GET", "/").data.strip() == b"{}"
    else:
        server.open()
        assert server.exchanged()[1].strip() == b"{}"
    assert exchange(server.pool, _REQUEST, 5.0) is None
    server.open()
    assert server.connections == 2


def test_the_answer_behind_an_interim_one_is_that_of_its_request_also_at_first(server: Scripted) -> None:
    server.script = [[b"HTTP/1.1 103 Early Hints\r\n\r\n", b"pause", _GOOD], [_GOOD.replace(b"{}", b"[]")]]
    answer = server.pool.urlopen("GET", "/")
    assert (answer.status, answer.data) == (200, b"{}")
    assert server.exchanged() == (200, b"[]")
    server.script = [[b"HTTP/1.1 101 Switching Protocols\r\n\r\n"]]
    server.pool.close()


def test_lines_that_are_no_headers_are_not_logged(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    server.script = [[b"HTTP/1.1 200 OK\r\nBearer sentinel-token\r\nContent-Length: 2\r\n\r\n{}"]]
    with caplog.at_level("DEBUG", "urllib3"), pytest.raises(ProtocolError):
        server.pool.urlopen("GET", "/")
    assert "Starting new HTTPS connection" in caplog.text
    assert "sentinel" not in caplog.text


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: "])
@pytest.mark.parametrize("is_first", [True, False], ids=["opening", "standing"])
def test_a_head_that_drips_ends_after_its_time(server: Scripted, begun: bytes, is_first: bool) -> None:
    server.script = [*([] if is_first else [[_GOOD]]), [begun, b"drip"]]
    if not is_first:
        server.open()
    patience = urllib3.Timeout(connect=5.0, read=0.4)
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        _ = server.pool.urlopen("GET", "/", timeout=patience) if is_first else server.exchanged(seconds=0.4)
    assert 0.3 < time.monotonic() - started < 2.0


def test_only_the_head_is_bounded_as_a_whole(server: Scripted) -> None:
    slow = [_GOOD[:20], b"pause", *[_GOOD[20:-2].replace(b": 2", b": 8")], *[b"pause", b"x"] * 8]
    server.script = [[_GOOD], slow, [_GOOD]]
    server.open()
    assert server.exchanged(seconds=0.4) == (200, b"x" * 8)
    # As urllib3 knows it, whose next request may be sent with it.
    assert server.pool.pool.queue[-1].sock.gettimeout() == 0.4
    assert server.exchanged(seconds=0.4) == (200, b"{}")
    assert server.connections == 1


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"])
def test_silence_ends_after_its_time(server: Scripted, begun: bytes) -> None:
    server.script = [[_GOOD], [begun, b"wait"]]
    server.open()
    with pytest.raises(ReadTimeoutError):
        server.exchanged(seconds=0.2)
    assert server.pool.pool.get(block=False).sock is None


@pytest.mark.parametrize("is_first", [True, False], ids=["opening", "standing"])
def test_silence_ends_soon_after_a_signal(server: Scripted, is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script = [*([] if is_first else [[_GOOD]]), [b"HTTP/1.1 200 OK\r\n", b"wait"]]
    if not is_first:
        server.open()
    monkeypatch.setattr(STOPPING, "asked", True)
    monkeypatch.setattr(STOPPING, "end", time.monotonic() + 0.2)
    with pytest.raises(ReadTimeoutError):
        _ = server.pool.urlopen("GET", "/", timeout=30.0) if is_first else server.exchanged(seconds=30.0)


def test_what_comes_before_the_time_after_a_signal_is_over_is_read(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_of, "_SLICE", 0.05)
    server.script = [[_GOOD], [_GOOD[:30], b"pause", _GOOD[30:-1], b"pause", b"}"]]
    server.open()
    STOPPING.ask()
    try:
        assert server.exchanged() == (200, b"{}")
    finally:
        STOPPING.clear()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [[_GOOD], [_GOOD.replace(b"{}", b"[]")]]
    server.open()
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(exchanging.Answer, "_is_everyday", interrupted)
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


def _through_tls(authority: trustme.CA, tunnel: socket.socket) -> None:
    """Lets one connection through, as a proxy to which one speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    connection, _ = tunnel.accept()
    with connection, context.wrap_socket(connection, server_side=True) as client:
        place = client.recv(65536).split()[1].decode()
        with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            sides: dict[socket.socket, socket.socket] = {client: server, server: client}
            while True:
                for side in select.select(list(sides), [], [])[0]:
                    if not (part := side.recv(65536)):
                        return
                    sides[side].sendall(part)


def test_a_connection_through_a_proxy_of_tls_is_used_again(server: Scripted, authority: trustme.CA) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tunnel:
        thread = threading.Thread(target=_through_tls, args=(authority, tunnel))
        thread.start()
        client = ssl.create_default_context()
        authority.configure_trust(client)
        url = f"https://localhost:{tunnel.getsockname()[1]}"
        manager = urllib3.ProxyManager(url, ssl_context=client, proxy_ssl_context=client, retries=False, maxsize=1)
        read_by(manager)
        pool: Any = manager.connection_from_host("localhost", server.pool.port, "https")
        server.script = [[b"HTTP/1.1 103 Early Hints\r\n\r\n", b"pause", _GOOD], [_GOOD], [_GOOD]]
        for _ in range(2):
            assert pool.urlopen("GET", "/").data == b"{}"
            # TLS within TLS is left to urllib3, and the connection stays.
            assert exchange(pool, _REQUEST, 5.0) is None
        assert server.connections == 1
        server.script = []
        pool.close()
        manager.clear()
        thread.join(5.0)
    assert not thread.is_alive()
