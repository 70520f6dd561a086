"""The examples of docs/inheritance.md: its commands exist, its output is what the command prints."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from planton.cli import main
from tests.manifests import operator
from tests.translate.inheritance.page import block


def test_the_output_is_what_the_command_prints(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "manifests.yaml"
    path.write_text(operator() + block("yaml"))
    assert main(["env", "orders", "-f", str(path)]) == 0
    # The page wraps nothing and leaves out what stands between two lines where it says so.
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    place = -1
    skips = True
    for line in block("text").splitlines():
        if line.strip() == "…":
            skips = True
            continue
        found = printed.index(" ".join(line.split()), place + 1)
        assert skips or found == place + 1, line
        place, skips = found, False
    assert skips or place == len(printed) - 1


def test_the_commands_are_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "operator.yaml").write_text(operator())
    (tmp_path / "database.yaml").write_text(block("yaml"))
    commands = [shlex.split(line, comments=True) for line in block("sh").splitlines()]
    assert [words[:2] for words in commands] == [["planton", "env"]] * 2
    (without_cluster,) = [words for words in commands if "--live" not in words]
    arguments = [str(tmp_path / word) if word.endswith(".yaml") else word for word in without_cluster[1:]]
    assert main(arguments) == 0
    assert "Database:" in capsys.readouterr().out
