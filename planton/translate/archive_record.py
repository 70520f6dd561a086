"""Archives that databases write to or left behind: what is remembered of them, and who may write to one again.

A database that is deleted, moved elsewhere or switched off leaves its archive in the store. One that is made anew under
its old name would write into it: it has another system identifier and begins again with the same names of WAL segments,
so that it overwrites WAL that the old backups need; and since wal-g never overwrites a `.history` file, its archiving
can stop for ever. Nothing in a cluster shows that any more, so it is written down.

A database that is deleted without planton leaves no word of it: so an archive is written down when a database begins to
write to it, too. An apply that changes anything at all also writes down the archives of all databases that are alive
and not in the record yet, or not as they are now; one that changes nothing else adds only those databases of its own
that are missing, as when an apply before it was killed.

The record is one ConfigMap with one key an archive, and no secret in it: of encryption, the method, and the name and
the generation of the Secret with the key. An entry of an archive that was left behind also has what is needed to read
it with no custom resource (reading_facts.py). With some 300 bytes for an archive in use the record holds about 2,600 of
them, with some 900 for one that was left about 1,000. Archives that are only in use are added as long as there is room
beside what is kept free for those that are left, and a plan says how many are not; one that is left behind is written
without what is needed to read it when there is no room for that, and when even so there is none, the plan ends.
(Annotations of the operator's own ConfigMap would go with it when backup_config is taken out of its manifest;
those of a Namespace that is not ours are not ours to write.) It forgets nothing by itself: whoever empties an archive
may take its key out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from planton.translate.archive import ArchiveIdentity
from planton.translate.contract import KubernetesObject
from planton.translate.names import MANAGED_BY, MANAGED_BY_LABEL, RESOURCE_LABEL, cluster_name
from planton.translate.reading_facts import ReadingFacts

RECORD_CONFIGMAP = "planton-archives"
"""ConfigMap in the operator's namespace that remembers archives."""

DELETED = "deleted"
MOVED = "moved"
STOPPED = "stopped"
TAKEN = "taken"
_HOW = {
    TAKEN: "writes to it, or has been deleted since without planton",
    DELETED: "was deleted and left it behind",
    MOVED: "archives somewhere else since, and left it behind",
    STOPPED: "has its backups switched off and left it behind",
}
UNKNOWN = "?"
"""Encryption of an archive that was written down before encryption was."""
# A ConfigMap holds at most 1 MiB.
_LARGEST = 900_000
# Kept free of archives that are in use: these can be found by their databases, those that were left nowhere else.
_FOR_LEFT = 100_000


