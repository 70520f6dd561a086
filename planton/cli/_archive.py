"""Which archive is meant: by the manifests, by the cluster, or by both."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from planton.cli._exit import UsageError
from planton.cli._output import Console
from planton.cli._sources import open_cluster, read_manifests

if TYPE_CHECKING:
    from planton.catalogue.archive import Archive
    from planton.cluster import Cluster


def open_archive(arguments: argparse.Namespace, console: Console) -> tuple[Archive, Cluster | None]:
    """Opens the archive of a database.

    Args:
        arguments: What was asked for: name, namespace, files, live, and the cluster.
        console: Where to say that the cluster is asked.

    Returns:
        The archive, and the cluster if it was asked.

    Raises:
        UsageError: The cluster was named and is not to be asked.
        PlantonError: There is no such database, it has no archive, or the cluster could not be asked.
    """
    if arguments.files and not arguments.live:
        if arguments.kubeconfig or arguments.context or arguments.operator_namespace:
            raise UsageError("the cluster is not asked without --live", "Add --live, or leave the cluster out.")
        from planton.cluster.backups.access import archive

        return archive(read_manifests(arguments, console), arguments.name, namespace=arguments.namespace), None
    manifests = read_manifests(arguments, console) if arguments.files else ()
    cluster = open_cluster(arguments)
    console.transient(f"asking {cluster.identity.server}")
    found = cluster.archive(
        arguments.name,
        arguments.namespace,
        manifests=manifests,
        operator_namespace=arguments.operator_namespace,
    )
    return found, cluster
