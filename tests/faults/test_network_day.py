"""All that planton does in a cluster, over a network that disturbs each request once; with the real operator."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

import planton
from planton.cluster import Change, DeleteOptions, PlanOptions, ProgressEvent
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.resources import POSTGRESQL
from planton.cluster.api.server import Server
from planton.cluster.cluster import Cluster
from planton.errors import ClusterError, PlantonError, WaitError
from tests.cluster.conftest import store as store
from tests.cluster.conftest import words
from tests.cluster.sync import OPERATOR, leaks
from tests.faults import disturbances as bad
from tests.faults.disturbances import First, says
from tests.faults.invariants import difference
from tests.faults.network import Network, fresh
from tests.faults.observed import Observed, times
from tests.faults.proxy import TOKEN, Fault, Seen, status
from tests.faults.test_network import BUSY, FAULTS, REFUSED, SLOW
from tests.manifests import database

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("store"), pytest.mark.xdist_group("network")]

ROTATION = "resets and refusals during a rotation"


def day(network: Network, cluster: Cluster, token: str, number: int) -> tuple[list[dict[str, str]], str]:
    """Applies two databases, rotates the operator's keys, changes one database and deletes the other."""
    first, second = f"{token}-a", f"{token}-b"
    both = planton.loads(database(first) + database(second))
    options = PlanOptions(set_id=token)
    said = []
    results = [cluster.apply(both, options=options, timeout=60.0)]
    said.append("".join(str(one) for one in cluster.status(both, archives=False)))
    assert not cluster.plan(both, options=options).changed
    for name in (first, second):
        network.installed.environment(name)
    network.vault.rotate(number)
    results.append(cluster.synchronise_credentials(timeout=60.0))
    changed = planton.loads(database(first).replace("10Gi", "20Gi") + database(second))
    results.append(cluster.apply(changed, options=options, timeout=60.0))
    everything = DeleteOptions(
        databases=(second,), set_id=token, volumes=True, passwords=True, storage_secret=True, namespace=True
    )
    results.append(cluster.delete(planton.loads(database(second)), options=everything, timeout=60.0))
    assert network.vault.copies(number, OPERATOR, first)
    said += [str(one) + repr(one) for one in results]
    return [of_day(words(one.changes), token) for one in results], "".join(said)


def of_day(done: dict[str, str], token: str) -> dict[str, str]:
    """Leaves what belongs to this day; other days have left databases in this sandbox."""
    return {
        subject.replace(token, "X"): word
        for subject, word in done.items()
        if token in subject or (subject.split("/")[1] == OPERATOR and not subject.endswith("planton-archives"))
    }


def test_a_whole_day_ends_as_an_undisturbed_one(calm: Network, observed: Observed) -> None:
    token = fresh("q")
    expected_words, _ = day(calm, calm.installed.cluster, token, 2)
    expected, generation = calm.picture(token), calm.vault.told()
    storm = list(FAULTS.values())
    total = 0
    for number, seed in enumerate(range(11, 11 + times(1)), start=3):
        token = fresh("q")
        calm.proxy.reset()
        faults = [fault for row, fault in storm if row is not SLOW] + [bad.hang(done=True), bad.slow(0.05)]
        random.Random(seed).shuffle(faults)
        calm.proxy.rule = First(faults)
        done, said = day(calm, calm.cluster(silence=3.0), token, number)
        calm.proxy.rule = lambda seen: None
        for mine, theirs in zip(done, expected_words, strict=True):
            assert sorted(mine.items() ^ theirs.items()) == [], seed
        assert not leaks(said)
        assert not difference(unnumbered(expected), unnumbered(calm.picture(token))), seed
        # Once, though each of its writes was sent twice.
        assert calm.vault.told() == calm.vault.generation(OPERATOR) == generation + 1
        generation += 1
        total += calm.proxy.faults
    observed(
        ROTATION,
        f"apply, plan, status, rotation by sync-credentials, change and deletion of databases: {total} requests "
        "disturbed by turns in all ways of this page; same results and objects as undisturbed, the generation of the "
        "keys went up by one each time",
    )


