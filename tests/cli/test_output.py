"""Where results and notices go, and what may stand in them."""

from __future__ import annotations

import errno
import io
import sys

import pytest

from planton.cli._output import Console, OutputError, printable
from tests.cli.support import on_terminal


def test_results_and_notices_are_apart(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.out("result")
    console.warn("careful")
    console.error("wrong")
    console.plain("by the way")
    console.plain("")
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert captured.err == "warning: careful\nerror: wrong\nby the way\n"


def test_no_colour_and_no_progress_in_pipes(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.transient("working")
    console.out(console.paint("created", "green"))
    console.transient("")
    captured = capsys.readouterr()
    assert captured.out == "created\n"
    assert captured.err == ""
    assert console.width is None


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    console = Console()
    console.out(console.paint("created", "green"))
    assert terminal.text == "\x1b[32mcreated\x1b[0m\n"
    assert console.width == 80


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv(name, value)
    console = Console()
    console.out(console.paint("created", "green"))
    console.error("wrong")
    assert terminal.text == "created\nerror: wrong\n"


def test_an_empty_no_color_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    assert Console().paint("created", "green") != "created"


def test_the_updating_line_goes_before_anything_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    console = Console()
    console.transient("working on it")
    console.out("result")
    assert terminal.text == "\r\x1b[Kworking on it\r\x1b[Kresult\n"


def test_the_updating_line_stays_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    Console().transient("x" * 500 + "\ny")
    assert terminal.text == "\r\x1b[K" + "x" * 79


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("plain text, ümlaut") == "plain text, ümlaut"
    assert printable("a\x1b[31mb\r\nc\x07\x9b\u202e") == "a\\x1b[31mb\\r\nc\\x07\\x9b\\u202e"


def test_a_stream_that_knows_ascii_only_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console = Console()
    console.out("größer")
    console.flush()
    assert raw.getvalue() == b"gr\\xf6\\xdfer\n"


class Broken(io.StringIO):
    """A stream whose other end is gone, or full."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "closed"),
    [(BrokenPipeError(errno.EPIPE, "Broken pipe"), True), (OSError(errno.ENOSPC, "No space left on device"), False)],
)
def test_output_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, error: OSError, closed: bool) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    with pytest.raises(OutputError) as caught:
        Console().out("result")
    assert caught.value.closed is closed
    assert caught.value.reason == error.strerror


def test_notices_never_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Broken(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    Console().error("wrong")


def test_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console = Console()
    console.error("wrong")
    console.flush()
    with pytest.raises(OutputError, match="closed"):
        console.out("result")
