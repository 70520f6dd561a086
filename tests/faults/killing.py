"""Runs planton as users do, through a gate of the tests' own, and kills it with SIGKILL at a random moment.

The gate stands between planton and the API server, so that a process can be killed at a write as well as at a time:
right before a write goes on to the server, or when the server has answered it and planton does not know that yet. What
is on its way when a process dies is waited for: the server carries it out all the same.

A run has a home, a folder for temporary files and a working directory of its own, which are looked into after it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import os
import random
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import trustme
import yaml

from sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
SEED = "PLANTON_FAULT_SEED"
_CLIENT_FOLDER = f"planton-client-{os.getuid()}-"


def seeded() -> tuple[int, random.Random]:
    """Gives a source of random moments, with the seed by which a failure can be had again."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    return seed, random.Random(seed)


@contextlib.contextmanager
def told(words: str) -> Iterator[None]:
    """Adds to whatever fails in it by which seed, and where."""
    try:
        yield
    except (AssertionError, pytest.fail.Exception) as error:
        error.add_note(words)
        raise


@dataclass(frozen=True)
class Moment:
    """When a process is killed.

    Attributes:
        kind: `time`, `before` a write reaches the server, or `after` the server has answered it.
        seconds: For a time, since the start of the process.
        number: For a write, which one, counted from 1.
    """

    kind: str
    seconds: float = 0.0
    number: int = 0

    def __str__(self) -> str:
        return f"after {self.seconds:.2f} s" if self.kind == "time" else f"{self.kind} write {self.number}"


