"""Follows changes of objects over the API server's watch, for as long as it takes.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
Only metadata are asked for, also of Secrets: what changed is enough, and what is in them is read when it is needed.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from planton.cluster.api.connection import ApiError, get
from planton.cluster.api.refusals import Doubt, is_of_authorizer
from planton.cluster.api.resources import ResourceType
from planton.cluster.api.server import Server
from planton.errors import ClusterError

_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
# Short enough that a connection which died without a word is found out; going on from a version costs little.
_SECONDS = (60, 90)
_SILENCE = 100.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
# A managed object is at most 1.5 MiB, and this is its metadata.
_LONGEST_LINE = 4 * 2**20
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to an object.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        gone: Whether it was deleted.
    """

    namespace: str
    name: str
    gone: bool


class _TooOldError(Exception):
    """The server does not know any more what happened since the version that was asked for."""


def lines(pieces: Iterable[bytes], longest: int = _LONGEST_LINE) -> Iterator[bytes]:
    """Cuts an answer into lines as it comes.

    Args:
        pieces: The answer.
        longest: Bytes of a line after which it counts as broken.

    Yields:
        Lines that are not empty.

    Raises:
        ClusterError: A line is longer than any that an API server sends.
    """
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > longest:
            raise ClusterError("the answer is not what an API server says", phase="watch", reason="BadAnswer")


class Watcher(threading.Thread):
    """A thread that tells what happens to the objects of one type, until it is told to stop.

    It goes on after what it has seen last, across restarts of the server. Where that is too long ago, whoever listens
    is told that anything may have happened, and of everything that is there as if it were new.
    """

    def __init__(
        self,
        server: Server,
        resource: ResourceType,
        *,
        namespace: str = "",
        name: str = "",
        on_event: Callable[[Event], None],
        on_gap: Callable[[], None],
        on_error: Callable[[ClusterError], None],
    ) -> None:
        """Makes the thread; call start.

        Args:
            server: The API server.
            resource: Type of the objects.
            namespace: Their namespace; empty for all.
            name: Name of the only one that is meant; empty for all.
            on_event: Is told what happened.
            on_gap: Is told that events were missed.
            on_error: Is told what went wrong; the watch goes on.
        """
        super().__init__(name=f"planton-watch-{resource.plural}-{namespace}-{name}", daemon=True)
        self._server = server.during("watch")
        self._resource = resource
        self._namespace = namespace
        self._name = name
        self._on_event = on_event
        self._on_gap = on_gap
        self._on_error = on_error
        self._ended = threading.Event()
        self._version = ""
        self._pause = _FIRST_PAUSE
        self._doubt: Doubt | None = None

    def stop(self) -> None:
        """Ends the thread, with the next word of the server at the latest."""
        self._ended.set()

    def run(self) -> None:
        """Watches, and begins again whenever the server ends it."""
        while not self._ended.is_set():
            try:
                if self._follow():
                    self._pause = _FIRST_PAUSE
                    continue
            except _TooOldError:
                self._version = ""
                self._on_gap()
            except ClusterError as error:
                if isinstance(error, ApiError) and error.retry_after is not None:
                    self._pause = min(max(self._pause, error.retry_after), _LONGEST_PAUSE)
                # Without its definition there is no custom resource, and nothing that could be missed.
                if not (isinstance(error, ApiError) and error.is_absent):
                    self._on_error(error)
            except Exception as error:  # A thread that died would be missed by nobody.
                self._on_error(ClusterError(f"this is a bug in planton: {type(error).__name__}", phase="watch"))
            # Not all at once, after the server was away for everybody.
            self._ended.wait(self._pause * _CHANCE.uniform(0.5, 1.5))
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _follow(self) -> bool:
        """Watches once; tells whether the server said anything."""
        fields = f"metadata.name={self._name}" if self._name else None
        query: dict[str, str | int | None] = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": _CHANCE.randint(*_SECONDS),
            "fieldSelector": fields,
        }
        request = replace(get(self._resource.path(self._namespace), query), accept=_METADATA_ONLY)
        subject = self._resource.subject(self._namespace, self._name)
        pieces = self._server.connection.open(
            request, subject=subject, phase="watch", scrub=self._server.scrubber.text, silence=_SILENCE
        )
        said, asked = False, self._server.connection.patience.now()
        try:
            for line in lines(pieces):
                if self._ended.is_set():
                    return True
                self._take(line)
                said = True
        except ApiError as error:
            if error.status == 410:
                raise _TooOldError from None
            if is_of_authorizer(error):
                doubt, self._doubt = self._doubt or Doubt(self._server), None
                if doubt.is_of(asked):
                    self._doubt = doubt
                    return True
            # Silence, or an end in the middle, after it had worked is what a restart of the server looks like.
            if said and error.status == 0:
                # A proxy that cuts each answer after its first line shall not be asked without a pause.
                self._ended.wait(_CHANCE.uniform(0.0, _FIRST_PAUSE))
                return True
            raise
        return said

    def _safe(self, text: str) -> str:
        return self._server.shown(text)

    def _take(self, line: bytes) -> None:
        try:
            event: dict[str, Any] = json.loads(line)
            word, obj = str(event["type"]), event["object"]
            metadata = obj.get("metadata") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ClusterError("the answer is not what an API server says", phase="watch", reason="BadAnswer") from None
        if word == "ERROR":
            code = int(obj.get("code") or 0)
            if code == 410:
                raise _TooOldError
            raise ClusterError(
                self._safe(str(obj.get("message") or "no reason given")),
                subject=self._resource.subject(self._namespace, self._name),
                phase="watch",
                status=code,
                reason=self._safe(str(obj.get("reason") or "")),
            )
        if word != "BOOKMARK":
            self._on_event(Event(str(metadata.get("namespace", "")), str(metadata.get("name", "")), word == "DELETED"))
        # Only now: what was not taken is told again.
        self._version = str(metadata.get("resourceVersion") or self._version)
