"""The YAML writer: whatever it writes reads back as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planton import yaml_writer

scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_reads_back(tree: Any) -> None:
    assert yaml.safe_load(yaml_writer.document(tree)) == tree


@given(st.lists(st.dictionaries(st.text(max_size=5), trees, min_size=1, max_size=3), max_size=3))
def test_streams_read_back(items: list[Any]) -> None:
    assert list(yaml.safe_load_all(yaml_writer.documents(items))) == items


@pytest.mark.parametrize(
    "text", ["y", "No", "on", "null", "~", "1e3", "0o17", "1_000", "2020-01-01", "", " x", "x: y", "x #y", "-", "a\nb"]
)
def test_quotes_what_another_reader_could_take_for_something_else(text: str) -> None:
    assert yaml_writer.scalar(text).startswith('"')


def test_leaves_words_alone() -> None:
    assert yaml_writer.document({"kind": "ConfigMap", "list": [{"a": "b/c", "d": []}, "e"], "empty": {}}) == (
        "kind: ConfigMap\nlist:\n- a: b/c\n  d: []\n- e\nempty: {}\n"
    )


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="set is not written as YAML"):
        yaml_writer.document({"a": {1, 2}})
