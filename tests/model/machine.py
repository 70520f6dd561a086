"""Random histories of a cluster: each step is done for real and by the model, and both have to agree."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import planton
from planton.cluster import DeleteOptions, Plan, PlanOptions
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.cluster import Cluster
from planton.errors import ClusterError, ConflictError, PlantonError, RefusedError
from sandbox import Sandbox
from sandbox._api import Api
from sandbox._errors import ApiError
from tests.model.compare import agrees, generation, named, words
from tests.model.expected import (
    MARKS,
    PLANTED,
    Entry,
    Expected,
    Model,
    Object,
    Place,
    Wanted,
    place_of,
    subject,
)

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "postgresql": "/apis/acid.zalan.do/v1/namespaces/{}/postgresqls",
}
_CLUSTERS_OWN = {"kube-root-ca.crt"}
_MERGE = "application/merge-patch+json"
_NAMES = ("a", "b", "c")
_THEIRS: dict[str, Object] = {
    "Secret": {"data": {"theirs": "dGhlaXJz"}},
    "Service": {"spec": {"ports": [{"port": 5432}], "selector": {"app": "theirs"}}},
    "postgresql": {"spec": {"teamId": "them", "volume": {"size": "1Gi"}, "postgresql": {"version": "17"}}},
}
_OF_OTHERS: dict[str, tuple[str, Object]] = {
    "Secret": ("data.AWS_ACCESS_KEY_ID", {"data": {"AWS_ACCESS_KEY_ID": "d3JpdHRlbi1vdmVy"}}),
    "postgresql": ("spec.numberOfInstances", {"spec": {"numberOfInstances": 7}}),
}

wanted = st.builds(
    Wanted,
    replicas=st.integers(1, 3),
    gibibytes=st.sampled_from([10, 10, 10, 20]),
    team=st.sampled_from(["", "storage", "billing"]),
    keys=st.integers(0, 3),
    ingress=st.booleans(),
)
sets = st.sampled_from([None, "own", "own", "other"])
forces = st.sampled_from([False, False, True])
names = st.sampled_from(_NAMES)


class _Died(BaseException):
    """The process ends here, and nothing of it is left to clean up."""


class World:
    """The cluster that all histories share; each has names of its own in it.

    Attributes:
        cluster: The cluster, as planton sees it.
        api: The same, as everybody else sees it.
        steps: How often each kind of step was made.
        changes: How often each word stood in a plan.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._connection = open_connection(sandbox.kubeconfig, None)
        self.cluster = Cluster(self._connection)
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        self.steps: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.numbers = itertools.count(1)
        self._send = self._connection.send
        self._writes: Iterator[int] = itertools.repeat(-1)
        self._is_late = False
        self._connection.send = self._gate  # type: ignore[method-assign]

    def die_at(self, write: int | None, *, late: bool = False) -> None:
        """Ends the process at its n-th write, before it is sent or after it was done; None lets it live."""
        self._writes = itertools.repeat(-1) if write is None else itertools.count(-write)
        self._is_late = late

    def _gate(self, request: Any, **options: Any) -> Any:
        is_write = request.method != "GET" and ("dryRun", "All") not in request.query
        left = next(self._writes) if is_write else -1
        if left >= 0 and not (left == 0 and self._is_late):
            raise _Died
        answer = self._send(request, **options)
        if left == 0:
            raise _Died
        return answer

    def get(self, place: Place) -> Object | None:
        """Reads an object."""
        try:
            found: Object = self.api.request("GET", self.path(place))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    @staticmethod
    def path(place: Place) -> str:
        """Gives the path of an object."""
        return f"{PATHS[place[0]].format(place[1])}/{place[2]}"


