"""Records what happens to the objects of a cluster, and checks every single state that there was.

All objects stand in one etcd, whose revisions count all writes of all kinds: the resourceVersions of a recording are
in one order, whatever watch an event came by (https://etcd.io/docs/v3.6/learning/api/#revisions). So the states between
any two writes can be gone through afterwards, and none is missed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox import ApiError
from sandbox._api import Api

Object = dict[str, Any]
Place = tuple[str, str]

PATHS = {
    "Secret": "/api/v1/secrets",
    "ConfigMap": "/api/v1/configmaps",
    "Namespace": "/api/v1/namespaces",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "postgresql": "/apis/acid.zalan.do/v1/postgresqls",
}
OPERATOR = "postgres-operator"
BACKUP = (OPERATOR, "postgres-pod-backup-config")
ANNOTATION = "planton.ai/credentials-generation"
GENERATION = "PLANTON_CREDENTIALS_GENERATION"
OWN_GENERATION = "PLANTON_DATABASE_CREDENTIALS_GENERATION"
STORAGE = "r2-postgres-backup-credentials"
"""What the name of every storage Secret begins with."""
OWN_SECRET = "-backup-credentials"
"""What the name of a database's own Secret ends with."""
BETWEEN = "the operator reads the backup ConfigMap at every sync, and the name of the storage Secret at its start only"
"""A known limit (docs/architecture.md): while it is not restarted yet, pods can get the one without the other."""
MARK = "SENTINEL-"
"""What every key of these tests begins with, so that one search finds them all; in base64 it has its own form."""
_MARKS = (MARK, base64.b64encode(MARK.encode()).decode())


def place_of(obj: Mapping[str, Any]) -> Place:
    return str(obj["metadata"].get("namespace", "")), str(obj["metadata"]["name"])


