"""The process that owns one S3 server: ``python -m sandbox._store_keeper FOLDER LOCK``.

It is the server's parent and lives in a session of its own, so that neither Ctrl-C nor a killed owner takes it along
before it has cleaned up. It ends, kills the server and removes the folder when its standard input closes, which the
kernel sees to whatever the owner dies of, when the owner is no longer its parent, or on a signal.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from sandbox import _folders
from sandbox._processes import end, spawn

LOG = "versitygw.log"
"""File in the state folder for what the server prints."""
ENDED = "ended"
"""File in the state folder that says that the server has ended by itself."""

_PROJECT = Path(__file__).resolve().parent.parent


def start_keeper(
    claim: _folders.Claim, command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the keeper of one server, which starts the server.

    Args:
        claim: state folder and its lock, which the keeper inherits.
        command: path of the server's program, then its arguments.
        environment: the server's whole environment.

    Returns:
        The keeper; it ends when its standard input is closed.

    Raises:
        OSError: if it cannot be started.
    """
    search = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
    log = os.open(claim.folder / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "sandbox._store_keeper", str(claim.folder), str(claim.lock)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(claim.lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert keeper.stdin is not None
    # Not as arguments, which everybody on the machine can read.
    keeper.stdin.write(json.dumps({"command": command, "environment": dict(environment)}).encode() + b"\n")
    keeper.stdin.flush()
    return keeper


def main(arguments: list[str]) -> int:
    """Run the keeper of one server until its owner is gone or says so, or until a signal.

    Args:
        arguments: the state folder and the descriptor of its lock. The task is a line on standard input.

    Returns:
        Exit code.
    """
    folder, lock = Path(arguments[0]), int(arguments[1])
    fcntl.fcntl(lock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    owner = os.getppid()
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    process = None
    try:
        if line := sys.stdin.buffer.readline():
            task = json.loads(line)
            process = spawn(task["command"], folder=folder, log=folder / LOG, env=task["environment"])
        # The pipe also stays open in children that the owner forked, so its end is not the only sign.
        while process is not None and not stopping and os.getppid() == owner:
            if process.poll() is not None:
                (folder / ENDED).touch()
            if select.select([sys.stdin], [], [], 0.05 if process.poll() is None else 0.5)[0]:
                break
    finally:
        if process is not None:
            end(process, folder=folder)
        with _folders.exclusive():
            _folders.remove(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
