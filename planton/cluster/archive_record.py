"""The record of archives that databases left behind: read for a plan, written before an archive is left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from planton.cluster._connection import ApiError
from planton.cluster._resources import CONFIG_MAP, VOLUME_CLAIM, Key
from planton.cluster._server import Server
from planton.cluster._steps import Step, change_of
from planton.cluster.archives import Archives, version_of
from planton.cluster.changes import Change
from planton.cluster.order import Stage
from planton.errors import ClusterError
from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_record import (
    DELETED,
    MOVED,
    RECORD_CONFIGMAP,
    STOPPED,
    LeftArchive,
    in_the_way,
    is_full,
    read_record,
    record_object,
    reuse_refusal,
    with_left,
)
from planton.translate.contract import KubernetesObject

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What a set of objects means for the record.

    Attributes:
        key: Identity of the record.
        live: The record as it is; None where there is none.
        desired: The record as it has to be before anything else is written; None when it stays as it is.
        reuses: Why databases must not write where they are about to.
    """

    key: Key
    live: KubernetesObject | None = field(default=None, repr=False)
    desired: KubernetesObject | None = field(default=None, repr=False)
    reuses: tuple[str, ...] = ()


def read_record_change(server: Server, archives: Archives) -> RecordChange | None:
    """Finds archives that a set of objects leaves behind, and those that it would write to again.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves, before and after.

    Returns:
        What it means for the record; None when no database begins, moves or stops archiving.

    Raises:
        ClusterError: The server refused, or the record is full.
    """
    moving = {key: archives.moves(key) for key in sorted(archives.live.keys() | archives.desired.keys())}
    moving = {key: (start, end) for key, (start, end) in moving.items() if start != end}
    if not moving or not archives.namespace:
        return None
    place = Key(CONFIG_MAP, archives.namespace, RECORD_CONFIGMAP)
    live = server.get(place)
    data = (live or {}).get("data") or {}
    record = read_record(data)
    reuses = []
    for key, (_, end) in moving.items():
        if end is not None and (left := _in_the_way(server, record, key, end, key in archives.live)):
            reuses.append(reuse_refusal(key.subject, end, left, key.namespace, key.name))
    leaving = [
        _left(archives.live[key], start, MOVED if end else STOPPED)
        for key, (start, end) in moving.items()
        if start is not None and key in archives.live
    ]
    desired = _changed(place, data, leaving)
    return RecordChange(place, live, desired, tuple(reuses))


def _in_the_way(
    server: Server, record: Sequence[LeftArchive], key: Key, archive: ArchiveIdentity, is_alive: bool
) -> LeftArchive | None:
    left = in_the_way(record, archive, key.namespace, key.name, has_its_data=is_alive)
    if left is None or is_alive:
        return left
    of_others = in_the_way(record, archive, key.namespace, key.name, has_its_data=True)
    if of_others is not None:
        return of_others
    return None if _has_volume(server, key) else left


def _has_volume(server: Server, key: Key) -> bool:
    """Whether the first pod of a new database will find its data directory: a StatefulSet takes claims by their name.

    Pod 0 is the first to start, and makes a new database where it finds none (Patroni's bootstrap).
    """
    claims = server.list(VOLUME_CLAIM, key.namespace, metadata_only=True) or ()
    name = re.compile(rf"pgdata-{re.escape(key.name)}-0", re.ASCII)
    return any(
        name.fullmatch(str(one["metadata"]["name"])) and not one["metadata"].get("deletionTimestamp") for one in claims
    )


def _left(database: KubernetesObject, archive: ArchiveIdentity, why: str) -> LeftArchive:
    metadata = database["metadata"]
    return LeftArchive(
        archive.store, archive.prefix, str(metadata["namespace"]), str(metadata["name"]), version_of(database), why
    )


def _changed(key: Key, data: Mapping[str, str], left: Iterable[LeftArchive]) -> KubernetesObject | None:
    """The record with what is left; None when it stays as it is."""
    wanted = with_left(data, left)
    if wanted == data:
        return None
    if is_full(wanted):
        raise ClusterError(
            "the record of archives that databases left behind is full",
            subject=key.subject,
            phase="plan",
            remedy="Take the keys of archives out of it that were emptied.",
        )
    return record_object(key.namespace, wanted)


def deletion_step(server: Server, archives: Archives, databases: Iterable[Key]) -> Step | None:
    """Makes the step that remembers the archives of databases that are about to be deleted.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves.
        databases: Identities of their custom resources.

    Returns:
        The step, to be carried out by `write_record` before anything goes; None when nothing has to be remembered.

    Raises:
        ClusterError: The server refused, or the record is full.
    """
    going = [(key, archives.moves(key)[0]) for key in databases if key in archives.live]
    left = [_left(archives.live[key], archive, DELETED) for key, archive in going if archive is not None]
    if not left or not archives.namespace:
        return None
    key = Key(CONFIG_MAP, archives.namespace, RECORD_CONFIGMAP)
    live = server.get(key)
    desired = _changed(key, (live or {}).get("data") or {}, left)
    if desired is None:
        return None
    change = change_of(
        key,
        "configured" if live else "created",
        reason="remembers the archives that stay, so that no new database writes into them",
    )
    return Step(key, change, Stage.SECRETS, 0, desired=desired, live=live)


def write_record(server: Server, step: Step) -> Change:
    """Writes the record of a delete, whatever else was written into it meanwhile.

    Args:
        server: The API server.
        step: Made by `deletion_step`.

    Returns:
        What was done.

    Raises:
        ClusterError: The server refused.
    """
    wanted = (step.desired or {}).get("data") or {}
    known = ((step.live or {}).get("data")) or {}
    fresh = {name: value for name, value in wanted.items() if known.get(name) != value}
    for _ in range(_ROUNDS):
        live = server.get(step.key)
        data = {**((live or {}).get("data") or {}), **fresh}
        obj = record_object(step.key.namespace, data)
        if live is not None:
            version = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
            obj = {**obj, "metadata": {**obj["metadata"], **version}}
        try:
            server.apply(step.key, obj, force=True)
        except ApiError as error:
            if error.status != 409:
                raise
            continue
        return step.change
    raise ClusterError(
        "it changes faster than it can be written",
        subject=step.key.subject,
        phase="delete",
        remedy="Find out what writes to it, then run the same command again.",
    )
