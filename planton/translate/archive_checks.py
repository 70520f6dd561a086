"""Databases that would destroy each other's archive: in a set, with live ones, and by cloning.

Of two databases with one archive, each overwrites the other's WAL. An archive *inside* another one is no better: the
retention of the outer one deletes in every folder below its prefix, by the numbers in the names alone (wal-g v3.0.5 and
v3.0.8, internal/delete_handler.go, DeleteBeforeTarget; internal/databases/postgres/delete.go,
timelineAndSegmentNoLess), and finds the backups and the WAL of the inner one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planton.errors import Problem
from planton.translate.archive import ArchiveIdentity
from planton.translate.backup import environment_of
from planton.translate.effective_archive import archive_of
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.live_checks import Finding, Placed
from planton.translate.platform import BackupPlatform
from planton.translate.pod_variables import layered

SHARED = "two databases that archive to one place destroy each other's backups"
NESTED = (
    "wal-g deletes old backups in everything below an archive's prefix, so that the outer one's retention would delete "
    "backups and WAL of the inner one"
)
_NESTED_BOTH = "archives of which one lies inside the other"


@dataclass(frozen=True, slots=True)
class _Clash:
    """Two archives that must not be.

    Attributes:
        owner: Who has the other one.
        has: What the one has, in front of the other's name.
        both: What the two have.
        why: Why that is bad.
    """

    owner: str
    has: str
    both: str
    why: str


class _Taken:
    """Archives that are taken, with those who have them: their text, which names them, is made where it is needed."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], object] = {}
        self._inside: dict[tuple[str, str], object] = {}

    def take(self, archive: ArchiveIdentity, owner: object) -> _Clash | None:
        """Takes an archive for somebody; gives what it clashes with, of those that were taken before."""
        owners, inside = self._owners, self._inside
        clash = None
        if archive in owners:
            clash = _Clash(str(owners[archive]), "the same archive as", "the same archive", SHARED)
        above = archive.above()
        for outer in above:
            if clash is None and outer in owners:
                clash = _Clash(str(owners[outer]), "its archive inside that of", _NESTED_BOTH, NESTED)
        if clash is None and archive in inside:
            clash = _Clash(str(inside[archive]), "its archive around that of", _NESTED_BOTH, NESTED)
        owners.setdefault(archive, owner)
        for outer in above:
            if outer in inside:
                break  # All that are above it are there, too.
            inside[outer] = owner
        return clash


def _archive_under(database: ExistingDatabase, inherited: Mapping[str, str]) -> ArchiveIdentity | None:
    environment = layered(database.environment, inherited)
    return archive_of(environment, name=database.name, namespace=database.namespace, version=database.version)


def archive_problems(
    databases: Sequence[tuple[Placed, ArchiveIdentity]],
    others: Sequence[ExistingDatabase],
    platform: BackupPlatform | None,
) -> Iterator[Problem]:
    """Finds databases of the set that would destroy each other's archive, or that of a live one.

    Args:
        databases: The databases of the set that have an archive, with it.
        others: The live databases that the set leaves as they are.
        platform: The backup platform in force.

    Yields:
        A problem for each clash; it names both sides.
    """
    taken = _Taken()
    inherited = environment_of(platform) if others and platform is not None else {}
    for live in others:
        if archive := _archive_under(live, inherited):
            taken.take(archive, f"the live database {live.namespace}/{live.name}")
    for one, archive in databases:
        if clash := taken.take(archive, one):
            spec: Any = one.message.spec
            own = spec.HasField("backup_config") and spec.backup_config.HasField("s3_prefix")
            yield Problem(
                f"has {clash.has} {clash.owner}: {clash.why}. Give one of them a "
                "spec.backup_config.s3_prefix of its own",
                "spec.backup_config.s3_prefix" if own else "metadata.name",
                one.origin,
                one.subject,
            )


def live_archive_problems(
    placed: Placed,
    others: Sequence[ExistingDatabase],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Finding]:
    """Finds live databases that an operator's manifest would bring together in one archive.

    Args:
        placed: The operator.
        others: The live databases that the set leaves as they are.
        platform: The platform that the operator makes.
        existing: Facts of the cluster.

    Yields:
        What is wrong, for each clash.
    """
    taken = _Taken()
    places: dict[str, ArchiveIdentity | None] = {}
    if existing.inherited is not None:
        for live in others:
            places[f"{live.namespace}/{live.name}"] = _archive_under(live, existing.inherited)
    inherited = environment_of(platform) if others and platform is not None else {}
    for live in others:
        archive = _archive_under(live, inherited)
        if archive is None:
            continue
        if clash := taken.take(archive, f"{live.namespace}/{live.name}"):
            problem = Problem(
                f"gives the live databases {clash.owner} and {live.namespace}/{live.name} {clash.both}: {clash.why}. "
                "Put $(POD_NAMESPACE) into the template, or give one of them a prefix of its own",
                "spec.backup_config.s3_prefix_template",
                placed.origin,
                placed.subject,
            )
            both = (places.get(one) for one in (clash.owner, f"{live.namespace}/{live.name}"))
            yield Finding(problem, _meet(*both))


def _meet(one: ArchiveIdentity | None, other: ArchiveIdentity | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or one.is_within(other) or other.is_within(one)


def clone_warnings(others: Sequence[ExistingDatabase], platform: BackupPlatform | None) -> Iterator[Problem]:
    """Finds live databases of others that archive to where they were cloned from.

    Args:
        others: The live databases that the set leaves as they are.
        platform: The backup platform in force.

    Yields:
        A warning for each.
    """
    inherited = environment_of(platform) if others and platform is not None else {}
    for live in others:
        archive = _archive_under(live, inherited)
        source = archive_of(
            {**layered(live.environment, inherited), **live.clone},
            name=live.name,
            namespace=live.namespace,
            version=live.version,
            clone=True,
        )
        if archive is None or source is None:
            continue
        if archive == source or archive.is_within(source) or source.is_within(archive):
            yield Problem(
                f"the live database {live.namespace}/{live.name} archives to where it was cloned from ({archive}): its "
                "backups and those of its source destroy each other. Give it an archive of its own: another "
                "WALG_S3_PREFIX in its spec.env"
            )
