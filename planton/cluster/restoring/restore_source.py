"""What a database is made of, as a manifest says it: one that is alive, and one of which only its archive is left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planton.cluster.api.resources import POSTGRESQL, SECRET, VOLUME_CLAIM, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_reading import archives_now, operator_of
from planton.cluster.backups.archive_record import left_by_deletion
from planton.cluster.backups.archives import environment, version_of
from planton.cluster.backups.left_access import inherited_facts, read_access, read_left_archives, secrets_of
from planton.cluster.operators import read_settings
from planton.cluster.ownership import labels_of
from planton.cluster.planning.inventory import Inventory
from planton.errors import RefusedError
from planton.translate.archive_access import READING_VARIABLES
from planton.translate.archive_record import RECORD_CONFIGMAP, LeftArchive
from planton.translate.contract import KubernetesObject
from planton.translate.left_access import facts_of_left
from planton.translate.names import ENVIRONMENT_LABEL, ORGANIZATION_LABEL
from planton.translate.policy import ENCRYPTION_VARIABLES
from planton.translate.reading_facts import ReadingFacts
from planton.translate.restore_manifest import FindSecret, restore_manifest

HEAD = {"apiVersion": "kubernetes.project-planton.org/v1", "kind": "PostgresKubernetes"}

_SMALLEST = 2**30
# A database of that size that has been written to for a while, with the WAL of its restore.
_ROOM = 2


def live_tree(
    server: Server, inventory: Inventory, database: KubernetesObject
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Says what a live database is made of.

    Args:
        server: The API server.
        inventory: Facts of the cluster.
        database: Its custom resource, whoever made it.

    Returns:
        `metadata` and `spec` of a manifest, without name and source; and what is to be known about it.

    Raises:
        ClusterError: The server refused.
    """
    spec: Mapping[str, Any] = database.get("spec") or {}
    container: dict[str, Any] = {"replicas": max(int(spec.get("numberOfInstances") or 0), 1)}
    if resources := _resources(spec):
        container["resources"] = resources
    if size := str((spec.get("volume") or {}).get("size") or ""):
        container["disk_size"] = size
    tree: dict[str, Any] = {"version": version_of(database), "container": container}
    backup, notes = _overrides(server, inventory, database)
    if backup:
        tree["backup_config"] = backup
    labels = labels_of(database)
    metadata = {name: labels[label] for name, label in _LABELS.items() if labels.get(label)}
    return {"metadata": metadata, "spec": {**tree, **_PLACEHOLDER}}, notes


_LABELS = {"org": ORGANIZATION_LABEL, "env": ENVIRONMENT_LABEL}
# A source has to be there for a manifest to be one; the right one takes its place.
_PLACEHOLDER = {"clone": {"source": {"database": {"name": "source"}}}}


