"""A proxy between planton and a real API server that does to requests what a bad network and a bad day do.

It ends TLS with an authority of its own, and knows its own tokens and client certificates: what a client shows here is
never valid at the server, and what it does there is done as the sandbox's administrator.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
import yaml

from sandbox import Sandbox

TOKEN = "sentinel-token-of-the-client"
"""The first token that the proxy accepts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the proxy got it.

    Attributes:
        method: HTTP method.
        path: Path and query.
        number: How many requests there were before it.
        nth: How many there were before it with the same method and path.
    """

    method: str
    path: str
    number: int
    nth: int

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET" and "dryRun" not in self.path


Fault = Callable[["Handler", bytes], None]
"""Does something to a request instead of forwarding it."""
Rule = Callable[[Seen], Fault | None]


class Proxy:
    """A proxy that runs.

    Attributes:
        rule: Says what happens to a request; None forwards it.
        seen: The requests, in the order in which they came.
        faults: How many of them were disturbed.
        tokens: Tokens that are accepted.
        names: Common names of client certificates that are accepted.
        authority: Who signs its certificate.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Starts it.

        Args:
            sandbox: Where it forwards to.
        """
        self._upstream = urllib.parse.urlsplit(sandbox.url)
        admin = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
        authority = base64.b64decode(admin["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self._trusted = ssl.create_default_context(cadata=authority)
        self._admin_token = sandbox.admin_token
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], int] = {}
        self._sockets: set[socket.socket] = set()
        self.ended = threading.Event()
        self.rule: Rule = lambda seen: None
        self.seen: list[Seen] = []
        self.faults = 0
        self.tokens = {TOKEN}
        self.names: set[str] = set()
        self.authority = trustme.CA()
        self.clients = trustme.CA()
        self.use_certificate(self.authority)
        proxy = self

        class Bound(Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Bound)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def use_certificate(self, authority: trustme.CA, *, cut: bool = False) -> None:
        """Takes another serving certificate for connections from now on.

        Args:
            authority: Who signs it.
            cut: Whether connections that are open end.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.clients.configure_trust(context)
        self.context = context
        if cut:
            self.cut()

    def cut(self) -> None:
        """Ends all open connections."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, path: Path, user: dict[str, Any] | None = None, *, more: trustme.CA | None = None) -> Path:
        """Writes a kubeconfig for it, in one step.

        Args:
            path: Where.
            user: The user's entry; None for the first token.
            more: Another authority to trust.

        Returns:
            The path.
        """
        pem = b"".join(one.cert_pem.bytes() for one in (self.authority, more) if one is not None)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxied",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": self.url, "certificate-authority-data": base64.b64encode(pem).decode()},
                }
            ],
            "users": [{"name": "u", "user": user or {"token": TOKEN}}],
            "contexts": [{"name": "proxied", "context": {"cluster": "c", "user": "u"}}],
        }
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(json.dumps(config))
        draft.replace(path)
        return path

    def reset(self) -> None:
        """Forgets what it has seen, and disturbs nothing."""
        with self._lock:
            self.rule = lambda seen: None
            self.seen.clear()
            self._counts.clear()
            self.faults = 0

    def stop(self) -> None:
        """Ends it and all its connections."""
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self.cut()
        self._server.server_close()

    def note(self, method: str, path: str) -> Fault | None:
        """Notes a request, and says what happens to it."""
        with self._lock:
            nth = self._counts.get((method, path), 0)
            self._counts[(method, path)] = nth + 1
            seen = Seen(method, path, len(self.seen), nth)
            self.seen.append(seen)
            fault = self.rule(seen)
            self.faults += fault is not None
            return fault

    def hold(self, one: socket.socket, *, open_: bool) -> None:
        """Notes that a connection is open, or not any more."""
        with self._lock:
            (self._sockets.add if open_ else self._sockets.discard)(one)

    def connect(self) -> http.client.HTTPSConnection:
        """Makes a connection to the server behind it."""
        return http.client.HTTPSConnection(
            self._upstream.hostname or "", self._upstream.port, timeout=70, context=self._trusted
        )

    def accepts(self, handler: Handler) -> bool:
        """Tells whether it knows who asks."""
        certificate: Any = handler.connection.getpeercert() or {}
        subject = dict(one[0] for one in certificate.get("subject", ()))
        if subject.get("commonName") in self.names:
            return True
        scheme, _, token = (handler.headers.get("Authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and token in self.tokens

    def headers(self, handler: Handler) -> dict[str, str]:
        """Makes the headers of a request as it is forwarded."""
        kept = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "authorization")}
        return kept | {"Authorization": f"Bearer {self._admin_token}"}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    owner: Proxy
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Says nothing: connections that end badly are what this is for."""


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    owner: Proxy
    connection: ssl.SSLSocket
    timeout = 60

    def setup(self) -> None:
        """Speaks TLS, in the thread of the connection."""
        self.upstream: http.client.HTTPSConnection | None = None
        self.plain = self.request
        self.plain.settimeout(20)
        try:
            context = self.owner.context
            self.request = context.wrap_socket(self.plain, server_side=True)
        except BaseException:
            self.plain.close()
            raise
        self.owner.hold(self.request, open_=True)
        if context is not self.owner.context:
            # Another certificate came in the middle of the handshake, when this was not open yet and was not ended.
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)
        super().setup()

    def finish(self) -> None:
        """Ends both sides."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()
        self.owner.hold(self.request, open_=False)
        self.request.close()
        if self.upstream is not None:
            self.owner.hold(self.upstream.sock, open_=False)
            self.upstream.close()

    def handle_one_request(self) -> None:
        """Ends with the connection."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Does to a request what the rule says."""
        fault = self.owner.note(self.command, self.path)
        if fault is reset_before_reading:
            self.reset()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.owner.accepts(self):
            self.answer(401, status(401, "Unauthorized", "Unauthorized"))
        elif fault is not None:
            fault(self, body)
        else:
            self.relay(body)

    do_PATCH = do_GET
    do_DELETE = do_GET
    do_POST = do_GET
    do_PUT = do_GET

    def forward(self, body: bytes) -> http.client.HTTPResponse:
        """Asks the server."""
        for last in (False, True):
            try:
                if self.upstream is None:
                    self.upstream = self.owner.connect()
                    self.upstream.connect()
                    # So that a watch that says nothing ends with the proxy.
                    self.owner.hold(self.upstream.sock, open_=True)
                self.upstream.request(self.command, self.path, body or None, self.owner.headers(self))
                return self.upstream.getresponse()
            except (OSError, http.client.HTTPException):
                if self.upstream is not None:
                    self.upstream.close()
                self.upstream = None
                # A server that has ended the connection meanwhile: only what is harmless is sent again by a proxy.
                if last or self.command != "GET":
                    raise
        raise AssertionError

    def relay(self, body: bytes) -> None:
        """Asks the server, and gives its answer as it comes."""
        try:
            response = self.forward(body)
        except (OSError, http.client.HTTPException):
            self.reset()
            return
        if "watch=1" in self.path and response.status == 200:
            self.send_head(response, {"Connection": "close"})
            self.close_connection = True
            while piece := response.read1(65536):
                self.wfile.write(piece)
            return
        self.pass_on(response, response.read())

    def pass_on(self, response: http.client.HTTPResponse, content: bytes) -> None:
        """Gives an answer of the server."""
        self.send_head(response, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def send_head(self, response: http.client.HTTPResponse, more: dict[str, str]) -> None:
        """Gives the head of an answer of the server."""
        self.send_response_only(response.status)
        for name in ("Content-Type", "Retry-After", "Date", "Warning"):
            if value := response.headers.get(name):
                self.send_header(name, value)
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()

    def answer(self, code: int, content: bytes, **headers: str) -> None:
        """Gives an answer of its own."""
        self.send_response_only(code)
        kind = "application/json" if content[:1] == b"{" else "text/html"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        """Ends the connection as a machine does that has forgotten it."""
        with contextlib.suppress(OSError):
            self.plain_socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def plain_socket(self) -> socket.socket:
        """Gives the socket, for its options."""
        return self.connection

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def status(code: int, reason: str, message: str, **details: Any) -> bytes:
    """Makes a Status, as an API server says no."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return json.dumps(body | {"message": message, "details": details}).encode()


def reset_before_reading(handler: Handler, body: bytes) -> None:
    """Ends the connection before the body is read; see `do_GET`."""


@contextlib.contextmanager
def proxy_to(sandbox: Sandbox) -> Iterator[Proxy]:
    """Runs a proxy.

    Args:
        sandbox: Where it forwards to.

    Yields:
        The proxy.
    """
    proxy = Proxy(sandbox)
    try:
        yield proxy
    finally:
        proxy.stop()
