"""The door to a cluster: plan, apply, delete, status."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from planton.cluster import admission
from planton.cluster._connection import ClusterIdentity, Connection
from planton.cluster._kubeconfig import open_connection
from planton.cluster._server import Server, in_parallel, results
from planton.cluster._steps import Decisions
from planton.cluster.apply import Applier, copy_steps
from planton.cluster.changes import (
    ApplyResult,
    DeleteOptions,
    DeleteResult,
    Plan,
    PlanOptions,
    ProgressEvent,
)
from planton.cluster.delete import Deleter
from planton.cluster.deletion import Deletion, plan_deletion
from planton.cluster.environment import read_environment
from planton.cluster.inventory import read_inventory
from planton.cluster.mask import Scrubber
from planton.cluster.ownership import check_set_id
from planton.cluster.planning import effects_in, plan_set
from planton.cluster.refresh import Refresh
from planton.cluster.status import ResourceStatus, status_of, with_outputs
from planton.cluster.wait import Deadline
from planton.errors import RefusedError
from planton.manifest import Manifests, prepare
from planton.rendering import render
from planton.translate.collect import in_force
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, Resource

Progress = Callable[[ProgressEvent], None]


def connect(kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None) -> Cluster:
    """Reads a kubeconfig and gives the cluster that it names. Asks the server nothing yet.

    Args:
        kubeconfig: Path of the kubeconfig; None for KUBECONFIG, else ~/.kube/config.
        context: Name of the context; None for the current one.

    Returns:
        The cluster.

    Raises:
        ClusterError: The kubeconfig cannot be used.
    """
    return Cluster(open_connection(kubeconfig, context))


class Cluster:
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

    def facts(self, operator_namespace: str | None = None) -> tuple[BackupPlatform | None, Existing]:
        """Reads what translation needs to know of the cluster.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.

        Returns:
            The backup platform of the operator, with the contents of its storage Secret, or None; and what exists.

        Raises:
            ClusterError: The server refused; a missing permission is an error, never "absent".
            RefusedError: There are several operators and none was chosen.
        """
        server = Server(self._connection, "read")
        inventory = read_inventory(server, chosen=operator_namespace, hostnames=True)
        return inventory.platform, inventory.existing

    def plan(
        self,
        manifests: Iterable[Resource],
        *,
        options: PlanOptions | None = None,
        progress: Progress | None = None,
    ) -> Plan:
        """Compares manifests with the cluster and says what an apply would do. Writes nothing.

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
        return self._plan(prepare(manifests), options or PlanOptions(), _locked(progress))

    def _plan(self, messages: Manifests, options: PlanOptions, progress: Progress) -> Plan:
        check_set_id(options.set_id)
        admission.check_target(messages, options.cluster_id)
        server = Server(self._connection, "read")
        progress(ProgressEvent("read", 0, 0, str(self.identity)))
        inventory = read_inventory(
            server,
            set_operator=admission.operator_of(messages),
            chosen=options.operator_namespace,
            hostnames=any(isinstance(one, PostgresKubernetes) and one.spec.ingress.enabled for one in messages),
        )
        admission.check_operators(messages, inventory)
        rendering = render(messages, inventory.platform, inventory.existing)
        admission.check_credentials(messages, rendering.platform)
        return plan_set(
            self._connection,
            rendering,
            inventory,
            options,
            progress=progress,
            warnings=(*rendering.warnings, *admission.operator_warnings(messages, inventory)),
            target_clusters=admission.target_clusters(messages),
            refresh=Refresh(self._connection, messages, options, rendering.platform),
            messages=messages,
        )

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
        report = _locked(progress)
        if isinstance(manifests, Plan):
            if options is not None:
                raise TypeError("a plan carries its own options")
            plan = manifests
            if plan.identity != self.identity:
                raise RefusedError([f"the plan was made for {plan.identity}, and this is {self.identity}"])
        else:
            plan = self._plan(prepare(manifests), options or PlanOptions(), report)
        decisions: Decisions = plan._sealed.content
        refresh = decisions.refresh
        applier = Applier(
            Server(self._connection, "apply", decisions.scrubber),
            decisions,
            copies=lambda: copy_steps(refresh.storage_secrets()) if refresh else [],
            deadline=Deadline(timeout),
            progress=report,
        )
        changes = tuple(applier.run(wait=wait))
        filled = tuple(with_outputs(message) for message in decisions.messages)
        return ApplyResult(self.identity, changes, plan.warnings, effects_in(changes), filled)

    def plan_delete(self, manifests: Iterable[Resource], *, options: DeleteOptions) -> Plan:
        """Says what a delete would do. Writes nothing.

        Args:
            manifests: Messages of the databases, and of the operator where it is meant.
            options: What may go.

        Returns:
            A plan to look at, with what would be deleted, and what would stay as skipped; `apply` does not take it.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: A word is missing, or the state of the cluster forbids it.
            ClusterError: The server refused something, or could not be reached.
        """
        messages = prepare(manifests)
        deletion = self._deletion(messages, options)
        changes = tuple(step.change for step in deletion.steps)
        return Plan(self.identity, changes, target_clusters=admission.target_clusters(messages))

    def delete(
        self,
        manifests: Iterable[Resource],
        *,
        options: DeleteOptions,
        timeout: float = 300.0,
        progress: Progress | None = None,
    ) -> DeleteResult:
        """Deletes databases, each only by its name, and waits until the operator has cleaned up.

        Volumes, passwords, storage Secret and Namespace stay unless each is named by its own word; the CRD stays.

        Args:
            manifests: Messages of the databases, and of the operator where it is meant.
            options: What may go.
            timeout: How long may be waited, in seconds, until the operator has cleaned up.
            progress: Is told where the work has got to, by one thread at a time.

        Returns:
            What was deleted, and what stays as skipped.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: A word is missing, or the state of the cluster forbids it. Nothing was deleted.
            WaitError: The operator has not cleaned up in time. `changes` on it says what was done before.
            ClusterError: The server refused something, or could not be reached. Likewise.
        """
        deletion = self._deletion(prepare(manifests), options)
        deleter = Deleter(
            Server(self._connection, "delete"),
            deletion,
            deadline=Deadline(timeout),
            progress=_locked(progress),
        )
        return DeleteResult(self.identity, tuple(deleter.run()))

    def _deletion(self, messages: Manifests, options: DeleteOptions) -> Deletion:
        admission.check_target(messages, options.cluster_id)
        server = Server(self._connection, "read")
        inventory = read_inventory(
            server,
            set_operator=admission.operator_of(messages),
            chosen=options.operator_namespace,
            credentials=False,
        )
        return plan_deletion(server, messages, inventory, options)

    def status(self, manifests: Iterable[Resource], *, operator_namespace: str | None = None) -> list[ResourceStatus]:
        """Says how the resources of manifests stand in the cluster.

        Args:
            manifests: Messages, as `planton.load` gives them or made in Python.
            operator_namespace: Namespace of the operator, where the cluster has several.

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
        inventory = read_inventory(server, set_operator=admission.operator_of(messages), chosen=operator_namespace)
        platform, existing = in_force(messages, inventory.platform, inventory.existing)
        credentials = platform.credentials if platform else None
        server = server.during("status", Scrubber(credentials.reveal().values() if credentials else ()))
        return results(in_parallel(lambda one: status_of(server, one, inventory, platform, existing), messages))

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
        return read_environment(Server(self._connection, "read"), namespace, name)


def _locked(progress: Progress | None) -> Progress:
    lock = threading.Lock()

    def report(event: ProgressEvent) -> None:
        if progress is not None:
            with lock:
                progress(event)

    return report
