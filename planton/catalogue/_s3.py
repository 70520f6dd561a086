"""A bucket by the S3 API, through obstore, told exactly what wal-g is told."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from planton.catalogue._address import StoreAddress
from planton.catalogue._s3_errors import status_of, store_error
from planton.catalogue.model import StoredObject
from planton.errors import StoreError
from planton.translate.secret_values import Credentials

if TYPE_CHECKING:
    from obstore import ListResult, ListStream, ObjectMeta
    from obstore.store import ClientConfig, S3Config, S3Store

_Result = TypeVar("_Result")

PAGE = 1000
"""Objects in a page: what S3 gives at most for one request."""

_CONNECT_SECONDS = 5.0
# object_store reads all AWS_* when a client is made, its HTTP library the proxies, and its TLS library where
# authorities are: https://docs.rs/object_store, AmazonS3Builder::from_env; reqwest, Proxy::system; rustls-native-certs,
# SSL_CERT_FILE and SSL_CERT_DIR. None of that reaches wal-g in a pod.
_READ_BY_LIBRARY = ("AWS_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_building = threading.Lock()


class _AbsentError(StoreError):
    """There is no object of that name, in the words of S3. An error only where that is none of the answers."""


class S3Bucket:
    """Objects below one archive's prefix. Keys are relative to it. Safe for several threads; nothing is kept open.

    What a listing costs: one request for each 1,000 objects, at least one; where `start` ends within a name, up to one
    page more than what begins with it. The first listing that finds nothing costs a second request: see `_prove`.
    """

    def __init__(self, address: StoreAddress, keys: Credentials, *, timeout: float) -> None:
        """Makes the client; nothing is sent.

        Args:
            address: Where the archive is.
            keys: Settings of the library that give it keys.
            timeout: Seconds after which a request is given up.

        Raises:
            StoreError: The certificate or the proxy cannot be used.
        """
        self._address = address
        self._keys = keys
        self._timeout = timeout
        self._root = f"{address.path}/" if address.path else ""
        self._is_proven = False
        self._store = self._make_store()

    def __repr__(self) -> str:
        """Names what is reached."""
        return f"<{self.subject}>"

    @property
    def subject(self) -> str:
        """What is reached, for people: `s3://<bucket>/<path> at <host>`."""
        return self._address.subject

    @property
    def uses_tls(self) -> bool:
        """Whether the store is reached by TLS."""
        return self._address.scheme == "https"

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
        import obstore

        folder, slash, _ = (self._root + start).rpartition("/")
        # The library lists whole folders only; but where it begins in them can be any text.
        begin = max(self._root + after if after else "", _just_before(self._root + start) if start else "")
        if begin <= folder + slash:
            begin = ""
        stream = self._call(
            "list objects",
            lambda: obstore.list(self._store, folder or None, offset=begin or None, chunk_size=PAGE),
        )
        last, is_found = "", False
        while found := self._next_page(stream):
            is_found = True
            page, is_past = [], False
            for one in found:
                key = one["path"].removeprefix(self._root)
                # The library takes the slash off the mark of a folder, an empty object, which then is out of order.
                if one["size"]:
                    if key < last:
                        raise StoreError(
                            "cannot list objects: the store does not give them in the order of their names",
                            subject=self.subject,
                            problem="refused",
                            remedy="wal-g needs that order as well: ask whoever runs the store.",
                        )
                    last = key
                if key.startswith(start) and key > after and one["path"].startswith(self._root):
                    page.append(self._stored(one))
                elif key > start and not key.startswith(start):
                    is_past = True
            if page:
                yield page
            if is_past:
                return
        if not is_found:
            self._prove()

    def folders(self, start: str) -> Sequence[str]:
        """Lists the names of folders: what stands between `start` and the next slash.

        Args:
            start: Folder, with a slash at its end; empty for the beginning.

        Returns:
            Names without slashes, sorted.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        found = self._level(start)
        return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in found["common_prefixes"]) if found else ())

    def files(self, start: str) -> Sequence[StoredObject]:
        """Lists the objects that lie directly in a folder, and not those in folders within it.

        Args:
            start: Folder, with a slash at its end; empty for the beginning.

        Returns:
            Objects in the order of their keys.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        found = self._level(start)
        # The mark of the folder itself, an empty object with a slash at its end, is none of its files.
        here = [one for one in found["objects"] if one["path"].startswith(self._root + start)] if found else []
        return tuple(sorted((self._stored(one) for one in here), key=lambda one: one.key))

    def read(self, key: str, *, most: int) -> bytes | None:
        """Reads an object.

        Args:
            key: Its key.
            most: How many bytes of it to read at most, from its beginning; at least one.

        Returns:
            What it holds, or its first bytes; None when there is no such object.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        import obstore

        def get() -> bytes:
            try:
                return bytes(obstore.get_range(self._store, self._root + key, start=0, end=most))
            except Exception as error:
                # An empty object has no first byte.
                if status_of(error)[0] == 416:
                    return b""
                raise

        return self._call_or_none("read an object", get)

    def stat(self, key: str) -> StoredObject | None:
        """Gives size and time of an object as a listing has them, by which wal-g goes.

        Args:
            key: Its key.

        Returns:
            The object; None when there is none.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        for page in self.pages(key):
            return page[0] if page[0].key == key else None
        return None

    def write(self, key: str, content: bytes) -> None:
        """Writes an object by one request, encrypted as wal-g asks for it.

        Args:
            key: Its key. An object of that name is written over.
            content: What it shall hold.

        Raises:
            StoreError: The store refused, or could not be reached; it is not known then whether the object is there.
        """
        import obstore

        self._call("write an object", lambda: obstore.put(self._store, self._root + key, content, use_multipart=False))

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes objects by one request for each 1,000 (DeleteObjects), as the retention of wal-g does.

        Args:
            keys: Their keys; what is not there is passed over.

        Raises:
            StoreError: The store refused all or some, or could not be reached.
        """
        import obstore

        if keys:
            paths = [self._root + key for key in keys]
            self._call_or_none("delete objects in a batch", lambda: obstore.delete(self._store, paths))

    def delete_one(self, key: str) -> None:
        """Deletes one object by a request of its own (DeleteObject).

        Args:
            key: Its key; that it is not there is no error.

        Raises:
            StoreError: The store refused, or could not be reached.
        """
        import obstore

        store = self._make_store(bulk_delete=False)
        self._call_or_none("delete an object", lambda: obstore.delete(store, self._root + key))

    def _level(self, start: str) -> ListResult[Sequence[ObjectMeta]] | None:
        """Lists one folder; None when nothing is there."""
        import obstore

        folder = (self._root + start).rstrip("/")
        found = self._call_or_none("list a folder", lambda: obstore.list_with_delimiter(self._store, folder or None))
        if found is None or not (found["common_prefixes"] or found["objects"]):
            self._prove()
            return None
        self._is_proven = True
        return found

    def _stored(self, one: ObjectMeta) -> StoredObject:
        return StoredObject(one["path"].removeprefix(self._root), one["size"], one["last_modified"])

    def _next_page(self, stream: ListStream[Sequence[ObjectMeta]]) -> Sequence[ObjectMeta]:
        # DigitalOcean calls a folder that is not there NoSuchKey: wal-g v3.0.5, pkg/storages/s3/folder.go (ListFolder).
        page = self._call_or_none("list objects", lambda: next(iter(stream), ()))
        if page:
            self._is_proven = True
        return page or ()

    def _prove(self) -> None:
        """Makes sure that nothing means nothing, once for a bucket.

        The library takes any answer with a good status for a listing, a console's page of HTML for an empty one. Who
        believes that gives a database an archive that is in use, or says that there is nothing to restore. What is no
        S3 store does not say of an object that there is none in the words of S3.
        """
        if not self._is_proven:
            self._is_proven = self.read("planton-check/never-written", most=1) is None
        if not self._is_proven:
            raise StoreError(
                "cannot list objects: the answer is not one of an S3 store",
                subject=self.subject,
                problem="refused",
                remedy="Look whether the endpoint is that of the store's S3 API, and not of its console.",
            )

    def _call(self, doing: str, function: Callable[[], _Result]) -> _Result:
        """Calls the library. Its own error, which quotes keys, is gone when ours is raised."""
        try:
            return function()
        except BaseException as error:
            # A panic of the library, by an answer that it did not expect, is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            kind = _AbsentError if status_of(error) == (404, "NoSuchKey") else StoreError
            failure = store_error(error, self._address, doing=doing, kind=kind)
        raise failure

    def _call_or_none(self, doing: str, function: Callable[[], _Result]) -> _Result | None:
        """Calls the library; None stands for what is not there."""
        try:
            return self._call(doing, function)
        except _AbsentError:
            self._is_proven = True
            return None

    def _make_store(self, *, bulk_delete: bool = True) -> S3Store:
        from obstore.store import S3Store

        address = self._address
        # A retry follows within a fifth of the time; a request that takes all of its own has none.
        options: ClientConfig = {
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, self._timeout * 0.8)),
            "timeout": timedelta(seconds=self._timeout * 0.8),
            "allow_http": address.scheme == "http",
        }
        if address.authority:
            options["root_certificate"] = address.authority

        def make() -> S3Store:
            # In here: a frame that an error of ours goes through shows its local variables to whoever asks.
            configuration: S3Config = {
                **cast("S3Config", dict(self._keys.reveal())),
                "endpoint": address.url,
                "region": address.region,
                "virtual_hosted_style_request": not address.path_style,
                "disable_bulk_delete": not bulk_delete,
            }
            if address.encryption:
                configuration["server_side_encryption"] = address.encryption
            if address.encryption_key_id:
                configuration["sse_kms_key_id"] = address.encryption_key_id
            reached = {**options, "proxy_url": address.proxy} if address.proxy else options
            with _environment_for_library(own_authority=bool(address.authority)):
                return S3Store(
                    address.bucket,
                    config=configuration,
                    client_options=reached,
                    retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=self._timeout * 0.2)},
                )

        return self._call("make a client of the store", make)


