"""The record of archives of databases: read for a plan, written before an archive is left or taken."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from planton.catalogue.times import not_after
from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CONFIG_MAP, VOLUME_CLAIM, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archives import Archives, version_of
from planton.cluster.backups.encryption import written_with
from planton.cluster.backups.left_access import live_facts
from planton.cluster.changes import Change
from planton.cluster.planning.ahead import Ahead
from planton.cluster.planning.order import Stage
from planton.cluster.planning.stale import changed, only_new, only_over
from planton.cluster.planning.steps import Step, change_of
from planton.cluster.rounds import Rounds
from planton.errors import ClusterError
from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_record import (
    DELETED,
    MOVED,
    RECORD_CONFIGMAP,
    STOPPED,
    TAKEN,
    UNKNOWN,
    LeftArchive,
    by_place,
    elsewhere,
    in_the_way,
    is_full,
    read_record,
    record_object,
    reuse_refusal,
    with_left,
    with_taken,
)
from planton.translate.contract import KubernetesObject


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What a set of objects means for the record.

    Attributes:
        key: Identity of the record.
        live: The record as it is; None where there is none.
        desired: The record as it has to be before anything else is written; None when it stays as it is.
        reuses: Why databases must not write where they are about to.
        resumes: Databases that go on in an archive of their own -> how it is encrypted, and where the key is.
        is_needed: Whether an archive is left, so that nothing may be written without the record.
        left_out: How many archives in use have no room in it.
    """

    key: Key
    live: KubernetesObject | None = field(default=None, repr=False)
    desired: KubernetesObject | None = field(default=None, repr=False)
    reuses: tuple[str, ...] = ()
    resumes: Mapping[Key, tuple[str, str]] = field(default_factory=dict)
    is_needed: bool = False
    left_out: int = 0


def begin_record(ahead: Ahead, server: Server, archives: Archives) -> None:
    """Begins to read the record, where a plan will probably want to know what is in it.

    Args:
        ahead: Where it is begun.
        server: The API server.
        archives: What databases inherit and say themselves, before and after.
    """
    if archives.namespace and (archives.live or archives.desired):
        ahead.begin_one(server, Key(CONFIG_MAP, archives.namespace, RECORD_CONFIGMAP))


