"""What the door to a cluster does for credentials that change: it follows them, once or for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from planton.cluster._bounded import bounded
from planton.cluster.api.connection import ApiError, Connection
from planton.cluster.changes import ApplyResult, Change, Progress, effects_in, locked
from planton.errors import PlantonError

if TYPE_CHECKING:
    from planton.cluster.synchronising.follow import Follower
    from planton.cluster.synchronising.sync_result import Synchronised


class CredentialMethods:
    """A part of Cluster."""

    _connection: Connection

    @bounded
    def synchronise_credentials(
        self,
        operator_namespace: str | None = None,
        *,
        timeout: float = 300.0,
        progress: Progress | None = None,
        on_change: Callable[[Change], None] | None = None,
    ) -> ApplyResult:
        """Brings the operator's credentials to every namespace with a database, and follows when they have changed.

        Secrets of others that the operator's manifest refers to are read again. When they have other keys, everything
        follows, and in the end the operator restarts the pods. When it is broken off, do it again.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.
            timeout: How long may be waited, in seconds, for an operator that has to restart.
            progress: Is told where the work has got to, by one thread at a time.
            on_change: Is told each change as soon as it is made, by one thread at a time.

        Returns:
            What was done.

        Raises:
            RefusedError: There are no backups to copy credentials for, or several operators.
            ConflictError: Secrets that are not planton's stand where copies belong. All others are written, and
                `changes` on it says which.
            WaitError: The operator was not ready in time. Likewise.
            ClusterError: The server refused something, or a Secret of others cannot be used. Likewise.
        """
        from planton.cluster.synchronising.synchronise import Synchroniser
        from planton.cluster.wait import Deadline

        synchroniser = Synchroniser(
            self._connection,
            operator_namespace,
            progress=locked(progress),
            on_change=on_change or (lambda change: None),
        )
        done = synchroniser.run(Deadline(timeout))
        done.check()
        old = self._old_credentials(done) if any(one.action == "configured" for one in done.changes) else ()
        return ApplyResult(
            self._connection.identity, done.changes, effects=effects_in(done.changes), old_credentials=old
        )

    def _old_credentials(self, done: Synchronised) -> tuple[str, ...]:
        """Finds what still runs on old credentials; nothing to whom pods are not shown, such as the CronJob."""
        if done.state is None:
            return ()
        from planton.cluster.api.server import Server
        from planton.cluster.planning.generations import read_old_credentials

        try:
            old = read_old_credentials(Server(self._connection, "sync"), done.state.platform.namespace)
        except ApiError as error:
            if error.status != 403:
                raise
            return ()
        return tuple(one.line for one in old)

    def follow_credentials(
        self,
        operator_namespace: str | None = None,
        *,
        interval: float = 300.0,
        on_change: Callable[[Change], None],
        on_error: Callable[[PlantonError], None],
    ) -> Follower:
        """Does as synchronise_credentials whenever something changes, for as long as it is let.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.
            interval: Seconds after which everything is looked at again.
            on_change: Is told each change as soon as it is made.
            on_error: Is told what goes wrong. It is tried again, and told again only when it is something else.

        Returns:
            Its `run` works until its `stop` is called, by another thread.
        """
        from planton.cluster.synchronising.follow import Follower

        return Follower(self._connection, operator_namespace, interval=interval, on_change=on_change, on_error=on_error)
