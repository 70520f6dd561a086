"""Killed at any moment and run again, an apply converges."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import planton
from planton.cluster import PlanOptions, ProgressEvent
from planton.cluster.ownership import with_set
from planton.rendering import render
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import SETTINGS, Harness, Installed, words
from tests.cluster.objects import config_map, namespace
from tests.manifests import database

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def run(sandbox: Sandbox, set_id: str, file: Path, *, kill_at: str = "", steps: int = 0) -> list[str]:
    """Runs an apply, and kills it in a phase after so many of its steps."""
    program = [sys.executable, "-m", "tests.cluster.killed", str(sandbox.kubeconfig), set_id, str(file)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if kill_at and line.startswith(kill_at) and sum(one.startswith(kill_at) for one in said) == steps:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == (-signal.SIGKILL if kill_at else 0)
    return said


def test_from_nothing_to_an_operator_with_databases(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    operator = manifests.operator(spec=SETTINGS)
    file.write_text(operator + database("orders") + database("billing", backup="enable_backup: false"))
    with Sandbox.start() as sandbox:
        moments = [("plan", 3), ("namespaces", 2), ("rbac", 3), ("secrets", 1), ("configuration", 1), ("operator", 1)]
        moments += [("operator", 2), ("wait", 1), ("databases", 1)]
        for phase, steps in moments:
            run(sandbox, "all", file, kill_at=phase, steps=steps)
        # A killed run leaves no half of an object: what is there is there as it was rendered.
        assert run(sandbox, "all", file)[-1].startswith("result ")
        made = Installed(sandbox)
        plan = made.cluster.plan(planton.load(file), options=PlanOptions(set_id="all"))
        assert set(words(plan).values()) == {"unchanged"}
        rendering = render(planton.load(file), existing=made.cluster.facts()[1])
        for obj in with_set(rendering, "all"):
            live = made.harness.get(obj)
            assert live["metadata"]["labels"].items() >= obj["metadata"]["labels"].items()
            if obj["kind"] in ("Secret", "ConfigMap"):
                assert live["data"] == obj["data"]
        made.environment("orders")


def test_a_change_and_a_prune_that_are_broken_off(installed: Installed, name: str, tmp_path: Path) -> None:
    names = [f"{name}-{letter}" for letter in "abcd"]
    file = tmp_path / "all.yaml"
    ingress = "ingress: {enabled: true, dns_domain: example.org}"
    file.write_text("".join(database(one, spec=ingress) for one in names))
    sandbox = installed.sandbox
    run(sandbox, name, file)
    left = [config_map(f"{name}-x", f"left-{letter}") for letter in "abcd"]
    installed.harness.apply([namespace(f"{name}-x"), *left], set_id=name)
    file.write_text("".join(database(one, backup="backup_schedule: '5 5 * * *'") for one in names))
    for phase, steps in (("plan", 5), ("databases", 1), ("databases", 2), ("prune", 1), ("prune", 2)):
        run(sandbox, name, file, kill_at=phase, steps=steps)
    assert run(sandbox, name, file)[-1].startswith("result ")
    assert not installed.plan(file.read_text(), set_id=name).changed
    for one in names:
        assert installed.database(one)["spec"]["env"] == [{"name": "BACKUP_SCHEDULE", "value": "5 5 * * *"}]
        services = installed.api.request("GET", f"/api/v1/namespaces/{one}/services")["items"]
        assert f"db-{one}-external" not in {service["metadata"]["name"] for service in services}
    assert [installed.harness.find(one) for one in left] == [None] * 4


def test_an_apply_that_is_interrupted_begins_nothing_more(harness: Harness, space: str) -> None:
    objects = [namespace(space), *(config_map(space, f"many-{number}") for number in range(300))]
    plan = harness.plan(objects)

    def interrupt(event: ProgressEvent) -> None:
        if (event.phase, event.done) == ("configuration", 10):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        harness.carry_out(plan, progress=interrupt)
    made = sum(harness.find(one) is not None for one in objects)
    assert 10 < made < 200
    harness.apply(objects)
    assert not harness.plan(objects).changed
