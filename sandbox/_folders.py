"""State folders: where they are, who holds them, and the removal of those whose keeper is gone.

All sandboxes of a user are folders below one private folder in the temp dir. A sandbox is alive exactly as long as its
keeper holds the lock in its folder: the kernel releases it whatever the keeper dies of.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox._errors import SandboxError
from sandbox._keys import write_private
from sandbox._processes import kill_recorded

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
_ANONYMOUS = re.compile(r"run-[0-9]+-[0-9a-f]{8}")
_LOCK = "lock"
OPERATORS = "operators"
"""Folder in a state folder for what belongs to operators, with their processes' own records."""
_FACTS = "sandbox.json"
_TROUBLE = "trouble.log"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A new state folder together with its lock.

    Attributes:
        folder: the folder, mode 0700.
        lock: descriptor that holds the lock; the keeper inherits it.
    """

    folder: Path
    lock: int


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the keeper of a sandbox tells other processes of its user.

    Attributes:
        keeper: process id of the keeper; None before it has started.
        started: start time of that process, so that no other one with the same id is ever signalled.
        url: address of the API server; empty until that is ready.
    """

    keeper: int | None = None
    started: str | None = None
    url: str = ""


def root() -> Path:
    """Return the user's folder below the temp dir, made if it is missing.

    Returns:
        A folder that belongs to the user and that nobody else can enter.

    Raises:
        SandboxError: if somebody else put something in its place.
    """
    path = Path(tempfile.gettempdir()).resolve() / f"planton-sandbox-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    # The temp dir is everybody's: a symlink or a folder of someone else there would hand them our keys.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SandboxError(
            f"{path} is not a private folder of this user (wanted: a folder, owner {os.getuid()}, mode 0700)."
            " Look at who made it; remove it, or set TMPDIR to another folder."
        )
    return path


def check_name(name: str) -> str:
    """Return a name unchanged if a sandbox can have it.

    Args:
        name: name from the command line.

    Returns:
        The same name.

    Raises:
        SandboxError: if it is not a lower-case word of at most 42 letters, digits and dashes.
    """
    if not _NAME.fullmatch(name) or name.startswith("run-"):
        raise SandboxError(
            f"{name!r} is not a name for a sandbox: lower-case letters, digits and dashes, at most 42,"
            " not beginning with 'run-'"
        )
    return name


@contextlib.contextmanager
def exclusive() -> Iterator[Path]:
    """Hold the lock of the user's folder, so that nobody else claims or sweeps meanwhile.

    Yields:
        The user's folder.

    Raises:
        SandboxError: as `root`.
    """
    base = root()
    descriptor = os.open(base / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield base
    finally:
        os.close(descriptor)


def claim(name: str | None) -> Claim | Path:
    """Make a state folder and take its lock.

    Args:
        name: name of the sandbox; None for one that lives and dies with the caller.

    Returns:
        The claim; or the folder of the sandbox of that name that is alive already.

    Raises:
        SandboxError: as `root` and `check_name`.
    """
    with exclusive() as base:
        chosen = check_name(name) if name else f"run-{os.getpid()}-{secrets.token_hex(4)}"
        folder = base / chosen
        if folder.exists():
            if is_alive(folder):
                return folder
            remove(folder)
        folder.mkdir(mode=0o700)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Claim(folder, lock)


def is_alive(folder: Path) -> bool:
    """Return whether a keeper holds the folder's lock.

    Args:
        folder: state folder.

    Returns:
        True while the keeper lives.
    """
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def named(base: Path) -> list[Path]:
    """Return the folders of named sandboxes, alive or not, in the order of their names.

    Args:
        base: the user's folder.

    Returns:
        State folders.
    """
    return sorted(entry for entry in base.iterdir() if _NAME.fullmatch(entry.name) and not _is_anonymous(entry))


def sweep() -> list[str]:
    """Remove what dead sandboxes left: processes that still run, and folders.

    Returns:
        One line for each that was removed, with what it died of where that is known.

    Raises:
        SandboxError: as `root`.
    """
    swept = []
    with exclusive() as base:
        for folder in sorted(entry for entry in base.iterdir() if entry.is_dir() and not entry.is_symlink()):
            if not is_alive(folder):
                said = trouble(folder)
                why = f"; it had ended by itself:\n{said}" if said else ""
                remove(folder)
                swept.append(f"removed what was left of the sandbox {folder.name}{why}")
    return swept


def remove(folder: Path) -> None:
    """Kill what a state folder has on record and remove the folder; the lock goes last.

    Args:
        folder: state folder that no keeper holds, or that the calling keeper holds itself.
    """
    for records in (folder, folder / OPERATORS):
        kill_recorded(records)
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        if entry.name == _LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def write_facts(folder: Path, facts: Facts) -> None:
    """Write what other processes need to know.

    Args:
        folder: state folder of the calling keeper.
        facts: what to tell.
    """
    write_private(folder / _FACTS, json.dumps(dataclasses.asdict(facts)))


def read_facts(folder: Path) -> Facts:
    """Read what a keeper tells.

    Args:
        folder: state folder.

    Returns:
        The facts; empty ones while there are none.
    """
    try:
        return Facts(**json.loads((folder / _FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Facts()


def note_trouble(folder: Path, text: str) -> None:
    """Keep a message about a program that ended by itself, once.

    Args:
        folder: state folder of the calling keeper.
        text: the message.
    """
    if text not in trouble(folder):
        with (folder / _TROUBLE).open("a", encoding="utf-8") as handle:
            handle.write(text + "\n")


def trouble(folder: Path) -> str:
    """Return the messages that `note_trouble` kept.

    Args:
        folder: state folder.

    Returns:
        Text; empty if all went well so far.
    """
    try:
        return (folder / _TROUBLE).read_text(encoding="utf-8").rstrip()
    except OSError:
        return ""


def _is_anonymous(folder: Path) -> bool:
    return _ANONYMOUS.fullmatch(folder.name) is not None
