"""Answers that are no API server's: a load balancer's page, and JSON of somebody else, are never believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from planton.cluster.api.connection import ApiError
from planton.cluster.api.genuine import Groups, is_list
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, Key
from planton.cluster.api.retry import Patience
from planton.cluster.api.server import Server
from tests.cluster.test_connection import GOOD, KEY, Answer, Script, page, settings, status
from tests.cluster.test_connection import script as script

POSTGRESQLS = "/apis/acid.zalan.do/v1/postgresqls?limit=500"
PAGE: Answer = (404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
ELSEWHERE: dict[str, Answer] = {
    "a default backend": (404, {"Content-Type": "text/plain"}, b"default backend - 404"),
    "a page of Go's": PAGE,
    "JSON of its own": (200, {}, {"message": "session expired"}),
    "a refusal in a page": (403, {"Content-Type": "text/html"}, b"<h1>403 Forbidden</h1> policy 17"),
    "a refusal in JSON of its own": (403, {}, {"kind": "error", "message": "no session"}),
    "a conflict in JSON of its own": (409, {}, {"message": "busy", "reason": "Conflict", "details": {"causes": []}}),
    "a list that is too old in a page": (410, {"Content-Type": "text/html"}, b"<h1>Gone</h1>"),
    "404 in JSON of its own": (404, {}, {"message": "no route", "reason": "NotFound", "details": {}}),
    "another kind": (200, {}, {**GOOD[2], "kind": "Secret"}),
    "another version": (200, {}, {**GOOD[2], "apiVersion": "v2"}),
    "another name": (200, {}, settings(name="others")),
    "another namespace": (200, {}, settings(namespace="others")),
    "no uid": (200, {}, settings(uid="")),
    "a refusal with 200": (200, {}, {"kind": "Status", "apiVersion": "v1", "status": "Failure"}),
    "no items": (200, {}, {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}}),
    "items that are none": (
        200,
        {},
        {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": {"a": 1}},
    ),
}
ASKED: dict[str, Callable[[Server], object]] = {
    "get": lambda server: server.get(KEY),
    "list": lambda server: server.list(CONFIG_MAP),
    "apply": lambda server: server.apply(KEY, {}),
    "dry run": lambda server: server.apply(KEY, {}, dry_run=True),
    "merge": lambda server: server.merge(KEY, {}),
    "delete": lambda server: server.delete(KEY, uid="1"),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("answer", ELSEWHERE.values(), ids=ELSEWHERE)
def test_who_is_no_api_server_is_not_believed(script: Script, name: str, answer: Answer) -> None:
    server = Server(script.connection, "test")
    script.answers = [answer]
    with pytest.raises(ApiError, match="not what an API server says") as caught:
        ASKED[name](server)
    assert (caught.value.status, caught.value.reason, caught.value.is_absent) == (0, "BadAnswer", False)
    assert "a proxy or load balancer" in caught.value.remedy
    # From a server that has answered before, it passes.
    right = page("a") if name == "list" else GOOD
    script.answers = [GOOD, answer, answer, right]
    server.get(KEY)
    assert ASKED[name](server) is not None
    assert not script.answers
    assert len(script.pauses) == 2


LIST: dict[str, Any] = {
    "kind": "ConfigMapList",
    "apiVersion": "v1",
    "metadata": {"resourceVersion": "7"},
    "items": [{"metadata": {"name": "a"}}],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "ConfigMap"},
        {"kind": None},
        {"apiVersion": "v2"},
        {"metadata": None},
        {"metadata": []},
        {"items": "ab"},
        {"items": [{"metadata": {}}, "a"]},
        {"items": [{"metadata": "a"}]},
        {"items": [{}]},
    ],
)
def test_a_list_that_is_none_in_one_point_alone(wrong: dict[str, Any]) -> None:
    check = is_list(CONFIG_MAP)
    assert check(LIST)
    assert check({**LIST, "items": None})
    assert not check({**LIST, **wrong})
    assert not check({name: value for name, value in LIST.items() if name not in wrong})


@pytest.mark.parametrize("name", ["get", "apply", "merge", "delete"])
def test_what_is_stored_has_a_version(script: Script, name: str) -> None:
    unwritten: Answer = (200, {}, settings(resourceVersion=""))
    script.answers = [unwritten]
    with pytest.raises(ApiError, match="not what an API server says"):
        ASKED[name](Server(script.connection, "test"))
    script.answers = [unwritten]
    ASKED["dry run"](Server(script.connection, "test"))


def test_who_stays_in_between_is_told_after_a_minute(script: Script) -> None:
    server = Server(script.connection, "test")
    script.answers = [GOOD, *[ELSEWHERE["a default backend"]] * 40]
    server.get(KEY)
    with pytest.raises(ApiError, match=r"HTTP status 404 without a Status \(tried [0-9]+ times in 60 s\)") as caught:
        server.delete(KEY, uid="1")
    assert "is not known" in caught.value.remedy
    assert "run the same command again" in caught.value.remedy


def groups(*versions: str) -> Answer:
    listed = [{"name": one.partition("/")[0], "versions": [{"groupVersion": one}]} for one in ("apps/v1", *versions)]
    return 200, {}, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def kinds(*plurals: str) -> Answer:
    listed = [{"name": one} for one in plurals]
    told = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": POSTGRESQL.api_version}
    return 200, {}, {**told, "resources": listed}


def test_a_kind_is_unknown_when_the_list_of_kinds_is_without_it(script: Script) -> None:
    server = Server(script.connection, "test")
    script.answers = [PAGE, groups(), PAGE, PAGE]
    assert server.list(POSTGRESQL) is None
    # For a moment once is enough.
    assert server.get(Key(POSTGRESQL, "space", "a")) is None
    assert not server.delete(Key(POSTGRESQL, "space", "a"), uid="1")
    assert [path for _, path, _ in script.asked][:2] == [POSTGRESQLS, "/apis"]
    script.connection._groups = Groups()
    script.answers = [PAGE, groups("acid.zalan.do/v1"), kinds("operatorconfigurations")]
    assert server.list(POSTGRESQL) is None
    assert script.asked[-1][1] == "/apis/acid.zalan.do/v1"


def test_a_kind_that_is_there_is_asked_for_again(script: Script) -> None:
    server = Server(script.connection, "test")
    full = {"kind": "postgresqlList", "apiVersion": "acid.zalan.do/v1", "metadata": {}, "items": [GOOD[2]]}
    known = [groups("acid.zalan.do/v1"), kinds("postgresqls")]
    # A list of groups that is not the API server's says nothing either.
    nobody: Answer = (200, {}, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
    script.answers = [GOOD, PAGE, *known, PAGE, nobody, (200, {}, full)]
    server.get(KEY)
    assert len(server.list(POSTGRESQL) or ()) == 1
    assert not script.answers


def test_a_list_of_metadata_alone_is_null_when_it_is_empty(script: Script) -> None:
    empty: dict[str, Any] = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "items": None,
    }
    script.answers = [(200, {}, empty)]
    assert Server(script.connection, "test").list(CONFIG_MAP, metadata_only=True) == []


def test_a_refusal_that_says_not_found_is_none_of_the_object(script: Script) -> None:
    """A webhook may give it to a deletion, and another name may be meant."""
    server = Server(script.connection, "test")
    for answer in (status(404, "NotFound", "admission webhook denied"), status(404, "NotFound", "no", name="others")):
        script.answers = [answer]
        with pytest.raises(ApiError) as caught:
            server.delete(KEY, uid="1")
        assert (caught.value.status, caught.value.is_absent) == (404, False)


def test_a_deletion_is_done_when_the_server_says_so(script: Script) -> None:
    server = Server(script.connection, "test")
    done = {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"uid": "1"}}
    script.answers = [(200, {}, done)]
    assert server.delete(KEY, uid="1")
    for other in ({**done, "details": {"uid": "2"}}, settings(uid="2")):
        # Another one each time: what was given up for everybody is not asked at all.
        script.connection.patience = Patience(seconds=0.0)
        script.answers = [(200, {}, other)]
        with pytest.raises(ApiError, match="not what an API server says"):
            server.delete(KEY, uid="1")
        assert not script.answers
    script.connection.patience = Patience(seconds=0.0)
    script.answers = [(200, {}, settings())]
    assert server.delete(KEY, uid="1")
