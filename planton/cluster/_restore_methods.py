"""What the door to a cluster does for a restore: it makes the manifest, which is planned and applied as any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from planton.cluster.api.connection import Connection
from planton.manifest import prepare
from planton.types import Resource

if TYPE_CHECKING:
    from planton.cluster.restoring.restore import RestoreDraft, RestoreRequest


class RestoreMethods:
    """A part of Cluster."""

    _connection: Connection

    def draft_restore(self, request: RestoreRequest, *, manifests: Iterable[Resource] = ()) -> RestoreDraft:
        """Makes the manifest of a database that starts from the archive of another one. Writes nothing.

        Args:
            request: What is to be restored as what.
            manifests: Messages in which the source is; without any, the cluster is asked, and then the record of
                archives of databases that are gone.

        Returns:
            The manifest: its `manifests` are what `plan` takes.

        Raises:
            ManifestError: The manifests cannot be used, or hold no such database, or one with keys that cannot be
                referred to.
            RefusedError: There is no such database, or the new one is there already.
            ClusterError: The server refused something, or could not be reached.
            StoreError: The archive of a database that is gone cannot be read.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.permissions.advice import advised, operator_in
        from planton.cluster.restoring.restore import draft_restore

        messages = prepare(manifests)
        # What is planned and applied with the draft needs more than the draft itself.
        with advised(self._connection, ["databases"], operator_in(messages, request.operator_namespace)):
            return draft_restore(Server(self._connection, "read"), messages, request)