def digest(data: Mapping[str, str]) -> str:
    """Stands for the contents of a Secret, which no failed test is to print."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def digest_of(values: Mapping[str, str]) -> str:
    return digest({name: base64.b64encode(value.encode()).decode() for name, value in values.items()})


@dataclass
class Rules:
    """What the states of a recording are held against, as tests say it by hand.

    Attributes:
        contents: Name of a storage Secret (empty for each) and generation -> digests of the contents that it may have.
        files: Digests that the Secret with files may have.
        excused: Namespaces in which a test broke something itself, from one revision until before another.
        limits: Known limits that may be met, such as BETWEEN.
    """

    contents: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    files: set[str] = field(default_factory=set)
    excused: list[tuple[str, int, int]] = field(default_factory=list)
    limits: set[str] = field(default_factory=set)


class Wrong(NamedTuple):
    """What must never be.

    Attributes:
        namespace: Where it is.
        text: What is wrong there.
        limit: The known limit that it comes from; empty for none.
    """

    namespace: str
    text: str
    limit: str = ""


class State:
    """All recorded objects at one revision.

    Attributes:
        kinds: Kind -> place -> object.
        running: Names of the storage Secret that the operator that runs can have read, at its last start; an empty one
            for none.
        former: StatefulSets made from the new backup ConfigMap with the name of the former Secret.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, dict[Place, Object]] = {kind: {} for kind in PATHS}
        self.running: set[str] = set()
        self.former: set[Place] = set()
        self._starting: set[str] = set()
        self._is_up = False
        self._told: dict[str, int] = {}
        self._digests: dict[Place, str] = {}

    def take(self, event: str, kind: str, obj: Object) -> None:
        place = place_of(obj)
        if event == "DELETED":
            self.kinds[kind].pop(place, None)
        else:
            self.kinds[kind][place] = obj
        if kind == "Secret":
            self._digests[place] = digest(self.data(kind, place))
        elif place == BACKUP and kind == "ConfigMap":
            name = self.announced
            self._told[name] = max(self._told.get(name, 0), self.generation_told)
        elif place == (OPERATOR, OPERATOR):
            self._follow_operator()
        elif kind == "StatefulSet":
            is_former = any(name in self.running - {self.announced} for name, _ in storage_references(obj))
            (self.former.add if is_former else self.former.discard)(place)

    def begin(self) -> None:
        """Takes the operator for one that runs with what is configured: nobody saw it start."""
        self.running = {self.configured}

    def _follow_operator(self) -> None:
        """Finds out what the operator is told: it reads its configuration when its process starts, and never again.

        The process of a template is started after the Deployment was written, and says that it is ready after it has
        read (postgres-operator v1.15.1, cmd/main.go and pkg/controller/controller.go).
        """
        deployment = self.kinds["Deployment"].get((OPERATOR, OPERATOR)) or {"metadata": {}}
        status = deployment.get("status") or {}
        is_current = status.get("observedGeneration") == deployment["metadata"].get("generation")
        is_up = bool(is_current and status.get("availableReplicas"))
        if is_up:
            if not self._is_up:
                self.running = self._starting or {self.configured}
                self._starting = set()
        else:
            self._starting.add(self.configured)
        self._is_up = is_up

    def data(self, kind: str, place: Place) -> Mapping[str, str]:
        return self.kinds[kind].get(place, {}).get("data") or {}

    def generation(self, place: Place) -> int:
        metadata = self.kinds["Secret"].get(place, {}).get("metadata") or {}
        return int((metadata.get("annotations") or {}).get(ANNOTATION, 0))

    @property
    def generation_told(self) -> int:
        """The generation that pods are told."""
        return int(self.data("ConfigMap", BACKUP).get(GENERATION, 0))

    @property
    def configured(self) -> str:
        """The storage Secret that an operator is told of that starts now; empty for none."""
        return self.data("ConfigMap", (OPERATOR, OPERATOR)).get("pod_environment_secret") or ""

    @property
    def announced(self) -> str:
        """The storage Secret that belongs to the backup ConfigMap: while an apply is under way, the operator's next."""
        metadata = self.kinds["ConfigMap"].get(BACKUP, {}).get("metadata") or {}
        text = (metadata.get("annotations") or {}).get("planton.ai/backup-platform", "{}")
        return str(json.loads(text).get("secret_name") or "")

    @property
    def is_between(self) -> bool:
        """Whether the operator gives pods what is new, and runs with the name of the former Secret."""
        return self.running != {self.announced}

    def unfinished(self) -> Iterator[str]:
        """Says what of an apply that is done is still on the way."""
        if self.configured != self.announced:
            yield f"the operator's configuration names {self.configured!r}, the backup ConfigMap {self.announced!r}"
        if self.is_between:
            yield f"the operator runs with {sorted(self.running)}, and has not been restarted with {self.announced!r}"
        for space, owner in sorted(self.former):
            yield f"StatefulSet {space}/{owner} still has the former Secret, with the new generation"

    def wrong(self, rules: Rules) -> Iterator[Wrong]:
        """Finds what must never be."""
        yield from self._wrong_copies(rules)
        spaces = {namespace for namespace, _ in self.kinds["postgresql"]}
        if name := self.data("ConfigMap", (OPERATOR, OPERATOR)).get("additional_secret_mount"):
            for space in sorted(spaces):
                if self._digests.get((space, name)) not in rules.files:
                    yield Wrong(space, f"the operator mounts {name}, which is not there as it should be")
        for place, stateful_set in self.kinds["StatefulSet"].items():
            yield from self._wrong_template(place, stateful_set, rules)

    def _wrong_copies(self, rules: Rules) -> Iterator[Wrong]:
        if self.configured not in {self.announced, *self.running}:
            # Pods would get its keys together with the archive of until now.
            yield Wrong(OPERATOR, f"the operator is told of {self.configured!r} before what belongs to it")
        # Whoever starts now reads the one, those that run have read others; the next one gets pods with their restart.
        announced, told = self.announced, self.generation_told
        names = {self.configured, announced, *self.running, *self._starting} - {""}
        for space in sorted({OPERATOR, *(namespace for namespace, _ in self.kinds["postgresql"])}):
            for name in sorted(names):
                is_former = name != announced
                needed = self._told.get(name, 0) if is_former else told
                yield from self._wrong_copy((space, name), needed, rules)
                if is_former and needed <= self.generation((space, name)) < told:
                    yield Wrong(
                        space, f"pods are told generation {told}, and can get the former Secret, {name}", BETWEEN
                    )

    def _wrong_copy(self, place: Place, generation: int, rules: Rules) -> Iterator[Wrong]:
        space, name = place
        if place not in self.kinds["Secret"]:
            yield Wrong(space, f"the operator is told of Secret {name}, which is not there")
            return
        own = self.generation(place)
        if own < generation:
            yield Wrong(space, f"pods are told generation {generation}, and Secret {name} has {own}")
        if self._digests[place] not in rules.contents["", own] | rules.contents[name, own]:
            yield Wrong(space, f"Secret {name} of generation {own} does not hold the keys of that generation")

    def _wrong_template(self, place: Place, stateful_set: Object, rules: Rules) -> Iterator[Wrong]:
        """Holds what a pod gets that starts now against the Secrets that it gets it from."""
        space, owner = place
        for secret, key in _needs(stateful_set):
            if key not in self.data("Secret", (space, secret)):
                yield Wrong(space, f"StatefulSet {owner} refers to {key} of Secret {secret}, which is not there")
        for secret, generation in storage_references(stateful_set):
            own = self.generation((space, secret))
            if own < generation:
                text = f"StatefulSet {owner} says generation {generation}, and its Secret {secret} has {own}"
                yield Wrong(space, text, BETWEEN if place in self.former else "")
            if secret.startswith(STORAGE):
                yield from self._wrong_copy((space, secret), 0, rules)


