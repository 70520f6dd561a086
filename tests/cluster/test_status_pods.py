"""How far the WAL of each pod goes, by what Patroni has written into its annotation, and nothing beyond that."""

from __future__ import annotations

from typing import Any

import pytest

from planton.cluster import status
from planton.cluster.status import PodStatus
from tests.cluster.objects import Object
from tests.cluster.patroni import pod, runs, told

SERVER: Any = None


def pods_of(monkeypatch: pytest.MonkeyPatch, *pods: Object) -> dict[str, PodStatus]:
    monkeypatch.setattr(status, "_readable", lambda *arguments, **options: list(pods))
    return {one.name[-1]: one for one in status._pods(SERVER, "orders", "", [])}


def one(number: int, told_of_it: str | None, label: str = "replica", *, ready: bool = True) -> Object:
    return pod("orders", "db-orders", number, status=told_of_it, label=label) | {"status": runs(ready)}


def test_replicas_are_compared_with_their_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pods_of(
        monkeypatch,
        one(0, told(xlog_location=5000), "master"),
        one(1, told(role="replica", xlog_location=4000, replication_state="streaming")),
        # The leader may have written before.
        one(2, told(role="replica", xlog_location=6000, replication_state="in archive recovery")),
        # What it said is of another time.
        one(3, told(role="replica", xlog_location=1000), ready=False),
        one(4, told(state="starting", role="replica", xlog_location=1000)),
        one(5, None),
        # Whoever may write annotations may write anything.
        one(6, told(role="replica", xlog_location="9", replication_state="x\x1b[2J")),
    )
    assert {name: (pod.replication, pod.wal_position, pod.behind) for name, pod in found.items()} == {
        "0": ("", 5000, None),
        "1": ("streaming", 4000, 1000),
        "2": ("in archive recovery", 6000, 0),
        **dict.fromkeys("3456", ("", 0, None)),
    }


def test_a_standby_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    leader = one(
        0,
        told(role="standby_leader", timeline=3, xlog_location=7000, replication_state="in archive recovery"),
        "master",
    )
    found = pods_of(monkeypatch, leader, one(1, told(role="replica", xlog_location=6000)))
    # Its leader archives elsewhere, of which nothing is known here.
    assert (found["0"].replication, found["0"].timeline, found["0"].behind) == ("in archive recovery", 3, None)
    assert found["1"].behind == 1000


def test_nothing_is_compared_with_a_leader_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = one(1, told(role="replica", xlog_location=4000))
    for leader in (one(0, told(state="stopped", xlog_location=5000), "master"), one(0, told(xlog_location=5000), "")):
        found = pods_of(monkeypatch, leader, follower)
        assert (found["1"].wal_position, found["1"].behind) == (4000, None)
