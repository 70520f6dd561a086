"""What the verbs read: manifests by -f, and the cluster by --kubeconfig and --context."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from planton.cli._exit import UsageError
from planton.cli._output import Console
from planton.cli._progress import Progress

if TYPE_CHECKING:
    from planton.cluster import Cluster
    from planton.manifest import Manifests

_LONG = 0.5
"""Seconds after which it is said how far reading manifests has got."""


def read_manifests(arguments: argparse.Namespace, console: Console) -> Manifests:
    """Reads the manifests that -f names.

    Args:
        arguments: What was asked for.
        console: Where to say that standard input is waited for.

    Returns:
        The manifests, with their defaults, validated; at least one.

    Raises:
        UsageError: -f is missing, names standard input twice, or there is no manifest.
        ManifestError: Something is wrong in them.
    """
    from planton.manifest._load import read

    files: list[str] = arguments.files
    if not files:
        raise UsageError("say which manifests", "Give -f FILE, -f DIR, or -f - for standard input.")
    if files.count("-") > 1:
        raise UsageError("standard input can be read only once", "Give -f - once.")
    if "-" in files and sys.stdin is not None and sys.stdin.isatty():
        console.plain("Reading manifests from standard input; Ctrl-D on an empty line ends them.")
        # No line that is rewritten, where somebody types.
        manifests, problems = read(files)
    else:
        with Progress(console, after=_LONG) as progress:
            progress.at("load")
            manifests, problems = read(files, progress=lambda number: progress.at("load", number))
    if problems:
        from planton.errors import ManifestError
        from planton.rendering import problems_among

        # What is wrong with the others together is said in the same breath: mended one after the other, each would cost
        # a run.
        problems += problems_among(manifests, problems)
        del manifests
        raise ManifestError(problems)
    if not manifests:
        raise UsageError(
            f"there is no manifest in {', '.join(files)}",
            "A manifest begins with apiVersion and kind; files in a directory end in .yaml, .yml or .json.",
        )
    return manifests


def open_cluster(arguments: argparse.Namespace) -> Cluster:
    """Opens the cluster that the options choose.

    Args:
        arguments: What was asked for.

    Returns:
        The cluster; nothing was asked of it yet.

    Raises:
        ClusterError: The kubeconfig, or the pod's service account, cannot be used.
    """
    import logging

    from planton.cluster import connect

    # urllib3 announces each of its retries, with an address; the error that ends them says it in our words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # The client logs the stderr of a kubeconfig's plugin; without a handler it would make one for stderr.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    if getattr(arguments, "in_cluster", False):
        return connect(in_cluster=True)
    return connect(arguments.kubeconfig, arguments.context)
