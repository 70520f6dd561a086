"""Words about many things."""

from __future__ import annotations

import pytest

from planton.words import counted, first_few


@pytest.mark.parametrize(("number", "words"), [(0, "0 changes"), (1, "1 change"), (2, "2 changes")])
def test_a_number_with_its_noun(number: int, words: str) -> None:
    assert counted(number, "change") == words


@pytest.mark.parametrize(
    ("names", "words"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("abcdef", "a, b, c and 3 more")],
)
def test_the_first_few(names: str, words: str) -> None:
    assert first_few([*names], 3) == words
