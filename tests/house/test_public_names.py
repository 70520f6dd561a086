"""The public names, frozen both ways: none is missing, and none comes along unseen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import planton
import planton.cluster
import planton.errors
import planton.types

NAMES = {
    "load", "loads", "dump", "dumps", "validate", "render", "environment", "archive", "connect", "Cluster",
    "PlantonError", "ManifestError", "ConflictError", "RefusedError", "WaitError",
}  # fmt: skip

ERRORS = {
    "PlantonError", "ManifestError", "ClusterError", "ConflictError", "RefusedError", "WaitError", "StoreError",
    "Origin", "Problem", "FieldConflict",
}  # fmt: skip


def test_the_door() -> None:
    assert set(planton.__all__) == NAMES
    assert len(planton.__all__) == len(NAMES) <= 15
    for name in NAMES:
        assert getattr(planton, name).__module__.startswith("planton.")
    assert {name for name in dir(planton) if not name.startswith("_")} == NAMES


@pytest.mark.parametrize("package", [planton, planton.cluster], ids=lambda package: package.__name__)
def test_names_are_there_when_they_are_first_used(package: ModuleType) -> None:
    command = (
        f"import {package.__name__} as it; print('planton.lazy' in sys.modules, [getattr(it, n) for n in dir(it)])"
    )
    ran = subprocess.run([sys.executable, "-c", f"import sys; {command}"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("False [")
    assert set(dir(package)) >= set(package.__all__)
    wrong = "connekt"
    with pytest.raises(AttributeError, match=f"^module '{package.__name__}' has no attribute '{wrong}'$") as caught:
        getattr(package, wrong)
    # By these, Python says which name may have been meant.
    assert (caught.value.name, caught.value.obj) == (wrong, package)


def test_the_errors() -> None:
    own = {
        name
        for name, value in vars(planton.errors).items()
        if getattr(value, "__module__", "") == "planton.errors" and not name.startswith("_")
    }
    assert own == ERRORS
    for name in own - {"Origin", "Problem", "FieldConflict"}:
        assert name.endswith("Error")
        assert issubclass(getattr(planton.errors, name), planton.PlantonError)


def test_the_messages() -> None:
    assert len(planton.types.__all__) == len(set(planton.types.__all__))
    for name in planton.types.__all__:
        assert hasattr(planton.types, name)


def test_one_version_number() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    assert found is not None
    assert found[1] == planton.__version__
