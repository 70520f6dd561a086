"""An object store is its owner's alone and leaves nothing behind, whatever ends it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import SandboxError, object_store
from sandbox._processes import start_time
from sandbox._recipes import MODULES, VERSITYGW
from sandbox.object_store import ObjectStore

needs_the_server = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]
_PROJECT = Path(__file__).resolve().parents[2]
_OWNER = """
import sys, time
from sandbox.object_store import ObjectStore
store = ObjectStore.start()
print(store.folder, flush=True)
if sys.argv[1:] == ["end"]:
    sys.exit()
time.sleep(120)
"""


def until(probe: Callable[[], bool], *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


class Traces:
    """The server and the keeper of a store, to see afterwards that they are gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (record,) = (folder / "processes").iterdir()
        self.server = int(record.name)
        # /proc/<pid>/stat: the parent's id is the field behind the state.
        stat = Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
        self.keeper = int(stat[1])
        self.started = {pid: start_time(pid) for pid in (self.server, self.keeper)}
        assert None not in self.started.values()

    def running(self) -> bool:
        return any(start_time(pid) == started for pid, started in self.started.items())

    def gone(self) -> bool:
        return not self.running() and not self.folder.exists()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], Traces | Path]]]:
    """Starts a program that starts a store in a temp dir of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], Traces | Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, *arguments],
            cwd=_PROJECT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_relative_to(tmp_path)
        return process, folder if arguments else Traces(folder)

    yield start
    for process in started:
        with process:
            process.kill()


class TestWithTheServer:
    """What needs the program."""

    pytestmark = needs_the_server

    def test_stop_ends_everything(self) -> None:
        with ObjectStore.start() as store:
            traces = Traces(store.folder)
            assert store.folder.stat().st_mode & 0o777 == 0o700
            store.check()
        assert traces.gone()
        store.stop()
        with pytest.raises(SandboxError, match="stopped"):
            store.check()

    def test_the_end_of_the_program_ends_it(self, owner: Callable[..., tuple[subprocess.Popen[str], Path]]) -> None:
        process, folder = owner("end")
        assert process.wait(20) == 0
        assert not folder.exists()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
    def test_a_killed_owner_ends_it(
        self, owner: Callable[..., tuple[subprocess.Popen[str], Traces]], number: signal.Signals
    ) -> None:
        process, traces = owner()
        process.send_signal(number)
        process.wait(20)
        until(traces.gone)

    def test_what_a_killed_keeper_leaves_is_swept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        left = ObjectStore.start(tls=False)
        traces = Traces(left.folder)
        os.kill(traces.keeper, signal.SIGKILL)
        # On Linux the server dies with it; elsewhere it is found by its record.
        until(lambda: not traces.running())
        with pytest.raises(SandboxError, match="by itself"):
            left.check()
        assert left.folder.exists()
        with ObjectStore.start(tls=False):
            assert not left.folder.exists()
        left.stop()

    def test_a_server_that_has_died_is_noticed(self) -> None:
        with ObjectStore.start(tls=False) as store:
            os.kill(Traces(store.folder).server, signal.SIGKILL)

            def noticed() -> bool:
                with contextlib.suppress(SandboxError):
                    store.check()
                    return False
                return True

            until(noticed)
            folder = store.folder
        assert not folder.exists()

    def test_a_port_that_is_taken_is_not_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        free = object_store._free_port
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            ports = itertools.chain([taken.getsockname()[1]], iter(free, None))
            monkeypatch.setattr(object_store, "_free_port", lambda: next(ports))
            with ObjectStore.start() as store:
                assert store.port != taken.getsockname()[1]
                store.create_bucket("bucket")
            monkeypatch.setattr(object_store, "_free_port", lambda: taken.getsockname()[1])
            with pytest.raises(SandboxError, match="address already in use"):
                ObjectStore.start()

    def test_the_environment_is_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "HTTPS_PROXY", "ROOT_ACCESS_KEY", "VGW_REGION", "AWS_REGION"):
            monkeypatch.setenv(name, "of-the-caller")
        with ObjectStore.start() as store:
            server = Traces(store.folder).server
            environment = Path(f"/proc/{server}/environ").read_text()
            names = {entry.partition("=")[0] for entry in environment.split("\0") if entry}
            # Python sets LC_CTYPE on its way to the program.
            assert names - {"LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"}
            # Whoever lists processes sees arguments.
            assert store.secret_access_key not in Path(f"/proc/{server}/cmdline").read_text()
            assert store.secret_access_key not in store.log.read_text()
            assert store.secret_access_key not in store.access_log.read_text()

    def test_it_listens_on_loopback_only(self) -> None:
        with ObjectStore.start() as store:
            server = Traces(store.folder).server
            links = [os.readlink(entry) for entry in Path(f"/proc/{server}/fd").iterdir()]
            inodes = {link.removeprefix("socket:[").rstrip("]") for link in links}
            rows = [
                line.split()
                for table in ("tcp", "tcp6")
                for line in Path(f"/proc/{server}/net/{table}").read_text().splitlines()[1:]
            ]
            listening = {row[1] for row in rows if row[9] in inodes and row[3] == "0A"}
            assert listening == {f"0100007F:{store.port:04X}"}

    def test_each_has_keys_of_its_own(self) -> None:
        with ObjectStore.start(tls=False) as one, ObjectStore.start(tls=False) as other:
            assert one.access_key_id != other.access_key_id
            assert one.secret_access_key != other.secret_access_key
            assert one.port != other.port

    def test_buckets(self) -> None:
        with ObjectStore.start(virtual_host_domain="s3.example.test") as store:
            store.create_bucket("bucket")
            assert store.keys("bucket") == []
            assert "s3_CreateBucket" in store.access_log.read_text()
            with pytest.raises(SandboxError, match="BucketAlreadyOwnedByYou"):
                store.create_bucket("bucket")
            with pytest.raises(SandboxError, match="no bucket"):
                store.keys("other")
            assert store.is_called("bucket.s3.example.test")
            assert not store.is_called("s3.example.test")
            assert not store.is_called("a.b.s3.example.test")


def test_the_version_is_that_of_the_module_file() -> None:
    """The recipe's version is what is said; the module file decides what is built."""
    pinned = (MODULES / VERSITYGW.folder / "go.mod").read_text(encoding="utf-8").split()
    versions = [after for word, after in itertools.pairwise(pinned) if word == "github.com/versity/versitygw"]
    assert versions == [VERSITYGW.version]
    assert VERSITYGW.package == pinned[pinned.index("tool") + 1]
