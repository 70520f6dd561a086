"""What the door to a cluster says of how the resources of manifests stand in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from planton.cluster import admission
from planton.cluster._connection import Connection
from planton.cluster._server import Server, in_parallel, results
from planton.cluster.archive_ages import ArchiveAges
from planton.cluster.generations import OldCredentials, read_old_credentials
from planton.cluster.inventory import Inventory, read_inventory
from planton.cluster.mask import scrubber_for
from planton.cluster.permissions import Need, NoPermissionError, denied_in
from planton.cluster.permissions_advice import advise, advised, operator_in
from planton.cluster.status import ResourceStatus, status_denied, status_of
from planton.errors import ClusterError
from planton.manifest import Manifests, prepare
from planton.translate.collect import in_force
from planton.translate.names import cluster_name, namespace_of
from planton.translate.secret_fields import secret_places
from planton.translate.secret_values import Credentials
from planton.types import PostgresKubernetes, Resource


class StatusMethods:
    """A part of Cluster."""

    _connection: Connection

    def status(
        self, manifests: Iterable[Resource], *, operator_namespace: str | None = None, archives: bool = True
    ) -> list[ResourceStatus]:
        """Says how the resources of manifests stand in the cluster.

        Args:
            manifests: Messages, as `planton.load` gives them or made in Python.
            operator_namespace: Namespace of the operator, where the cluster has several.
            archives: Whether to look into the buckets, too, for how old the last backups are.

        Returns:
            One for each message, in their order; its copy of the message is without credentials and has
            `status.outputs` filled. Where one may not look at a resource, its `denied` says what is not allowed.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: There are several operators and none was chosen.
            ClusterError: The server refused something, or could not be reached.
        """
        messages = prepare(manifests)
        with advised(self._connection, ["read"], operator_in(messages, operator_namespace)):
            return self._status(messages, operator_namespace, archives)

    def no_permission(
        self, statuses: Iterable[ResourceStatus], *, operator_namespace: str | None = None
    ) -> ClusterError:
        """Gives the error that says which resources may not be looked at, and what to do.

        Args:
            statuses: What `status` has given, with at least one that has `denied`.
            operator_namespace: Namespace of the operator, where the cluster has several.

        Returns:
            The error.
        """
        denied = [need for one in statuses for need in one.denied]
        error = NoPermissionError(denied, phase="status")
        advise(error, self._connection, ["read"], operator_namespace or "")
        return error

    def _status(self, messages: Manifests, operator_namespace: str | None, archives: bool) -> list[ResourceStatus]:
        server = Server(self._connection, "status")
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

        return results(in_parallel(look, messages))


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
