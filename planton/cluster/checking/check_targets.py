"""Which archives there are to be checked: those of manifests, or those of all databases of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from planton.catalogue.probe import Finding, probe_key
from planton.cluster.api.resources import POSTGRESQL, Key, key_of
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.access import find_database
from planton.cluster.backups.sources import access_of_live
from planton.cluster.checking.checks import Checked, Target
from planton.cluster.planning.facts import facts_in_force
from planton.cluster.planning.inventory import Inventory, operator_gives
from planton.cluster.planning.references import resolve
from planton.errors import ManifestError, Problem, RefusedError
from planton.manifest import Manifests
from planton.rendering import find_message
from planton.translate.archive import resolve as resolved
from planton.translate.archive_access import ArchiveAccess, access_from, access_of
from planton.translate.archive_sources import live_source
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.variables import Variable, effective
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes

_WITHOUT = live_source(None).lacking


def targets_in_manifests(
    server: Server | None,
    inventory: Inventory | None,
    messages: Manifests,
    names: Collection[str],
    namespace: str | None = None,
) -> tuple[list[Target], list[Checked]]:
    """Finds the archives of a set.

    Args:
        server: The API server; None without a cluster.
        inventory: Facts of the cluster; None without one.
        messages: The set, with its defaults filled.
        names: Names (metadata.name) of the databases that are meant; empty for all, and for their operator.
        namespace: Namespace of the databases that are meant; None for all.

    Returns:
        One for each database with backups, and one for the operator, where none of these uses its store; and the
        databases without backups.

    Raises:
        ManifestError: The manifests refer to what is not there, or hold no such database, or several.
        ClusterError: The server refused.
    """
    existing = inventory.existing if inventory is not None else Existing()
    wanted = [find_message(messages, name, namespace) for name in dict.fromkeys(names)]
    values = resolve(server, messages, existing)
    platform, existing = facts_in_force(messages, inventory, replace(existing, values=values))
    chosen = wanted or [
        one for one in messages if isinstance(one, PostgresKubernetes) and namespace in (None, namespace_of(one))
    ]
    if not chosen and namespace is not None:
        raise ManifestError([Problem(f"no database of these manifests is in namespace {namespace}")])
    found = [target_of(one, platform, existing, inventory) for one in chosen]
    targets = [one for one in found if one is not None]
    operator = next((one for one in messages if isinstance(one, PostgresOperatorKubernetes)), None)
    is_known = operator is not None or inventory is not None
    without = [_without(one, is_known) for one, target in zip(chosen, found, strict=True) if target is None]
    if not names and namespace is None and operator is not None:
        targets += of_platform(platform, f"{operator.kind}/{operator.metadata.name}", targets)
    return targets, without


def _without(message: PostgresKubernetes, is_known: bool) -> Checked:
    subject = f"{message.kind}/{message.metadata.name}"
    found = Finding("archive", "not tried", "it has no archive: its backups are off")
    backup = message.spec.backup_config
    if not is_known and (backup.enable_backup or not backup.HasField("enable_backup")):
        # It may well have one: who asks for a check must not be told that all is well.
        found = Finding(
            "archive",
            "failed",
            "it is not known whether it has one, nor where: no operator is among these manifests",
            "Give the operator's manifest too, or --live, which asks the cluster.",
        )
    return Checked("settings", subject, (subject,), (found,))


def target_of(
    message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing, inventory: Inventory | None
) -> Target | None:
    """Makes the target of a database of manifests.

    Args:
        message: The database, with its defaults filled.
        platform: The backup platform in force.
        existing: Facts in force, with what references of the set lead to.
        inventory: Facts of the cluster; None without one.

    Returns:
        The target; None for a database without backups.
    """
    access = access_of(message, platform, existing)
    if access is None:
        return None
    key = Key(POSTGRESQL, namespace_of(message), cluster_name(message.metadata.name))
    return Target(
        f"{message.kind}/{message.metadata.name}",
        access,
        key,
        is_there=None if inventory is None else inventory.existing.database(key.namespace, key.name) is not None,
        use_configmaps=existing.kubernetes_use_configmaps == "true",
    )


def of_platform(platform: BackupPlatform | None, subject: str, others: Sequence[Target]) -> list[Target]:
    """Makes the target of what an operator gives to all databases.

    Args:
        platform: The backup platform.
        subject: Who has it, for people.
        others: Targets that there are already.

    Returns:
        The target, where there are backups and none of the others has the same store and keys.
    """
    access = platform_access(platform) if platform is not None else None
    if access is None or probe_key(access) in {probe_key(one.access) for one in others}:
        return []
    return [Target(subject, access)]


def platform_access(platform: BackupPlatform) -> ArchiveAccess | None:
    """Says how the store is reached that an operator gives to all databases.

    Args:
        platform: The backup platform, with the contents of its Secrets.

    Returns:
        The access, whose prefix is what the archives of all databases have in common; None without backups.
    """
    variables = effective((), platform, lambda name, value, source: Variable(name, value, value, source))
    access = access_from(
        variables,
        namespace="",
        scope="",
        version="",
        contents=[platform.credentials] if platform.credentials is not None else (),
        files=platform.files,
    )
    if access is None:
        return None
    parts = access.prefix.removeprefix("s3://").split("/")
    fixed = next((place for place, part in enumerate(parts) if "$(" in part), len(parts))
    return replace(access, prefix="s3://" + "/".join(parts[:fixed]))


def inherited_access(platform: BackupPlatform, *, namespace: str, scope: str, version: str) -> ArchiveAccess | None:
    """Says how the archive is reached of a database that says nothing of its own.

    Args:
        platform: The backup platform, with the contents of its Secrets.
        namespace: Namespace of the database.
        scope: Name of its custom resource.
        version: Major version of PostgreSQL.

    Returns:
        The access; None without backups.
    """

    def written(name: str, value: str, source: str) -> Variable:
        return Variable(name, value, resolved(value, scope=scope, version=version, namespace=namespace), source)

    return access_from(
        effective((), platform, written),
        namespace=namespace,
        scope=scope,
        version=version,
        contents=[platform.credentials] if platform.credentials is not None else (),
        files=platform.files,
    )


def targets_in_cluster(
    server: Server, inventory: Inventory, names: Collection[str], namespace: str | None = None
) -> tuple[list[Target], list[Checked]]:
    """Finds the archives of live databases, by what their pods get.

    Args:
        server: The API server.
        inventory: Facts of the cluster.
        names: Names of the databases that are meant, by metadata.name or as their custom resources; empty for all, and
            for what the operator gives.
        namespace: Namespace of the databases that are meant; None for all.

    Returns:
        One for each database with backups; and those without, or of which nobody can tell where they archive.

    Raises:
        RefusedError: There is no such database, or there are several.
        ClusterError: The server refused.
    """
    databases = [find_database(inventory, name, namespace) for name in dict.fromkeys(names)] or [
        one for one in inventory.databases if namespace in (None, one["metadata"]["namespace"])
    ]
    if not databases and namespace is not None:
        raise RefusedError([f"the cluster has no database in namespace {namespace}"])
    gives = operator_gives(server, inventory)
    found = results(in_parallel(lambda one: access_of_live(server, one, gives), databases))
    targets, unknown = [], []
    for database, source in zip(databases, found, strict=True):
        key = key_of(database, POSTGRESQL)
        if source.access is not None:
            use_configmaps = inventory.existing.kubernetes_use_configmaps == "true"
            targets.append(Target(key.subject, source.access, key, is_there=True, use_configmaps=use_configmaps))
        else:
            is_off = source.lacking == _WITHOUT
            text = "it has no archive: its backups are off" if is_off else f"it {source.lacking}"
            finding = Finding("archive", "not tried" if is_off else "warning", text)
            unknown.append(Checked("settings", key.subject, (key.subject,), (finding,)))
    if not names and namespace is None:
        subject = f"operator in {inventory.operator_namespace}"
        targets += of_platform(inventory.platform, subject, targets)
    return targets, unknown
