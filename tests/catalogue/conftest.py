"""How archives in stores of the tests are reached, and a store that answers what it is told to answer."""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import pytest

from planton.translate.archive_access import ArchiveAccess
from planton.translate.backup import CERTIFICATE
from planton.translate.secret_values import Credentials
from sandbox.object_store import ObjectStore
from tests.store.support import LoopbackProxy

KEY_ID = "AKIASENTINELSENTINEL"
SECRET = "sentinel/Secret+0123456789abcdefghijklmn"


def access(
    endpoint: str,
    prefix: str = "s3://bucket/backups/db/17",
    *,
    keys: tuple[str, str] | None = (KEY_ID, SECRET),
    authority: str | None = None,
    variables: Mapping[str, str] | None = None,
    **further: str,
) -> ArchiveAccess:
    """Makes an access as access_from does for a database of a manifest; an empty variable takes one away."""
    references = {
        "AWS_ACCESS_KEY_ID": "secret/AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY": "secret/AWS_SECRET_ACCESS_KEY",
    }
    contents = dict(zip(references, keys, strict=True)) if keys else {}
    environment = {
        "AWS_ENDPOINT": endpoint,
        "AWS_REGION": "eu-test-1",
        "AWS_S3_FORCE_PATH_STYLE": "true",
        "WALG_DISABLE_S3_SSE": "true",
        "WALG_S3_CA_CERT_FILE": "/etc/wal-g/ca.crt" if authority else "",
        **(variables or {}),
        **further,
    }
    return ArchiveAccess(
        namespace="orders",
        scope="db-orders",
        version="17",
        prefix=prefix,
        environment={name: value for name, value in environment.items() if value},
        references=references if keys else {},
        contents=Credentials(contents),
        certificates=Credentials({CERTIFICATE: authority} if authority else {}),
    )


class Place:
    """A bucket of its own in a real store, the folder in which the store keeps it, and how it is reached."""

    def __init__(self, store: ObjectStore, names: LoopbackProxy) -> None:
        self.store = store
        self.bucket = f"bucket-{uuid.uuid4().hex[:8]}"
        store.create_bucket(self.bucket)
        self._names = names

    @property
    def folder(self) -> Path:
        """The archive's folder: what is written there as a file is an object."""
        folder = self.store.folder / "data" / self.bucket / "backups" / "db" / "17"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def fill(self, *keys: str, content: bytes = b"abc") -> None:
        """Puts objects there."""
        for key in keys:
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def access(
        self,
        *,
        keys: tuple[str, str] | None = None,
        authority: str | None = None,
        **variables: str,
    ) -> ArchiveAccess:
        """Says how the archive is reached, right but for what is given."""
        store = self.store
        virtual = {}
        if store.virtual_host_domain:
            scheme = store.endpoint.partition(":")[0]
            virtual = {
                "WALE_S3_ENDPOINT": store.endpoint.replace("://", "+virtualhost://"),
                f"{scheme}_proxy": self._names.url,
            }
        return access(
            store.endpoint,
            f"s3://{self.bucket}/backups/db/17",
            keys=keys or (store.access_key_id, store.secret_access_key),
            authority=store.certificate_authority_pem if authority is None else authority,
            variables={"AWS_REGION": store.region, **virtual, **variables},
        )


@pytest.fixture(params=["object_store", "object_store_tls", "object_store_virtual"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A bucket of its own in a store of each kind."""
    store: ObjectStore = request.getfixturevalue(request.param)
    store.check()
    with LoopbackProxy(store) as names:
        yield Place(store, names)


Answer = tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]


class AnsweringServer:
    """An HTTP server on loopback that answers as it is told, for what no store of the tests does.

    Attributes:
        requests: `METHOD path`, in order.
    """

    def __init__(self, answer: Callable[[str, str], Answer], *, tls: bool = False) -> None:
        """Prepares; use it as a context manager.

        Args:
            answer: Method and path -> status, body, and headers where there are any.
            tls: Whether it speaks TLS, by an authority of its own.
        """
        self.authority: str | None = None
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: the second of two waits for the acknowledgement of the first.
            wbufsize = -1

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.requests.append(f"{self.command} {self.path}")
                status, body, *further = answer(self.command, self.path)
                self.send_response(status)
                for name, value in further[0].items() if further else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            import trustme

            authority = trustme.CA()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self.authority = authority.cert_pem.bytes().decode()
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if self.authority else ''}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> AnsweringServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def s3_error(code: str, further: str = "") -> bytes:
    """Writes an error as S3 does, which quotes keys and requests."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>no {SECRET}</Message>'
        f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId><StringToSign>{SECRET}</StringToSign>{further}</Error>"
    ).encode()


def listing(*objects: tuple[str, int], modified: str = "2026-11-22T08:14:35.123Z") -> bytes:
    """Writes one whole listing as S3 does: keys in the bucket with their sizes."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>x</ETag><Size>{size}</Size></Contents>"
        for key, size in objects
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><Prefix/><MaxKeys>1000</MaxKeys>'
        f"<KeyCount>{len(objects)}</KeyCount><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ).encode()
