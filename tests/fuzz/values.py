"""Readers of one short text: quantities, schedules, prefixes, times, names, annotations, keys; what hides secrets."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import planton.manifest.checks as checks
from planton import quantity
from planton.catalogue import names, times
from planton.catalogue.timelines import parse_history
from planton.cli._exit import UsageError
from planton.cli._restore import target_of
from planton.cluster.api.connection import ClusterIdentity, Connection, get
from planton.cluster.api.mask import HIDDEN, scrubber_for
from planton.cluster.backups.backup_age import _time, due
from planton.cluster.patroni import _json
from planton.errors import PlantonError
from planton.manifest._cron import schedule_problem
from planton.manifest._prefix import bucket_problem, prefix_problem, template_problem
from planton.sensitive import entry, is_showable, looks_like_credential
from planton.translate import openpgp
from planton.translate.archive_record import is_full, read_record
from planton.translate.birth import Birth
from planton.translate.platform import BackupPlatform, capped, sources_from
from planton.translate.secret_checks import value_problem, value_warning
from planton.translate.secret_values import Reference, secret_text
from tests.fuzz import trees
from tests.fuzz.oracle import Finding, attempt
from tests.keys import TEST_ONLY_KEY, certificate

_KEYS = ("ca.crt", "WALG_PGP_KEY", "WALG_LIBSODIUM_KEY", "WALG_PGP_KEY_PASSPHRASE", "AWS_SECRET_ACCESS_KEY")
_MOMENTS = (datetime(2026, 11, 22, 8, 14, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC))
_LATEST = datetime(9998, 1, 1, tzinfo=UTC)
_SHORT = 300

PLATFORM = BackupPlatform(
    namespace="postgres-operator",
    operator_version="1.15.1",
    bucket="postgres-backups",
    prefix_template="backups/$(SCOPE)/$(PGVERSION)",
    schedule="0 2 * * *",
    backup=True,
    restore=True,
    clone=True,
    endpoint="https://minio.example.com",
    region="auto",
    force_path_style=True,
    disable_server_side_encryption=True,
    secret_name="postgres-pod-backup-credentials",
    settings={"WALG_COMPRESSION_METHOD": "lz4"},
    sources={"AWS_ACCESS_KEY_ID": "storage/keys/id"},
).to_json()  # fmt: skip
RECORD = json.dumps(
    {
        "store": "minio.example.com", "prefix": "s3://b/db-orders/17", "namespace": "orders", "name": "db-orders",
        "version": "17", "why": "deleted", "encryption": "libsodium", "key_in": "s/1",
        "left_at": "2026-11-22T08:14:35Z",
        "reading": {"environment": {"AWS_REGION": "auto"}, "references": {"AWS_ACCESS_KEY_ID": "s/k"}},
    }
)  # fmt: skip
HISTORY = '[[1, 50331744, "no recovery target specified", "2026-11-22T08:14:35+00:00", "db-orders-0"]]'


class ValueTarget:
    """One text, given to each reader of short texts."""

    name = "values"
    words = (
        "$(SCOPE)",
        "s3://",
        "*/",
        "Gi",
        "1e999",
        "JAN-",
        "9999-12-31T23:59:59",
        "+14:00",
        "-----BEGIN PGP",
        "\\ud800",
    )

    def seeds(self) -> Iterator[bytes]:
        """What each of them takes, and what means something to one of them."""
        yield from (str(one).encode() for one in trees.SCALARS if isinstance(one, (str, int, float)))
        for text in (
            PLATFORM,
            RECORD,
            HISTORY,
            TEST_ONLY_KEY,
            certificate(),
            Birth("s3://b/p", version="17").to_json(),
        ):
            yield text.encode()
        yield b"wal_005/0000000100000000000000A1.lz4"
        yield b"base_000000010000000000000005_D_000000010000000000000002"
        yield b"basebackups_005/base_000000010000000000000005_backup_stop_sentinel.json"
        yield b"1\t0/3000060\tno recovery target specified\n\n2\t1/A0\tx\n"

    def mutate(self, data: bytes, most: int, seed: int, fallback: trees.Fallback) -> bytes:
        """JSON by its tree; the rest by bytes, and by putting words that mean something together."""
        if data[:1] in b"[{" and data:
            return trees.mutated_json(data, most, seed, fallback)
        random = Random(seed)
        if random.random() < 0.3:
            return (str(trees.scalar(random)) + random.choice(("", " ", "/", ",", "-"))).encode()[:most] + data[:40]
        return fallback(data, most)

    def run(self, data: bytes) -> list[str]:
        """Gives one text to each reader."""
        text = data.decode("utf-8", "replace")
        texts: list[str] = []
        for call in (_numbers, _problems, _names, _annotations, _moments, _keys):
            texts += attempt(lambda call=call: call(text), (PlantonError, UsageError))  # type: ignore[misc]
        _hides(text)
        _answers(data)
        return texts


def _numbers(text: str) -> Iterable[str]:
    try:
        amount = quantity.parse(text)
    except ValueError as error:
        return [str(error)]
    if not amount.is_finite():
        raise Finding("a quantity that is no number")
    return []


def _problems(text: str) -> Iterable[str]:
    problem = schedule_problem(text)
    if not problem and text:
        # What is taken for a schedule has times, or none within fifty years.
        for moment in _MOMENTS:
            due(text, moment)
    return [
        problem,
        prefix_problem(text),
        template_problem(text),
        bucket_problem(text),
        checks._time_problem(text),
        entry(text),
        str(is_showable(text)),
        str(looks_like_credential(text)),
    ]


def _names(text: str) -> Iterable[str]:
    found = [names.parse_wal_key(text), names.parse_backup_name(text), names.backup_of_sentinel(text)]
    for source in ("environment variable", "file", "Secret"):
        reference: Any = Reference(source, text, text)
        if source != "file":
            found.append(str(reference))
    capped(3, text)
    return [repr(one) for one in found[:2]]


def _annotations(text: str) -> Iterable[str]:
    Birth.from_json(text)
    sources_from(text)
    _json(text, list)
    record = read_record({"key": text})
    is_full({"key": text})
    # What others wrote in the open is shown as it is.
    shown = [f"{len(str(one))} {len(one.key)} {len(str(one.archive))}" for one in record]
    try:
        platform = BackupPlatform.from_json(text)
    except ValueError as error:
        shown.append(str(error))
    else:
        if BackupPlatform.from_json(platform.to_json()) != platform:
            raise Finding("a platform that is written down is read as another one")
    return shown


def _moments(text: str) -> Iterable[str]:
    moment = _time(text)
    if moment is not None:
        due("0 2 * * *", min(moment, _LATEST))
        times.exact(moment)
    switches = parse_history(text.encode(), 7)
    with contextlib.suppress(UsageError):
        # What is typed is shown to who typed it.
        target_of(text, "orders")
    return [switches] if isinstance(switches, str) else []


def _keys(text: str) -> Iterable[str]:
    for name in _KEYS:
        for transform in ("hex", "base64"):
            yield value_problem(name, text, transform, has_passphrase=len(text) % 2 == 0, store="aws_s3")
        yield value_warning(name, text)
    yield openpgp.key_warning(text)
    secret_text(text)


def _hides(text: str) -> None:
    """Whatever is in a Secret stands in no text that a server quotes it in."""
    secret = {"kind": "Secret", "data": {"any": base64.b64encode(text.encode()).decode(), "raw": text}}
    scrubber = scrubber_for([secret, {"kind": "Secret", "stringData": {"any": text}, "data": None}])
    if len(text) < 4 or text in HIDDEN:
        return
    ways = [text, json.dumps(text), json.dumps({"message": f'Invalid value: "{text}"'}), secret["data"]["any"]]  # type: ignore[index]
    if len(text) > _SHORT:
        # All of them are nine times as long as the input, and only that has a right to time.
        ways = [ways[zlib.crc32(text.encode()) % len(ways)]]
    for quoted in ways:
        out = scrubber.text(f"denied: {quoted}, again {quoted}").replace(HIDDEN, "\0")
        for form in (text, json.dumps(text)[1:-1]):
            if form in out:
                raise Finding("a secret that a server quotes is shown")
    if text in repr(scrubber) and len(text) > 12:
        raise Finding("a scrubber shows what it knows")


class _Answer:
    """What the client raises for a refusal."""

    def __init__(self, data: bytes) -> None:
        self.status = data[0] * 4 if data else 0
        self.reason = data[:20].decode("latin1")
        self.body: Any = data[1:]
        self.headers = {"Retry-After": data[1:5].decode("latin1")} if data[:1] > b"\x40" else None


def _answers(data: bytes) -> None:
    """An answer of whatever stands between us and the API server."""
    from kubernetes.client.exceptions import ApiException

    answer = _Answer(data)
    error: Any = ApiException(status=answer.status, reason=answer.reason)
    error.body, error.headers = answer.body, answer.headers
    slept: list[float] = []
    for failure in (error, None):
        client = _Client(failure, answer.body)
        connection = Connection(client, _IDENTITY, sleep=slept.append)
        with contextlib.suppress(PlantonError):
            connection.send(_REQUEST, subject="Secret/a/b", phase="plan", scrub=lambda one: one)
    if not all(0 <= pause <= 60 for pause in slept):
        raise Finding("a pause that is none")


class _Client:
    def __init__(self, failure: Any, body: bytes) -> None:
        self.failure, self.status, self.data = failure, 200, body

    def request(self, *_: Any, **__: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        return self


_IDENTITY = ClusterIdentity("https://cluster.example:6443", "c", "k")
_REQUEST = get("/api/v1/secrets")
