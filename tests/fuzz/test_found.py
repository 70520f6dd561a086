"""What fuzzing has found, each as small as it can be."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
import textwrap
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

import planton
from planton.catalogue.backups import BackupFiles, read_backups
from planton.catalogue.decode import DecodeError
from planton.catalogue.decrypt import Decryption
from planton.catalogue.model import StoredObject
from planton.cli._output import Console
from planton.cluster import PlanOptions
from planton.cluster.api import spellings
from planton.cluster.api.connection import ClusterIdentity, Connection, get
from planton.cluster.api.mask import HIDDEN, Scrubber
from planton.cluster.backups.backup_age import writer_of
from planton.cluster.cluster import Cluster
from planton.errors import ClusterError
from planton.translate.archive_access import ArchiveAccess
from planton.translate.openpgp import PRIVATE
from planton.translate.secret_values import Credentials
from planton.yaml_writer import documents
from tests import manifests
from tests.catalogue import walg_files
from tests.fuzz.cluster import FrozenServer
from tests.fuzz.oracle import SECRET_KEY
from tests.keys import TEST_ONLY_KEY

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


# RFC 4880, section 4.3: the tags 60 to 63 are anybody's, 15 is nobody's. Of new format, one octet each.
NAMELESS = [bytes([0xC0 | tag, 1, 0]) for tag in (15, 60, 62, 63)]


def pgp_access(key: str) -> ArchiveAccess:
    contents = {"WALG_PGP_KEY": key}
    references = dict.fromkeys(contents, "orders-backup/key")
    return ArchiveAccess("a", "db-a", "17", "s3://b/p", {}, references=references, contents=Credentials(contents))


@pytest.mark.parametrize("packet", NAMELESS, ids=bytes.hex)
def test_a_message_with_a_packet_that_has_no_name(packet: bytes) -> None:
    decryption = Decryption(pgp_access(TEST_ONLY_KEY))
    whole = walg_files.pgp("3.0.8")
    assert decryption.decrypt(whole) == walg_files.stored(".lz4")
    # The first packet is the session key: two octets of head, 94 of it.
    for data in (whole + packet, whole[:96] + packet, whole[:96] + packet + whole[96:], packet + whole):
        with contextlib.suppress(DecodeError):
            assert decryption.decrypt(data) == walg_files.stored(".lz4")


@pytest.mark.parametrize("packet", NAMELESS, ids=bytes.hex)
def test_a_key_with_a_packet_that_has_no_name(packet: bytes) -> None:
    lines = TEST_ONLY_KEY.splitlines()
    binary = base64.b64decode("".join(line for line in lines if line[:1] not in "-=")) + packet
    body = "\n".join(textwrap.wrap(base64.b64encode(binary).decode(), 64))
    decryption = Decryption(pgp_access(f"{PRIVATE}\n\n{body}\n{lines[-1]}\n"))
    assert not decryption.problem
    assert decryption.decrypt(walg_files.pgp("3.0.5")) == walg_files.stored(".lz4")


def test_a_text_that_can_be_read_in_many_ways_takes_no_longer_than_another() -> None:
    """A thousand characters of it took four seconds, and forty thousand as many minutes."""
    text = r"a%2B+\u0026&amp;0x61, 0x62, 0x63, 0x64 10 20 30 40 50" + "\n 616263646566676869"
    for _ in range(2):
        text = base64.b64encode((text * 2).encode()).decode() + text
    scrubber = Scrubber([SECRET_KEY, "hunter22"])
    begin = time.process_time()
    assert scrubber.text(f"denied: {text}") == f"denied: {text}"
    assert time.process_time() - begin < 0.5


def test_what_is_too_much_to_be_read_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = [base64.b64encode(f"{word} {SECRET_KEY} {word}".encode()).decode() for word in ("first", "second")]
    harmless = base64.b64encode(b"no secret is in this, and it is read as well").decode()
    text = f"denied: {quoted[0]}, {harmless}, {quoted[1]}."
    scrubber = Scrubber([SECRET_KEY])
    assert scrubber.text(text) == f"denied: {HIDDEN}, {harmless}, {HIDDEN}."
    monkeypatch.setattr(spellings, "_READ", 0)
    monkeypatch.setattr(spellings, "_READ_A_CHARACTER", 2)
    assert scrubber.text(text) == f"denied: {HIDDEN}, {HIDDEN}, {HIDDEN}."
