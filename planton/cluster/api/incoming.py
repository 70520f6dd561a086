"""What a server sends on a connection: its head within a time, and nothing of it left behind for the next request.

A timeout of a socket counts from byte to byte, so that a head that drips would never end; and no signal ends it, in
other threads than the main one. What a server sends
beyond an answer would be taken for the answer to whatever is asked next; http.client and urllib3 put a connection back
without a look at that, as they do after an interim answer, such as 103, behind which the real one comes
(https://www.rfc-editor.org/rfc/rfc9110#name-informational-1xx).
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from contextlib import suppress
from typing import Any

from planton.stopping import STOPPING

# Between two looks whether the process was told to stop.
_SLICE = 1.0
_SWITCHING = 101
_FINAL = 200


class _Socket(io.RawIOBase):
    """Reads off a socket, until a time where there is one."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def begin(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self._is_shortened = self.is_over = False

    def is_of(self, sock: Any) -> bool:
        return self._sock is sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.is_over:
            return 0
        now = time.monotonic()
        end = self._end
        if end is None:
            end = now + (math.inf if self._seconds is None else self._seconds)
        while now < end:
            self._is_shortened = True
            self._sock.settimeout(min(end - now, _SLICE))
            # What has come of a record of TLS is kept for the next attempt.
            with suppress(TimeoutError):
                count: int = self._sock.recv_into(buffer)
                return count
            if STOPPING.is_over:
                break
            now = time.monotonic()
        raise TimeoutError("timed out")

    def unbound(self) -> None:
        self._end = None
        if self._is_shortened:
            self._is_shortened = False
            # It may be closed by now.
            with suppress(OSError):
                self._sock.settimeout(self._seconds)

    def is_waiting(self) -> bool:
        """Whether TLS has more of what came than was read."""
        pending = getattr(self._sock, "pending", None)
        return bool(pending and pending())

    def end(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


class _KeptSocket(_Socket):
    """Keeps the socket open: http.client closes one that ends with its answer, when it has but the head."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._kept = sock.makefile("rb", buffering=0)

    def close(self) -> None:
        if not self.closed:
            self.unbound()
            self._kept.close()
        super().close()


class Incoming(io.BufferedReader):
    """What a server sends on a connection, for one request after the other."""

    def __init__(self, sock: Any, *, is_kept: bool = False) -> None:
        """Makes it.

        Args:
            sock: The socket.
            is_kept: Whether the socket is open as long as this is.
        """
        self._socket = _KeptSocket(sock) if is_kept else _Socket(sock)
        super().__init__(self._socket)

    def is_of(self, sock: Any) -> bool:
        """Tells whether it can be used for another request.

        Args:
            sock: The socket on which that is sent.

        Returns:
            True when it is open, and reads from this one.
        """
        return self._socket.is_of(sock) and not self.closed

    def begin(self, seconds: float | None) -> None:
        """Begins to read an answer.

        Args:
            seconds: Seconds within which the head has to be there; None for any time.
        """
        self._socket.begin(seconds)

    def unbound(self) -> None:
        """Says that the head is there: from now on only silence is bounded."""
        self._socket.unbound()

    def is_at_end(self) -> bool:
        """Says that the answer has been read, and tells whether nothing has come beyond it.

        Returns:
            True when the connection can be used again.
        """
        self._socket.unbound()
        self._socket.is_over = True
        return not self.peek(1) and not self._socket.is_waiting()

    def close(self) -> None:
        """Lets go of the connection, which ends where more has come than was asked for."""
        if not self.closed:
            with suppress(OSError, ValueError):
                if not self.is_at_end():
                    self._socket.end()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer as http.client reads it, whose head comes in time, and which is the last one of its request."""

    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:
        """Begins to read.

        Args:
            sock: The socket, or what comes in from it already.
            *arguments: As of http.client.
            **named: Likewise.
        """
        incoming = sock
        if not isinstance(sock, Incoming):
            incoming = Incoming(sock, is_kept=True)
            incoming.begin(sock.gettimeout())
        super().__init__(_Opened(incoming), *arguments, **named)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Reads the head, and passes over those of interim answers."""
        super().begin()
        while _SWITCHING < self.status < _FINAL:
            self.headers = self.msg = None  # type: ignore[assignment]  # It begins when there are none.
            super().begin()
        if self.status == _SWITCHING:
            raise http.client.HTTPException("another protocol, which nobody has asked for")
        rest = self.headers.get_payload()
        if isinstance(rest, str) and rest:
            # Where headers end is not known then, nor the body; and urllib3 would log them, whatever they echo.
            raise http.client.HTTPException("a head with lines that are no headers")
        self.fp.unbound()  # type: ignore[attr-defined]


class _Opened:
    """Gives http.client what it would have made of the socket."""

    def __init__(self, file: Incoming) -> None:
        self._file = file

    def makefile(self, mode: str) -> Incoming:
        return self._file


def read_by(manager: Any) -> None:
    """Has all connections of a pool manager read in this way.

    Args:
        manager: PoolManager of urllib3, 1.26 or 2, that has opened nothing yet.
    """
    manager.pool_classes_by_scheme = {
        scheme: type(pools.__name__, (pools,), {"ConnectionCls": _reading_so(pools.ConnectionCls)})
        for scheme, pools in manager.pool_classes_by_scheme.items()
    }


def _reading_so(connections: Any) -> Any:
    return type(connections.__name__, (connections,), {"response_class": Response})
