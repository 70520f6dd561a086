"""Where the official client puts keys and certificates that stand in a kubeconfig: it only takes files.

It makes them in the folder for temporary files, and removes them when the process ends by itself (`_temp_files` in
https://github.com/kubernetes-client/python/blob/v37.0.2/kubernetes/config/kube_config.py). A process that is killed
leaves the user's key behind. So they get a folder of their own, which the next run removes.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from functools import lru_cache

_PREFIX = f"planton-client-{os.getuid()}-"
_LOCK = "lock"
# Until it is locked, a new folder looks like one that was left behind.
_SECONDS_TO_LOCK = 60.0


@lru_cache(maxsize=1)
def folder() -> str | None:
    """Makes the folder of this process, once, and removes those of processes that were killed.

    Returns:
        Its path; readable by its owner only, and removed when the process ends. None where no folder for temporary
        files can be written: most kubeconfigs need none.
    """
    try:
        parent = tempfile.gettempdir()
        sweep(parent)
        made = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        # Held as long as the process lives, whatever ends it; and never seen under its name while it is free.
        new = os.path.join(made, "new")
        fcntl.flock(os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), fcntl.LOCK_EX)
        os.rename(new, os.path.join(made, _LOCK))
    except OSError:
        return None
    atexit.register(_remove, made, os.getpid())
    return made


def _remove(path: str, owner: int) -> None:
    # A fork runs what its parent registered.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


def sweep(parent: str) -> None:
    """Removes the folders of processes that were killed.

    Args:
        parent: Where they are.
    """
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            # Somebody else may be removing it too.
            with contextlib.suppress(OSError):
                _sweep_one(os.path.join(parent, name))


def _sweep_one(path: str) -> None:
    status = os.lstat(path)
    # The folder above can be open to everybody, who could put a link there.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    try:
        lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - status.st_mtime > _SECONDS_TO_LOCK:
            shutil.rmtree(path, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
