"""Quantities: exact, and only what Kubernetes takes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1", "1"),
        ("500m", "0.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+1", "1"),
        ("-1", "-1"),
        ("1u", "0.000001"),
        ("1n", "0.000000001"),
        ("1k", "1000"),
        ("1M", "1000000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1Ei", "1152921504606846976"),
        ("1E", "1000000000000000000"),
        ("1E3", "1000"),
        ("2e3", "2000"),
        ("2e-3", "0.002"),
        ("2E+3", "2000"),
        ("0.1Ki", "102.4"),
        ("0.00000000000000000000000000001", "1e-29"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "Gi", "1 Gi", "1K", "1ki", "1gi", "1GB", "1e", "1e3Gi", "1m2", "--1", "1..2", ".", "٣", "1_000",
     "0x1", "inf", "NaN", "1\n", "\n1", "1e9999", "1" * 65, "1Zi"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\Anot a Kubernetes quantity\Z"):
        quantity.parse(text)


def test_nothing_is_rounded() -> None:
    long = "9" * 60
    assert quantity.parse(f"{long}Ei") - quantity.parse(f"{long}Ei") == 0
    assert quantity.parse(f"{long}Ei") == Decimal(int(long) * 1024**6)
    assert quantity.parse("0." + "0" * 60 + "1n") > 0
    assert quantity.parse(f"1{'0' * 40}.1") > quantity.parse(f"1{'0' * 40}")


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.sampled_from(["", "m", "Ki", "Gi", "k", "T"]))
def test_order_is_that_of_numbers(one: int, other: int, unit: str) -> None:
    assert (quantity.parse(f"{one}{unit}") < quantity.parse(f"{other}{unit}")) == (one < other)


def test_the_largest_that_kubernetes_counts() -> None:
    assert quantity.parse("8Ei") == quantity.MAXIMUM + 1
