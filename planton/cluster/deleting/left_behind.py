"""Looks into the archives that a delete leaves behind, and says for each database how one comes back to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from planton.catalogue.model import Catalogue
from planton.cluster.api.resources import POD, SECRET, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archive_record import left_by_deletion
from planton.cluster.backups.archives import Archives
from planton.cluster.backups.left_access import inherited_facts, read_left_archives, secrets_of
from planton.cluster.changes import DeleteOptions
from planton.cluster.deleting.deletion_checks import CLUSTER_LABEL, Target
from planton.cluster.deleting.remaining import (
    ReadArchive,
    Remaining,
    effects_of,
    is_standby,
    is_started,
    remaining_of,
    restored_name,
    volume_reasons,
)
from planton.cluster.patroni import member_of, read_patroni
from planton.errors import StoreError
from planton.translate.archive_record import LeftArchive
from planton.translate.left_access import facts_of_left
from planton.translate.reading_facts import ReadingFacts
from planton.translate.restore_manifest import RestoreManifest, restore_manifest


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What a delete leaves of one database.

    Attributes:
        target: The database.
        left: Its archive; None when it has none, or none is known.
        remaining: What is in it.
    """

    target: Target
    left: LeftArchive | None
    remaining: Remaining = field(repr=False)

    def read_again(self, found: Catalogue | StoreError | None) -> Remaining:
        """Says what remains by another look into the archive.

        Args:
            found: What was found there.

        Returns:
            What remains.
        """
        if self.left is None:
            return self.remaining
        was = self.remaining
        fresh = remaining_of(found, self.left, name=was.name, lost=was.lost_secrets, identifier=was.identifier)
        return replace(fresh, manifest=self.remaining.manifest)


def archives_left(
    server: Server, targets: Sequence[Target], archives: Archives, operator_namespace: str
) -> dict[Key, LeftArchive]:
    """Finds the archives of databases that are deleted, or were.

    Args:
        server: The API server.
        targets: The databases.
        archives: What databases inherit and say themselves.
        operator_namespace: Where the record is; empty without an operator.

    Returns:
        Identity of the custom resource -> its archive: of a live one as it is now, of one that is gone by the record.

    Raises:
        ClusterError: The server refused.
    """
    live = [one.key for one in targets if one.live is not None]
    left = {(one.namespace, one.name): one for one in left_by_deletion(server, archives, live)}
    for target in targets:
        if target.live is None:
            known = read_left_archives(server, operator_namespace, target.name, target.namespace, exact=True)
            if len(known) == 1:
                left[target.namespace, target.name] = known[0]
    return {one.key: left[one.namespace, one.name] for one in targets if (one.namespace, one.name) in left}


def look_into(
    server: Server,
    targets: Sequence[Target],
    lefts: Mapping[Key, LeftArchive],
    archives: Archives,
    *,
    operator_namespace: str,
    going: Collection[tuple[str, str]],
    read_archive: ReadArchive | None,
    use_configmaps: bool = True,
) -> tuple[LeftBehind, ...]:
    """Looks into the archives of databases, and says what remains of each.

    Args:
        server: The API server.
        targets: The databases.
        lefts: Their archives.
        archives: What databases inherit and say themselves.
        operator_namespace: Namespace of the operator; empty without one.
        going: Namespace and name of every Secret that goes.
        read_archive: Reads an archive; None looks into none.
        use_configmaps: Whether Patroni keeps its state in ConfigMaps.

    Returns:
        One for each database, in their order.

    Raises:
        ClusterError: The server refused.
    """
    inherited = inherited_facts(server, archives) if any(one.reading is None for one in lefts.values()) else None

    def look(target: Target) -> LeftBehind:
        left = lefts.get(target.key)
        name, namespace = target.message.metadata.name, target.namespace
        if left is None:
            return LeftBehind(target, None, Remaining(namespace, name, "", "none" if target.live else "unknown"))
        if target.live is not None and is_standby(target.live) and not _is_primary(server, target):
            return LeftBehind(target, left, Remaining(namespace, name, str(left.archive), "standby"))
        facts = facts_of_left(left, inherited)
        places = _places(server, facts, operator_namespace, going) if facts is not None else {}
        lost = tuple(f"{space}/{secret}" for (space, secret), place in places.items() if place is None)
        found = read_archive(target.key) if read_archive is not None else None
        identifier = 0
        if target.live is not None:
            identifier = read_patroni(server, namespace, target.name, use_configmaps=use_configmaps).system_identifier
        remaining = remaining_of(found, left, name=name, lost=lost, identifier=identifier)
        manifest = _manifest(target, left, facts, places, found) if facts is not None else None
        return LeftBehind(target, left, replace(remaining, manifest=manifest))

    return tuple(results(in_parallel(look, targets)))


