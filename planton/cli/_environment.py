"""Finds the environment of a database, in manifests or in a cluster, and shows it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from planton.cli._changes import show_head
from planton.cli._exit import UsageError
from planton.cli._output import Console
from planton.cli._problems import show_warnings
from planton.cli._sources import open_cluster, read_manifests
from planton.cli._table import show_table
from planton.translate.names import cluster_name, namespace_of
from planton.words import counted

if TYPE_CHECKING:
    from planton.cli._live import Compared, Entry
    from planton.cluster import Cluster
    from planton.translate.environment import Variable
    from planton.translate.existing import ExistingDatabase

_WIDE = 140
"""Columns from which on values as they are written and as they resolve stand side by side."""
_MARKS = {"missing": ("red",), "different": ("red",), "extra": ("yellow",), "same": ("green",), "not set": ("dim",)}


@dataclass(frozen=True, slots=True)
class Found:
    """The environment of one database.

    Attributes:
        cluster: Name of its custom resource and of its StatefulSet.
        namespace: Its namespace.
        variables: The variables as they should be, sorted by name.
        is_complete: Whether the operator's settings are known.
        compared: The variables of both sides, with how they compare; None when the cluster was not asked.
    """

    cluster: str
    namespace: str
    variables: Sequence[Variable]
    is_complete: bool = True
    compared: Sequence[Compared] | None = None

    @property
    def differs(self) -> bool:
        """Whether the pods are not as they should be."""
        return any(one.differs for one in self.compared or ())


def from_manifests(arguments: argparse.Namespace, console: Console) -> Found:
    """Computes the environment from manifests, with the cluster's facts when it may be asked.

    Args:
        arguments: What was asked for.
        console: Where to say what is worth saying.

    Returns:
        The environment.

    Raises:
        ManifestError: The manifests cannot be used, or hold no such database, or several.
        ClusterError: The cluster could not be asked.
    """
    from planton.rendering import environment, render
    from planton.types import PostgresKubernetes, PostgresOperatorKubernetes

    manifests = read_manifests(arguments, console)
    cluster = open_cluster(arguments) if arguments.live else None
    platform, existing = cluster.facts(arguments.operator_namespace, manifests) if cluster else (None, None)
    variables = environment(
        manifests, arguments.name, namespace=arguments.namespace, platform=platform, existing=existing
    )
    subject = f"PostgresKubernetes/{arguments.name}"
    warnings = render(manifests, platform, existing).warnings
    show_warnings([problem for problem in warnings if problem.subject in ("", subject)], console)
    is_complete = cluster is not None or any(isinstance(one, PostgresOperatorKubernetes) for one in manifests)
    if not is_complete:
        console.plain(
            "No operator is among these manifests, so what it adds is not shown: give its manifest, or --live."
        )
    namespace = next(
        namespace_of(message)
        for message in manifests
        if isinstance(message, PostgresKubernetes)
        and message.metadata.name == arguments.name
        and arguments.namespace in (None, namespace_of(message))
    )
    return _with_live(Found(cluster_name(arguments.name), namespace, variables, is_complete), cluster)


def from_cluster(arguments: argparse.Namespace, console: Console) -> Found:
    """Reads the environment from the cluster alone.

    Args:
        arguments: What was asked for.
        console: Not used; as of from_manifests.

    Returns:
        The environment.

    Raises:
        UsageError: The cluster holds no such database, or several.
        ClusterError: The cluster could not be asked.
    """
    from planton.cli._live import wanted_in_cluster

    cluster = open_cluster(arguments)
    platform, existing = cluster.facts(arguments.operator_namespace)
    database = _find(existing.databases, arguments.name, arguments.namespace)
    variables = wanted_in_cluster(database, platform, existing)
    return _with_live(Found(database.name, database.namespace, variables), cluster)


def _find(databases: Sequence[ExistingDatabase], name: str, namespace: str | None) -> ExistingDatabase:
    # The name of a custom resource is taken too: not every database was made by planton.
    for wanted in (cluster_name(name), name):
        found = [one for one in databases if one.name == wanted and namespace in (None, one.namespace)]
        if len(found) == 1:
            return found[0]
        if found:
            spaces = ", ".join(one.namespace for one in found)
            raise UsageError(f"several databases are named {name}", f"Say which with -n, one of: {spaces}")
    where = f" in namespace {namespace}" if namespace else ""
    from planton.cluster.backups.access import what_is_there

    there = what_is_there([f"{one.namespace}/{one.name}" for one in databases])
    raise UsageError(f"the cluster has no database {name}{where}", there)


def _with_live(found: Found, cluster: Cluster | None) -> Found:
    if cluster is None:
        return found
    from planton.cli._live import compare, read_entries

    environment = cluster.live_environment(found.namespace, found.cluster)
    if environment is None:
        raise UsageError(
            f"StatefulSet/{found.namespace}/{found.cluster} is not in the cluster",
            "Is the database applied, and does the operator run? `planton status` says. "
            "Without --live the environment is shown as the manifests say it.",
        )
    return replace(found, compared=compare(found.variables, read_entries(environment)))


def show(found: Found, output: str, console: Console) -> None:
    """Prints an environment.

    Args:
        found: The environment.
        output: table, json or yaml.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    if output != "table":
        (console.json if output == "json" else console.yaml)(_data(found))
        return
    head = [("Database", f"{found.namespace}/{found.cluster}"), ("Backups", _backups(found))]
    if encryption := _encryption(found):
        head.append(("Encryption", encryption))
    show_head(head, console)
    console.out("")
    if not found.variables and not found.compared:
        console.out("No backup variable at all.")
        return
    # A name and two long values do not stand side by side on most terminals.
    stacked = console.width is not None and console.width < _WIDE
    headings = ("NAME", "VALUE", "RESOLVES TO", "SOURCE", "OVERRULES")
    if found.compared is None:
        show_table(console, headings, [_row(one, stacked) for one in found.variables])
        return
    rows = [(*_row(one.variable, stacked), _live_cell(one)) for one in found.compared]
    styles = [_MARKS[one.state] for one in found.compared]
    show_table(console, (*headings, "LIVE"), rows, styles=styles)
    console.out("")
    differences = sum(one.differs for one in found.compared)
    if differences:
        console.out(
            console.paint(f"{counted(differences, 'difference')}: the StatefulSet is not as it should be.", "bold")
        )
        console.plain(
            "The operator takes a change up within its resync period (30 minutes), or when it restarts; "
            "a change in the manifests needs `planton apply`."
        )
    else:
        console.out("No difference: the StatefulSet is as it should be.")


