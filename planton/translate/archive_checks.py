"""Databases that would destroy each other's archive: in a set, with live ones, and by cloning.

Of two databases with one archive, each overwrites the other's WAL. An archive *inside* another one is no better: the
retention of the outer one deletes in every folder below its prefix, by the numbers in the names alone (wal-g v3.0.5 and
v3.0.8, internal/delete_handler.go, DeleteBeforeTarget; internal/databases/postgres/delete.go,
timelineAndSegmentNoLess), and finds the backups and the WAL of the inner one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from planton.errors import Origin, Problem
from planton.translate.archive import ArchiveIdentity, identity
from planton.translate.database_facts import backup_of, postgres_version
from planton.translate.effective_archive import archive_of
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.live_checks import Finding, Placed, live_environment, not_rendered
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes

SHARED = "two databases that archive to one place destroy each other's backups"
NESTED = (
    "wal-g deletes old backups in everything below an archive's prefix, so that the outer one's retention would delete "
    "backups and WAL of the inner one"
)


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
    """Archives that are taken, with the names of those who have them."""

    def __init__(self) -> None:
        self._owners: dict[ArchiveIdentity, str] = {}
        self._inside: dict[ArchiveIdentity, str] = {}

    def take(self, archive: ArchiveIdentity, owner: str) -> None:
        self._owners.setdefault(archive, owner)
        for outer in archive.above():
            self._inside.setdefault(outer, owner)

    def clash(self, archive: ArchiveIdentity) -> _Clash | None:
        """Finds who an archive clashes with."""
        if archive in self._owners:
            return _Clash(self._owners[archive], "the same archive as", "the same archive", SHARED)
        both = "archives of which one lies inside the other"
        for outer in archive.above():
            if outer in self._owners:
                return _Clash(self._owners[outer], "its archive inside that of", both, NESTED)
        if archive in self._inside:
            return _Clash(self._inside[archive], "its archive around that of", both, NESTED)
        return None


def live_archive(database: ExistingDatabase, platform: BackupPlatform | None) -> ArchiveIdentity | None:
    """Gives the archive of a live database under a platform.

    Args:
        database: The custom resource, ours or not.
        platform: The backup platform.

    Returns:
        Its identity, or None without an archive.
    """
    return _archive_under(database, live_environment(database, platform))


def _archive_under(database: ExistingDatabase, inherited: Mapping[str, str]) -> ArchiveIdentity | None:
    environment = {**inherited, **database.environment}
    return archive_of(environment, name=database.name, namespace=database.namespace, version=database.version)


def archive_problems(
    databases: Sequence[Placed], platform: BackupPlatform | None, existing: Existing
) -> Iterator[Problem]:
    """Finds databases of the set that would destroy each other's archive, or that of a live one.

    Args:
        databases: The databases of the set.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Yields:
        A problem for each clash; it names both sides.
    """
    taken = _Taken()
    for live in not_rendered(databases, existing):
        if archive := live_archive(live, platform):
            taken.take(archive, f"the live database {live.namespace}/{live.name}")
    for one in databases:
        message = one.message
        if not isinstance(message, PostgresKubernetes):
            continue
        backup = backup_of(message, platform, existing)
        if not backup.prefix:
            continue
        archive = identity(
            backup.prefix,
            backup.endpoint,
            scope=cluster_name(message.metadata.name),
            version=postgres_version(message, existing),
            namespace=namespace_of(message),
        )
        if clash := taken.clash(archive):
            config = message.spec.backup_config
            own = message.spec.HasField("backup_config") and config.HasField("s3_prefix")
            yield Problem(
                f"has {clash.has} {clash.owner}: {clash.why}. Give one of them a "
                "spec.backup_config.s3_prefix of its own",
                "spec.backup_config.s3_prefix" if own else "metadata.name",
                one.origin,
                one.subject,
            )
        taken.take(archive, one.described)


def live_archive_problems(
    message: PostgresOperatorKubernetes,
    origin: Origin,
    databases: Sequence[Placed],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Finding]:
    """Finds live databases that an operator's manifest would bring together in one archive.

    Args:
        message: The operator.
        origin: Where it came from.
        databases: The databases of the set.
        platform: The platform that the operator makes.
        existing: Facts of the cluster.

    Yields:
        What is wrong, for each clash.
    """
    taken = _Taken()
    places: dict[str, ArchiveIdentity | None] = {}
    if existing.inherited is not None:
        for live in not_rendered(databases, existing):
            places[f"{live.namespace}/{live.name}"] = _archive_under(live, existing.inherited)
    for live in not_rendered(databases, existing):
        archive = live_archive(live, platform)
        if archive is None:
            continue
        if clash := taken.clash(archive):
            problem = Problem(
                f"gives the live databases {clash.owner} and {live.namespace}/{live.name} {clash.both}: {clash.why}. "
                "Put $(POD_NAMESPACE) into the template, or give one of them a prefix of its own",
                "spec.backup_config.s3_prefix_template",
                origin,
                Placed(message, origin).subject,
            )
            both = (places.get(one) for one in (clash.owner, f"{live.namespace}/{live.name}"))
            yield Finding(problem, _meet(*both))
        taken.take(archive, f"{live.namespace}/{live.name}")


def _meet(one: ArchiveIdentity | None, other: ArchiveIdentity | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or one.is_within(other) or other.is_within(one)


def clone_warnings(
    databases: Sequence[Placed], platform: BackupPlatform | None, existing: Existing
) -> Iterator[Problem]:
    """Finds live databases of others that archive to where they were cloned from.

    Args:
        databases: The databases of the set.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Yields:
        A warning for each.
    """
    for live in not_rendered(databases, existing):
        archive = live_archive(live, platform)
        source = archive_of(
            {**live_environment(live, platform), **live.clone},
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
