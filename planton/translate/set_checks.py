"""What is wrong with a set of messages that are right one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planton.errors import Origin, Problem
from planton.translate.archive import ArchiveIdentity, identity, platform_prefix
from planton.translate.database import backup_of, postgres_version
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.ingress import external_hostname
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource


def set_problems(
    messages: Sequence[Resource],
    origins: Sequence[Origin],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Problem]:
    """Checks a set against itself and against the cluster.

    Args:
        messages: Messages with their defaults filled.
        origins: Where each came from.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Yields:
        A problem for each clash; it names both sides.
    """
    pairs = list(zip(messages, origins, strict=True))
    yield from _doubles(pairs)
    databases = [(message, origin) for message, origin in pairs if isinstance(message, PostgresKubernetes)]
    yield from _hostnames(databases)
    yield from _archives(databases, platform, existing)
    for message, origin in pairs:
        if isinstance(message, PostgresOperatorKubernetes):
            yield from _orphaned_prefixes(message, origin, databases, platform, existing)


def _subject(message: Resource) -> str:
    return f"{message.kind}/{message.metadata.name}"


def _place(message: Resource, origin: Origin) -> str:
    where = f" ({origin.file}, document {origin.document})" if origin.file else ""
    return f"{_subject(message)}{where}"


def _doubles(pairs: Sequence[tuple[Resource, Origin]]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], tuple[Resource, Origin]] = {}
    operator: tuple[Resource, Origin] | None = None
    for message, origin in pairs:
        key = (message.kind, namespace_of(message), message.metadata.name)
        if key in seen:
            text = f"is given twice: also as {_place(*seen[key])}"
            yield Problem(text, "metadata.name", origin, _subject(message))
        elif isinstance(message, PostgresOperatorKubernetes) and operator:
            text = f"two operators on the same namespaces fight: keep this one or {_place(*operator)}"
            yield Problem(text, "kind", origin, _subject(message))
        seen.setdefault(key, (message, origin))
        if isinstance(message, PostgresOperatorKubernetes):
            operator = operator or (message, origin)


def _hostnames(databases: Sequence[tuple[PostgresKubernetes, Origin]]) -> Iterator[Problem]:
    seen: dict[str, tuple[Resource, Origin]] = {}
    for message, origin in databases:
        hostname = external_hostname(message)
        if hostname and hostname in seen:
            text = f"makes the same external host name as {_place(*seen[hostname])}; use another namespace or domain"
            yield Problem(text, "spec.ingress.dns_domain", origin, _subject(message))
        seen.setdefault(hostname, (message, origin))


def live_prefix(database: ExistingDatabase, platform: BackupPlatform | None) -> str:
    """Gives the effective archive of a live custom resource, ours or not.

    Args:
        database: The custom resource.
        platform: The backup platform in force.

    Returns:
        The prefix with its variables, empty without an archive.
    """
    own = database.environment.get("WALG_S3_PREFIX")
    if own is not None:
        return own
    return platform_prefix(platform) if platform is not None and platform.backup else ""


def _archives(
    databases: Sequence[tuple[PostgresKubernetes, Origin]],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Problem]:
    """Finds databases that would destroy each other's archive."""
    endpoint = platform.endpoint if platform else ""
    seen: dict[ArchiveIdentity, str] = {}
    rendered = {(namespace_of(message), cluster_name(message.metadata.name)) for message, _ in databases}
    for live in existing.databases:
        prefix = live_prefix(live, platform)
        if prefix and (live.namespace, live.name) not in rendered:
            archive = identity(
                prefix,
                live.environment.get("AWS_ENDPOINT", endpoint),
                scope=live.name,
                version=live.version,
                namespace=live.namespace,
            )
            seen.setdefault(archive, f"the live database {live.namespace}/{live.name}")
    for message, origin in databases:
        prefix = backup_of(message, platform, existing).prefix
        if not prefix:
            continue
        archive = identity(
            prefix,
            endpoint,
            scope=cluster_name(message.metadata.name),
            version=postgres_version(message, existing),
            namespace=namespace_of(message),
        )
        if archive in seen:
            config = message.spec.backup_config
            own = message.spec.HasField("backup_config") and config.HasField("s3_prefix")
            yield Problem(
                f"has the same archive as {seen[archive]}: two databases that archive to one place destroy each "
                "other's backups. Give one of them a spec.backup_config.s3_prefix of its own",
                "spec.backup_config.s3_prefix" if own else "metadata.name",
                origin,
                _subject(message),
            )
        seen.setdefault(archive, _place(message, origin))


def _orphaned_prefixes(
    message: PostgresOperatorKubernetes,
    origin: Origin,
    databases: Sequence[tuple[PostgresKubernetes, Origin]],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Problem]:
    """Finds live databases that would keep a prefix without an effective USE_WALG_BACKUP "true"."""
    if platform is not None and platform.backup:
        return
    rendered = {(namespace_of(item), cluster_name(item.metadata.name)) for item, _ in databases}
    for live in existing.databases:
        environment = live.environment
        if (live.namespace, live.name) in rendered or not environment.get("WALG_S3_PREFIX"):
            continue
        if platform is not None and environment.get("USE_WALG_BACKUP", "").lower() == "true":
            continue
        yield Problem(
            f"cannot be switched off while the live database {live.namespace}/{live.name} has an archive prefix of "
            "its own: its archiving would fail for ever and WAL would fill its volume. Apply its manifest together "
            "with this one, with enable_backup true or false",
            "spec.backup_config.enable_wal_g_backup" if platform is not None else "spec.backup_config",
            origin,
            _subject(message),
        )
