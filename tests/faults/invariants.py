"""What must hold for all objects of a cluster at every single revision, whatever is killed and whoever else writes.

A recording (tests/e2e/watching.py) gives each state that there ever was. On top of what it checks of credentials and
generations, here is what users fear: two databases in one archive, a pod that archives to a wrong place or refers to
keys that are not there, data that goes without a word, an archive that nobody remembers, a key outside of a Secret.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox._api import Api
from tests.e2e.watching import (
    ANNOTATION,
    GENERATION,
    OPERATOR,
    OWN_SECRET,
    PATHS,
    STORAGE,
    Object,
    Place,
    Recording,
    Rules,
    State,
    Wrong,
    digest,
    place_of,
)

ALL_PATHS = {
    **PATHS,
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "Event": "/api/v1/events",
    "Service": "/api/v1/services",
}
SHARED = "Kubernetes has no condition across objects: of two applies in one moment both can see a free archive"
"""A known limit (docs/architecture.md): found right after the write."""
RECORD = (OPERATOR, "planton-archives")
_PASSWORD = ".credentials.postgresql.acid.zalan.do"
_CLUSTER = "cluster-name"


class World(State):
    """All objects at one revision, and what must never be of them.

    Attributes:
        places: Place of a custom resource -> where its pods may archive to: endpoint and prefix as they read it. By
            hand; of a database that is not in it nothing is expected.
        may_go: Places of databases, and names of Namespaces, that may be deleted with their custom resource.
        data_may_go: Places of databases whose volumes and passwords may be deleted, too.
        cut: Databases of which somebody else than planton may delete the custom resource.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds |= {kind: {} for kind in ALL_PATHS if kind not in PATHS}
        self.places: dict[Place, set[tuple[str, str]]] = {}
        self.may_go: set[Place | str] = set()
        self.data_may_go: set[Place] = set()
        self.cut: set[Place] = set()
        self._archived: dict[Place, str] = {}
        self._broken: list[Wrong] = []

    def take(self, event: str, kind: str, obj: Object) -> None:
        place = place_of(obj)
        before = self.kinds[kind].get(place)
        is_going = event == "DELETED" or "deletionTimestamp" in obj["metadata"]
        if is_going and before is not None and "deletionTimestamp" not in before["metadata"]:
            self._lost(kind, place, before)
        if place == RECORD and kind == "ConfigMap":
            lost = (before or {}).get("data", {}).keys() - (obj.get("data") or {} if event != "DELETED" else {}).keys()
            if lost:
                self._say(place, f"the record has forgotten {sorted(lost)}")
        if kind == "Secret" and before is not None and event != "DELETED":
            self._older(place, before, obj)
        if kind == "StatefulSet" and is_going:
            # Nobody collects it here; no pod is made of it any more.
            event = "DELETED"
        super().take(event, kind, obj)
        if place == (OPERATOR, OPERATOR) and place not in self.kinds["Deployment"]:
            self._forget()

    def _forget(self) -> None:
        """Forgets what an operator was told that is gone: the next one begins anew."""
        self._told.clear()
        self._starting.clear()
        self.running = {""}

    def _say(self, place: Place, text: str) -> None:
        self._broken.append(Wrong(place[0], f"{'/'.join(place)}: {text}"))

    def _lost(self, kind: str, place: Place, before: Object) -> None:
        """Looks whether something that goes may go."""
        owner = (place[0], str((before["metadata"].get("labels") or {}).get(_CLUSTER, "")))
        if kind == "Namespace" and place[1] not in self.may_go:
            self._say(place, "the Namespace was deleted")
        elif kind == "postgresql" and place not in self.may_go | self.cut:
            self._say(place, "the database was deleted")
        elif kind == "postgresql" and place not in self.cut and self._writes(place):
            entries = [one for one in self._record() if (one["namespace"], one["name"]) == place]
            if not any(one["why"] == "deleted" for one in entries):
                self._say(place, "it was deleted, and its archive is not remembered")
        elif kind == "PersistentVolumeClaim" and owner not in self.data_may_go:
            self._say(place, "the volume was deleted")
        elif kind == "Secret" and place[1].endswith(_PASSWORD) and owner not in self.data_may_go:
            self._say(place, "the password was deleted")

    def _older(self, place: Place, before: Object, now: Object) -> None:
        old, new = (int((one["metadata"].get("annotations") or {}).get(ANNOTATION, 0)) for one in (before, now))
        changed = digest(before.get("data") or {}) != digest(now.get("data") or {})
        if new < old:
            self._say(place, f"the generation goes back from {old} to {new}")
        elif new > old + 1 and place[0] == OPERATOR:
            self._say(place, f"the generation jumps from {old} to {new}")
        elif new > old and not changed and place[0] == OPERATOR and place[1].startswith(STORAGE):
            self._say(place, f"the generation goes up to {new}, and the keys are the same")

    def _record(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.data("ConfigMap", RECORD).values()]

    def _writes(self, place: Place) -> bool:
        stateful_set = self.kinds["StatefulSet"].get(place)
        return stateful_set is not None and bool(_environment(stateful_set).get("WALG_S3_PREFIX"))

    def wrong(self, rules: Rules) -> Iterator[Wrong]:
        """Finds what must never be."""
        broken, self._broken = self._broken, []
        yield from broken
        for one in super().wrong(rules):
            # Without any database there is nobody whom it would harm: so the operator itself comes and goes.
            if self.kinds["postgresql"] or one.namespace != OPERATOR:
                yield one
        yield from self._wrong_archives()
        for place in self.kinds["Secret"]:
            if place[1].endswith(OWN_SECRET) and not place[1].startswith(STORAGE) and _is_known(rules, place[1]):
                own = self.generation(place)
                if self._digests[place] not in rules.contents[place[1], own]:
                    yield Wrong(place[0], f"Secret {place[1]} does not hold the keys of generation {own}")

    def _wrong_archives(self) -> Iterator[Wrong]:
        """Holds the archives of all pods against each other, and against where they belong."""
        users: dict[tuple[str, str], list[Place]] = defaultdict(list)
        for place, stateful_set in self.kinds["StatefulSet"].items():
            values = _environment(stateful_set)
            prefix, endpoint = values.get("WALG_S3_PREFIX", ""), values.get("AWS_ENDPOINT", "")
            if not prefix:
                continue
            if place in self.places and (endpoint, prefix) not in self.places[place]:
                yield Wrong(place[0], f"pods of {place[1]} archive to {prefix} at {endpoint}")
            users[endpoint, _expanded(prefix, values)].append(place)
        for address, places in users.items():
            if len(places) > 1:
                yield Wrong(places[0][0], f"{sorted(places)} share the archive {address[1]}", SHARED)
            for other in users:
                if other[0] == address[0] and other[1].startswith(address[1].rstrip("/") + "/"):
                    yield Wrong(places[0][0], f"{other[1]} of {users[other]} is within {address[1]} of {places}")


