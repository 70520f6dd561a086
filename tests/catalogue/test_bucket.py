"""A bucket of a real store, of each kind: what is there is found, what is written comes back, and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planton.catalogue import _s3
from planton.catalogue.bucket import Bucket, WritableBucket, open_bucket
from planton.errors import StoreError
from planton.translate.secret_values import Credentials
from tests.catalogue.conftest import Place

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]


def keys(bucket: Bucket, start: str = "", after: str = "") -> list[str]:
    return [one.key for page in bucket.pages(start, after=after) for one in page]


ASKS: tuple[Callable[[WritableBucket], object], ...] = (
    keys,
    lambda bucket: bucket.folders(""),
    lambda bucket: bucket.read("x", most=1),
    lambda bucket: bucket.write("x", b""),
    lambda bucket: bucket.delete(["x"]),
    lambda bucket: bucket.delete_one("x"),
)


def test_objects_are_listed_written_read_and_deleted(place: Place) -> None:
    bucket = open_bucket(place.access())
    assert keys(bucket) == []
    assert bucket.folders("") == ()
    assert bucket.files("") == ()
    objects = {
        "basebackups_005/base_1/tar_partitions/part_1.tar.lz4": b"\0" * 300_000,
        "basebackups_005/base_1_backup_stop_sentinel.json": b"{}",
        "empty": b"",
        "wal_005/000000010000000000000001.lz4": b"1",
        "wal_005/ö +%.lz4": b"2",
    }
    for key, content in objects.items():
        bucket.write(key, content)
    # What is beside the archive is none of it.
    place.fill("../170/other", "../other")
    assert keys(bucket) == sorted(objects)
    assert {key: bucket.read(key, most=1_000_000) for key in objects} == objects
    assert bucket.read("basebackups_005/base_1_backup_stop_sentinel.json", most=1) == b"{"
    assert bucket.read("none", most=1) is None
    assert bucket.folders("") == ("basebackups_005", "wal_005")
    assert bucket.folders("basebackups_005/") == ("base_1",)
    assert [one.key for one in bucket.files("basebackups_005/")] == ["basebackups_005/base_1_backup_stop_sentinel.json"]
    found = bucket.stat("wal_005/000000010000000000000001.lz4")
    assert found is not None
    assert found.size == 1
    assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert bucket.stat("wal_005/00000001000000000000000") is None
    before = place.store.access_log.read_text()
    bucket.delete_one("empty")
    bucket.delete_one("never-was")
    bucket.delete(["wal_005/ö +%.lz4", "wal_005/000000010000000000000001.lz4", "never-was"])
    asked = [line for line in place.store.access_log.read_text()[len(before) :].splitlines() if place.bucket in line]
    assert [next(word for word in line.split() if word.startswith("s3_")) for line in asked] == [
        "s3_DeleteObject",
        "s3_DeleteObject",
        "s3_DeleteObjects",
    ]
    assert keys(bucket) == [key for key in sorted(objects) if key.startswith("base")]
    assert repr(bucket) == f"<{bucket.subject}>"
    assert bucket.subject.startswith(f"s3://{place.bucket}/backups/db/17 at ")


def test_a_listing_begins_with_any_text(place: Place) -> None:
    names = [
        "wal_005/000000010000000000000009.lz4",
        "wal_005/000000010000000000000010.lz4",
        "wal_005/000000020000000000000011.lz4",
        "wal_005/00000002.history.lz4",
        "wal_005/0",
        "wal_005/1",
        "wal_0055/1",
        "wal/1",
    ]
    place.fill(*names)
    bucket = open_bucket(place.access())
    whole = sorted(names)
    assert keys(bucket) == whole
    for start in (*names, *(name[:end] for name in names for end in range(len(name))), "wal_005/3", "none/"):
        expected = [name for name in whole if name.startswith(start)]
        assert keys(bucket, start) == expected, start
        for after in (whole[2], whole[-2], "wal_005/", "wal_005/00000001000000000000001", "a", "z"):
            assert keys(bucket, start, after) == [name for name in expected if name > after], (start, after)


@pytest.mark.slow
def test_pages_are_asked_for_when_they_are_wanted(place: Place) -> None:
    count = 2_500 if place.store.certificate_authority_pem else 25_000
    place.fill(*(f"wal_005/{number:024X}.lz4" for number in range(count)), content=b"")
    place.fill("wal_005/z")
    bucket = open_bucket(place.access())
    log = place.store.access_log

    def asked() -> int:
        return sum(place.bucket in line for line in log.read_text().splitlines())

    before = asked()
    pages = bucket.pages("wal_005/")
    assert asked() == before
    assert len(next(iter(pages))) == 1_000
    assert asked() == before + 1
    sizes = [len(page) for page in pages]
    assert sum(sizes) == count + 1 - 1_000
    assert set(sizes[:-1]) == {1_000}
    assert asked() == before + count // 1_000 + 1
    before = asked()
    start = f"wal_005/{count - 1_500:024X}"[:-2]
    assert keys(bucket, start)[0] == f"{start}00.lz4"
    assert asked() == before + 1
    with ThreadPoolExecutor(4) as threads:
        assert {len(keys(bucket, after=f"wal_005/{count - 700:024X}")) for _ in threads.map(str, range(4))} == {701}


only_tls = pytest.mark.parametrize("place", ["object_store_tls"], indirect=True)


@only_tls
def test_a_private_authority_is_the_only_one_that_is_trusted(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import trustme

    # As though the system trusted the store: its list of authorities stands in this variable, which else is hidden.
    monkeypatch.setattr(_s3, "_READ_BY_LIBRARY", ("AWS_",))
    system = tmp_path / "system.pem"
    assert place.store.certificate_authority_pem
    system.write_text(place.store.certificate_authority_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    assert keys(open_bucket(place.access(authority=""))) == []
    with pytest.raises(StoreError, match="authority") as caught:
        keys(open_bucket(place.access(authority=trustme.CA().cert_pem.bytes().decode())))
    assert caught.value.problem == "certificate"
    assert keys(open_bucket(place.access())) == []
    # What this process says of authorities is no word of the system.
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    with pytest.raises(StoreError, match="authority") as caught:
        keys(open_bucket(place.access(authority="")))
    assert caught.value.problem == "certificate"


@only_tls
def test_certificates_and_schemes_that_do_not_fit(place: Place) -> None:
    port = place.store.port
    for endpoint, problem, words in (
        (f"https://localhost:{port}", "certificate", f"not for localhost:{port}"),
        (f"http://127.0.0.1:{port}", "unreachable", "breaks off\n.*wants https"),
    ):
        with pytest.raises(StoreError, match=words) as caught:
            keys(open_bucket(place.access(AWS_ENDPOINT=endpoint)))
        assert caught.value.problem == problem


@pytest.mark.parametrize("place", ["object_store"], indirect=True)
def test_tls_to_a_server_without(place: Place) -> None:
    with pytest.raises(StoreError, match="does not speak TLS") as caught:
        keys(open_bucket(place.access(AWS_ENDPOINT=place.store.endpoint.replace("http", "https"))))
    assert caught.value.problem == "certificate"


def test_nothing_of_this_process_reaches_the_store(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "AWS_ACCESS_KEY_ID": "AKIAWRONG",
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "AWS_SESSION_TOKEN": "token",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_REGION": "wrong-1",
        "AWS_DEFAULT_REGION": "wrong-1",
        "AWS_CHECKSUM_ALGORITHM": "nonsense",
        "AWS_SERVER_SIDE_ENCRYPTION": "nonsense",
        "AWS_PROXY_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "",
        "SSL_CERT_FILE": "/nowhere",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    bucket = open_bucket(place.access())
    assert dict(os.environ) == before
    bucket.write("one", b"1")
    assert bucket.read("one", most=9) == b"1"


def test_an_identity_of_the_pods_is_replaced_by_keys_of_this_process(place: Place) -> None:
    reached = replace(place.access(), references={}, contents=Credentials({}))
    keys_here = {
        "AWS_ACCESS_KEY_ID": place.store.access_key_id,
        "AWS_SECRET_ACCESS_KEY": place.store.secret_access_key,
    }
    if place.store.virtual_host_domain:
        # It is neither Amazon S3 nor on this machine, as far as its name says.
        with pytest.raises(StoreError, match="sent to Amazon S3 only"):
            open_bucket(reached, environment=keys_here)
        return
    assert keys(open_bucket(reached, environment=keys_here)) == []
    with pytest.raises(StoreError, match="identity of their cloud") as caught:
        open_bucket(reached, environment={})
    assert caught.value.problem == "credentials"
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy


def test_what_a_real_store_refuses(place: Place) -> None:
    store = place.store
    right = key_id, secret = store.access_key_id, store.secret_access_key
    for problem, word, reached in (
        ("credentials", "does not know these keys", place.access(keys=("AKIAUNKNOWNUNKNOWN22", secret))),
        ("credentials", "does not belong to the key id", place.access(keys=(key_id, secret[::-1]))),
        ("region", "eu-test-1, not eu-test-2", place.access(AWS_REGION="eu-test-2")),
    ):
        for ask in ASKS:
            with pytest.raises(StoreError, match=word) as caught:
                ask(open_bucket(reached))
            assert caught.value.problem == problem
            assert not any(key in str(caught.value) + repr(caught.value) for key in right)
    reached = place.access()
    bucket = open_bucket(replace(reached, prefix=reached.prefix.replace(place.bucket, f"{place.bucket}-none")))
    for ask in ASKS:
        with pytest.raises(StoreError, match=f"no bucket {place.bucket}-none") as caught:
            ask(bucket)
        assert caught.value.problem == "no bucket"


def test_several_threads_open_buckets_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    place.fill("one")
    barrier = threading.Barrier(8)

    def look(_: int) -> list[str]:
        barrier.wait(10)
        return keys(open_bucket(place.access()))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(look, range(8))) == [["one"]] * 8
