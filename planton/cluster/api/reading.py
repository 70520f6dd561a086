"""Bounds the time in which an answer has to be there as a whole.

A timeout of a socket counts from byte to byte: an answer that drips would never end. Nothing of the client's or of
urllib3's bounds it, so its connection is shut down from outside.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

_LOOK_SECONDS = 0.5


class _Reading:
    __slots__ = ("end", "is_cut", "response")

    def __init__(self, response: Any, end: float) -> None:
        self.response = response
        self.end = end
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        # urllib3 1.26 to 2: the connection is there until the answer has been read, but for one that ends with it,
        # which only the reader of the body has.
        connection = getattr(self.response, "connection", None) or getattr(self.response, "_connection", None)
        reader = getattr(getattr(self.response, "_fp", None), "fp", None)
        for one in (getattr(connection, "sock", None), getattr(getattr(reader, "raw", None), "_sock", None)):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                return


class _Watch:
    """Looks after all readings of the process, by one thread that there is only when it is needed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readings: set[_Reading] = set()
        self._is_running = False

    def forget(self) -> None:
        """Begins anew in a forked process, which has none of the threads: neither this one, nor those that read."""
        self._changed = threading.Condition()
        self._readings = set()
        self._is_running = False

    def add(self, reading: _Reading) -> None:
        with self._changed:
            self._readings.add(reading)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="planton-answers", daemon=True).start()

    def remove(self, reading: _Reading) -> None:
        with self._changed:
            self._readings.discard(reading)

    def _run(self) -> None:
        idle = 0
        while idle < 10:
            time.sleep(_LOOK_SECONDS)
            with self._changed:
                idle = 0 if self._readings else idle + 1
                late = [one for one in self._readings if one.end < time.monotonic()]
                self._readings.difference_update(late)
                if idle == 10:
                    self._is_running = False
            for one in late:
                one.cut()


_WATCH = _Watch()
os.register_at_fork(after_in_child=_WATCH.forget)


@contextlib.contextmanager
def whole(response: Any, seconds: float) -> Iterator[None]:
    """Bounds the reading of an answer.

    Args:
        response: The response of urllib3, of which only the head has been read.
        seconds: How long the reading may take.

    Yields:
        Nothing; the answer is read inside of the block.

    Raises:
        urllib3.exceptions.HTTPError: The answer was not complete in time.
    """
    reading = _Reading(response, time.monotonic() + seconds)
    _WATCH.add(reading)
    try:
        yield
    except Exception:
        # Whatever it looks like from the inside.
        if not reading.is_cut:
            raise
    finally:
        _WATCH.remove(reading)
    if reading.is_cut:
        from urllib3.exceptions import HTTPError

        raise HTTPError from TimeoutError(f"it was not complete after {seconds:.0f} s")
