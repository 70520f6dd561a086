"""The door to a cluster: plan, apply, delete, status.

What a method needs is imported when it is called: together it takes longer than to read a hundred manifests, and while
a plan imports its part the server is asked already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from planton.cluster._archive_methods import ArchiveMethods
from planton.cluster._bounded import bounded
from planton.cluster._check_methods import CheckMethods
from planton.cluster._credential_methods import CredentialMethods
from planton.cluster._delete_methods import DeleteMethods
from planton.cluster._restore_methods import RestoreMethods
from planton.cluster._status_methods import StatusMethods
from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.kubeconfig import open_connection, open_in_cluster
from planton.cluster.changes import ApplyResult, Plan, PlanOptions, Progress, locked
from planton.errors import RefusedError
from planton.manifest import prepare
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.types import Resource


def connect(
    kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None, *, in_cluster: bool = False
) -> Cluster:
    """Reads a kubeconfig and gives the cluster that it names. Asks the server nothing yet.

    Args:
        kubeconfig: Path of the kubeconfig; None for KUBECONFIG, else ~/.kube/config.
        context: Name of the context; None for the current one.
        in_cluster: Use the service account of the pod in which this runs, and no kubeconfig.

    Returns:
        The cluster.

    Raises:
        ClusterError: The kubeconfig, or the pod's service account, cannot be used.
    """
    if in_cluster:
        if kubeconfig is not None or context is not None:
            raise TypeError("in_cluster takes no kubeconfig and no context")
        return Cluster(open_in_cluster())
    return Cluster(open_connection(kubeconfig, context))


class Cluster(ArchiveMethods, CheckMethods, CredentialMethods, DeleteMethods, RestoreMethods, StatusMethods):
    """One cluster. Made by connect; safe for several threads."""

    def __init__(self, connection: Connection) -> None:
        """Makes the cluster; use connect.

        Args:
            connection: The connection.
        """
        self._connection = connection

    @property
    def identity(self) -> ClusterIdentity:
        """Which cluster it is."""
        return self._connection.identity

    def __repr__(self) -> str:
        """Names the cluster."""
        return f"Cluster({self.identity})"

    def facts(
        self, operator_namespace: str | None = None, manifests: Sequence[Resource] = ()
    ) -> tuple[BackupPlatform | None, Existing]:
        """Reads what translation needs to know of the cluster.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.
            manifests: Messages that are to be translated: the archives of databases of the cluster for which they ask
                are looked up.

        Returns:
            The backup platform of the operator, with the contents of its storage Secret, or None; and what exists.

        Raises:
            ClusterError: The server refused; a missing permission is an error, never "absent".
            RefusedError: There are several operators and none was chosen.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.permissions.advice import advised
        from planton.cluster.planning.inventory import read_inventory
        from planton.translate.archive_sources import wanted_sources

        server = Server(self._connection, "read")
        with advised(self._connection, ["read"], operator_namespace or ""):
            inventory = read_inventory(
                server, chosen=operator_namespace, hostnames=True, sources=wanted_sources(manifests)
            )
        return inventory.platform, inventory.existing

    @bounded
    def plan(
        self,
        manifests: Iterable[Resource],
        *,
        options: PlanOptions | None = None,
        progress: Progress | None = None,
    ) -> Plan:
        """Compares manifests with the cluster and says what an apply would do. Writes nothing.

        Object stores that the apply would begin to use are tried out by reading, and it is looked into whether new
        databases will get what is in the archives that they start from, unless `skip_checks` is set.

        Args:
            manifests: Messages, as `planton.load` gives them or made in Python.
            options: What is meant and allowed.
            progress: Is told where the work has got to, by one thread at a time.

        Returns:
            The plan; `apply` takes it.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: Something must not be done, or not without an explicit word.
            ConflictError: Others own fields or objects of the set.
            ClusterError: The server refused something, or could not be reached.
        """
        return self._plan(manifests, options or PlanOptions(), locked(progress))

    def _plan(self, manifests: Iterable[Resource], options: PlanOptions, progress: Progress) -> Plan:
        from planton.cluster.api.server import Server
        from planton.cluster.ownership import check_set_id
        from planton.cluster.planning import admission
        from planton.cluster.planning.ahead import Ahead, begin_plan

        messages = prepare(manifests)
        check_set_id(options.set_id)
        admission.check_target(messages, options.cluster_id)
        with Ahead() as ahead:
            begin_plan(ahead, Server(self._connection, "read"), messages)
            # Only now: it takes about as long as these lists.
            from planton.cluster.planning.plan_manifests import plan_manifests

            return plan_manifests(self._connection, messages, options, progress, ahead)

    @bounded
    def apply(
        self,
        manifests: Iterable[Resource] | Plan,
        *,
        options: PlanOptions | None = None,
        timeout: float = 300.0,
        wait: bool = False,
        progress: Progress | None = None,
    ) -> ApplyResult:
        """Makes the cluster what manifests say. Writes only what changes; when it is broken off, apply again.

        Object stores that it begins to use are tried out before, by writing and deleting too, unless `skip_checks` is
        set.

        Args:
            manifests: Messages, or a plan of this cluster.
            options: What is meant and allowed; with a plan its own hold, and these must be left out.
            timeout: How long may be waited, in seconds, for the operator and, with `wait`, for the databases.
            wait: Whether to wait until the operator reports every database of the set as running.
            progress: Is told where the work has got to, by one thread at a time.

        Returns:
            What was done, and copies of the messages without their credentials, with `status.outputs` filled.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: Something must not be done, or not without an explicit word. Nothing was written.
            ConflictError: Others own fields or objects of the set. `changes` on it says what was done before.
            WaitError: Something was not ready in time. Likewise.
            ClusterError: The server refused something, or could not be reached. Likewise.
        """
        report = locked(progress)
        if isinstance(manifests, Plan):
            if options is not None:
                raise TypeError("a plan carries its own options")
            plan = manifests
            if plan.identity != self.identity:
                raise RefusedError([f"the plan was made for {plan.identity}, and this is {self.identity}"])
        else:
            plan = self._plan(manifests, options or PlanOptions(), report)
        from planton.cluster.planning.apply_plan import apply_plan

        return apply_plan(self._connection, plan, timeout=timeout, wait=wait, progress=report)

    def live_environment(self, namespace: str, name: str) -> list[KubernetesObject] | None:
        """Reads the environment that the operator gave the pods of a database.

        Args:
            namespace: Namespace of the database.
            name: Name of its custom resource, such as `db-orders`.

        Returns:
            `env` of the StatefulSet's container in its order, as the API server has it, with plain credentials hidden;
            None without a StatefulSet.

        Raises:
            ClusterError: The server refused, or could not be reached.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.environment import read_environment
        from planton.cluster.permissions.advice import advised

        with advised(self._connection, ["read"]):
            return read_environment(Server(self._connection, "read"), namespace, name)
