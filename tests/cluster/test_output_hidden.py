"""What a program in a pod says goes to people without the credentials that are known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.exec import _LONGEST_LINE, _Lines
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_reading import ArchiveReader
from planton.cluster.backups.backup_now import BackupMade, PlannedBackup
from planton.cluster.deleting import last_backup
from planton.cluster.planning.inventory import Inventory
from planton.sensitive import HIDDEN
from tests.catalogue.conftest import KEY_ID, SECRET, access

KEY = Key(POSTGRESQL, "orders", "db-orders")


@given(
    before=st.integers(0, 3 * _LONGEST_LINE),
    after=st.integers(0, 2 * _LONGEST_LINE),
    sizes=st.lists(st.integers(1, _LONGEST_LINE), min_size=1, max_size=5),
)
def test_a_credential_in_a_line_without_an_end_is_hidden_wherever_it_is_cut(
    before: int, after: int, sizes: list[int]
) -> None:
    text = "x" * before + SECRET + "y" * after
    scrubber = Scrubber([SECRET])
    lines = _Lines(scrubber)

    def pieces() -> Iterator[str]:
        place, number = 0, 0
        while place < len(text):
            size = sizes[number % len(sizes)]
            yield text[place : place + size]
            place, number = place + size, number + 1

    said = [line for piece in pieces() for line in lines.add(1, piece)] + list(lines.rest())
    whole = "".join(said)
    assert whole == "x" * before + HIDDEN + "y" * after
    assert all(len(line) <= _LONGEST_LINE + scrubber.longest for line in said)


def test_a_last_backup_says_nothing_of_the_archives_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines go into the progress of the delete and, when it fails, into the error."""
    server = Server(Connection(None, ClusterIdentity("", "", "")), "backup")
    reader = ArchiveReader(server, cast("Inventory", None))
    reader._known[KEY] = access("https://store.example")
    planned = PlannedBackup(KEY.namespace, KEY.name, "db-orders-0", ())
    heard: list[str] = []

    def make(server: Server, planned: PlannedBackup, **_: Any) -> BackupMade:
        heard.append(server.scrubber.text(f"ERROR: AWS_ACCESS_KEY_ID={KEY_ID} AWS_SECRET_ACCESS_KEY={SECRET}"))
        return BackupMade("base_1", datetime.now(UTC), planned.pod, 1.0)

    monkeypatch.setattr(last_backup, "plan_backup", lambda *_: planned)
    monkeypatch.setattr(last_backup, "make_backup", make)
    assert last_backup.LastBackup(server, reader)(KEY) == "base_1"
    assert heard == [f"ERROR: AWS_ACCESS_KEY_ID={HIDDEN} AWS_SECRET_ACCESS_KEY={HIDDEN}"]