def unnumbered(drawn: dict[str, str]) -> dict[str, str]:
    """Leaves out what counts rotations: keys in Secrets, and their generation."""
    return {name: text for name, text in drawn.items() if not name.startswith(("Secret/", "StatefulSet/", "Pod"))} | {
        name: "" for name in drawn if name.startswith(("Secret/", "StatefulSet/"))
    }


def test_a_watch_that_is_cut_all_the_time_misses_nothing(calm: Network, observed: Observed) -> None:
    name = fresh("q")
    calm.vault.foreign_database(name)
    calm.vault.rotate(7)
    faults: list[Fault] = [
        says(429, BUSY, Retry_After="1"),
        bad.garbage,
        says(410, status(410, "Expired", "too old resource version")),
        says(200, b"<html>log in</html>"),
        says(200, b'{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n'),
    ]
    count = 0

    def watches(seen: Seen) -> Fault | None:
        nonlocal count
        if "watch=1" not in seen.path:
            return None
        count += 1
        return faults[count % len(faults)] if count % 3 else None

    calm.proxy.rule = watches
    changes: list[Change] = []
    errors: list[PlantonError] = []
    cluster = calm.cluster()
    follower = cluster.follow_credentials(OPERATOR, on_change=changes.append, on_error=errors.append)
    thread = threading.Thread(target=follower.run, daemon=True)
    thread.start()
    try:
        calm.installed.until(lambda: calm.vault.copies(7, OPERATOR, name))
        for number in (8, 9):
            calm.proxy.cut()
            calm.vault.rotate(number)
            while not calm.vault.copies(number, OPERATOR, name):
                time.sleep(0.1)
    finally:
        follower.stop()
        calm.proxy.cut()
        thread.join(20)
    assert not thread.is_alive()
    assert not leaks("".join(map(str, [*changes, *errors])))
    observed(ROTATION, f"watches cut, refused and answered by nonsense ({count} of them): both rotations were followed")


def test_a_wait_goes_on_over_an_outage_and_ends_at_its_timeout(calm: Network, observed: Observed) -> None:
    """Its own bound counts, and not the one of a request."""
    name = fresh("q")
    cluster = calm.cluster(sleep=None, seconds=0.5)
    told: list[str] = []
    began = 0.0

    def wait_is_on(event: ProgressEvent) -> None:
        nonlocal began
        told.append(f"{event.phase}: {event.subject}")
        if event.phase == "wait" and not began:
            began = time.monotonic()
            calm.proxy.rule = lambda seen: says(503, b"") if time.monotonic() < began + 2.0 else None

    with pytest.raises(WaitError) as caught:
        # No pod of a sandbox is ever ready.
        cluster.apply(planton.loads(database(name)), timeout=8.0, wait=True, progress=wait_is_on)
    assert any("the API server" in one for one in told)
    assert [one for one in caught.value.pending if "db-" in one], str(caught.value)
    assert "API server" not in str(caught.value)
    assert caught.value.changes
    observed(
        REFUSED,
        "503 for 2 s while databases were waited for, where a request was allowed half a second: the wait went on and "
        "ended at its own timeout, naming the database",
    )


def test_a_command_in_a_pod_is_begun_with_other_credentials(calm: Network, tmp_path: Path, observed: Observed) -> None:
    """The token has expired before it is begun: nothing has run yet, so it is asked for once more."""
    kubeconfig = calm.proxy.kubeconfig(tmp_path / "kubeconfig")
    server = Server(calm.connection(kubeconfig), "exec")
    assert server.list(POSTGRESQL) is not None
    calm.proxy.tokens = {"another"}
    calm.proxy.kubeconfig(kubeconfig, {"token": "another"})
    try:
        with pytest.raises(ClusterError) as caught:
            run_in_pod(server, OPERATOR, "none", ["true"], container="postgres", on_line=lambda line: None)
    finally:
        calm.proxy.tokens = {TOKEN}
    # Accepted by then: what is missing is the pod.
    assert caught.value.status == 404
    assert caught.value.subject == f"Pod/{OPERATOR}/none"
    observed("expired token", "exec into a pod: the credentials were read again before the command was begun")
