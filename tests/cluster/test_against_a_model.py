"""Plan and apply against a model of them: random histories in a real API server, with others who write and deaths."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sandbox import Sandbox
from tests.cluster.left import Store
from tests.faults.observed import Observed, times
from tests.faults.observed import observed as observed
from tests.model.machine import PlanAndApply, World

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.mark.usefixtures("served")
def test_plan_and_apply_do_what_the_model_says(sandbox: Sandbox, store: Store, observed: Observed) -> None:
    world = World(sandbox)
    machine: Any = type("Machine", (PlanAndApply,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=times(6),
            stateful_step_count=12,
            deadline=None,
            derandomize=bool(os.environ.get("CI")),
            phases=[Phase.generate, Phase.shrink] if os.environ.get("MODEL_SHRINK") else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    steps, changes = world.steps, world.changes
    # A run in which little happens would show nothing.
    assert steps.total() > 5 * times(6), steps
    told = ", ".join(f"{steps[one]:,} times {one}" for one in sorted(steps))
    observed(
        "plan and apply against a model",
        f"{steps.total():,} steps in random histories ({told}); their plans said {changes['created']:,} created, "
        f"{changes['configured']:,} configured, {changes['deleted']:,} deleted, {changes['skipped']:,} skipped, "
        f"{changes['conflict']:,} conflicts and {changes['refused']:,} refusals: each word, each object and each "
        "generation as the model says, objects of others untouched, no secret outside of a Secret",
    )
