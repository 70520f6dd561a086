"""The parser of the whole command: the overview, and the verbs, each imported only when it is asked for.

The overview is written without argparse, whose import would be most of what `planton --help` does.
"""

from __future__ import annotations

from planton import __version__
from planton.cli._output import help_width

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from planton.cli._arguments import Parser

PROGRAM = "planton"
VERBS = {
    "validate": "check manifests, without a cluster",
    "render": "print the Kubernetes objects, without a cluster",
    "plan": "show what apply would change",
    "apply": "make the cluster what the manifests say",
    "check": "try out whether the stores do what backups need",
    "status": "show what the operator reports, and how to reach databases",
    "backups": "look into a database's archive, or back it up now",
    "restore": "make a new database from the archive of another one",
    "env": "show the backup environment of a database's pods",
    "sync-credentials": "bring the credentials to every namespace with a database",
    "delete": "delete databases, each by name",
    "permissions": "print the roles that planton needs",
    "completion": "print completion for a shell",
}
"""The verbs, each a module beside this one, with what the overview says of them."""
_OPTIONS = {"-h, --help": "show this help message and exit", "--version": "print the version and exit"}
_DESCRIPTION = """\
PostgreSQL with backups on Kubernetes, from manifests in YAML or JSON.

Three steps, of which only the last writes anything:
  1. planton validate -f FILE    are the manifests right? Needs no cluster
  2. planton plan -f FILE        what would change in the cluster?
  3. planton apply -f FILE       change it, and say what was done"""
_EPILOG = """\
Exit codes:
  0    done, or nothing to do
  1    bad input, refused, or failed; stderr says what, where, and what to do
  2    plan: there are changes; env --live: the pods differ. Never from another verb
  3    status: backups are too old, or cannot be seen. Never from another verb
  130  stopped by Ctrl-C; 143: by SIGTERM; 129: by SIGHUP; 141: nobody reads the output any more

Results go to stdout, everything else to stderr. Credentials are masked everywhere.
`planton VERB --help` has examples."""


def overview() -> str:
    """Writes the help of the whole command.

    Returns:
        The text, as wide as the terminal, with a line feed at its end.
    """
    width = help_width()
    column = 4 + max(map(len, VERBS)) + 2
    lines = [f"usage: {PROGRAM} [-h] [--version] VERB ...", "", _DESCRIPTION, "", "options:"]
    for name, text in _OPTIONS.items():
        lines += _row(f"  {name}", text, column, width)
    lines += ["", "verbs:", "  VERB"]
    for name, text in VERBS.items():
        lines += _row(f"    {name}", text, column, width)
    return "\n".join([*lines, "", _EPILOG, ""])


def _row(name: str, text: str, column: int, width: int) -> list[str]:
    """Writes a name and what is said of it, in as many lines as it takes."""
    lines = [name.ljust(column)]
    for word in text.split():
        if len(lines[-1]) > column and len(lines[-1]) + 1 + len(word) > width:
            lines.append(" " * column)
        lines[-1] += word if len(lines[-1]) == column else f" {word}"
    return lines


def build(*wanted: str) -> tuple[Parser, dict[str, Parser]]:
    """Builds the parser.

    Args:
        wanted: Verbs whose options are needed. The others are in the overview only.

    Returns:
        The parser of the whole command, and that of each verb.
    """
    from planton.cli._arguments import Parser

    class Overall(Parser):
        """Has the same help as there is without argparse."""

        def format_help(self) -> str:
            """Gives the overview."""
            return overview()

    parser = Overall(prog=PROGRAM)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", help=_OPTIONS["--version"])
    commands = parser.add_subparsers(metavar="VERB", title="verbs", dest="verb", parser_class=Parser)
    verbs: dict[str, Parser] = {}
    for name, summary in VERBS.items():
        verbs[name] = commands.add_parser(name, help=summary)
        if name in wanted:
            from importlib import import_module

            module = import_module(f"planton.cli.{name.replace('-', '_')}")
            module.configure(verbs[name])
            verbs[name].set_defaults(run=module.run)
    return parser, verbs
