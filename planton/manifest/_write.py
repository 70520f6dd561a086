"""Files that are written as a whole or not at all: a disk that is full leaves the one that was there."""

from __future__ import annotations

import os
import stat


def write_whole(path: str, text: str, mode: int) -> None:
    """Writes a file, beside it first and then in its place.

    What has to stay the same file is written directly: a pipe, a device, one with several names, one of somebody else,
    and one in a folder into which nothing may be written. A link stays one.

    Args:
        path: Path of the file, which is replaced.
        text: What is in it then.
        mode: Permissions of a new one, from which those are taken that the process gives to nobody; one that is there
            keeps its own.

    Raises:
        OSError: It cannot be written. What was there is there, unless it had to be written directly.
    """
    place = os.path.realpath(path)
    try:
        there = os.stat(place)
    except FileNotFoundError:
        there = None
    if there is not None and not _may_be_another(place, there):
        _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), text)
        return
    # Hidden, so that nobody who reads the folder takes it for a manifest, and short, whatever the name is.
    draft = os.path.join(os.path.dirname(place), f".planton-{os.urandom(8).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except PermissionError:
        _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), text)
        return
    try:
        if there is not None:
            os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
        _write(descriptor, text)
        os.replace(draft, place)
    except BaseException:
        os.unlink(draft)
        raise


def _may_be_another(place: str, there: os.stat_result) -> bool:
    is_own = stat.S_ISREG(there.st_mode) and there.st_uid == os.geteuid() and not there.st_mode & 0o7000
    # One that is write-protected is not replaced behind its protection.
    return is_own and there.st_nlink == 1 and os.access(place, os.W_OK)


def _write(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            # A crash of the machine right afterwards leaves one of the two as well, and not an empty one.
            os.fsync(descriptor)
