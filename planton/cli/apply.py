"""`planton apply`: makes the cluster what the manifests say."""

from __future__ import annotations

import argparse

from planton.cli._arguments import (
    Parser,
    add_all,
    add_cluster,
    add_files,
    add_output,
    add_planning,
    add_timeout,
    add_verbose,
    describe,
    writes,
)
from planton.cli._exit import DONE
from planton.cli._output import Console

_HELP = """
Plans, then writes what changes and nothing else, in an order in which the operator is never told of something
that is not there yet. Waits until the operator is rolled out; with --wait also until every database runs.
Whatever stops it, running the same command again goes on from there; a second run changes nothing.

Stores that are about to be used in another way (a new database, another archive, other keys) are tried out just
before, by writing and deleting a few bytes: what a store refuses ends the apply before anything is written to the
cluster, and one that is not reached from here is said. --skip-check leaves that out.

Fields that another field manager owns are not touched: that is an error that names both, and nothing is
written, unless --force-conflicts is given.

Exit codes: 0 applied, or nothing to do; 1 refused, failed or not ready in time (stdout says what was done
before); 130, 143, 129 stopped by Ctrl-C, SIGTERM or SIGHUP (likewise).

Examples:
  planton apply -f manifests/ --context production
  planton apply -f operator.yaml -f databases/ --set production --wait --timeout 15m
  planton apply -f manifests/ -o json >result.json
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_files(parser)
    add_output(parser, "table", "json", "yaml")
    add_all(parser)
    add_verbose(parser)
    parser.add_argument("--wait", action="store_true", help="wait until the operator reports every database as running")
    add_timeout(parser)
    add_cluster(parser)
    add_planning(parser)
    writes(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Applies manifests.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.
    """
    from planton.cli._sources import open_cluster, read_manifests

    manifests = read_manifests(arguments, console)
    cluster = open_cluster(arguments)
    # Only now, so that bad manifests are told without importing the client.
    from planton.cli._planning import carried_out, show_result, shown_plan
    from planton.cli._problems import show_warnings

    plan = shown_plan(cluster, manifests, arguments, console)
    result = carried_out(
        lambda progress: cluster.apply(plan, timeout=arguments.timeout, wait=arguments.wait, progress=progress),
        plan,
        arguments,
        console,
    )
    # What only shows when something is written into a store.
    planned = set(plan.warnings)
    show_warnings([one for one in result.warnings if one not in planned], console)
    show_result(result, plan, arguments, console, word="Done" if result.changed else "Nothing to do", complete=True)
    return DONE
