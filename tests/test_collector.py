"""The collector of cycles after work that made many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from planton.collector import Uncollected


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


def test_what_was_made_is_not_looked_at_afterwards() -> None:
    kept = []

    def work() -> None:
        with Uncollected():
            kept.append(made(20_000))
        kept.append(made(500))

    assert watched(work) == 0
    # Without it, the very same has it look.
    assert watched(lambda: kept.append(made(20_500))) > 0


def test_cycles_that_others_made_meanwhile_are_found() -> None:
    class Cycle:
        pass

    gone = []
    with Uncollected():
        one: Any = Cycle()
        one.itself = one
        one.told = type("Told", (), {"__del__": lambda self: gone.append(True)})()
        del one
        assert not gone
    gc.collect()
    assert gone


def test_what_a_program_has_frozen_stays_so() -> None:
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        assert before
        with Uncollected():
            made(1000)
        assert gc.get_freeze_count() >= before * 0.9
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with Uncollected():
        made(10)
    assert not gc.isenabled()
    assert gc.get_freeze_count() == 0
