"""Makes the manifest of a database that is restored from the archive of another one: a file to review and to commit.

The source is looked for in manifests, or in the cluster, and then in the record of archives that were left. The new
database is made of what the source is made of, but for what must not be the same: its name, its archive, its ingress.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planton.cluster.api.resources import SECRET, Key
from planton.cluster.api.server import Server
from planton.cluster.backups.access import find_database
from planton.cluster.planning import admission
from planton.cluster.planning.facts import facts_in_force
from planton.cluster.planning.inventory import Inventory, read_inventory
from planton.cluster.restoring.restore_config import HasKey, carried_config, location_of
from planton.cluster.restoring.restore_source import HEAD, left_tree, live_tree
from planton.errors import ManifestError, Problem, RefusedError
from planton.manifest import Manifests, dumps, loads
from planton.rendering import find_message
from planton.translate.database_facts import postgres_version
from planton.translate.names import NAMESPACE_LABEL, cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, Resource

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What is to be restored as what.

    Attributes:
        name: metadata.name of the source, or the name of its custom resource.
        new_name: metadata.name of the new database.
        target_time: The time to restore to, with its zone; empty for all that is archived.
        namespace: Namespace of the source, where several have that name.
        new_namespace: Namespace of the new database; None for that of the source.
        operator_namespace: Namespace of the operator, where the cluster has several.
        disk_size: Size of its volume; None for that of the source.
        file: Name of the file that the manifest will be, for errors and warnings.
    """

    name: str
    new_name: str
    target_time: str = ""
    namespace: str | None = None
    new_namespace: str | None = None
    operator_namespace: str | None = None
    disk_size: str | None = None
    file: str = "<text>"


@dataclass(frozen=True, slots=True)
class RestoreDraft:
    """A manifest that restores a database. No credential is in it.

    Attributes:
        text: What is written to the file.
        manifests: The same as messages.
        source: Whose archive it is, for people.
        namespace: Namespace of the new database.
        notes: What is to be known about it, each a sentence; they are in the text, too.
    """

    text: str
    manifests: Manifests = field(repr=False)
    source: str
    namespace: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    message: PostgresKubernetes
    namespace: str
    scope: str
    where: str
    notes: tuple[str, ...] = ()