def process_environment() -> Credentials:
    """Gives the variables of this process, whole also while another thread hides some of them from the library.

    Returns:
        A copy, which prints no value.
    """
    with _building:
        return Credentials(os.environ)


def _just_before(name: str) -> str:
    """Gives a text that sorts before a name, and after nearly all that does; empty when there is no simple one."""
    head, last = name[:-1], ord(name[-1]) - 1
    if last == ord("/"):
        last -= 1
    # Below are characters that no name in the library may have.
    return f"{head}{chr(last)}~" if last > ord(" ") else ""


@contextlib.contextmanager
def _environment_for_library(*, own_authority: bool) -> Iterator[None]:
    """Hides variables of this process from the library while a client is made: some milliseconds.

    There is no other way to make it not look at them. Nor is there another one to make a certificate the only one that
    is trusted, as it is for wal-g: the library adds it to the system's, so that the system's are taken away for that
    moment. On macOS and Windows its TLS library asks the system itself, and the certificate stays an addition there.
    """
    with _building:
        hidden = {name: value for name, value in os.environ.items() if name.upper().startswith(_READ_BY_LIBRARY)}
        shown: Mapping[str, str] = (
            {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.path.join(os.devnull, "none")} if own_authority else {}
        )
        try:
            for name in hidden:
                del os.environ[name]
            os.environ.update(shown)
            yield
        finally:
            for name in shown:
                os.environ.pop(name, None)
            os.environ.update(hidden)
