"""The command line: what is understood, and what is said otherwise."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from planton.cli import main
from planton.cli._arguments import duration
from planton.cli._parser import VERBS, build


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h", 3600),
        ("0.5", 0.5),
        ("2m1.5s", 121.5),
        ("24h", 86400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "-1", "0", "0s", "m", "1m1h", "25h", "nan", "inf", "1e3", "٣", "5 m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["say what to do", "validate"]),
        (["valdate"], ['there is no verb "valdate"', "Did you mean `planton validate`?"]),
        (["xyz"], ['there is no verb "xyz"', "validate, render, plan"]),
        (["--context", "x", "plan"], ["--context stands before the verb"]),
        (["plan", "x.yaml"], ['"x.yaml" is one argument too many', "`-f x.yaml`"]),
        (["plan", "--kubeconfg", "x"], ["planton plan has no option --kubeconfg", "Did you mean --kubeconfig?"]),
        (["plan", "--kubeconfg=x"], ["planton plan has no option --kubeconfg"]),
        (["plan"], ["say which manifests", "-f FILE"]),
        (["plan", "-f", "-", "-f", "-"], ["standard input can be read only once"]),
        (["plan", "-f", "x", "-o", "xml"], ["--output", "xml"]),
        (["apply", "-f", "x", "--timeout", "soon"], ["--timeout", '"soon" is no duration', "5m"]),
        (["render", "-f"], ["--file", "expected one argument"]),
        (["validate", "--kubeconfig", "x"], ["planton validate has no option --kubeconfig"]),
        (["env"], ["NAME"]),
        (["env", "orders"], ["say where to look", "--live"]),
        (["env", "orders", "-f", "x", "--context", "y"], ["not asked without --live"]),
        (["completion", "powershell"], ["powershell", "bash"]),
    ],
)
def test_usage_errors_exit_with_1_and_say_what_to_do(
    capsys: pytest.CaptureFixture[str], argv: list[str], words: list[str]
) -> None:
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    for word in words:
        assert word in captured.err


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", "x", "--force"]) == 1
    assert "no option --force" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main([verb, "--help"] if verb else ["--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "Exit codes:" in captured.out
    if verb:
        assert f"  planton {verb}" in captured.out.split("Examples:\n")[1]
    else:
        for name, summary in VERBS.items():
            assert name in captured.out
            assert summary in " ".join(captured.out.split())
        assert (
            captured.out.index("planton validate")
            < captured.out.index("planton plan")
            < captured.out.index("planton apply")
        )


@pytest.mark.parametrize("columns", [20, 60, 80, 95, 400])
def test_the_overview_fits_and_leaves_nothing_out(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda number: os.terminal_size((columns, 24)))
    parser, _ = build()
    text = parser.format_help()
    width = min(max(columns, 60), 110) - 2
    between = text.partition("options:")[2].partition("Exit codes:")[0]
    assert all(len(line) <= width for line in between.splitlines())
    # Its own words, since it is written without the parser.
    assert " ".join(parser.format_usage().split()) in " ".join(text.split())
    for action in parser._actions:
        assert ", ".join(action.option_strings) in between
        assert " ".join((action.help or "").split()) in " ".join(between.split())


def test_every_verb_is_one_file_and_every_file_a_verb() -> None:
    import planton.cli

    names = {
        path.stem.replace("_", "-")
        for path in Path(planton.cli.__file__).parent.glob("*.py")
        if not path.stem.startswith("_")
    }
    assert names == set(VERBS)


def test_examples_in_the_help_are_understood() -> None:
    import re
    import shlex

    from planton.cli._arguments import parse

    _, parsers = build(*VERBS)
    checked = 0
    for parser in parsers.values():
        for line in (parser.epilog or "").splitlines():
            for command in re.findall(r"(?:^  |\(|\| |&& )planton ([^|><)#]*)", line):
                words = [word for word in shlex.split(command) if word != "2"]
                parse(words)
                checked += 1
    assert checked >= len(VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from planton import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"planton {__version__}\n"


def test_help_as_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    expected = capsys.readouterr().out
    assert main(["help"]) == 0
    assert capsys.readouterr().out == expected
    assert main(["help", "plan"]) == 0
    assert "usage: planton plan" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "meant"), [("diff", "plan"), ("destroy", "delete"), ("get", "status")])
def test_verbs_of_other_programs(capsys: pytest.CaptureFixture[str], verb: str, meant: str) -> None:
    assert main([verb]) == 1
    assert f"Did you mean `planton {meant}`?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["status", "check"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("orders.yaml", "Manifests are given as `-f orders.yaml`."),
        ("manifests/", "Manifests are given as `-f manifests/`."),
        ("team-a/orders", "The namespace is given by itself: `orders -n team-a`."),
    ],
)
def test_names_that_are_none(
    capsys: pytest.CaptureFixture[str], manifests: str, verb: str, name: str, hint: str
) -> None:
    assert main([verb, "-f", manifests, name]) == 1
    assert capsys.readouterr().err == f'error: "{name}" is no name\n{hint}\n'
