"""The model: what is in the cluster, whose it is, and what a plan has to say of it.

It knows nothing of managedFields, of dry runs and of the order of requests. It remembers what planton has sent last to
each object, and what others have done to it since.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import planton
from tests import manifests

Object: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name; a Namespace stands in none."""

GENERATION = "planton.ai/credentials-generation"
TOLD = "PLANTON_DATABASE_CREDENTIALS_GENERATION"
SET = "planton.ai/set"
MARK = "MODELSENTINEL"
"""Begins every secret of the model: no text and no object but a Secret may have it."""
MARKS = (MARK, base64.b64encode(MARK[:12].encode()).decode())
"""The same, also in base64."""
PLANTED = "planted-by-somebody"

OWN_STORE = """
storage:
  bucket_name: own-backups
  aws_s3: {{region: eu-west-1}}
credentials:
  access_key_id: {{value: "{mark}/id-{number:04}"}}
  secret_access_key: {{value: "{mark}/key+{number:04}"}}
enable_backup: true
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the manifest of a database says.

    Attributes:
        replicas: How many pods.
        gibibytes: Size of its volume.
        team: A label; empty for none.
        keys: Which keys of its own it has for its backups; 0 for no backups.
        ingress: Whether it is reached from outside.
    """

    replicas: int = 1
    gibibytes: int = 10
    team: str = ""
    keys: int = 0
    ingress: bool = False

    def text(self, name: str) -> str:
        """Writes the manifest.

        Args:
            name: Name of the database.

        Returns:
            One YAML document.
        """
        text = manifests.database(
            name,
            backup=OWN_STORE.format(mark=MARK, number=self.keys) if self.keys else None,
            spec=f"ingress: {{enabled: true, dns_domain: {name}.example.org}}" if self.ingress else "",
            metadata=f"labels: {{team: {self.team}}}" if self.team else "",
        )
        return text.replace("disk_size: 10Gi", f"disk_size: {self.gibibytes}Gi\n    replicas: {self.replicas}")


def place_of(obj: Object) -> Place:
    """Gives the place of an object."""
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]


def subject(place: Place) -> str:
    """Names an object as plans do."""
    return "/".join(part for part in place if part)


@dataclass(slots=True)
class Entry:
    """One object in the cluster.

    Attributes:
        sent: What planton has sent last, without the set and the generation; None for an object of somebody else's.
        in_set: The set that it is in; empty for none.
        generation: How often its credentials have changed (a Secret), or what its pods are told of that (a database).
        taken: Fields of ours that somebody has written over: path -> value.
        planted: Whether somebody has put a key of his own into its data.
        version: Its resourceVersion when it was looked at last.
    """

    sent: Object | None
    in_set: str = ""
    generation: int = 0
    taken: dict[str, Any] = field(default_factory=dict)
    planted: bool = False
    version: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether planton has made it, or has taken it over."""
        return self.sent is not None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a plan has to say.

    Attributes:
        actions: Place -> the word for it; of a set that cannot be applied, empty.
        conflicts: Place, manager and field of each conflict.
        refused: Whether something is refused whatever else there is.
        generations: Place -> the generation that an object has afterwards.
    """

    actions: Mapping[Place, str]
    conflicts: frozenset[tuple[Place, str, str]] = frozenset()
    refused: bool = False
    generations: Mapping[Place, int] = field(default_factory=dict)