class PlanAndApply(RuleBasedStateMachine):
    """One history."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"m{next(self.world.numbers):04}"
        self.model = Model()
        self.wanted: dict[str, Wanted] = {}

    @initialize(first=wanted, second=wanted, chosen=sets, theirs=st.sampled_from([*_THEIRS, "Namespace"]))
    def begin(self, first: Wanted, second: Wanted, chosen: str | None, theirs: str) -> None:
        # In the way of the third database, once there is a manifest of it.
        self._make_theirs("c", theirs)
        self.wanted = {f"{self.prefix}a": first, f"{self.prefix}b": second}
        self._apply(chosen, force=False)
        # Whatever comes after this: every history has had a plan that meets it.
        self.wanted[f"{self.prefix}c"] = Wanted(keys=1, ingress=True)
        self._plan(chosen, force=False)
        del self.wanted[f"{self.prefix}c"]

    @rule(name=names, one=wanted)
    def write_a_manifest(self, name: str, one: Wanted) -> None:
        self.world.steps["manifest"] += 1
        self.wanted[f"{self.prefix}{name}"] = one

    @precondition(lambda self: self.wanted)
    @rule(chosen=sets, force=forces)
    def apply(self, chosen: str | None, force: bool) -> None:
        self._apply(chosen, force)

    @rule(name=names, one=wanted, chosen=sets, force=forces)
    def change_and_apply(self, name: str, one: Wanted, chosen: str | None, force: bool) -> None:
        self.wanted[f"{self.prefix}{name}"] = one
        self._apply(chosen, force)

    @precondition(lambda self: any(one.keys for one in self.wanted.values()))
    @rule(keys=st.integers(1, 3), chosen=sets)
    def rotate_and_apply(self, keys: int, chosen: str | None) -> None:
        self.world.steps["rotation"] += 1
        self.wanted = {name: replace(one, keys=one.keys and keys) for name, one in self.wanted.items()}
        self._apply(chosen, force=False)
        # Whatever comes after this: every history has had a plan that meets it.
        self.wanted[f"{self.prefix}c"] = Wanted(keys=1, ingress=True)
        self._plan(chosen, force=False)
        del self.wanted[f"{self.prefix}c"]

    @precondition(lambda self: len(self.wanted) > 1)
    @rule(pick=st.integers(0, 9), chosen=sets)
    def take_a_manifest_out_and_apply(self, pick: int, chosen: str | None) -> None:
        self.world.steps["manifest taken out"] += 1
        del self.wanted[[*self.wanted][pick % len(self.wanted)]]
        self._apply(chosen, force=False)
        # Whatever comes after this: every history has had a plan that meets it.
        self.wanted[f"{self.prefix}c"] = Wanted(keys=1, ingress=True)
        self._plan(chosen, force=False)
        del self.wanted[f"{self.prefix}c"]

    @rule(name=names, one=wanted, chosen=sets, write=st.integers(0, 8), late=st.booleans())
    def change_and_die_in_the_apply(self, name: str, one: Wanted, chosen: str | None, write: int, late: bool) -> None:
        self.wanted[f"{self.prefix}{name}"] = one
        plan = self._plan(chosen, force=False)
        if plan is None or not plan.changed:
            return
        self.world.steps["apply that died"] += 1
        expected = self.model.expect(self.wanted, self._set(chosen), force=False)
        self.world.die_at(write, late=late)
        try:
            with contextlib.suppress(_Died):
                self.world.cluster.apply(plan, wait=False)
        finally:
            self.world.die_at(None)
        self._look_what_was_done(expected, self._set(chosen))

    @precondition(lambda self: any(place[0] in _OF_OTHERS for place in self.model.entries))
    @rule(
        one=wanted,
        chosen=sets,
        force=forces,
        pick=st.integers(0, 99),
        meanwhile=st.sampled_from(["written over", "removed", "made"]),
    )
    def apply_an_old_plan(self, one: Wanted, chosen: str | None, force: bool, pick: int, meanwhile: str) -> None:
        mine = self._pick(pick, tuple(_OF_OTHERS))
        if mine is None:
            return
        self.wanted[mine[1]] = one
        expected = self.model.expect(self.wanted, self._set(chosen), force=force)
        plan = self._plan(chosen, force)
        word, kinds = ("created", _THEIRS) if meanwhile == "made" else ("configured", _OF_OTHERS)
        meant = [
            place
            for place, action in expected.actions.items()
            if action == word and place[0] in kinds and ("Namespace", "", place[1]) in self.model.entries
        ]
        if not meant or plan is None:
            return
        place = meant[pick % len(meant)]
        seen = self.world.get(place)
        {"written over": self._write_over, "removed": self._remove, "made": self._make}[meanwhile](place)
        before = self.world.get(place)
        if before == seen:
            return  # The same was written there before the plan.
        self.world.steps[f"old plan, an object was {meanwhile} since"] += 1
        try:
            self.world.cluster.apply(plan, wait=False)
        except ClusterError as error:
            self._shows_no_secret(str(error), repr(error), str(error.changes))
            status, names_owner = error.status, isinstance(error, ConflictError)
        else:
            status, names_owner = 0, False
        # Nor is force a word for what the plan did not show.
        assert status == 409, f"{place} was {meanwhile} since the plan, and nobody noticed"
        assert names_owner or force or meanwhile != "made"
        assert self.world.get(place) == before
        self._look_what_was_done(expected, self._set(chosen), but=place)

    @precondition(lambda self: self.model.entries)
    @rule(pick=st.integers(0, 99))
    def delete_by_hand(self, pick: int) -> None:
        if place := self._pick(pick, ("Secret", "Service", "postgresql")):
            self.world.steps["deletion by hand"] += 1
            self._remove(place)

    @precondition(lambda self: self.model.entries)
    @rule(pick=st.integers(0, 99))
    def write_over_a_field(self, pick: int) -> None:
        if place := self._pick(pick, tuple(_OF_OTHERS)):
            self.world.steps["field of ours written by others"] += 1
            self._write_over(place)

    @precondition(lambda self: self.model.entries)
    @rule(pick=st.integers(0, 99))
    def label(self, pick: int) -> None:
        if place := self._pick(pick, tuple(PATHS)):
            self.world.steps["label of others"] += 1
            self._patch(place, {"metadata": {"labels": {"theirs": "yes"}}})

    @precondition(lambda self: self.model.entries)
    @rule(pick=st.integers(0, 99))
    def plant_a_key(self, pick: int) -> None:
        if place := self._pick(pick, ("Secret",)):
            self.world.steps["key of others in a Secret"] += 1
            self._patch(place, {"data": {PLANTED: "cGxhbnRlZA=="}})
            self.model.entries[place].planted = True

    @rule(name=names, kind=st.sampled_from([*_THEIRS, "Namespace"]))
    def make_something_of_that_name(self, name: str, kind: str) -> None:
        self._make_theirs(name, kind)

    def _make_theirs(self, name: str, kind: str) -> None:
        full = f"{self.prefix}{name}"
        stems = {"Secret": f"db-{full}-backup-credentials", "Service": f"db-{full}-external", "Namespace": full}
        self._make(("Namespace", "", full))
        if kind != "Namespace":
            self._make((kind, full, stems.get(kind, f"db-{full}")))

    @precondition(lambda self: any(place[0] == "postgresql" for place in self.model.entries))
    @rule(pick=st.integers(0, 99), named=st.booleans(), in_its_set=st.booleans())
    def delete(self, pick: int, named: bool, in_its_set: bool) -> None:
        place = self._pick(pick, ("postgresql",))
        if place is None or self.model.entries[place].taken:
            return
        self.world.steps["delete"] += 1
        entry, name = self.model.entries[place], place[1]
        messages = planton.loads(self.wanted.get(name, Wanted()).text(name))
        set_id = entry.in_set if in_its_set else "another"
        options = DeleteOptions(databases=(name,) if named else (), without_operator=True, set_id=set_id or None)
        if not named or not in_its_set:
            try:
                self.world.cluster.delete(messages, options=options)
                raise AssertionError("something was deleted without its word")
            except RefusedError as error:
                self._shows_no_secret(str(error), repr(error))
            self._compare()
            return
        result = self.world.cluster.delete(messages, options=options, timeout=20.0)
        self._shows_no_secret(str(result), repr(result))
        gone = {subject(place)}
        del self.model.entries[place]
        service = ("Service", name, f"{place[2]}-external")
        if service in self.model.entries and self.model.entries[service].is_ours:
            gone.add(subject(service))
            del self.model.entries[service]
        assert {one.subject for one in result.changes if one.action == "deleted"} == gone
        self.wanted.pop(name, None)
        self._compare()

    # What the steps are made of.

    def _apply(self, chosen: str | None, force: bool) -> None:
        self.world.steps["apply"] += 1
        plan = self._plan(chosen, force)
        if plan is None:
            return
        set_id = self._set(chosen)
        expected = self.model.expect(self.wanted, set_id, force=force)
        result = self.world.cluster.apply(plan, wait=False)
        assert words(result.changes) == named(expected)
        self._shows_no_secret(str(result), repr(result))
        self.model.carry_out(expected, self.wanted, set_id)
        self._compare()
        again = self.model.expect(self.wanted, set_id, force=force)
        assert not {*again.actions.values()} & {"created", "configured", "deleted"}
        assert words(self._planned(chosen, force).changes) == named(again)

    def _set(self, chosen: str | None) -> str | None:
        return f"{self.prefix}-{chosen}" if chosen else None

    def _planned(self, chosen: str | None, force: bool) -> Plan:
        text = "".join(one.text(name) for name, one in self.wanted.items())
        options = PlanOptions(set_id=self._set(chosen), force_conflicts=force, skip_checks=True)
        return self.world.cluster.plan(planton.loads(text), options=options)

    def _plan(self, chosen: str | None, force: bool) -> Plan | None:
        """Plans, and compares what it says with the model; None for what cannot be applied."""
        expected = self.model.expect(self.wanted, self._set(chosen), force=force)
        plan, refusal = None, None
        try:
            plan = self._planned(chosen, force)
        except PlantonError as error:
            refusal = error
        if refusal is not None or plan is None:
            self._agrees_to(refusal, expected)
            return None
        assert not expected.refused
        assert not expected.conflicts, expected.conflicts
        assert words(plan.changes) == named(expected)
        self._shows_no_secret(str(plan), repr(plan), *(str(one) for one in plan.changes))
        self.world.changes.update(expected.actions.values())
        return plan

    def _agrees_to(self, refusal: PlantonError | None, expected: Expected) -> None:
        self._shows_no_secret(str(refusal), repr(refusal))
        if isinstance(refusal, RefusedError):
            assert expected.refused, refusal
            self.world.changes["refused"] += 1
        else:
            assert isinstance(refusal, ConflictError), refusal
            assert not expected.refused
            found = {(one.subject, one.manager, path) for one in refusal.conflicts for path in one.fields}
            assert found == {(subject(place), manager, path) for place, manager, path in expected.conflicts}
            self.world.changes["conflict"] += len(found)
        self._compare()

    def _look_what_was_done(self, expected: Expected, set_id: str | None, but: Place | None = None) -> None:
        """Of each object that was to be changed either all was done or nothing; the model learns which."""
        objects = self.model.rendered(self.wanted)
        for place, word in expected.actions.items():
            if place == but or word not in ("created", "configured", "deleted"):
                continue
            live, before = self.world.get(place), self.model.entries.get(place)
            is_done = live is None if word == "deleted" else live is not None
            if word == "configured":
                assert live is not None
                assert before is not None
                is_done = live["metadata"]["resourceVersion"] != before.version
            if is_done:
                now = generation(live) if live is not None else 0
                self.model.carry_out_one(place, word, objects.get(place), now, set_id)
                # What others put into a Secret goes by a request of its own, after the apply.
                if live is not None and PLANTED in (live.get("data") or {}):
                    self.model.entries[place].planted = True
        self._compare()

    def _pick(self, pick: int, kinds: tuple[str, ...]) -> Place | None:
        mine = [place for place, entry in self.model.entries.items() if entry.is_ours and place[0] in kinds]
        return mine[pick % len(mine)] if mine else None

    def _remove(self, place: Place) -> None:
        self.world.api.request("DELETE", self.world.path(place))
        del self.model.entries[place]

    def _write_over(self, place: Place) -> None:
        path, patch = _OF_OTHERS[place[0]]
        self._patch(place, patch)
        self.model.entries[place].taken[path] = patch

    def _patch(self, place: Place, patch: Object) -> None:
        path = f"{self.world.path(place)}?fieldManager=somebody"
        made = self.world.api.request("PATCH", path, patch, content_type=_MERGE)
        self.model.entries[place].version = made["metadata"]["resourceVersion"]

    def _make(self, place: Place) -> None:
        if place in self.model.entries:
            return
        self.world.steps["object of others"] += 1
        head = {"apiVersion": "acid.zalan.do/v1" if place[0] == "postgresql" else "v1", "kind": place[0]}
        body = {**head, "metadata": {"name": place[2]}, **_THEIRS.get(place[0], {})}
        path = f"{PATHS[place[0]].format(place[1])}?fieldManager=somebody"
        made = self.world.api.request("POST", path, body)
        self.model.entries[place] = Entry(None, version=made["metadata"]["resourceVersion"])

    def _shows_no_secret(self, *texts: str) -> None:
        for text in texts:
            assert not any(mark in text for mark in MARKS), text

    def _live(self) -> dict[Place, Object]:
        found = {}
        for name in (f"{self.prefix}{name}" for name in _NAMES):
            if (space := self.world.get(("Namespace", "", name))) is not None:
                found["Namespace", "", name] = space
                for kind, path in PATHS.items():
                    if kind != "Namespace":
                        for one in self.world.api.request("GET", path.format(name))["items"]:
                            obj = {**one, "kind": kind}
                            if obj["metadata"]["name"] not in _CLUSTERS_OWN:
                                found[place_of(obj)] = obj
        return found

    def _compare(self) -> None:
        """What is in the cluster is what the model says, and nothing else."""
        live = self._live()
        assert set(live) == set(self.model.entries)
        for place, entry in self.model.entries.items():
            obj = live[place]
            if entry.sent is None:
                assert obj["metadata"]["resourceVersion"] == entry.version, f"{place} is not ours and was changed"
            else:
                agrees(place, entry, obj)
            entry.version = obj["metadata"]["resourceVersion"]
            if place[0] != "Secret":
                self._shows_no_secret(json.dumps(obj))
