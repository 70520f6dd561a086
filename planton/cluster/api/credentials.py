"""The client of a connection, which is made anew when its credentials are not accepted any more.

The official client asks a plugin again when the plugin has said when its token expires, and reads the token of a pod
again each minute. It never reads the `tokenFile`, the client certificate or the authority of a kubeconfig again, nor
asks a plugin whose token was revoked; client-go does all of that (client-go v0.36.3, transport/token_source.go,
transport/cert_rotation.go, plugin/pkg/client/auth/exec/exec.go). So the kubeconfig is read again as a whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from planton.errors import ClusterError

# Whoever has just read a kubeconfig need not read it again.
_SECONDS = 10.0


class _Current:
    """A client, and what is known of its credentials.

    Both in one value: an answer to the client before, which comes while the next one is made, says nothing of that one.
    """

    __slots__ = ("client", "is_accepted", "is_renewed")

    def __init__(self, client: Any, *, is_renewed: bool) -> None:
        self.client = client
        self.is_renewed = is_renewed
        self.is_accepted = False


class Client:
    """The client that is used now. Safe for several threads."""

    def __init__(
        self, client: Any, make: Callable[[], Any] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Makes the value.

        Args:
            client: DynamicClient of the official client.
            make: Makes another from the kubeconfig as it is now; None where there is nothing to read again.
            clock: Gives the time in seconds.
        """
        self._current = _Current(client, is_renewed=False)
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made = clock()
        self._failed = float("-inf")
        self.was_accepted = False
        self.problem = ""
        """Why no other could be made; free of credentials."""

    def __repr__(self) -> str:
        """Says nothing of the client, whose configuration holds a token."""
        return "Client()"

    @property
    def now(self) -> Any:
        """DynamicClient of the official client."""
        return self._current.client

    def accept(self, client: Any) -> None:
        """Says that the server has accepted the credentials.

        Args:
            client: The one with which it was asked.
        """
        current = self._current
        if client is current.client:
            current.is_accepted = self.was_accepted = True

    def is_unproven(self, client: Any) -> bool:
        """Tells whether a client was made anew after others had been accepted, and has not been accepted yet.

        Args:
            client: The client.

        Returns:
            True when its credentials may be the old ones, read a moment too early by another request.
        """
        current = self._current
        return client is current.client and current.is_renewed and not current.is_accepted and self.was_accepted

    def renew(self, refused: Any, *, again: bool = False) -> bool:
        """Makes another client, unless somebody else has done so meanwhile.

        Args:
            refused: The one whose credentials were not accepted.
            again: Whether also to make one when the last one is young and was never accepted.

        Returns:
            Whether there is another one to try.
        """
        with self._lock:
            current = self._current
            if current.client is not refused:
                return True
            now = self._clock()
            is_young = now - self._made < _SECONDS
            is_known = is_young and not current.is_accepted and not (again and self.was_accepted)
            # A plugin that fails is not asked by each thread in turn: it may be a window of a login each time.
            if self._make is None or is_known or now - self._failed < _SECONDS:
                return False
            try:
                made = self._make()
            except ClusterError as error:
                self.problem = error.text
                self._failed = self._clock()
                return False
            # Not before: it may have taken long, and is news all the same.
            self._made = self._clock()
            self.problem = ""
            self._current = _Current(made, is_renewed=True)
            return True
