"""`planton env`: the backup environment of one database's pods, and where each variable comes from."""

from __future__ import annotations

import argparse

from planton.cli._arguments import Parser, add_cluster, add_files, add_operator, add_output, add_verbose, describe
from planton.cli._exit import CHANGES, DONE, UsageError
from planton.cli._output import Console

_HELP = """
Shows each backup variable of a database's pods, what it resolves to with $(SCOPE), $(PGVERSION) and
$(POD_NAMESPACE) filled in, and where it comes from:
  database   its custom resource, from its backup_config; wins over
  operator   the operator's backup ConfigMap and storage Secret, from the operator's backup_config
  default    nobody says it; what the database's image does by itself
OVERRULES shows what the operator says where the database says something else; an empty value of the database switches
that off. Values of Secrets are never shown, only where they are, and from where planton takes them.

With -f the manifests say what should be. With --live the cluster is asked for the facts that are not in the
manifests, and the StatefulSet that the operator made is compared: missing, different and extra variables are
pointed out. With --live and without -f everything is read from the cluster.

Exit codes: 0 shown (with --live: the pods are as they should be), 2 with --live: they differ,
1 there is no such database, bad manifests, or no answer from the cluster.

Examples:
  planton env my-database -f operator.yaml -f database.yaml
  planton env my-database -f manifests/ --live --context production
  planton env my-database --live -n team-a
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("name", metavar="NAME", help="metadata.name of the database")
    add_files(parser)
    add_output(parser, "table", "json", "yaml")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="its namespace, where several have that name")
    parser.add_argument(
        "--live", action="store_true", help="ask the cluster, and compare with the StatefulSet that is there"
    )
    add_verbose(parser)
    add_cluster(parser)
    add_operator(parser.add_argument_group("planning"))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Shows the environment.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: Neither manifests nor the cluster were named.
    """
    if not arguments.live:
        if arguments.kubeconfig or arguments.context or arguments.operator_namespace:
            raise UsageError("the cluster is not asked without --live", "Add --live, or leave the cluster out.")
        if not arguments.files:
            raise UsageError("say where to look", "Give the manifests with -f, or --live to ask the cluster, or both.")
    from planton.cli._environment import from_cluster, from_manifests, show

    found = (from_manifests if arguments.files else from_cluster)(arguments, console)
    show(found, arguments.output, console)
    return CHANGES if found.differs else DONE
