"""What the door to a cluster says of how the resources of manifests stand in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from planton.cluster.api.connection import Connection
from planton.errors import ClusterError
from planton.manifest import prepare
from planton.types import Resource

if TYPE_CHECKING:
    from planton.cluster.status import ResourceStatus


class StatusMethods:
    """A part of Cluster."""

    _connection: Connection

    def status(
        self,
        manifests: Iterable[Resource],
        *,
        names: Collection[str] = (),
        namespace: str | None = None,
        operator_namespace: str | None = None,
        archives: bool = True,
    ) -> list[ResourceStatus]:
        """Says how the resources of manifests stand in the cluster.

        Args:
            manifests: Messages, as `planton.load` gives them or made in Python.
            names: Names (metadata.name) of those that are meant; empty for all. The others only say what these inherit.
            namespace: Namespace of those that are meant; None for all.
            operator_namespace: Namespace of the operator, where the cluster has several.
            archives: Whether to look into the buckets, too, for how old the last backups are.

        Returns:
            One for each message that is meant, in their order; its copy of the message is without credentials and has
            `status.outputs` filled. Where one may not look at a resource, its `denied` says what is not allowed.

        Raises:
            ManifestError: The manifests cannot be used, or have nothing of that name or in that namespace.
            RefusedError: There are several operators and none was chosen.
            ClusterError: The server refused something, or could not be reached.
        """
        from planton.cluster.permissions.advice import advised, operator_in
        from planton.cluster.status_all import meant_of, status_of_all

        messages = prepare(manifests)
        meant = meant_of(messages, names, namespace)
        with advised(self._connection, ["read"], operator_in(messages, operator_namespace)):
            return status_of_all(self._connection, messages, meant, operator_namespace, archives=archives)

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
        from planton.cluster.permissions.advice import advise
        from planton.cluster.permissions.review import NoPermissionError

        denied = [need for one in statuses for need in one.denied]
        error = NoPermissionError(denied, phase="status")
        advise(error, self._connection, ["read"], operator_namespace or "")
        return error
