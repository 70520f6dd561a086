"""Exit codes, and what is printed when a command fails.

Nothing here prints a value that it was not told to print: of an unexpected exception only the type and the
place are shown, since its text can quote a credential.
"""

from __future__ import annotations

import os

from planton.cli._output import Console, OutputError

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from planton.errors import ConflictError, PlantonError

DONE = 0
"""Done, or nothing to do."""
ERROR = 1
"""Bad input, refused, or failed."""
CHANGES = 2
"""The cluster differs: `plan` has changes, `env --live` found differences."""
STALE = 3
"""Backups are too old, or cannot be seen: `status` only."""
HUNG_UP = 129
"""The terminal went away (128 + SIGHUP)."""
INTERRUPTED = 130
"""Stopped by Ctrl-C (128 + SIGINT)."""
BROKEN_PIPE = 141
"""The reader of the output went away (128 + SIGPIPE)."""
TERMINATED = 143
"""Stopped by SIGTERM (128 + SIGTERM)."""

_OF_SET = "planton, set "
"""How a conflict names the manager of what is in a set: planton itself."""

DEBUG_VARIABLE = "PLANTON_DEBUG"
"""Environment variable that asks for the place of an unexpected error."""


class UsageError(Exception):
    """The command line cannot be understood.

    Attributes:
        remedy: What to do.
    """

    def __init__(self, text: str, remedy: str = "") -> None:
        """Makes the error.

        Args:
            text: What is wrong.
            remedy: What to do.
        """
        self.remedy = remedy
        super().__init__(text)


class Stopped(BaseException):
    """The command was told to stop by a signal.

    Attributes:
        code: Exit code.
        word: What happened, for the message.
    """

    def __init__(self, code: int, word: str) -> None:
        """Makes the exception.

        Args:
            code: Exit code.
            word: What happened, such as `interrupted`.
        """
        self.code = code
        self.word = word
        super().__init__(word)


def report(error: BaseException, console: Console) -> int:
    """Says on stderr what went wrong and what to do, and that nothing was written where that is certain.

    Args:
        error: What ended the command.
        console: Where to say it.

    Returns:
        The exit code.
    """
    if isinstance(error, Stopped):
        console.plain(f"{error.word}{console.said_untouched('; ')}.")
        return error.code
    if isinstance(error, UsageError):
        console.error(str(error))
        console.plain(error.remedy)
        return ERROR
    if isinstance(error, OutputError) and error.closed:
        console.plain(console.said_untouched("nobody reads the output any more: ", "."))
        return BROKEN_PIPE
    _tell(error, console)
    if words := console.said_untouched(""):
        console.plain(f"{words.capitalize()}.")
    return ERROR


def _tell(error: BaseException, console: Console) -> None:
    if isinstance(error, OutputError):
        console.error(f"the output could not be written: {error.reason}")
        return
    # Errors of the layers below need dataclasses, which a successful `planton --help` does not.
    from planton.errors import ConflictError, ManifestError, PlantonError, RefusedError

    if isinstance(error, ManifestError):
        from planton.cli._problems import show_errors

        show_errors(error.problems, console)
    elif isinstance(error, RefusedError):
        from planton.cli._alike import line_of, shortened

        console.error(f"refused{console.said_untouched(', ')}")
        for reason in shortened([line_of(one) for one in error.reasons], every=console.is_verbose):
            console.plain("\n".join(f"  {line}" for line in reason.split("\n")))
    elif isinstance(error, ConflictError):
        _tell_conflicts(error, console)
    elif isinstance(error, PlantonError):
        from planton.cli._alike import shortened_text

        first, _, rest = shortened_text(str(error), every=console.is_verbose).partition("\n")
        console.error(first)
        console.plain(rest)
        if console.is_verbose:
            _tell_denied(error, console)
    elif isinstance(error, OSError) and error.filename is not None:
        console.error(f"{error.filename}: {error.strerror or type(error).__name__}")
    else:
        _tell_bug(error, console)


def _tell_denied(error: PlantonError, console: Console) -> None:
    """Names all that is not allowed, of which the text of an error names the first few."""
    from planton.errors import ClusterError

    if isinstance(error, ClusterError) and error.denied:
        from planton.cluster.permissions.review import told

        console.plain(f"All that is not allowed:\n  {told(error.denied, every=True)}")


def _tell_conflicts(error: ConflictError, console: Console) -> None:
    from planton.cli._alike import Line, shortened

    console.error("others own fields that planton would set")
    lines = [
        Line(
            f'{one.subject}: "{one.manager}" owns {", ".join(one.fields)}',
            (one.subject.partition("/")[0], one.manager, one.fields),
            one.subject.partition("/")[2],
        )
        for one in error.conflicts
    ]
    for line in shortened(lines, every=console.is_verbose):
        console.plain(f"  {line}")
    said = console.said_untouched("")
    console.plain("" if error.changes else f"{(said or 'nothing was written').capitalize()}.")
    sets = sorted({one.manager.removeprefix(_OF_SET) for one in error.conflicts if one.manager.startswith(_OF_SET)})
    if sets:
        console.plain(
            f"What is of set {', '.join(sets)} stays there: is --set right? --force-conflicts moves it to the set that "
            "is named."
        )
    if not all(one.manager.startswith(_OF_SET) for one in error.conflicts):
        console.plain(error.remedy)


def _tell_bug(error: BaseException, console: Console) -> None:
    *_, place = ("no place known", *_places(error.__traceback__))
    console.error(f"this is a bug in planton: {type(error).__name__} at {place}")
    if os.environ.get(DEBUG_VARIABLE) == "1":
        console.plain("\n".join(_trace(error)))
        console.plain("Its text is left out, since it can quote a credential.")
    else:
        console.plain(f"Run it again with {DEBUG_VARIABLE}=1 to see how it came to it, and report that.")
    if not console.untouched:
        console.plain("What was written to the cluster before stays; running the same command again is safe.")


def _places(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next


def _trace(error: BaseException) -> Iterator[str]:
    """Gives types and places of an exception and of its causes: no texts, no locals."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield type(current).__name__
        yield from (f"  {place}" for place in _places(current.__traceback__))
        current = current.__cause__ or current.__context__
