"""Keeps Python's collector of cycles away from work that makes many objects and no cycles.

The collector looks at all objects that there are, time and again while their number grows: without this, a quarter of
the time for ten thousand manifests goes into that, and nothing is ever found. What is not in a cycle is freed as
always.
"""

from __future__ import annotations

import gc


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


def _age() -> None:
    """Makes all objects old ones, without looking at them.

    Else the very next object would have it look at all that was made in the block, which takes a twentieth of the time
    of a plan. What a program has frozen stays so.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