def _is_primary(server: Server, target: Target) -> bool:
    """Whether a standby was promoted by other means than its custom resource, and has data of its own since."""
    pods = server.list(POD, target.namespace, labels=f"{CLUSTER_LABEL}={target.name}") or ()
    return any(member_of(pod).is_primary for pod in pods)


def _places(
    server: Server, facts: ReadingFacts, operator_namespace: str, going: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, str] | None]:
    """Where each Secret that an archive needs will be in the end; None for nowhere."""

    def stays(place: tuple[str, str]) -> bool:
        return place not in going and server.get(Key(SECRET, *place)) is not None

    return {
        one: next((place for place in candidates if stays(place)), None)
        for one, candidates in secrets_of(facts, operator_namespace).items()
    }


def _manifest(
    target: Target,
    left: LeftArchive,
    facts: ReadingFacts,
    places: Mapping[tuple[str, str], tuple[str, str] | None],
    found: Catalogue | StoreError | None,
) -> RestoreManifest:
    current = found.current if isinstance(found, Catalogue) else None
    version = left.version or (current.version if current is not None else "")
    live = ((target.live or {}).get("spec") or {}).get("volume") or {}
    size = str(live.get("size") or "".join(target.message.spec.container.disk_size.split()))
    return restore_manifest(
        replace(left, version=version),
        facts,
        name=restored_name(target.message.metadata.name),
        disk_size=size,
        find=lambda space, name: places.get((space, name)),
    )


def said_of(behind: LeftBehind, options: DeleteOptions, now: datetime) -> tuple[str, ...]:
    """Says for the plan what remains of a database.

    Args:
        behind: What is left of it.
        options: What may go.
        now: The time, in UTC.

    Returns:
        Sentences without a full stop.
    """
    live = behind.target.live
    said = effects_of(behind.remaining, live=live, now=now)
    if live is None or behind.left is None or not is_started(live) or is_standby(live):
        return tuple(said)
    if options.last_backup:
        said.insert(
            0,
            "before anything is deleted a last base backup is made and waited for; retention runs after it, as always. "
            "It brings back what is committed up to its end; what comes later is in the WAL that PostgreSQL archives "
            "when it shuts down",
        )
    else:
        said.append("no last base backup is made; --last-backup makes one before anything is deleted")
    return tuple(said)


def refusals(behinds: Sequence[LeftBehind], options: DeleteOptions, now: datetime) -> list[str]:
    """Says why a delete is not begun, for the sake of the data.

    Args:
        behinds: What is left of each database.
        options: What may go.
        now: The time, in UTC.

    Returns:
        Reasons, each with its remedy.
    """
    reasons = []
    for one in behinds:
        live, remaining = one.target.live, one.remaining
        if options.last_backup and live is not None:
            subject = one.target.key.subject
            if one.left is None:
                reasons.append(f"{subject} has no archive to which a last backup could go: leave --last-backup out")
            elif not is_started(live):
                reasons.append(
                    f"{subject} is stopped, so that no last backup can be made: start it, or leave --last-backup out"
                )
        # One that is gone has made its last backup already, or never will.
        will_make = options.last_backup and live is not None
        if options.volumes and not options.without_backup and one.target.claims:
            reasons += volume_reasons(remaining, live=live, left=one.left, last_backup=will_make, now=now)
    return reasons
