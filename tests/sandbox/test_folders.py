"""State folders are private, locked by their keeper, and swept when that is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandbox import SandboxError, _folders, _processes
from sandbox._processes import kill_recorded, spawn, start_time, tail


@pytest.fixture(autouse=True)
def _own_temp_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_the_root_is_private() -> None:
    """Nobody else can look inside."""
    assert _folders.root().stat().st_mode & 0o777 == 0o700


def test_a_symlink_in_place_of_the_root_is_refused(tmp_path: Path) -> None:
    """Whoever put it there chose where our keys would go."""
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    (tmp_path / f"planton-sandbox-{os.getuid()}").symlink_to(target)
    with pytest.raises(SandboxError, match="not a private folder"):
        _folders.root()


def test_an_open_root_is_refused(tmp_path: Path) -> None:
    """A folder that others can enter was not made by us."""
    open_folder = tmp_path / f"planton-sandbox-{os.getuid()}"
    open_folder.mkdir()
    open_folder.chmod(0o755)
    with pytest.raises(SandboxError, match="mode 0700"):
        _folders.root()


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "run-1", "a" * 60])
def test_names_that_are_refused(name: str) -> None:
    """A name becomes a folder's name."""
    with pytest.raises(SandboxError, match="not a name"):
        _folders.check_name(name)


def test_a_claim_lives_as_long_as_its_lock() -> None:
    """The second claim of a name gets the first one's folder, until the lock is free."""
    claim = _folders.claim("demo")
    assert isinstance(claim, _folders.Claim)
    assert _folders.is_alive(claim.folder)
    assert _folders.claim("demo") == claim.folder
    assert _folders.sweep() == []
    os.close(claim.lock)
    assert not _folders.is_alive(claim.folder)
    _folders.note_trouble(claim.folder, "it broke")
    (line,) = _folders.sweep()
    assert "demo" in line
    assert "it broke" in line
    assert not claim.folder.exists()


def test_only_named_ones_are_listed() -> None:
    """Those of a program belong to that program."""
    claims = [_folders.claim(name) for name in ("demo", None)]
    assert [folder.name for folder in _folders.named(_folders.root())] == ["demo"]
    for claim in claims:
        assert isinstance(claim, _folders.Claim)
        os.close(claim.lock)


def test_recorded_processes_are_killed_and_others_are_not(tmp_path: Path) -> None:
    """A record counts only with the start time: the id alone may be somebody else's by now."""
    ours = spawn([sys.executable, "-c", "import time; time.sleep(60)"], folder=tmp_path, log=tmp_path / "log")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "processes" / str(other.pid)).write_text("1", encoding="utf-8")
        assert kill_recorded(tmp_path) == [ours.pid]
        assert ours.wait(5) == -9
        assert start_time(ours.pid) is None
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.skipif(shutil.which("ps") is None, reason="no ps on this machine")
def test_start_times_where_there_is_no_proc() -> None:
    """The portable way tells a process that runs from one that does not."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert _processes._start_time_elsewhere(os.getpid())
    assert _processes._start_time_elsewhere(child.pid) is None


def test_spawned_processes_say_why_they_failed(tmp_path: Path) -> None:
    """Output goes to a private log."""
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", "print('out'); raise SystemExit('err')"], folder=tmp_path, log=log)
    assert process.wait(10) == 1
    assert log.stat().st_mode & 0o777 == 0o600
    assert sorted(tail(log).split()) == ["err", "out"]
    assert tail(tmp_path / "missing") == "  (empty)"
