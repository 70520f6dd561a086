"""Faults of the control plane itself, and faults that do not pass: an end in bounded time, and nothing half done."""

from __future__ import annotations

import threading
import time

import pytest

from planton.cluster.api.server import joined
from planton.errors import ClusterError
from tests.cluster.conftest import words
from tests.cluster.objects import Object, config_map, namespace, secret
from tests.faults import disturbances as bad
from tests.faults.disturbances import says
from tests.faults.invariants import difference
from tests.faults.network import Network, fresh, in_the_middle
from tests.faults.observed import Observed
from tests.faults.proxy import Fault, Seen, status

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("network")]

MARKS = ("sentinel", "SENTINEL", "c2VudGluZWw")


def many(space: str, number: int = 60) -> list[Object]:
    return [namespace(space), secret(space), *(config_map(space, f"many-{one:03d}") for one in range(number))]


def undisturbed(network: Network) -> dict[str, str]:
    space = fresh("even")
    network.direct.apply(many(space))
    return network.picture(space)


def test_etcd_is_killed_in_the_middle_of_an_apply(calm: Network, observed: Observed) -> None:
    expected, space = undisturbed(calm), fresh("even")
    plan = calm.direct.plan(many(space))
    restart = threading.Thread(target=calm.sandbox.restart_etcd)
    started = time.monotonic()
    changes = calm.direct.carry_out(plan, progress=in_the_middle(20, restart.start))
    restart.join()
    assert set(words(changes).values()) == {"created"}
    assert not difference(expected, calm.picture(space))
    assert not calm.direct.plan(many(space)).changed
    observed(
        "etcd restarted",
        f"killed in the middle of an apply of {len(plan.changes)} objects: the apply went on and ended well after "
        f"{time.monotonic() - started:.1f} s, with the same objects as undisturbed",
    )


def test_etcd_stands_still_in_the_middle_of_an_apply(calm: Network, observed: Observed) -> None:
    """Its requests hang in the API server; those that planton gives up arrive all the same, when etcd goes on."""
    expected, space = undisturbed(calm), fresh("even")
    harness = calm.harness(sleep=None, silence=1.0)
    plan = harness.plan(many(space))

    def stand_still() -> None:
        calm.sandbox.pause_etcd()
        threading.Timer(2.5, calm.sandbox.resume_etcd).start()

    try:
        changes = harness.carry_out(plan, progress=in_the_middle(20, stand_still))
    finally:
        calm.sandbox.resume_etcd()
    assert set(words(changes).values()) == {"created"}
    assert not difference(expected, calm.picture(space))
    again = len(calm.proxy.seen) - len({(one.method, one.path) for one in calm.proxy.seen})
    assert again > 0
    assert not calm.direct.plan(many(space)).changed
    observed(
        "etcd restarted",
        "stood still for 2.5 s in the middle of an apply: requests without an answer after 1 s were sent again, with "
        "the same objects as undisturbed",
    )


def test_the_api_server_is_restarted_behind_a_proxy(calm: Network, observed: Observed) -> None:
    expected, space = undisturbed(calm), fresh("even")
    harness = calm.harness(sleep=None)
    plan = harness.plan(many(space))
    restart = threading.Thread(target=calm.sandbox.restart_api_server)
    changes = harness.carry_out(plan, progress=in_the_middle(20, restart.start))
    restart.join()
    assert set(words(changes).values()) == {"created"}
    assert not difference(expected, calm.picture(space))
    assert not calm.direct.plan(many(space)).changed
    observed(
        "API server restarted in the middle",
        f"killed and started again in the middle of an apply of {len(plan.changes)} objects: the apply waited for it "
        "and ended well, with the same objects as undisturbed",
    )


