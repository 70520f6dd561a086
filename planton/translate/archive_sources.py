"""Finds the archive from which a database starts or which it follows: by the name of its database, or by its place.

By name it is one of the same set, else one that is alive in the cluster. Translation does not go looking: those of the
set are put into the facts for all of its messages (set_sources), and those of the cluster by whoever reads it
(wanted_sources says which).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from planton.errors import Problem
from planton.translate.archive import resolve
from planton.translate.archive_access import ArchiveAccess, FoundSource, access_from, access_of
from planton.translate.database_backup import DEFAULT_TEMPLATE, database_backup
from planton.translate.database_facts import operator_of, source_message
from planton.translate.existing import Existing
from planton.translate.names import NAMESPACE_LABEL, cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.variables import Variable, effective
from planton.types import PostgresKubernetes, PostgresKubernetesArchiveLocation, Resource

Asked = tuple[str, str]
"""Namespace, empty where none is said, and name, as a manifest asks for a database."""

_OFF = "has no archive: its backups are off, so that there is nothing to restore from and nothing to follow"


@dataclass(frozen=True, slots=True)
class Source:
    """An archive that a manifest asks for.

    Attributes:
        access: How it is reached; None when it cannot be used.
        errors: Why not.
        warnings: What is worth saying of it.
    """

    access: ArchiveAccess | None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def _asked(message: Resource) -> Asked | None:
    source = source_message(message) if isinstance(message, PostgresKubernetes) else None
    if source is None or not source.HasField("database"):
        return None
    return source.database.namespace, source.database.name


def _by_name(messages: Iterable[Resource]) -> Mapping[str, list[PostgresKubernetes]]:
    found: dict[str, list[PostgresKubernetes]] = defaultdict(list)
    for message in messages:
        if isinstance(message, PostgresKubernetes):
            found[message.metadata.name].append(message)
    return found


def wanted_sources(messages: Sequence[Resource]) -> dict[Asked, list[PostgresKubernetes]]:
    """Says which databases clones and standbys of a set ask for that are not in it.

    Args:
        messages: The set.

    Returns:
        Namespace (empty where none is said) and name -> who asks.
    """
    known = _by_name(messages)
    wanted: dict[Asked, list[PostgresKubernetes]] = defaultdict(list)
    for message in messages:
        asked = _asked(message)
        if asked is None or not isinstance(message, PostgresKubernetes):
            continue
        if not any(asked[0] in ("", namespace_of(one)) for one in known.get(asked[1], ())):
            wanted[asked].append(message)
    return dict(wanted)


def with_set_sources(messages: Sequence[Resource], platform: BackupPlatform | None, existing: Existing) -> Existing:
    """Adds the archives of databases of a set for which others of the set ask.

    Args:
        messages: The set, with its defaults filled.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Returns:
        The facts with those archives, which overrule those of the cluster.
    """
    if not any(_asked(message) for message in messages):
        return existing
    known = _by_name(messages)
    found = dict(existing.sources)
    looked: set[Asked] = set()

    def look(asked: Asked) -> None:
        if asked in looked:
            return  # Also where databases ask for each other in a circle.
        looked.add(asked)
        space, name = asked
        candidates = [one for one in known.get(name, ()) if space in ("", namespace_of(one))]
        if len(candidates) > 1:
            spaces = ", ".join(sorted(namespace_of(one) for one in candidates))
            found[asked] = FoundSource(None, f"is the name of several databases here; say which namespace: {spaces}")
        elif candidates:
            # Its version may be that of its own source.
            if further := _asked(candidates[0]):
                look(further)
            access = access_of(candidates[0], platform, replace(existing, sources=found))
            found[asked] = FoundSource(access, "" if access is not None else _OFF)

    for message in messages:
        if asked := _asked(message):
            look(asked)
    return replace(existing, sources=found)


def live_source(access: ArchiveAccess | None, lacking: str = "") -> FoundSource:
    """Words what was found of a database of the cluster.

    Args:
        access: How its archive is reached; None without one.
        lacking: Why it cannot be used, where that is another reason.

    Returns:
        The source.
    """
    return FoundSource(access if not lacking else None, lacking or ("" if access is not None else _OFF))


def source_of(message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> Source:
    """Finds the archive from which a database starts or which it follows.

    Args:
        message: The database, which has a clone or a standby.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster and of the set, with the archives that were looked up.

    Returns:
        The archive, or why there is none.

    Raises:
        ValueError: The database has neither.
    """
    given = source_message(message)
    if given is None:
        raise ValueError("the database has neither a clone nor a standby")
    path = f"spec.{'clone' if message.spec.HasField('clone') else 'standby'}.source"
    if given.HasField("archive"):
        return _of_location(given.archive, message, f"{path}.archive", platform, existing)
    asked = (given.database.namespace, given.database.name)
    place = f"{path}.database.name"
    found = existing.sources.get(asked)
    if found is None:
        where = "is not among these manifests" + (" and not in the cluster" if existing.from_cluster else "")
        found = FoundSource(
            None, f"{where}: give its manifest too, or say where its archive is by archive in the place of database"
        )
    if found.access is None:
        return Source(None, (Problem(f'("{asked[1]}") {found.lacking}', place),))
    if (found.access.namespace, found.access.scope) == (namespace_of(message), cluster_name(message.metadata.name)):
        text = (
            "is this database itself: nothing is restored in place. Give the new one another name, or another "
            "namespace, and switch applications over to it"
        )
        return Source(None, (Problem(text, place),))
    return Source(found.access)


def _of_location(
    location: PostgresKubernetesArchiveLocation,
    message: PostgresKubernetes,
    path: str,
    platform: BackupPlatform | None,
    existing: Existing,
) -> Source:
    """Reads an archive by its place, by the rules of a database that archived there with these settings."""
    own_store = location.HasField("storage")
    if platform is None and not own_store:
        text = (
            "is missing, and no operator with backup_config is known here: give the operator's manifest too, or the "
            "storage and the credentials of the archive"
        )
        return Source(None, (Problem(text, f"{path}.storage"),))
    writer = _writer(location, message)
    facts = Existing(from_cluster=True, values=existing.values)
    backup = database_backup(writer, platform, facts, operator_of(platform, existing))
    errors = tuple(_moved(one, path) for one in backup.errors)
    # That its keys must be able to write there is of no interest to who reads.
    warnings = tuple(_moved(one, path) for one in backup.warnings if not one.path.endswith(".s3_prefix"))

    def written(name: str, value: str, source: str) -> Variable:
        resolved = resolve(value, scope=location.cluster_name, version=location.version, namespace="")
        return Variable(name, value, resolved, source)

    own = [written(name, value, "database") for name, value in backup.environment.items()]
    own += [Variable(name, None, None, "database", f"{backup.secret_name}/{name}") for name in backup.references]
    inherited = platform.credentials if platform is not None else None
    access = access_from(
        effective(own, platform, written),
        namespace="",
        scope=location.cluster_name,
        version=location.version,
        contents=[one for one in (inherited, backup.credentials) if one is not None],
        files=backup.files if own_store else platform.files if platform is not None else None,
    )
    if access is not None and "$(" in access.prefix and not errors:
        text = (
            f"would be {access.prefix}, in which a variable cannot be filled in: write s3_prefix with the namespace of "
            "that database in the place of $(POD_NAMESPACE)"
        )
        errors = (Problem(text, f"{path}.s3_prefix"),)
    return Source(None if errors else access, errors, warnings)


def _writer(location: PostgresKubernetesArchiveLocation, message: PostgresKubernetes) -> PostgresKubernetes:
    """Makes the manifest of a database that would archive in that place."""
    writer = PostgresKubernetes()
    writer.metadata.name = message.metadata.name
    # References to Secrets without a namespace mean that of the database in whose manifest they stand.
    writer.metadata.labels[NAMESPACE_LABEL] = namespace_of(message)
    writer.spec.version = location.version
    writer.spec.container.replicas = 2
    config = writer.spec.backup_config
    config.enable_backup = True
    config.enable_restore = True
    if location.HasField("storage"):
        config.storage.CopyFrom(location.storage)
        config.s3_prefix = f"/{DEFAULT_TEMPLATE}"
        config.encryption.none.SetInParent()
    if location.HasField("credentials"):
        config.credentials.CopyFrom(location.credentials)
    if location.HasField("encryption"):
        config.encryption.CopyFrom(location.encryption)
    if location.HasField("s3_prefix"):
        config.s3_prefix = location.s3_prefix
    return writer


def _moved(problem: Problem, path: str) -> Problem:
    return replace(problem, path=problem.path.replace("spec.backup_config", path, 1))
