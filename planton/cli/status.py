"""`planton status`: what the operator makes of it, and where databases can be reached."""

from __future__ import annotations

import argparse

from planton.cli._arguments import (
    Parser,
    add_cluster,
    add_files,
    add_operator,
    add_output,
    add_verbose,
    check_names,
    describe,
)
from planton.cli._exit import DONE, STALE
from planton.cli._output import Console
from planton.cli._progress import Progress

_HELP = """
Shows how each resource of the manifests stands in the cluster: whether it is there, what the operator reports,
its pods, what is wrong, the last warnings of the cluster, and the outputs: addresses, how to reach it from
here, and which Secret holds user and password. Of databases with backups also how old the last base backup and
the last WAL segment are, read straight from the bucket with the keys of the pods; --no-archive leaves it alone.

Backups are too old when the last base backup is older than two intervals of its schedule, or the last WAL
segment older than one hour, while the database is meant to run. Where nobody writes into a database nothing is
archived, and that is no alarm where it is proven (by the position that its primary reports). What cannot be seen
is taken for too old, except in a store whose name exists inside of the cluster only (such as minio.storage.svc).

With -o json or yaml each resource is its manifest with `status` filled: `outputs` as in the schema, and
`observed` with what was found in the cluster. Credentials are masked.

Exit codes: 0 the cluster was asked, whatever it said; 3 likewise, and backups are too old or cannot be seen;
1 it could not be asked, or bad manifests, or some resources may not be looked at: the others are shown.

Examples:
  planton status -f manifests/ --context production
  planton status orders -f manifests/                  # one of many
  planton status -f database.yaml -o json | jq -r '.[].status.outputs.port_forward_command'
  planton status -f manifests/ -o json | jq -e 'all(.[]; .status.observed.ready)'
  planton status -f manifests/ >/dev/null || notify "databases or their backups are in trouble"
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="resources of the manifests that are meant (default: all)"
    )
    add_files(parser)
    add_output(parser, "table", "json", "yaml", text="form of the output; json is one list")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="only resources in this namespace")
    parser.add_argument("--no-archive", dest="archives", action="store_false", help="do not look into the buckets")
    add_verbose(parser)
    add_cluster(parser)
    add_operator(parser.add_argument_group("planning"))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Shows the status.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.
    """
    from planton.cli._sources import open_cluster, read_manifests

    check_names(arguments.names)
    manifests = read_manifests(arguments, console)
    cluster = open_cluster(arguments)
    with Progress(console) as progress:
        progress.at("status", subject=cluster.identity.server)
        statuses = cluster.status(
            manifests,
            names=arguments.names,
            namespace=arguments.namespace,
            operator_namespace=arguments.operator_namespace,
            archives=arguments.archives,
        )
    from planton.cli._status import as_data, show

    if arguments.output == "json":
        console.json([as_data(one) for one in statuses])
    elif arguments.output == "yaml":
        console.yaml(*(as_data(one) for one in statuses))
    else:
        show(statuses, cluster.identity, console)
    if any(one.denied for one in statuses):
        # Last, since what can be seen is worth seeing.
        console.flush()
        raise cluster.no_permission(statuses, operator_namespace=arguments.operator_namespace)
    return STALE if any(one.archive is not None and one.archive.is_alarming for one in statuses) else DONE
