"""Faults that pass: whatever the network does to single requests, the end is that of an undisturbed run."""

from __future__ import annotations

import time
from collections import Counter

import pytest

import planton.cluster.api.server as server_module
from planton.cluster.api.resources import CONFIG_MAP
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import Object, config_map, everything, namespace, secret
from tests.faults import disturbances as bad
from tests.faults.disturbances import First, says
from tests.faults.invariants import difference
from tests.faults.network import Network, fresh
from tests.faults.observed import Observed
from tests.faults.proxy import Fault, Seen, status

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("network")]

BUSY = status(429, "TooManyRequests", "too many requests", retryAfterSeconds=1)
DATE = {"Retry_After": "Wed, 21 Oct 2015 07:28:03 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
REFUSED = "429 and 5xx with Retry-After"
CUT = "connection resets"
SLOW = "a hanging connection, slow answers"

# What happens to the first request of every method and path, and the row of the page to which that belongs.
FAULTS: dict[str, tuple[str, Fault]] = {
    "429 with seconds": (REFUSED, says(429, BUSY, Retry_After="1")),
    "429 with a date": (REFUSED, says(429, BUSY, **DATE)),
    "429 with an absurd time": (REFUSED, says(429, b"", Retry_After="100000")),
    "429 with a negative time": (REFUSED, says(429, b"", Retry_After="-1")),
    "429 without a time": (REFUSED, says(429)),
    "500 with seconds": (REFUSED, says(500, status(500, "InternalError", "busy"), Retry_After="1")),
    "500 of etcd": (REFUSED, says(500, status(500, "InternalError", "etcdserver: request timed out"))),
    "502 as a page": (REFUSED, says(502, b"<html>bad gateway</html>")),
    "503": (REFUSED, says(503, status(503, "ServiceUnavailable", "not ready"), Retry_After="1")),
    "503 after it was done": (REFUSED, bad.done_and_says(503, b"<html>no answer from upstream</html>")),
    "504 after it was done": (REFUSED, bad.done_and_says(504, status(504, "Timeout", "request did not complete"))),
    "reset before it is read": (CUT, bad.reset_before_reading),
    "reset before it is forwarded": (CUT, bad.reset_before_forwarding),
    "reset after it was done": (CUT, bad.reset_after_forwarding),
    "cut in the body": (CUT, bad.cut_in_the_body),
    "a body shorter than said": (CUT, bad.too_long),
    "no HTTP": (CUT, bad.garbage),
    "hanging before it is done": (SLOW, bad.hang()),
    "hanging after it was done": (SLOW, bad.hang(done=True)),
    "slow": (SLOW, bad.slow(0.1)),
}


def work(harness: Harness, space: str, other: str = "x") -> None:
    """Applies a set afresh, changes it, prunes, and finds nothing to do; each time with a plan of its own."""
    objects = [*everything(space), *(config_map(space, f"more-{number}") for number in range(3))]
    assert set(words(harness.apply(objects, set_id=space)).values()) == {"created"}
    less = [one for one in objects if one["kind"] != "Service" and one["metadata"]["name"] != "more-2"]
    less = [config_map(space, "settings", a="2", b=other) if is_settings(one) else one for one in less]
    counted = Counter(words(harness.apply(less, set_id=space)).values())
    assert counted == {"configured": 1, "deleted": 2, "unchanged": len(less) - 1}
    assert not harness.plan(less, set_id=space).changed


def is_settings(one: Object) -> bool:
    return bool(one["kind"] == "ConfigMap" and one["metadata"]["name"] == "settings")


def named(space: str, counts: dict[str, int]) -> dict[str, int]:
    return {key.replace(space, "X"): count for key, count in counts.items() if space in key}


def test_each_fault_that_passes_leads_to_the_same_end(calm: Network, observed: Observed) -> None:
    """Each first request, reading and writing, is disturbed; so each is sent twice, and has one effect."""
    calm_space = fresh("even")
    since = calm.version()
    work(calm.direct, calm_space)
    expected = calm.picture(calm_space)
    assert len(expected) == 9, sorted(expected)
    spaces = []
    for row in (REFUSED, CUT, SLOW):
        faults = {name: fault for name, (of, fault) in FAULTS.items() if of is row}
        # In turn, and once more from the other end, so that each meets reading and writing.
        for turn in (list(faults.values()), list(faults.values())[::-1]):
            space = fresh("even")
            spaces.append(space)
            calm.proxy.reset()
            calm.proxy.rule = First(turn)
            work(calm.harness(known=True, silence=0.3 if row is SLOW else 10.0), space)
            assert not difference(expected, calm.picture(space)), row
            disturbed, total = calm.proxy.faults, len(calm.proxy.seen)
            assert disturbed > 2 * len(faults)
        observed(row, f"{disturbed} of {total} requests were sent again, with one effect each: {', '.join(faults)}")
    # No object was changed once more than without a fault, though each write was sent twice.
    history = calm.history(since)
    for space in spaces:
        assert named(space, history) == named(calm_space, history)


def test_lists_of_many_pages_on_a_bad_day(calm: Network, observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_PAGE", 3)
    space = fresh("even")
    calm.direct.apply([namespace(space), *(config_map(space, f"many-{number:02d}") for number in range(20))])
    expected = [f"many-{number:02d}" for number in range(20)]
    gone = says(410, status(410, "Expired", "The provided continue parameter is too old"))
    for fault in (gone, bad.cut_in_the_body, bad.reset_after_forwarding, says(429, BUSY), bad.garbage):
        # In the middle of the pages.
        calm.proxy.reset()
        calm.proxy.rule = First([fault], of=lambda seen: "continue=" in seen.path and seen.number > 3, most=1)
        found = calm.harness().server.list(CONFIG_MAP, space)
        assert [one["metadata"]["name"] for one in found or ()] == expected
        assert calm.proxy.faults == 1
    observed(REFUSED, "410 in the middle of the pages of a list: the list was begun again, whole and without doubles")


def test_an_answer_that_drips_is_bounded_as_a_whole(calm: Network, observed: Observed) -> None:
    """Each byte comes in time, and all of them do not."""
    space = fresh("even")
    calm.direct.apply([namespace(space), config_map(space)])
    calm.proxy.rule = First([bad.drip(0.05)], most=1)
    harness = calm.harness(known=True, silence=0.5, whole=1.0)
    started = time.monotonic()
    assert harness.get(config_map(space))["data"] == {"a": "1"}
    # Half a minute for its several hundred bytes, if nothing ended it.
    assert 1.0 < time.monotonic() - started < 15.0
    observed(SLOW, "an answer that came byte by byte was ended when its time was over, and asked for again")


def test_eight_at_a_time_over_connections_that_end_all_the_time(calm: Network, observed: Observed) -> None:
    """The pool's connections are dead whenever they are taken: as behind a proxy that keeps none."""
    space = fresh("even")
    objects = [namespace(space), secret(space), *(config_map(space, f"many-{number}") for number in range(60))]

    def every_twentieth(seen: Seen) -> Fault | None:
        if seen.number % 20 == 0:
            calm.proxy.cut()
        return None

    harness = calm.harness()
    calm.proxy.rule = every_twentieth
    changes = harness.apply(objects)
    assert set(words(changes).values()) == {"created"}
    calm.proxy.reset()
    assert not harness.plan(objects).changed
    observed(
        CUT, f"all connections ended at every twentieth request of an apply of {len(objects)} objects: none was lost"
    )
