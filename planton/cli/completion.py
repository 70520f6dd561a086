"""`planton completion`: completion for a shell."""

from __future__ import annotations

import argparse

from planton.cli._arguments import Parser, describe
from planton.cli._exit import DONE, UsageError
from planton.cli._output import Console

_SHELLS = ("bash", "zsh", "tcsh", "fish")
_PATHS = ("--file", "--kubeconfig")
_HELP = """
Prints a script with which the shell completes verbs, options and files.

Exit codes: 0 printed, 1 not possible for this shell.

Examples:
  source <(planton completion bash)                    # this shell; in ~/.bashrc: every one
  planton completion zsh > "${fpath[1]}/_planton"      # then start a new shell
  planton completion fish > ~/.config/fish/completions/planton.fish
  planton completion tcsh | source /dev/stdin
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("shell", choices=_SHELLS, metavar="|".join(_SHELLS), help="the shell")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Prints the script.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The installed shtab does not know this shell.
    """
    import shtab

    from planton.cli._parser import VERBS, build

    if arguments.shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(
            f"the installed shtab {shtab.__version__} does not know {arguments.shell}",
            "Upgrade it: pip install --upgrade shtab",
        )
    parser, verbs = build(*VERBS)
    for verb in verbs.values():
        for action in verb._actions:
            if set(_PATHS) & set(action.option_strings):
                # Where shtab looks; argparse has no such attribute.
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    console.out(shtab.complete(parser, arguments.shell).rstrip("\n"))
    return DONE