def _backups(found: Found) -> str:
    """Says in words whether and where backups go."""
    prefix = next((one.resolved for one in found.variables if one.name == "WALG_S3_PREFIX"), None)
    if prefix:
        return f"on, to {prefix}"
    return "off" if found.is_complete or prefix == "" else "as the operator says"


def _encryption(found: Found) -> str:
    """Says in words whether wal-g encrypts; nothing where there is no archive."""
    if not any(one.name == "WALG_S3_PREFIX" and one.value for one in found.variables):
        return ""
    # A PGP key wins over one of libsodium.
    for title, name in (("PGP", "WALG_PGP_KEY"), ("libsodium", "WALG_LIBSODIUM_KEY")):
        for one in found.variables:
            if one.name == name and (one.secret or one.value != ""):
                return f"by wal-g with a key of {title}, as the {one.source} says"
    return "none by wal-g"


def _row(variable: Variable, stacked: bool) -> tuple[str, str, str, str, str]:
    value, resolved, overrules = _value(variable), variable.resolved or "", _overruled(variable)
    if variable.is_switched_off:
        value += " (switched off by the database)"
    if variable.origin:
        value += f"\nfrom {variable.origin}"
    if resolved == (variable.value or ""):
        resolved = ""
    if not stacked:
        return variable.name, value, resolved, variable.source, overrules
    if resolved:
        value = f"{resolved}\nfrom {value}"
    if overrules:
        value += f"\nnot {overrules}"
    return variable.name, value, "", variable.source, ""


def _overruled(variable: Variable) -> str:
    """What the operator says, where it is another thing."""
    said = variable.overrules
    return said if said is not None and said not in (variable.value, _value(variable)) else ""


def _value(one: Variable | Entry) -> str:
    if one.secret or one.value is None:
        return f"secret {one.secret}".rstrip()
    return one.value or '""'


def _live_cell(one: Compared) -> str:
    if one.state != "different" or one.live is None:
        return one.state
    twice = f", {one.live.times} times" if one.live.times > 1 else ""
    return f"different: {_value(one.live)}{twice}"


def _data(found: Found) -> dict[str, Any]:
    data: dict[str, Any] = {
        "database": found.cluster,
        "namespace": found.namespace,
        "backups": _backups(found),
        "encryption": _encryption(found) or None,
    }
    if found.compared is None:
        data["variables"] = [_variable_data(one) for one in found.variables]
        return data
    data["differs"] = found.differs
    data["variables"] = [
        {
            **_variable_data(one.variable),
            "state": one.state,
            "live": {"value": one.live.value, "secret": one.live.secret or None} if one.live else None,
        }
        for one in found.compared
    ]
    return data


def _variable_data(variable: Variable) -> dict[str, str | bool | None]:
    return {
        "name": variable.name,
        "value": variable.value,
        "resolved": variable.resolved,
        "source": variable.source or None,
        "secret": variable.secret or None,
        "origin": variable.origin or None,
        "overrules": variable.overrules,
        "switched_off": variable.is_switched_off,
    }