ENDLESS: dict[str, tuple[str, Fault, str]] = {
    "503": ("429 and 5xx with Retry-After", says(503, status(503, "ServiceUnavailable", "no"), Retry_After="1"), "no"),
    "429 for a day": ("429 and 5xx with Retry-After", says(429, b"", Retry_After="100000"), "asks to wait 100000 s"),
    "resets": ("connection resets", bad.reset_after_forwarding, "no answer: "),
    "hangs": ("a hanging connection, slow answers", bad.hang(), "no answer: "),
    "a login page": ("connection resets", says(200, b"<html>log in</html>"), "not what an API server says"),
    "no object": ("connection resets", says(200, b'["sentinel"]'), "not what an API server says"),
    "a redirect": ("connection resets", says(302, b"", Location="http://127.0.0.1:9/sentinel"), "HTTP status 302"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_fault_that_does_not_pass_ends_in_bounded_time(calm: Network, observed: Observed, name: str) -> None:
    """It is said once and not for each object, what was done is known, and the same command goes on from there."""
    row, fault, said = ENDLESS[name]
    expected, space = undisturbed(calm), fresh("even")
    plan = calm.harness().plan(many(space))
    # There must be time for the answers before it, on a machine that does other things: it is long and not short.
    limit, silence = 4.0, 1.0 if name == "hangs" else 10.0

    def from_the_thirtieth_write_on(seen: Seen) -> Fault | None:
        return fault if sum(one.is_write for one in calm.proxy.seen) > 30 else None

    calm.proxy.rule = from_the_thirtieth_write_on
    # Real pauses, a shorter minute.
    harness = calm.harness(known=True, sleep=None, seconds=limit, silence=silence)
    told: list[str] = []
    started = time.monotonic()
    with harness.connection.patience.bounded(300.0, told.append), pytest.raises(ClusterError) as caught:
        harness.carry_out(plan)
    seconds = time.monotonic() - started
    calm.proxy.rule = lambda seen: None
    error = caught.value
    text = f"{error} {error.args!r} {error.__cause__!r} {error.__context__!r} {told}"
    assert said in text, text
    assert not [mark for mark in MARKS if mark in text]
    # A minute is what it would take without that limit.
    assert seconds < 30.0
    # One object, a line for all others, a remedy, and a word on what is not known.
    assert str(error).count("\n") <= 3, str(error)
    assert len(error.changes) < len(plan.changes)
    for change in error.changes:
        assert calm.api.request("GET", f"/api/v1/{path_of(change.kind, change.namespace, change.name)}"), change
    assert set(words(calm.direct.apply(many(space))).values()) <= {"created", "unchanged"}
    assert not difference(expected, calm.picture(space))
    observed(
        row,
        f"{name} without an end: given up after {seconds:.1f} s where {limit:.0f} s were allowed, with "
        f"{len(error.changes)} of {len(plan.changes)} objects told as done; the next run did the rest",
    )


def path_of(kind: str, space: str, name: str) -> str:
    kinds = {"Namespace": "namespaces", "Secret": "secrets", "ConfigMap": "configmaps"}
    return f"namespaces/{space}/{kinds[kind]}/{name}" if space else f"namespaces/{name}"


def test_thousands_of_objects_for_a_server_that_is_gone(calm: Network, observed: Observed) -> None:
    """A hanging one is the worst: each attempt takes its time."""
    harness = calm.harness(known=True, sleep=None, seconds=4.0, silence=1.0)
    space = fresh("even")
    plan = calm.harness().plan([namespace(space), *(config_map(space, f"many-{number}") for number in range(3000))])
    before = len(calm.proxy.seen)
    calm.proxy.rule = lambda seen: bad.hang() if "configmaps/many-" in seen.path else None
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        harness.carry_out(plan)
    seconds = time.monotonic() - started
    sent = len(calm.proxy.seen) - before
    assert seconds < 30.0
    assert sent < 100
    assert "more ended by the same, or were not tried any more" in str(caught.value)
    assert str(caught.value).count("\n") <= 3
    observed(
        "a hanging connection, slow answers",
        f"3000 objects for a server that hangs: given up after {seconds:.1f} s where 4 s were allowed and with {sent} "
        "requests, by one error",
    )


def test_failures_are_told_once_with_one_remedy() -> None:
    errors: list[Exception] = [
        ClusterError("gone", subject="a", phase="apply", reason="NoConnection", remedy="Wait."),
        ClusterError("gone", subject="b", phase="apply", reason="NoConnection", remedy="Wait.\nPerhaps done."),
        ClusterError("bad", subject="c", phase="apply", reason="Invalid", remedy="Mend it."),
    ]
    assert str(joined(errors)) == (
        "a: apply (NoConnection): gone\nb: apply (NoConnection): gone\nc: apply (Invalid): bad\nMend it.\n"
        "Wait.\nPerhaps done."
    )
