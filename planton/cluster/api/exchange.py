"""One request and its answer on a connection of urllib3's that stands already.

For an answer of the API server http.client makes an e-mail message of eight headers, and urllib3 a dictionary of that,
which takes longer than all else that an apply does for an object. So what everyday answers of the server say is read
here: that it went well, and how long the body is. Whatever else is read by http.client, and whatever else a connection
needs is done by urllib3: opening, TLS, certificates, proxies, and the first request.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, Full
from typing import Any

from planton.cluster.api.incoming import Incoming, Response

_WELL = re.compile(rb"HTTP/1\.1 (20[01]) ")
# What says where a body ends, and what makes a case of its own of an answer.
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|content-encoding|connection|trailer)[ \t]*:[ \t]*"
    rb"([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_LENGTH = re.compile(rb"[0-9]{1,12}")
# https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_LINE = 4096
_MOST_LINES = 100
# Memory is taken as the bytes come, and not as many are promised.
_PIECE = 1 << 20
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Answer:
    """An answer, of which only the head has been read."""

    __slots__ = ("_file", "_length", "_other", "_pool", "connection", "is_there", "status")

    def __init__(self, pool: Any, connection: Any, file: Incoming) -> None:
        """Reads the head.

        Args:
            pool: The pool of the connection.
            connection: The connection.
            file: What it sends.
        """
        self._pool = pool
        self.connection = connection
        """Connection on which the rest comes; None when all has been read."""
        self._file = file
        self._other: Response | None = None
        self._length: int | None = None
        self.is_there = False
        """Whether all of it has arrived, so that nobody has to bound its reading."""
        begun = file.peek(1)
        end = begun.find(b"\r\n\r\n") + 4
        if end < 4 or not self._is_everyday(begun[:end], begun):
            self._other = Response(file)
            self._other.begin()
            self.status = self._other.status
            return
        self.status = int(begun[9:12])
        file.read(end)
        if not self.is_there:
            file.unbound()

    def _is_everyday(self, head: bytes, begun: bytes) -> bool:
        """Whether it is an answer that went well, whose end is told in one of the two usual ways."""
        found = _FRAMING.findall(head)
        if not _WELL.match(head) or len(found) != 1 or head.count(b"\n") != head.count(b"\r\n"):
            return False
        if b"\r\n " in head or b"\r\n\t" in head:
            return False  # A header over several lines.
        name, value = found[0][0].lower(), found[0][1]
        if name == b"content-length" and _LENGTH.fullmatch(value):
            self._length = int(value)
            self.is_there = len(begun) >= len(head) + self._length
            return True
        if name != b"transfer-encoding" or value.lower() != b"chunked":
            return False
        self.is_there = begun.endswith(_LAST_CHUNK)
        return True

    @property
    def reason(self) -> str:
        """What the server says beside the status."""
        return (self._other.reason if self._other is not None else "") or ""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of an answer that did not go well; of others nobody needs them."""
        return self._other.headers if self._other is not None else {}  # type: ignore[return-value]

    @property
    def data(self) -> bytes:
        """The body, to be read once.

        Raises:
            urllib3.exceptions.HTTPError: It does not come, or not to its end.
        """
        with _Failing(self._pool, self.connection):
            if self._other is not None:
                data = _decoded(self._other.read(), self._other.headers.get("Content-Encoding", ""))
            elif self._length is not None:
                data = self._exactly(self._length)
            else:
                data = self._chunks()
        self._end()
        return data

    def read(self, limit: int) -> bytes:
        """Reads the beginning of the body of an answer that did not go well, once and instead of all of it.

        Args:
            limit: The most bytes that are read.

        Returns:
            The bytes.

        Raises:
            urllib3.exceptions.HTTPError: They do not come.
        """
        with _Failing(self._pool, self.connection):
            data = self._other.read(limit) if self._other is not None else b""
        if self.isclosed():
            self._end()
        return data

    def isclosed(self) -> bool:
        """Whether all of the body of such an answer has been read."""
        return self._other is not None and self._other.isclosed()

    def close(self) -> None:
        """Ends the connection of an answer that is not read to its end."""
        if self.connection is not None:
            self.connection.close()
            self._end()

    def _end(self) -> None:
        connection, self.connection = self.connection, None
        # http.client closes the file itself, which ends the connection where that is right.
        is_over = self._other.will_close if self._other is not None else not self._file.is_at_end()
        if is_over:
            connection.close()
        _put_back(self._pool, connection)

    def _exactly(self, length: int) -> bytes:
        parts: list[bytes] = []
        left = length
        while left > 0:
            parts.append(self._file.read(min(left, _PIECE)))
            left -= len(parts[-1])
            if not parts[-1]:
                raise http.client.IncompleteRead(b"", left)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunks(self) -> bytes:
        parts = []
        while True:
            size = _CHUNK.fullmatch(self._file.readline(_LONGEST_LINE))
            if size is None:
                raise http.client.IncompleteRead(b"")
            length = int(size[1], 16)
            if not length:
                break
            parts.append(self._exactly(length))
            if self._exactly(2) != b"\r\n":
                raise http.client.IncompleteRead(b"")
        # Headers can follow, which say nothing that is needed.
        for _ in range(_MOST_LINES):
            line = self._file.readline(_LONGEST_LINE)
            if line == b"\r\n":
                return b"".join(parts)
            if not line.endswith(b"\n"):
                break
        raise http.client.IncompleteRead(b"")


