"""Each example becomes what stands beside it, to the letter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import planton
from planton import yaml_writer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/manifest.yaml"))


def rendered(name: str) -> str:
    platform = None
    if not name.startswith("operator-"):
        platform = planton.render(planton.load(EXAMPLES / "operator-full" / "manifest.yaml")).platform
    return yaml_writer.documents(planton.render(planton.load(EXAMPLES / name / "manifest.yaml"), platform))


@pytest.mark.parametrize("name", NAMES)
def test_example(name: str) -> None:
    expected = EXAMPLES / name / "expected.yaml"
    if os.environ.get("PLANTON_WRITE_EXAMPLES") and not os.environ.get("CI"):
        expected.write_text(rendered(name))
    assert rendered(name) == expected.read_text()


def test_every_example_is_listed() -> None:
    text = (EXAMPLES / "README.md").read_text()
    listed = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")} - {"example"}
    assert listed == set(NAMES)
