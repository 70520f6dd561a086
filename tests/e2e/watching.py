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
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
        contents: Generation -> digests of the contents that a Secret of that generation may have.
        files: Digests that the Secret with files may have.
        excused: Namespaces in which a test broke something itself, from one revision until before another.
    """

    contents: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    files: set[str] = field(default_factory=set)
    excused: list[tuple[str, int, int]] = field(default_factory=list)


class State:
    """All recorded objects at one revision."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[Place, Object]] = {kind: {} for kind in PATHS}

    def take(self, event: str, kind: str, obj: Object) -> None:
        if event == "DELETED":
            self.kinds[kind].pop(place_of(obj), None)
        else:
            self.kinds[kind][place_of(obj)] = obj

    def data(self, kind: str, place: Place) -> Mapping[str, str]:
        return self.kinds[kind].get(place, {}).get("data") or {}

    def generation(self, place: Place) -> int:
        metadata = self.kinds["Secret"].get(place, {}).get("metadata") or {}
        return int((metadata.get("annotations") or {}).get(ANNOTATION, 0))

    def announced(self) -> str:
        """The storage Secret that belongs to the backup ConfigMap: while an apply is under way, the operator's next."""
        metadata = self.kinds["ConfigMap"].get(BACKUP, {}).get("metadata") or {}
        text = (metadata.get("annotations") or {}).get("planton.ai/backup-platform", "{}")
        return str(json.loads(text).get("secret_name") or "")

    def wrong(self, rules: Rules) -> Iterator[tuple[str, str]]:
        """Finds what must never be: the namespace, and what is wrong there."""
        told = self.data("ConfigMap", (OPERATOR, OPERATOR))
        spaces = {namespace for namespace, _ in self.kinds["postgresql"]}
        if name := told.get("pod_environment_secret"):
            generation = int(self.data("ConfigMap", BACKUP).get(GENERATION, 0))
            announced = self.announced() or name
            for space in sorted({*spaces, OPERATOR}):
                yield from self._wrong_copy((space, name), generation if name == announced else 0, rules)
                if name != announced:
                    # Pods get its name, and with it their restart, once the operator is told of it.
                    yield from self._wrong_copy((space, announced), generation, rules)
        if name := told.get("additional_secret_mount"):
            for space in sorted(spaces):
                if digest(self.data("Secret", (space, name))) not in rules.files:
                    yield space, f"the operator mounts {name}, which is not there as it should be"
        for (space, owner), stateful_set in self.kinds["StatefulSet"].items():
            for secret, key in _needs(stateful_set):
                if key not in self.data("Secret", (space, secret)):
                    yield space, f"StatefulSet {owner} refers to {key} of Secret {secret}, which is not there"

    def _wrong_copy(self, place: Place, generation: int, rules: Rules) -> Iterator[tuple[str, str]]:
        if place not in self.kinds["Secret"]:
            yield place[0], f"the operator is told of Secret {place[1]}, which is not there"
            return
        own = self.generation(place)
        if own < generation:
            yield place[0], f"pods are told generation {generation}, and the Secret has {own}"
        if digest(self.data("Secret", place)) not in rules.contents[own]:
            yield place[0], f"the Secret of generation {own} does not hold the keys of that generation"


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

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._events: list[tuple[int, str, str, Object]] = []
        self._latest: dict[str, dict[Place, str]] = {kind: {} for kind in PATHS}
        self._troubles: list[str] = []
        self._replayed = 0
        self.state = State()
        self.rules = Rules()
        self.revisions = 0
        self._closed = threading.Event()
        start = 0
        self._threads = []
        for kind, path in PATHS.items():
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

    def settle(self, seconds: float = 30.0) -> int:
        """Waits until everything that has happened so far is in the recording; gives the revision up to which it is."""
        end = time.monotonic() + seconds
        horizon = int(self._api.request("GET", f"{PATHS['Namespace']}?limit=1")["metadata"]["resourceVersion"])
        late: list[str] = list(PATHS)
        while late:
            assert time.monotonic() < end, f"the recording is not complete: {late}"
            late = [kind for kind in late if not self._has_all(kind)]
        assert not self._troubles, self._troubles
        return horizon

    def _has_all(self, kind: str) -> bool:
        items = self._api.request("GET", PATHS[kind])["items"]
        there = {place_of(item): item["metadata"]["resourceVersion"] for item in items}
        with self._lock:
            mine = dict(self._latest[kind])
        return there == mine

    def versions(self, kind: str) -> list[tuple[int, Object]]:
        """Gives everything that objects of a kind have ever been, each with its revision."""
        self.settle()
        with self._lock:
            return sorted(((one[0], one[3]) for one in self._events if one[2] == kind), key=lambda one: one[0])

    def check(self) -> None:
        """Goes through every state since the last check, and finds everything that must never be."""
        horizon = self.settle()
        with self._lock:
            events = sorted((one for one in self._events if one[0] <= horizon), key=lambda one: one[0])
        found: dict[str, int] = {}
        for revision, event, kind, obj in events[self._replayed :]:
            if kind != "Secret" and any(mark in json.dumps(obj) for mark in _MARKS):
                found.setdefault(f"a key stands in {kind} {'/'.join(place_of(obj))}", revision)
            self.state.take(event, kind, obj)
            if revision <= self._start:
                continue
            self.revisions += 1
            for space, text in self.state.wrong(self.rules):
                if not any(space == one and start <= revision < end for one, start, end in self.rules.excused):
                    found.setdefault(f"{space}: {text}", revision)
        self._replayed = len(events)
        assert not found, "\n".join(f"at revision {revision}: {text}" for text, revision in found.items())
