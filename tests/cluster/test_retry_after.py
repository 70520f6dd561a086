"""How long a server asks to wait, whatever it writes there."""

from __future__ import annotations

import json

import pytest

from planton.cluster.api.answers import retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ('"2.5"', 2.5),
        # More than any float holds, of which Python makes a number all the same.
        ("1" + "0" * 400, None),
        ("[1]", None),
        ('"soon"', None),
        ("null", None),
    ],
)
def test_seconds_in_a_status(text: str, seconds: float | None) -> None:
    assert retry_after(None, {"retryAfterSeconds": json.loads(text)}) == seconds
