"""The command `planton`: one file a verb, which parses, calls the layers below and prints."""

from __future__ import annotations

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments without the name of the program; None takes those of the process.

    Returns:
        The exit code: 0 done or nothing to do; 1 bad input, refused or failed; 2 for `plan` with changes and
        `env --live` with differences; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 141 when the output is
        not read any more.
    """
    try:
        # Here, so that Ctrl-C while it is imported ends as quietly as at any other time.
        from planton.cli._main import run

        return run(argv)
    except KeyboardInterrupt:
        return 130
