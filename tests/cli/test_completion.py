"""`planton completion`."""

from __future__ import annotations

import subprocess

import pytest
import shtab

from planton.cli import main
from planton.cli._parser import VERBS


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert main(["completion", shell]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


MARKS = {
    "bash": "complete",
    "zsh": "#compdef planton",
    "tcsh": "complete planton",
    # Not in the oldest shtab that is supported.
    "fish": "complete -c planton",
}


@pytest.mark.parametrize("shell", [shell for shell in MARKS if shell in shtab.SUPPORTED_SHELLS])
def test_every_shell_knows_verbs_and_options(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    text = script(capsys, shell)
    mark = MARKS[shell]
    assert mark in text
    for word in (*VERBS, "kubeconfig", "yes-delete", "show-secrets"):
        assert word in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["planton", "re"], ["render", "restore"]),
        (["planton", "render", "--show"], ["--show-secrets"]),
        (["planton", "completion", "z"], ["zsh"]),
        (["planton", "apply", "-f", "manif"], ["manifests.yaml"]),
    ],
)
def test_bash(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory, words: list[str], expected: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "completion.sh").write_text(script(capsys, "bash"))
    (folder / "manifests.yaml").touch()
    quoted = " ".join(f'"{word}"' for word in words)
    commands = (
        f"source ./completion.sh; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        'f=$(complete -p planton | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
        f'"$f" planton "{words[-1]}" "{words[-2]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == expected


def test_an_old_shtab_is_told_from_a_typo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shtab.SUPPORTED_SHELLS", ["bash", "zsh", "tcsh"])
    assert main(["completion", "fish"]) == 1
    err = capsys.readouterr().err
    assert "does not know fish" in err
    assert "pip install --upgrade shtab" in err
