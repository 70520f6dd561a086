"""Reading how fresh archives are: what is asked, and what is said where nothing can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planton.cluster.api.connection import ApiError
from planton.cluster.backups.archive_ages import ArchiveAges
from planton.cluster.backups.backup_age import ArchiveStatus
from planton.cluster.planning.inventory import Inventory
from planton.errors import StoreError, StoreProblem
from planton.translate.archive_access import ArchiveAccess
from planton.translate.existing import Existing
from tests.catalogue.archives import Archive

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
INVENTORY = Inventory(None, Existing(from_cluster=True), (), "", {}, (), True)


def resource(
    name: str = "db-orders",
    *,
    endpoint: str = "https://minio.example.com",
    prefix: str = "s3://bucket/$(SCOPE)/$(PGVERSION)",
    entries: Sequence[dict[str, Any]] = (),
    **spec: Any,
) -> dict[str, Any]:
    values = {
        "WALG_S3_PREFIX": prefix,
        "USE_WALG_BACKUP": "true",
        "AWS_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": "SENTINELACCESSKEY0001",
        "AWS_SECRET_ACCESS_KEY": "sentinel-secret-0002",
        "BACKUP_SCHEDULE": "0 2 * * *",
    }
    env = [{"name": key, "value": value} for key, value in values.items()]
    return {
        "metadata": {"namespace": "orders", "name": name, "creationTimestamp": "2026-10-01T00:00:00Z"},
        "spec": {"numberOfInstances": 1, "postgresql": {"version": "17"}, "env": [*env, *entries], **spec},
    }


class Store:
    """Stands for all buckets.

    Attributes:
        opened: Prefix of each archive that was opened.
        answer: What is in each, or what opening it ends with.
    """

    def __init__(self, answer: Archive | StoreProblem) -> None:
        self.opened: list[str] = []
        self.answer = answer

    def open(self, access: ArchiveAccess) -> Any:
        self.opened.append(access.prefix)
        if isinstance(self.answer, Archive):
            return self.answer.bucket()
        raise StoreError("it does not work", subject="s3://x", problem=self.answer, remedy="Mend it.")

    def reader(self, server: Any = None) -> ArchiveAges:
        return ArchiveAges(server, INVENTORY, open_bucket=self.open, now=lambda: NOW)

    def read(self, database: dict[str, Any], server: Any = None) -> ArchiveStatus:
        status = self.reader(server)(database, use_configmaps=False)
        assert status is not None
        return status


def test_a_fresh_one() -> None:
    archive = Archive()
    archive.run(1, 5, NOW - timedelta(minutes=10), version="17")
    name = archive.backup(2, NOW - timedelta(hours=10), version=170006)
    store = Store(archive)
    status = store.read(resource())
    assert store.opened == ["s3://bucket/db-orders/17"]
    assert status.archive == "s3://bucket/db-orders/17 at minio.example.com"
    assert (status.backup, status.segment) == (name, "000000010000000000000005")
    assert (status.stale, status.unknown, status.is_alarming) == ((), "", False)
    assert status.segment_age == 360


def test_without_backups() -> None:
    store = Store("unreachable")
    assert store.reader()(resource(prefix=""), use_configmaps=False) is None
    assert store.opened == []


@pytest.mark.parametrize("problem", ["credentials", "forbidden", "no bucket", "certificate", "unreachable", "busy"])
def test_what_is_not_seen_is_alarming(problem: StoreProblem) -> None:
    status = Store(problem).read(resource())
    assert status.unknown == "it does not work. Mend it"
    assert (status.problem, status.is_alarming, status.stale) == (problem, True, ())


def test_a_name_inside_of_the_cluster() -> None:
    inside = resource(endpoint="http://minio.storage.svc:9000")
    assert not Store("unreachable").read(inside).is_alarming
    # It was reached, and says no.
    assert Store("forbidden").read(inside).is_alarming


@pytest.mark.parametrize("spec", [{"numberOfInstances": 0}, {"standby": {"s3_wal_path": "s3://old/db-old/17"}}])
def test_nothing_is_expected_there(spec: dict[str, Any]) -> None:
    assert not Store("no bucket").read(resource(**spec)).is_alarming
    assert not Store(Archive()).read(resource(**spec)).is_alarming


def test_a_store_that_is_not_reached_keeps_nobody_waiting_twice() -> None:
    store = Store("unreachable")
    reader = store.reader()
    for name in ("db-orders", "db-users", "db-orders"):
        status = reader(resource(name), use_configmaps=False)
        assert status is not None
        assert status.problem == "unreachable"
    reader(resource(endpoint="https://other.example.com"), use_configmaps=False)
    assert store.opened == ["s3://bucket/db-orders/17"] * 2


def test_a_store_that_refuses_one_is_asked_for_the_next() -> None:
    store = Store("forbidden")
    reader = store.reader()
    for name in ("db-orders", "db-users"):
        reader(resource(name), use_configmaps=False)
    assert len(store.opened) == 2


def test_a_place_that_cannot_be_known() -> None:
    entry = {"name": "WALE_S3_PREFIX", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}
    status = Store("unreachable").read(resource(entries=[entry]))
    assert status.is_alarming
    assert "it takes WALE_S3_PREFIX from something else" in status.unknown


class Forbidding:
    """An API server that lets nobody read Secrets."""

    phase = "status"

    def get(self, key: object) -> Any:
        raise ApiError("secrets is forbidden", status=403, subject="Secret/orders/keys")


def test_secrets_that_may_not_be_read() -> None:
    reference = {"name": "WALG_LIBSODIUM_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "x"}}}
    status = Store("unreachable").read(resource(entries=[reference]), Forbidding())
    assert status.is_alarming
    assert "no permission to read what its pods are told" in status.unknown


def test_nothing_of_it_prints_a_key() -> None:
    assert "sentinel" not in repr(Store("credentials").read(resource())).lower()
