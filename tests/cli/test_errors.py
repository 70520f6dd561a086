"""How a command ends that does not end well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from planton.cli import main
from planton.errors import PlantonError
from tests.cli.support import environment, planton
from tests.manifests import database, operator


def failing(error: BaseException) -> Any:
    def load(source: object, **options: object) -> None:
        secret_value = "SENTINELLOCAL"
        try:
            raise KeyError(f"SENTINELCAUSE {secret_value}")
        except KeyError as cause:
            raise error from cause

    return load


def test_a_bug_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("planton.manifest._load.read", failing(ValueError("SENTINELTEXT")))
    assert main(["validate", "-f", "x"]) == 1
    captured = capsys.readouterr()
    first, *rest = captured.err.splitlines()
    assert first.startswith("error: this is a bug in planton: ValueError at ")
    assert "test_errors.py:" in first
    assert "PLANTON_DEBUG=1" in rest[0]
    assert "Traceback" not in captured.err
    assert "SENTINEL" not in captured.out + captured.err


def test_a_bug_with_debugging_shows_places_and_no_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLANTON_DEBUG", "1")
    monkeypatch.setattr("planton.manifest._load.read", failing(ValueError("SENTINELTEXT")))
    assert main(["validate", "-f", "x"]) == 1
    err = capsys.readouterr().err
    assert "\nValueError\n" in err
    assert "\nKeyError\n" in err
    assert "in read_manifests" in err
    assert "SENTINEL" not in err


def test_errors_of_ours_are_printed_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLANTON_DEBUG", "1")
    monkeypatch.setattr("planton.manifest._load.read", failing(PlantonError("what is wrong\nwhat to do")))
    assert main(["validate", "-f", "x"]) == 1
    assert capsys.readouterr().err == "error: what is wrong\nwhat to do\n"


def test_a_file_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("planton.manifest._load.read", failing(PermissionError(13, "Permission denied", "/x/y")))
    assert main(["validate", "-f", "x"]) == 1
    assert capsys.readouterr().err == "error: /x/y: Permission denied\n"


def test_control_characters_in_errors_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("planton.manifest._load.read", failing(PlantonError("a\x1b[2Jb\rc")))
    main(["validate", "-f", "x"])
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\\rc\n"


def test_ctrl_c_while_an_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(error: BaseException, console: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("planton.cli._main.report", told)
    assert main(["validate"]) == 130


def test_signal_handlers_are_put_back() -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    main(["--version"])
    assert [signal.getsignal(number) for number in numbers] == before


def test_another_thread_can_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.fixture
def large(tmp_path: Path) -> str:
    """Manifests that render to more than a pipe holds."""
    path = tmp_path / "large.yaml"
    path.write_text(operator() + "".join(database(f"database-{number}") for number in range(100)))
    return str(path)


def run_into(stdout: int | IO[str] | None, *arguments: str, unbuffered: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "planton", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env=environment({"PYTHONUNBUFFERED": unbuffered}),
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["render"], ["render", "-o", "json"], ["validate"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_it_quietly(large: str, arguments: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, err = run_into(writing, *arguments, "-f", large, unbuffered=unbuffered)
    finally:
        os.close(writing)
    assert (code, err) == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_an_error(large: str, unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        code, err = run_into(full, "validate", "-f", large, unbuffered=unbuffered)
    assert code == 1
    assert err == "error: the output could not be written: No space left on device\n"


def test_closed_streams(large: str) -> None:
    command = f'"{sys.executable}" -m planton validate -f "{large}"'
    done = subprocess.run(
        ["sh", "-c", f"{command} >&-"], capture_output=True, text=True, timeout=60, env=environment(), check=False
    )
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr
    done = subprocess.run(
        ["sh", "-c", f"{command} 2>&-"], capture_output=True, text=True, timeout=60, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{large}: 101 manifests valid\n")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
)
def test_signals(tmp_path: Path, number: signal.Signals, code: int, word: str) -> None:
    pipe = tmp_path / "manifests.yaml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "planton", "validate", "-f", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # Should the tests themselves run under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    # Opening it waits until the command reads from it.
    writing = os.open(pipe, os.O_WRONLY)
    try:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        os.close(writing)
    assert (process.returncode, out, err) == (code, "", f"{word}.\n")


STUBBORN = """
import atexit, sys, time
import planton.cli._main as command
def work(*arguments):
    try:
        print("working", flush=True)
        time.sleep(60)
    except BaseException:
        print("waiting for a request", flush=True)
        time.sleep(60)
command._run = work
atexit.register(print, "keys removed", flush=True)
sys.exit(command.run([]))
"""


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_the_second_signal_ends_it_at_once(number: signal.Signals, code: int, word: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "working\n"
            process.send_signal(number)
            assert process.stdout.readline() == "waiting for a request\n"
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (code, "keys removed\n")
    assert err == f"\n{word} twice: ended at once, without waiting for requests that were under way.\n"


def test_under_nohup_a_closed_terminal_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen: list[object] = []

        def run(*arguments: object) -> int:
            seen.append(signal.getsignal(signal.SIGHUP))
            return 0

        monkeypatch.setattr("planton.cli._main._run", run)
        main([])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIG_IGN]


def test_the_module_and_the_command_are_one() -> None:
    done = planton("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("planton ")
    assert planton().returncode == 1
