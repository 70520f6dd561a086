"""Lets no method of a cluster wait for its API server longer than it may wait for anything, and tells that it waits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from planton.cluster.changes import ProgressEvent, locked

P = ParamSpec("P")
R = TypeVar("R")


def bounded(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Bounds the patience with the server by the method's `timeout`, and tells its `progress` of it.

    Args:
        method: A method of a cluster, that has such an argument or both of them, by name only.

    Returns:
        The method.
    """
    parameters = inspect.signature(method).parameters
    usual = parameters["timeout"].default if "timeout" in parameters else float("inf")

    @functools.wraps(method)
    def call(self: Any, /, *arguments: P.args, **named: P.kwargs) -> R:
        given: dict[str, Any] = dict(named)
        report = locked(given.get("progress"))
        if given.get("progress") is not None:
            given["progress"] = report
        with self._connection.patience.bounded(
            float(given.get("timeout", usual)), lambda text: report(ProgressEvent("retry", 0, 0, text))
        ):
            return method(self, *arguments, **given)

    return call
