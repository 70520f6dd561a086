"""The collector of cycles after work that made many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from planton.collector import Uncollected, rare_collections


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """Its usual settings, whatever was set before."""
    was_on, before = gc.isenabled(), gc.get_threshold()
    gc.enable()
    gc.set_threshold(700, 10, 10)
    gc.collect()
    yield
    gc.set_threshold(*before)
    (gc.enable if was_on else gc.disable)()


def made(number: int) -> list[list[int]]:
    return [[one] for one in range(number)]


def watched(work: Any) -> int:
    """Says how often the collector ran meanwhile."""
    runs = []
    gc.callbacks.append(lambda phase, info: runs.append(phase))
    try:
        work()
    finally:
        gc.callbacks.pop()
    return runs.count("start")


def test_the_command_does_not_look_at_what_was_made() -> None:
    kept = []

    def work() -> None:
        with Uncollected():
            kept.append(made(60_000))
        kept.append(made(500))

    with rare_collections():
        assert watched(work) == 0
    # Without it, the very same has it look.
    assert watched(work) > 0


def test_a_program_that_embeds_it_finds_its_cycles() -> None:
    class Cycle:
        alive = 0

        def __init__(self) -> None:
            Cycle.alive += 1
            self.itself = self

        def __del__(self) -> None:
            Cycle.alive -= 1

    most = 0
    for _ in range(5000):
        with Uncollected():
            Cycle()
        Cycle()
        most = max(most, Cycle.alive)
    # By itself, long before all of them are there; nobody asks it to.
    assert most < 2000


def test_what_a_program_has_frozen_stays_so() -> None:
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        assert before
        with rare_collections(), Uncollected():
            kept = made(60_000)
        assert kept
        # Some of it is gone since, by itself.
        assert gc.get_freeze_count() >= before * 0.9
    finally:
        gc.unfreeze()


def test_the_settings_are_as_before() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() != before
    assert gc.get_threshold() == before


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with Uncollected():
        made(10)
    assert not gc.isenabled()
    assert gc.get_freeze_count() == 0
