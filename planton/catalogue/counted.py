"""A bucket that tells how far reading it has got."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planton.catalogue.bucket import Bucket
    from planton.catalogue.model import StoredObject


class CountedBucket:
    """Reads from another bucket, and counts the keys that are listed on the way. Safe for several threads."""

    def __init__(self, bucket: Bucket, progress: Callable[[int], None]) -> None:
        """Makes the bucket.

        Args:
            bucket: What is read.
            progress: Is told how many keys there were so far, after each page.
        """
        self._bucket = bucket
        self._progress = progress
        self._lock = threading.Lock()
        self._keys = 0

    @property
    def subject(self) -> str:
        """As of Bucket."""
        return self._bucket.subject

    def pages(self, start: str = "", *, after: str = "") -> Iterator[Sequence[StoredObject]]:
        """As of Bucket; counts.

        Args:
            start: What the keys begin with.
            after: Key after which to begin.

        Yields:
            Pages.
        """
        for page in self._bucket.pages(start, after=after):
            with self._lock:
                self._keys += len(page)
                self._progress(self._keys)
            yield page

    def folders(self, start: str) -> Sequence[str]:
        """As of Bucket.

        Args:
            start: Folder.

        Returns:
            Names of folders in it.
        """
        return self._bucket.folders(start)

    def files(self, start: str) -> Sequence[StoredObject]:
        """As of Bucket.

        Args:
            start: Folder.

        Returns:
            Objects in it.
        """
        return self._bucket.files(start)

    def read(self, key: str, *, most: int) -> bytes | None:
        """As of Bucket.

        Args:
            key: Key of the object.
            most: Bytes to read at most.

        Returns:
            The content; None where there is no such object.
        """
        return self._bucket.read(key, most=most)
