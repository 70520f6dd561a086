"""`planton restore`: makes a new database from the archive of another one, and never touches that one."""

from __future__ import annotations

import argparse

from planton.cli._arguments import (
    Parser,
    add_all,
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

_HELP = """
Restores a database under another name: makes a new one out of the archive of NAME, as it was at a time, or with all
that is archived. Nothing is restored in place: NAME and its archive stay as they are.

  1. finds NAME: in the manifests of -f, else in the cluster, else, when it is gone, in the record of archives
  2. looks whether the restore will work: keys, base backup, WAL up to the time, versions, room. When it will not, says
     why and what would, and writes nothing
  3. shows the plan and writes the new database's manifest to a file, which can be reviewed and committed; no
     credential is in it
  4. asks on a terminal, or with --yes does not ask, and applies it. To stop after the file: --no-apply

Which time has to be said, since WAL that is replayed to its end has the mistake in it that one wants to undo:
`planton backups window NAME` shows the times there are. They need their zone: 2026-11-22T08:14:35Z.

Exit codes: 0 applied, or with --no-apply written; 1 refused, failed, not ready in time, or not applied since the answer
was no or there was nobody to ask (the file is there then), or with --wait not proven to hold what was archived; 130,
143, 129 stopped by Ctrl-C, SIGTERM or SIGHUP.

Examples:
  planton restore orders --to 2026-11-22T08:14:35Z --as orders-before
  planton restore orders --to latest --as orders-copy --as-namespace staging --yes --wait --timeout 2h
  planton restore orders --to latest --as orders-copy --no-apply --output-file databases/orders-copy.yaml
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("name", metavar="NAME", help="the database whose archive it is")
    parser.add_argument(
        "--to", metavar="TIME|latest", help="restore to this time, with its zone, or all that is archived; required"
    )
    parser.add_argument("--as", dest="new_name", metavar="NEW", help="name of the new database; required")
    parser.add_argument(
        "-n", "--namespace", metavar="NAMESPACE", help="namespace of NAME, where several have that name"
    )
    parser.add_argument(
        "--as-namespace", metavar="NAMESPACE", help="namespace of the new database (default: that of NAME)"
    )
    parser.add_argument("--disk-size", metavar="SIZE", help="size of its volume (default: that of NAME)")
    add_files(parser)
    parser.add_argument("--output-file", metavar="FILE", help="where its manifest is written (default: NEW.yaml)")
    parser.add_argument("--yes", action="store_true", help="apply without asking")
    parser.add_argument(
        "--no-apply", action="store_true", help="write the manifest and show the plan, and apply nothing"
    )
    add_output(parser, "table", "json", "yaml")
    add_all(parser)
    add_verbose(parser)
    parser.add_argument("--wait", action="store_true", help="wait until the database runs, and prove what it holds")
    # A restore takes as long as it takes to fetch the base backup.
    add_timeout(parser, default="1h")
    add_cluster(parser)
    group = parser.add_argument_group("planning")
    add_target(group)
    group.add_argument(
        "--allow-archive-reuse",
        action="store_true",
        help="accept that the new database writes to an archive that is not empty: what is there can then be lost",
    )
    group.add_argument(
        "--skip-check",
        dest="skip_checks",
        action="store_true",
        help="look into nothing before: neither into the archive that it is restored from, nor into its own",
    )
    # A manifest alone is no set: nothing may be pruned for its sake, and nothing that exists is changed.
    writes(parser)
    parser.set_defaults(set_id=None, force_conflicts=False, allow_version_change=False, allow_encryption_change=False)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Restores a database.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The command line says something that cannot be done.
    """
    from planton.cli._restore import LONGEST_NAME, LONGEST_NAMESPACE, check_name, check_new_file, target_of

    target = target_of(arguments.to, arguments.name)
    if arguments.new_name is None:
        raise UsageError(
            "say under which name, with --as NEW",
            f"Nothing is restored in place: {arguments.name} stays as it is, and the new database stands beside it.",
        )
    check_name("--as", arguments.new_name, LONGEST_NAME)
    if arguments.as_namespace is not None:
        check_name("--as-namespace", arguments.as_namespace, LONGEST_NAMESPACE)
    if arguments.yes and arguments.no_apply:
        raise UsageError("--yes and --no-apply contradict each other", "Give one of them.")
    path = arguments.output_file or f"{arguments.new_name}.yaml"
    check_new_file(path)
    return _run(arguments, console, target, path)


def _run(arguments: argparse.Namespace, console: Console, target: str, path: str) -> int:
    from planton.cli._sources import open_cluster, read_manifests

    manifests = read_manifests(arguments, console) if arguments.files else ()
    cluster = open_cluster(arguments)
    # Only now, so that bad manifests are told without importing the client.
    from planton.cli._planning import carried_out, show_result, shown_plan
    from planton.cli._restore import (
        apply_command,
        is_proven,
        is_wanted,
        show_manifest,
        show_what_follows,
        status_command,
        write_new_file,
    )
    from planton.cluster.restoring.restore import RestoreRequest
    from planton.errors import PlantonError, WaitError

    console.transient(f"asking {cluster.identity.server}")
    request = RestoreRequest(
        name=arguments.name,
        new_name=arguments.new_name,
        target_time=target,
        namespace=arguments.namespace,
        new_namespace=arguments.as_namespace,
        operator_namespace=arguments.operator_namespace,
        disk_size=arguments.disk_size,
        file=path,
    )
    draft = cluster.draft_restore(request, manifests=manifests)
    console.transient("")
    plan = shown_plan(cluster, draft.manifests, arguments, console)
    write_new_file(path, draft.text)
    console.untouched = "nothing was applied"
    show_manifest(draft, path, arguments, console)
    # With --yes nobody looks at it before, and the result says the same.
    if arguments.no_apply or (arguments.output == "table" and not arguments.yes):
        show_result(plan, plan, arguments, console, word="Plan" if plan.changed else "Nothing to do")
    later = f"To apply it: {apply_command(path, arguments)}"
    if arguments.no_apply:
        console.plain(later)
        return DONE
    if not arguments.yes and not is_wanted(draft, console):
        if arguments.output != "table":
            show_result(plan, plan, arguments, console, word="Plan", complete=False)
        console.error("nothing was applied")
        console.plain(later)
        return ERROR
    try:
        result = carried_out(
            lambda progress: cluster.apply(plan, timeout=arguments.timeout, wait=arguments.wait, progress=progress),
            plan,
            arguments,
            console,
            # Not this command, which would meet the file that it has written.
            again=f"so does {path}. To go on from there: {apply_command(path, arguments)}",
        )
    except WaitError as error:
        # Nothing is wrong yet: a large database takes longer than the timeout.
        raise WaitError(
            error.pending,
            seconds=error.seconds,
            changes=error.changes,
            remedy=f"What was applied goes on in the cluster: {status_command(path, arguments)}\n"
            f"{path} stays; if something of it is missing there: {apply_command(path, arguments)}",
        ) from None
    except PlantonError:
        console.plain(f"{path} stays; once it is mended: {apply_command(path, arguments)}")
        raise
    show_result(result, plan, arguments, console, word="Done" if result.changed else "Nothing to do", complete=True)
    if arguments.wait and not is_proven(cluster, draft, arguments, console):
        return ERROR
    show_what_follows(draft, path, arguments, console)
    return DONE
