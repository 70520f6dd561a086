"""Finds how the archive of a database is reached: by manifests, by what is alive in a cluster, or by both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planton.catalogue.archive import Archive
from planton.cluster.api.server import Server
from planton.cluster.backups.left_access import read_access, read_left_archives
from planton.cluster.backups.sources import access_of_live
from planton.cluster.planning import admission
from planton.cluster.planning.facts import facts_in_force
from planton.cluster.planning.inventory import Inventory, operator_gives, read_inventory
from planton.cluster.planning.references import resolve
from planton.errors import RefusedError
from planton.manifest import Manifests, prepare
from planton.rendering import find_message
from planton.translate.archive_access import ArchiveAccess, access_of
from planton.translate.archive_sources import wanted_sources
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import Resource
from planton.words import first_few

if TYPE_CHECKING:
    from planton.cluster.cluster import Cluster

_NAMED = 20


def archive(
    manifests: Iterable[Resource],
    name: str,
    *,
    namespace: str | None = None,
    cluster: Cluster | None = None,
) -> Archive:
    """Opens the archive of a database, to be looked into.

    Without a cluster the manifests have to say all: with references to environment variables and files, which are
    looked up, but not to Secrets.

    Args:
        manifests: Messages, with the database and its operator among them; empty to go by the cluster alone.
        name: metadata.name of the database; of one that is in the cluster only, also the name of its custom resource.
        namespace: Its namespace, where several databases have that name.
        cluster: The cluster in which facts and Secrets are looked up.

    Returns:
        The archive. Nothing was asked of the store yet.

    Raises:
        ManifestError: The manifests cannot be used, or hold no such database, or several.
        RefusedError: The database has no archive, or there is no such database.
        ClusterError: The cluster refused something, or could not be reached.
    """
    if cluster is not None:
        return cluster.archive(name, namespace, manifests=manifests)
    return open_archive(access_in_manifests(None, None, prepare(manifests), name, namespace))


def open_archive(access: ArchiveAccess) -> Archive:
    """Makes the archive that is reached in some way.

    Args:
        access: How it is reached.

    Returns:
        The archive.
    """
    return Archive(access)


def find_access(
    server: Server, messages: Manifests, name: str, namespace: str | None, operator_namespace: str | None
) -> ArchiveAccess:
    """Finds how the archive of a database is reached, with a cluster.

    Args:
        server: The API server.
        messages: The set, with its defaults filled; empty to go by the cluster alone.
        name: metadata.name of the database; of one that is in the cluster only, also the name of its custom resource.
            Without manifests also of one that was deleted, by the record of archives.
        namespace: Its namespace, where several databases have that name.
        operator_namespace: Namespace of the operator, where the cluster has several.

    Returns:
        How it is reached.

    Raises:
        ManifestError: The manifests hold no such database, or several.
        RefusedError: The database has no archive, or there is no such database.
        ClusterError: The server refused.
    """
    inventory = read_inventory(
        server,
        set_operator=admission.operator_of(messages),
        chosen=operator_namespace,
        sources=wanted_sources(messages),
    )
    if not messages:
        return _left_access(server, inventory, name, namespace) or access_in_cluster(
            server, inventory, find_database(inventory, name, namespace)
        )
    return access_in_manifests(server, inventory, messages, name, namespace)


def _left_access(server: Server, inventory: Inventory, name: str, namespace: str | None) -> ArchiveAccess | None:
    """Finds the archive of a database that is gone by the record; None for one that is there, or not written down."""
    live = {(one["metadata"]["name"], one["metadata"]["namespace"]) for one in inventory.databases}
    if any(one in (cluster_name(name), name) and namespace in (None, space) for one, space in live):
        return None
    left = read_left_archives(server, inventory.operator_namespace, name, namespace)
    return read_access(server, left[0], inventory.operator_namespace) if len(left) == 1 else None


def access_in_manifests(
    server: Server | None, inventory: Inventory | None, messages: Manifests, name: str, namespace: str | None
) -> ArchiveAccess:
    """Finds how the archive of a database of manifests is reached.

    Args:
        server: The API server; None without a cluster.
        inventory: Facts of the cluster; None without one.
        messages: The set, with its defaults filled.
        name: metadata.name of the database.
        namespace: Its namespace, where several databases have that name.

    Returns:
        How it is reached.

    Raises:
        ManifestError: The manifests hold no such database, or several, or refer to what is not there.
        RefusedError: The database has no archive.
        ClusterError: The server refused.
    """
    existing = inventory.existing if inventory is not None else Existing()
    message = find_message(messages, name, namespace)
    values = resolve(server, messages, existing)
    platform, existing = facts_in_force(messages, inventory, replace(existing, values=values))
    access = access_of(message, platform, existing)
    if access is None:
        raise RefusedError([_without_archive(f"{namespace_of(message)}/{name}", platform)])
    return access


def access_in_cluster(server: Server, inventory: Inventory, database: KubernetesObject) -> ArchiveAccess:
    """Finds how the archive of a live database is reached, by what its pods get.

    Args:
        server: The API server.
        inventory: Facts of the cluster.
        database: The custom resource, whoever made it.

    Returns:
        How it is reached.

    Raises:
        RefusedError: It has no archive, or one that planton does not read.
        ClusterError: The server refused.
    """
    found = access_of_live(server, database, operator_gives(server, inventory))
    if found.access is None:
        metadata = database["metadata"]
        raise RefusedError([f"postgresql/{metadata['namespace']}/{metadata['name']} {found.lacking}"])
    return found.access


def find_database(inventory: Inventory, name: str, namespace: str | None) -> KubernetesObject:
    """Finds a live database.

    Args:
        inventory: Facts of the cluster.
        name: Its metadata.name in a manifest, or the name of its custom resource.
        namespace: Its namespace, where several have that name.

    Returns:
        The custom resource.

    Raises:
        RefusedError: There is none of that name, or there are several.
    """
    # The name of a custom resource is taken, too: not every database was made by planton.
    for wanted in (cluster_name(name), name):
        found = [
            one
            for one in inventory.databases
            if one["metadata"]["name"] == wanted and namespace in (None, one["metadata"]["namespace"])
        ]
        if len(found) == 1:
            return found[0]
        if found:
            spaces = ", ".join(str(one["metadata"]["namespace"]) for one in found)
            raise RefusedError([f"several databases are named {name}: say which namespace, one of {spaces}"])
    where = f" in namespace {namespace}" if namespace else ""
    there = [f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in inventory.databases]
    raise RefusedError([f"the cluster has no database {name}{where}. {what_is_there(there)}"])


def what_is_there(databases: Sequence[str]) -> str:
    """Says which databases a cluster has, to somebody who has asked for one that it does not have.

    Args:
        databases: `namespace/name` of each.

    Returns:
        A sentence; of many the first few, and how many more.
    """
    if not databases:
        return "It has no database at all."
    return f"It has {first_few(databases, _NAMED)}."


def _without_archive(subject: str, platform: BackupPlatform | None) -> str:
    if platform is None:
        return (
            f"{subject} has no archive as far as is known here: no operator with backup_config is among these "
            "manifests. Give its manifest too, or ask the cluster"
        )
    return f"{subject} has no archive: its backups are off"
