"""What holds for any message of either kind: it dumps, loads and renders the same twice, and nothing changes it."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import planton
from planton.types import Resource
from tests.strategies import databases, operators

forms: st.SearchStrategy[Literal["yaml", "json"]] = st.sampled_from(["yaml", "json"])
either = st.one_of(operators(), databases())
slow_ok = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow_ok
@given(either, forms)
def test_dump_and_load_give_an_equal_message(message: Resource, form: Literal["yaml", "json"]) -> None:
    (first,) = planton.loads(planton.dumps([message], format=form))
    text = planton.dumps([first], format=form)
    (second,) = planton.loads(text)
    assert first == second
    assert planton.dumps([second], format=form) == text


@slow_ok
@given(either)
def test_rendering_is_the_same_twice_and_changes_nothing(message: Resource) -> None:
    before = copy.deepcopy(message)
    first = planton.render([message])
    second = planton.render([message])
    assert list(first) == list(second)
    assert message == before
    (loaded,) = planton.loads(planton.dumps([message]))
    assert list(planton.render([loaded])) == list(first)


@slow_ok
@given(operators(), databases())
def test_a_database_renders_alike_beside_its_operator_and_with_the_platform_read_back(
    operator: Resource, database: Resource
) -> None:
    operator.metadata.name, database.metadata.name = "postgres-operator", "orders"
    try:
        together = planton.render([operator, database])
    except planton.ManifestError as error:
        pytest.fail(str(error))
    for item in planton.render([database], together.platform):
        assert item in list(together)
