"""What the documents list is what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from planton.cli import _exit
from planton.cluster import DeleteOptions, PlanOptions
from planton.manifest import _limits
from planton.translate.operator_configuration import OWNED_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    return str(text)


def test_settings_that_are_refused() -> None:
    rows = [line.split("|")[1] for line in section("Operator settings").splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
    assert sorted(named) == sorted(OWNED_SETTINGS)


def test_exit_codes() -> None:
    codes = {value for name, value in vars(_exit).items() if name.isupper() and isinstance(value, int)}
    assert {
        int(number)
        for number in re.findall(r"\b\d+\b", "".join(re.findall(r"^\| [\d, ]+\|", section("Exit codes"), re.M)))
    } == codes


def test_limits() -> None:
    numbers = (_limits.MAX_BYTES // 2**20, _limits.MAX_TOTAL_BYTES // 2**20, _limits.MAX_DOCUMENT // 2**20)
    text = " ".join(section("Limits").split())
    assert "{} MiB a file, {} MiB all files together, {} MiB a document".format(*numbers) in text
    assert f"{_limits.MAX_DOCUMENTS:,} documents, {_limits.MAX_DEPTH} levels" in text


@pytest.mark.parametrize("options", [PlanOptions, DeleteOptions])
def test_options(options: type) -> None:
    for field in dataclasses.fields(options):
        assert f"`{field.name}`" in section("Python")


def test_the_two_pages_about_the_sandbox_do_not_tell_the_same_twice() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    assert "(../sandbox/README.md)" in page
    assert "| |" not in page


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]*)(?:#[^)]*)?\)", path.read_text()):
        assert not target or (path.parent / target).exists(), target
