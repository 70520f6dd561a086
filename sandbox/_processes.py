"""Start programs so that they never outlive the sandbox, and find the ones that did.

A process is known by its id *and* its start time, never by its name: ids are used again, and another user of the
machine may run the same programs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_CHILD = Path(__file__).resolve().parent / "_child.py"
_RECORDS = "processes"


def tied(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one, which dies with the thread that starts it.

    Args:
        command: absolute path of the program, then its arguments.

    Returns:
        The command to start, by the calling process itself.
    """
    return [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), *command]


def spawn(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that dies with the calling thread's process, and write down that it runs.

    Args:
        command: absolute path of the program, then its arguments.
        folder: private folder where the process is recorded.
        log: file that standard output and standard error are appended to; made readable by the owner only.
        cwd: working directory; the same folder by default.
        env: the whole environment; the caller's by default.

    Returns:
        The process.

    Raises:
        OSError: if the log cannot be opened or the process not be started.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = subprocess.Popen(
            tied(command),
            cwd=cwd or folder,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
        )
    finally:
        os.close(descriptor)
    _record(folder, process.pid)
    return process


def end(process: subprocess.Popen[bytes], *, folder: Path, grace: float = 0.0) -> None:
    """End a process that `spawn` started and wait until it is gone.

    Args:
        process: what to end; may have ended already.
        folder: folder that it was recorded in.
        grace: seconds to end by itself after SIGTERM; 0 kills at once, which is right for programs whose data is
            thrown away with the sandbox.
    """
    if process.poll() is None and grace > 0:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    if process.poll() is None:
        process.kill()
    process.wait()
    forget(folder, process.pid)


def forget(folder: Path, pid: int) -> None:
    """Remove the record of a process that has ended.

    Args:
        folder: folder that it was recorded in.
        pid: process id.
    """
    (folder / _RECORDS / str(pid)).unlink(missing_ok=True)


def kill_recorded(folder: Path, *, timeout: float = 5.0) -> list[int]:
    """Kill whatever a folder still has on record, wait until it is gone, and clear the records.

    Args:
        folder: as given to `spawn` by a process that is gone.
        timeout: seconds to wait for the processes to vanish.

    Returns:
        Ids of the processes that had to be killed.
    """
    left: dict[int, str] = {}
    records = folder / _RECORDS
    for entry in sorted(records.iterdir()) if records.is_dir() else []:
        with contextlib.suppress(OSError, ValueError):
            pid, started = int(entry.name), entry.read_text(encoding="utf-8")
            if started and start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
                left[pid] = started
        entry.unlink(missing_ok=True)
    killed = sorted(left)
    deadline = time.monotonic() + timeout
    while left and time.monotonic() < deadline:
        left = {pid: started for pid, started in left.items() if start_time(pid) == started}
        time.sleep(0.02)
    return killed


def start_time(pid: int) -> str | None:
    """Return a text that tells this process from any other with the same id, before or after it.

    Args:
        pid: process id.

    Returns:
        The start time in the system's own form; None if there is no such process or it is only waiting to be reaped.
    """
    if sys.platform == "linux":
        return _start_time_linux(pid)
    else:
        return _start_time_elsewhere(pid)


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log for an error message.

    Args:
        path: file to read; may be missing.
        lines: how many lines at most.

    Returns:
        The lines, indented by two spaces, or a remark that there are none.
    """
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, os.path.getsize(path) - 64 * 1024))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        text = ""
    last = text.splitlines()[-lines:]
    return "\n".join(f"  {line[:400]}" for line in last) or "  (empty)"


def _start_time_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses and may hold anything; fields count from behind it.
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: state is field 3, starttime field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _start_time_elsewhere(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    # The time is a text for people: in one language and zone, whoever asks.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    listing = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _record(folder: Path, pid: int) -> None:
    started = start_time(pid)
    if started is None:
        return
    records = folder / _RECORDS
    records.mkdir(mode=0o700, exist_ok=True)
    (records / str(pid)).write_text(started, encoding="utf-8")
