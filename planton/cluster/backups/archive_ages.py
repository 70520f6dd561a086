"""Reads how fresh the archives of live databases are: several at once, and none of them for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from planton.catalogue.names import DEFAULT_SEGMENT_SIZE
from planton.catalogue.newest import newest_backup
from planton.cluster.api.connection import ApiError
from planton.cluster.api.server import Server
from planton.cluster.backups.archives import environment
from planton.cluster.backups.backup_age import ArchiveStatus, Position, Writer, judge, writer_of
from planton.cluster.backups.sources import OperatorGives, access_of_live
from planton.cluster.patroni import read_patroni
from planton.cluster.planning.inventory import Inventory, operator_gives
from planton.errors import StoreError
from planton.translate.archive_sources import live_source
from planton.translate.contract import KubernetesObject

if TYPE_CHECKING:
    from planton.catalogue.bucket import Bucket
    from planton.translate.archive_access import ArchiveAccess

TIMEOUT = 8.0
"""Seconds after which a request to a store is given up here: a status is looked at by people who wait."""

_WITHOUT = live_source(None).lacking
"""What is said of a database that has no archive."""

OpenBucket: TypeAlias = Callable[["ArchiveAccess"], "Bucket"]


class ArchiveAges:
    """Reads how fresh archives are. Safe for several threads; a store that is not reached is not asked again."""

    def __init__(
        self,
        server: Server,
        inventory: Inventory,
        *,
        open_bucket: OpenBucket | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Makes the reader; reads nothing yet.

        Args:
            server: The API server.
            inventory: Facts of the cluster.
            open_bucket: Opens the bucket of an archive; None for the one that there is.
            now: The clock of this machine, in UTC.
        """
        self._server = server
        self._inventory = inventory
        self._open = open_bucket or _open
        self._now = now
        self._lock = threading.Lock()
        self._gives: OperatorGives | None = None
        self._unreachable: dict[tuple[str, str], StoreError] = {}

    def __call__(self, database: KubernetesObject, *, use_configmaps: bool) -> ArchiveStatus | None:
        """Reads how fresh the archive of one database is, by what its pods get.

        Args:
            database: Its custom resource, whoever made it.
            use_configmaps: Whether Patroni keeps its state in ConfigMaps.

        Returns:
            The status; None for a database without backups.

        Raises:
            ClusterError: The server refused for another reason than a missing permission.
        """
        try:
            gives = self._what_operator_gives()
            found = access_of_live(self._server, database, gives)
        except ApiError as error:
            if error.status != 403:
                raise
            return ArchiveStatus(unknown=f"no permission to read what its pods are told: {error.text}")
        access = found.access
        if access is None:
            if found.lacking == _WITHOUT:
                return None
            return ArchiveStatus(unknown=f"it {found.lacking}")
        writer = writer_of(database, {**gives.environment, **environment(database)}, access.schedule)
        where = str(access.identity)
        try:
            return self._look(access, lambda bucket: self._judge(bucket, where, writer, database, use_configmaps))
        except StoreError as error:
            status = ArchiveStatus(
                where,
                read_at=self._now(),
                unknown=f"{error.text}. {error.remedy}".rstrip(". ") if error.remedy else error.text,
                problem=error.problem,
                is_inside=error.problem == "unreachable" and is_inside(access),
            )
            if writer.instances == 0 or writer.follows:
                # Nothing is expected there, so that it is no alarm that nothing is seen.
                return replace(status, is_inside=True)
            return status

    def _look(self, access: ArchiveAccess, read: Callable[[Bucket], ArchiveStatus]) -> ArchiveStatus:
        """Opens the bucket and reads, unless the store could not be reached for another archive."""
        place = (access.endpoint, access.region)
        with self._lock:
            known = self._unreachable.get(place)
        if known is not None:
            raise known
        try:
            return read(self._open(access))
        except StoreError as error:
            if error.problem == "unreachable":
                with self._lock:
                    self._unreachable[place] = error
            raise

    def _judge(
        self, bucket: Bucket, where: str, writer: Writer, database: KubernetesObject, use_configmaps: bool
    ) -> ArchiveStatus:
        from planton.catalogue.reading import read_latest

        latest = read_latest(bucket)

        def position() -> Position:
            metadata = database["metadata"]
            state = read_patroni(
                self._server, str(metadata["namespace"]), str(metadata["name"]), use_configmaps=use_configmaps
            )
            leader = state.leader
            if leader is None or not (leader.ready and leader.is_primary):
                return Position()
            size = newest_backup(bucket, latest).segment_size
            return Position(leader.timeline, leader.wal_position, size or DEFAULT_SEGMENT_SIZE)

        return judge(where, latest, writer, self._now(), position)

    def _what_operator_gives(self) -> OperatorGives:
        with self._lock:
            if self._gives is None:
                self._gives = operator_gives(self._server, self._inventory)
            return self._gives


def is_inside(access: ArchiveAccess) -> bool:
    """Tells whether a store has a name that exists inside of a cluster only.

    Args:
        access: How the archive is reached.

    Returns:
        True for Services' names, such as `minio.storage.svc`, and for names without a dot.
    """
    host = urlsplit(access.endpoint).hostname or ""
    # https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/: <service>.<namespace>.svc.<domain>, and
    # by the search list also <service>.<namespace>, which looks like any other name.
    return host.endswith(".svc") or ".svc." in host or bool(host and "." not in host and ":" not in host)


def _open(access: ArchiveAccess) -> Bucket:
    from planton.catalogue.bucket import open_bucket

    return open_bucket(access, timeout=TIMEOUT)
