"""How all resources of a set stand in a cluster; where one may not look at some of them, the others are told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from planton.cluster.api.connection import Connection
from planton.cluster.api.mask import scrubber_for
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archive_ages import ArchiveAges
from planton.cluster.permissions.review import Need, denied_in
from planton.cluster.planning import admission
from planton.cluster.planning.generations import OldCredentials, read_old_credentials
from planton.cluster.planning.inventory import Inventory, read_inventory
from planton.cluster.status import ResourceStatus, status_denied, status_of
from planton.errors import ClusterError, ManifestError, Problem
from planton.manifest import Manifests
from planton.translate.collect import in_force
from planton.translate.names import cluster_name, namespace_of
from planton.translate.secret_fields import secret_places
from planton.translate.secret_values import Credentials
from planton.types import PostgresKubernetes, Resource


def status_of_all(
    connection: Connection,
    messages: Manifests,
    meant: Sequence[Resource],
    operator_namespace: str | None,
    *,
    archives: bool,
) -> list[ResourceStatus]:
    """Says how resources stand in a cluster.

    Args:
        connection: The cluster.
        messages: The set, with its defaults filled.
        meant: Those of it that are asked about.
        operator_namespace: Namespace of the operator, where the cluster has several.
        archives: Whether to look into the buckets, too.

    Returns:
        One for each that is meant, in their order.

    Raises:
        RefusedError: There are several operators and none was chosen.
        ClusterError: The server refused something, or could not be reached.
    """
    server = Server(connection, "status")
    closed: dict[str, tuple[Need, ...]] = {}
    mine = {namespace_of(one) for one in messages if isinstance(one, PostgresKubernetes)}
    mine -= {namespace_of(one) for one in messages if not isinstance(one, PostgresKubernetes)}
    while True:
        try:
            inventory = read_inventory(
                server,
                set_operator=admission.operator_of(messages),
                chosen=operator_namespace,
                secrets=[place for place in secret_places(messages) if place[0] not in closed],
            )
            break
        except ClusterError as error:
            _close(closed, mine, error)
    platform, existing = in_force(messages, inventory.platform, inventory.existing)
    # Events are others' words: whatever of these keys they quote is hidden, in its base64 form, too.
    known = [one.values for one in inventory.existing.secrets.values() if one is not None]
    known += [one for one in (platform.credentials, platform.files) if one is not None] if platform else []
    server = server.during(
        "status",
        scrubber_for({"kind": "Secret", "data": Credentials(one.reveal()).data()} for one in known),
    )
    namespace = platform.namespace if platform else ""
    old = _old_credentials(server, namespace, messages, inventory, closed)
    ages = ArchiveAges(server, inventory) if archives else None

    def look(message: Resource) -> ResourceStatus:
        denied = closed.get(namespace_of(message), ())
        try:
            if not denied:
                return status_of(server, message, inventory, platform, existing, old, ages)
        except ClusterError as error:
            denied = denied_in(error)
            if not denied:
                raise
        return status_denied(message, inventory, denied)

    return results(in_parallel(look, meant))


def meant_of(messages: Manifests, names: Collection[str], namespace: str | None) -> list[Resource]:
    """Chooses messages of a set.

    Args:
        messages: The set.
        names: Their metadata.name; empty for all.
        namespace: Their namespace; None for all.

    Returns:
        The messages, in their order.

    Raises:
        ManifestError: Nothing has one of the names, which is more likely a slip than a wish.
    """
    there = [one for one in messages if namespace in (None, namespace_of(one))]
    known = {one.metadata.name for one in there}
    where = f" in namespace {namespace}" if namespace is not None else ""
    problems = [
        Problem(f'nothing of these manifests is named "{name}"{where}{_near(name, known)}')
        for name in dict.fromkeys(names)
        if name not in known
    ]
    if not there and not names and namespace is not None:
        problems = [Problem(f"nothing of these manifests is{where}")]
    if problems:
        raise ManifestError(problems)
    return [one for one in there if not names or one.metadata.name in names]


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _old_credentials(
    server: Server, namespace: str, messages: Manifests, inventory: Inventory, closed: dict[str, tuple[Need, ...]]
) -> Sequence[OldCredentials]:
    """Reads them of all but closed namespaces; what is found to be closed is added."""
    mine = [
        (namespace_of(one), cluster_name(one.metadata.name)) for one in messages if isinstance(one, PostgresKubernetes)
    ]
    # Of the operator all databases are looked at: where one may not, its row shows the others.
    spaces = {str(one["metadata"]["namespace"]) for one in inventory.databases}
    while True:
        databases = [one for one in inventory.databases if one["metadata"]["namespace"] not in closed]
        try:
            only = None if admission.operator_of(messages) else mine
            return read_old_credentials(server, namespace, only, databases=databases)
        except ClusterError as error:
            _close(closed, spaces - {namespace}, error)


def _close(closed: dict[str, tuple[Need, ...]], spaces: Collection[str], error: ClusterError) -> None:
    """Remembers that namespaces are closed; raises what is about something else."""
    found: Mapping[str, list[Need]] = {one.namespace: [] for one in denied_in(error)}
    for one in denied_in(error):
        found[one.namespace].append(one)
    if not found or not set(found) <= set(spaces) - closed.keys():
        raise error
    closed.update({space: tuple(needs) for space, needs in found.items()})
