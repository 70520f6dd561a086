"""An operator and its databases change together: what the real operator puts into the pods on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from planton.cluster import ProgressEvent
from sandbox import Sandbox
from tests import manifests
from tests.cluster.conftest import SETTINGS, Installed
from tests.manifests import database

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

OFF = "enable_backup: false"
State = dict[str, str]


@pytest.fixture
def plain() -> Iterator[Installed]:
    """A sandbox of its own with an operator without backups."""
    with Sandbox.start() as started:
        made = Installed(started)
        made.apply(manifests.operator(backup=None, spec=SETTINGS))
        yield made


@contextmanager
def watched(installed: Installed, *names: str) -> Iterator[list[tuple[str, State]]]:
    """Writes down every state of the StatefulSets' backup environment; read often, and the operator is slow."""
    seen: list[tuple[str, State]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for name in names:
                entries = installed.cluster.live_environment(name, f"db-{name}") or []
                state = {
                    one["name"]: one.get("value", "")
                    for one in entries
                    if one["name"] in ("WALG_S3_PREFIX", "USE_WALG_BACKUP")
                }
                if (name, state) not in seen:
                    seen.append((name, state))
            time.sleep(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_no_database_passes_through_an_archive_that_it_never_had_nor_wants(plain: Installed) -> None:
    plain.apply(database("secretdb") + database("pin") + database("own"))
    for name in ("secretdb", "pin", "own"):
        assert "WALG_S3_PREFIX" not in plain.environment(name)

    # Backups begin for the operator, and are off or elsewhere for two of its databases.
    pin = database("pin", backup="enable_backup: true\ns3_prefix: /pinned/x")
    own = database("own", backup="s3_prefix: /own/x")
    phases: list[tuple[str, str]] = []

    def note(event: ProgressEvent) -> None:
        phases.append((event.phase, event.subject))

    with watched(plain, "secretdb", "pin") as seen:
        plan = plain.plan(plain.operator + database("secretdb", backup=OFF) + pin + own)
        plain.cluster.apply(plan, timeout=60.0, progress=note)
        plain.until(lambda: all("AWS_ENDPOINT" in plain.environment(name) for name in ("secretdb", "pin", "own")))
        plain.until(lambda: plain.environment("own")["WALG_S3_PREFIX"] == "s3://postgres-backups/own/x")
    told = phases.index(("configuration", "ConfigMap/postgres-operator/postgres-operator"))
    assert phases.index(("databases", "postgresql/secretdb/db-secretdb")) < told
    assert phases.index(("databases", "postgresql/pin/db-pin")) < told
    # A prefix alone is only right once the operator has the switch.
    assert phases.index(("databases", "postgresql/own/db-own")) > told
    prefixes = {name: {state.get("WALG_S3_PREFIX", "") for one, state in seen if one == name} for name, _ in seen}
    assert prefixes == {"secretdb": {""}, "pin": {"", "s3://postgres-backups/pinned/x"}}

    # And off at both: never an archive without the switch.
    off = manifests.operator(spec=SETTINGS, backup="enable_wal_g_backup: false")
    with watched(plain, "own") as seen:
        plain.cluster.apply(plain.plan(off + database("own", backup=OFF) + database("pin", backup=OFF)), timeout=60.0)
        plain.until(lambda: plain.environment("own")["WALG_S3_PREFIX"] == "")
        time.sleep(3)
    states = [state for _, state in seen]
    assert {"WALG_S3_PREFIX": "", "USE_WALG_BACKUP": "false"} in states
    for state in states:
        assert not state.get("WALG_S3_PREFIX") or state["USE_WALG_BACKUP"] == "true", states
