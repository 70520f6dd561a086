"""What the door to a cluster does to delete databases, and the operator behind them."""

from __future__ import annotations

from collections.abc import Iterable

from planton.cluster._bounded import bounded
from planton.cluster.api.connection import Connection
from planton.cluster.changes import DeleteOptions, DeleteResult, Plan, Progress, effects_in, locked
from planton.manifest import Manifests, prepare
from planton.types import Resource


class DeleteMethods:
    """A part of Cluster."""

    _connection: Connection

    def plan_delete(self, manifests: Iterable[Resource], *, options: DeleteOptions) -> Plan:
        """Says what a delete would do. Writes nothing.

        Args:
            manifests: Messages of the databases, and of the operator where it is meant.
            options: What may go.

        Returns:
            A plan to look at, with what would be deleted, and what would stay as skipped; `apply` does not take it.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: A word is missing, or the state of the cluster forbids it.
            ClusterError: The server refused something, or could not be reached.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.deleting.deletion import read_deletion
        from planton.cluster.permissions.advice import advised, operator_in, works_of_delete
        from planton.cluster.planning import admission

        messages = prepare(manifests)
        with advised(self._connection, works_of_delete(options), operator_in(messages, options.operator_namespace)):
            deletion, _ = read_deletion(Server(self._connection, "read"), messages, options)
        changes = tuple(step.change for step in deletion.steps)
        return Plan(
            self._connection.identity,
            changes,
            effects=effects_in(changes),
            target_clusters=admission.target_clusters(messages),
            remaining=tuple(one.remaining for one in deletion.behind),
        )

    @bounded
    def delete(
        self,
        manifests: Iterable[Resource],
        *,
        options: DeleteOptions,
        timeout: float = 300.0,
        progress: Progress | None = None,
    ) -> DeleteResult:
        """Deletes databases, each only by its name, and waits until the operator has cleaned up.

        Volumes, passwords, storage Secret and Namespace stay unless each is named by its own word; the CRD stays.
        Archives stay in any case, and are written down with what is needed to restore from them.

        Args:
            manifests: Messages of the databases, and of the operator where it is meant.
            options: What may go.
            timeout: How long may be waited, in seconds, until the operator has cleaned up. Last backups take their own
                time before.
            progress: Is told where the work has got to, by one thread at a time.

        Returns:
            What was deleted, what stays as skipped, and what remains of each database.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: A word is missing, or the state of the cluster forbids it. Nothing was deleted.
            WaitError: The operator has not cleaned up in time. `changes` on it says what was done before.
            ClusterError: The server refused something, or could not be reached. Likewise.
        """
        from planton.cluster.permissions.advice import advised, operator_in, works_of_delete

        messages, report = prepare(manifests), locked(progress)
        with advised(self._connection, works_of_delete(options), operator_in(messages, options.operator_namespace)):
            return self._delete(messages, options, timeout, report)

    def _delete(self, messages: Manifests, options: DeleteOptions, timeout: float, report: Progress) -> DeleteResult:
        from planton.cluster.api.server import Server
        from planton.cluster.deleting.delete import Deleter
        from planton.cluster.deleting.deletion import read_deletion
        from planton.cluster.deleting.last_backup import LastBackup
        from planton.cluster.wait import Deadline

        deletion, reader = read_deletion(Server(self._connection, "read"), messages, options)
        server = Server(self._connection, "delete")
        deleter = Deleter(
            server,
            deletion,
            deadline=Deadline(timeout),
            progress=report,
            read_archive=reader,
            make_backup=LastBackup(server.during("backup"), reader, progress=report),
        )
        changes = tuple(deleter.run())
        return DeleteResult(
            self._connection.identity, changes, effects=effects_in(changes), remaining=deleter.remaining
        )
