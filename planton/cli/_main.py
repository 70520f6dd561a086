"""One run of the command: signals, arguments, the verb, errors, exit code."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading

from planton.cli._exit import CHANGES, DONE, HUNG_UP, INTERRUPTED, TERMINATED, Stopped, report
from planton.cli._output import Console, OutputError
from planton.collector import rare_collections
from planton.stopping import SECONDS, STOPPING

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from sys import UnraisableHookArgs
    from types import FrameType
    from typing import NoReturn

_OVERVIEW = ("--help", "-h", "help")
_AGAIN = 0.01
"""Seconds after which an exception of a signal is raised once more that nobody got."""


def run(argv: Sequence[str] | None) -> int:
    """Runs the command.

    Args:
        argv: Arguments without the name of the program; None takes those of the process.

    Returns:
        The exit code.
    """
    console = Console()
    # The interpreter looks through all objects once more when it ends, which takes longer than a small set to plan.
    atexit.register(gc.freeze)
    with _signals(), rare_collections():
        code = _run(sys.argv[1:] if argv is None else argv, console)
        try:
            console.flush()
        except OutputError as error:
            # A failure that was told already counts more.
            code = report(error, console) if code in (DONE, CHANGES) else code
    return code


def _run(argv: Sequence[str], console: Console) -> int:
    try:
        if len(argv) == 1 and argv[0] in _OVERVIEW:
            from planton.cli._parser import overview

            console.raw(overview())
            return DONE
        # Imported here, as the rest is by the verbs: the overview, which most often is all that is wanted of a program
        # that is not known yet, needs none of it.
        from planton.cli._arguments import parse

        arguments = parse(argv)
        console.is_verbose = getattr(arguments, "verbose", False)
        console.untouched = getattr(arguments, "untouched", "")
        code: int = arguments.run(arguments, console)
    except SystemExit as leave:
        # argparse leaves this way after --help and --version.
        return leave.code if isinstance(leave.code, int) else DONE
    except KeyboardInterrupt:
        return report(Stopped(INTERRUPTED, "interrupted"), console)
    except (Stopped, Exception) as error:
        # The outermost frame: whatever comes here is told to the user, in words and without a value.
        return report(error, console)
    return code


def _end_at_once(code: int, word: str) -> NoReturn:
    """Ends the process without waiting for anything, but for the removal of files that hold keys."""
    done = ""
    # Whatever that meets with, in the middle of something else: the end comes first.
    with contextlib.suppress(Exception):
        done = f"{STOPPING.done()}\n" if STOPPING.done is not None else ""
        for subject in sorted(STOPPING.permitted):
            done += f"The permission to delete {subject} may still stand; the next apply takes it away.\n"
    _say(f"\n{word} twice: ended at once, without waiting for requests that were under way.\n{done}")
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    os._exit(code)


def _say(text: str) -> None:
    """Writes on stderr past its buffer, which the signal may have found in the middle of a write."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))


def _say_what_is_waited_for(word: str, again: str) -> None:
    if number := STOPPING.under_way:
        # From the beginning of the line, where the progress may stand.
        line = "\r\x1b[K" if os.isatty(2) else ""
        _say(
            f"{line}{word}: no new requests; waiting for {number} under way, up to {SECONDS} s; {again} ends at once\n"
        )


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turns signals into exceptions, so that what was done can be told and what is left is removed.

    Requests that are under way are waited for, since nobody would know what became of them. Whoever does not want to
    wait sends the signal once more.
    """
    words = {
        signal.SIGTERM: (TERMINATED, "terminated"),
        signal.SIGHUP: (HUNG_UP, "hung up"),
        signal.SIGINT: (INTERRUPTED, "interrupted"),
    }
    came = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal came
        code, word = words[signal.Signals(number)]
        if came:
            _end_at_once(code, word)
        came = number
        STOPPING.ask()
        _say_what_is_waited_for(word, "Ctrl-C again" if number == signal.SIGINT else "the signal again")
        raise_it()

    def raise_it(*_: object) -> NoReturn:
        if came == signal.SIGINT:
            raise KeyboardInterrupt
        raise Stopped(*words[signal.Signals(came)])

    def tell_lost(lost: UnraisableHookArgs) -> None:
        # The interpreter drops what is raised while it removes an object, and so the command would go on, and write.
        if came and issubclass(lost.exc_type, (KeyboardInterrupt, Stopped)):
            signal.signal(signal.SIGALRM, raise_it)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            told(lost)

    if threading.current_thread() is not threading.main_thread():
        # Then somebody else handles signals.
        yield
        return
    before = {number: signal.getsignal(number) for number in words}
    # Under nohup a closed terminal shall not matter, nor Ctrl-C to what a script runs in the background.
    taken = [number for number in words if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, stop)
    alarm = signal.getsignal(signal.SIGALRM)
    told, sys.unraisablehook = sys.unraisablehook, tell_lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = told
        signal.signal(signal.SIGALRM, alarm)
        for number in taken:
            signal.signal(number, before[number])
        STOPPING.clear()
