"""What is wrong with a clone or a standby by its manifest alone."""

from __future__ import annotations

import pytest

import planton
from planton.errors import ManifestError
from planton.types import PostgresKubernetes
from tests.manifest.support import only
from tests.manifests import database

ARCHIVE = '{cluster_name: db-orders, version: "16"}'


def clone(lines: str = "", source: str = "database: {name: orders}") -> str:
    return database("restored", spec=f"clone:\n  source: {{{source}}}\n{lines}")


def time(text: str) -> str:
    return clone(f"  target_time: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:14:35Z",
        "2026-11-22T09:14:35+01:00",
        "2026-11-22T02:44:35.123456-05:30",
        "2028-02-29T00:00:00Z",
    ],
)
def test_times(text: str) -> None:
    (message,) = planton.loads(time(f'"{text}"'))
    assert isinstance(message, PostgresKubernetes)
    assert message.spec.clone.target_time == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"2026-11-22T08:14:35"', "with its zone"),
        ('"2026-11-22 08:14:35Z"', "with its zone"),
        ('"2026-11-22T08:14:35 CET"', "with its zone"),
        ('"2026-11-22T08:14Z"', "with its zone"),
        ('"2026-11-22T24:00:00Z"', "with its zone"),
        ('"2026-13-01T00:00:00Z"', "with its zone"),
        ('"now"', "with its zone"),
        ('""', "with its zone"),
        ('"2026-02-29T00:00:00Z"', "no day of the calendar"),
        ('"2026-04-31T00:00:00Z"', "no day of the calendar"),
        ('"0001-01-01T00:00:00+01:00"', "too far away"),
        ('"9999-12-31T23:59:59-01:00"', "too far away"),
        ('"2026-11-22T08:14:35+16:00"', "none beyond 15:59"),
        ('"2026-11-22T08:14:35-23:59"', "none beyond 15:59"),
        # What readers of YAML take for a time of their own.
        ("2026-11-22T08:14:35Z", "put it in quotes"),
        ("2026-11-22 08:14:35", "put it in quotes"),
        ("20261122", "put it in quotes"),
    ],
)
def test_times_that_are_refused(text: str, words: str) -> None:
    problem = only(time(text))
    assert problem.path == "spec.clone.target_time"
    assert words in problem.message
    assert problem.origin.line


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("", "spec.clone.source"),
        ("database: {}", "spec.clone.source.database.name"),
        ("database: {name: Orders}", "spec.clone.source.database.name"),
        ("database: {name: orders, namespace: Shop}", "spec.clone.source.database.namespace"),
        ('archive: {version: "16"}', "spec.clone.source.archive.cluster_name"),
        ("archive: {cluster_name: db-orders}", "spec.clone.source.archive.version"),
        ('archive: {cluster_name: db-orders, version: "12"}', "spec.clone.source.archive.version"),
        ('archive: {cluster_name: db_orders, version: "16"}', "spec.clone.source.archive.cluster_name"),
        (ARCHIVE.join(("archive: ", "")).replace("}", ", s3_prefix: x}"), "spec.clone.source.archive.s3_prefix"),
        (
            ARCHIVE.join(("archive: ", "")).replace(
                "}", ", storage: {bucket_name: bucket, aws_s3: {region: eu-west-1}}}"
            ),
            "spec.clone.source.archive.credentials",
        ),
        (
            ARCHIVE.join(("archive: ", "")).replace("}", ", credentials: {access_key_id: {value: ABCDEFGHIJKL}}}"),
            "spec.clone.source.archive.credentials.secret_access_key",
        ),
        (
            ARCHIVE.join(("archive: ", "")).replace("}", ", credentials: {cloud_identity: {aws_role_arn: ROLE}}}"),
            "spec.clone.source.archive.credentials.cloud_identity.aws_role_arn",
        ),
        (
            ARCHIVE.join(("archive: ", "")).replace("}", ", encryption: {libsodium: {key: {value: KEY}}}}"),
            "spec.clone.source.archive.encryption.libsodium.key.value",
        ),
    ],
)
def test_sources_that_are_refused(source: str, path: str) -> None:
    with pytest.raises(ManifestError) as caught:
        planton.validate(planton.loads(clone(source=source)))
    assert path in {one.path for one in caught.value.problems}


def test_both() -> None:
    text = clone("standby:\n  source: {database: {name: orders}}")
    problem = only(text)
    assert problem.path == "spec.standby"
    assert "is given beside clone" in problem.message


def test_one_source() -> None:
    problem = only(clone(source=f"database: {{name: orders}}, archive: {ARCHIVE}"))
    assert "spec.clone.source" in problem.path


def test_a_typing_error_is_pointed_out() -> None:
    assert "did you mean" in only(clone("  target_tme: x")).message
    found = only(clone(source="database: {nmae: orders}"))
    assert found.path.startswith("spec.clone.source.database")


def test_round_trip() -> None:
    manifests = planton.loads(time('"2026-11-22T08:14:35Z"') + database("plain"))
    assert planton.loads(planton.dumps(manifests))[0] == manifests[0]
    assert "2026-11-22T08:14:35Z" in planton.dumps(manifests)
