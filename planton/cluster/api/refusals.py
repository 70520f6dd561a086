"""Whether a refusal for want of a permission counts: an API server that has just started refuses nearly everybody.

It answers as soon as it listens, and learns of roles and bindings only then. Until it has them, it says in the usual
words, and with the usual status, that somebody may not do what he may: seen of kube-apiserver 1.36.3 for some tenths of
a second after each start, of all that is not done by an administrator (system:masters), the question whether one may
(selfsubjectaccessreviews) included. Nothing in such a refusal tells it from a true one, but /readyz does, which
everybody may read by default: it says ok once the server has all that it needs to know (informer-sync;
k8s.io/apiserver v0.36.3, pkg/server/healthz/healthz.go).
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from planton.cluster.api.connection import ApiError, get

if TYPE_CHECKING:
    from planton.cluster.api.server import Server

# k8s.io/apiserver v0.36.3, pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage), behind what
# k8s.io/apimachinery pkg/api/errors (NewForbidden) writes before it. At the beginning: a webhook may quote the same.
_OF_AUTHORIZER = re.compile(r'(?:[\w.-]+(?: "[^"]*")? is )?forbidden: User "')
_READY = "/readyz"
_SILENCE = 5.0
# For so long a server that was ready is taken to be the same one.
_SECONDS = 2.0
# Where one may not even read that, by a rule of the cluster or because the server has just started, nobody knows.
_LONGEST_DOUBT = 10.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_CHANCE = random.SystemRandom()


class Doubt:
    """The doubt about refusals of one request, or of several that are asked together, until they are believed."""

    def __init__(self, server: Server) -> None:
        """Makes it; asks nothing yet.

        Args:
            server: The API server.
        """
        self._server = server
        self._patience = server.connection.patience
        self._begun: float | None = None
        self._pause = _FIRST_PAUSE

    def is_of(self, asked: float) -> bool:
        """Tells whether a refusal has to be doubted, and waits until it makes sense to ask again.

        Args:
            asked: When what was refused was begun, as of the connection's patience.

        Returns:
            True when the same has to be asked again; False when the refusal counts.
        """
        patience = self._patience
        if patience.readiness.was_given(asked):
            return False
        now = patience.now()
        begun = self._begun = now if self._begun is None else self._begun
        status = self._ask()
        if status == 200:
            # It may have become ready after it had refused: what it says from now on counts.
            patience.readiness.note(now, _SECONDS)
            return now - begun < patience.limit
        limit = min(patience.limit, _LONGEST_DOUBT) if status == 403 else patience.limit
        if status in (403, 429) or status == 0 or status >= 500:
            pause = _CHANCE.uniform(0.0, self._pause)
            self._pause = min(2.0 * self._pause, _LONGEST_PAUSE)
            if now - begun < limit and patience.wait(pause):
                return True
        # It is not told here. Nobody waits for that again, unless the server is away meanwhile.
        patience.readiness.note(begun, float("inf"))
        return False

    def _ask(self) -> int:
        """Asks whether the server is ready; gives the status of its answer, 0 for none."""
        server = self._server
        try:
            for _ in server.connection.open(
                get(_READY), subject=_READY, phase=server.phase, scrub=server.scrubber.text, silence=_SILENCE
            ):
                pass
        except ApiError as error:
            # A page of something in between is no API server that starts.
            return 404 if error.status == 0 and not error.is_passing else error.status
        return 200


def is_of_authorizer(error: ApiError) -> bool:
    """Tells whether the server has refused for want of a permission, and not by a quota, a policy or a webhook.

    Args:
        error: The refusal.

    Returns:
        True when it says so.
    """
    return error.status == 403 and _OF_AUTHORIZER.match(error.text) is not None
