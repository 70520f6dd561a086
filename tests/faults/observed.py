"""What tests of faults have seen, for docs/reliability.md.

A test takes the fixture `observed` and says once it is through, with the figures of this very run:

    observed("429 with Retry-After", "12 answers; each was waited out; same final state as undisturbed")

The first word is the row of the page, written out in the test as plain text; the second is what happened. Nothing is
kept unless `PLANTON_OBSERVATIONS` names a folder (`scripts/reliability.py` does). How often a test with random moments
tries is `tries`: few in the suite, many for the page.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = "PLANTON_OBSERVATIONS"
TRIES = "PLANTON_FAULT_TRIES"

Observed = Callable[[str, str], None]


def tries(few: int) -> int:
    """Says how many random moments a test tries.

    Args:
        few: How many in the suite, where each second counts.

    Returns:
        That number, or the one that the environment asks for.
    """
    return int(os.environ.get(TRIES) or few)


def times(usual: int) -> int:
    """Says how often a test goes through a whole scenario, or how many inputs it tries.

    Args:
        usual: How often in the suite.

    Returns:
        That number; five times as many where fifty random moments are asked for, and so on.
    """
    return usual * max(1, tries(0) // 10)


@pytest.fixture
def observed(request: pytest.FixtureRequest) -> Observed:
    """Writes down what was seen, as one file for each row."""
    path = Path(str(request.node.path)).relative_to(Path(__file__).resolve().parents[2])

    def say(fault: str, seen: str) -> None:
        if folder := os.environ.get(FOLDER):
            row = {"fault": fault, "seen": seen, "test": f"{path.as_posix()}::{request.node.originalname}"}
            (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(row), encoding="utf-8")

    return say
