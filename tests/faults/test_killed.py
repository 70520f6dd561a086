"""`kill -9` at any moment of an apply, a rotation and a delete: the next run comes to what an undisturbed one makes.

A life is the whole way from an operator with three databases to nothing, with the real operator: created, changed and
pruned, its keys rotated by an apply and by `sync-credentials`, its archives encrypted, one database deleted, the others
with all their words, and at last the operator. The first life is undisturbed. In the others each step is killed several
times in a row at random moments, at any time or at any write, and then run to its end: what there is then must be what
the first life had, object by object, and running it again writes nothing. Every state that there was in between is held
against invariants.py.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

import planton
from planton.cluster import Change, DeleteOptions, PlanOptions
from sandbox import Sandbox
from sandbox._api import Api
from tests.api import Api as Everything
from tests.e2e.thirty import OWN_KEYS, database, operator
from tests.e2e.watching import (
    BETWEEN,
    MARK,
    OPERATOR,
    OWN_SECRET,
    STORAGE,
    Recording,
    digest_of,
    place_of,
    storage_references,
)
from tests.faults.invariants import World, difference, key_places, picture, record
from tests.faults.killing import Ended, Gate, Moment, Runner, moments, seeded, told
from tests.faults.observed import Observed, tries

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("killed")]

MARKS = (MARK, base64.b64encode(MARK.encode()).decode())
SODIUM = "5e" * 32
# Nothing is there before a run has read its imports: killing it then says nothing.
START = 0.3
ENDPOINT = "https://account.r2.cloudflarestorage.com"
R2 = "storage: {bucket_name: %s, cloudflare_r2: {cloudflare_account_id: account}}"
VAULT_KEYS = """
credentials:
  access_key_id: {secret: {namespace: vault, name: bucket, key: id}}
  secret_access_key: {secret: {namespace: vault, name: bucket, key: key}}
