"""`planton render`: what manifests become, as Kubernetes objects. Needs no cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from planton.cli._arguments import Parser, add_files, add_output, add_verbose, describe
from planton.cli._exit import DONE
from planton.cli._output import Console
from planton.sensitive import HIDDEN

if TYPE_CHECKING:
    from planton.manifest import Manifests
    from planton.translate.contract import KubernetesObject
    from planton.translate.existing import Existing

_HELP = """
Prints the Kubernetes objects that manifests become, in the order in which they are applied. No cluster is
asked: what only a cluster knows (the operator's backup settings where its manifest is not given, a live
database's version) is left at its default. `planton plan` asks.

Values of Secrets are masked unless --show-secrets is given, which also reads the environment variables and files
that manifests refer to; what is in a Secret of a cluster stays a reference.

Exit codes: 0 printed, 1 the manifests cannot be used.

Examples:
  planton render -f operator.yaml -f databases/
  planton render -f database.yaml -o json
  planton render -f manifests/ --show-secrets | kubectl diff -f -
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_files(parser)
    add_output(parser, "yaml", "json", default="yaml", text="form of the objects; json is one List")
    parser.add_argument("--show-secrets", action="store_true", help="print values of Secrets in clear (base64)")
    add_verbose(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Prints the objects.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.
    """
    from planton.cli._problems import show_warnings
    from planton.cli._sources import read_manifests
    from planton.rendering import render
    from planton.words import counted

    manifests = read_manifests(arguments, console)
    rendering = render(manifests, existing=_resolved(manifests) if arguments.show_secrets else None)
    show_warnings(rendering.warnings, console)
    secrets = sum(item["kind"] == "Secret" for item in rendering)
    objects = list(rendering) if arguments.show_secrets else [masked(item) for item in rendering]
    if secrets and arguments.show_secrets and console.is_terminal:
        console.warn("values of Secrets are on this screen in clear (base64 is no encryption)")
    if arguments.show_secrets and any(is_unresolved(item) for item in objects):
        console.warn(
            "some values are in Secrets of a cluster, which is not asked here: they stay references, and no cluster "
            "accepts this output. planton apply looks them up"
        )
    if arguments.output == "json":
        console.json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        console.yaml(*objects)
    if secrets and not arguments.show_secrets:
        console.plain(f"The values of {counted(secrets, 'Secret')} are masked; --show-secrets prints them.")
    return DONE


def _resolved(manifests: Manifests) -> Existing:
    """Looks up what is in environment variables and files of this machine."""
    from planton.cluster.planning.references import resolve
    from planton.translate.existing import Existing

    return Existing(values=resolve(None, manifests))


def is_unresolved(item: KubernetesObject) -> bool:
    """Tells whether a Secret has a value that nobody has looked up.

    Args:
        item: Any object.

    Returns:
        True when it has.
    """
    return item["kind"] == "Secret" and any(value.startswith("<") for value in item.get("data", {}).values())


def masked(item: KubernetesObject) -> KubernetesObject:
    """Masks the values of a Secret.

    Args:
        item: Any object; it is not changed.

    Returns:
        The object itself, or a copy of the Secret that shows its keys only.
    """
    if item["kind"] != "Secret":
        return item
    copy = dict(item)
    for field in ("data", "stringData"):
        if field in copy:
            copy[field] = dict.fromkeys(copy[field], HIDDEN)
    return copy
