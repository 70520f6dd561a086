"""Start-up: what is not needed is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import environment
from tests.manifests import database, operator

HEAVY = (
    "kubernetes", "google.protobuf", "protovalidate", "yaml", "project_planton", "shtab", "dataclasses", "asyncio",
    "urllib3", "importlib.metadata", "json", "logging", "shutil", "difflib", "inspect",
)  # fmt: skip
# Of what every verb needs a part, what no manifest that is right and has no cluster needs.
OF_CLUSTERS = {
    "kubernetes", "urllib3", "requests", "ssl", "obstore", "cramjam", "asyncio", "planton.cluster", "planton.catalogue",
    "importlib.metadata", "difflib", "shtab", "logging",
}  # fmt: skip
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


def test_what_manifests_that_are_right_import(tmp_path: Path) -> None:
    path = tmp_path / "manifests.yaml"
    path.write_text(operator() + database("orders"))
    for verb in ("validate", "render"):
        modules = imported(verb, "-f", str(path))
        # It takes as long to import as all the rest; what it is asked for is what could be wrong (manifest/_proof.py).
        assert not modules & {*OF_CLUSTERS, "protovalidate"}
        assert {"yaml", "google.protobuf"} <= modules


def test_what_an_operator_alone_imports(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text(operator())
    assert not imported("render", "-f", str(path)) & {
        "planton.translate.beginning",
        "planton.translate.archive_sources",
    }


def test_proofs_are_tried_as_long_as_they_save_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    from planton.manifest import _rules

    monkeypatch.delitem(sys.modules, "protovalidate", raising=False)
    monkeypatch.setattr(_rules, "_proofs", 2)
    assert [_rules._proofs_left() for _ in range(4)] == [True, True, False, False]
    monkeypatch.setattr(_rules, "_proofs", 2)
    monkeypatch.setitem(sys.modules, "protovalidate", sys)
    assert not _rules._proofs_left()


def test_the_overview_imports_no_parser() -> None:
    assert "argparse" not in imported("--help")
    assert "argparse" in imported("apply", "--help")


def test_a_cluster_imports_what_is_asked_of_it() -> None:
    """Half of planton.cluster is for verbs that are seldom called, and a plan waits for none of it."""
    script = "import sys; from planton.cluster import connect; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )
    modules = set(done.stdout.split())
    assert "planton.cluster.cluster" in modules
    assert not modules & {
        "kubernetes", "planton.catalogue", "planton.cluster.planning.plan", "planton.cluster.planning.apply",
        "planton.cluster.checking.checks", "planton.cluster.deleting.delete", "planton.cluster.restoring.restore",
        "planton.cluster.status", "planton.cluster.synchronising.synchronise",
    }  # fmt: skip
    script = (
        "import sys, planton.cluster.planning.plan_manifests, planton.cluster.planning.apply_plan; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )
    modules = set(done.stdout.split())
    assert not modules & {
        "kubernetes", "obstore", "planton.catalogue.archive", "planton.catalogue.probe",
        "planton.cluster.checking.checks", "planton.cluster.deleting.delete", "planton.cluster.restoring.restore",
        "planton.cluster.status", "planton.cluster.restoring.preflight",
    }  # fmt: skip


def test_the_end_looks_through_nothing() -> None:
    """Python looks for cycles among all objects when a process ends, unless they are put away before."""
    script = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count()))
from planton.cli import main
main(["--version"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )
    assert int(done.stdout.split()[-1]) > 1000


def test_help_of_all_imports_no_verb() -> None:
    assert "planton.cli.apply" not in imported("--help")
    assert "planton.cli.render" not in imported("apply", "--help")
