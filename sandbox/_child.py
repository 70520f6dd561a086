"""The first steps of a child process: tie its life to its parent's, then become the real program.

Run as a script with nothing but the standard library: ``python -I -S _child.py PARENT_PID PROGRAM [ARGUMENT…]``.
It does in a process of its own what ``preexec_fn`` would do between fork and exec, where a Python with threads can
deadlock. The process keeps its id and its start time when it becomes the program.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        # The kernel sends SIGKILL when the *thread* that started this process ends, so children are started by
        # threads that live as long as their process. The setting survives exec.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the setting was in place.
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    _die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # this is what the file is for
