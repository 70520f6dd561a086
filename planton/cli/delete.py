"""`planton delete`: deletes databases, each by its name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from planton.cli._arguments import (
    Parser,
    add_cluster,
    add_files,
    add_output,
    add_target,
    add_timeout,
    add_verbose,
    describe,
    writes,
)
from planton.cli._exit import DONE, ERROR, UsageError
from planton.cli._output import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planton.cluster import Cluster, DeleteOptions
    from planton.types import Resource

_HELP = """
Shows what of the manifests would go and what would stay, and deletes nothing, unless each database is named
with --yes-delete. Then its custom resource and planton's Services go, and it is waited until the operator has
cleaned up the pods.

Volumes (the data), passwords, the storage Secret and the Namespace stay, unless each is named by its own
word. Backups in the object store always stay, and so does the CRD. An operator goes only with
--yes-delete-operator, when the cluster has no database any more.

The archive of each database is looked into first, and again after its shutdown: it is said what is in it and
until when the database can be restored. --last-backup makes a base backup before anything goes, and deletes
nothing without it. Volumes whose data is not in the archive, as far as one can see, need --without-backup.
How to restore each database is printed, and written down for `planton restore`; --write-restore writes a
manifest that needs nothing of this cluster but the Secrets with the keys.

Exit codes: 0 deleted what was named; 1 nothing was named, refused, failed or not cleaned up in time (stdout
says what was done before); 130, 143, 129 stopped by Ctrl-C, SIGTERM or SIGHUP (likewise).

Examples:
  planton delete -f databases/                                         # shows, deletes nothing
  planton delete -f databases/ --yes-delete orders --last-backup --write-restore restore-orders.yaml
  planton delete -f databases/ --yes-delete team-a/orders --volumes --passwords --storage-secret --namespace
  planton delete -f operator.yaml --yes-delete-operator
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_files(parser)
    add_output(parser, "table", "json", "yaml")
    add_verbose(parser)
    add_timeout(parser)
    add_cluster(parser)
    target = parser.add_argument_group("planning")
    target.add_argument(
        "--set", dest="set_id", metavar="ID", help="id of the set of the databases that may go, where they are in one"
    )
    add_target(target)
    group = parser.add_argument_group("what goes", "Nothing goes that has no word here.")
    group.add_argument(
        "--yes-delete",
        dest="databases",
        action="append",
        default=[],
        metavar="NAME|NAMESPACE/NAME",
        help="delete this database of the manifests; once for each",
    )
    group.add_argument("--yes-delete-operator", action="store_true", help="delete the operator of the manifests")
    group.add_argument("--volumes", action="store_true", help="and the volumes: the data is lost, but for backups")
    group.add_argument("--passwords", action="store_true", help="and the Secrets with the databases' passwords")
    group.add_argument(
        "--storage-secret",
        action="store_true",
        help="and the object store's credentials there; never a key with which backups are encrypted",
    )
    group.add_argument(
        "--namespace", action="store_true", help="and the Namespace, if planton made it and nothing is left in it"
    )
    group.add_argument(
        "--without-operator",
        action="store_true",
        help="delete although no operator runs: pods, StatefulSets and Services of the databases stay",
    )
    group = parser.add_argument_group("backups")
    group.add_argument(
        "--last-backup",
        action="store_true",
        help="make a base backup of each named database first, through its own pod; delete nothing without it",
    )
    group.add_argument(
        "--without-backup",
        action="store_true",
        help="with --volumes: also where the archive cannot be read, or does not hold what the volumes do",
    )
    group.add_argument(
        "--write-restore",
        metavar="FILE",
        help="write a manifest that restores each named database, before anything is deleted; no credentials in it",
    )
    # What is deleted and what stays is short enough to be shown whole.
    parser.set_defaults(all=True)
    writes(parser, "nothing was deleted")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Deletes databases.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.
    """
    from planton.cli._sources import open_cluster, read_manifests

    manifests = read_manifests(arguments, console)
    if arguments.write_restore is not None and not arguments.databases:
        raise UsageError("--write-restore goes with --yes-delete", "Name the databases that are deleted.")
    cluster = open_cluster(arguments)
    # Only now, so that bad manifests are told without importing the client.
    from planton.cli._planning import carried_out, planned, show_cluster, show_result
    from planton.cli._remaining import check_file, show_remaining, write_restore
    from planton.cluster import DeleteOptions, DeleteResult

    if arguments.write_restore is not None:
        check_file(arguments.write_restore)

    options = DeleteOptions(
        databases=tuple(arguments.databases),
        operator=arguments.yes_delete_operator,
        volumes=arguments.volumes,
        passwords=arguments.passwords,
        storage_secret=arguments.storage_secret,
        namespace=arguments.namespace,
        without_operator=arguments.without_operator,
        operator_namespace=arguments.operator_namespace,
        cluster_id=arguments.cluster_id,
        set_id=arguments.set_id,
        last_backup=arguments.last_backup,
        without_backup=arguments.without_backup,
    )
    if not options.databases and not options.operator:
        return _preview(cluster, manifests, options, arguments, console)
    plan = planned(lambda progress: cluster.plan_delete(manifests, options=options), cluster.identity, console)
    show_cluster(plan, arguments, console)
    if arguments.write_restore is not None:
        write_restore(arguments.write_restore, plan.remaining, console)
    result = carried_out(
        lambda progress: cluster.delete(manifests, options=options, timeout=arguments.timeout, progress=progress),
        plan,
        arguments,
        console,
    )
    show_result(result, plan, arguments, console, word="Done" if result.changed else "Nothing to do", complete=True)
    if arguments.output == "table":
        show_remaining(result.remaining if isinstance(result, DeleteResult) else (), console)
    return DONE


def _preview(
    cluster: Cluster,
    manifests: Sequence[Resource],
    options: DeleteOptions,
    arguments: argparse.Namespace,
    console: Console,
) -> int:
    """Shows what would go if everything in the manifests were named. Deletes nothing."""
    from dataclasses import replace

    from planton.cli._planning import planned, show_cluster, show_result
    from planton.translate.names import namespace_of
    from planton.types import PostgresKubernetes

    databases = [message for message in manifests if isinstance(message, PostgresKubernetes)]
    everything = replace(
        options,
        databases=tuple(f"{namespace_of(one)}/{one.metadata.name}" for one in databases),
        # With its databases an operator can only go after them, so it is shown when it stands alone.
        operator=not databases,
    )
    plan = planned(lambda progress: cluster.plan_delete(manifests, options=everything), cluster.identity, console)
    show_cluster(plan, arguments, console)
    show_result(plan, plan, arguments, console, word="If all were named", complete=False)
    names = [one.metadata.name for one in databases]
    words = [
        f"--yes-delete {name if names.count(name) == 1 else word}"
        for name, word in zip(names, everything.databases, strict=True)
    ]
    console.error("nothing was named, so nothing was deleted")
    console.plain(f"Name each that shall go: {' '.join(words or ['--yes-delete-operator'])}")
    console.plain("What is shown as skipped goes only by its own word; see `planton delete --help`.")
    return ERROR
