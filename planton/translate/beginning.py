"""How a database begins: empty, from the archive of another one (clone), or following it (standby).

Clone and standby are told to Spilo by variables of the custom resource, and a standby to the operator by
`spec.standby`, too.

**A clone is a fact of birth.** Spilo reads CLONE_… when it makes the data directory, and never again. A change of these
variables would do nothing but restart the pods. So for a custom resource that exists they stay as they are there,
whatever a manifest says.

**Promotion** is the operator's doing: once `spec.standby` is gone it takes `standby_cluster` out of Patroni's
configuration, and PostgreSQL then fetches what the source's archive still has before it opens for writing. But it looks
after the StatefulSet first (postgres-operator v1.15.1, pkg/cluster/sync.go and cluster.go, Sync and Update): were the
environment another one, the pod would restart before, without the variables by which it reads the source, and open
without the WAL that it has not fetched yet. So all STANDBY_… variables stay, those that the operator has made from
`spec.standby` included, which are ours from then on; the order in the list does not count (compareEnv). Afterwards they
mean nothing: Spilo passes them to Patroni for the making of a new cluster only (bootstrap.dcs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planton.errors import Problem
from planton.translate.archive import ArchiveIdentity, identity, resolve
from planton.translate.archive_access import ArchiveAccess
from planton.translate.archive_sources import source_of
from planton.translate.birth import Birth
from planton.translate.contract import KubernetesObject
from planton.translate.database_backup import DatabaseBackup
from planton.translate.database_facts import backup_of, postgres_version
from planton.translate.existing import Existing, ExistingDatabase, secret_reference
from planton.translate.generation import STANDBY_GENERATION, generations_of, told_generation
from planton.translate.names import (
    RESTORED_FROM_ANNOTATION,
    cluster_name,
    namespace_of,
    source_files_secret,
)
from planton.translate.platform import BackupPlatform
from planton.translate.secret_values import Credentials
from planton.translate.source_reading import literal, source_reading
from planton.translate.variables import Variable
from planton.types import PostgresKubernetes

_SWITCH = "CLONE_USE_WALG_RESTORE"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a database's custom resource has for it.

    Attributes:
        entries: Variable -> its entry in `spec.env`.
        dropped: Variables that must not come from anywhere else in the manifest.
        volumes: Entries of `spec.additionalVolumes`.
        secrets: Name -> contents of the database's own Secrets for reading its source.
        generations: Name of such a Secret -> how often its credentials have changed, where they have.
        sources: Key of such a Secret of a standby -> `namespace/name/key` that it comes from; a clone reads only once.
        standby: `spec.standby`; None for a primary.
        annotations: Annotations of the custom resource.
        access: How its source is reached; None without one, and where it is not known.
        errors: Why it cannot be.
        warnings: What is worth saying.
        place: Namespace, custom resource and major version of the database.
    """

    entries: Mapping[str, KubernetesObject] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    volumes: tuple[Mapping[str, Any], ...] = ()
    secrets: Mapping[str, Credentials] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    standby: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    access: ArchiveAccess | None = None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    place: tuple[str, str, str] = ("", "", "")

    def variables(self) -> list[Variable]:
        """Gives its variables with those that the operator adds for `spec.standby`.

        Returns:
            The variables, as the custom resource says them.
        """
        namespace, scope, version = self.place
        found = []
        for name, entry in {**standby_entries(self.standby), **self.entries}.items():
            source = entry.get("valueFrom") or {}
            reference = secret_reference(entry)
            if source:
                secret = f"{reference.get('name', '')}/{reference.get('key', '')}" if reference else ""
                found.append(Variable(name, None, None, "database", secret))
            else:
                value = str(entry.get("value") or "")
                resolved = resolve(value, scope=scope, version=version, namespace=namespace)
                found.append(Variable(name, value, resolved, "database"))
        return found


# Of a database that begins empty, as most do; nobody writes into a Beginning.
_EMPTY = Beginning()


