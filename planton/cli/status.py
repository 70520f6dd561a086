"""`planton status`: what the operator makes of it, and where databases can be reached."""

from __future__ import annotations

import argparse

from planton.cli._arguments import Parser, add_cluster, add_files, add_operator, add_output, describe
from planton.cli._exit import DONE
from planton.cli._output import Console

_HELP = """
Shows how each resource of the manifests stands in the cluster: whether it is there, what the operator reports,
its pods, what is wrong, the last warnings of the cluster, and the outputs: addresses, how to reach it from
here, and which Secret holds user and password.

With -o json or yaml each resource is its manifest with `status` filled: `outputs` as in the schema, and
`observed` with what was found in the cluster. Credentials are masked.

Exit codes: 0 the cluster was asked, whatever it said; 1 it could not be asked, or bad manifests.

Examples:
  planton status -f manifests/ --context production
  planton status -f database.yaml -o json | jq -r '.[].status.outputs.port_forward_command'
  planton status -f manifests/ -o json | jq -e 'all(.[]; .status.observed.ready)'
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_files(parser)
    add_output(parser, "table", "json", "yaml", text="form of the output; json is one list")
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

    manifests = read_manifests(arguments, console)
    cluster = open_cluster(arguments)
    console.transient(f"asking {cluster.identity.server}")
    statuses = cluster.status(manifests, operator_namespace=arguments.operator_namespace)
    from planton.cli._status import as_data, show

    if arguments.output == "json":
        console.json([as_data(one) for one in statuses])
    elif arguments.output == "yaml":
        console.yaml(*(as_data(one) for one in statuses))
    else:
        show(statuses, cluster.identity, console)
    return DONE