@dataclass(frozen=True, slots=True)
class LeftArchive:
    """An archive that a database writes to, or does not write to any more.

    Attributes:
        store: Its store, as an ArchiveIdentity has it.
        prefix: Its prefix, likewise.
        namespace: Namespace of the database.
        name: Name of its custom resource.
        version: Major version of PostgreSQL; empty when it was not known.
        why: DELETED, MOVED, STOPPED or TAKEN.
        encryption: How it is encrypted: the method, with the form of the key behind it; empty for not at all.
        key_in: Name of the Secret with the key, and its generation, as `name/generation`; empty when that says nothing.
        left_at: When it was left, such as `2026-11-22T08:14:35Z`; empty for one in use, and when it is not known.
        reading: How it is reached and read; None for one in use, and where it was not written down.
    """

    store: str
    prefix: str
    namespace: str
    name: str
    version: str
    why: str
    encryption: str = ""
    key_in: str = ""
    left_at: str = ""
    reading: ReadingFacts | None = field(default=None, hash=False)

    @property
    def archive(self) -> ArchiveIdentity:
        """Its identity."""
        return ArchiveIdentity(self.store, self.prefix)

    @property
    def key(self) -> str:
        """Its key in the record: the same for one archive and one database."""
        text = json.dumps([self.store, self.prefix, self.namespace, self.name])
        return f"{self.namespace}.{self.name}"[:200] + f".{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        """Says who left it, and how."""
        version = f" (PostgreSQL {self.version})" if self.version else ""
        return f"{self.namespace}/{self.name}{version}, which {_HOW[self.why]}"


_READING = "reading"
_TEXTS = tuple(name for name in LeftArchive.__dataclass_fields__ if name != _READING)
_LATER = ("left_at",)
"""What is written only where it says something: an entry in use stays as small as it was."""


def _written(left: LeftArchive) -> str:
    facts: dict[str, Any] = {name: getattr(left, name) for name in _TEXTS}
    facts = {name: value for name, value in facts.items() if value or name not in _LATER}
    if left.reading is not None:
        facts[_READING] = left.reading.to_data()
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def read_record(data: Mapping[str, str]) -> tuple[LeftArchive, ...]:
    """Reads the record.

    Args:
        data: Data of the ConfigMap.

    Returns:
        The archives; what is not one of ours is passed over.
    """
    found = []
    for key in sorted(data):
        try:
            facts = json.loads(data[key])
            written = {"encryption": UNKNOWN, "key_in": "", "left_at": "", **facts}
            left = LeftArchive(
                **{name: str(written[name]) for name in _TEXTS}, reading=ReadingFacts.from_data(facts.get(_READING))
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if left.why in _HOW:
            found.append(left)
    return tuple(found)


def with_left(data: Mapping[str, str], left: Iterable[LeftArchive]) -> dict[str, str]:
    """Adds archives to the record.

    Args:
        data: Data of the ConfigMap.
        left: What was left.

    Returns:
        The data with them, sorted; what is there for the same archive and database is replaced, but for the time of
        leaving where nothing else has changed.
    """
    keyed = {one.key: one for one in left}
    there = {one.key: one for one in read_record(data)} if any(_is_left_once(one) for one in keyed.values()) else {}
    # An apply that was broken off leaves an archive again: it left it when it was first about to.
    known = {
        key: before
        for key, one in keyed.items()
        if _is_left_once(one) and (before := there.get(key)) and replace(before, left_at=one.left_at) == one
    }
    fresh = {key: _written(known.get(key, one)) for key, one in keyed.items()}
    return dict(sorted({**data, **fresh}.items()))


def _is_left_once(left: LeftArchive) -> bool:
    """Whether an archive was left by a database that goes on, at a time that counts."""
    return left.why in (MOVED, STOPPED)


def with_taken(data: Mapping[str, str], taken: Iterable[LeftArchive]) -> tuple[dict[str, str], int]:
    """Adds archives in use to the record, as long as there is room.

    Args:
        data: Data of the ConfigMap.
        taken: Archives in use.

    Returns:
        The data with them, sorted; and how many do not fit, or not as they are now.
    """
    taken = list(taken)
    wanted = with_left(data, taken)
    if _size(wanted) <= _LARGEST - _FOR_LEFT:
        return wanted, 0
    found, size, left_out = dict(data), _size(data), 0
    for key in (one.key for one in taken):
        there = found.get(key)
        if there == wanted[key]:
            continue
        more = _bytes(key, wanted[key]) - (_bytes(key, there) if there is not None else 0)
        if size + more <= (_LARGEST if there is not None else _LARGEST - _FOR_LEFT):
            found[key] = wanted[key]
            size += more
        else:
            left_out += 1
    return dict(sorted(found.items())), left_out


def no_room(count: int) -> str:
    """Says that archives in use are not in the record.

    Args:
        count: How many.

    Returns:
        What is wrong, and the remedy.
    """
    some = f"{count} archives in use do" if count > 1 else "1 archive in use does"
    return (
        f"{some} not fit into ConfigMap {RECORD_CONFIGMAP}, in which there is room for archives that are left behind "
        "only: a database that is deleted without planton leaves no word of such an archive, so that a new one of its "
        "name may write into it. Take the keys of archives out of it that were emptied"
    )


def elsewhere(record: Iterable[LeftArchive], archive: ArchiveIdentity, namespace: str, name: str) -> list[LeftArchive]:
    """Finds archives of a database that it cannot go back to, once it has begun to write to another one.

    Args:
        record: What is remembered.
        archive: Where it begins to write.
        namespace: Namespace of the database.
        name: Name of its custom resource.

    Returns:
        Each of them, as one that was left for another.
    """
    return [
        replace(one, why=MOVED)
        for one in record
        if (one.namespace, one.name) == (namespace, name) and one.archive != archive and one.why != MOVED
    ]


def left_archives(
    data: Mapping[str, str], name: str, namespace: str | None = None, *, exact: bool = False
) -> list[LeftArchive]:
    """Finds the archives of a database that is gone, to restore it.

    Args:
        data: Data of the ConfigMap.
        name: Name of the database (metadata.name), or of its custom resource.
        namespace: Its namespace; None for any.
        exact: Whether the name is that of a custom resource in any case.

    Returns:
        Of each database of that name, in order of namespaces, the archive that it wrote to last; several of one
        database where the record does not say which of them that is. Empty when none is remembered.
    """
    found = [one for one in read_record(data) if namespace in (None, one.namespace)]
    # The name of the one may be that of another's custom resource: db-x is the resource of x, and db-db-x of db-x.
    mine = [] if exact else [one for one in found if one.name == cluster_name(name)]
    mine = mine or [one for one in found if one.name == name]
    last: list[LeftArchive] = []
    for space in sorted({one.namespace for one in mine}):
        here = [one for one in mine if one.namespace == space]
        rank = max(_LAST[one.why] for one in here)
        here = [one for one in here if _LAST[one.why] == rank]
        # When one was left that is still called taken, nobody knows.
        newest = "" if any(one.why == TAKEN for one in here) else max(one.left_at for one in here)
        last += [one for one in here if one.left_at == newest or not newest]
    return last


_LAST = {MOVED: 0, STOPPED: 1, TAKEN: 2, DELETED: 2}
"""A database has moved to another archive, or stopped, before it was deleted from its last one."""


def is_full(data: Mapping[str, str]) -> bool:
    """Tells whether the record has no room left.

    Args:
        data: Data of the ConfigMap.

    Returns:
        True when it would soon be refused.
    """
    return _size(data) > _LARGEST


def _size(data: Mapping[str, str]) -> int:
    return sum(_bytes(key, value) for key, value in data.items())


def _bytes(key: str, value: str) -> int:
    return len(key.encode()) + len(value.encode())


def record_object(namespace: str, data: Mapping[str, str]) -> KubernetesObject:
    """Makes the ConfigMap.

    It has no label by which an operator's objects are found: it stays when the operator goes.

    Args:
        namespace: Namespace of the operator.
        data: Its data.

    Returns:
        The ConfigMap.
    """
    labels = {MANAGED_BY_LABEL: MANAGED_BY, RESOURCE_LABEL: "true"}
    metadata = {"name": RECORD_CONFIGMAP, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def by_place(record: Iterable[LeftArchive]) -> dict[tuple[str, str], list[LeftArchive]]:
    """Puts archives where they are looked for: of a thousand databases each asks for its own.

    Args:
        record: The archives that were left.

    Returns:
        Store and prefix, as an ArchiveIdentity is equal to them -> the archives there and below, in their order.
    """
    found: dict[tuple[str, str], list[LeftArchive]] = {}
    for one in record:
        archive = one.archive
        for place in (archive, *archive.above()):
            found.setdefault(place, []).append(one)
    return found


def in_the_way(
    record: Iterable[LeftArchive], archive: ArchiveIdentity, namespace: str, name: str, *, has_its_data: bool
) -> LeftArchive | None:
    """Finds an archive that was left where a database is about to write.

    Args:
        record: The archives that were left.
        archive: Where it is about to write.
        namespace: Namespace of the database.
        name: Name of its custom resource.
        has_its_data: Whether it is the one of that name that was there before: alive, or with its volumes still there.

    Returns:
        What is in the way; None when it may write there.
    """
    for one in record:
        if one.archive != archive and not one.archive.is_within(archive):
            continue
        is_own = has_its_data and (one.namespace, one.name) == (namespace, name)
        if is_own and one.archive == archive and one.why != MOVED:
            continue
        return one
    return None


def reuse_refusal(subject: str, archive: ArchiveIdentity, left: LeftArchive, namespace: str, name: str) -> str:
    """Says why a database must not write to an archive, and what to do.

    Args:
        subject: `Kind/namespace/name` of the database.
        archive: Where it is about to write.
        left: What is in the way.
        namespace: Namespace of the database.
        name: Name of its custom resource.

    Returns:
        The reason with its remedy.
    """
    if left.archive != archive:
        why = (
            f"it would archive to {archive}, and below that is {left.prefix} of {left}: wal-g deletes old backups in "
            "everything below an archive's prefix, and would delete those"
        )
    elif (left.namespace, left.name) == (namespace, name) and left.why == MOVED:
        why = (
            f"it would go back to {archive}, which it left for another archive: what was written since is not there, "
            "so that no restore from before gets across the gap, and after a failover in between archiving can stop"
        )
    else:
        why = (
            f"its archive {archive} is that of {left}: it would overwrite WAL that the old backups need, and its own "
            "archiving can stop for ever"
        )
    return (
        f"{subject}: {why}. Give it another archive (s3_prefix); or, when the old one was emptied or may be lost, say "
        "so with --allow-archive-reuse"
    )
