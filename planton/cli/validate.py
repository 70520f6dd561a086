"""`planton validate`: are the manifests right? Needs no cluster."""

from __future__ import annotations

import argparse

from planton.cli._arguments import Parser, add_files, add_output, add_verbose, describe
from planton.cli._exit import DONE, ERROR
from planton.cli._output import Console, printable

_FILES = 10
"""Files up to which each has a line of its own."""
_HELP = """
Checks manifests without a cluster: form, fields, values, and what they would become together.
All errors of all files are shown at once, one a line (of many that say the same the first few; -v shows all):
  file:line (document n): Kind/name: field.path: what is wrong
No value is ever shown, since it can be a credential.

Exit codes: 0 all valid (there can be warnings), 1 at least one error.

Examples:
  planton validate -f database.yaml
  planton validate -f manifests/ -f operator.yaml
  kustomize build . | planton validate -f -
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_files(parser)
    add_output(parser, "text", "json", default="text")
    add_verbose(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Checks manifests.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        ManifestError: Something is wrong in them, and the output is text.
    """
    from planton.cli._problems import as_data, show_warnings
    from planton.cli._sources import read_manifests
    from planton.errors import ManifestError
    from planton.rendering import render
    from planton.words import counted

    try:
        manifests = read_manifests(arguments, console)
        # Some things are wrong only together, or only in what the manifests become.
        warnings = render(manifests).warnings
    except ManifestError as error:
        if arguments.output != "json":
            raise
        console.json({"valid": False, "errors": [as_data(problem) for problem in error.problems], "warnings": []})
        return ERROR
    if arguments.output == "json":
        console.json({"valid": True, "errors": [], "warnings": [as_data(problem) for problem in warnings]})
        return DONE
    files: dict[str, int] = {}
    for origin in manifests.origins:
        files[origin.file] = files.get(origin.file, 0) + 1
    if len(files) > _FILES and not console.is_verbose:
        console.out(f"{counted(len(manifests.origins), 'manifest')} in {counted(len(files), 'file')} valid")
    else:
        for file, number in files.items():
            console.out(f"{printable(file)}: {counted(number, 'manifest')} valid")
    show_warnings(warnings, console)
    return DONE
