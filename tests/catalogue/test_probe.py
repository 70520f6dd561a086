"""A probe of a real store: what it finds, that it tidies up, and what it says when it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planton.catalogue.bucket import WritableBucket, open_bucket
from planton.catalogue.probe import CHECK_FOLDER, Probe, archive_state, probe, probe_bucket, probe_key
from planton.errors import StoreError
from planton.translate.secret_values import Credentials, Reference
from tests.catalogue.conftest import KEY_ID, SECRET, AnsweringServer, Place, access, listing, s3_error

real = pytest.mark.cluster
group = pytest.mark.xdist_group("object-store")
plain = pytest.mark.parametrize("place", ["object_store"], indirect=True)


def outcomes(found: Probe) -> dict[str, str]:
    assert len({one.check for one in found.findings}) == len(found.findings)
    return {one.check: one.outcome for one in found.findings}


def clock() -> datetime:
    return datetime.now(UTC)


ALL = ["reachable", "certificate", "keys", "bucket", "region", "clock", "readable"]
ALL += ["writable", "deletable singly", "deletable in a batch"]


@real
@group
def test_a_good_store(place: Place) -> None:
    place.fill("wal_005/1")
    before = place.store.keys(place.bucket)
    found = probe(place.access(), write=True)
    assert outcomes(found) == dict.fromkeys(ALL, "ok")
    assert found.is_ok
    assert found.failures == ()
    assert found.left_behind == ()
    assert found.subject.startswith(f"s3://{place.bucket}/backups/db/17 at ")
    assert place.store.keys(place.bucket) == before
    asked = [line for line in place.store.access_log.read_text().splitlines() if place.bucket in line]
    names = re.findall(rf"{CHECK_FOLDER}[0-9a-z-]+", "\n".join(asked))
    assert names
    # What wal-g would take for a segment or a base backup.
    assert not [name for name in names if re.search("[0-9A-F]{24}|base_", name)]
    assert [word for word in "DeleteObject DeleteObjects".split() if any(f"s3_{word} " in line for line in asked)] == [
        "DeleteObject",
        "DeleteObjects",
    ]
    certificate = next(one for one in found.findings if one.check == "certificate")
    assert ("clear" in certificate.text) == (place.store.certificate_authority_pem is None)


@real
@group
@plain
def test_without_writing_nothing_is_sent_but_questions(place: Place) -> None:
    found = probe(place.access(), write=False)
    assert outcomes(found) == {
        **dict.fromkeys(ALL, "ok"),
        **dict.fromkeys(("writable", "deletable singly", "deletable in a batch"), "not tried"),
    }
    assert found.is_ok
    log = [line for line in place.store.access_log.read_text().splitlines() if place.bucket in line]
    assert {re.findall("s3_[A-Za-z0-9]+", line)[0] for line in log} <= {
        "s3_CreateBucket",
        "s3_ListObjectsV2",
        "s3_GetObject",
    }


@real
@group
@plain
def test_clocks_that_differ(place: Place) -> None:
    for shift, outcome, words in (
        (timedelta(minutes=10), "failed", "60[01] s|59[0-9] s.*behind"),
        (timedelta(minutes=-10), "failed", "ahead of"),
        (timedelta(seconds=60), "warning", "behind"),
        (timedelta(seconds=-60), "warning", "ahead of"),
        (timedelta(seconds=5), "ok", "agrees"),
        (timedelta(seconds=-5), "ok", "agrees"),
    ):
        found = probe(place.access(), write=True, now=lambda shift=shift: clock() + shift)  # type: ignore[misc]
        one = next(one for one in found.findings if one.check == "clock")
        assert one.outcome == outcome
        assert re.search(words, one.text), one.text
        assert found.is_ok == (outcome != "failed")
        assert bool(one.remedy) == (outcome != "ok")
    assert place.store.keys(place.bucket) == []


class Broken:
    """A real bucket of which some methods do something else."""

    def __init__(self, bucket: WritableBucket, **methods: Callable[..., Any]) -> None:
        self._bucket = bucket
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._bucket, name)


def refuse(*_: object, **__: object) -> None:
    raise StoreError("may not", subject="s3://bucket", problem="forbidden", remedy="Allow it.")


def nothing(*_: object, **__: object) -> None:
    pass


@real
@group
@plain
def test_a_store_that_does_not_delete(place: Place) -> None:
    bucket = open_bucket(place.access())

    def look(**methods: Callable[..., Any]) -> Probe:
        return probe_bucket(Broken(bucket, **methods), write=True, now=clock)

    # One way is enough to tidy up.
    for method, check in (("delete", "deletable in a batch"), ("delete_one", "deletable singly")):
        for how in (refuse, nothing):
            found = look(**{method: how})
            assert outcomes(found) == {**dict.fromkeys(ALL, "ok"), check: "failed"}
            assert found.left_behind == ()
            assert place.store.keys(place.bucket) == []
    for how in (refuse, nothing):
        found = look(delete=how, delete_one=how)
        assert [one.check for one in found.failures] == ["deletable singly", "deletable in a batch"]
        there = place.store.keys(place.bucket)
        assert len(there) == 3
        assert [f"backups/db/17/{key}" for key in found.left_behind] == there
        for one in found.failures:
            assert all(key in one.remedy for key in found.left_behind)
        # What a probe has left makes no archive.
        assert archive_state(bucket).is_empty
        bucket.delete(found.left_behind)


@real
@group
@plain
def test_a_store_that_keeps_something_else(place: Place) -> None:
    bucket = open_bucket(place.access())

    def lost(key: str, content: bytes) -> None:
        pass

    def other(key: str, content: bytes) -> None:
        bucket.write(key, content[:-1])

    def late(key: str, content: bytes) -> None:
        bucket.write(key, content)
        raise StoreError("no answer in time", subject="s3://bucket", problem="unreachable")

    for write in (lost, other, late):
        found = probe_bucket(Broken(bucket, write=write), write=True, now=clock)
        assert [one.check for one in found.failures] == ["writable"]
        assert outcomes(found)["deletable singly"] == outcomes(found)["deletable in a batch"] == "not tried"
        assert found.left_behind == ()
        assert place.store.keys(place.bucket) == []


@real
@group
@plain
def test_it_tidies_up_after_ctrl_c(place: Place) -> None:
    bucket = open_bucket(place.access())

    def interrupt(_: Sequence[str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe_bucket(Broken(bucket, delete=_once(interrupt, bucket.delete)), write=True, now=clock)
    assert place.store.keys(place.bucket) == []


@real
@group
@plain
def test_a_store_that_goes_away_is_not_asked_again_and_again(place: Place) -> None:
    bucket = open_bucket(place.access())
    calls: list[str] = []

    def away(*_: object) -> None:
        calls.append("delete")
        raise StoreError("no answer", subject="s3://bucket", problem="unreachable")

    found = probe_bucket(Broken(bucket, delete=away, delete_one=away), write=True, now=clock)
    assert len(calls) == 3
    assert len(found.left_behind) == 3
    bucket.delete(found.left_behind)


def _once(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    calls = [first]
    return lambda *arguments: (calls.pop() if calls else then)(*arguments)


@real
@group
@plain
def test_what_is_in_an_archive(place: Place) -> None:
    bucket = open_bucket(place.access())
    assert archive_state(bucket).is_empty
    place.fill(*(f"{CHECK_FOLDER}{number:04}" for number in range(1_200)), content=b"x")
    assert archive_state(bucket).is_empty
    place.fill("wal_005/2", "wal_005/1", "zzz")
    state = archive_state(bucket, most=2)
    assert not state.is_empty
    assert state.first == ("wal_005/1", "wal_005/2")


@pytest.mark.parametrize(
    ("status", "body", "failed", "proven"),
    [
        (403, s3_error("InvalidAccessKeyId"), "keys", {"reachable", "certificate"}),
        (404, s3_error("NoSuchBucket"), "bucket", {"reachable", "certificate"}),
        (301, s3_error("PermanentRedirect"), "region", {"reachable", "certificate"}),
        (403, s3_error("RequestTimeTooSkewed"), "clock", {"reachable", "certificate"}),
        (403, s3_error("AccessDenied"), "readable", {"reachable", "certificate", "keys"}),
        (503, s3_error("SlowDown"), "readable", {"reachable", "certificate"}),
        (200, b"<html>sentinel</html>", "readable", {"reachable", "certificate"}),
    ],
)
def test_what_cannot_even_be_read(status: int, body: bytes, failed: str, proven: set[str]) -> None:
    with AnsweringServer(lambda method, path: (status, body)) as server:
        found = probe(access(server.url), write=True)
        assert not [one for one in server.requests if not one.startswith("GET")]
    assert outcomes(found) == {
        **dict.fromkeys(ALL, "not tried"),
        **dict.fromkeys(proven, "ok"),
        failed: "failed",
    }
    assert not found.is_ok
    assert "entinel" not in repr(found)
    (one,) = found.failures
    assert one.text
    assert one.remedy
    assert one.problem


def test_a_store_that_is_not_there() -> None:
    found = probe(access("https://store.invalid"), write=True)
    assert outcomes(found) == {**dict.fromkeys(ALL, "not tried"), "reachable": "failed"}
    found = probe(replace(access("https://store.invalid"), contents=Credentials({})), write=True)
    assert outcomes(found) == {**dict.fromkeys(ALL, "not tried"), "keys": "failed"}


def test_keys_that_may_only_read() -> None:
    def answer(method: str, path: str) -> tuple[int, bytes]:
        if method != "GET":
            return 403, s3_error("AccessDenied")
        return (200, listing()) if "list-type" in path else (404, s3_error("NoSuchKey"))

    with AnsweringServer(answer) as server:
        found = probe(access(server.url), write=True)
    assert outcomes(found) == {
        **dict.fromkeys(ALL, "ok"),
        "writable": "failed",
        "deletable singly": "not tried",
        "deletable in a batch": "not tried",
    }
    # It is not in the listing, and so it is not there though nothing may be deleted.
    assert found.left_behind == ()
    assert "entinel" not in repr(found)


def test_which_databases_share_a_probe() -> None:
    one = probe_key(access("https://store.example", "s3://bucket/a"))
    assert one == probe_key(access("https://store.example", "s3://bucket/b"))
    assert hash(one) == hash(probe_key(access("https://store.example", "s3://bucket/b")))
    others = [
        access("https://store.example", "s3://other/a"),
        access("https://other.example", "s3://bucket/a"),
        access("https://store.example", "s3://bucket/a", keys=(KEY_ID, SECRET[::-1])),
        access("https://store.example", "s3://bucket/a", authority="x"),
        access("https://store.example", "s3://bucket/a", authority="y"),
        access("https://store.example", "s3://bucket/a", https_proxy="http://proxy"),
        replace(access("https://store.example", "s3://bucket/a"), contents=Credentials({})),
        replace(access("https://store.example", "s3://bucket/a"), contents=Credentials({}), namespace="other"),
        replace(
            access("https://store.example", "s3://bucket/a"),
            contents=Credentials({}, {"AWS_ACCESS_KEY_ID": Reference("Secret", "a/b", "c")}),
        ),
    ]
    assert len({one, *map(probe_key, others)}) == len(others) + 1
    assert "entinel" not in repr(one)
    assert KEY_ID not in repr(one)