def storage_references(stateful_set: Object) -> set[tuple[str, int]]:
    """Gives the Secrets with credentials of stores that pods refer to, each with the generation that they are told."""
    names, values = set(), {}
    for container in stateful_set["spec"]["template"]["spec"]["containers"]:
        for entry in container.get("env") or ():
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if reference and (reference["name"].startswith(STORAGE) or reference["name"].endswith(OWN_SECRET)):
                names.add(reference["name"])
            elif not reference:
                values[entry["name"]] = entry.get("value") or "0"
    told, own = (int(values.get(name, 0)) for name in (GENERATION, OWN_GENERATION))
    return {(name, told if name.startswith(STORAGE) else own) for name in names}


def _needs(stateful_set: Object) -> Iterator[tuple[str, str]]:
    """Which keys of which Secrets a pod needs in order to start."""
    spec = stateful_set["spec"]["template"]["spec"]
    for container in spec["containers"]:
        for entry in container.get("env") or ():
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if reference and not reference.get("optional"):
                yield reference["name"], reference["key"]
    for volume in spec.get("volumes") or ():
        if "secret" in volume:
            yield volume["secret"]["secretName"], "ca.crt"


class Recording:
    """Every event of the recorded kinds from its start on, until it is closed.

    A watch that outlives its API server goes on trying to connect, in the middle of whatever test comes next.
    """

    def __init__(self, api: Api, state: State | None = None, paths: Mapping[str, str] = PATHS) -> None:
        """Begins to record.

        Args:
            api: The API server.
            state: What holds the objects, and knows what must never be; the one above unless something else is given.
            paths: Kind -> path of its list, of what is recorded: those of `PATHS` at least.
        """
        self._api = api
        self._paths = paths
        self._lock = threading.Lock()
        self._events: list[tuple[int, str, str, Object]] = []
        self._latest: dict[str, dict[Place, str]] = {kind: {} for kind in paths}
        self._troubles: list[str] = []
        self._replayed = 0
        self.state = state or State()
        self.rules = Rules()
        self.revisions = 0
        self.limited: Counter[str] = Counter()
        """Known limit -> in how many states it was met."""
        self.between: set[int] = set()
        """Revisions at which pods could get what is new, with the former Secret."""
        self._closed = threading.Event()
        start = 0
        self._threads = []
        for kind, path in paths.items():
            listed = api.request("GET", path)
            version = listed["metadata"]["resourceVersion"]
            for item in listed["items"]:
                self._events.append((int(item["metadata"]["resourceVersion"]), "ADDED", kind, item))
                self._latest[kind][place_of(item)] = item["metadata"]["resourceVersion"]
            start = max(start, int(version))
            watch = threading.Thread(target=self._follow, args=(kind, path, version), daemon=True)
            self._threads.append(watch)
        self._start = start
        for watch in self._threads:
            watch.start()

    def close(self) -> None:
        """Ends it: its watches end with their API server and are not begun again."""
        self._closed.set()

    def join(self, seconds: float = 30.0) -> None:
        """Waits until its watches have ended, once their API server has."""
        for watch in self._threads:
            watch.join(seconds)
            assert not watch.is_alive(), "a watch has outlived its API server"

    def _follow(self, kind: str, path: str, version: str) -> None:
        while not self._closed.is_set():
            try:
                for event in self._api.stream(f"{path}?watch=1&resourceVersion={version}", timeout=3600.0):
                    if event["type"] == "ERROR":
                        self._troubles.append(f"{kind}: {event['object'].get('message')}")
                        return
                    obj = event["object"]
                    version = obj["metadata"]["resourceVersion"]
                    self._keep(kind, event["type"], obj)
            except ApiError:
                # The server ends a watch now and then, and goes on from any revision that it still has.
                self._closed.wait(0.2)

    def _keep(self, kind: str, event: str, obj: Object) -> None:
        version = obj["metadata"]["resourceVersion"]
        with self._lock:
            self._events.append((int(version), event, kind, obj))
            if event == "DELETED":
                self._latest[kind].pop(place_of(obj), None)
            else:
                self._latest[kind][place_of(obj)] = version

    def settle(self, seconds: float = 60.0) -> int:
        """Waits until everything that has happened so far is in the recording; gives the revision up to which it is."""
        end = time.monotonic() + seconds
        horizon = int(self._api.request("GET", f"{PATHS['Namespace']}?limit=1")["metadata"]["resourceVersion"])
        late: list[str] = list(self._paths)
        while late:
            assert time.monotonic() < end, f"the recording is not complete: {late}"
            late = [kind for kind in late if not self._has_all(kind)]
            if late:
                time.sleep(0.02)
        assert not self._troubles, self._troubles
        return horizon

    def _has_all(self, kind: str) -> bool:
        items = self._api.request("GET", self._paths[kind])["items"]
        there = {place_of(item): item["metadata"]["resourceVersion"] for item in items}
        with self._lock:
            mine = dict(self._latest[kind])
        return there == mine

    def versions(self, kind: str) -> list[tuple[int, Object]]:
        """Gives everything that objects of a kind have ever been, each with its revision."""
        self.settle()
        with self._lock:
            return sorted(((one[0], one[3]) for one in self._events if one[2] == kind), key=lambda one: one[0])

    def check(self, *, finished: bool = False) -> None:
        """Goes through every state since the last check, and finds everything that must never be.

        Args:
            finished: Whether an apply is done and the operator has acted on it, so that nothing is on the way.
        """
        horizon = self.settle()
        with self._lock:
            events = sorted((one for one in self._events if one[0] <= horizon), key=lambda one: one[0])
        found: dict[str, int] = {}
        for revision, event, kind, obj in events[self._replayed :]:
            if kind != "Secret" and any(mark in json.dumps(obj) for mark in _MARKS):
                found.setdefault(f"a key stands in {kind} {'/'.join(place_of(obj))}", revision)
            self.state.take(event, kind, obj)
            if revision <= self._start:
                self.state.begin()
                continue
            self.revisions += 1
            if self.state.is_between:
                self.between.add(revision)
            met = set()
            for space, text, limit in self.state.wrong(self.rules):
                if limit in self.rules.limits:
                    met.add(limit)
                elif not any(space == one and start <= revision < end for one, start, end in self.rules.excused):
                    found.setdefault(f"{space}: {text}", revision)
            self.limited.update(met)
        self._replayed = len(events)
        assert not found, "\n".join(f"at revision {revision}: {text}" for text, revision in found.items())
        if finished:
            assert not (left := list(self.state.unfinished())), left
