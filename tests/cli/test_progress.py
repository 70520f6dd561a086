"""The updating line, and what it remembers."""

from __future__ import annotations

import threading

import pytest

from planton.cli._output import Console
from planton.cli._progress import Progress, span
from planton.cluster import Plan, ProgressEvent
from tests.cli.fake import CHANGES, IDENTITY
from tests.cli.support import on_terminal


def test_what_was_written_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(IDENTITY, CHANGES)
    with Progress(Console()) as progress:
        assert progress.done_of(plan) == ()
        progress(ProgressEvent("plan", 1, 4, "Namespace/orders"))
        progress(ProgressEvent("wait", 0, 0, CHANGES[1].subject))
        assert progress.done_of(plan) == ()
        progress(ProgressEvent("configuration", 1, 1, CHANGES[1].subject))
        progress(ProgressEvent("namespaces", 1, 1, "Namespace/orders"))
        assert progress.done_of(plan) == CHANGES[:2]
        assert progress.phase == "namespaces"
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item; nothing is shown by itself meanwhile."""
    now = [100.0]
    monkeypatch.setattr("planton.cli._progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("planton.cli._progress._TICK", 3600)
    return now


def test_the_count_never_goes_back(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    terminal = on_terminal(monkeypatch)
    with Progress(Console()) as progress:
        for event in (("secrets", 2, 3, "Secret/b"), ("secrets", 1, 3, "Secret/a"), ("operator", 1, 2, "Service/c")):
            progress(ProgressEvent(*event))
            clock[0] += 0.1
    shown = [text.split("] ")[1] for text in terminal.text.split("\r\x1b[K") if text]
    assert shown == ["secrets 2/3 Secret/b", "secrets 2/3 Secret/a", "operator 1/2 Service/c"]


def test_a_terminal_is_not_written_faster_than_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    terminal = on_terminal(monkeypatch)
    with Progress(Console()) as progress:
        for number in range(10_000):
            progress(ProgressEvent("plan", number, 10_000, f"Secret/{number}"))
            clock[0] += 0.0001
    assert 10 <= terminal.text.count("\r\x1b[K") <= 25


def test_the_rate_and_what_is_left(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    terminal = on_terminal(monkeypatch)
    with Progress(Console()) as progress:
        for number in range(1, 501):
            progress(ProgressEvent("databases", number, 1000, "postgresql/a"))
            clock[0] += 0.1
        shown = terminal.text.split("\r\x1b[K")
        # Nothing is guessed from the first seconds.
        assert not [text for text in shown if text.startswith(("[  0 s]", "[  1 s]")) and "/s" in text]
        assert "databases 101/1000 (10/s, 90 s left) postgresql/a" in terminal.text
        assert shown[-1].endswith("databases 500/1000 (10/s, 50 s left) postgresql/a")
        # Slower by now: what was fast before does not count for long.
        for number in range(501, 511):
            clock[0] += 4
            progress(ProgressEvent("databases", number, 1000, "postgresql/a"))
        assert terminal.text.endswith("databases 510/1000 (0.2/s, 33 min left) postgresql/a")
        # Another phase is another kind of work; the clock is that of the whole run.
        progress(ProgressEvent("prune", 1, 1000, "Secret/a"))
        assert terminal.text.endswith("[ 89 s] prune 1/1000 Secret/a")


def test_nothing_is_guessed_while_nothing_comes(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    terminal = on_terminal(monkeypatch)
    console = Console()

    def last() -> str:
        return terminal.text.split("\r\x1b[K")[-1]

    with Progress(console) as progress:
        for number in range(1, 51):
            clock[0] += 0.125
            progress(ProgressEvent("databases", number, 100, "postgresql/a"))
        clock[0] += 4
        progress._show(clock[0])
        assert "/s, " in last()
        clock[0] += 20
        progress._show(clock[0])
        assert last() == "[ 30 s] databases 50/100 (nothing new for 24 s) postgresql/a"
        # That the server is waited for says more.
        progress(ProgressEvent("retry", 0, 0, "waiting 8 s: the server said 503"))
        assert last() == "[ 30 s] databases 50/100 waiting 8 s: the server said 503"
        # Once it goes on, the pause says nothing about the rest.
        clock[0] += 0.25
        progress(ProgressEvent("databases", 51, 100, "postgresql/a"))
        assert last() == "[ 30 s] databases 51/100 postgresql/a"
        for number in range(52, 81):
            clock[0] += 0.125
            progress(ProgressEvent("databases", number, 100, "postgresql/a"))
        assert last().startswith("[ 34 s] databases 80/100 (8.0/s, 3 s left)")
        # Where each step takes that long, it does.
        for number in range(81, 87):
            clock[0] += 20
            progress(ProgressEvent("databases", number, 100, "postgresql/a"))
        assert last() == "[154 s] databases 86/100 (3.0/min, 5 min left) postgresql/a"
    with Progress(console) as progress:
        progress(ProgressEvent("plan", 1, 2, "Secret/a"))
        assert last() == "[154 s] plan 1/2 Secret/a"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (99, "99 s"), (99.5, "2 min"), (300, "5 min"), (5940, "99 min"), (6000, "1 h 40 min")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with Progress(Console()) as progress:
        for second in range(100):
            progress(ProgressEvent("databases", second, 1000, "postgresql/a"))
            clock[0] += 1
            progress._log(clock[0])
        for _ in range(200):
            clock[0] += 1
            progress._log(clock[0])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "[ 10 s] databases 9/1000 (0.9/s, 19 min left) postgresql/a"
    # Every ten seconds while something moves, once a minute while nothing does.
    assert len(lines) == 10 + 3


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Progress(Console()) as progress:
        progress(ProgressEvent("databases", 1, 2, "postgresql/a"))
    assert capsys.readouterr() == ("", "")
    terminal = on_terminal(monkeypatch)
    with Progress(Console(), after=60) as progress:
        progress.at("load", 250)
    assert terminal.text == ""


def test_a_long_wait_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr("planton.cli._progress._TICK", 0.01)
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    with Progress(Console()) as progress:
        progress(ProgressEvent("wait", 0, 0, "Deployment/x/y: not yet"))
        deadline = threading.Event()
        while terminal.text.count("wait Deployment") < 3:
            deadline.wait(0.01)
    seconds = [int(text.split(" s]")[0].strip("[ ")) for text in terminal.text.split("\r\x1b[K") if " s]" in text]
    assert seconds == sorted(set(seconds))
    assert terminal.text.endswith("\r\x1b[K")
    assert not [thread for thread in threading.enumerate() if thread.name == "planton-progress"]
