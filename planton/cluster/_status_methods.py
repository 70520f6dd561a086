"""What the door to a cluster says of how the resources of manifests stand in it."""

from __future__ import annotations

from collections.abc import Iterable

from planton.cluster import admission
from planton.cluster._connection import Connection
from planton.cluster._server import Server, in_parallel, results
from planton.cluster.archive_ages import ArchiveAges
from planton.cluster.generations import read_old_credentials
from planton.cluster.inventory import read_inventory
from planton.cluster.mask import scrubber_for
from planton.cluster.status import ResourceStatus, status_of
from planton.manifest import prepare
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
            `status.outputs` filled.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: There are several operators and none was chosen.
            ClusterError: The server refused something, or could not be reached.
        """
        messages = prepare(manifests)
        server = Server(self._connection, "status")
        inventory = read_inventory(
            server,
            set_operator=admission.operator_of(messages),
            chosen=operator_namespace,
            secrets=secret_places(messages),
        )
        platform, existing = in_force(messages, inventory.platform, inventory.existing)
        # Events are others' words: whatever of these keys they quote is hidden, in its base64 form, too.
        known = [one.values for one in inventory.existing.secrets.values() if one is not None]
        known += [one for one in (platform.credentials, platform.files) if one is not None] if platform else []
        server = server.during(
            "status",
            scrubber_for({"kind": "Secret", "data": Credentials(one.reveal()).data()} for one in known),
        )
        namespace = platform.namespace if platform else ""
        mine = [
            (namespace_of(one), cluster_name(one.metadata.name))
            for one in messages
            if isinstance(one, PostgresKubernetes)
        ]
        only = None if admission.operator_of(messages) else mine
        old = read_old_credentials(server, namespace, only, databases=inventory.databases)
        ages = ArchiveAges(server, inventory) if archives else None
        return results(
            in_parallel(lambda one: status_of(server, one, inventory, platform, existing, old, ages), messages)
        )
