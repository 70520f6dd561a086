"""Several of planton at once: the same set, different sets, keys that rotate, an operator that is upgraded meanwhile.

In each case both succeed, or one wins and the other says so; a further run converges; and at no revision in between is
there anything that must never be (invariants.py).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.thirty import KEYS, R2, operator
from tests.e2e.watching import OPERATOR, place_of
from tests.faults.invariants import SHARED
from tests.faults.killing import Ended, seeded, told
from tests.faults.observed import Observed, times
from tests.faults.village import Village, order, says_why

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("together")]

Chance = tuple[int, random.Random]
INGRESS = "  ingress: {enabled: true, dns_domain: example.org}"


@pytest.fixture
def here(inhabited: Village) -> Iterator[Village]:
    """The village, where every state is checked once the test is over."""
    yield inhabited
    inhabited.check()
    inhabited.recording.rules.limits.clear()


@pytest.fixture
def chance() -> Iterator[random.Random]:
    seed, source = seeded()
    with told(f"PLANTON_FAULT_SEED={seed} draws the same moments"):
        yield source


def count(ends: Counter[str], *ended: Ended) -> None:
    """Counts how runs ended; one that did not do its work says why."""
    for one in ended:
        if one.code:
            says_why(one)
    failed = sum(one.code != 0 for one in ended)
    ends[f"{failed} of {len(ended)} said why not" if failed else "all succeeded"] += 1


def summary(ends: Counter[str]) -> str:
    return "; ".join(f"{number} times {what}" for what, number in sorted(ends.items()))


def test_two_applies_of_the_same_set(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    for _ in range(rounds):
        names = [here.new_name(), here.new_name()]
        generation = here.generation()
        here.new_keys()
        path = here.file(operator(R2, KEYS), *(here.text(name) for name in names))
        both = order("apply", path, "--set", "all")
        count(ends, *here.runner.together(both, both, delays=(0.0, chance.uniform(0.0, 1.5))))
        here.converges(path, "--set", "all")
        # Two rotate to the same keys: that is one rotation.
        assert here.generation() == generation + 1
        for name in names:
            found = here.get(here.postgresql(name))
            assert found is not None
            assert found["metadata"]["generation"] == 1
    observed(
        "two applies of the same set at once",
        f"{rounds} pairs with new keys and two new databases: {summary(ends)}; the generation of the keys went up by "
        "one each time, no database was written twice, the next run had nothing to do",
    )


def test_two_sets_that_share_a_namespace_and_the_operators_keys(
    here: Village, chance: random.Random, observed: Observed
) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    for _ in range(rounds):
        shared, one, other = here.new_name(), here.new_name(), here.new_name()
        first = here.file(here.text(shared), here.text(one, space=shared))
        second = here.file(here.text(other, space=shared), here.text(here.new_name()))
        runs = order("apply", first, "--set", "one"), order("apply", second, "--set", "two")
        count(ends, *here.runner.together(*runs, delays=(0.0, chance.uniform(0.0, 1.0))))
        here.converges(first, "--set", "one")
        here.converges(second, "--set", "two")
        here.is_idle(first, "--set", "one")
    observed(
        "two sets at once that share a namespace and its copy of the operator's keys",
        f"{rounds} pairs: {summary(ends)}; both sets had nothing to do in the end, and neither took from the other",
    )


def test_two_sets_with_a_database_of_one_name(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(2)
    for _ in range(rounds):
        name = here.new_name()
        sets = {
            "one": here.file(here.text(name, 'backup_schedule: "1 1 * * *"')),
            "two": here.file(here.text(name, 'backup_schedule: "2 2 * * *"')),
        }
        runs = [order("apply", path, "--set", set_id) for set_id, path in sets.items()]
        ended = here.runner.together(*runs, delays=(0.0, chance.uniform(0.0, 0.3)))
        assert any(one.code for one in ended), "two sets made the same database, and neither was told"
        count(ends, *ended)
        # It is whole the one's or whole the other's, and that one is left alone from then on.
        found = here.get(here.postgresql(name))
        assert found is not None
        owner = found["metadata"]["labels"]["planton.ai/set"]
        (schedule,) = [one["value"] for one in found["spec"]["env"] if one["name"] == "BACKUP_SCHEDULE"]
        assert schedule == {"one": "1 1 * * *", "two": "2 2 * * *"}[owner]
        here.converges(sets[owner], "--set", owner)
        loser = {"one": "two", "two": "one"}[owner]
        refused = here.run("apply", sets[loser], "--set", loser)
        says_why(refused, f"set {owner}", name)
        assert refused.writes == []
        here.is_idle(sets[owner], "--set", owner)
    observed(
        "two sets at once with a database of the same name",
        f"{rounds} pairs: {summary(ends)}; the database was wholly that of one set, and the other set was refused from "
        "then on, with the name of the set that has it",
    )


def test_two_sets_with_one_archive(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    # Kubernetes has no condition across objects (docs/architecture.md): it is found right after the write.
    here.recording.rules.limits.add(SHARED)
    for number in range(rounds):
        names = [here.new_name(), here.new_name()]
        backup = f"s3_prefix: common-{number}-{names[0]}/$(PGVERSION)"
        paths = [here.file(here.text(name, backup)) for name in names]
        runs = [order("apply", path) for path in paths]
        ended = here.runner.together(*runs, delays=(0.0, chance.uniform(0.0, 0.3)))
        assert any(one.code for one in ended), "two databases have one archive, and nobody was told"
        for one in ended:
            if one.code:
                says_why(one, "archive")
        count(ends, *ended)
        # Whoever is there stays an error until one of them goes.
        there = [name for name in names if here.get(here.postgresql(name)) is not None]
        if len(there) == 2:
            both = here.file(*(here.text(name, backup) for name in names))
            says_why(here.run("apply", both), "archive")
            here.world.may_go.add((names[1], f"db-{names[1]}"))
            gone = here.run("delete", paths[1], "--yes-delete", names[1])
            assert gone.code == 0, gone.err
            there = names[:1]
        here.converges(paths[names.index(there[0])])
    observed(
        "two sets at once that give two databases one archive",
        f"{rounds} pairs: {summary(ends)}; each time at least one run named the archive and both databases",
    )


def test_one_prunes_what_the_other_makes(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    for _ in range(rounds):
        stays, comes = here.new_name(), here.new_name()
        before = here.file(here.text(stays, more=INGRESS))
        set_id = f"set-{stays}"
        assert here.run("apply", before, "--set", set_id).code == 0
        more = here.file(here.text(stays, more=INGRESS), here.text(comes, more=INGRESS))
        less = here.file(here.text(stays))
        runs = order("apply", more, "--set", set_id), order("apply", less, "--set", set_id)
        count(ends, *here.runner.together(*runs, delays=(0.0, chance.uniform(0.0, 0.5))))
        # Whatever came of it: the next one who says what there shall be has it. A database is never pruned.
        here.converges(less, "--set", set_id)
        services = here.api.request("GET", f"/api/v1/namespaces/{stays}/services")["items"]
        assert not any(place_of(one)[1] == f"db-{stays}-external" for one in services)
        here.converges(more, "--set", set_id)
        assert here.get(here.postgresql(comes)) is not None
    observed(
        "one apply prunes what another one makes at the same time",
        f"{rounds} pairs: {summary(ends)}; a further run of either came to what it says, and no database was pruned",
    )


def test_new_databases_while_keys_rotate(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    for _ in range(rounds):
        names = [here.new_name() for _ in range(3)]
        generation = here.generation()
        here.new_keys()
        keys, path = here.file(operator(R2, KEYS)), here.file(*(here.text(name) for name in names))
        delays = (0.0, chance.uniform(0.0, 1.5), chance.uniform(0.0, 1.5))
        runs = order("apply", keys), order("apply", path), ["sync-credentials"]
        count(ends, *here.runner.together(*runs, delays=delays))
        here.converges(keys)
        here.converges(path)
        assert here.generation() == generation + 1
        sources = here.get(here.secret(OPERATOR))
        assert sources is not None
        for name in names:
            copy = here.get(here.secret(name))
            assert copy is not None
            assert copy["data"] == sources["data"]
    observed(
        "an apply of new databases while another one rotates the keys and sync-credentials runs",
        f"{rounds} times three at once: {summary(ends)}; the generation went up by one, every namespace had the new "
        "keys, and at no revision were pods told of keys that were not there",
    )


def test_databases_while_the_operator_is_upgraded(here: Village, chance: random.Random, observed: Observed) -> None:
    ends: Counter[str] = Counter()
    rounds = times(1)
    lates: Counter[str] = Counter()
    settings = operator(R2, KEYS)
    for number in range(rounds):
        names = [here.new_name(), here.new_name()]
        path = here.file(*(here.text(name) for name in names))
        other = here.file(re.sub(r'workers: "\d+"', f'workers: "{8 + number % 4}"', settings))
        runs = order("apply", other), order("apply", path)
        count(ends, *here.runner.together(*runs, delays=(0.0, chance.uniform(0.0, 2.0))))
        here.converges(other)
        here.converges(path)
        here.until_made(*names)
        # An image that does not start: said in time, databases go on to be made, and going back is an apply.
        new = here.file(settings.replace("spec:\n", 'spec:\n  operator_version: "2.0.1"\n', 1))
        late = here.new_name()
        late_path = here.file(here.text(late))
        upgraded, applied = here.runner.together(
            [*order("apply", new), "--timeout", "6s"], order("apply", late_path), delays=(0.0, 1.5)
        )
        says_why(upgraded, f"Deployment/{OPERATOR}/{OPERATOR}")
        count(lates, applied)
        assert here.run("apply", late_path).code == 0
        here.converges(here.file(settings))
        here.converges(late_path)
        here.until_made(late)
    observed(
        "the operator is upgraded while databases are applied",
        f"{rounds} times other settings: {summary(ends)}; {rounds} times a version that did not start: its apply said "
        f"so in time, of the databases' {summary(lates)}; the next run wrote them, the former manifest brought it back",
    )
