"""The last base backup of a database before it is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from planton.cluster.api.resources import Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_reading import ArchiveReader
from planton.cluster.backups.backup_now import make_backup, plan_backup
from planton.cluster.changes import ProgressEvent
from planton.errors import RefusedError

LONGEST = 24 * 3600.0
"""Seconds after which a last backup is not waited for any more: a large database takes hours."""


class LastBackup:
    """Makes base backups through the databases' own pods. A MakeBackup."""

    def __init__(
        self,
        server: Server,
        reader: ArchiveReader,
        *,
        timeout: float = LONGEST,
        progress: Callable[[ProgressEvent], None] = lambda event: None,
    ) -> None:
        """Makes the maker; does nothing yet.

        Args:
            server: The API server.
            reader: Reads archives.
            timeout: How long one may take, in seconds.
            progress: Is told what the script in the pod says.
        """
        self._server = server
        self._reader = reader
        self._timeout = timeout
        self._progress = progress

    def check(self, keys: Iterable[Key]) -> None:
        """Looks whether base backups can be made.

        Args:
            keys: Identities of custom resources.

        Raises:
            RefusedError: One cannot, for all reasons at once.
            ClusterError: The server refused.
        """
        reasons: list[str] = []
        for key in keys:
            try:
                plan_backup(self._server, key.namespace, key.name)
            except RefusedError as error:
                reasons += error.reasons
        if reasons:
            raise RefusedError([f"no last base backup: {one}" for one in reasons])

    def __call__(self, key: Key) -> str:
        """Makes a base backup and waits for it.

        Args:
            key: Identity of the custom resource.

        Returns:
            Its name in the archive.

        Raises:
            RefusedError: None can be made.
            ClusterError: It failed, or was not there in time.
            StoreError: The archive cannot be read.
        """
        planned = plan_backup(self._server, key.namespace, key.name)

        def newest() -> tuple[str, datetime] | None:
            return self._reader.newest(key)

        def tell(event: ProgressEvent) -> None:
            self._progress(replace(event, subject=f"last backup of {key.namespace}/{key.name}: {event.subject}"))

        # What the script and wal-g say goes into progress and errors.
        server = self._server.during("backup", self._reader.scrubber(key))
        return make_backup(server, planned, newest=newest, timeout=self._timeout, progress=tell).name
