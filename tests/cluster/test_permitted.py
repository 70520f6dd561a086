"""While a deletion is permitted and not done, whoever ends planton at once is told of it."""

from __future__ import annotations

import atexit
import os
from typing import Any

import pytest

from planton.cli import _main
from planton.stopping import Stopping


def test_a_second_signal_tells_which_permissions_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Stopping()
    state.permitted.add("postgresql/a/db-b")
    said: list[str] = []

    def end(code: int) -> Any:
        raise SystemExit(code)

    monkeypatch.setattr(_main, "STOPPING", state)
    monkeypatch.setattr(_main, "_say", said.append)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit):
        _main._end_at_once(130, "interrupted")
    assert "The permission to delete postgresql/a/db-b may still stand; the next apply takes it away." in said[0]
    state.clear()
    assert not state.permitted
