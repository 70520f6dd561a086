"""Interrupted, an apply begins nothing more, and the next one goes on. Killed: tests/faults/test_killed.py."""

from __future__ import annotations

import os
import signal

import pytest

from planton.cluster import ProgressEvent
from tests.cluster.conftest import Harness
from tests.cluster.objects import config_map, namespace

pytestmark = pytest.mark.cluster


def test_an_apply_that_is_interrupted_begins_nothing_more(harness: Harness, space: str) -> None:
    objects = [namespace(space), *(config_map(space, f"many-{number}") for number in range(300))]
    plan = harness.plan(objects)

    def interrupt(event: ProgressEvent) -> None:
        if (event.phase, event.done) == ("configuration", 10):
            # To the process, as a terminal does; a signal that a thread raises for itself wakes nobody else up.
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        harness.carry_out(plan, progress=interrupt)
    made = sum(harness.find(one) is not None for one in objects)
    assert 10 < made < 200
    harness.apply(objects)
    assert not harness.plan(objects).changed
