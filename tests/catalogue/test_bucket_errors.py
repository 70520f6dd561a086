"""Every trouble with a store has its kind, its words and its remedy, and nothing of a key is in them."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from planton.catalogue.bucket import WritableBucket, open_bucket
from planton.errors import StoreError
from planton.translate.secret_values import Credentials, Reference
from tests.catalogue.conftest import KEY_ID, SECRET, Answer, AnsweringServer, access, listing, s3_error

READS: tuple[Callable[[WritableBucket], object], ...] = (
    lambda bucket: list(bucket.pages()),
    lambda bucket: bucket.folders("wal_005/"),
    lambda bucket: bucket.files("wal_005/"),
    lambda bucket: bucket.read("wal_005/x", most=9),
    lambda bucket: bucket.stat("wal_005/x"),
)
WRITES: tuple[Callable[[WritableBucket], object], ...] = (
    lambda bucket: bucket.write("x", b"1"),
    lambda bucket: bucket.delete(["x", "y"]),
    lambda bucket: bucket.delete_one("x"),
)


def failure_of(ask: Callable[[], object]) -> StoreError:
    """Asks, and makes sure that nothing of the keys can be seen in any way in which an error is shown."""
    with pytest.raises(StoreError) as caught:
        ask()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + str(error)
    for word in (KEY_ID, SECRET, "SENTINEL", "entinel", "<Code>", "Debug source"):
        assert word not in shown
    # As those show it who keep the variables of each frame: but for this test's own.
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = "".join(f"{one.locals}" for one in frames if "/planton/" in one.filename)
    assert KEY_ID not in ours
    assert SECRET not in ours
    assert error.remedy
    assert error.subject.startswith("s3://bucket")
    return error


@pytest.mark.parametrize(
    ("status", "body", "problem", "words"),
    [
        (403, s3_error("InvalidAccessKeyId"), "credentials", "does not know these keys"),
        (403, s3_error("SignatureDoesNotMatch"), "credentials", "does not belong to the key id"),
        (400, s3_error("ExpiredToken"), "credentials", "session token"),
        (401, s3_error("Unauthorized"), "credentials", "does not know these keys"),
        (403, s3_error("AccessDenied"), "forbidden", "may not do that"),
        (403, b"", "forbidden", r"may not do that here \(HTTP 403\)"),
        (404, s3_error("NoSuchBucket"), "no bucket", "no bucket bucket"),
        (
            400,
            s3_error("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
            "region",
            "eu-west-3, not eu-test-1",
        ),
        (400, s3_error("AuthorizationHeaderMalformed", f"<Region>{SECRET}</Region>"), "credentials", "another region"),
        (301, s3_error("PermanentRedirect"), "region", "another region|another one"),
        (400, s3_error("IllegalLocationConstraintException"), "region", "another one than eu-test-1"),
        (403, s3_error("RequestTimeTooSkewed"), "clock", "clock"),
        (503, s3_error("SlowDown"), "busy", "busy"),
        (500, s3_error("InternalError"), "busy", "busy"),
        (503, b"<html>sentinel</html>", "busy", "HTTP 503"),
        (400, s3_error("KeyTooLongError"), "refused", "KeyTooLongError"),
        (400, s3_error(KEY_ID), "refused", "HTTP 400"),
        (400, s3_error("kwqjhdkajshdaSENTINEL"), "refused", "HTTP 400"),
        (404, b"<html>sentinel</html>", "refused", "not one of an S3 store"),
        (400, b"Client sent an HTTP request to an HTTPS server. sentinel", "refused", "wants https"),
    ],
)
def test_what_a_store_answers(status: int, body: bytes, problem: str, words: str) -> None:
    with AnsweringServer(lambda method, path: (status, body)) as server:
        bucket = open_bucket(access(server.url))
        for ask in (*READS, *WRITES):
            before = len(server.requests)
            error = failure_of(lambda ask=ask: ask(bucket))  # type: ignore[misc]
            assert error.problem == problem
            assert re.search(words, str(error)), str(error)
            # One retry at most, and only where the store has trouble of its own.
            assert len(server.requests) - before == (2 if status >= 500 else 1)


@pytest.mark.parametrize(
    "body",
    [b"<!DOCTYPE html><html><body>Welcome, sentinel</body></html>", b"", b"{}", b"<html/>"],
)
def test_what_is_no_store_is_no_empty_archive(body: bytes) -> None:
    with AnsweringServer(lambda method, path: (200, body)) as server:
        for ask in READS[:3]:
            bucket = open_bucket(access(server.url))
            error = failure_of(lambda ask=ask, bucket=bucket: ask(bucket))  # type: ignore[misc]
            assert error.problem == "refused"
            assert "not one of an S3 store" in error.text


@pytest.mark.parametrize("status", [206, 416])
def test_a_gateway_that_knows_ranges_is_no_empty_archive(status: int) -> None:
    def answer(method: str, path: str) -> Answer:
        # The same page for everything, by its first byte where that is asked for.
        return (200, b"<html/>") if "list-type" in path else (status, b"<", {"Content-Range": "bytes 0-0/7"})

    with AnsweringServer(answer) as server:
        for ask in READS[:3]:
            bucket = open_bucket(access(server.url))
            error = failure_of(lambda ask=ask, bucket=bucket: ask(bucket))  # type: ignore[misc]
            assert error.problem == "refused"
            assert "not one of an S3 store" in error.text


def test_what_lies_before_the_beginning_is_passed_over() -> None:
    """Also where a store gives it all the same."""
    body = listing(*((f"backups/db/17/{name}", 1) for name in "abc"))
    with AnsweringServer(lambda method, path: (200, body)) as server:
        bucket = open_bucket(access(server.url))
        assert [one.key for page in bucket.pages(after="b") for one in page] == ["c"]
        assert "start-after=backups%2Fdb%2F17%2Fb" in server.requests[0]


def test_an_empty_archive_is_proven_once() -> None:
    def answer(method: str, path: str) -> tuple[int, bytes]:
        return (200, listing()) if "list-type" in path else (404, s3_error("NoSuchKey"))

    with AnsweringServer(answer) as server:
        bucket = open_bucket(access(server.url))
        assert list(bucket.pages()) == list(bucket.pages("wal_005/")) == []
        assert bucket.folders("") == ()
        assert len(server.requests) == 4
        assert bucket.read("x", most=1) is None


def test_a_folder_that_is_not_there_is_empty_for_digitalocean() -> None:
    with AnsweringServer(lambda method, path: (404, s3_error("NoSuchKey"))) as server:
        bucket = open_bucket(access(server.url))
        assert list(bucket.pages("wal_005/")) == []
        assert not bucket.files("wal_005/")
        assert not bucket.folders("wal_005/")
        bucket.delete(["x"])
        bucket.delete_one("x")
        assert failure_of(lambda: bucket.write("x", b"")).problem == "refused"


def test_marks_of_folders_are_passed_over_and_odd_names_said() -> None:
    root = "backups/db/17/"
    body = listing((root, 0), (f"{root}wal_005.x", 1), (f"{root}wal_005/", 0), (f"{root}wal_005/1", 1))
    with AnsweringServer(lambda method, path: (200, body)) as server:
        bucket = open_bucket(access(server.url))
        assert [one.key for page in bucket.pages() for one in page if one.size] == ["wal_005.x", "wal_005/1"]
    for key in ("a//b", "./b", "a/../b"):
        odd = listing((root + key, 1))
        with AnsweringServer(lambda method, path, odd=odd: (200, odd)) as server:  # type: ignore[misc]
            error = failure_of(lambda server=server: list(open_bucket(access(server.url)).pages()))  # type: ignore[misc]
            assert "empty part" in error.text


def test_a_store_without_order_is_refused() -> None:
    body = listing(("backups/db/17/b", 1), ("backups/db/17/a", 1))
    with AnsweringServer(lambda method, path: (200, body)) as server:
        error = failure_of(lambda: list(open_bucket(access(server.url)).pages()))
    assert "order" in error.text


def test_what_is_not_deleted_out_of_many() -> None:
    """With status 200, one refusal for each object. wal-g does not look at it."""
    body = (
        f"<DeleteResult><Error><Key>backups/db/17/x</Key><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>"
        "</DeleteResult>"
    ).encode()
    with AnsweringServer(lambda method, path: (200, body)) as server:
        bucket = open_bucket(access(server.url))
        error = failure_of(lambda: bucket.delete(["x", "y"]))
        assert error.problem == "forbidden"
        assert server.requests == ["POST /bucket?delete"]


def test_an_answer_at_which_the_library_panics(capfd: pytest.CaptureFixture[str]) -> None:
    body = b"<DeleteResult><Error><Key>other</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    with AnsweringServer(lambda method, path: (200, body)) as server:
        error = failure_of(lambda: open_bucket(access(server.url)).delete(["x"]))
        assert error.problem == "refused"
    capfd.readouterr()


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        # Bound and not listened at: nobody else gets it, and connections are refused.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = failure_of(lambda: list(open_bucket(access(f"http://127.0.0.1:{port}")).pages()))
        assert (error.problem, error.text) == (
            "unreachable",
            f"cannot list objects: nobody listens at 127.0.0.1:{port}",
        )
        proxied = access("http://store.example", http_proxy=f"http://user:SENTINEL@127.0.0.1:{port}")
        error = failure_of(lambda: list(open_bucket(proxied).pages()))
        assert (error.problem, error.text) == ("unreachable", "cannot list objects: nobody listens at 127.0.0.1")
    # A slash in the password, which has to be written as %2F.
    proxied = access("http://store.example", http_proxy=f"http://SENTINEL:{SECRET}@127.0.0.1:{port}")
    error = failure_of(lambda: list(open_bucket(proxied).pages()))
    assert error.problem == "unreachable"


def test_a_name_that_nobody_knows() -> None:
    error = failure_of(lambda: list(open_bucket(access("https://store.invalid:9000")).pages()))
    assert (error.problem, error.text) == ("unreachable", "cannot list objects: no such name: store.invalid:9000")


def test_a_proxy_that_does_not_get_there() -> None:
    with AnsweringServer(lambda method, path: (502, b"sentinel")) as proxy:
        for scheme in ("http", "https"):
            reached = access(f"{scheme}://store.example", variables={f"{scheme}_proxy": proxy.url})
            error = failure_of(lambda reached=reached: list(open_bucket(reached).pages()))  # type: ignore[misc]
            assert error.problem == "unreachable"
            assert "the proxy 127.0.0.1 does not get to" in error.text
            assert "no_proxy" in error.remedy


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Takes connections, and does with each what is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()
        taken: list[socket.socket] = []

        def run() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    taken.append(connection)
                    serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            thread.join()
            for one in taken:
                one.close()


def test_a_store_that_hangs_is_given_up_in_time() -> None:
    with listener(lambda connection: None) as url:
        for endpoint in (url, url.replace("http", "https")):
            for ask in (READS[0], READS[3], WRITES[0]):
                bucket = open_bucket(access(endpoint), timeout=0.5)
                begun = time.monotonic()
                error = failure_of(lambda ask=ask, bucket=bucket: ask(bucket))  # type: ignore[misc]
                assert time.monotonic() - begun < 1.5
                assert error.problem == "unreachable"
                assert "in time" in error.text


def test_an_answer_that_hangs_in_its_middle() -> None:
    def half(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<List")

    with listener(half) as url:
        begun = time.monotonic()
        error = failure_of(lambda: list(open_bucket(access(url), timeout=0.5).pages()))
        assert time.monotonic() - begun < 1.5
        assert error.problem == "unreachable"


def test_connections_that_break_off() -> None:
    with listener(lambda connection: connection.close()) as url:
        error = failure_of(lambda: list(open_bucket(access(url)).pages()))
        assert error.problem == "unreachable"


def test_keys_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    right = access("https://store.example")
    secret = Reference("Secret", "storage/bucket", "AWS_SECRET_ACCESS_KEY")
    for reached, words in (
        (
            replace(right, contents=Credentials({"AWS_ACCESS_KEY_ID": KEY_ID}, {"AWS_SECRET_ACCESS_KEY": secret})),
            "AWS_SECRET_ACCESS_KEY was not looked up: it is in key AWS_SECRET_ACCESS_KEY of Secret storage/bucket",
        ),
        (
            replace(right, contents=Credentials({"AWS_ACCESS_KEY_ID": KEY_ID})),
            "the pods have it from key AWS_SECRET_ACCESS_KEY of Secret secret",
        ),
        (
            replace(right, contents=Credentials({"AWS_ACCESS_KEY_ID": KEY_ID}), references={}),
            "AWS_SECRET_ACCESS_KEY is missing or empty",
        ),
        (replace(right, contents=Credentials({}), references={}), "sent to Amazon S3 only"),
        (replace(access(""), contents=Credentials({}), references={}), "identity of their cloud"),
    ):
        error = failure_of(lambda reached=reached: open_bucket(reached))  # type: ignore[misc]
        assert error.problem == "credentials"
        assert words in error.text


def test_a_pasted_key_in_the_place_of_a_reference_is_not_shown() -> None:
    pasted = Reference("environment variable", KEY_ID)
    reached = replace(access("https://store.example"), contents=Credentials({}, {"AWS_ACCESS_KEY_ID": pasted}))
    assert "environment variable …" in failure_of(lambda: open_bucket(reached)).text


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    with AnsweringServer(lambda method, path: (403, s3_error("AccessDenied"))) as server:
        failure_of(lambda: list(open_bucket(access(server.url)).pages()))
    assert "entinel" not in caplog.text
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    assert KEY_ID not in out + err


def test_a_certificate_that_is_none() -> None:
    for text, words in (
        ("sentinel", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nsentinel\n-----END CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n", "cannot be read"),
    ):
        error = failure_of(lambda text=text: open_bucket(access("https://store.example", authority=text)))  # type: ignore[misc]
        assert error.problem == "certificate"
        assert words in error.text


def test_a_token_for_a_role_is_changed_into_keys(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sentinel-token")
    given = (
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t</SessionToken>"
        f"<SecretAccessKey>{SECRET}</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration>"
        f"<AccessKeyId>{KEY_ID}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>"
    ).encode()
    given_by: dict[str, tuple[int, bytes]] = {"tokens": (200, given)}

    def answer(method: str, path: str) -> tuple[int, bytes]:
        return given_by["tokens"] if method == "POST" else (200, listing(("backups/db/17/x", 1)))

    with AnsweringServer(answer, tls=True) as server:
        reached = access(server.url, authority=server.authority)
        reached = replace(reached, contents=Credentials({}), references={})
        environment = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
            "AWS_ENDPOINT_URL_STS": server.url,
        }
        bucket = open_bucket(reached, environment=environment)
        assert [one.key for page in bucket.pages() for one in page] == ["x"]
        assert [one.partition("?")[0] for one in server.requests] == ["POST /", "GET /bucket"]
        given_by["tokens"] = (403, s3_error("AccessDenied"))
        error = failure_of(lambda: list(open_bucket(reached, environment=environment).pages()))
        assert error.problem == "credentials"
        token.unlink()
        error = failure_of(lambda: list(open_bucket(reached, environment=environment).pages()))
        assert error.problem == "credentials"
