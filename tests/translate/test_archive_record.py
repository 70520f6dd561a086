"""The record of archives that were left behind, as a value."""

from __future__ import annotations

import json

import pytest

from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_record import (
    DELETED,
    MOVED,
    STOPPED,
    LeftArchive,
    in_the_way,
    is_full,
    read_record,
    record_object,
    reuse_refusal,
    with_left,
)

HERE = ArchiveIdentity("store", "s3://b/backups/db-x/17")


def left(why: str = DELETED, *, name: str = "db-x", prefix: str = HERE.prefix) -> LeftArchive:
    return LeftArchive("store", prefix, "a", name, "17", why)


def test_what_is_written_is_read_again() -> None:
    data = with_left({}, [left(), left(name="db-y"), left(prefix="s3://b/other")])
    assert len(data) == 3
    assert set(read_record(data)) == {left(), left(name="db-y"), left(prefix="s3://b/other")}
    assert all(key.startswith(("a.db-x.", "a.db-y.")) for key in data)
    assert list(data) == sorted(data)
    # The same archive of the same database once, as it was left last.
    again = with_left(data, [left(MOVED)])
    assert len(again) == 3
    assert left(MOVED) in read_record(again)
    assert left() not in read_record(again)


def test_long_names_still_make_keys() -> None:
    long = LeftArchive("", "s3://b/x", "n" * 63, "d" * 253, "17", DELETED)
    (key,) = with_left({}, [long])
    assert len(key) <= 253


def test_the_object() -> None:
    obj = record_object("postgres-operator", {"k": "v"})
    assert obj["metadata"] == {
        "name": "planton-archives",
        "namespace": "postgres-operator",
        "labels": {"app.kubernetes.io/managed-by": "planton", "planton.ai/resource": "true"},
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '{"store": "x"}', "[" * 2000, json.dumps({"why": "x"})])
def test_what_others_write_into_it_is_passed_over(text: str) -> None:
    assert read_record({"theirs": text}) == ()
    foreign = json.dumps({**json.loads(next(iter(with_left({}, [left()]).values()))), "why": "unknown"})
    assert read_record({"theirs": foreign}) == ()


def test_it_says_when_it_is_full() -> None:
    assert not is_full(with_left({}, [left()]))
    assert is_full({"k": "x" * 900_001})


@pytest.mark.parametrize(
    ("record", "has_its_data", "is_free"),
    [
        ([], False, True),
        ([left()], False, False),
        ([left()], True, True),
        ([left(STOPPED)], False, False),
        ([left(STOPPED)], True, True),
        # It went on elsewhere.
        ([left(MOVED)], True, False),
        ([left(name="db-y")], True, False),
        ([left(), left(name="db-y")], True, False),
        ([left(prefix="s3://b/backups/db-x/16")], False, True),
        # Inside of it: its retention would delete that; around it: nobody deletes there any more.
        ([left(prefix=f"{HERE.prefix}/deep")], True, False),
        ([left(prefix="s3://b/backups")], False, True),
    ],
)
def test_who_may_write_where(record: list[LeftArchive], has_its_data: bool, is_free: bool) -> None:
    found = in_the_way(record, HERE, "a", "db-x", has_its_data=has_its_data)
    assert (found is None) is is_free


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (left(), "is that of a/db-x (PostgreSQL 17), which was deleted and left it behind: it would overwrite WAL"),
        (left(STOPPED, name="db-y"), "is that of a/db-y (PostgreSQL 17), which has its backups switched off"),
        (left(MOVED, name="db-y"), "is that of a/db-y (PostgreSQL 17), which archives somewhere else since"),
        (left(MOVED), "it would go back to s3://b/backups/db-x/17 at store, which it left for another archive"),
        (left(prefix=f"{HERE.prefix}/deep"), "below that is s3://b/backups/db-x/17/deep of a/db-x"),
    ],
)
def test_the_reason_says_what_to_do(one: LeftArchive, words: str) -> None:
    text = reuse_refusal("postgresql/a/db-x", HERE, one, "a", "db-x")
    assert text.startswith("postgresql/a/db-x: ")
    assert words in text
    assert text.endswith("say so with --allow-archive-reuse")
    assert "Give it another archive (s3_prefix)" in text
