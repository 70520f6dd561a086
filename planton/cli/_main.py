"""One run of the command: signals, arguments, the verb, errors, exit code."""

from __future__ import annotations

import contextlib
import signal
import sys

from planton.cli._arguments import parse
from planton.cli._exit import CHANGES, DONE, INTERRUPTED, TERMINATED, Stopped, report
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
    """Turns SIGTERM into an exception, so that what was done can be told."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(TERMINATED, "terminated")

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Not the main thread: then somebody else handles signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
