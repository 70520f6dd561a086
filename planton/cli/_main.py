"""One run of the command: signals, arguments, the verb, errors, exit code."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading

from planton.cli._arguments import parse
from planton.cli._exit import CHANGES, DONE, HUNG_UP, INTERRUPTED, TERMINATED, Stopped, report
from planton.cli._output import Console, OutputError

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType


def run(argv: Sequence[str] | None) -> int:
    """Runs the command.

    Args:
        argv: Arguments without the name of the program; None takes those of the process.

    Returns:
        The exit code.
    """
    console = Console()
    with _signals():
        code = _run(sys.argv[1:] if argv is None else argv, console)
        try:
            console.flush()
        except OutputError as error:
            # A failure that was told already counts more.
            code = report(error, console) if code in (DONE, CHANGES) else code
    return code


def _run(argv: Sequence[str], console: Console) -> int:
    try:
        arguments = parse(argv)
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


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into exceptions, so that what was done can be told and what is left is removed."""
    words = {signal.SIGTERM: (TERMINATED, "terminated"), signal.SIGHUP: (HUNG_UP, "hung up")}

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(*words[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():
        # Then somebody else handles signals.
        yield
        return
    before = {number: signal.getsignal(number) for number in words}
    # Under nohup a closed terminal shall not matter.
    taken = [number for number in words if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
