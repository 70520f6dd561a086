"""What the README says to type works as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox import Sandbox
from tests.api import Api
from tests.e2e.support import container_env

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-readme")]

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def block(language: str, containing: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (text,) = [one for one in found if containing in one]
    return str(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    (path / "manifests").mkdir()
    (path / "manifests" / "all.yaml").write_text(block("yaml", "PostgresKubernetes"))
    return path


@pytest.fixture(scope="module")
def sandbox(folder: Path) -> Iterator[Sandbox]:
    with Sandbox.start() as started:
        content = yaml.safe_load(started.kubeconfig.read_text())
        content["contexts"][0]["name"] = content["current-context"] = "production"
        (folder / "kubeconfig").write_text(yaml.safe_dump(content))
        yield started


def run(command: list[str], folder: Path, expected: tuple[int, ...] = (0,)) -> str:
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode in expected, done.stdout + done.stderr
    return done.stdout


def test_the_five_lines_of_python_and_then_the_quick_start(sandbox: Sandbox, folder: Path) -> None:
    printed = run([sys.executable, "-c", block("python", "planton.connect")], folder)
    assert "production" in printed
    assert "created" in printed
    container_env(Api(sandbox.kubeconfig), "production-db")
    verbs = []
    for line in block("sh", "planton plan").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["planton"]:
            # The store of the README is not reached, and what is not seen is not fresh.
            run([sys.executable, "-m", *words], folder, (3,) if words[1] == "status" else (0,))
            verbs.append(words[1])
    assert verbs == ["validate", "plan", "apply", "status", "env"]


def test_every_make_target_that_it_names_exists() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
