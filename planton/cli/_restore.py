"""What a restore needs beside its plan: its time, its file, the question, and what comes afterwards."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from planton.cli._exit import UsageError
from planton.cli._output import Console, printable

if TYPE_CHECKING:
    from planton.cluster import Cluster
    from planton.cluster.restoring.restore import RestoreDraft

PATIENCE = 60.0
"""Seconds after the operator's word in which a database that runs can say what it is."""
LATEST = "latest"
LONGEST_NAME = 49
"""Longest metadata.name: the operator makes longer ones of it."""
LONGEST_NAMESPACE = 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(\.\d{1,6})?\s?([Zz]|UTC|utc|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_FORM = "Write it with its zone, such as 2026-11-22T08:14:35Z or 2026-11-22T09:14:35+01:00; or latest for all."


def target_of(text: str | None, name: str) -> str:
    """Reads --to.

    Args:
        text: What was given; None for nothing.
        name: Name of the source.

    Returns:
        The time as a manifest takes it; empty for all that is archived.

    Raises:
        UsageError: It is missing, or no time with a zone.
    """
    if text is None:
        raise UsageError(
            "say to which time, with --to TIME or --to latest",
            f"The times there are: `planton backups window {name}`. With latest all is replayed, a mistake included.",
        )
    if text.lower() == LATEST:
        return ""
    match = _TIME.fullmatch(text)
    moment = _moment(match) if match is not None else None
    if match is None or moment is None:
        raise UsageError(f'--to "{text}" is no time', _FORM)
    day, minute, second, fraction, zone = match.groups()
    written = f"{day}T{minute}{second or ':00'}{fraction or ''}"
    if zone is None:
        raise UsageError(
            f'--to "{text}" has no zone, and nobody knows which time is meant',
            f"In UTC write --to {written}Z{_of_this_machine(moment)}.",
        )
    if zone in ("Z", "z", "UTC", "utc"):
        return f"{written}Z"
    # psql writes whole hours without minutes: +01.
    return f"{written}{zone[:3]}:{zone[3:].lstrip(':') or '00'}"


def _of_this_machine(moment: datetime) -> str:
    try:
        local = moment.astimezone()
        shown = local.astimezone(UTC).replace(tzinfo=None).isoformat()
    except (ValueError, OverflowError, OSError):
        # The first and the last day of all, and what the machine's table of zones does not reach.
        return ""
    return (
        f"; if it is the time of this machine ({local.strftime('%z')}), write --to {shown}Z"
        if local.utcoffset()
        else ""
    )


def _moment(match: re.Match[str]) -> datetime | None:
    day, minute, second, _, zone = match.groups()
    try:
        found = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}")
        if zone and zone[0] in "+-":
            datetime.fromisoformat(f"{day}T{minute}{zone}")
    except ValueError:
        return None
    return found


def check_name(option: str, text: str, longest: int) -> None:
    """Looks whether something can be a name.

    Args:
        option: Which option gave it.
        text: What was given.
        longest: Number of its characters at most.

    Raises:
        UsageError: It cannot.
    """
    if len(text) > longest or not _NAME.fullmatch(text):
        raise UsageError(
            f'{option} "{text}" is no name',
            f"At most {longest} lower-case letters, digits and '-', beginning and ending with a letter or digit.",
        )


def check_new_file(path: str) -> None:
    """Looks whether a new file can be written, before anything is asked of a cluster.

    Args:
        path: Its path.

    Raises:
        UsageError: It is there already, or its directory is not.
    """
    if path == "-":
        raise UsageError("the manifest is written to a file", "Name it with --output-file; it is printed as well.")
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory", "Name a new file in it with --output-file.")
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is there already",
            f"Where an earlier run wrote it for the same time: planton apply -f {shlex.quote(path)}. Else name another "
            "file with --output-file.",
        )
    if path.lower().endswith(".json"):
        raise UsageError(f"{path} would be read as JSON", "The manifest is YAML: name a file that ends in .yaml.")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"the directory of {path} is not there", "Make it, or name another file with --output-file.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path} cannot be written", "Name another file with --output-file.")


