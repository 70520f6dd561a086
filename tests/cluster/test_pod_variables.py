"""Of several values of one variable the operator takes the first, in capitals or not: so do all that read them."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from planton.cluster._resources import POSTGRESQL, Key
from planton.cluster._server import Server
from planton.cluster.archives import Archives, environment
from planton.cluster.left_access import _said
from planton.cluster.sources import OperatorGives, _Reader
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
