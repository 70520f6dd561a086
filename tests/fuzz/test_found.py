"""What fuzzing has found, each as small as it can be."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

import planton
from planton.catalogue.backups import BackupFiles, read_backups
from planton.catalogue.model import StoredObject
from planton.cli._output import Console
from planton.cluster import PlanOptions
from planton.cluster.api.connection import ClusterIdentity, Connection, get
from planton.cluster.backups.backup_age import writer_of
from planton.cluster.cluster import Cluster
from planton.errors import ClusterError
from planton.yaml_writer import documents
from tests import manifests
from tests.fuzz.cluster import FrozenServer

LAST = "9999-12-31T23:59:59-14:00"
"""A time that is in the calendar, and is not in UTC."""
IDENTITY = ClusterIdentity("https://cluster.example:6443", "c", "k")


def test_a_sentinel_of_the_last_hours_of_the_calendar() -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    name = "base_000000010000000000000002"
    content = json.dumps({"LSN": 33554472, "FinishLSN": 33554688, "StartTime": LAST, "FinishTime": LAST}).encode()
    (backup,), _ = read_backups([BackupFiles(name, StoredObject(f"{name}.json", 9, moment), content, None)])
    assert backup.finish_time == moment


@pytest.mark.parametrize("text", [LAST, "0001-01-01T00:00:00+14:00"])
def test_a_custom_resource_of_the_last_hours_of_the_calendar(text: str) -> None:
    database = {"metadata": {"name": "db-a", "namespace": "a", "creationTimestamp": text}, "spec": {}}
    assert writer_of(database, {}, "").created is None


class Answer:
    """A client whose server says one thing, whatever it is asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.data = status, body

    def request(self, *_: Any, **__: Any) -> Any:
        if self.status == 200:
            return self
        from kubernetes.client.exceptions import ApiException

        error: Any = ApiException(status=self.status, reason="any")
        error.body = self.data
        raise error


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_that_is_deeper_than_any_reader_goes(status: int) -> None:
    connection = Connection(Answer(status, b"[" * 100_000), IDENTITY, sleep=lambda seconds: None)
    with pytest.raises(ClusterError):
        connection.send(get("/api/v1/secrets"), subject="Secret/a/b", phase="plan", scrub=str)


@pytest.mark.parametrize("character", ["\x7f", "\x9b", "\u202e", "\u2066", "\ufeff"])
def test_what_a_terminal_acts_on_is_written_as_an_escape(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"full": f"{character}base", character: ["\n"]}
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    Console().json(value)
    assert character not in stream.getvalue()
    assert json.loads(stream.getvalue()) == value
    assert character not in documents([value])
    assert yaml.safe_load(documents([value])) == value


def test_half_a_character_is_printed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "utf-8", write_through=True))
    Console().json({"name": "\ud800\U000e0001"})
    assert json.loads(raw.getvalue()) == {"name": "\ud800\U000e0001"}


SECRET = {"name": "own", "key": "id"}
ENTRIES = [
    {"name": "STANDBY_AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": {"a": 1}, "key": "id"}}},
    {"name": "CLONE_AWS_ACCESS_KEY_ID", "valueFrom": "own"},
    {"name": "CLONE_AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": ["own"]}},
    {"name": "WALG_LIBSODIUM_KEY", "valueFrom": "own"},
    {"name": "WALG_PGP_KEY", "valueFrom": {"secretKeyRef": "own"}},
    {"name": "WALG_PGP_KEY", "valueFrom": [SECRET]},
    {"name": ["WALG_S3_PREFIX"], "value": {"a": 1}},
    {"valueFrom": 7},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@pytest.mark.parametrize("manager", ["planton", "kubectl"])
def test_a_custom_resource_whose_environment_is_none(entry: dict[str, Any], manager: str) -> None:
    """The CRD takes any mapping in it: one such database must not keep all others from being planned."""
    rendered = planton.render(planton.loads(manifests.operator() + manifests.database()))
    live = json.loads(json.dumps(list(rendered)))
    for number, one in enumerate(live, 1):
        one["metadata"] |= {"uid": str(number), "resourceVersion": "1", "creationTimestamp": "2026-11-22T08:00:00Z"}
        one["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": {}}]
        if one["kind"] == "postgresql":
            one["spec"]["env"] = [entry, *(one["spec"].get("env") or [])]
            one["spec"]["clone"] = {"cluster": "db-x", "timestamp": ""}
    cluster = Cluster(Connection(FrozenServer(live), IDENTITY, sleep=lambda seconds: None))
    others = planton.loads(manifests.database("others"))
    assert cluster.plan(others, options=PlanOptions(skip_checks=True)).changed
    assert cluster.plan(others, options=PlanOptions(skip_checks=True, set_id="a")).changed
    assert cluster.status(others, archives=False)
    # And the database itself: planned, or refused in words.
    for text in (manifests.database(), manifests.operator() + manifests.database(backup="{}")):
        with contextlib.suppress(planton.PlantonError):
            cluster.plan(planton.loads(text), options=PlanOptions(skip_checks=True, set_id="a", force_conflicts=True))
        with contextlib.suppress(planton.PlantonError):
            cluster.status(planton.loads(text), archives=False)
