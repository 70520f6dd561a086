"""A sandbox, a set full of credentials, and everything that was printed, logged or written on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import pprint
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from planton.cluster import connect
from sandbox import Sandbox
from tests.api import Api
from tests.e2e.leaks import WATCHER, Hunter
from tests.e2e.leaky_set import LeakySet

_SEVERAL = r"""
import json, sys
from planton.cli import main

for arguments in json.load(sys.stdin):
    code = main(arguments)
    for stream, mark in ((sys.stdout, f"\0{code}\0"), (sys.stderr, "\0")):
        stream.write(mark)
        stream.flush()
"""


class World:
    """All of it.

    Attributes:
        cluster: The sandbox by the Python API.
        set: Manifests, round by round.
        seen: What it was -> what was printed or logged.
        objects: Every object of the cluster, at one time.
        unredacted: A dump of messages with what is written down in them.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.sandbox = sandbox
        self.api = Api(sandbox.kubeconfig)
        self.cluster = connect(sandbox.kubeconfig)
        self.folder = folder
        for name in ("inputs", "temporary", "work", "watcher"):
            (folder / name).mkdir()
        # Of several modules of this name Python imports one.
        offline = (Path(__file__).resolve().parents[1] / "offline" / "sitecustomize.py").read_text()
        (folder / "watcher" / "sitecustomize.py").write_text(f"{offline}\n\n{WATCHER}")
        self.set = LeakySet(folder / "inputs", self.api)
        self.seen: dict[str, str] = {}
        self.objects: list[dict[str, Any]] = []
        self.unredacted = ""

    @property
    def hunter(self) -> Hunter:
        return self.set.hunter

    @property
    def watched(self) -> Path:
        """What the command wrote, removed and started."""
        return self.folder / "watched.log"

    def note(self, what: str, text: str) -> None:
        assert what not in self.seen
        self.seen[what] = text

    def use_variables(self) -> None:
        """Sets the environment variables of the last round for this process, too."""
        for name, value in self.set.variables.items():
            self._patch.setenv(name, value)

    def take_stock(self) -> None:
        """Keeps the logs and all objects, before the server is made to quote credentials in its own log."""
        self.objects = list(self.api.everything())
        self.note("operator's log", self.sandbox.operator_log())
        self.note("API server's log", self.sandbox.api_server_log())
        self.note("audit log", Path(self.sandbox.audit_log).read_text())

    def command(self, what: str, codes: int | tuple[int, ...], *arguments: str) -> str:
        """Runs the command in folders that are watched, and keeps what it prints."""
        done = self._run(["-m", "planton", *self._whole(arguments)])
        self._keep(what, codes, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def commands(self, codes: int | tuple[int, ...], runs: Mapping[str, tuple[str, ...]]) -> None:
        """Runs several in one process, one after another: what it is -> arguments. Most of a run is its imports."""
        done = self._run(["-c", _SEVERAL], json.dumps([self._whole(arguments) for arguments in runs.values()]))
        out, err = done.stdout.split("\0"), done.stderr.split("\0")
        assert len(out) == 2 * len(runs) + 1, self._clean(done.stdout + done.stderr)
        for place, what in enumerate(runs):
            self._keep(what, codes, int(out[2 * place + 1]), out[2 * place] + err[place])
        self._keep(f"the end of {', '.join(runs)}", 0, done.returncode, out[-1] + err[-1])

    def _whole(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        if arguments[0] in ("plan", "apply", "delete", "status") or "--live" in arguments:
            return (*arguments, "--kubeconfig", str(self.sandbox.kubeconfig))
        return arguments

    def _run(self, words: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        paths = [str(self.folder / "watcher"), os.environ.get("PYTHONPATH", ""), str(Path.cwd())]
        environment = {
            **os.environ,
            **self.set.variables,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.folder / "temporary"),
            "WATCH_LOG": str(self.watched),
            "PLANTON_DEBUG": "1",
        }
        return subprocess.run(
            [sys.executable, *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=180,
            cwd=self.folder / "work",
            env=environment,
        )

    def _keep(self, what: str, codes: int | tuple[int, ...], code: int, text: str) -> None:
        self.note(what, text)
        allowed = (codes,) if isinstance(codes, int) else codes
        assert code in allowed, f"{what}: {code}\n{self._clean(text)}"

    def _clean(self, text: str) -> str:
        # pytest would show it, and the log of a test is a log.
        return text if not self.hunter.find(text) else "<output with credentials>"

    def failure(self, what: str, kind: type[BaseException], work: Callable[[], object]) -> BaseException:
        """Keeps everything that an error says of itself, with where it came from."""
        try:
            work()
        except kind as error:
            texts = [traceback.format_exc(), str(error), repr(error), repr(error.args), pprint.pformat(vars(error))]
            self.note(what, "\n".join(texts))
            return error
        raise AssertionError(f"{what}: no {kind.__name__}")

    def printed(self, what: str, *values: object) -> None:
        """Keeps what a person sees who prints objects."""
        texts = [text for one in values for text in (repr(one), str(one), f"{one}", pprint.pformat(one))]
        for one in values:
            if dataclasses.is_dataclass(one) and not isinstance(one, type):
                texts.append(repr(dataclasses.asdict(one)))
        self.note(what, "\n".join(texts))


@contextlib.contextmanager
def logged(world: World) -> Iterator[None]:
    """Keeps what planton and the libraries below it log, at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    names = ["planton", "urllib3", "urllib3.connectionpool", "kubernetes", "kubernetes.client.rest", "client"]
    loggers = [root, *map(logging.getLogger, names)]
    levels = [one.level for one in loggers]
    root.addHandler(handler)
    for one in loggers:
        one.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
        world.note("logs at DEBUG", stream.getvalue())
