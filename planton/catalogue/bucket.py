"""The door to an object store: one archive's objects, reached by what wal-g is told and with its credentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from planton.catalogue.model import StoredObject


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