def _resources(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for kind in ("limits", "requests"):
        given = (spec.get("resources") or {}).get(kind) or {}
        known = {name: str(given[name]) for name in ("cpu", "memory") if given.get(name)}
        if known:
            found[kind] = known
    return found


def _overrides(
    server: Server, inventory: Inventory, database: KubernetesObject
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Reads back what a custom resource says of its own backups: where they go, with which keys, when, how many."""
    own = environment(database)
    config: dict[str, Any] = {}
    if schedule := own.get("BACKUP_SCHEDULE"):
        config["backup_schedule"] = schedule
    kept = own.get("BACKUP_NUM_TO_RETAIN", "")
    if kept.isascii() and kept.isdecimal() and len(kept) < 5:
        config["retention"] = {"backups_and_days": int(kept)}
    if not READING_VARIABLES & own.keys():
        return config, ()
    operator = operator_of(inventory)
    settings = dict(read_settings(server, operator)) if operator else {}
    archives = archives_now(server, inventory, operator, settings)
    lefts = left_by_deletion(server, archives, [key_of(database, POSTGRESQL)])
    if not lefts or lefts[0].reading is None:
        return config, ()
    left, facts = lefts[0], lefts[0].reading
    find = _finder(server, facts, archives.namespace)
    made = restore_manifest(left, facts, name="restored", disk_size="1Gi", find=find)
    if any(_is_lacking(one) for one in made.notes):
        raise RefusedError(
            [
                f"{left.namespace}/{left.name} has keys of its backups in clear, or not in a Secret, and no credential "
                "is written into the manifest of a restore. Give its manifest with -f, with references to Secrets"
            ]
        )
    archive = made.tree["spec"]["clone"]["source"]["archive"]
    config |= {name: archive[name] for name in ("storage", "credentials", "encryption") if name in archive}
    if "encryption" not in config and ENCRYPTION_VARIABLES & own.keys():
        config["encryption"] = {"none": {}}
    config["enable_backup"] = True
    note = "Its own backups go to the store of the source's, with the keys that its pods have, to a place of their own."
    return config, (note,)


def _is_lacking(note: str) -> bool:
    return note.startswith("The keys to this archive are in no Secret")


def _finder(server: Server, facts: ReadingFacts, operator_namespace: str) -> FindSecret:
    candidates = secrets_of(facts, operator_namespace)
    places = {
        one: next((place for place in there if server.get(Key(SECRET, *place)) is not None), None)
        for one, there in candidates.items()
    }
    return lambda space, name: places.get((space, name))


def left_tree(
    server: Server,
    inventory: Inventory,
    name: str,
    namespace: str | None,
    refused: RefusedError,
    disk_size: str | None,
) -> tuple[LeftArchive, dict[str, Any], tuple[str, ...]]:
    """Says what a database is restored from of which nothing is left but its archive.

    Args:
        server: The API server.
        inventory: Facts of the cluster.
        name: Name of the database (metadata.name), or of its custom resource.
        namespace: Its namespace, where several had that name.
        refused: Why it was not found alive.
        disk_size: Size of the new volume; None to find one.

    Returns:
        Its archive; `metadata` and `spec` of a manifest, without name; and what is to be known about it.

    Raises:
        RefusedError: Nobody knows such a database, or how its archive is read.
        ClusterError: The server refused.
        StoreError: Its archive cannot be read.
    """
    operator = operator_of(inventory)
    settings = dict(read_settings(server, operator)) if operator else {}
    archives = archives_now(server, inventory, operator, settings)
    space = archives.namespace or inventory.operator_namespace
    found = read_left_archives(server, space, name, namespace)
    if not found:
        record = f"ConfigMap {space}/{RECORD_CONFIGMAP}" if space else "without an operator there is no record of any"
        raise RefusedError(
            [
                f"{refused.reasons[0]} No archive of it is remembered, either ({record}). Where you know its archive, "
                "write a manifest with clone.source.archive by hand"
            ]
        )
    if len(found) > 1:
        several = ", ".join(f"{one.namespace}/{one.name} at {one.prefix}" for one in found)
        remedy = (
            "say which with -n"
            if len({one.namespace for one in found}) > 1
            else "write a manifest with clone.source.archive, which says which"
        )
        raise RefusedError([f"several archives of {name} are remembered: {several}. Please {remedy}"])
    (left,) = found
    inherited = inherited_facts(server, archives)
    facts = facts_of_left(left, inherited)
    if facts is None:
        raise RefusedError(
            [
                f"the archive of {left.namespace}/{left.name}, {left.prefix}, is remembered, and how its store is "
                "reached is not. Write a manifest with clone.source.archive, with storage and credentials"
            ]
        )
    notes: list[str] = []
    size = disk_size or _claimed(server, left)
    if not size or not left.version:
        version, by_backup = _by_backup(server, left, space, inherited)
        left = replace(left, version=left.version or version)
    if not size:
        size = by_backup
        notes.append("How large its volume was is not known any more: its size here is twice that of its base backup.")
    made = restore_manifest(left, facts, name="restored", disk_size=size, find=_finder(server, facts, space))
    if lacking := [one for one in made.notes if _is_lacking(one)]:
        raise RefusedError([f"{left.namespace}/{left.name} at {left.prefix}: {lacking[0]}"])
    notes.append("Replicas and resources of the source are not known any more: those here are the defaults.")
    return left, {"metadata": {}, "spec": dict(made.tree["spec"])}, tuple(notes)


def _claimed(server: Server, left: LeftArchive) -> str:
    """Size of a volume of its that is still there."""
    claims = server.list(VOLUME_CLAIM, left.namespace) or ()
    own = re.compile(rf"pgdata-{re.escape(left.name)}-[0-9]+")
    mine = [one for one in claims if own.fullmatch(str(one["metadata"]["name"]))]
    sizes = [((one.get("spec") or {}).get("resources") or {}).get("requests") or {} for one in mine]
    return next((str(one["storage"]) for one in sizes if one.get("storage")), "")


def _by_backup(
    server: Server, left: LeftArchive, operator_namespace: str, inherited: ReadingFacts | None
) -> tuple[str, str]:
    """Major version, and a size of a volume, by the largest base backup."""
    from planton.cluster.backups.archive_reading import catalogue_of

    access = read_access(server, left, operator_namespace, inherited)
    backups = catalogue_of(access).backups if access is not None else ()
    largest = max(backups, key=lambda one: one.uncompressed_size, default=None)
    size = largest.uncompressed_size if largest is not None else 0
    return largest.version if largest is not None else "", f"{max(-(-size * _ROOM // _SMALLEST), 1)}Gi"
