"""Keeps Python's collector of cycles away from work that makes many objects and no cycles.

The collector looks at all objects that there are, time and again while their number grows: without this, a quarter of
the time for ten thousand manifests goes into that, and nothing is ever found. What is not in a cycle is freed as
always.
"""

from __future__ import annotations

import contextlib
import gc

TYPE_CHECKING = False  # Checkers go by the name; the command imports this at its start.
if TYPE_CHECKING:
    from collections.abc import Iterator


class Uncollected:
    """Holds the collector back in a `with` block. Where it is off already, nothing changes.

    It is one for all threads: cycles that others make meanwhile are collected afterwards.
    """

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        """Switches it off."""
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        """Switches it on again, where it was."""
        if self._was_on:
            _age()
            gc.enable()


_AFTER = 50_000
_is_rare = False


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Lets it run rarely in a process that makes much once and ends: the command, and nobody who embeds it.

    New objects are small and few of them are in cycles: it looks at them when there are very many. What was made while
    it was held back it does not look at all: that would take a twentieth of the time of a plan.
    """
    global _is_rare
    before = gc.get_threshold()
    gc.set_threshold(_AFTER, *before[1:])
    _is_rare = True
    try:
        yield
    finally:
        _is_rare = False
        gc.set_threshold(*before)


def _age() -> None:
    """Makes all objects old ones, without looking at them, where it would look at them with the very next one.

    In a program that does so time and again, no cycle would ever be found: what is old is looked at only when much has
    become old by being looked at.
    """
    if _is_rare and gc.get_count()[0] > gc.get_threshold()[0] and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