def write_new_file(path: str, text: str) -> None:
    """Writes the manifest.

    Args:
        path: Path of the file; it must not be there.
        text: What is written.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(f"{path} is there already", "Nothing was applied. Name another file.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Nothing was applied.") from None


def show_manifest(draft: RestoreDraft, path: str, arguments: argparse.Namespace, console: Console) -> None:
    """Prints the manifest, where people read, and says where it is.

    Args:
        draft: The manifest.
        path: Where it was written.
        arguments: What was asked for.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    console.plain(f"Wrote {path}")
    if arguments.output == "table":
        for line in draft.text.rstrip("\n").split("\n"):
            console.out(printable(f"  {line}"))
        console.out("")


def is_wanted(draft: RestoreDraft, console: Console) -> bool:
    """Asks whether to apply it.

    Args:
        draft: The manifest.
        console: Where to ask.

    Returns:
        True for y or yes; False for anything else, and where there is no terminal to ask on.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not console.notices_on_terminal:
        console.plain("There is no terminal to ask on, and no --yes.")
        return False
    console.flush()
    console.plain(f"Make {draft.namespace}/{draft.manifests[0].metadata.name} now? yes or no:")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def apply_command(path: str, arguments: argparse.Namespace) -> str:
    """Gives the command that applies the manifest.

    Args:
        path: Where it is.
        arguments: What was asked for.

    Returns:
        The command, with the same cluster.
    """
    return shlex.join(["planton", "apply", "-f", path, *_cluster(arguments)])


def status_command(path: str, arguments: argparse.Namespace) -> str:
    """Gives the command that says how the restore stands.

    Args:
        path: Where the manifest is.
        arguments: What was asked for.

    Returns:
        The command, with the same cluster.
    """
    return shlex.join(["planton", "status", "-f", path, *_cluster(arguments)])


def _cluster(arguments: argparse.Namespace) -> list[str]:
    words = []
    for option, value in (
        ("--kubeconfig", arguments.kubeconfig),
        ("--context", arguments.context),
        ("--operator", arguments.operator_namespace),
    ):
        words += [option, value] if value else []
    return words


def is_proven(cluster: Cluster, draft: RestoreDraft, arguments: argparse.Namespace, console: Console) -> bool:
    """Says whether a database that runs is what was to be restored: an empty one runs as well.

    Args:
        cluster: The cluster.
        draft: Its manifest.
        arguments: What was asked for.
        console: Where to say it.

    Returns:
        True when it is proven.

    Raises:
        ClusterError: The server refused.
    """
    end = time.monotonic() + PATIENCE
    while True:
        statuses = cluster.status(draft.manifests, operator_namespace=arguments.operator_namespace, archives=False)
        proof = statuses[0].restoration if statuses else None
        if proof is not None and (proof.is_proven or proof.state == "empty"):
            break
        # Pods tell a moment later what they have become.
        if time.monotonic() >= end:
            break
        time.sleep(2.0)
    if proof is not None and proof.is_proven:
        console.plain(proof.line)
        return True
    console.error(proof.line if proof is not None else "nothing says whether it is restored")
    return False


def show_what_follows(draft: RestoreDraft, path: str, arguments: argparse.Namespace, console: Console) -> None:
    """Says what to do next.

    Args:
        draft: The manifest.
        path: Where it is.
        arguments: What was asked for.
        console: Where to print.
    """
    name = draft.manifests[0].metadata.name
    if not arguments.wait:
        console.plain(
            f"{draft.namespace}/{name} is being restored: the operator makes its pod, which fetches the base backup "
            "and replays the WAL.\n"
            f"When it is there, and that it is not an empty database: {status_command(path, arguments)}"
        )
    console.plain(
        f"Then look at the newest rows in {draft.namespace}/{name}, and switch applications over to it: "
        f"docs/restore.md. {draft.source} is as it was."
    )
