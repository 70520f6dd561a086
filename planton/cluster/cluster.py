"""The door to a cluster: plan, apply, delete, status."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from planton.cluster import admission
from planton.cluster._archive_methods import ArchiveMethods, Progress, locked
from planton.cluster._bounded import bounded
from planton.cluster._check_methods import CheckMethods
from planton.cluster._connection import ApiError, ClusterIdentity, Connection
from planton.cluster._kubeconfig import open_connection, open_in_cluster
from planton.cluster._restore_methods import RestoreMethods
from planton.cluster._server import Server
from planton.cluster._status_methods import StatusMethods
from planton.cluster._steps import Decisions
from planton.cluster.access import facts_in_force
from planton.cluster.apply import Applier, copy_steps
from planton.cluster.apply_checks import Facts, with_store_checks
from planton.cluster.changes import (
    ApplyResult,
    Change,
    DeleteOptions,
    DeleteResult,
    Plan,
    PlanOptions,
    ProgressEvent,
)
from planton.cluster.delete import Deleter
from planton.cluster.deletion import read_deletion
from planton.cluster.environment import read_environment
from planton.cluster.follow import Follower
from planton.cluster.generations import read_old_credentials
from planton.cluster.inventory import read_inventory
from planton.cluster.last_backup import LastBackup
from planton.cluster.ownership import check_set_id
from planton.cluster.permissions_advice import advised, operator_in, works_of_delete, works_of_plan
from planton.cluster.permissions_withheld import plan_permitted
from planton.cluster.planning import effects_in, plan_set
from planton.cluster.preflight import preflight
from planton.cluster.references import resolve
from planton.cluster.refresh import Refresh
from planton.cluster.status import with_outputs
from planton.cluster.synchronise import Synchronised, Synchroniser
from planton.cluster.wait import Deadline
from planton.collector import Uncollected
from planton.errors import PlantonError, RefusedError
from planton.manifest import Manifests, prepare
from planton.rendering import render
from planton.translate.archive_sources import wanted_sources
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.names import GENERATION_ANNOTATION
from planton.translate.platform import BackupPlatform
from planton.translate.secret_fields import secret_places
from planton.types import PostgresKubernetes, Resource


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


class Cluster(ArchiveMethods, CheckMethods, RestoreMethods, StatusMethods):
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
        return self._plan(prepare(manifests), options or PlanOptions(), locked(progress))

    def _plan(self, messages: Manifests, options: PlanOptions, progress: Progress) -> Plan:
        check_set_id(options.set_id)
        admission.check_target(messages, options.cluster_id)
        works, home = works_of_plan(messages, options), operator_in(messages, options.operator_namespace)
        with Uncollected(), advised(self._connection, works, home):
            return plan_permitted(messages, lambda kept, closed: self._plan_of(kept, options, progress, closed))

    def _plan_of(self, messages: Manifests, options: PlanOptions, progress: Progress, withheld: frozenset[str]) -> Plan:
        server = Server(self._connection, "read")
        progress(ProgressEvent("read", 0, 0, str(self.identity)))
        inventory = read_inventory(
            server,
            set_operator=admission.operator_of(messages),
            chosen=options.operator_namespace,
            hostnames=any(isinstance(one, PostgresKubernetes) and one.spec.ingress.enabled for one in messages),
            secrets=secret_places(messages),
            sources=wanted_sources(messages),
        )
        admission.check_operators(messages, inventory)
        values = resolve(server, messages, inventory.existing)
        rendering = render(messages, inventory.platform, replace(inventory.existing, values=values))
        admission.check_credentials(messages, rendering.platform)
        platform, existing = facts_in_force(messages, inventory, replace(inventory.existing, values=values))
        facts = Facts(messages, platform, existing, inventory)

        def report(text: str) -> None:
            progress(ProgressEvent("check", 0, 0, text))

        restores = preflight(server, facts, options, report)
        plan = plan_set(
            self._connection,
            restores.written_into(rendering),
            inventory,
            options,
            progress=progress,
            warnings=(*rendering.warnings, *restores.warnings, *admission.operator_warnings(messages, inventory)),
            target_clusters=admission.target_clusters(messages),
            refresh=Refresh(
                self._connection,
                messages,
                options,
                rendering.platform,
                values,
                inventory=inventory,
                has_generation=any(
                    GENERATION_ANNOTATION in (one["metadata"].get("annotations") or {}) for one in rendering
                ),
            ),
            messages=messages,
            withheld=withheld,
        )
        return with_store_checks(restores.told(plan), server, facts, options, report)

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
            plan = self._plan(prepare(manifests), options or PlanOptions(), report)
        decisions: Decisions = plan._sealed.content
        refresh = decisions.refresh
        warnings = plan.warnings
        if decisions.checks is not None:
            found = decisions.checks.run(write=True, report=lambda text: report(ProgressEvent("check", 0, 0, text)))
            warnings = tuple(dict.fromkeys((*warnings, *found)))
        applier = Applier(
            Server(self._connection, "apply", decisions.scrubber),
            decisions,
            copies=lambda: copy_steps(refresh.storage_secrets()) if refresh else [],
            deadline=Deadline(timeout),
            progress=report,
        )
        works = works_of_plan(decisions.messages, decisions.options)
        home = operator_in(decisions.messages, decisions.options.operator_namespace)
        with advised(self._connection, works, home):
            changes = tuple(applier.run(wait=wait))
        filled = tuple(with_outputs(message) for message in decisions.messages)
        effects = effects_in(changes)
        return ApplyResult(self.identity, changes, warnings, effects, filled, applier.old_credentials)

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
        with advised(self._connection, works_of_delete(options), operator_in(messages, options.operator_namespace)):
            deletion, _ = read_deletion(Server(self._connection, "read"), messages, options)
        changes = tuple(step.change for step in deletion.steps)
        return Plan(
            self.identity,
            changes,
            effects=effects_in(changes),
            target_clusters=admission.target_clusters(messages),
            remaining=tuple(one.remaining for one in deletion.behind),
        )

    @bounded
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
        Archives stay in any case, and are written down with what is needed to restore from them.

        Args:
            manifests: Messages of the databases, and of the operator where it is meant.
            options: What may go.
            timeout: How long may be waited, in seconds, until the operator has cleaned up. Last backups take their own
                time before.
            progress: Is told where the work has got to, by one thread at a time.

        Returns:
            What was deleted, what stays as skipped, and what remains of each database.

        Raises:
            ManifestError: The manifests cannot be used.
            RefusedError: A word is missing, or the state of the cluster forbids it. Nothing was deleted.
            WaitError: The operator has not cleaned up in time. `changes` on it says what was done before.
            ClusterError: The server refused something, or could not be reached. Likewise.
        """
        messages, report = prepare(manifests), locked(progress)
        with advised(self._connection, works_of_delete(options), operator_in(messages, options.operator_namespace)):
            return self._delete(messages, options, timeout, report)

    def _delete(self, messages: Manifests, options: DeleteOptions, timeout: float, report: Progress) -> DeleteResult:
        deletion, reader = read_deletion(Server(self._connection, "read"), messages, options)
        server = Server(self._connection, "delete")
        deleter = Deleter(
            server,
            deletion,
            deadline=Deadline(timeout),
            progress=report,
            read_archive=reader,
            make_backup=LastBackup(server.during("backup"), reader, progress=report),
        )
        changes = tuple(deleter.run())
        return DeleteResult(self.identity, changes, effects=effects_in(changes), remaining=deleter.remaining)

    @bounded
    def synchronise_credentials(
        self,
        operator_namespace: str | None = None,
        *,
        timeout: float = 300.0,
        progress: Progress | None = None,
        on_change: Callable[[Change], None] | None = None,
    ) -> ApplyResult:
        """Brings the operator's credentials to every namespace with a database, and follows when they have changed.

        Secrets of others that the operator's manifest refers to are read again. When they have other keys, everything
        follows, and in the end the operator restarts the pods. When it is broken off, do it again.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.
            timeout: How long may be waited, in seconds, for an operator that has to restart.
            progress: Is told where the work has got to, by one thread at a time.
            on_change: Is told each change as soon as it is made, by one thread at a time.

        Returns:
            What was done.

        Raises:
            RefusedError: There are no backups to copy credentials for, or several operators.
            ConflictError: Secrets that are not planton's stand where copies belong. All others are written, and
                `changes` on it says which.
            WaitError: The operator was not ready in time. Likewise.
            ClusterError: The server refused something, or a Secret of others cannot be used. Likewise.
        """
        synchroniser = Synchroniser(
            self._connection,
            operator_namespace,
            progress=locked(progress),
            on_change=on_change or (lambda change: None),
        )
        done = synchroniser.run(Deadline(timeout))
        done.check()
        old = self._old_credentials(done) if any(one.action == "configured" for one in done.changes) else ()
        return ApplyResult(self.identity, done.changes, effects=effects_in(done.changes), old_credentials=old)

    def _old_credentials(self, done: Synchronised) -> tuple[str, ...]:
        """Finds what still runs on old credentials; nothing to whom pods are not shown, such as the CronJob."""
        if done.state is None:
            return ()
        try:
            old = read_old_credentials(Server(self._connection, "sync"), done.state.platform.namespace)
        except ApiError as error:
            if error.status != 403:
                raise
            return ()
        return tuple(one.line for one in old)

    def follow_credentials(
        self,
        operator_namespace: str | None = None,
        *,
        interval: float = 300.0,
        on_change: Callable[[Change], None],
        on_error: Callable[[PlantonError], None],
    ) -> Follower:
        """Does as synchronise_credentials whenever something changes, for as long as it is let.

        Args:
            operator_namespace: Namespace of the operator, where the cluster has several.
            interval: Seconds after which everything is looked at again.
            on_change: Is told each change as soon as it is made.
            on_error: Is told what goes wrong. It is tried again, and told again only when it is something else.

        Returns:
            Its `run` works until its `stop` is called, by another thread.
        """
        return Follower(self._connection, operator_namespace, interval=interval, on_change=on_change, on_error=on_error)

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
        with advised(self._connection, ["read"]):
            return read_environment(Server(self._connection, "read"), namespace, name)
