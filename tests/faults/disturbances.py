"""What the proxy can do to a request instead of forwarding it."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.proxy import Fault, Handler, Seen
from tests.faults.proxy import reset_before_reading as reset_before_reading


def says(code: int, content: bytes = b"", **headers: str) -> Fault:
    """Answers without asking the server."""
    return lambda handler, body: handler.answer(code, content, **headers)


def reset_before_forwarding(handler: Handler, body: bytes) -> None:
    """Ends the connection when the request was read, before the server has it."""
    handler.reset()


def reset_after_forwarding(handler: Handler, body: bytes) -> None:
    """Ends the connection when the server has done it: it happened, and nobody says so."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        handler.forward(body).read()
    handler.reset()


def done_and_says(code: int, content: bytes = b"") -> Fault:
    """Lets the server do it, and says something else, as a proxy that has lost patience."""

    def fault(handler: Handler, body: bytes) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            handler.forward(body).read()
        handler.answer(code, content)

    return fault


def cut_in_the_body(handler: Handler, body: bytes) -> None:
    """Gives the head and half of the body, and ends the connection."""
    response = handler.forward(body)
    content = response.read()
    handler.send_head(response, {"Content-Length": str(len(content))})
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.reset()


def too_long(handler: Handler, body: bytes) -> None:
    """Says a length that is larger than the body, and ends in good order."""
    response = handler.forward(body)
    content = response.read()
    handler.send_head(response, {"Content-Length": str(len(content) + 10), "Connection": "close"})
    handler.wfile.write(content)
    handler.close_connection = True


def garbage(handler: Handler, body: bytes) -> None:
    """Answers with what is no HTTP."""
    handler.wfile.write(b"\x00\x01\x02 SSH-2.0-OpenSSH_9.9\r\n\r\n")
    handler.close_connection = True


def hang(seconds: float = 30.0, *, done: bool = False) -> Fault:
    """Says nothing for a time, then ends.

    Args:
        seconds: How long.
        done: Whether the server has done it.
    """

    def fault(handler: Handler, body: bytes) -> None:
        if done:
            with contextlib.suppress(OSError, http.client.HTTPException):
                handler.forward(body).read()
        end = time.monotonic() + seconds
        handler.connection.settimeout(0.05)
        while time.monotonic() < end and not handler.owner.ended.is_set():
            try:
                if not handler.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        handler.reset()

    return fault


def slow(seconds: float) -> Fault:
    """Gives the right answer after a time."""

    def fault(handler: Handler, body: bytes) -> None:
        handler.owner.ended.wait(seconds)
        handler.relay(body)

    return fault


def drip(pause: float) -> Fault:
    """Gives the right answer byte by byte.

    Args:
        pause: Seconds between two bytes.
    """

    def fault(handler: Handler, body: bytes) -> None:
        response = handler.forward(body)
        content = response.read()
        handler.send_head(response, {"Content-Length": str(len(content))})
        for number in range(len(content)):
            handler.wfile.write(content[number : number + 1])
            handler.wfile.flush()
            if handler.owner.ended.wait(pause):
                break

    return fault


@dataclass
class First:
    """Disturbs the first request of each method and path, by turns.

    Attributes:
        faults: What happens.
        of: Which requests are meant.
        most: How many are disturbed altogether.
    """

    faults: list[Fault]
    of: Callable[[Seen], bool] = lambda seen: True
    most: int = 10**9
    done: int = field(default=0)

    def __call__(self, seen: Seen) -> Fault | None:
        """Says what happens to a request."""
        if seen.nth or self.done >= self.most or not self.of(seen):
            return None
        self.done += 1
        return self.faults[(self.done - 1) % len(self.faults)]
