"""What the tests of the command share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A text stream that says it is a terminal, and keeps what was written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file behind it")

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes both streams one terminal of 80 columns.

    Args:
        monkeypatch: Undoes it. Only in the body of a test: pytest sets the streams anew after the fixtures.

    Returns:
        The terminal.
    """
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Gives the environment of a process that runs the command from this tree.

    Args:
        more: Further variables.

    Returns:
        The environment, without a cluster.
    """
    path = os.pathsep.join([str(ROOT), str(ROOT / "gen"), str(ROOT / "tests" / "offline")])
    kept = {
        name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "NO_COLOR", "PLANTON_DEBUG")
    }
    return {**kept, "PYTHONPATH": path, **(more or {})}


def planton(*arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own.

    Args:
        arguments: Arguments without the name of the program.
        stdin: Standard input.
        env: Further environment variables.

    Returns:
        Exit code and output.
    """
    return subprocess.run(
        [sys.executable, "-m", "planton", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(env),
        check=False,
    )
