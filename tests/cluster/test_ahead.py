"""Lists that a plan begins before it needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

import planton
from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CONFIG_MAP, NAMESPACE, SECRET, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.ownership import OURS
from planton.cluster.planning.ahead import FIRST_LISTS, LIST_FROM, Ahead, begin_plan
from tests.manifests import database


class Lists:
    """A server that only counts the lists that it is asked for, and may fail."""

    def __init__(self, answer: Callable[[], Any] = list) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answer = answer

    def during(self, phase: str) -> Lists:
        return self

    def list(self, resource: ResourceType, *, labels: str = "") -> Any:
        self.asked.append((resource.plural, labels))
        return self._answer()

    def get(self, key: Key) -> Any:
        self.asked.append((key.resource.plural, key.name))
        return self._answer()


def as_server(lists: Lists) -> Server:
    return cast("Server", lists)


def test_a_list_that_was_begun_is_given_once() -> None:
    lists = Lists(lambda: [{"metadata": {"name": f"one-{len(lists.asked)}"}}])
    with Ahead() as ahead:
        ahead.begin(as_server(lists), NAMESPACE)
        first = ahead.list(as_server(lists), NAMESPACE)
        second = ahead.list(as_server(lists), NAMESPACE)
    assert first != second
    assert lists.asked == [("namespaces", "")] * 2


def test_an_object_that_was_begun_is_given_once() -> None:
    lists = Lists(lambda: {"metadata": {"name": f"one-{len(lists.asked)}"}})
    key, other = Key(CONFIG_MAP, "there", "record"), Key(CONFIG_MAP, "there", "other")
    with Ahead() as ahead:
        ahead.begin_one(as_server(lists), key)
        first = ahead.get(as_server(lists), key)
        second = ahead.get(as_server(lists), key)
        ahead.get(as_server(lists), other)
    assert first != second
    assert lists.asked == [("configmaps", "record")] * 2 + [("configmaps", "other")]


def test_a_list_of_other_objects_is_none_that_was_begun() -> None:
    lists = Lists()
    with Ahead() as ahead:
        ahead.begin(as_server(lists), SECRET, labels="ours=true")
        ahead.list(as_server(lists), SECRET)
        ahead.list(as_server(lists), NAMESPACE)
    assert sorted(lists.asked) == [("namespaces", ""), ("secrets", ""), ("secrets", "ours=true")]


def test_a_refusal_comes_to_whoever_wants_the_list_and_to_nobody_else() -> None:
    def refuse() -> Any:
        raise ApiError("cannot list", status=403, phase="read")

    lists = Lists(refuse)
    with Ahead() as ahead:
        ahead.begin(as_server(lists), SECRET)
        with pytest.raises(ApiError, match="cannot list"):
            ahead.list(as_server(lists), SECRET)
    with Ahead() as ahead:
        ahead.begin(as_server(lists), SECRET)
    assert len(lists.asked) == 2


def test_what_is_under_way_is_over_when_the_block_is() -> None:
    is_let, is_over = threading.Event(), threading.Event()

    def answer() -> Any:
        is_let.wait(5.0)
        is_over.set()
        return []

    with Ahead() as ahead:
        ahead.begin(as_server(Lists(answer)), NAMESPACE)
        is_let.set()
    assert is_over.is_set()


@pytest.mark.parametrize(("count", "is_begun"), [(LIST_FROM - 1, False), (LIST_FROM, True)])
def test_secrets_are_listed_at_once_for_many_namespaces_and_not_for_few(count: int, is_begun: bool) -> None:
    lists = Lists()
    messages = planton.loads("".join(database(f"one-{number}") for number in range(count)))
    with Ahead() as ahead:
        begin_plan(ahead, as_server(lists), messages)
        # What nobody takes is given up at the end, and may not have been asked for yet.
        for resource in FIRST_LISTS:
            ahead.list(as_server(lists), resource)
        if is_begun:
            ahead.list(as_server(lists), SECRET, labels=OURS)
    first = [(resource.plural, "") for resource in FIRST_LISTS]
    assert sorted(lists.asked) == sorted([*first, ("secrets", OURS)] if is_begun else first)
