"""What the repository itself has to be: no addresses in locks, one wheel with two roots, documents that hold."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.house
ROOT = Path(__file__).resolve().parents[2]


def test_locks_hold_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
        assert pins
        assert len(re.findall(r"^[a-z0-9-]+==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    reasons = (ROOT / "docs" / "dependencies.md").read_text().lower()
    groups = project["dependency-groups"]
    optional = [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    for requirement in [*project["project"]["dependencies"], *optional, *groups["dev"], *groups["bounds"]]:
        name = re.split(r"[<>=]", requirement)[0].lower()
        assert name in reasons or name.startswith("types-"), name


def test_the_wheel_installs_two_roots(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"planton", "project_planton"}
    assert "planton/py.typed" in names
    assert "project_planton/py.typed" in names


def test_local_links_in_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
