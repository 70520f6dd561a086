"""The updating line, and what it remembers."""

from __future__ import annotations

import threading

import pytest

from planton.cli._output import Console
from planton.cli._progress import Progress
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


def test_the_count_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with Progress(Console()) as progress:
        progress(ProgressEvent("secrets", 2, 3, "Secret/b"))
        progress(ProgressEvent("secrets", 1, 3, "Secret/a"))
        progress(ProgressEvent("operator", 1, 2, "Service/c"))
    shown = [text.split("] ")[1] for text in terminal.text.split("\r\x1b[K") if text]
    assert shown == ["secrets 2/3 Secret/b", "secrets 2/3 Secret/a", "operator 1/2 Service/c"]


def test_a_long_wait_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr("planton.cli._progress._TICK", 0.01)
    clock = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with Progress(Console()) as progress:
        progress(ProgressEvent("wait", 0, 0, "Deployment/x/y: not yet"))
        deadline = threading.Event()
        while terminal.text.count("wait Deployment") < 3:
            deadline.wait(0.01)
    seconds = [int(text.split(" s]")[0].strip("[ ")) for text in terminal.text.split("\r\x1b[K") if " s]" in text]
    assert seconds == sorted(set(seconds))
    assert terminal.text.endswith("\r\x1b[K")
    assert not [thread for thread in threading.enumerate() if thread.name == "planton-progress"]