def _decoded(data: bytes, encoding: str) -> bytes:
    """Decodes what a proxy has compressed, though nobody has asked for that: of a first answer urllib3 does it."""
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        return data
    import gzip
    import zlib

    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise http.client.HTTPException("what is said to be gzip is none") from None


class _Failing:
    """Ends a connection on which something went wrong, and says so in the words of urllib3."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Any, connection: Any) -> None:
        self._pool = pool
        self._connection = connection

    def __enter__(self) -> None:
        """Begins."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Raises the error of urllib3 that it would have raised itself."""
        if error is None:
            return
        from urllib3.exceptions import ProtocolError, ReadTimeoutError

        # On Ctrl-C, too: the answer to this request must not be taken for that to the next one.
        self._connection.close()
        _put_back(self._pool, self._connection)
        if isinstance(error, TimeoutError):
            raise ReadTimeoutError(self._pool, "", "Read timed out.") from error
        # Also for an error of TLS: certificates were accepted when the connection was opened, and the request may have
        # arrived. Where it is about them all the same, the next connection says so.
        if isinstance(error, (OSError, http.client.HTTPException)):
            raise ProtocolError("Connection aborted.", error) from error


def exchange(pool: Any, request: bytes, seconds: float) -> Answer | None:
    """Sends a request on a connection that stands, and reads the head of the answer.

    Args:
        pool: Pool of urllib3 with connections to the server.
        request: The whole request.
        seconds: Seconds without a byte after which it has failed.

    Returns:
        The answer; None when there is no such connection, and nothing was sent.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer.
    """
    connection = _standing(pool)
    if connection is None:
        return None
    with _Failing(pool, connection):
        sock = connection.sock
        if sock.gettimeout() != seconds:
            sock.settimeout(seconds)
        # The server may have answered before it has closed, as when it refuses what is too large.
        with suppress(BrokenPipeError, ConnectionResetError):
            # At once: as two records of TLS it would cost both sides twice.
            sock.sendall(request)
        incoming = getattr(connection, "incoming", None)
        if incoming is None or not incoming.is_of(sock):
            incoming = connection.incoming = Incoming(sock)
        incoming.begin(seconds)
        return Answer(pool, connection, incoming)


def _standing(pool: Any) -> Any:
    """Takes a connection out of the pool that is open, and of which nobody has heard that it was closed."""
    from urllib3.util.connection import is_connection_dropped

    try:
        connection = pool.pool.get(block=False)
    except (AttributeError, Empty):
        return None
    if connection is None or not _is_usable(connection.sock):
        # urllib3 goes on with one that is of another kind, such as TLS within the TLS of a proxy.
        _put_back(pool, connection)
        return None
    if is_connection_dropped(connection):
        connection.close()
        _put_back(pool, connection)
        return None
    return connection


def _is_usable(sock: Any) -> bool:
    """Whether it is TLS with HTTP/1.1 in it, which is all that is spoken here."""
    return isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() in (None, "http/1.1")


def _put_back(pool: Any, connection: Any) -> None:
    """Puts a connection back, open or closed: those that are closed are opened again by urllib3."""
    try:
        pool.pool.put(connection, block=False)
    except (AttributeError, Full):
        if connection is not None:
            connection.close()
