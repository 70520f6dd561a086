"""The door to an object store: one archive's objects, reached by what wal-g is told and with its credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from planton.catalogue.model import StoredObject
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials

TIMEOUT = 30.0
"""Seconds after which a request to a store is given up, where nothing else is said."""


class Bucket(Protocol):
    """Objects below one archive's prefix. Keys are relative to it. Safe for several threads."""

    @property
    def subject(self) -> str:
        """What is reached, for people: `s3://<bucket>/<path> at <host>`."""
        ...

    def pages(self, start: str = "", *, after: str = "") -> Iterator[Sequence[StoredObject]]:
        """Lists objects in the order of their keys, a page at a time; the next page is asked for when it is wanted.

        Args:
            start: What their keys begin with; any text, also one that ends within a name.
            after: Key after which to begin; empty for the beginning.

        Yields:
            Pages, none of them empty.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def folders(self, start: str) -> Sequence[str]:
        """Lists the names of folders: what stands between `start` and the next slash.

        Args:
            start: Folder, with a slash at its end.

        Returns:
            Names without slashes, sorted.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def files(self, start: str) -> Sequence[StoredObject]:
        """Lists the objects that lie directly in a folder, and not those in folders within it.

        Like `folders` it costs one request for each 1,000 objects and folders together, however much the folders hold:
        this is how the sentinels of base backups are found without listing what the backups consist of.

        Args:
            start: Folder, with a slash at its end.

        Returns:
            Objects in the order of their keys.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def read(self, key: str, *, most: int) -> bytes | None:
        """Reads an object.

        Args:
            key: Its key.
            most: How many bytes of it to read at most, from its beginning.

        Returns:
            What it holds, or its first bytes; None when there is no such object.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...


class WritableBucket(Bucket, Protocol):
    """A bucket into which a probe writes. Nothing else writes."""

    @property
    def uses_tls(self) -> bool:
        """Whether the store is reached by TLS."""
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Gives size and time of an object as a listing has them.

        Args:
            key: Its key.

        Returns:
            The object; None when there is none.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Writes an object.

        Args:
            key: Its key. An object of that name is written over.
            content: What it shall hold.

        Raises:
            StoreError: The store refused, or could not be reached; it is not known then whether the object is there.
        """
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes objects by one request for many, as the retention of wal-g does.

        Args:
            keys: Their keys; what is not there is passed over.

        Raises:
            StoreError: The store refused all or some, or could not be reached.
        """
        ...

    def delete_one(self, key: str) -> None:
        """Deletes one object by a request of its own.

        Args:
            key: Its key; that it is not there is no error.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        ...


def open_bucket(
    access: ArchiveAccess, *, timeout: float = TIMEOUT, environment: Mapping[str, str] | None = None
) -> WritableBucket:
    """Opens the bucket of an archive, told what wal-g is told in the pods and nothing else. Sends nothing.

    Where the pods have an identity of their cloud in the place of keys, the AWS_* credentials of this process are used,
    for Amazon S3 alone. Nothing else of this process has a say: no proxy, no authority, no region.

    Args:
        access: How the archive is reached.
        timeout: Seconds after which a request is given up; a retry is within them.
        environment: Variables of this process; None for its own.

    Returns:
        The bucket; there is nothing to be closed.

    Raises:
        StoreError: There are no keys, or with these variables wal-g does not get to a store either.
    """
    from planton.catalogue._address import address_of
    from planton.catalogue._keys import keys_of
    from planton.catalogue._s3 import S3Bucket, process_environment

    address = address_of(access)
    keys = keys_of(access, process_environment() if environment is None else Credentials(environment), address)
    return S3Bucket(address, keys, timeout=timeout)
