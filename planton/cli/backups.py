"""`planton backups`: what is in the archive of a database, and a base backup on demand."""

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
    describe,
)
from planton.cli._exit import DONE, ERROR, UsageError
from planton.cli._output import Console
from planton.cli._progress import Progress

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from planton.catalogue.archive import Archive
    from planton.cluster import Cluster

_HELP = """
Looks into the archive of a database, straight in its bucket, with the settings and keys that its pods have. It reads
and writes nothing:
  list NAME           its base backups, newest first, and the times to which a restore can go
  show NAME           the whole archive: timelines, WAL and what is missing of it
  show NAME BACKUP    one base backup; LATEST for the newest
  window NAME         the times to which a restore can go, the holes between them, and why
One more does something:
  create NAME         makes a base backup now, through the database's own pod, the way its schedule does, and waits
                      until it is in the bucket. As always after a base backup, retention runs too

Without -f the database is looked up in the cluster, by its name there or by metadata.name. With -f the manifests say
where the archive is, and no cluster is needed; with -f and --live both are used: keys that the manifests refer to are
read from the cluster's Secrets.

Times are in UTC. A restore can go to a time AFTER the first and BEFORE the last one: PostgreSQL needs a later commit
to know that it has arrived.

Exit codes: 0 shown, or made; 1 there is no such database or backup, or the store could not be read; for window also
when nothing can be restored.

Examples:
  planton backups list orders
  planton backups window orders -f manifests/
  planton backups show orders LATEST -o json | jq -r .finished
  planton backups create orders --timeout 2h
"""
_ACTIONS = ("list", "show", "window", "create")


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS), help="what to do")
    parser.add_argument("name", metavar="NAME", help="the database")
    parser.add_argument("backup", metavar="BACKUP", nargs="?", default="", help="a base backup, or LATEST; for show")
    add_files(parser)
    add_output(parser, "table", "json", "yaml")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="its namespace, where several have that name")
    add_verbose(parser)
    parser.add_argument("--live", action="store_true", help="ask the cluster too, where there are manifests")
    add_timeout(parser, "for create: ", default="1h")
    add_cluster(parser)
    add_operator(parser.add_argument_group("planning"))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Shows an archive, or makes a base backup.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The command line says something that cannot be done.
    """
    if arguments.backup and arguments.action != "show":
        raise UsageError(f'"{arguments.backup}" is one argument too many', "Only `show` takes the name of a backup.")
    if arguments.action == "create":
        console.untouched = "no backup was made"
    archive, cluster = _open(arguments, console)
    if arguments.action == "create":
        from planton.cli._backup_now import create

        return create(archive, cluster, arguments, console)
    return _show(archive, arguments, console)


def _open(arguments: argparse.Namespace, console: Console) -> tuple[Archive, Cluster | None]:
    from planton.cli._archive import open_archive

    return open_archive(arguments, console)


def _show(archive: Archive, arguments: argparse.Namespace, console: Console) -> int:
    from datetime import UTC, datetime

    from planton.cli import _catalogue

    with Progress(console) as progress:
        where = str(archive)
        progress.at("read", subject=where)
        catalogue = archive.catalogue(progress=lambda keys: progress.at("read", keys, f"keys of {where}"))
    if arguments.output == "table":
        if arguments.action == "list":
            _catalogue.show_list(catalogue, where, datetime.now(UTC), console)
        elif arguments.action == "window":
            _catalogue.show_window(catalogue, where, console)
        else:
            _catalogue.show_one(catalogue, arguments.backup, where, console)
    else:
        data = _catalogue.as_data(catalogue)
        if arguments.action == "show" and arguments.backup:
            data = _catalogue.backup_data(_catalogue.find_backup(catalogue, arguments.backup)[1])
        elif arguments.action == "window":
            current = catalogue.current
            data = {
                "archive": catalogue.prefix,
                "window": _catalogue.window_data(current.window) if current is not None else None,
                "warnings": list(catalogue.warnings),
            }
        (console.json if arguments.output == "json" else console.yaml)(data)
    if arguments.action == "window" and (catalogue.current is None or not catalogue.current.window.spans):
        return ERROR
    return DONE