"""
ENCRYPTED = "encryption: {libsodium: {transform: hex, key: {environment_variable: TEST_SODIUM}}}"
KILLS_OF_A_LIFE = 4
"""How often each step of one life is killed."""
KILLS_OF_THE_SUITE = 2
"""How often each phase is killed at least."""
PHASES = ("apply", "rotation", "delete")


@dataclass
class Step:
    """One step of a life.

    Attributes:
        name: What it is called.
        phase: Of which part of the page: apply, rotation or delete.
        before: Prepares it, once.
        until_told: Whether to wait until the operator has taken it over into all pods, and to compare that, too.
        is_twofold: Whether the set is pruned by a second run only: Secrets of before stay while pods refer to them.
        arguments: Of the command.
        left: Says what doing it once more would still change.
    """

    name: str
    phase: str
    arguments: list[str]
    left: Callable[[], list[str]]
    before: Callable[[], None] = lambda: None
    until_told: bool = False
    is_twofold: bool = False


@dataclass
class Seen:
    """What the first life was like, step by step, and what all of them have seen."""

    runs: dict[str, Ended] = field(default_factory=dict)
    pictures: dict[str, dict[str, str]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    """Moments at which the run was over already."""


class Town:
    """The cluster, the gate before it, and what happens to it."""

    def __init__(self, sandbox: Sandbox, gate: Gate, folder: Path) -> None:
        self.sandbox = sandbox
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        self.gate = gate
        self.folder = folder
        self.runner = Runner(gate, folder, (*MARKS, SODIUM))
        self.cluster = planton.connect(self.runner.kubeconfig)
        self._numbers = itertools.count(1)
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "vault"}})
        self.environment["TEST_SODIUM"] = SODIUM
        self.recording, self.world = self._begin()
        self.rules = self.recording.rules
        # The operator learns the name of a Secret at its start only: a known limit while keys come or go.
        self.rules.limits.add(BETWEEN)

    @property
    def environment(self) -> dict[str, str]:
        return self.runner.environment

    def _begin(self) -> tuple[Recording, World]:
        """Registers the operator's kinds, so that they can be watched, and takes it away again."""
        file = self.folder / "first.yaml"
        file.write_text(operator())
        for arguments in (["apply", "-f", str(file)], ["delete", "-f", str(file), "--yes-delete-operator"]):
            ended = self.runner.run(*arguments)
            assert ended.code == 0, ended.err
        return record(self.api)

    def new_keys(self) -> dict[str, str]:
        number = next(self._numbers)
        return {
            "AWS_ACCESS_KEY_ID": f"{MARK}id-{number:04}",
            "AWS_SECRET_ACCESS_KEY": f"{MARK}secret/key+{number:04}",
        }

    def set_own(self, keys: dict[str, str]) -> None:
        self.environment["TEST_OWN_ID"], self.environment["TEST_OWN_SECRET"] = keys.values()

    def set_vault(self, keys: dict[str, str]) -> None:
        """Writes keys where somebody else keeps them."""
        values = dict(zip(("id", "key"), keys.values(), strict=True))
        data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "data": data}
        path = "/api/v1/namespaces/vault/secrets/bucket?fieldManager=vault&force=true"
        self.api.request("PATCH", path, body, content_type="application/apply-patch+yaml")

    def collect(self) -> None:
        """Does what controllers do of which a sandbox has none: lets volumes and Namespaces go that are deleted."""
        for one in self.api.request("GET", "/api/v1/persistentvolumeclaims")["items"]:
            if "deletionTimestamp" in one["metadata"]:
                space, name = place_of(one)
                path = f"/api/v1/namespaces/{space}/persistentvolumeclaims/{name}"
                body = {"metadata": {"finalizers": None}}
                self.api.request("PATCH", path, body, content_type="application/merge-patch+json")
        for one in self.api.request("GET", "/api/v1/namespaces")["items"]:
            if "deletionTimestamp" in one["metadata"]:
                path = f"/api/v1/namespaces/{place_of(one)[1]}/finalize"
                self.api.request("PUT", path, {**one, "spec": {"finalizers": []}})

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Checks that nothing is written in it."""
        self.gate.begin(Moment("never"), lambda: None)
        with patch.dict(os.environ, self.environment):
            yield
        assert not self.gate.settle(), "it wrote although nothing has changed"


class Life:
    """From nothing to nothing; all its names have one token in them."""

    def __init__(self, town: Town, number: int) -> None:
        self.town = town
        self.token = f"w{number:03}w"
        self.spaces = (f"{self.token}-a", f"{self.token}-b")
        self.names = [f"{self.token}-{name}" for name in ("orders", "bills", "own")]
        orders, bills, own = self.names
        self.homes = {orders: self.spaces[0], bills: self.spaces[1], own: self.spaces[1]}
        self.places = {name: (space, f"db-{name}") for name, space in self.homes.items()}
        self.file = town.folder / f"{self.token}.yaml"
        self.restore = town.folder / f"{self.token}-restore.yaml"
        self.keys, self.own_keys = town.new_keys(), town.new_keys()

    def text(self, *, ingress: bool = True, schedule: str = "", encrypted: bool = False) -> str:
        orders, bills, own = self.names
        own_store = R2 % f"{self.token}-bucket" + "\nenable_backup: true\n" + OWN_KEYS
        parts = [R2 % "backups", VAULT_KEYS] + ([ENCRYPTED] if encrypted else [])
        first = database((self.homes[orders], orders), f'backup_schedule: "{schedule}"' if schedule else "")
        if ingress:
            first = first.replace("spec:\n", "spec:\n  ingress: {enabled: true, dns_domain: example.org}\n")
        others = database((self.homes[bills], bills)) + database((self.homes[own], own), own_store)
        return operator(*parts) + first + others

    def steps(self) -> list[Step]:
        """The steps, in their order."""
        apply = ["apply", "-f", str(self.file), "--set", "all"]
        delete = ["delete", "-f", str(self.file), "--set", "all"]
        orders, bills, own = self.names
        words = ["--volumes", "--passwords", "--storage-secret", "--without-backup", "--namespace"]
        file = ["--write-restore", str(self.restore)]
        one = DeleteOptions((orders,), set_id="all")
        two = DeleteOptions((bills, own), set_id="all", volumes=True, passwords=True, without_backup=True)
        last = DeleteOptions(set_id="all", operator=True, storage_secret=True)
        away = ["--yes-delete-operator", "--storage-secret"]
        encrypts = [*apply, "--allow-encryption-change"]
        first = [*delete, "--yes-delete", orders, *file]
        others = [*delete, "--yes-delete", bills, "--yes-delete", f"{self.homes[own]}/{own}", *words]
        return [
            Step("create", "apply", apply, self.to_apply, self.create, until_told=True),
            Step("change and prune", "apply", apply, self.to_apply, self.change),
            Step("rotate", "rotation", apply, self.to_apply, self.rotate),
            Step("synchronise", "rotation", ["sync-credentials"], self.to_synchronise, self.follow),
            Step("encrypt", "rotation", encrypts, self.to_apply, self.encrypt, until_told=True, is_twofold=True),
            Step("delete one", "delete", first, self.to_delete(one), self.delete_one),
            Step("delete two", "delete", others, self.to_delete(two), self.delete_two),
            Step("delete the operator", "delete", [*delete, *away], self.to_delete(last)),
        ]

    # What prepares the steps, and what they may come to: said by hand.

    def expect(self, generation: int, *, own: int, encrypted: bool = False) -> None:
        """Says what the operator's Secret and that of the database with its own keys hold, in these generations."""
        contents = self.town.rules.contents
        more = {"WALG_LIBSODIUM_KEY": SODIUM, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"} if encrypted else {}
        name = f"{STORAGE}-libsodium" if encrypted else STORAGE
        contents[name, generation].add(digest_of({**self.keys, **more}))
        contents[f"db-{self.names[2]}{OWN_SECRET}", own].add(digest_of(self.own_keys))

    def create(self) -> None:
        self.town.rules.contents.clear()
        prefix = "backups/$(SCOPE)/$(PGVERSION)"
        for name, place in self.places.items():
            bucket = "backups" if name != self.names[2] else f"{self.token}-bucket"
            self.town.world.places[place] = {(ENDPOINT, f"s3://{bucket}/{prefix}")}
        self.expect(0, own=0)
        self.town.set_vault(self.keys)
        self.town.set_own(self.own_keys)
        self.file.write_text(self.text())

    def change(self) -> None:
        for name, (space, cluster) in self.places.items():
            labels = {"application": "spilo", "cluster-name": cluster}
            claim = {
                "metadata": {"name": f"pgdata-{cluster}-0", "labels": labels},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
            self.town.api.request("POST", f"/api/v1/namespaces/{space}/persistentvolumeclaims", claim)
            assert name
        self.file.write_text(self.text(ingress=False, schedule="5 5 * * *"))

    def rotate(self) -> None:
        self.keys, self.own_keys = self.town.new_keys(), self.town.new_keys()
        self.expect(1, own=1)
        self.town.set_vault(self.keys)
        self.town.set_own(self.own_keys)

    def follow(self) -> None:
        self.keys = self.town.new_keys()
        self.expect(2, own=1)
        self.town.set_vault(self.keys)

    def encrypt(self) -> None:
        self.expect(3, own=1, encrypted=True)
        self.file.write_text(self.text(ingress=False, schedule="5 5 * * *", encrypted=True))

    def delete_one(self) -> None:
        self.town.world.may_go.add(self.places[self.names[0]])

    def delete_two(self) -> None:
        gone = {self.places[name] for name in self.names[1:]}
        self.town.world.may_go |= {*gone, self.spaces[1]}
        self.town.world.data_may_go |= gone

    # Whether a step is done.

    def to_apply(self) -> list[str]:
        plan = self.town.cluster.plan(planton.load(self.file), options=PlanOptions(set_id="all"))
        return _left(plan.changes)

    def to_synchronise(self) -> list[str]:
        return _left(self.town.cluster.synchronise_credentials().changes)

    def to_delete(self, options: DeleteOptions) -> Callable[[], list[str]]:
        def look() -> list[str]:
            return _left(self.town.cluster.plan_delete(planton.load(self.file), options=options).changes)

        return look

    def picture(self, step: Step) -> dict[str, str]:
        """Everything of this life, and the operator's; what pods are told only where the step waits for it."""
        mine = {"", OPERATOR, *self.spaces}
        drawn = picture(self.town.api, self.token, spaces=mine.__contains__)
        is_told = step.until_told or step.phase == "delete"
        drawn = {name: text for name, text in drawn.items() if is_told or not name.startswith("StatefulSet/")}
        # Keys are others in each life.
        for whose, keys in (("operator", self.keys), ("own", self.own_keys)):
            for key, value in keys.items():
                encoded = base64.b64encode(value.encode()).decode()
                drawn = {name: text.replace(encoded, f"{whose} {key}") for name, text in drawn.items()}
        if self.restore.exists():
            drawn["file"] = json.dumps(self.restore.read_text().replace(self.token, "X"))
        return drawn

    def cut(self, chance: random.Random) -> None:
        """Leaves the file as a run leaves it that is killed while it writes it: too rare to be met by chance."""
        if self.restore.exists():
            text = self.restore.read_bytes()
            self.restore.write_bytes(text[: chance.randrange(len(text))])

    def differs(self, step: Step, expected: Mapping[str, str]) -> list[str]:
        """What is not as it was in the first life."""
        return difference(expected, self.picture(step))

    def untold(self) -> list[str]:
        """Databases whose pods have not been told yet what is there now."""
        self.town.recording.check()
        world = self.town.world
        late = []
        for space, name in world.kinds["postgresql"]:
            found = world.kinds["StatefulSet"].get((space, name))
            own = f"{name}{OWN_SECRET}"
            wanted = (own, world.generation((space, own))), (world.announced, world.generation_told)
            if found is None or not storage_references(found) & set(wanted):
                late.append(f"{space}/{name}")
        return late

    def close(self) -> None:
        """Takes away what is never deleted but by hand: a key with which backups were encrypted."""
        self.town.recording.check()
        self.town.world.may_go |= {OPERATOR}
        secrets = f"/api/v1/namespaces/{OPERATOR}/secrets"
        for one in self.town.api.request("GET", secrets)["items"]:
            self.town.api.request("DELETE", f"{secrets}/{one['metadata']['name']}")
        self.town.recording.check()


def _left(changes: Iterable[Change]) -> list[str]:
    done = ("unchanged", "skipped")
    return [
        f"{one.action} {one.subject} {[field.path for field in one.diff]}" for one in changes if one.action not in done
    ]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Sandbox.start() as sandbox, Gate(sandbox) as gate:
        made = Town(sandbox, gate, tmp_path)
        try:
            yield made
        finally:
            made.recording.close()
    made.recording.join()


def until(probe: Callable[[], Collection[object]], what: str) -> None:
    """Waits until nothing is left of what is waited for."""
    end = time.monotonic() + 90
    while left := probe():
        assert time.monotonic() < end, f"{what}: " + "\n".join(map(str, left))
        time.sleep(0.2)


def finish(life: Life, step: Step) -> None:
    """Waits for the operator, does the second half of a step that has one, and what controllers do elsewhere."""
    town = life.town
    if step.until_told:
        until(life.untold, "the operator does not come to it")
    if step.is_twofold:
        ended = town.runner.run(*step.arguments)
        assert ended.code == 0, ended.err
    town.collect()


def lived(life: Life, seen: Seen, chance: random.Random, kills: int) -> None:
    """Goes through a life; the first one is what the others are held against."""
    town = life.town
    is_first = not seen.pictures
    for step in life.steps():
        step.before()
        if is_first:
            seen.runs[step.name] = town.runner.run(*step.arguments)
            assert seen.runs[step.name].code == 0, seen.runs[step.name].err
            finish(life, step)
            seen.pictures[step.name] = life.picture(step)
        else:
            drawn = list(moments(chance, kills, seen.runs[step.name], start=START))
            with told(f"{step.name}, killed {', '.join(map(str, drawn))}"):
                for moment in drawn:
                    ended = town.runner.run(*step.arguments, moment=moment)
                    assert ended.killed or ended.code == 0, ended.err
                    (seen.kills if ended.killed else seen.late)[step.phase] += 1
                    town.recording.check()
                if "--write-restore" in step.arguments:
                    life.cut(chance)
                ended = town.runner.run(*step.arguments)
                assert ended.code == 0, ended.out + ended.err
                finish(life, step)
                expected = seen.pictures[step.name]
                until(partial(life.differs, step, expected), "other objects than those of an undisturbed life")
        assert not list(town.runner.tmp.iterdir())
        with town.quiet():
            assert not (left := step.left()), f"{step.name}: the run after that would change {left}"
        town.recording.check(finished=step.phase != "delete")
    life.close()


def test_killed_at_random_moments(town: Town, observed: Observed) -> None:
    seed, chance = seeded()
    seen = Seen()
    wanted = tries(KILLS_OF_THE_SUITE)
    lives, most = 0, 1 + 2 * -(-wanted // KILLS_OF_A_LIFE)
    with told(f"PLANTON_FAULT_SEED={seed} draws the same moments"):
        lived(Life(town, 0), seen, chance, 0)
        # A moment may come when the run is over already, after which the step has nothing more to be killed at.
        while min(seen.kills[phase] for phase in PHASES) < wanted:
            assert lives < most, f"of {seen.late} moments nothing was left to be killed"
            lives += 1
            lived(Life(town, lives), seen, chance, KILLS_OF_A_LIFE)
        log = town.sandbox.operator_log() + town.sandbox.audit_log.read_text() + town.sandbox.api_server_log()
        assert not town.runner.readable(log), "a key stands in a log"
        assert key_places(Everything(town.sandbox.kubeconfig), town.runner.marks) == []
    for phase in PHASES:
        observed(
            f"kill -9 at random moments: {phase}",
            f"{seen.kills[phase]} kills ({seen.late[phase]} more moments came when the run was over); each time the "
            f"next run came to the same objects as an undisturbed one, and the one after that wrote nothing; "
            f"{town.recording.revisions} revisions checked in all",
        )
