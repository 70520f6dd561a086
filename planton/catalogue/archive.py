"""One archive, to be looked into."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from planton.catalogue.bucket import WritableBucket
    from planton.catalogue.model import Catalogue, Latest
    from planton.translate.archive import ArchiveIdentity
    from planton.translate.archive_access import ArchiveAccess


class Archive:
    """The archive of a database, read straight from its bucket. Made by `planton.archive`; safe for several threads.

    Nothing is asked of the store before a method is called, and each call asks anew. It only reads.
    """

    __slots__ = ("_access",)

    def __init__(self, access: ArchiveAccess) -> None:
        """Makes the archive; use `planton.archive`.

        Args:
            access: How it is reached and read.
        """
        self._access = access

    @property
    def access(self) -> ArchiveAccess:
        """How it is reached and read."""
        return self._access

    @property
    def identity(self) -> ArchiveIdentity:
        """What tells it from other archives."""
        return self._access.identity

    def __str__(self) -> str:
        """Such as `s3://backups/db-orders/17 at minio.example.com`."""
        return str(self.identity)

    def __repr__(self) -> str:
        """Names the archive."""
        return f"Archive({self.identity})"

    def __reduce__(self) -> NoReturn:
        """Refuses to be written down: it holds keys."""
        raise TypeError("archives are not pickled")

    def open(self) -> WritableBucket:
        """Opens its bucket. Sends nothing yet.

        Returns:
            The bucket.

        Raises:
            StoreError: There are no keys for it, or wal-g would not get there either.
        """
        from planton.catalogue.bucket import open_bucket

        return open_bucket(self._access)

    def catalogue(self, *, now: datetime | None = None, progress: Callable[[int], None] | None = None) -> Catalogue:
        """Reads all that is in it: base backups, WAL, timelines, and the times to which a restore can go.

        Args:
            now: When the next run of retention is taken to be, an aware time; None for now.
            progress: Is told how many keys have been listed so far, by any thread.

        Returns:
            The catalogue.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        from planton.catalogue.counted import CountedBucket
        from planton.catalogue.reading import read_catalogue
        from planton.catalogue.wal_archive import open_wal

        bucket = self.open()
        return read_catalogue(
            CountedBucket(bucket, progress) if progress is not None else bucket,
            now=now or datetime.now(UTC),
            retention=self._access.retention,
            wal=open_wal(bucket, self._access),
            prefix=self._access.prefix,
        )

    def latest(self) -> Latest:
        """Reads how old the last base backup and the last WAL segment are, with a handful of requests.

        Returns:
            What is newest.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        from planton.catalogue.reading import read_latest

        return read_latest(self.open())

    def newest(self) -> tuple[str, datetime] | None:
        """Finds the newest base backup, with a handful of requests.

        Returns:
            Its name, and when the store got its sentinel; None when there is none.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        latest = self.latest()
        return (latest.backup, latest.backup_modified) if latest.backup and latest.backup_modified else None
