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
        self.now = client
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made = clock()
        self._is_accepted = False
        self._has_renewed = False
        self.was_accepted = False
        self.problem = ""
        """Why no other could be made; free of credentials."""

    def __repr__(self) -> str:
        """Says nothing of the client, whose configuration holds a token."""
        return "Client()"

    def accept(self, client: Any) -> None:
        """Says that the server has accepted the credentials.

        Args:
            client: The one with which it was asked.
        """
        if client is self.now:
            self._is_accepted = self.was_accepted = True

    def is_unproven(self, client: Any) -> bool:
        """Tells whether a client was made anew after others had been accepted, and has not been accepted yet.

        Args:
            client: The client.

        Returns:
            True when its credentials may be the old ones, read a moment too early by another request.
        """
        return client is self.now and self._has_renewed and not self._is_accepted and self.was_accepted

    def renew(self, refused: Any, *, again: bool = False) -> bool:
        """Makes another client, unless somebody else has done so meanwhile.

        Args:
            refused: The one whose credentials were not accepted.
            again: Whether also to make one when the last one is young and was never accepted.

        Returns:
            Whether there is another one to try.
        """
        with self._lock:
            if self.now is not refused:
                return True
            is_young = self._clock() - self._made < _SECONDS
            if self._make is None or (is_young and not self._is_accepted and not (again and self.was_accepted)):
                return False
            # Before the attempt: a plugin that takes long and fails is not asked by each thread in turn.
            self._made = self._clock()
            self._is_accepted = False
            try:
                self.now = self._make()
            except ClusterError as error:
                self.problem = error.text
                return False
            self.problem = ""
            self._has_renewed = True
            return True
