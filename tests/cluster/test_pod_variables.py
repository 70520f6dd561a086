"""Of several values of one variable the operator takes the first, in capitals or not: so do all that read them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archives import Archives, environment
from planton.cluster.backups.left_access import _said
from planton.cluster.backups.sources import OperatorGives, _Reader
from planton.cluster.planning.inventory import database_facts
from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_checks import _archive_under
from planton.translate.left_access import Said
from planton.translate.pod_variables import entries_that_count, layered
from tests.cluster.objects import Object

NAMES = st.sampled_from(["WALG_S3_PREFIX", "walg_s3_prefix", "AWS_REGION", "Aws_Region", "USE_WALG_BACKUP"])
LAYERS = st.lists(st.lists(st.tuples(NAMES, st.text("ab", max_size=2)), max_size=6), min_size=1, max_size=3)


def entry(name: str, *, key: str = "", value: str = "") -> Object:
    if key:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": "keys", "key": key}}}
    return {"name": name, "value": value}


def database(*entries: Any) -> Object:
    return {"metadata": {"namespace": "shop", "name": "db-orders"}, "spec": {"env": list(entries)}}


def operators_way(layers: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """As its source says it: append what is not present, by a comparison that takes no notice of capitals."""
    pods: list[tuple[str, str]] = []
    for layer in layers:
        for name, value in layer:
            if not any(there.lower() == name.lower() for there, _ in pods):
                pods.append((name, value))
    return pods


@given(layers=LAYERS)
def test_as_the_operator_puts_them_together(layers: list[list[tuple[str, str]]]) -> None:
    own = database(*(entry(name, value=value) for name, value in layers[0]))
    counting = {name: str(one["value"]) for name, one in entries_that_count(own)}
    # A Secret and a ConfigMap have each key once.
    others = [list(dict(layer).items()) for layer in layers[1:]]
    assert list(layered(counting, *map(dict, others)).items()) == operators_way([layers[0], *others])


DOUBLE = database(
    entry("AWS_REGION", value="first"),
    entry("aws_region", value="second"),
    entry("AWS_REGION", key="third"),
    entry("AWS_ACCESS_KEY_ID", key="mine"),
    entry("AWS_ACCESS_KEY_ID", value="in clear"),
    "no entry",
    {"value": "without a name"},
    {"name": ["no", "name"], "value": "x"},
    {"name": "EMPTY", "value": None},
)


def test_whoever_reads_them_takes_the_first() -> None:
    key = Key(POSTGRESQL, "shop", "db-orders")
    told = {"AWS_REGION": "told", "WALG_S3_PREFIX": "s3://told", "Wal_S3_Bucket": "told"}
    archives = Archives(
        before=told,
        secret_before=frozenset({"AWS_ACCESS_KEY_ID", "WALG_S3_PREFIX"}),
        secret_name_before="storage",
    )
    said = _said(archives, key, DOUBLE)
    assert said["AWS_REGION"] == Said("first")
    assert said["AWS_ACCESS_KEY_ID"] == Said(None, "shop/keys/mine")
    assert said["WALG_S3_PREFIX"] == Said(None, "shop/storage/WALG_S3_PREFIX")
    assert said["EMPTY"] == Said("")
    assert "aws_region" not in said

    # No Secret of the operator here, so that the server is not asked.
    literals, references, strange = _Reader(cast("Server", None), DOUBLE, OperatorGives(told))._environment()
    assert literals == {"AWS_REGION": "first", "EMPTY": "", "WALG_S3_PREFIX": "s3://told", "Wal_S3_Bucket": "told"}
    assert references == {"AWS_ACCESS_KEY_ID": ("keys", "mine")}
    assert not strange

    assert environment(DOUBLE) == {
        "AWS_REGION": "first",
        "AWS_ACCESS_KEY_ID": '{"secretKeyRef": {"key": "mine", "name": "keys"}}',
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("entries", "archive"),
    [
        ([("WALG_S3_PREFIX", "s3://b/first"), ("WALG_S3_PREFIX", "s3://b/second")], "s3://b/first"),
        # Pods get that one and none of the operator's, and Spilo looks at neither.
        ([("walg_s3_prefix", "s3://b/first"), ("WALG_S3_PREFIX", "s3://b/second")], None),
        ([("walg_s3_prefix", "s3://b/first")], None),
        ([("Use_WalG_Backup", "false")], "broken"),
        ([], "s3://b/told"),
    ],
)
def test_where_a_database_archives_follows_from_the_first(entries: list[tuple[str, str]], archive: str | None) -> None:
    told = {"USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": "s3://b/told"}
    obj = database(*(entry(name, value=value) for name, value in entries))
    key = Key(POSTGRESQL, "shop", "db-orders")
    archives = Archives(before=told, after=told, live={key: obj}, secret_before=frozenset({"Walg_S3_Prefix"}))
    # One that does not work is none.
    assert archives.moves(key)[0] == (ArchiveIdentity("", archive) if archive not in (None, "broken") else None)
    pods, _ = archives.environments(key)
    assert pods == dict(operators_way([entries, [("Walg_S3_Prefix", "<Secret>")], list(told.items())]))
    # The same where it is one of the live databases that a set must not meet.
    facts = database_facts({**obj, "metadata": {"namespace": "foreign", "name": "theirs"}})
    assert _archive_under(facts, told) == (
        ArchiveIdentity("", "s3://b/told" if archive == "broken" else archive) if archive is not None else None
    )
