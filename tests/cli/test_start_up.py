"""Start-up: what is not needed is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.support import environment

HEAVY = (
    "kubernetes", "google.protobuf", "protovalidate", "yaml", "project_planton", "shtab", "dataclasses", "asyncio",
    "urllib3", "importlib.metadata", "json", "logging", "shutil", "difflib", "inspect",
)  # fmt: skip
SCRIPT = """
import sys
from planton.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=True,
    )
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["apply", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    # What a `.pth` file or a `sitecustomize` of the machine imports at every start is not ours.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=True,
    )
    modules = imported(*arguments) - set(bare.stdout.split())
    assert not modules & set(HEAVY)


def test_help_of_all_imports_no_verb() -> None:
    assert "planton.cli.apply" not in imported("--help")
    assert "planton.cli.render" not in imported("apply", "--help")