class Model:
    """The cluster as it has to be."""

    def __init__(self) -> None:
        self.entries: dict[Place, Entry] = {}

    def rendered(self, wanted: Mapping[str, Wanted]) -> dict[Place, Object]:
        """Gives what is sent for manifests, but for set and generation."""
        text = "".join(one.text(name) for name, one in wanted.items())
        return {place_of(one): copy.deepcopy(dict(one)) for one in planton.render(planton.loads(text))} if text else {}

    def expect(self, wanted: Mapping[str, Wanted], set_id: str | None, *, force: bool) -> Expected:
        """Says what a plan of manifests has to say.

        Args:
            wanted: Name of each database -> its manifest.
            set_id: The set.
            force: Whether what others own is taken over.

        Returns:
            What it says.
        """
        objects = self.rendered(wanted)
        generations = self._generations(objects)
        actions: dict[Place, str] = {}
        conflicts: set[tuple[Place, str, str]] = set()
        refused = False
        for place, obj in objects.items():
            entry = self.entries.get(place)
            if entry is None:
                actions[place] = "created"
            elif place[0] == "Namespace":
                actions[place] = "unchanged" if entry.is_ours else "skipped"
            elif not entry.is_ours and not force:
                conflicts.add((place, "somebody", "the whole object, which planton did not make"))
            elif place[0] == "postgresql" and _shrinks(entry, obj):
                refused = True
            elif _is_elsewhere(place, entry, set_id) and not force:
                conflicts.add((place, f"planton, set {entry.in_set}", f'metadata.labels["{SET}"]'))
            elif entry.taken and not force:
                conflicts |= {(place, "somebody", path) for path in entry.taken}
            else:
                moves = set_id is not None and entry.in_set != set_id and not (place[0] == "Secret" and entry.in_set)
                changes = entry.sent != obj or entry.generation != generations.get(place, 0)
                is_touched = changes or moves or bool(entry.taken) or entry.planted
                actions[place] = "configured" if is_touched else "unchanged"
        for name, one in wanted.items():
            service = ("Service", name, f"db-{name}-external")
            entry = self.entries.get(service)
            if not one.ingress and entry is not None and entry.is_ours:
                actions[service] = "deleted"
        if set_id is not None:
            for place, word in self._pruned(objects, set_id):
                actions.setdefault(place, word)
        if refused or conflicts:
            return Expected({}, frozenset(conflicts), refused)
        return Expected(actions, generations=generations)

    def _generations(self, objects: Mapping[Place, Object]) -> dict[Place, int]:
        """Counts the generation of each Secret and tells it to its database: up whenever its pods may have others."""
        counted: dict[Place, int] = {}
        for place, obj in objects.items():
            if place[0] != "Secret":
                continue
            database = ("postgresql", place[1], f"db-{place[1]}")
            pods, entry = self.entries.get(database), self.entries.get(place)
            told = pods.generation if pods is not None else 0
            if entry is None:
                knows = pods is not None and pods.sent is not None and place[2] in str(pods.sent["spec"].get("env"))
                number = told + 1 if knows else told
            elif _holds(entry, obj) and entry.generation >= told:
                number = entry.generation
            else:
                number = max(entry.generation, told) + 1
            counted[place] = counted[database] = number
        return counted

    def _pruned(self, objects: Mapping[Place, Object], set_id: str) -> Iterator[tuple[Place, str]]:
        databases = {place[1] for place in self.entries if place[0] == "postgresql"}
        rendered = {place[1] for place in objects if place[0] == "postgresql"}
        for place, entry in self.entries.items():
            if place in objects or not entry.is_ours or entry.in_set != set_id:
                continue
            namespace = place[1]
            if place[0] in ("postgresql", "Namespace") or (
                namespace in databases and (place[0] == "Secret" or namespace not in rendered)
            ):
                yield place, "skipped"
            else:
                yield place, "deleted"

    def carry_out(self, expected: Expected, wanted: Mapping[str, Wanted], set_id: str | None) -> None:
        """Does what a plan says."""
        objects = self.rendered(wanted)
        for place, word in expected.actions.items():
            self.carry_out_one(place, word, objects.get(place), expected.generations.get(place, 0), set_id)

    def carry_out_one(self, place: Place, word: str, obj: Object | None, generation: int, set_id: str | None) -> None:
        """Does what a plan says of one object."""
        if word == "deleted":
            del self.entries[place]
        elif word in ("created", "configured"):
            before = self.entries.get(place)
            in_set = before.in_set if before is not None and before.is_ours else ""
            if set_id is not None and not (place[0] == "Secret" and in_set):
                in_set = set_id
            self.entries[place] = Entry(obj, in_set, generation)


def _shrinks(entry: Entry, obj: Object) -> bool:
    if entry.sent is None:
        return False
    before, after = (int(one["spec"]["volume"]["size"].removesuffix("Gi")) for one in (entry.sent, obj))
    return after < before


def _is_elsewhere(place: Place, entry: Entry, set_id: str | None) -> bool:
    return bool(entry.in_set) and set_id is not None and entry.in_set != set_id and place[0] != "Secret"


def _holds(entry: Entry, obj: Object) -> bool:
    """Whether a Secret holds what is wanted, whatever else was put into it."""
    return entry.sent is not None and entry.sent["data"] == obj["data"] and not entry.taken and not entry.planted
