"""What the door to a cluster does with archives: opens them, and makes base backups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from planton.cluster.api.connection import Connection
from planton.cluster.changes import Progress, locked
from planton.manifest import prepare
from planton.types import Resource

if TYPE_CHECKING:
    from planton.catalogue.archive import Archive
    from planton.cluster.backups.backup_now import BackupMade, PlannedBackup


class ArchiveMethods:
    """A part of Cluster."""

    _connection: Connection

    def archive(
        self,
        name: str,
        namespace: str | None = None,
        *,
        manifests: Iterable[Resource] = (),
        operator_namespace: str | None = None,
    ) -> Archive:
        """Opens the archive of a database, to be looked into.

        Args:
            name: metadata.name of the database; without manifests also the name of its custom resource, whoever made
                it.
            namespace: Its namespace, where several databases have that name.
            manifests: Messages that say where its archive is; without any, what its pods get says it.
            operator_namespace: Namespace of the operator, where the cluster has several.

        Returns:
            The archive. Nothing was asked of the store yet.

        Raises:
            ManifestError: The manifests cannot be used, or hold no such database, or several.
            RefusedError: The database has no archive, or there is no such database.
            ClusterError: The server refused something, or could not be reached.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.backups.access import find_access, open_archive
        from planton.cluster.permissions.advice import advised

        server = Server(self._connection, "read")
        with advised(self._connection, ["read"], operator_namespace or ""):
            return open_archive(find_access(server, prepare(manifests), name, namespace, operator_namespace))

    def plan_backup(self, archive: Archive) -> PlannedBackup:
        """Looks whether a base backup of a database can be made now, and by which pod. Writes nothing.

        Args:
            archive: Its archive, as `archive` gives it.

        Returns:
            What would be done, with what else that does.

        Raises:
            RefusedError: None can be made, with the reason.
            ClusterError: The server refused something, or could not be reached.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.backups.backup_now import plan_backup
        from planton.cluster.permissions.advice import advised
        from planton.cluster.permissions.needed import check_backup

        server = Server(self._connection, "backup")
        with advised(self._connection, ["backup"]):
            planned = plan_backup(server, archive.access.namespace, archive.access.scope)
            check_backup(server, archive.access.namespace)
        return planned

    def create_backup(
        self,
        archive: Archive,
        planned: PlannedBackup | None = None,
        *,
        timeout: float = 3600.0,
        progress: Progress | None = None,
    ) -> BackupMade:
        """Makes a base backup now, through the database's own pod as its schedule does, and waits until it is there.

        Args:
            archive: The archive of the database, as `archive` gives it.
            planned: What plan_backup gave; None to look now.
            timeout: How long it may take, in seconds. What has begun goes on after it.
            progress: Is told what the script in the pod says.

        Returns:
            The base backup, as it is in the bucket.

        Raises:
            RefusedError: None can be made, with the reason.
            WaitError: It was not there in time; it may still come.
            ClusterError: It failed, or the server refused something.
            StoreError: The archive cannot be read.
        """
        from planton.cluster.api.mask import scrubber_for
        from planton.cluster.api.server import Server
        from planton.cluster.backups.backup_now import make_backup
        from planton.cluster.permissions.advice import advised

        scrubber = scrubber_for([{"kind": "Secret", "data": archive.access.contents.data()}])
        planned = planned or self.plan_backup(archive)
        with advised(self._connection, ["backup"]):
            return make_backup(
                Server(self._connection, "backup", scrubber),
                planned,
                newest=archive.newest,
                timeout=timeout,
                progress=locked(progress),
            )
