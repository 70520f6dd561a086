"""`planton check`: do the stores do what backups need, and are the archives empty or the databases' own?"""

from __future__ import annotations

import argparse

from planton.cli._arguments import (
    Parser,
    add_cluster,
    add_files,
    add_operator,
    add_output,
    add_timeout,
    add_verbose,
    check_names,
    describe,
)
from planton.cli._exit import DONE, ERROR, UsageError
from planton.cli._output import Console
from planton.cli._progress import Progress

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from planton.cluster import Cluster
    from planton.cluster.checking.checks import Checked

_HELP = """
Tries out every object store that backups go to, each once: whether it is reached, its certificate, the keys, the
bucket, the region, and whether it can be read, written, and deleted from, one by one and in a batch, which the
retention of backups needs; and whether its clock agrees with the one here. Then looks at the archive of each
database: it has to be empty, or provably that database's own (by the system identifier of PostgreSQL).

It writes three objects of some bytes below planton-check/ in one archive of each store, and deletes them again.

Without -f the databases of the cluster are checked, by what their pods get. With -f those of the manifests, and
no cluster is needed; with -f and --live both are used: keys are read from the cluster's Secrets, and archives
that are not empty are compared with the live databases. NAME is a database (metadata.name); without any all.

--from-cluster tries it from within the cluster as well, by a short Job with the image, the account and the
settings of the database's own pods, for each namespace and store. A store that is reached from there and not
from here is a warning only. It asks the cluster, as --live does.

Exit codes: 0 all is well (warnings do not count); 1 something is wrong, or a store was not reached.

Examples:
  planton check -f manifests/                         # before the first apply
  planton check --from-cluster                        # as the databases' pods see it
  planton check orders -o json | jq '.checks[].findings[] | select(.outcome == "failed")'
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("names", metavar="NAME", nargs="*", help="databases that are meant (default: all)")
    add_files(parser)
    add_output(parser, "table", "json", "yaml")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="only databases in this namespace")
    parser.add_argument("--live", action="store_true", help="ask the cluster too, where there are manifests")
    parser.add_argument("--from-cluster", action="store_true", help="try it from within the cluster as well, by a Job")
    add_timeout(parser)
    add_verbose(parser)
    add_cluster(parser)
    add_operator(parser.add_argument_group("planning"))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Checks stores and archives.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The cluster was named and is not to be asked.
    """
    check_names(arguments.names)
    checked, cluster = _check(arguments, console)
    console.transient("")
    from planton.cli._checks import as_data, show

    if arguments.output == "table":
        show(checked, cluster.identity if cluster is not None else None, console)
    else:
        (console.json if arguments.output == "json" else console.yaml)(as_data(checked))
    return DONE if all(one.is_ok for one in checked) else ERROR


def _check(arguments: argparse.Namespace, console: Console) -> tuple[tuple[Checked, ...], Cluster | None]:
    from planton.cli._sources import open_cluster, read_manifests

    manifests = read_manifests(arguments, console) if arguments.files else ()
    if manifests and not (arguments.live or arguments.from_cluster):
        if arguments.kubeconfig or arguments.context or arguments.operator_namespace:
            raise UsageError("the cluster is not asked without --live", "Add --live, or leave the cluster out.")
        from planton.cluster.checking.check_targets import targets_in_manifests
        from planton.cluster.checking.checks import check_targets

        targets, without = targets_in_manifests(None, None, manifests, arguments.names, arguments.namespace)
        with Progress(console) as progress:
            found = check_targets(targets, write=True, progress=lambda text: progress.at("check", subject=text))
        return (*found, *without), None
    cluster = open_cluster(arguments)
    with Progress(console) as progress:
        progress.at("check", subject=cluster.identity.server)
        checked = cluster.check(
            manifests,
            names=arguments.names,
            namespace=arguments.namespace,
            operator_namespace=arguments.operator_namespace,
            from_cluster=arguments.from_cluster,
            timeout=arguments.timeout,
            progress=progress,
        )
    return checked, cluster
