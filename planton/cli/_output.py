"""Where results (stdout) and notices (stderr) go. Colour on a terminal only.

Everything that is printed goes through `printable`, so that text out of a manifest or a server cannot move
the cursor or colour the screen.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from typing import Any, TextIO

_COLOURS = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}


class OutputError(Exception):
    """The output could not be written.

    Attributes:
        closed: The reader went away; there is nobody to tell.
        reason: Why, in the system's words.
    """

    def __init__(self, *, closed: bool, reason: str) -> None:
        """Makes the error.

        Args:
            closed: Whether the reader went away.
            reason: Why, in the system's words.
        """
        self.closed = closed
        self.reason = reason
        super().__init__(reason)


def printable(text: str) -> str:
    """Makes text safe for a terminal: control characters are written as escapes.

    Args:
        text: Any text.

    Returns:
        The text, in which only line feeds are left as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


class Console:
    """Standard output and standard error of one run of the command.

    Attributes:
        begun: When the run began, in seconds of a clock that only goes forward.
        is_verbose: Whether each of many lines that are alike is printed.
        untouched: What is said of a failure while the verb, which writes, has not begun to: such as `nothing was
            written`. Empty for a verb that only reads, and as soon as it is not certain any more.
    """

    def __init__(self) -> None:
        """Looks at the streams and at NO_COLOR and TERM (https://no-color.org)."""
        self.begun = time.monotonic()
        self.is_verbose = False
        self.untouched = ""
        # None where the file descriptor was closed before the start.
        self._out: TextIO | None = sys.stdout
        self._err: TextIO | None = sys.stderr
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self.is_terminal = _is_terminal(self._out)
        self.notices_on_terminal = _is_terminal(self._err)
        self._colour_out = self.is_terminal and not plain
        self._colour_err = self.notices_on_terminal and not plain
        self._transient = ""

    @property
    def width(self) -> int | None:
        """Columns of the terminal behind stdout; None when it is none, so that nothing is cut."""
        return _columns(self._out) if self._out is not None and self.is_terminal else None

    def said_untouched(self, before: str, after: str = "") -> str:
        """Gives what is said of a failure before anything was written, to be said once.

        Args:
            before: Stands in front of it.
            after: Stands behind it.

        Returns:
            The words; empty where they are not true, or were said.
        """
        words, self.untouched = self.untouched, ""
        return f"{before}{words}{after}" if words else ""

    def paint(self, text: str, *styles: str) -> str:
        """Colours text for stdout.

        Args:
            text: Text that is printable already.
            styles: Names out of bold, dim, red, green, yellow, cyan.

        Returns:
            The text, with colours on a terminal.
        """
        return _painted(text, styles, self._colour_out)

    def out(self, text: str) -> None:
        """Prints a result and a line feed.

        Args:
            text: Text that is printable already; may be painted.

        Raises:
            OutputError: It could not be written.
        """
        self.raw(f"{text}\n")

    def raw(self, text: str) -> None:
        """Prints a result as it is.

        Args:
            text: The text.

        Raises:
            OutputError: It could not be written.
        """
        self.transient("")
        if self._out is None:
            raise OutputError(closed=False, reason="standard output is closed")
        try:
            _write(self._out, text)
            if self.is_terminal:
                self._out.flush()
        except (OSError, ValueError) as error:
            raise self._closed(error) from None

    def flush(self) -> None:
        """Writes out what is buffered.

        Raises:
            OutputError: It could not be written.
        """
        self.transient("")
        try:
            if self._out is not None:
                self._out.flush()
        except (OSError, ValueError) as error:
            raise self._closed(error) from None
        with contextlib.suppress(OSError, ValueError):
            if self._err is not None:
                self._err.flush()

    def json(self, value: Any) -> None:
        """Prints a value as indented JSON.

        Args:
            value: Dicts, lists and scalars; keys keep their order.

        Raises:
            OutputError: It could not be written.
        """
        import json

        text = json.dumps(value, indent=2, ensure_ascii=False)
        if not text.replace("\n", "").isprintable():
            # JSON leaves some of what a terminal acts on. It stands in strings only, where escapes say the same.
            text = "".join(one if one == "\n" or one.isprintable() else _json_escape(one) for one in text)
        self.out(text)

    def yaml(self, *values: Any) -> None:
        """Prints values as YAML, several as several documents.

        Args:
            values: Trees of dicts, lists and scalars; keys keep their order.

        Raises:
            OutputError: It could not be written.
        """
        from planton.yaml_writer import parts

        for text in parts(values):
            self.raw(text)

    def warn(self, text: str) -> None:
        """Prints a warning on stderr.

        Args:
            text: The warning.
        """
        self._notice("warning:", text, "yellow")

    def error(self, text: str) -> None:
        """Prints an error on stderr.

        Args:
            text: The error.
        """
        self._notice("error:", text, "red")

    def plain(self, text: str) -> None:
        """Prints lines on stderr; nothing for empty text.

        Args:
            text: The lines.
        """
        if text:
            self._write_notice(printable(text) + "\n")

    def transient(self, text: str) -> None:
        """Replaces the updating line on stderr; does nothing where stderr is no terminal.

        Args:
            text: The line; empty takes it away.
        """
        if self._err is None or not self.notices_on_terminal or text == self._transient:
            return
        shown = printable(text).replace("\n", " ")[: max(_columns(self._err) - 1, 1)]
        self._transient = text
        # Erase in Line, ECMA-48 8.3.41: what the shorter new line would leave behind goes.
        self._emit(f"\r\x1b[K{shown}")

    def _notice(self, word: str, text: str, style: str) -> None:
        self._write_notice(f"{_painted(word, ('bold', style), self._colour_err)} {printable(text)}\n")

    def _write_notice(self, text: str) -> None:
        self.transient("")
        self._emit(text)

    def _emit(self, text: str) -> None:
        # Nobody can be told that stderr is gone, and the work matters more than the notice.
        with contextlib.suppress(OSError, ValueError):
            if self._err is not None:
                _write(self._err, text)
                self._err.flush()

    def _closed(self, error: OSError | ValueError) -> OutputError:
        # A ValueError says that the stream was closed on our side, which only an earlier failure does.
        reason = error.strerror or "unknown" if isinstance(error, OSError) else "it is closed"
        # The interpreter flushes stdout once more at its end, and would complain about the same thing there.
        with contextlib.suppress(OSError, ValueError):
            if self._out is not None:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._out.fileno())
                os.close(null)
        return OutputError(closed=isinstance(error, BrokenPipeError), reason=reason)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        # A stream that says it is ASCII still gets a readable line.
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def help_width() -> int:
    """Gives the columns that help is written in.

    Returns:
        Two less than the terminal has, as argparse itself leaves them free; neither too few nor too many to be read.
    """
    columns = _columns(sys.__stdout__) if sys.__stdout__ is not None else 80
    return min(max(columns, 60), 110) - 2


def _painted(text: str, styles: tuple[str, ...], colour: bool) -> str:
    if not colour or not styles:
        return text
    return f"\x1b[{';'.join(_COLOURS[style] for style in styles)}m{text}\x1b[0m"
