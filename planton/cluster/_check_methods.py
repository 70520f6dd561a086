"""What the door to a cluster does to check: it tries out stores and archives, from here and from within."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from planton.cluster._bounded import bounded
from planton.cluster.api.connection import Connection
from planton.cluster.changes import Progress, ProgressEvent, locked
from planton.manifest import prepare
from planton.types import Resource

if TYPE_CHECKING:
    from planton.cluster.checking.checks import Checked


class CheckMethods:
    """A part of Cluster."""

    _connection: Connection

    @bounded
    def check(
        self,
        manifests: Iterable[Resource] = (),
        *,
        names: Sequence[str] = (),
        namespace: str | None = None,
        operator_namespace: str | None = None,
        from_cluster: bool = False,
        timeout: float = 180.0,
        progress: Progress | None = None,
    ) -> tuple[Checked, ...]:
        """Tries out whether stores do what backups need, and whether archives are empty or their databases' own.

        It writes some bytes below `planton-check/` in an archive of each store, and deletes them again.

        Args:
            manifests: Messages that say where archives are; without any, what the pods of live databases get says it.
            names: Names of the databases that are meant; empty for all.
            namespace: Namespace of the databases that are meant; None for all.
            operator_namespace: Namespace of the operator, where the cluster has several.
            from_cluster: Whether to try it out from within the cluster as well, by a short Job for each namespace and
                store. It needs a database that is there already.
            timeout: How long such a Job may take, in seconds.
            progress: Is told what is tried, by one thread at a time.

        Returns:
            The stores, each once; then the archives; then what was tried from within the cluster.

        Raises:
            ManifestError: The manifests cannot be used, or hold no such database.
            RefusedError: There is no such database, or there are several operators and none was chosen.
            ClusterError: The server refused something, or could not be reached.
        """
        from planton.cluster.api.server import Server
        from planton.cluster.checking.check_inside import check_inside
        from planton.cluster.checking.check_targets import targets_in_cluster, targets_in_manifests
        from planton.cluster.checking.checks import check_targets
        from planton.cluster.permissions.advice import advised, operator_in
        from planton.cluster.planning import admission
        from planton.cluster.planning.inventory import read_inventory
        from planton.translate.archive_sources import wanted_sources

        messages = prepare(manifests)
        server = Server(self._connection, "check")
        home = operator_in(messages, operator_namespace)
        with advised(self._connection, ["check"] if from_cluster else ["read"], home):
            inventory = read_inventory(
                server,
                set_operator=admission.operator_of(messages),
                chosen=operator_namespace,
                sources=wanted_sources(messages),
            )
            if messages:
                targets, unknown = targets_in_manifests(server, inventory, messages, names, namespace)
            else:
                targets, unknown = targets_in_cluster(server, inventory, names, namespace)
            report = locked(progress)
            checked = check_targets(
                targets, write=True, server=server, progress=lambda text: report(ProgressEvent("check", 0, 0, text))
            )
            if from_cluster:
                checked = check_inside(server, targets, checked, timeout=timeout, progress=report)
        return (*checked, *unknown)
