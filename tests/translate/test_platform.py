"""The backup platform: what the annotation remembers, what it still reads, and what it refuses to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest

import planton
from planton.translate.backup import environment_of
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.secret_values import Credentials
from tests.translate.stores import EXISTING, STORES, VERSIONS, database, operator

FULL = BackupPlatform(
    namespace="postgres-operator",
    operator_version="2.0.1",
    bucket="bucket",
    prefix_template="backups/$(SCOPE)",
    schedule="0 2 * * *",
    backup=False,
    restore=False,
    clone=False,
    endpoint="https://minio.example.com",
    region="us-east-1",
    force_path_style=False,
    disable_server_side_encryption=False,
    secret_name="r2-postgres-backup-credentials",
    secret_keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALG_PGP_KEY"),
    labels={"team": "data"},
    annotations={"a": "b"},
    store="s3_compatible",
    settings={"WALG_S3_SSE": "AES256", "no_proxy": "localhost"},
    encryption="pgp",
    files_secret_name="postgres-backup-files",
    file_names=("ca.crt",),
    sources={"AWS_ACCESS_KEY_ID": "storage/bucket/id", "ca.crt": "storage/authority/ca.crt"},
    service_account_annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/x"},
    max_instances="3",
    credentials=Credentials({"AWS_ACCESS_KEY_ID": "SENTINEL-KEY"}),
    files=Credentials({"ca.crt": "SENTINEL-FILE"}),
    generation=3,
)
UNWRITTEN = {"credentials": None, "files": None, "generation": 0}


def test_every_fact_is_read_back_as_it_was() -> None:
    text = FULL.to_json()
    assert "SENTINEL" not in text
    assert BackupPlatform.from_json(text) == replace(FULL, **UNWRITTEN)  # type: ignore[arg-type]
    # Each fact on its own, so that none is written under another's name.
    for field in fields(BackupPlatform):
        if field.name not in UNWRITTEN:
            assert getattr(BackupPlatform.from_json(text), field.name) == getattr(FULL, field.name)
    assert set(json.loads(text)) == {field.name for field in fields(BackupPlatform)} - set(UNWRITTEN)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", ["", "r2-short", *STORES])
def test_a_database_becomes_the_same_with_what_the_annotation_says(store: str, version: str) -> None:
    together = planton.render(planton.loads(operator(version, store=store) + database()), existing=EXISTING)
    platform = together.platform
    if platform is None:
        return
    (configmap,) = [item for item in together if item["metadata"]["name"] == "postgres-pod-backup-config"]
    text = configmap["metadata"]["annotations"][PLATFORM_ANNOTATION]
    back = replace(BackupPlatform.from_json(text, platform.credentials), files=platform.files)
    assert back == platform
    assert environment_of(back) == configmap["data"]
    alone = planton.render(planton.loads(database()), back, EXISTING)
    assert len(alone) >= 3
    for item in alone:
        assert item in list(together)


EARLIER = (
    '{"annotations":{},"backup":true,"bucket":"postgres-backups","clone":true,'
    '"disable_server_side_encryption":true,"endpoint":"https://account.r2.cloudflarestorage.com",'
    '"force_path_style":true,"labels":{},"namespace":"postgres-operator","operator_version":"1.15.1",'
    '"prefix_template":"backups/$(SCOPE)/$(PGVERSION)","region":"auto","restore":true,"schedule":"0 2 * * *",'
    '"secret_keys":["AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY"],"secret_name":"r2-postgres-backup-credentials"}'
)


def test_an_annotation_of_an_earlier_version_is_read_and_written_as_it_was() -> None:
    platform = BackupPlatform.from_json(EARLIER)
    assert (platform.store, platform.settings, platform.file_names, platform.sources) == ("cloudflare_r2", {}, (), {})
    # The operator does not restart for an annotation that says the same in other words.
    assert platform.to_json() == EARLIER
    short = planton.render(planton.loads(operator(store="r2-short"))).platform
    assert short is not None
    assert set(json.loads(short.to_json())) == set(json.loads(EARLIER))


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert BackupPlatform.from_json(EARLIER.replace("{", '{"later":[1],', 1)) == BackupPlatform.from_json(EARLIER)


def changed(**facts: Any) -> str:
    return json.dumps({**json.loads(FULL.to_json()), **facts})


HOSTILE: list[str] = [
    "",
    "SENTINEL",
    "null",
    "[]",
    '"text"',
    "{}",
    "[" * 100_000,
    json.dumps({key: value for key, value in json.loads(EARLIER).items() if key != "bucket"}),
    *(changed(namespace=name) for name in ("", "../x", "a/b", "A", "a b", "a\n", "x" * 300, 5, None, ["a"])),
    *(changed(secret_name=name) for name in ("../x", "a/b", "a?b", "A", ["a"], 5)),
    *(changed(files_secret_name=name) for name in ("../x", "a/b", "a%2fb", {"a": "b"})),
    *(
        changed(sources={"AWS_ACCESS_KEY_ID": place})
        for place in (
            "",
            "bucket",
            "storage/bucket",
            "storage/bucket/",
            "/bucket/id",
            "storage//id",
            "../storage/bucket/id",
            "storage/../id",
            "storage/bucket/id/more",
            "Storage/bucket/id",
            "storage/bu cket/id",
            "storage/bucket/i d",
            "storage/bucket/id\n",
            "storage/bucket/id?watch=true",
            "stor.age/bucket/id",
            5,
            None,
            ["storage/bucket/id"],
        )
    ),
    changed(sources=["storage/bucket/id"]),
    changed(sources="storage/bucket/id"),
    changed(settings={"A": 5}),
    changed(settings=[]),
    changed(secret_keys="AWS_ACCESS_KEY_ID"),
    changed(service_account_annotations={"a": None}),
    changed(labels="a"),
    changed(secret_keys=[5]),
    changed(file_names=[["ca.crt"]]),
    changed(backup="true"),
    changed(restore=1),
    changed(bucket=None),
    changed(store=5),
    changed(encryption=True),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_platform_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="does not hold a backup platform") as caught:
        BackupPlatform.from_json(text)
    assert str(caught.value) == f"the annotation {PLATFORM_ANNOTATION} does not hold a backup platform"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_facts_that_are_no_facts_of_an_annotation_are_not_taken_from_it() -> None:
    text = changed(credentials={"AWS_ACCESS_KEY_ID": "theirs"}, files={"ca.crt": "theirs"}, generation=9)
    platform = BackupPlatform.from_json(text)
    found: Mapping[str, Any] = {name: getattr(platform, name) for name in UNWRITTEN}
    assert found == UNWRITTEN
