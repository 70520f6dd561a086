"""The process that owns one sandbox: ``python -m sandbox.keeper FOLDER`` with a socket as standard input.

It is the parent of everything that runs, so no process id is ever guessed, and it lives in a session of its own, so
neither Ctrl-C at a terminal nor a killed owner takes it along before it has cleaned up. It ends, and takes everything
with it, when its owner says so, when the owner's end of the socket closes (which the kernel does even after kill -9),
when the owner is no longer its parent, or on SIGTERM. An owner that says ``detach`` leaves it running on its own.

The talk is one JSON object a line in each direction, one answer to each request; the first answer comes unasked and
says that the sandbox is ready, or why not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from sandbox import _folders
from sandbox._errors import SandboxError
from sandbox._processes import end, forget, kill_recorded, spawn, start_time, tail
from sandbox.control_plane import ControlPlane

_TICK_SECONDS = 0.5
# Time for the runner to end its operators by itself; on Linux they would die with it anyway.
_RUNNER_GRACE = 3.0
RUNNER_LOG = "operator-runner.log"


class _StopError(Exception):
    """The keeper was asked to end, or its owner is gone, while it was busy with something long."""


class Keeper:
    """One sandbox from its start to its end."""

    def __init__(self, folder: Path, owner: socket.socket, programs: dict[str, str]) -> None:
        """Prepare; nothing runs before `run`.

        Args:
            folder: state folder, claimed by the owner.
            owner: socket to the owner.
            programs: paths of ``etcd``, ``api_server`` and ``operator``.
        """
        self._folder = folder
        self._owner: socket.socket | None = owner
        self._owner_pid = os.getppid()
        self._buffer = b""
        self._operator_program = programs["operator"]
        self._plane = ControlPlane(
            folder, etcd=Path(programs["etcd"]), api_server=Path(programs["api_server"]), checkpoint=self._checkpoint
        )
        self._runner: subprocess.Popen[bytes] | None = None
        self._runner_trouble = ""
        self._stopping = False
        self._wake = socket.socketpair()

    def run(self) -> int:
        """Start, serve until told to end, clean up.

        Returns:
            Exit code: 0 after an orderly end, 1 if the sandbox did not start or ended by itself.
        """
        keep_folder = False
        code = 0
        try:
            self._catch_signals()
            facts = _folders.Facts(os.getpid(), start_time(os.getpid()))
            _folders.write_facts(self._folder, facts)
            self._plane.start()
            self._start_runner()
            _folders.write_facts(self._folder, dataclasses.replace(facts, url=self._plane.url))
            self._answer({"ok": True, "url": self._plane.url})
            code = self._serve()
            keep_folder = code != 0 and self._owner is None
        except _StopError:
            pass
        except SandboxError as error:
            code = 1
            self._answer({"ok": False, "error": str(error)})
        finally:
            self._stop_runner()
            self._plane.stop()
            if not keep_folder:
                with _folders.exclusive():
                    _folders.remove(self._folder)
        return code

    def _catch_signals(self) -> None:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        # Python goes back to waiting after a signal; a byte in this socket ends the wait.
        writer = self._wake[1]
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def _checkpoint(self) -> None:
        if self._stopping or self._owner_is_gone():
            raise _StopError

    def _owner_is_gone(self) -> bool:
        if self._owner is None:
            return False
        # The socket also stays open in children that the owner forked, so its end is not the only sign.
        if os.getppid() != self._owner_pid:
            return True
        try:
            return self._owner.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _serve(self) -> int:
        while not self._stopping and not self._owner_is_gone():
            if trouble := self._plane.troubles():
                _folders.note_trouble(self._folder, "\n".join(trouble))
                if self._owner is None:
                    # Nobody would ask; the folder stays, so that the next command can tell why it ended.
                    return 1
            self._watch_runner()
            sources = [self._wake[0], *filter(None, [self._owner])]
            if self._owner not in select.select(sources, [], [], _TICK_SECONDS)[0]:
                continue
            for line in self._receive():
                operation = json.loads(line)["op"]
                if operation == "stop":
                    return 0
                self._answer(self._handle(operation))
                if operation == "detach":
                    self._owner = None
                    break
        return 0

    def _receive(self) -> list[bytes]:
        """Return the whole lines that have arrived."""
        chunk = b""
        if self._owner is not None:
            with contextlib.suppress(OSError):
                chunk = self._owner.recv(65536)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return lines

    def _handle(self, operation: str) -> dict[str, Any]:
        handlers: dict[str, Callable[[], None]] = {
            "detach": lambda: None,
            "status": self._watch_runner,
            "stop_operator": self._stop_runner,
            "start_operator": self._start_runner,
            "restart_api_server": self._plane.restart_api_server,
            "restart_etcd": self._plane.restart_etcd,
            "pause_etcd": lambda: self._plane.signal_etcd(signal.SIGSTOP),
            "resume_etcd": lambda: self._plane.signal_etcd(signal.SIGCONT),
        }
        try:
            handlers[operation]()
        except (SandboxError, OSError) as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True, "troubles": [*self._plane.troubles(), *filter(None, [self._runner_trouble])]}

    def _answer(self, message: dict[str, Any]) -> None:
        if self._owner is not None:
            # An owner that is gone is noticed by the next read.
            with contextlib.suppress(OSError):
                self._owner.sendall(json.dumps(message).encode() + b"\n")

    def _start_runner(self) -> None:
        if self._runner is not None:
            return
        self._runner_trouble = ""
        arguments = [str(self._folder), self._operator_program]
        command = [sys.executable, "-P", "-m", "sandbox.operator_runner", *arguments]
        self._runner = spawn(command, folder=self._folder, log=self._folder / RUNNER_LOG)

    def _stop_runner(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            end(runner, folder=self._folder, grace=_RUNNER_GRACE)
            kill_recorded(self._folder / _folders.OPERATORS)

    def _watch_runner(self) -> None:
        if self._runner is not None and (code := self._runner.poll()) is not None:
            forget(self._folder, self._runner.pid)
            self._runner = None
            # Dead with it where the system sees to that.
            kill_recorded(self._folder / _folders.OPERATORS)
            self._runner_trouble = (
                f"the operator runner ended with {code}; no operator runs. End of its log:\n"
                f"{tail(self._folder / RUNNER_LOG)}"
            )
            _folders.note_trouble(self._folder, self._runner_trouble)


def main(arguments: list[str]) -> int:
    """Run the keeper of one state folder.

    Args:
        arguments: the state folder, the descriptor of its lock, and the paths of the programs as a JSON object.

    Returns:
        Exit code.
    """
    folder, lock, programs = Path(arguments[0]), int(arguments[1]), json.loads(arguments[2])
    fcntl.fcntl(lock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    owner = socket.socket(fileno=os.dup(0))
    try:
        return Keeper(folder, owner, programs).run()
    except Exception:
        # Goes to the keeper's log in the state folder, or to nobody if that is removed already.
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
