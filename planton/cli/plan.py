"""`planton plan`: what would an apply change in the cluster? Writes nothing."""

from __future__ import annotations

import argparse

from planton.cli._arguments import (
    Parser,
    add_all,
    add_cluster,
    add_files,
    add_output,
    add_planning,
    add_verbose,
    describe,
)
from planton.cli._exit import CHANGES, DONE, ERROR
from planton.cli._output import Console

_HELP = """
Compares manifests with a cluster and shows what an apply would do: objects created, configured (with each
field that changes), deleted, skipped (with the reason), refused (no permission, or its namespace is being
deleted), and what follows from it, such as pods that restart.
Nothing is written; the server is asked to try what is new or differs (a dry run). Credentials are masked.
Stores that an apply would begin to use are tried out by reading; --skip-check leaves that out.

Exit codes: 0 nothing to do, 2 there are changes, 1 it could not be planned: bad manifests, a conflict with
another field manager, a refusal, no permission, or no answer from the cluster.

Examples:
  planton plan -f manifests/ --context production
  planton plan -f operator.yaml -f databases/ --set production     # shows what would be pruned, too
  planton plan -f manifests/ -o json | jq '.changes[] | select(.action != "unchanged")'
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
    add_cluster(parser)
    add_planning(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Shows a plan.

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
    from planton.cli._planning import show_result, shown_plan
    from planton.words import counted

    plan = shown_plan(cluster, manifests, arguments, console)
    show_result(plan, plan, arguments, console, word="Plan" if plan.changed else "Nothing to do")
    if plan.refused:
        from planton.cluster.permissions.losses import GOING

        going = sum(change.reason == GOING for change in plan.refused)
        missing = len(plan.refused) - going
        why = [f"no permission for {counted(missing, 'object')}"] if missing else []
        why += [f"{counted(going, 'object')} in a namespace that is being deleted"] if going else []
        console.error(f"{' and '.join(why)}: an apply does all else, and then fails")
        return ERROR
    return CHANGES if plan.changed else DONE
