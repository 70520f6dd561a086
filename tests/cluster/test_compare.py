"""What is wanted against what is there, without a server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.cluster.planning.compare import _agrees, _is_equal, _shape_of, foreign_data, is_settled
from planton.cluster.planning.effects import effects_of
from planton.cluster.planning.normalise import ABSENT, parse_quantity, same
from tests.cluster.objects import Object, config_map, deployment, namespace, secret


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("0.1", "100m"), ("1Gi", "1024Mi"), ("1e3", "1k"), (".5", "500m"), (1, "1"), ("1.", "1")],
)
def test_equal_quantities(one: object, other: object) -> None:
    assert parse_quantity(one) is not None
    assert parse_quantity(one) == parse_quantity(other)


@pytest.mark.parametrize("text", ["", "1 Gi", "1K", "Gi", "1.2.3", "0x10", "1e", "--1", "inf", "nan", None, True, []])
def test_no_quantities(text: object) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize("value", ["", 0, False, [], {}])
def test_an_empty_field_may_come_back_absent_only_where_the_server_has_a_type(value: object) -> None:
    assert same(value, ABSENT, ("spec", "field"), typed=True)
    assert not same(value, ABSENT, ("spec", "field"), typed=False)


@pytest.mark.parametrize("place_", ["data", "labels", "annotations", "matchLabels"])
def test_an_empty_entry_of_a_map_of_names_never_comes_back_absent(place_: str) -> None:
    assert not same("", ABSENT, (place_, "key"), typed=True)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), ("1", 1), (True, "true"), ("a", "b"), (None, "")])
def test_values_of_other_types_differ(one: object, other: object) -> None:
    assert not same(one, other, ("spec", "field"), typed=True)


def applied(obj: Object, fields: Object, **changes: Any) -> Object:
    live = copy.deepcopy(obj) | changes
    live["metadata"]["managedFields"] = [
        {"manager": "planton", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields},
        {"manager": "planton", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:x": {}}}},
        {"manager": "planton", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    return live


LABELS: Object = {f"f:{name}": {} for name in namespace("a")["metadata"]["labels"]}
META = {"f:metadata": {"f:labels": LABELS}}


def test_both_directions_count() -> None:
    desired = config_map("a", one="1", two="2")
    owned: Object = {**META, "f:data": {"f:one": {}, "f:two": {}}}
    assert is_settled(desired, applied(desired, owned))
    # We own more than we send, or less; nobody of ours has applied it; it is not ours at all.
    assert not is_settled(desired, applied(desired, {**owned, "f:data": {**owned["f:data"], "f:three": {}}}))
    assert not is_settled(desired, applied(desired, {**META, "f:data": {"f:one": {}}}))
    assert not is_settled(desired, applied(desired, META))
    assert not is_settled(desired, desired)
    other = applied(desired, owned)
    other["metadata"]["managedFields"][0]["manager"] = "kubectl"
    assert not is_settled(desired, other)


def test_values_count_as_well_as_ownership() -> None:
    desired = config_map("a", one="1")
    owned: Object = {**META, "f:data": {"f:one": {}}}
    assert not is_settled(desired, applied(desired, owned, data={"one": "2"}))
    assert not is_settled(desired, applied(desired, owned, data={}))
    assert is_settled(desired, applied(desired, owned, data={"one": "1", "foreign": "2"}))


def test_a_map_that_was_owned_while_empty_is_asked_about() -> None:
    desired = config_map("a", one="1")
    assert not is_settled(desired, applied(desired, {**META, "f:data": {}}))


@pytest.mark.parametrize("keys", [["a", "a"], ["a"], ["a", "b", "c"]])
def test_lists_by_key_must_match_one_to_one(keys: list[str]) -> None:
    desired: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "items": [{"name": one} for one in keys]}
    owned: Object = {"f:items": {f'k:{{"name":"{one}"}}': {".": {}, "f:name": {}} for one in ("a", "b")}}
    live = applied({**desired, "items": [{"name": "b"}, {"name": "a", "default": 1}, {"name": "z"}]}, owned)
    assert not is_settled(desired, live)
    assert is_settled({**desired, "items": [{"name": "a"}, {"name": "b"}]}, live)


def test_lists_of_values_are_sets() -> None:
    desired: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "items": ["b", "a"]}
    owned: Object = {"f:items": {".": {}, 'v:"a"': {}, 'v:"b"': {}}}
    assert is_settled(desired, applied({**desired, "items": ["a", "x", "b"]}, owned))
    assert not is_settled(desired, applied({**desired, "items": ["a", "x"]}, owned))
    assert not is_settled({**desired, "items": ["a"]}, applied(desired, owned))


def test_the_operator_restarts_only_for_its_template() -> None:
    def made(image: str, labels: dict[str, str] | None = None) -> Object:
        obj = deployment("a", "postgres-operator", image=image)
        obj["spec"]["selector"] = {"matchLabels": {"app.kubernetes.io/name": "postgres-operator"}}
        obj["metadata"]["labels"] = {**obj["metadata"]["labels"], **(labels or {})}
        return obj

    assert effects_of(made("two"), made("one"))
    assert effects_of(made("one", {"team": "x"}), made("one")) == ()
    assert effects_of(made("one"), None) == ()
    assert effects_of(deployment("a", image="two"), deployment("a", image="one")) == ()
    stopped = made("one")
    stopped["spec"]["replicas"] = 0
    assert effects_of(stopped, made("one")) == ("postgres-operator stops: no database is looked after",)


def test_changed_keys_do_not_reach_pods_by_themselves() -> None:
    assert effects_of(secret("a", KEY="two"), secret("a", KEY="one")) == (
        "pods in namespace a keep the old keys until they restart",
    )
    assert effects_of(secret("a", KEY="one"), None) == ()


def test_a_key_that_goes_by_itself_is_not_removed_a_second_time() -> None:
    desired = config_map("a", one="1")
    owned: Object = {"f:data": {"f:one": {}, "f:two": {}}}
    data = {"one": "1", "two": "2", "three": "3"}
    live = applied(desired, owned, data=data)
    assert foreign_data(desired, live) == (("data", "three"),)
    # Owned by another as well, it stays when we let it go.
    live["metadata"]["managedFields"].append(
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:two": {}}}}
    )
    assert foreign_data(desired, live) == (("data", "three"), ("data", "two"))


SCALARS = st.sampled_from(["", "a", "1", 0, 1, 1.0, True, False, None])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def fields(value: Any, *, atomic: int) -> Any:
    """Gives managedFields of a value, maps deeper than `atomic` being owned as a whole."""
    if not isinstance(value, dict) or not value or not atomic:
        return {}
    return {".": {}} | {f"f:{key}": fields(part, atomic=atomic - 1) for key, part in value.items()}


@given(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), VALUES, st.integers(0, 3), st.booleans())
def test_the_quick_look_says_yes_only_where_the_careful_one_does(
    spec: Any, other: Any, atomic: int, is_same: bool
) -> None:
    owned = fields(spec, atomic=atomic)
    live = copy.deepcopy(spec) if is_same else other
    shape = _shape_of(owned)
    assert shape is None or not _is_equal(spec, live, shape) or _agrees(spec, live, owned, (), typed=False)


@pytest.mark.parametrize(("wanted", "there"), [(1, True), (True, 1), (1, 1.0), ([1], [True]), (None, 0), ("1", 1)])
def test_the_quick_look_tells_types_apart(wanted: object, there: object) -> None:
    shape = _shape_of({"f:a": {}})
    assert shape is not None
    assert _is_equal({"a": wanted}, {"a": wanted, "b": 1}, shape)
    assert not _is_equal({"a": wanted}, {"a": there, "b": 1}, shape)


def test_a_shape_is_that_of_the_fields_that_are_owned_now() -> None:
    """Shapes are kept, by what they were made of and never by what they look like."""
    for number in range(40):
        shape = _shape_of({"f:spec": {f"f:{number}": {}, ".": {}}})
        assert shape == {"spec": {str(number): None}} == _shape_of({"f:spec": {f"f:{number}": {}, ".": {}}})
    assert _shape_of({}) is None
    assert _shape_of({"f:list": {'k:{"name":"a"}': {}}}) is None


def test_fields_without_a_bottom_are_not_walked_through() -> None:
    """Whoever may write an object may write its managedFields."""
    owned: Object = {}
    for _ in range(5000):
        owned = {"f:a": owned}
    assert _shape_of(owned) is None
    live = namespace("a")
    live["metadata"]["managedFields"] = [{"manager": "planton", "operation": "Apply", "fieldsV1": owned}]
    assert not is_settled(namespace("a"), live)