def _is_known(rules: Rules, name: str) -> bool:
    return any(one == name for one, _ in rules.contents)


def _environment(stateful_set: Object) -> dict[str, str]:
    containers = stateful_set["spec"]["template"]["spec"]["containers"]
    return {
        entry["name"]: str(entry.get("value", ""))
        for container in containers
        if container["name"] == "postgres"
        for entry in container.get("env") or ()
    }


def _expanded(prefix: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: values.get(found[1], found[0]), prefix)


def record(api: Api) -> tuple[Recording, World]:
    """Begins to record a cluster on which the operator's CRD is registered.

    Args:
        api: The API server.

    Returns:
        The recording, and what it replays into.
    """
    world = World()
    return Recording(api, world, ALL_PATHS), world


_PICTURED = {
    **{kind: path for kind, path in ALL_PATHS.items() if kind != "Event"},
    "ServiceAccount": "/api/v1/serviceaccounts",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "selfLink", "managedFields", "deletionTimestamp")
_OF_THE_SPEC = ("clusterIP", "clusterIPs", "healthCheckNodePort")


def picture(api: Api, token: str, *, spaces: Callable[[str], bool]) -> dict[str, str]:
    """Draws what is there, so that the same work done elsewhere or in another way can be compared with it.

    Args:
        api: The API server.
        token: What all names of this work have in them; it is left out.
        spaces: Says of a namespace whether what is in it belongs to this work; an empty one stands for none.

    Returns:
        Kind and place -> everything but what the server makes up, times, status, and passwords; of planton's fields
        it is in it who has which.
    """
    drawn = {}
    for kind, path in _PICTURED.items():
        for obj in api.request("GET", path)["items"]:
            metadata = obj["metadata"]
            ours = [one for one in metadata.get("managedFields") or () if one["manager"] == "planton"]
            space = metadata["name"] if kind == "Namespace" else metadata.get("namespace", "")
            if not spaces(space) or (not space and not ours) or "deletionTimestamp" in metadata:
                continue
            kept = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
            if isinstance(kept.get("spec"), dict) and kind == "Service":
                kept["spec"] = {key: value for key, value in kept["spec"].items() if key not in _OF_THE_SPEC}
                for port in kept["spec"].get("ports") or ():
                    port.pop("nodePort", None)
            if metadata["name"].endswith(_PASSWORD):
                kept["data"] = sorted(kept["data"])
            if kind == "ConfigMap" and place_of(obj) == RECORD:
                # The keys are hashes of names, which differ.
                kept["data"] = sorted(text for text in (kept.get("data") or {}).values() if token in text)
            mine = {key: value for key, value in metadata.items() if key not in _OF_THE_SERVER}
            if not ours:
                # What the operator or the server writes is counted by how often they have looked.
                mine.pop("generation", None)
            mine["annotations"] = {
                key: value
                for key, value in (metadata.get("annotations") or {}).items()
                if key != "deployment.kubernetes.io/revision"
            }
            owners = sorted(
                (one["operation"], json.dumps(one["fieldsV1"], sort_keys=True))
                for one in ours
                if place_of(obj) != RECORD
            )
            text = json.dumps([kept, mine, owners], sort_keys=True)
            text = re.sub(r'\\"left_at\\": ?\\"[^"\\]*\\"', '\\"left_at\\":\\"then\\"', text)
            drawn[f"{kind}/{'/'.join(place_of(obj))}".replace(token, "X")] = text.replace(token, "X")
    return drawn


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Says where two pictures differ, without a value: a Secret can be in them."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            if name not in one or name not in other:
                lines.append(f"{name} is only in {'the first' if name in one else 'the second'}")
                continue
            paths = sorted(_paths(json.loads(one[name]), json.loads(other[name]), ""))
            lines.append(f"{name} differs at {', '.join(paths)}")
    return lines


def _paths(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _paths(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _paths(left, right, f"{path}[{number}]")
    elif one != other:
        yield path


def key_places(api: Any, marks: tuple[str, ...]) -> list[str]:
    """Finds every object of any kind, but Secrets, in which a key can be read.

    Args:
        api: The API server, as tests/api.py has it.
        marks: Texts of which one is in every key.

    Returns:
        Their kinds and places.
    """
    return [
        f"{obj['kind']}/{'/'.join(place_of(obj))}"
        for obj in api.everything()
        if obj["kind"] != "Secret" and any(mark in json.dumps(obj) for mark in marks)
    ]


def told_generation(world: World) -> int:
    """Gives the generation that pods are told; 0 for none."""
    return int(world.data("ConfigMap", (OPERATOR, "postgres-pod-backup-config")).get(GENERATION, 0))
