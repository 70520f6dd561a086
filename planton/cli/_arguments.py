"""The command line: a parser per verb, and the options that verbs share.

Nothing heavy is imported here, since `planton --help` needs it all.
"""

from __future__ import annotations

import argparse
import os
import re

from planton.cli._exit import UsageError
from planton.cli._output import help_width

TYPE_CHECKING = False  # Checkers go by the name; importing typing would be a tenth of the start-up.
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

_DURATION = r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?"
_MEANT = {"diff": "plan", "destroy": "delete", "get": "status", "list": "status", "template": "render"}
"""Verbs of other programs."""
LONGEST_WAIT = 24 * 3600.0
"""Longest --timeout, in seconds."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions, and finds the width without importing shutil."""

    def __init__(self, prog: str, **more: Any) -> None:
        """Makes the formatter.

        Args:
            prog: Name of the program.
            more: What some Python versions pass on, such as whether to use colour.
        """
        super().__init__(prog, max_help_position=30, width=help_width(), **more)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: exit 1, what is wrong, what to do."""

    def __init__(self, **options: Any) -> None:
        """Makes the parser.

        Args:
            options: As for argparse.ArgumentParser.
        """
        options.setdefault("formatter_class", HelpFormatter)
        # An abbreviation that works today would change its meaning with the next option.
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises instead of exiting with 2, which is the code of `plan` for changes.

        Args:
            message: What argparse says.

        Raises:
            UsageError: Always.
        """
        raise UsageError(message, f"See `{self.prog} --help`.")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses a command line.

    Args:
        argv: Arguments without the name of the program.

    Returns:
        What was asked for; `run` is the function of the verb.

    Raises:
        UsageError: The command line cannot be understood.
        SystemExit: Help or the version was printed.
    """
    from planton.cli._parser import VERBS, build

    if argv and argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"):
        raise UsageError(f"{argv[0]} stands before the verb", "The verb comes first: `planton plan -f FILE`.")
    if argv and argv[0] == "help":
        argv = [*argv[1:], "--help"]
    # What may stand before the verb takes no value, so this is the verb, or else nothing is.
    verb = next((argument for argument in argv if not argument.startswith("-")), "")
    parser, verbs = build(verb)
    if verb and verb not in VERBS:
        near = _MEANT.get(verb) or _nearest(verb, VERBS)
        hint = f"Did you mean `{parser.prog} {near}`?" if near else f"The verbs are {', '.join(VERBS)}."
        raise UsageError(f'there is no verb "{verb}"', f"{hint} See `{parser.prog} --help`.")
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        raise _unknown(rest, verbs[verb] if verb else parser)
    if not verb:
        raise UsageError("say what to do", f"The verbs are {', '.join(VERBS)}. See `{parser.prog} --help`.")
    return arguments


def _unknown(rest: Sequence[str], parser: Parser) -> UsageError:
    """Says which argument is unknown, and what may have been meant."""
    known = [name for action in parser._actions for name in action.option_strings]
    first = rest[0]
    if first.startswith("-") and first != "-":
        name = first.split("=", 1)[0]
        near = _nearest(name, known)
        hint = f"Did you mean {near}? " if near else ""
        return UsageError(f"{parser.prog} has no option {name}", f"{hint}See `{parser.prog} --help`.")
    hint = f"Manifests are given as `-f {first}`. " if "--file" in known else ""
    if hint and re.fullmatch(r"[\w-]+", first) and not os.path.exists(first):
        hint = f"There is no file {first}: it takes manifests, with -f FILE, and no names of databases. "
    return UsageError(f'"{first}" is one argument too many', f"{hint}See `{parser.prog} --help`.")


def check_names(names: Iterable[str]) -> None:
    """Finds files among names: somebody has forgotten -f.

    Args:
        names: What was given where names of resources are meant.

    Raises:
        UsageError: One cannot be a name.
    """
    for name in names:
        if name.endswith((".yaml", ".yml", ".json", "/")) or ("/" in name and os.path.exists(name)):
            raise UsageError(f'"{name}" is no name', f"Manifests are given as `-f {name}`.")
        space, slash, rest = name.partition("/")
        if slash:
            raise UsageError(f'"{name}" is no name', f"The namespace is given by itself: `{rest} -n {space}`.")


def _nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), 1)), None)


def describe(parser: Parser, text: str) -> None:
    """Sets the help of a verb.

    Args:
        parser: Parser of the verb.
        text: What it does and its exit codes, with line breaks; then a line `Examples:` and what follows it, which
            is shown below the options.
    """
    head, _, examples = text.strip().partition("\nExamples:\n")
    parser.description = head
    parser.epilog = f"Examples:\n{examples}"


def add_files(parser: Parser) -> None:
    """Adds -f.

    Args:
        parser: Parser of a verb.
    """
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        default=[],
        metavar="FILE|DIR|-",
        help="manifests, in YAML or JSON: a file, a directory with everything below it, or - for standard input; "
        "can be given several times",
    )


def add_output(parser: Parser, *choices: str, default: str = "table", text: str = "form of the output") -> None:
    """Adds -o.

    Args:
        parser: Parser of a verb.
        choices: The forms.
        default: The form without -o.
        text: Help.
    """
    parser.add_argument(
        "-o",
        "--output",
        choices=choices,
        default=default,
        metavar="|".join(choices),
        help=f"{text} (default: {default})",
    )


def add_cluster(parser: Parser) -> None:
    """Adds the options that choose the cluster.

    Args:
        parser: Parser of a verb.
    """
    group = parser.add_argument_group("cluster")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig (default: $KUBECONFIG, else ~/.kube/config)")
    group.add_argument("--context", metavar="NAME", help="context in the kubeconfig (default: its current one)")


def add_planning(parser: Parser) -> None:
    """Adds the options of plan and apply.

    Args:
        parser: Parser of a verb.
    """
    group = parser.add_argument_group("planning")
    group.add_argument(
        "--set",
        dest="set_id",
        metavar="ID",
        help="name of this set of manifests: objects of the set that are no longer in it are deleted, except "
        "what holds data. Without it nothing is ever deleted",
    )
    add_target(group)
    group.add_argument(
        "--force-conflicts", action="store_true", help="take over fields that another field manager owns"
    )
    group.add_argument(
        "--allow-version-change",
        action="store_true",
        help="accept another PostgreSQL version for a database that is there: its pods restart, and the upgrade itself "
        "is run by hand (docs/operations.md)",
    )
    group.add_argument(
        "--allow-encryption-change",
        action="store_true",
        help="accept another key, or none, for backups that go on in the same archive: what is there can then not be "
        "read any more",
    )
    group.add_argument(
        "--allow-archive-reuse",
        action="store_true",
        help="accept that a database writes to an archive that another one left behind, or goes back to one that it "
        "left itself: what is there can then be lost",
    )
    group.add_argument(
        "--skip-check",
        dest="skip_checks",
        action="store_true",
        help="try nothing out: neither the stores and archives that are about to be used, nor what a database is to "
        "start from",
    )


def add_operator(group: argparse._ArgumentGroup) -> None:
    """Adds --operator.

    Args:
        group: Group of options of a verb.
    """
    group.add_argument(
        "--operator",
        dest="operator_namespace",
        metavar="NAMESPACE",
        help="namespace of the operator that is meant, where the cluster has several",
    )


def add_target(group: argparse._ArgumentGroup) -> None:
    """Adds the options that say which operator and which cluster are meant.

    Args:
        group: Group of options of a verb.
    """
    add_operator(group)
    group.add_argument(
        "--cluster-id", metavar="ID", help="refuse manifests whose target_cluster names another cluster than this"
    )


def add_all(parser: Parser) -> None:
    """Adds --all.

    Args:
        parser: Parser of a verb.
    """
    parser.add_argument("--all", action="store_true", help="list objects that do not change, too")


def add_verbose(parser: Parser) -> None:
    """Adds -v.

    Args:
        parser: Parser of a verb.
    """
    parser.add_argument(
        "-v",
        "--verbose",
        "--all-warnings",
        action="store_true",
        help="print each warning and each line of an error, also where many say the same",
    )


def writes(parser: Parser, untouched: str = "nothing was written") -> None:
    """Marks a verb that can write, so that a failure before that says that nothing was.

    Args:
        parser: Parser of the verb.
        untouched: What is said then.
    """
    parser.set_defaults(untouched=untouched)


def add_timeout(parser: Parser, scope: str = "", *, default: str = "5m") -> None:
    """Adds --timeout.

    Args:
        parser: Parser of a verb.
        scope: Begins its help, where it does not hold for all that the verb does.
        default: The duration without it.
    """
    parser.add_argument(
        "--timeout",
        type=duration,
        default=duration(default),
        metavar="DURATION",
        help=f"{scope}how long to wait at most, all in all: seconds, or such as 90s, 5m, 1h30m (default: {default})",
    )


def duration(text: str) -> float:
    """Reads a duration.

    Args:
        text: Seconds, or hours, minutes and seconds such as `5m` or `1h30m`.

    Returns:
        Seconds, more than 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    match = re.fullmatch(_DURATION, text, re.ASCII)
    if not text or match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no duration: write seconds, or such as 90s, 5m, 1h30m')
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError("a duration is more than 0 and at most 24h")
    return total
