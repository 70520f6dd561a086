"""A real S3 server on loopback, for tests of backups: versitygw on a folder of its own.

Each server has keys of its own, made at random, and ends with whoever started it: a keeper (`_store_keeper.py`) is its
parent, as a sandbox's keeper is. Its state folder stands beside those of sandboxes; what a killed keeper leaves is
removed by the next start of a sandbox or of an object store.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import http.client
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from sandbox import _folders, build
from sandbox._errors import SandboxError
from sandbox._keys import write_private
from sandbox._processes import tail
from sandbox._s3_signature import signature
from sandbox._store_keeper import ENDED, LOG, start_keeper

_HOST = "127.0.0.1"
_PORT_ATTEMPTS = 5
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0
# Letters of an AWS key id: https://www.rfc-editor.org/rfc/rfc4648#section-6.
_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class ObjectStore:
    """One running S3 server, made by `ObjectStore.start`.

    Attributes:
        port: its port on 127.0.0.1.
        region: the only region whose signatures it takes.
        host: host of its address: 127.0.0.1, or a name that no resolver knows, so that clients need a proxy that does.
        virtual_host_domain: domain below which each bucket has a name; None for a server of path style.
        access_key_id: key id of its only user.
        secret_access_key: secret of that user.
        certificate_authority_pem: certificate of its private authority; None for a server without TLS. On a server with
            a virtual-host domain the certificate holds for the buckets' names only, not for the domain itself.
    """

    def __init__(self, *, region: str, tls: bool, host: str | None, virtual_host_domain: str | None) -> None:
        """Prepare; use `ObjectStore.start` instead."""
        self.region = region
        self.host = virtual_host_domain or host or _HOST
        self.virtual_host_domain = virtual_host_domain
        self.access_key_id = "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
        self.secret_access_key = base64.b64encode(secrets.token_bytes(30)).decode()
        self.certificate_authority_pem: str | None = None
        self.port = 0
        self._tls = tls
        self._owner = os.getpid()
        # Only this server answers at this path, so nobody else's on a port that was lost to it is taken for it.
        self._health = f"/health-{secrets.token_hex(8)}"
        self._folder = Path()
        self._keeper: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        *,
        region: str = "eu-test-1",
        tls: bool = True,
        host: str | None = None,
        virtual_host_domain: str | None = None,
    ) -> ObjectStore:
        """Start a server and wait until it answers. Builds the program the first time.

        Args:
            region: the region that it is in.
            tls: whether it speaks TLS, with a certificate of an authority of its own.
            host: a name for a server of path style, instead of 127.0.0.1.
            virtual_host_domain: serve `https://bucket.domain`; instead of `host`.

        Returns:
            The server; use it as a context manager, or call `stop`.

        Raises:
            BuildError: if the program cannot be built.
            SandboxError: if the server does not start.
        """
        program = build.ensure_object_store()
        for line in _folders.sweep():
            print(f"sandbox: {line}", file=sys.stderr)
        store = cls(region=region, tls=tls, host=host, virtual_host_domain=virtual_host_domain)
        atexit.register(store.stop)
        try:
            for attempt in range(_PORT_ATTEMPTS):
                store._start(program)
                if store._wait_until_ready(retry_port=attempt + 1 < _PORT_ATTEMPTS):
                    break
                store._end_keeper()
        except BaseException:
            store.stop()
            raise
        return store

    def __enter__(self) -> ObjectStore:
        """Return the store itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def endpoint(self) -> str:
        """Address without the bucket: `scheme://host:port`."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def folder(self) -> Path:
        """State folder, mode 0700; gone after `stop`."""
        return self._folder

    @property
    def access_log(self) -> Path:
        """One line a request in the form of AWS' server access logs: who, what, the answer."""
        return self._folder / "access.log"

    @property
    def log(self) -> Path:
        """What the server prints; no key is in it."""
        return self._folder / LOG

    def is_called(self, name: str) -> bool:
        """Return whether a name leads here: the host's, or with a virtual-host domain one of a bucket and no other.

        Args:
            name: host of a request.

        Returns:
            True if it does.
        """
        return name.partition(".")[2] == self.virtual_host_domain if self.virtual_host_domain else name == self.host

    def create_bucket(self, name: str) -> None:
        """Make a bucket.

        Args:
            name: its name; must not exist yet.

        Raises:
            SandboxError: if the server refuses, with what it said.
        """
        status, text = self._request("PUT", f"/{quote(name, safe='')}", signed=True)
        if status != 200:
            raise SandboxError(f"the object store does not make the bucket {name!r}: {status} {text}")

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects of a bucket as the server has stored them, whatever a client says.

        Args:
            bucket: name of a bucket.

        Returns:
            Sorted keys.

        Raises:
            SandboxError: if there is no such bucket.
        """
        root = self._folder / "data" / bucket
        if not root.is_dir():
            raise SandboxError(f"the object store has no bucket {bucket!r}")
        files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        # The server's own folder for uploads under way.
        return sorted(path.as_posix() for path in files if path.parts[0] != ".sgwtmp")

    def check(self) -> None:
        """Do nothing if all is well.

        Raises:
            SandboxError: if the server has ended by itself; with the end of its log.
        """
        if self._keeper is None:
            raise SandboxError("the object store is stopped")
        if (self._folder / ENDED).exists() or self._keeper.poll() is not None:
            raise SandboxError(f"the object store has ended by itself. End of its log:\n{tail(self.log)}")

    def stop(self) -> None:
        """Kill the server and remove all that it had. Harmless when done twice."""
        # A child that this process forked has a copy of the handle and must not stop its parent's server.
        if os.getpid() == self._owner:
            atexit.unregister(self.stop)
            self._end_keeper()

    def _start(self, program: Path) -> None:
        claim = _folders.claim(None)
        assert isinstance(claim, _folders.Claim)  # only a name can be taken
        self._folder = claim.folder
        try:
            for name in ("data", "metadata"):
                (self._folder / name).mkdir(mode=0o700)
            self.port = _free_port()
            command = [str(program), "--port", f"{_HOST}:{self.port}", "--region", self.region]
            command += ["--health", self._health, "--access-log", str(self.access_log)]
            if self.virtual_host_domain:
                command += ["--virtual-domain", self.virtual_host_domain]
            if self._tls:
                command += self._write_certificates()
            # A folder for metadata: not every temp dir keeps extended attributes.
            command += ["posix", "--sidecar", str(self._folder / "metadata"), str(self._folder / "data")]
            # The whole environment: proxies, certificate files and AWS settings of the caller are none of its business.
            environment = {
                "PATH": "/usr/bin:/bin",
                "HOME": str(self._folder),
                "TMPDIR": str(self._folder),
                "ROOT_ACCESS_KEY_ID": self.access_key_id,
                "ROOT_SECRET_ACCESS_KEY": self.secret_access_key,
            }
            self._keeper = start_keeper(claim, command, environment)
        except BaseException:
            _folders.remove(claim.folder)
            raise
        finally:
            # From here on the keeper alone holds the lock.
            os.close(claim.lock)

    def _write_certificates(self) -> list[str]:
        import trustme  # a dependency of the tests, which a sandbox does without

        name = f"*.{self.virtual_host_domain}" if self.virtual_host_domain else self.host
        authority = trustme.CA()
        # 127.0.0.1 for the store's own requests.
        leaf = authority.issue_cert(*{_HOST, name})
        chain, key = self._folder / "server.crt", self._folder / "server.key"
        write_private(chain, "".join(part.bytes().decode() for part in leaf.cert_chain_pems))
        write_private(key, leaf.private_key_pem.bytes().decode())
        self.certificate_authority_pem = authority.cert_pem.bytes().decode()
        return ["--cert", str(chain), "--key", str(key)]

    def _wait_until_ready(self, *, retry_port: bool) -> bool:
        """Wait for an answer; False means that the port was taken after all and another one is worth a try."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            if retry_port and (self._folder / ENDED).exists() and "address already in use" in tail(self.log):
                return False
            self.check()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._request("GET", self._health, signed=False, timeout=1.0)[0] == 200:
                    return True
            if time.monotonic() > deadline:
                raise SandboxError(f"the object store is not ready in time. End of its log:\n{tail(self.log)}")
            time.sleep(0.02)

    def _request(self, method: str, path: str, *, signed: bool, timeout: float = 10.0) -> tuple[int, str]:
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=timeout)
        if self._tls:
            context = ssl.create_default_context(cadata=self.certificate_authority_pem)
            connection = http.client.HTTPSConnection(_HOST, self.port, timeout=timeout, context=context)
        with contextlib.closing(connection):
            host = f"{_HOST}:{self.port}"
            keys = (self.access_key_id, self.secret_access_key)
            connection.request(method, path, headers=signature(method, host, path, self.region, keys) if signed else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")

    def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        with _folders.exclusive():
            _folders.remove(self._folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