def standby_entries(standby: Mapping[str, Any] | None) -> dict[str, KubernetesObject]:
    """Gives what the operator adds to the environment for `spec.standby`.

    postgres-operator v1.15.1 and v2.0.1, pkg/cluster/k8sres.go (generateStandbyEnvironment).

    Args:
        standby: `spec.standby` of a custom resource; None for a primary.

    Returns:
        Variable -> its entry; empty for a standby that follows something else than an archive in S3.
    """
    path = str((standby or {}).get("s3_wal_path") or "")
    if not path:
        return {}
    given = {
        "STANDBY_METHOD": "STANDBY_WITH_WALE",
        "STANDBY_WALE_S3_PREFIX": path,
        "STANDBY_WAL_BUCKET_SCOPE_PREFIX": "",
    }
    return {name: literal(name, value) for name, value in given.items()}


def beginning_of(message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> Beginning:
    """Says how a database begins, or has begun.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster and of the set, with the archives that were looked up.

    Returns:
        What its custom resource has for it.
    """
    spec = message.spec
    live = None
    if existing.databases:
        live = existing.database(namespace_of(message), cluster_name(message.metadata.name))
    if live is None and not spec.HasField("clone") and not spec.HasField("standby"):
        return _EMPTY
    place = (namespace_of(message), cluster_name(message.metadata.name), postgres_version(message, existing))
    if live is not None:
        return _of_live(message, live, platform, existing, place)
    if spec.HasField("clone"):
        return _clone(message, platform, existing, place)
    return _standby(message, platform, existing, place)


def _clone(
    message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing, place: tuple[str, str, str]
) -> Beginning:
    source = source_of(message, platform, existing)
    errors, warnings = list(source.errors), list(source.warnings)
    config = message.spec.backup_config
    if config.HasField("enable_clone") and not config.enable_clone:
        errors.append(Problem("is false, and spec.clone wants it: remove this line", "spec.backup_config.enable_clone"))
    access = source.access
    if access is None:
        return Beginning(errors=tuple(errors), warnings=tuple(warnings))
    errors += _own_archive(message, access, platform, existing, "clone")
    version = place[2]
    if _number(version) < _number(access.version):
        errors.append(
            Problem(
                f'("{version}") is lower than that of the archive ("{access.version}"): there is no way back to an '
                f'older version. Write "{access.version}", or leave it out',
                "spec.version",
            )
        )
    elif access.version and version != access.version:
        # Spilo 4.0-p3 and 4.1, postgres-appliance/bootstrap/maybe_pg_upgrade.py
        warnings.append(
            Problem(
                f'("{version}") is higher than that of the archive ("{access.version}"): after the restore Spilo runs '
                "pg_upgrade on the new database, which takes longer and can fail (extensions). Restore with "
                f'"{access.version}" first where time counts',
                "spec.version",
            )
        )
    reading = source_reading(access, "clone", message.metadata.name, platform)
    errors += _lacking(reading.lacking, "clone")
    target = message.spec.clone.target_time
    told = {
        "CLONE_METHOD": "CLONE_WITH_WALE",
        "CLONE_SCOPE": access.scope,
        "CLONE_WALG_S3_PREFIX": access.prefix,
        # The operator's switch would be read in its place.
        _SWITCH: "true",
        **({"CLONE_TARGET_TIME": time_of(target)} if target else {}),
    }
    return Beginning(
        entries={**{name: literal(name, value) for name, value in told.items()}, **reading.entries},
        volumes=reading.volumes,
        secrets=reading.secrets,
        annotations={RESTORED_FROM_ANNOTATION: Birth(access.prefix, target, version=access.version).to_json()},
        access=access,
        errors=tuple(errors),
        warnings=tuple(warnings),
        place=place,
    )


def time_of(target: str) -> str:
    """Writes a target time as PostgreSQL reads it.

    It refuses a `Z` in the place of the zone (recovery_target_time; tried with 15.18, 17.10 and 18.6), but only after
    the whole base backup has been fetched; Spilo passes the time on as it is.

    Args:
        target: The time, in RFC 3339; empty for none.

    Returns:
        The same time with its zone in digits.
    """
    return f"{target[:-1]}+00:00" if target[-1:] in ("Z", "z") else target


def _standby(
    message: PostgresKubernetes,
    platform: BackupPlatform | None,
    existing: Existing,
    place: tuple[str, str, str],
    live: ExistingDatabase | None = None,
) -> Beginning:
    source = source_of(message, platform, existing)
    errors, warnings = list(source.errors), list(source.warnings)
    if message.spec.container.replicas > 1:
        # It warns and makes them (postgres-operator v1.15.1 and v2.0.1, k8sres.go, getNumberOfInstances).
        errors.append(
            Problem(
                "must be 1 for a standby: the operator supports no more. Raise it after the promotion",
                "spec.container.replicas",
            )
        )
    access = source.access
    if access is None:
        return Beginning(errors=tuple(errors), warnings=tuple(warnings))
    errors += _own_archive(message, access, platform, existing, "standby")
    version = place[2]
    if access.version and version != access.version:
        errors.append(
            Problem(
                f'("{version}") is not that of the archive ("{access.version}"), whose WAL no other version can read. '
                f'Write "{access.version}", or leave it out',
                "spec.version",
            )
        )
    followed = str((live.standby or {}).get("s3_wal_path") or "") if live is not None else access.prefix
    if followed != access.prefix:
        errors.append(
            Problem(
                f"would make the standby follow {access.prefix} instead of {followed or 'what it follows now'}: its "
                "data would belong to neither. Make a new standby with another name, and delete this one",
                "spec.standby.source",
            )
        )
    reading = source_reading(access, "standby", message.metadata.name, platform)
    errors += _lacking(reading.lacking, "standby")
    entries = dict(reading.entries)
    told = told_generation(live.environment.get(STANDBY_GENERATION)) if live is not None else 0
    # Certificates are not counted, since wal-g reads the file at each call.
    files = source_files_secret(message.metadata.name, "standby")
    counted = {name: contents for name, contents in reading.secrets.items() if name != files}
    generations = generations_of(existing, place[0], counted, told)
    for generation in generations.values():
        entries[STANDBY_GENERATION] = literal(STANDBY_GENERATION, str(generation))
    return Beginning(
        entries=entries,
        generations=generations,
        sources=reading.sources,
        volumes=reading.volumes,
        secrets=reading.secrets,
        standby={"s3_wal_path": access.prefix},
        annotations={RESTORED_FROM_ANNOTATION: Birth(access.prefix, version=access.version).to_json()},
        access=access,
        errors=tuple(errors),
        warnings=tuple(warnings),
        place=place,
    )


def _of_live(
    message: PostgresKubernetes,
    live: ExistingDatabase,
    platform: BackupPlatform | None,
    existing: Existing,
    place: tuple[str, str, str],
) -> Beginning:
    """Keeps what a custom resource was born with."""
    if live.has_begun_empty and not message.spec.HasField("clone") and not message.spec.HasField("standby"):
        return Beginning(place=place)
    entries = {str(one["name"]): dict(one) for one in live.begun}
    born = {name: one for name, one in entries.items() if name.startswith("CLONE_")}
    is_clone = "CLONE_METHOD" in born
    following = {name: one for name, one in entries.items() if name.startswith("STANDBY_")}
    name = message.metadata.name
    standby_volume = source_files_secret(name, "standby")
    kept = born if is_clone else {}
    volumes = tuple(one for one in live.begun_volumes if one.get("name") != standby_volume or following)
    errors: tuple[Problem, ...] = ()
    warnings = _differing(message, live, kept, platform, existing)
    standby: Mapping[str, Any] | None = None
    secrets: Mapping[str, Credentials] = {}
    generations: Mapping[str, int] = {}
    sources: Mapping[str, str] = {}
    access = None
    if message.spec.HasField("standby") and live.standby is None:
        errors = (Problem(_PRIMARY.format(name=live.name), "spec.standby"),)
    elif message.spec.HasField("standby"):
        now = _standby(message, platform, existing, place, live)
        errors, access, standby = now.errors, now.access, live.standby
        warnings = [*warnings, *now.warnings]
        if access is not None and not errors:
            following, standby, secrets = dict(now.entries), now.standby, now.secrets
            generations, sources = now.generations, now.sources
            volumes = (*(one for one in volumes if one.get("name") != standby_volume), *now.volumes)
        elif access is None and message.spec.standby.source.HasField("database") and not _is_itself(errors):
            # Its source may be gone for good, which is what it is there for.
            warnings += [_source_gone(one) for one in errors if one.path.startswith("spec.standby.source")]
            errors = tuple(one for one in errors if not one.path.startswith("spec.standby.source"))
    elif live.standby is not None:
        following = {**standby_entries(live.standby), **following}
    return Beginning(
        entries={**kept, **following},
        dropped=frozenset({_SWITCH}) - set(kept) if is_clone else frozenset(),
        volumes=volumes,
        secrets=secrets,
        generations=generations,
        sources=sources,
        standby=standby,
        annotations={RESTORED_FROM_ANNOTATION: live.restored_from} if live.restored_from else {},
        access=access,
        errors=errors,
        warnings=tuple(warnings),
        place=place,
    )


_PRIMARY = (
    "cannot be added to {name}, which exists already: it would be demoted, stop to accept writes, and lose its data to "
    "that of the source. Make a standby with another name"
)
_NEVER = "is a fact of its birth and changes nothing there. To restore, make a new database: its name is free to choose"


def _is_itself(errors: Iterable[Problem]) -> bool:
    return any("is this database itself" in one.message for one in errors)


def _source_gone(problem: Problem) -> Problem:
    return Problem(f"{problem.message}. The standby goes on as it is", problem.path)


def _differing(
    message: PostgresKubernetes,
    live: ExistingDatabase,
    born: Mapping[str, Mapping[str, Any]],
    platform: BackupPlatform | None,
    existing: Existing,
) -> list[Problem]:
    """Says what a manifest says of the birth of a database that it was not born with."""
    who = f"{live.namespace}/{live.name} exists already"
    if not message.spec.HasField("clone"):
        if not born:
            return []
        return [Problem(f"is gone from the manifest, and {who}: a clone {_NEVER}", "spec.clone")]
    if not born:
        return [Problem(f"is new, and {who}, without it: a clone {_NEVER}", "spec.clone")]

    def was(name: str) -> str:
        return str((born.get(name) or {}).get("value") or "")

    target = message.spec.clone.target_time
    told = []
    source = source_of(message, platform, existing)
    if source.access is not None:
        if source.access.prefix != was("CLONE_WALG_S3_PREFIX"):
            told.append(f"from {was('CLONE_WALG_S3_PREFIX') or 'another archive'}, not from {source.access.prefix}")
    elif message.spec.clone.source.HasField("database"):
        # The source need not be there any more.
        asked = message.spec.clone.source.database.name
        if was("CLONE_SCOPE") not in (asked, cluster_name(asked)):
            told.append(f"from {was('CLONE_SCOPE') or 'another database'}, not from {asked}")
    if time_of(target) != time_of(was("CLONE_TARGET_TIME")):
        told.append(f"{_until(was('CLONE_TARGET_TIME'))}, not {_until(target)}")
    if not told:
        return []
    return [
        Problem(f"is not what {live.namespace}/{live.name} was made by ({'; '.join(told)}): it {_NEVER}", "spec.clone")
    ]


def _until(time: str) -> str:
    return f"up to {time}" if time else "with all that was archived"


def _own_archive(
    message: PostgresKubernetes,
    access: ArchiveAccess,
    platform: BackupPlatform | None,
    existing: Existing,
    kind: str,
) -> list[Problem]:
    backup = backup_of(message, platform, existing)
    own = _identity(message, backup, existing)
    other = access.identity
    if own is None or not (own == other or own.is_within(other) or other.is_within(own)):
        return []
    how = "is" if own == other else "lies inside" if own.is_within(other) else "lies around"
    given = message.spec.HasField("backup_config") and message.spec.backup_config.HasField("s3_prefix")
    return [
        Problem(
            f"gives this database an archive ({own}) that {how} that of its source ({other}): its WAL and its "
            f"retention would destroy the backups of the source, and the {kind} with them. Give it an archive of its "
            "own",
            "spec.backup_config.s3_prefix" if given else "metadata.name",
        )
    ]


def _identity(message: PostgresKubernetes, backup: DatabaseBackup, existing: Existing) -> ArchiveIdentity | None:
    if not backup.prefix:
        return None
    return identity(
        backup.prefix,
        backup.endpoint,
        scope=cluster_name(message.metadata.name),
        version=postgres_version(message, existing),
        namespace=namespace_of(message),
    )


def _lacking(lacking: Iterable[str], kind: str) -> list[Problem]:
    return [
        Problem(
            f"has an archive that cannot be read from here: {what} is not known. Say where it is by archive in "
            "the place of database, with credentials",
            f"spec.{kind}.source",
        )
        for what in lacking
    ]


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 4 else 0
