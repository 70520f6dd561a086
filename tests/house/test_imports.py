"""Imports point downward only, and generated modules are named by one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "planton"

# What each part may import of planton, besides itself. Imports under TYPE_CHECKING count too.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "quantity": set(),
    "sensitive": set(),
    "yaml_writer": set(),
    "collector": set(),
    "stopping": set(),
    "words": set(),
    "lazy": set(),
    "kinds": {"types"},
    "manifest": {"types", "errors", "quantity", "sensitive", "yaml_writer", "collector", "kinds"},
    "translate": {"types", "errors", "quantity", "sensitive", "kinds"},
    "rendering": {"types", "errors", "collector", "kinds", "manifest", "translate"},
    "catalogue": {"errors", "quantity", "sensitive", "translate"},
    "cluster": {
        "types",
        "errors",
        "quantity",
        "sensitive",
        "collector",
        "stopping",
        "words",
        "lazy",
        "kinds",
        "manifest",
        "translate",
        "rendering",
    }
    | {"catalogue"},
    "cli": {"types", "errors", "quantity", "sensitive", "yaml_writer", "kinds", "manifest", "translate", "rendering"}
    | {"catalogue", "cluster", "collector", "stopping", "words", ""},
    "": {"errors", "lazy", "manifest", "rendering", "cluster"},
    "__main__": {"cli"},
}
# Upward for a type only: an error names what had been done, the registry what a translator is.
EXCEPTIONS = {("errors", "cluster"), ("kinds", "translate")}

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = PACKAGE / alias.name
                is_module = node.module == "planton" and (inner.is_dir() or inner.with_suffix(".py").exists())
                yield f"planton.{alias.name}" if is_module else node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    own = "" if inside == ("__init__",) else inside[0]
    assert own in ALLOWED, f"say in this test what {own} may import"
    for module in imports(path):
        assert not module.startswith(("sandbox", "tests", "scripts")), f"{path} imports {module}"
        if not module.startswith("planton"):
            continue
        other = part_of(module)
        if other != own and (own, other) not in EXCEPTIONS:
            assert other in ALLOWED[own], f"{own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_door_to_generated_modules(path: Path) -> None:
    if path.name != "types.py":
        assert not [module for module in imports(path) if module.startswith("project_planton")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_translation_knows_no_cluster_clock_file_or_environment(path: Path) -> None:
    if "translate" in path.parts:
        forbidden = {"os", "time", "datetime", "pathlib", "random", "uuid", "socket", "subprocess", "kubernetes", "io"}
        assert not {module.split(".")[0] for module in imports(path)} & forbidden


@pytest.mark.parametrize("path", sorted((PACKAGE / "cluster" / "api").glob("*.py")), ids=lambda path: path.name)
def test_requests_know_nothing_of_what_they_are_for(path: Path) -> None:
    above = [module for module in imports(path) if module.startswith("planton.cluster")]
    assert not [
        module for module in above if not module.startswith(("planton.cluster.api", "planton.cluster.ownership"))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450