def draft_restore(server: Server, messages: Manifests, request: RestoreRequest) -> RestoreDraft:
    """Makes the manifest. Writes nothing.

    Args:
        server: The API server.
        messages: Manifests in which the source is; empty to go by the cluster alone.
        request: What is to be restored as what.

    Returns:
        The manifest.

    Raises:
        ManifestError: The manifests hold no such database, or several, or one whose keys cannot be referred to; or a
            name cannot be used.
        RefusedError: There is no such database, or the new one is there already.
        ClusterError: The server refused.
    """
    inventory = read_inventory(server, set_operator=admission.operator_of(messages), chosen=request.operator_namespace)
    found = _of_manifests(server, inventory, messages, request) if messages else _of_cluster(server, inventory, request)
    space = request.new_namespace or found.namespace
    _check_is_new(inventory, messages, request, found, space)
    message = found.message
    message.metadata.name = request.new_name
    message.metadata.labels[NAMESPACE_LABEL] = space
    if request.target_time:
        message.spec.clone.target_time = request.target_time
    if request.disk_size:
        message.spec.container.disk_size = request.disk_size
    until = f"as it was at {request.target_time}" if request.target_time else "with all that is archived"
    notes = (
        f"{found.namespace}/{found.scope} ({found.where}) is restored as {request.new_name}, {until}.",
        *found.notes,
        "spec.clone is a fact of birth: once the database is there it changes nothing, and may stay.",
    )
    lines = [f"# {line}" for note in notes for line in _wrapped(note)]
    # Read again, so that what is planned is what is in the file.
    text = "\n".join(lines) + "\n" + dumps([message])
    return RestoreDraft(text, loads(text, file=request.file), f"{found.namespace}/{found.scope}", space, notes)


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(note, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _check_is_new(
    inventory: Inventory, messages: Sequence[Resource], request: RestoreRequest, found: _Found, space: str
) -> None:
    scope = cluster_name(request.new_name)
    remedy = "nothing is restored in place, which would end what is there. Take another name with --as"
    if (space, scope) == (found.namespace, found.scope):
        raise RefusedError([f"{space}/{request.new_name} is the source itself: {remedy}"])
    if any((one["metadata"]["namespace"], one["metadata"]["name"]) == (space, scope) for one in inventory.databases):
        raise RefusedError([f"the cluster has a database {space}/{scope} already: {remedy}"])
    databases = [one for one in messages if isinstance(one, PostgresKubernetes)]
    if any((namespace_of(one), one.metadata.name) == (space, request.new_name) for one in databases):
        raise RefusedError([f"the manifests have a database {space}/{request.new_name} already: {remedy}"])


def _of_manifests(server: Server, inventory: Inventory, messages: Manifests, request: RestoreRequest) -> _Found:
    source = find_message(messages, request.name, request.namespace)
    namespace, scope = namespace_of(source), cluster_name(source.metadata.name)
    platform, existing = facts_in_force(messages, inventory, inventory.existing)
    version = postgres_version(source, existing)
    has_key = _Keys(server).has
    message = PostgresKubernetes(api_version=source.api_version, kind=source.kind)
    for name in ("org", "env"):
        setattr(message.metadata, name, getattr(source.metadata, name))
    message.spec.container.CopyFrom(source.spec.container)
    message.spec.container.replicas = max(source.spec.container.replicas, 1)
    message.spec.version = version
    live = existing.database(namespace, scope)
    problems: list[Problem] = []
    if live is not None:
        _by_name(message, request.name, namespace)
    else:
        location, problems = location_of(source, version, platform, has_key)
        message.spec.clone.source.archive.CopyFrom(location)
    notes = _carry(message, source, platform, has_key, problems)
    if live is None and platform is not None:
        notes.append("The source is not in this cluster: its archive is given by its place.")
    return _Found(message, namespace, scope, "of the manifests", tuple(notes))


def _carry(
    message: PostgresKubernetes,
    source: PostgresKubernetes,
    platform: BackupPlatform | None,
    has_key: HasKey,
    problems: Sequence[Problem],
) -> list[str]:
    """Carries the backup_config over, and says what is left out."""
    notes: list[str] = []
    if source.spec.HasField("backup_config"):
        carried = carried_config(source, platform, has_key)
        problems, notes = [*problems, *carried.problems], carried.notes
        if carried.config.ListFields():
            message.spec.backup_config.CopyFrom(carried.config)
    if problems:
        raise ManifestError(list(dict.fromkeys(problems)))
    if source.spec.ingress.enabled:
        notes.append("Its ingress is off: the source has one, and its host name.")
    return notes


def _by_name(message: PostgresKubernetes, name: str, namespace: str) -> None:
    message.spec.clone.source.database.name = name
    message.spec.clone.source.database.namespace = namespace


def _of_cluster(server: Server, inventory: Inventory, request: RestoreRequest) -> _Found:
    try:
        database = find_database(inventory, request.name, request.namespace)
    except RefusedError as refused:
        # Several of one name are no reason to look for one that is gone.
        if not _is_unknown(inventory, request):
            raise
        left, tree, notes = left_tree(server, inventory, request.name, request.namespace, refused, request.disk_size)
        message = _message(tree)
        return _Found(message, left.namespace, left.name, "gone, by the record of archives", notes)
    namespace, scope = str(database["metadata"]["namespace"]), str(database["metadata"]["name"])
    tree, notes = live_tree(server, inventory, database)
    message = _message(tree)
    _by_name(message, request.name, namespace)
    return _Found(message, namespace, scope, "of the cluster", notes)


def _is_unknown(inventory: Inventory, request: RestoreRequest) -> bool:
    names = {cluster_name(request.name), request.name}
    return not any(
        one["metadata"]["name"] in names and request.namespace in (None, one["metadata"]["namespace"])
        for one in inventory.databases
    )


def _message(tree: Mapping[str, Any]) -> PostgresKubernetes:
    # Not validated as a whole before its name and its source are in it.
    whole = {**HEAD, "metadata": {"name": "restored", **tree.get("metadata", {})}, "spec": tree["spec"]}
    try:
        (message,) = loads(json.dumps(whole))
    except ManifestError as error:
        if "resources" not in tree["spec"].get("container", {}):
            raise
        # Whoever made the custom resource may have written what a manifest does not take.
        if not all(one.path.startswith("spec.container.resources") for one in error.problems):
            raise
        container = {name: value for name, value in tree["spec"]["container"].items() if name != "resources"}
        return _message({**tree, "spec": {**tree["spec"], "container": container}})
    assert isinstance(message, PostgresKubernetes)
    return message


class _Keys:
    """What Secrets have, each read once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: dict[tuple[str, str], frozenset[str]] = {}

    def has(self, namespace: str, name: str, key: str) -> bool:
        if (namespace, name) not in self._known:
            found = self._server.get(Key(SECRET, namespace, name))
            self._known[namespace, name] = frozenset((found or {}).get("data") or {})
        return key in self._known[namespace, name]
