"""The record of archives that were left behind, as a value."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_record import (
    DELETED,
    MOVED,
    STOPPED,
    TAKEN,
    LeftArchive,
    elsewhere,
    in_the_way,
    is_full,
    left_archives,
    read_record,
    record_object,
    reuse_refusal,
    with_left,
    with_taken,
)
from planton.translate.reading_facts import ReadingFacts

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


def test_an_apply_that_is_broken_off_leaves_an_archive_once() -> None:
    first, again = (
        replace(left(MOVED), left_at="2026-11-22T08:00:00Z"),
        replace(left(MOVED), left_at="2026-11-22T09:00:00Z"),
    )
    data = with_left({}, [first])
    assert with_left(data, [again]) == data
    # A deletion is what it is, whenever it is; and what has changed is written anew.
    for one in (replace(again, why=DELETED), replace(again, encryption="libsodium/hex")):
        assert read_record(with_left(data, [one])) == (one,)
    deleted = with_left({}, [replace(first, why=DELETED)])
    assert read_record(with_left(deleted, [replace(again, why=DELETED)])) == (replace(again, why=DELETED),)


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


FACTS = ReadingFacts(
    {"AWS_ENDPOINT": "https://h", "AWS_REGION": "auto"}, {"AWS_ACCESS_KEY_ID": "a/s/AWS_ACCESS_KEY_ID"}, "a/s/ca.crt"
)


def test_how_it_is_read_is_written_down_and_an_entry_in_use_stays_small() -> None:
    known = replace(left(), left_at="2026-11-22T08:14:35Z", reading=FACTS)
    assert read_record(with_left({}, [known])) == (known,)
    # As it was written before: nothing of that is in it.
    (text,) = with_left({}, [left(TAKEN)]).values()
    assert set(json.loads(text)) == {
        "store", "prefix", "namespace", "name", "version", "why", "encryption", "key_in",
    }  # fmt: skip
    assert read_record({"k": text}) == (left(TAKEN),)


def test_what_an_archive_was_read_by_is_kept_when_its_database_goes_on_elsewhere() -> None:
    known = replace(left(), reading=FACTS)
    (moved,) = elsewhere([known], ArchiveIdentity("store", "s3://b/new"), "a", "db-x")
    assert (moved.why, moved.reading) == (MOVED, FACTS)


def test_archives_in_use_are_added_as_long_as_there_is_room() -> None:
    many = [left(TAKEN, name=f"db-{number:05}") for number in range(5000)]
    data, left_out = with_taken({}, many[:100])
    assert (len(data), left_out) == (100, 0)
    full, left_out = with_taken(data, many)
    # Whoever was there first stays, and they are as many as have room.
    assert len(full) + left_out == 5000
    assert 100 < len(full) < 5000
    assert data.items() <= full.items()
    assert with_taken(full, many) == (full, left_out)
    # One that is in the record already is brought up to date, and one that is left has a place.
    changed = [replace(many[0], encryption="libsodium hex")]
    again, left_out = with_taken(full, changed)
    assert left_out == 0
    assert set(changed) <= set(read_record(again))
    facts = ReadingFacts(environment={"AWS_REGION": "x" * 500})
    assert not is_full(with_left(again, [replace(one, why=DELETED, reading=facts) for one in many[-100:]]))


def test_archives_in_use_leave_alone_what_is_there() -> None:
    data = {"k": "x" * 899_999}
    assert with_taken(data, [left(TAKEN)]) == (data, 1)
    with_old = with_left({}, [left(TAKEN)])
    data = {**with_old, "k": "x" * (899_990 - sum(len(key) + len(text) for key, text in with_old.items()))}
    # Not even one that is there, where the server would refuse the whole.
    assert with_taken(data, [replace(left(TAKEN), encryption="libsodium hex")]) == (dict(sorted(data.items())), 1)


def test_it_is_full_by_its_bytes() -> None:
    assert not is_full({"k": "x" * 450_000})
    assert is_full({"k": "\u20ac" * 450_000})


def found(name: str, *record: LeftArchive, namespace: str | None = None, exact: bool = False) -> list[LeftArchive]:
    return left_archives(with_left({}, record), name, namespace, exact=exact)


def test_the_archive_of_a_database_that_is_gone() -> None:
    here = replace(left(), left_at="2026-11-22T08:00:00Z")
    assert found("x", here) == found("db-x", here) == found("x", here, namespace="a") == [here]
    assert found("y", here) == found("x", here, namespace="b") == found("x", here, exact=True) == []
    # db-x is the custom resource of x; the database of that name has db-db-x.
    other = replace(here, name="db-db-x")
    assert found("db-x", here, other) == [other]
    assert found("db-x", here, other, exact=True) == [here]


def test_of_several_archives_of_one_database_it_is_the_last_one() -> None:
    first = replace(left(MOVED, prefix="s3://b/1"), left_at="2026-11-22T09:00:00Z")
    second = replace(left(STOPPED, prefix="s3://b/2"), left_at="2026-11-22T08:00:00Z")
    third = replace(left(prefix="s3://b/3"), left_at="2026-11-22T07:00:00Z")
    fourth = replace(left(prefix="s3://b/4"), left_at="2026-11-22T07:30:00Z")
    assert found("x", first, second) == [second]
    assert found("x", first, second, third, fourth) == [fourth]
    # Nobody knows when one in use was left that no planton saw go.
    taken = left(TAKEN, prefix="s3://b/5")
    assert set(found("x", first, third, taken)) == {third, taken}
    # Two databases of one name are two.
    elsewhere_too = replace(fourth, namespace="b")
    assert found("x", fourth, elsewhere_too) == [fourth, elsewhere_too]
    assert found("x", fourth, elsewhere_too, namespace="b") == [elsewhere_too]