@dataclass
class Ended:
    """What became of a run.

    Attributes:
        code: Its exit code; -9 when it was killed.
        out: What it wrote on stdout.
        err: What it wrote on stderr.
        seconds: How long it took.
        writes: Method and path of each write that reached the server.
    """

    code: int
    out: str = field(repr=False)
    err: str = field(repr=False)
    seconds: float = 0.0
    writes: list[str] = field(default_factory=list, repr=False)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Gate:
    """Passes on what planton asks for, counts its writes, and has it killed at one of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Makes it; use it as a context manager."""
        cluster = yaml.safe_load(sandbox.kubeconfig.read_text())["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        self.address = (address.hostname or "", address.port or 443)
        self.tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self.token = sandbox.admin_token
        self._changed = threading.Condition()
        self._busy = 0
        self._kill: Callable[[], None] | None = None
        self._moment = Moment("never")
        self._count = 0
        self.writes: list[str] = []
        self._hooks: dict[str, Callable[[], object]] = {}
        self._authority = trustme.CA()
        self.client = self._authority.issue_cert("user@example.org")
        gate = self

        class Door(_Door):
            owner = gate

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        # The handshake is made by the thread of the connection, not by the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def kubeconfig(self, path: Path) -> Path:
        """Writes a kubeconfig that leads through the gate; with a client key, which the client keeps in a file."""
        authority = self._authority.cert_pem.bytes()
        chain = b"".join(one.bytes() for one in self.client.cert_chain_pems)
        key = self.client.private_key_pem.bytes()
        user = {
            "token": self.token,
            "client-certificate-data": base64.b64encode(chain).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
        server = f"https://127.0.0.1:{self._server.server_address[1]}"
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "gate", "cluster": cluster}],
            "users": [{"name": "gate", "user": user}],
            "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "gate"}}],
            "current-context": "gate",
        }
        path.touch(0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def begin(self, moment: Moment, kill: Callable[[], None]) -> None:
        """Counts from now on, and kills at a moment that is a write."""
        with self._changed:
            assert not self._busy
            self._moment, self._kill, self._count, self.writes = moment, kill, 0, []

    def meanwhile(self, write: str, hook: Callable[[], object]) -> None:
        """Has something else done right before a write reaches the server, once.

        Args:
            write: Method and end of the path, such as `PATCH /secrets/keys`.
            hook: What is done.
        """
        with self._changed:
            self._hooks[write] = hook

    def unused(self) -> list[str]:
        """Takes back what was to be done meanwhile, and gives the writes that never came."""
        with self._changed:
            left = list(self._hooks)
            self._hooks.clear()
            return left

    def _hook_of(self, write: str) -> Callable[[], object] | None:
        method, path = write.split(" ", 1)
        for wanted in self._hooks:
            if wanted.startswith(method + " ") and path.endswith(wanted.split(" ", 1)[1]):
                return self._hooks.pop(wanted)
        return None

    def settle(self, seconds: float = 60.0) -> list[str]:
        """Waits until nothing is on its way to the server any more; gives what was written."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._busy, seconds), "a request hangs"
            return list(self.writes)

    def arrived(self, write: str) -> int:
        """Notes a request that has come, empty for one that only reads.

        Returns:
            The number of the write, 0 for none, -1 for one that dies before it goes on.
        """
        with self._changed:
            self._busy += 1
            if not write:
                return 0
            self._count += 1
            number, hook = self._count, self._hook_of(write)
            if self._moment == Moment("before", number=number) and self._kill is not None:
                self._kill()
                number = -1
        if hook is not None:
            hook()
        return number

    def answered(self, number: int, text: str) -> bool:
        """Notes the server's answer; says whether planton is to hear of it."""
        with self._changed:
            if number:
                self.writes.append(text)
            if number and self._moment == Moment("after", number=number) and self._kill is not None:
                self._kill()
                return False
            return True

    def left(self) -> None:
        """Notes that a request is over."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()


class _Door(http.server.BaseHTTPRequestHandler):
    owner: ClassVar[Gate]
    protocol_version = "HTTP/1.1"
    # An answer is two writes: without this the second waits for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPSConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        # A process that is killed closes its connections in the middle of anything.
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else None
        if body is not None and len(body) < size:
            self.close_connection = True  # It was killed while it sent this: the server never sees a part of it.
            return
        is_review = "/selfsubject" in self.path
        is_write = self.command != "GET" and "dryRun=All" not in self.path and not is_review
        text = f"{self.command} {urlsplit(self.path).path}"
        number = self.owner.arrived(text if is_write else "")
        try:
            if number < 0:
                self.close_connection = True
                return
            status, headers, answer = self._pass_on(body)
            if not self.owner.answered(number, text):
                self.close_connection = True
                return
        finally:
            self.owner.left()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PATCH = do_POST = do_PUT = do_DELETE = do_GET

    def _pass_on(self, body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        if self._upstream is None:
            self._upstream = http.client.HTTPSConnection(*self.owner.address, timeout=60, context=self.owner.tls)
        dropped = ("host", "connection", "content-length")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        self._upstream.request(self.command, self.path, body, headers)
        response = self._upstream.getresponse()
        return response.status, response.getheaders(), response.read()


class Runner:
    """Runs the command, and looks at what each run leaves outside of the cluster."""

    def __init__(self, gate: Gate, folder: Path, marks: Sequence[str]) -> None:
        """Makes it.

        Args:
            gate: Through which all runs go.
            folder: Where manifests and the rooms of runs are.
            marks: Texts of which one is in every key, in clear and in base64.
        """
        self._gate = gate
        self._folder = folder
        self.marks = tuple(marks)
        self.kubeconfig = gate.kubeconfig(folder / "kubeconfig")
        self.environment: dict[str, str] = {}
        self.kills = 0
        self.tmp = folder / "tmp"
        self.tmp.mkdir()

    def start(self, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
        """Starts the command in a room of its own."""
        room = Path(tempfile.mkdtemp(dir=self._folder))
        for name in ("home", "work"):
            (room / name).mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(room / "home"),
            "TMPDIR": str(self.tmp),
            "KUBECONFIG": str(self.kubeconfig),
            **self.environment,
        }
        with (room / "out").open("w") as out, (room / "err").open("w") as err:
            command = [sys.executable, "-m", "planton", *arguments]
            process = subprocess.Popen(
                command, cwd=room / "work", env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True
            )
        return process, room

    def run(self, *arguments: str, moment: Moment | None = None) -> Ended:
        """Runs the command through the gate, alone, and kills it at a moment."""
        moment = moment or Moment("never")
        begin = time.monotonic()
        process, room = self.start(*arguments)
        try:
            self._gate.begin(moment, lambda: self._kill(process))
            limit = moment.seconds if moment.kind == "time" else 240.0
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, begin + limit - time.monotonic()))
            if process.poll() is None:
                assert moment.kind == "time", f"{' '.join(arguments)} does not end"
                self._kill(process)
        finally:
            process.kill()
            process.wait()
        ended = self.ended(process, room, time.monotonic() - begin)
        ended.writes = self._gate.settle()
        return ended

    def ended(self, process: subprocess.Popen[str], room: Path, seconds: float = 0.0) -> Ended:
        """Looks at what a run that is over has left, and gives what it said."""
        ended = Ended(process.returncode, (room / "out").read_text(), (room / "err").read_text(), seconds)
        assert not self.readable(ended.out + ended.err), "a key was printed"
        self.kills += ended.killed
        left = [str(path.relative_to(room)) for name in ("home", "work") for path in (room / name).rglob("*")]
        assert not left, f"left behind: {left}"
        self._check_temporary_files(killed=ended.killed)
        return ended

    def together(self, *runs: Sequence[str], delays: Sequence[float] = ()) -> list[Ended]:
        """Runs several commands at the same time, each begun so many seconds after the first.

        Returns:
            What became of them, in the order of the commands.
        """
        self._gate.begin(Moment("never"), lambda: None)
        begin = time.monotonic()
        started: list[tuple[subprocess.Popen[str], Path]] = []
        try:
            for arguments, delay in zip(runs, (*delays, *[0.0] * len(runs)), strict=False):
                time.sleep(max(0.0, begin + delay - time.monotonic()))
                started.append(self.start(*arguments))
            for process, _ in started:
                process.wait(max(0.0, begin + 240.0 - time.monotonic()))
        finally:
            for process, _ in started:
                process.kill()
                process.wait()
        self._gate.settle()
        return [self.ended(process, room, time.monotonic() - begin) for process, room in started]

    def _kill(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            for path in (f"/proc/{process.pid}/cmdline", f"/proc/{process.pid}/task/{process.pid}/children"):
                with contextlib.suppress(OSError):
                    text = Path(path).read_text()
                    assert not self.readable(text), "a key stands among the arguments"
            process.send_signal(signal.SIGKILL)

    def _check_temporary_files(self, *, killed: bool) -> None:
        """Only what the official client needs as files may be left by a kill, for nobody else to read."""
        there = sorted(self.tmp.iterdir())
        # One that an earlier run had no time to lock is empty, and stays for a minute: nobody can tell it from one that
        # is just being made (client_files.py).
        left = [one.name for one in there if {path.name for path in one.rglob("*")} - {"new"}]
        assert killed or not left, f"a run that ended by itself has left {left}"
        for one in there:
            assert one.name.startswith(_CLIENT_FOLDER), one.name
            assert stat.S_IMODE(one.stat().st_mode) == 0o700
            for path in one.rglob("*"):
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
                assert not self.readable(path.read_text()), f"a key of a store is in {path.name}"

    def readable(self, text: str) -> bool:
        """Says whether any key can be read in a text."""
        return any(mark in text for mark in self.marks)


def moments(chance: random.Random, number: int, undisturbed: Ended, *, start: float = 0.0) -> Iterator[Moment]:
    """Draws moments at which to kill: half of them any time, half of them at any write.

    Args:
        chance: Where they come from.
        number: How many.
        undisturbed: A run that was not killed.
        start: Seconds before which nothing can have happened yet.

    Yields:
        The moments.
    """
    for _ in range(number):
        kind = chance.choice(("time", "time", "before", "after"))
        if kind == "time" or not undisturbed.writes:
            yield Moment("time", seconds=chance.uniform(start, undisturbed.seconds))
        else:
            yield Moment(kind, number=chance.randint(1, len(undisturbed.writes)))
