"""An S3 client that knows what wal-g would know, and a proxy in place of a resolver of names."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from sandbox.object_store import ObjectStore
from tests.store.walg import Spilo, StoreSettings, is_loopback, settings_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Store

# object_store reads all AWS_* when a client is made, its HTTP library the system's proxies, and its TLS library where
# certificate authorities are: https://docs.rs/object_store, AmazonS3Builder::from_env; reqwest, Proxy::system;
# rustls-native-certs, SSL_CERT_FILE and SSL_CERT_DIR. Nothing of that reaches wal-g in a pod.
_READ_FROM_PROCESS = ("AWS_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_building = threading.Lock()


class LoopbackProxy:
    """An HTTP proxy on loopback that knows the names of some object stores, and no others.

    It serves CONNECT for TLS and whole addresses for plain HTTP, and leads every request for a store's name to that
    store, whatever port was asked for: `https://s3.eu-central-1.amazonaws.com` needs no port then. A store with a
    virtual-host domain has names for its buckets only.

    Attributes:
        seen: one text for each connection: the request line, for plain HTTP with the headers of its first request.
    """

    def __init__(self, *stores: ObjectStore) -> None:
        """Prepares; use it as a context manager.

        Args:
            stores: object stores that can be reached by name.
        """
        self.seen: list[str] = []
        self._stores = stores
        proxy = self

        class Tunnel(socketserver.StreamRequestHandler):
            # Nothing is read ahead of the head's end, so that the rest can go from socket to socket.
            rbufsize = 0

            def handle(self) -> None:
                proxy._serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LoopbackProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, client: socketserver.StreamRequestHandler) -> None:
        head = b""
        while line := client.rfile.readline(65536):
            head += line
            if not line.strip():
                break
        method, _, rest = head.decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        self.seen.append(f"{method} {target}" if method == "CONNECT" else head.decode("latin-1"))
        port = self._port(urlsplit(target if "://" in target else f"//{target}").hostname or "")
        if port is None:
            client.wfile.write(b"HTTP/1.1 502 No such name\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        # A client that goes away in the middle is its own business.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as server:
            for side in (client.connection, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if method == "CONNECT":
                client.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                server.sendall(head)
            _pump(client.connection, server)

    def _port(self, host: str) -> int | None:
        return next((store.port for store in self._stores if store.is_called(host)), None)


def _pump(left: socket.socket, right: socket.socket) -> None:
    other = {left: right, right: left}
    while True:
        for source in select.select([left, right], [], [])[0]:
            if not (chunk := source.recv(65536)):
                return
            other[source].sendall(chunk)


class StoreClient:
    """Objects below the archive's path, reached with one archive's settings and nothing else.

    Attributes:
        settings: what wal-g would use.
    """

    def __init__(self, settings: StoreSettings, store: S3Store) -> None:
        """Takes over a client; use `client_from_environment` instead."""
        self.settings = settings
        self._store = store

    def put(self, name: str, content: bytes) -> None:
        """Writes an object.

        Args:
            name: its name below the path.
            content: what it holds.
        """
        import obstore

        obstore.put(self._store, self._key(name), content)

    def get(self, name: str) -> bytes:
        """Reads an object.

        Args:
            name: its name below the path.

        Returns:
            What it holds.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        import obstore

        return bytes(obstore.get(self._store, self._key(name)).bytes())

    def list(self) -> list[str]:
        """Lists the objects below the path.

        Returns:
            Their names below the path, sorted.
        """
        import obstore

        start = f"{self.settings.path}/" if self.settings.path else ""
        batches = obstore.list(self._store, self.settings.path or None)
        return sorted(found["path"].removeprefix(start) for batch in batches for found in batch)

    def delete(self, *names: str) -> None:
        """Deletes objects, as wal-g does by one request for many; what is not there is passed over.

        Args:
            names: their names below the path.
        """
        import obstore

        obstore.delete(self._store, [self._key(name) for name in names])

    def _key(self, name: str) -> str:
        return f"{self.settings.path}/{name}" if self.settings.path else name


def client_from_environment(
    environment: Mapping[str, str],
    *,
    files: Mapping[str, str] | None = None,
    spilo: Spilo = "4.0",
    variable_prefix: Literal["", "CLONE_", "STANDBY_"] = "",
    names: LoopbackProxy | None = None,
    system_authorities: str | None = None,
) -> StoreClient:
    """Makes a client of exactly what a database pod tells wal-g.

    Args:
        environment: the pod's whole environment, with values of Secrets in place.
        files: path in the pod -> content, for what is mounted there; None to look at this machine's files.
        spilo: version of the image.
        variable_prefix: whose archive: the database's own, that which it is cloned from, or follows.
        names: stands for the resolver of names where the environment has no proxy.
        system_authorities: PEM that stands for the authorities that every image trusts, where the environment names no
            others: a private object store in the place of a cloud's.

    Returns:
        The client; nothing has been sent.

    Raises:
        UnusableError: every call of wal-g would fail.
    """
    from obstore.store import S3Store

    settings = settings_of(environment, files=files, spilo=spilo, variable_prefix=variable_prefix)
    with _nothing_from_this_process():
        store = S3Store(
            settings.bucket,
            config=_store_configuration(settings),
            client_options=_client_options(settings, names, system_authorities),
            # A refusal is an answer; a second try would only make it slower.
            retry_config={"max_retries": 0},
        )
    return StoreClient(settings, store)


@contextlib.contextmanager
def _nothing_from_this_process() -> Iterator[None]:
    """Hides variables of the test process from the libraries that read them while a client is made."""
    with _building:
        hidden = {name: value for name, value in os.environ.items() if name.upper().startswith(_READ_FROM_PROCESS)}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)


def _store_configuration(settings: StoreSettings) -> S3Config:
    address = urlsplit(settings.endpoint)
    # obstore takes the host as it is given, also for virtual-host style.
    port = f":{address.port}" if address.port else ""
    configuration: S3Config = {
        "endpoint": f"{address.scheme}://{settings.host}{port}",
        "region": settings.region,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "virtual_hosted_style_request": not settings.path_style,
    }
    if settings.encryption:
        configuration["server_side_encryption"] = settings.encryption
    if settings.encryption_key_id:
        configuration["sse_kms_key_id"] = settings.encryption_key_id
    return configuration


def _client_options(
    settings: StoreSettings, names: LoopbackProxy | None, system_authorities: str | None
) -> ClientConfig:
    options: ClientConfig = {"connect_timeout": "5s", "timeout": "20s"}
    if settings.endpoint.startswith("http://"):
        options["allow_http"] = True
    if authorities := settings.certificate_authority or system_authorities:
        options["root_certificate"] = authorities
    if proxy := settings.proxy or (names.url if names and not is_loopback(settings.host) else ""):
        options["proxy_url"] = proxy
    return options
