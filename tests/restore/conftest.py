"""Places for servers and archives."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from planton.translate.archive_access import ArchiveAccess
from sandbox.object_store import ObjectStore
from tests.catalogue.conftest import access
from tests.restore.postgres import reachable_programs, workplace


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in which PostgreSQL may write."""
    with workplace() as folder:
        yield folder


@pytest.fixture
def programs(place: Path) -> Path:
    """Where the programs of PostgreSQL are."""
    return reachable_programs(place)


@pytest.fixture
def archived(object_store: ObjectStore) -> ArchiveAccess:
    """How a new, empty archive is reached."""
    bucket = f"restore-{uuid.uuid4().hex[:8]}"
    object_store.create_bucket(bucket)
    return access(
        object_store.endpoint,
        f"s3://{bucket}/backups/db-orders/17",
        keys=(object_store.access_key_id, object_store.secret_access_key),
        AWS_REGION=object_store.region,
    )
