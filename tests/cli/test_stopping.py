"""A signal while a server does not answer: it is heard at once, and nothing is tried again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planton.cli._progress import Progress
from planton.cluster import Plan, ProgressEvent
from planton.cluster.api.retry import Failure, Patience
from planton.stopping import STOPPING, Stopping
from tests.cli.fake import CHANGES, IDENTITY
from tests.cli.support import environment

MANIFEST = Path(__file__).resolve().parents[2] / "examples/database-inherits/manifest.yaml"


def test_a_server_that_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}}],
            "users": [{"name": "me", "user": {"token": "sentinel"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "planton", "apply", "-f", str(MANIFEST), "--kubeconfig", str(path)],
            stderr=subprocess.PIPE,
            env=environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stderr is not None
        with process:
            try:
                # Two requests are under way: the plan's threads wait for them.
                kept = [silent.accept()[0] for _ in range(2)]
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
                first = process.stderr.readline().decode()
                process.send_signal(signal.SIGINT)
                rest = process.stderr.read().decode()
            finally:
                process.kill()
        for one in kept:
            one.close()
    assert first.startswith("interrupted: no new requests; waiting for ")
    assert first.endswith(" under way, up to 7 s; Ctrl-C again ends at once\n")
    assert rest.endswith("without waiting for requests that were under way.\nNothing was written.\n")
    assert process.returncode == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_an_object_is_removed(number: signal.Signals, code: int) -> None:
    # What is raised in such a place the interpreter drops: the command went on to write, and ended with 0.
    program = f"""
import signal, sys, time
from planton.cli import _main, validate

class Removed:
    def __init__(self, act):
        self.act = act
    def __del__(self):
        self.act()

def work(arguments, console):
    Removed(lambda: signal.raise_signal({int(number)}))
    Removed(lambda: time.sleep(0.1))  # It is raised once more in there, and dropped once more.
    time.sleep(20)
    return 0

validate.run = work
sys.exit(_main.run(["validate", "-f", "-"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=15, env=environment(), check=False
    )
    assert done.stderr == f"{'interrupted' if number == signal.SIGINT else 'terminated'}.\n"
    assert done.returncode == code


def test_nothing_is_tried_again_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Patience().begin()
    attempts.next()
    monkeypatch.setattr(STOPPING, "asked", True)
    begun = time.monotonic()
    assert not attempts.again(Failure(503, "", ""))
    assert not attempts.again_soon()
    assert time.monotonic() - begun < 0.1


def test_the_notice_of_a_retry_is_no_phase(capsys: pytest.CaptureFixture[str]) -> None:
    from planton.cli._output import Console

    plan = Plan(IDENTITY, CHANGES)
    with Progress(Console()) as progress:
        progress(ProgressEvent("namespaces", 1, 1, CHANGES[0].subject))
        progress(ProgressEvent("retry", 0, 0, "the API server does not do its work"))
        assert progress.phase == "namespaces"
        assert progress.so_far(plan) == (1, 2)


def test_requests_of_the_thread_itself_are_not_waited_for() -> None:
    stopping = Stopping()
    stopping.begins()
    assert stopping.under_way == 0
    stopping.ends()
    assert stopping.under_way == 0