def read_record_change(server: Server, archives: Archives, ahead: Ahead | None = None) -> RecordChange | None:
    """Finds archives that a set of objects leaves behind, and those that it would write to again.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves, before and after.
        ahead: Where the record was begun.

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
    live = (ahead or Ahead()).get(server, place)
    data = (live or {}).get("data") or {}
    record = read_record(data)
    at, of = by_place(record), defaultdict(list)
    for one in record:
        of[one.namespace, one.name].append(one)
    reuses = []
    resumes = {}
    leaving: list[LeftArchive] = []
    for key, (_, end) in moving.items():
        if end is None:
            continue
        mine = of.get((key.namespace, key.name), ())
        leaving += elsewhere(mine, end, key.namespace, key.name)
        if left := _in_the_way(server, at.get(end, ()), key, end, key in archives.live):
            reuses.append(reuse_refusal(key.subject, end, left, key.namespace, key.name))
        elif own := _own(mine, key, end):
            resumes[key] = (own.encryption, own.key_in)
    starts = [(key, start, end) for key, (start, end) in moving.items() if start is not None and key in archives.live]
    # After what the record says of the same archives: only these have what is needed to read one.
    leaving += results(
        in_parallel(lambda one: _left(server, archives, one[0], one[1], MOVED if one[2] else STOPPED), starts)
    )
    desired, left_out = _changed(place, data, leaving, _taken(archives, moving, only_live=bool(leaving)))
    return RecordChange(place, live, desired, tuple(reuses), resumes, bool(leaving), left_out)


def with_all_in_use(
    server: Server, archives: Archives, record: RecordChange | None, ahead: Ahead | None = None
) -> RecordChange | None:
    """Adds the archives of all databases that are alive, for a plan that changes something anyway.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves, before and after.
        record: What was found so far.
        ahead: Where the record was begun.

    Returns:
        The same with them; None where there is no operator.

    Raises:
        ClusterError: The server refused.
    """
    keys = archives.live.keys() | archives.desired.keys()
    taken = _taken(archives, keys, only_live=record is not None and record.is_needed)
    if not archives.namespace or not taken:
        return record
    if record is None:
        record = _as_it_is(server, archives, ahead)
        if record is None:
            return None
    data = (record.desired or record.live or {}).get("data") or {}
    desired, left_out = _changed(record.key, data, (), taken)
    return replace(record, desired=desired or record.desired, left_out=left_out)


def with_unwritten(
    server: Server, archives: Archives, keys: Iterable[Key], ahead: Ahead | None = None
) -> RecordChange | None:
    """Adds archives of databases that are applied and of which the record is wrong, for a plan of nothing else.

    An apply that is killed when its databases are there, and not yet in the record, leaves nothing else to be done.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves, before and after.
        keys: Identities of the objects of the set.
        ahead: Where the record was begun.

    Returns:
        What it means for the record; None when the set has nothing to do with it.

    Raises:
        ClusterError: The server refused.
    """
    taken = _taken(archives, [key for key in keys if key in archives.desired], only_live=True)
    if not archives.namespace or not taken:
        return None
    record = _as_it_is(server, archives, ahead)
    data = (record.live or {}).get("data") or {} if record is not None else {}
    # Not by their keys in the record, which say no more and take long to make.
    there = {(one.archive, one.namespace, one.name): one.encryption for one in read_record(data)}
    # Of those that are there, what counts is that the key by which they are read is told.
    written = [(one, there.get((one.archive, one.namespace, one.name))) for one in taken]
    missing = [one for one, known in written if known is None or one.encryption not in (UNKNOWN, known)]
    if record is None or not missing:
        return record
    desired, left_out = _changed(record.key, data, (), missing)
    return replace(record, desired=desired, left_out=left_out)


def _as_it_is(server: Server, archives: Archives, ahead: Ahead | None) -> RecordChange | None:
    """The record without a change; None without permission: nothing depends on it then."""
    place = Key(CONFIG_MAP, archives.namespace, RECORD_CONFIGMAP)
    try:
        return RecordChange(place, (ahead or Ahead()).get(server, place))
    except ApiError as error:
        if error.status != 403:
            raise
        return None


def _taken(archives: Archives, keys: Iterable[Key], *, only_live: bool) -> list[LeftArchive]:
    """The archives in use, without those of new databases where the record is written before these are.

    An apply that is killed in between would leave word of a database that never was, and refuse to make it next time.
    """
    keys = [key for key in keys if key in archives.live or not only_live]
    found = [(key, archives.moves(key)[1]) for key in sorted(keys)]
    return [_entry(archives, key, archive, TAKEN) for key, archive in found if archive is not None]


def _own(record: Iterable[LeftArchive], key: Key, archive: ArchiveIdentity) -> LeftArchive | None:
    return next(
        (one for one in record if one.archive == archive and (one.namespace, one.name) == (key.namespace, key.name)),
        None,
    )


def _in_the_way(
    server: Server, record: Sequence[LeftArchive], key: Key, archive: ArchiveIdentity, is_alive: bool
) -> LeftArchive | None:
    left = in_the_way(record, archive, key.namespace, key.name, has_its_data=is_alive)
    if left is None or is_alive:
        return left
    of_others = in_the_way(record, archive, key.namespace, key.name, has_its_data=True)
    if of_others is not None:
        return of_others
    return None if has_volume(server, key) else left


def has_volume(server: Server, key: Key) -> bool:
    """Whether the first pod of a new database will find its data directory: a StatefulSet takes claims by their name.

    Pod 0 is the first to start, and makes a new database where it finds none (Patroni's bootstrap).

    Args:
        server: The API server.
        key: Identity of the custom resource.

    Returns:
        True where there is a volume with its data.

    Raises:
        ClusterError: The server refused.
    """
    claims = server.list(VOLUME_CLAIM, key.namespace, metadata_only=True) or ()
    name = re.compile(rf"pgdata-{re.escape(key.name)}-0", re.ASCII)
    return any(
        name.fullmatch(str(one["metadata"]["name"])) and not one["metadata"].get("deletionTimestamp") for one in claims
    )


def _left(server: Server, archives: Archives, key: Key, archive: ArchiveIdentity, why: str) -> LeftArchive:
    """An entry of an archive that a live database leaves, with what is needed to read it without the database."""
    return replace(
        _entry(archives, key, archive, why),
        left_at=not_after(datetime.now(UTC)),
        reading=live_facts(server, archives, key),
    )


def _entry(archives: Archives, key: Key, archive: ArchiveIdentity, why: str) -> LeftArchive:
    is_taken = why == TAKEN
    database = archives.desired.get(key) if is_taken else archives.live.get(key)
    written = written_with(archives, key, after=is_taken)
    version = version_of(database or archives.live[key])
    return LeftArchive(archive.store, archive.prefix, key.namespace, key.name, version, why, *written)


def _changed(
    key: Key, data: Mapping[str, str], left: Iterable[LeftArchive], taken: Iterable[LeftArchive] = ()
) -> tuple[KubernetesObject | None, int]:
    """The record with what is left and what is in use, None when it stays as it is; and how much has no room in it."""
    left = list(left)
    needed = with_left(data, left)
    if is_full(needed):
        needed = with_left(data, [replace(one, reading=None) for one in left])
    if needed != data and is_full(needed):
        raise ClusterError(
            "the record of archives of databases is full",
            subject=key.subject,
            phase="plan",
            remedy="Take the keys of archives out of it that were emptied.",
        )
    wanted, left_out = with_taken(needed, taken)
    return record_object(key.namespace, wanted) if wanted != data else None, left_out


def left_by_deletion(server: Server, archives: Archives, databases: Iterable[Key]) -> list[LeftArchive]:
    """Says which archives live databases leave behind when they are deleted.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves.
        databases: Identities of their custom resources.

    Returns:
        One for each of them that is there and has an archive.

    Raises:
        ClusterError: The server refused.
    """
    going = [(key, archives.moves(key)[0]) for key in databases if key in archives.live]
    leaving = [(key, archive) for key, archive in going if archive is not None]
    return results(in_parallel(lambda one: _left(server, archives, *one, DELETED), leaving))


def deletion_step(server: Server, namespace: str, left: Sequence[LeftArchive]) -> Step | None:
    """Makes the step that remembers the archives of databases that are about to be deleted.

    Args:
        server: The API server.
        namespace: Namespace of the operator; empty without one.
        left: What `left_by_deletion` gave.

    Returns:
        The step, to be carried out by `write_record` before anything goes; None when nothing has to be remembered.

    Raises:
        ClusterError: The server refused, or the record is full.
    """
    if not left or not namespace:
        return None
    key = Key(CONFIG_MAP, namespace, RECORD_CONFIGMAP)
    live = server.get(key)
    desired, _ = _changed(key, (live or {}).get("data") or {}, left)
    if desired is None:
        return None
    change = change_of(
        key,
        "configured" if live else "created",
        reason="remembers the archives that stay, and how they are read, so that no new database writes into them",
    )
    return Step(key, change, Stage.SECRETS, 0, desired=desired, live=live)


def is_addition(step: Step) -> bool:
    """Tells whether a step only adds archives that databases take, and can be carried out beside those of others.

    Args:
        step: A step of a plan.

    Returns:
        False for every other step.
    """
    if step.key.resource is not CONFIG_MAP or step.key.name != RECORD_CONFIGMAP or step.desired is None:
        return False
    return all(one.why == TAKEN for one in read_record(_fresh(step)))


def _fresh(step: Step) -> dict[str, str]:
    known = (step.live or {}).get("data") or {}
    wanted = (step.desired or {}).get("data") or {}
    return {name: value for name, value in wanted.items() if known.get(name) != value}


def write_record(server: Server, step: Step) -> Change:
    """Writes the record, whatever else was written into it meanwhile.

    Args:
        server: The API server.
        step: Made by `deletion_step`, or one that only adds archives.

    Returns:
        What was done.

    Raises:
        ClusterError: The server refused, or somebody took an archive meanwhile that a database is about to take.
    """
    fresh = _fresh(step)
    rounds = Rounds()
    while rounds.again():
        rounds.saw(live := server.get(step.key))
        now = (live or {}).get("data") or {}
        if is_addition(step):
            _check_additions(step, fresh, now)
        obj = record_object(step.key.namespace, {**now, **fresh})
        # All applies are one manager: what of it is there and not sent would go, also what another one has just made.
        obj = only_over(obj, live) if live is not None else only_new(obj)
        try:
            server.apply(step.key, obj, force=True)
        except ApiError as error:
            if error.status != 409:
                raise
            continue
        return step.change
    raise rounds.failed(step.key.subject, server.phase)


def _check_additions(step: Step, fresh: Mapping[str, str], now: Mapping[str, str]) -> None:
    known = (step.live or {}).get("data") or {}
    changed_since = {name: text for name, text in now.items() if known.get(name) != text and fresh.get(name) != text}
    others = read_record(changed_since)
    for one in read_record(fresh):
        for other in others:
            if other.archive == one.archive or other.archive.is_within(one.archive):
                who = f"{one.namespace}/{one.name}"
                raise changed(
                    step.key, [f"{who} would archive to {one.archive}: {other.prefix} is by now that of {other}"]
                )
