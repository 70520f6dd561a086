"""What is wrong with a set of messages that are right one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planton.errors import Origin, Problem
from planton.translate.archive_checks import archive_problems, clone_warnings, live_archive_problems
from planton.translate.existing import Existing
from planton.translate.ingress import external_hostname
from planton.translate.live_checks import Finding, Placed, live_problems
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource


def set_problems(
    messages: Sequence[Resource],
    origins: Sequence[Origin],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Problem]:
    """Checks a set against itself and against the cluster.

    Args:
        messages: Messages with their defaults filled.
        origins: Where each came from.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Yields:
        A problem for each clash; it names both sides.
    """
    pairs = list(zip(messages, origins, strict=True))
    yield from _doubles(pairs)
    databases = [(message, origin) for message, origin in pairs if isinstance(message, PostgresKubernetes)]
    yield from _hostnames(databases, existing)
    yield from _names(databases, existing)
    placed = [Placed(message, origin) for message, origin in databases]
    yield from archive_problems(placed, platform, existing)
    for finding in _findings(messages, origins, placed, platform, existing):
        if not finding.is_there_already:
            yield finding.problem


def _findings(
    messages: Sequence[Resource],
    origins: Sequence[Origin],
    placed: Sequence[Placed],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Finding]:
    """Finds what is wrong with live databases under the operators of the set."""
    for message, origin in zip(messages, origins, strict=True):
        if isinstance(message, PostgresOperatorKubernetes):
            yield from live_problems(message, origin, placed, platform, existing)
            yield from live_archive_problems(message, origin, placed, platform, existing)


def set_warnings(
    messages: Sequence[Resource],
    origins: Sequence[Origin],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Problem]:
    """Finds what is worth saying of a cluster that a set is applied to.

    Args:
        messages: Messages with their defaults filled.
        origins: Where each came from.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Yields:
        Warnings; those about databases of others belong to no message.
    """
    placed = [
        Placed(message, origin)
        for message, origin in zip(messages, origins, strict=True)
        if isinstance(message, PostgresKubernetes)
    ]
    yield from clone_warnings(placed, platform, existing)
    # What others have brought about must not keep anybody from a rotation of keys.
    for finding in _findings(messages, origins, placed, platform, existing):
        if finding.is_there_already:
            yield finding.warning


def _doubles(pairs: Sequence[tuple[Resource, Origin]]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], tuple[Resource, Origin]] = {}
    operator: tuple[Resource, Origin] | None = None
    for message, origin in pairs:
        key = (message.kind, namespace_of(message), message.metadata.name)
        if key in seen:
            text = f"is given twice: also as {_described(seen[key])}"
            yield Problem(text, "metadata.name", origin, Placed(message, origin).subject)
        elif isinstance(message, PostgresOperatorKubernetes) and operator:
            text = f"two operators on the same namespaces fight: keep this one or {_described(operator)}"
            yield Problem(text, "kind", origin, Placed(message, origin).subject)
        seen.setdefault(key, (message, origin))
        if isinstance(message, PostgresOperatorKubernetes):
            operator = operator or (message, origin)


def _described(pair: tuple[Resource, Origin]) -> str:
    return Placed(*pair).described


def _hostnames(databases: Sequence[tuple[PostgresKubernetes, Origin]], existing: Existing) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for message, origin in databases:
        hostname = external_hostname(message)
        if not hostname:
            continue
        own = f"{namespace_of(message)}/{cluster_name(message.metadata.name)}-external"
        live = existing.hostnames.get(hostname, own)
        other = seen.get(hostname) or (f"the live Service {live}" if live != own else "")
        if other:
            text = f"makes the same external host name as {other}; use another namespace or domain"
            yield Problem(text, "spec.ingress.dns_domain", origin, Placed(message, origin).subject)
        seen.setdefault(hostname, Placed(message, origin).described)


# Suffixes of what the operator makes beside a custom resource (v1.15.1, pkg/cluster: Services, Patroni's
# objects, connection pooler), and of planton's own Service.
_SUFFIXES = ("-repl", "-config", "-leader", "-sync", "-failover", "-pooler", "-pooler-repl", "-external")


def _names(databases: Sequence[tuple[PostgresKubernetes, Origin]], existing: Existing) -> Iterator[Problem]:
    """Finds databases of one namespace whose objects would have the same names."""
    taken = {(one.namespace, one.name): f"the live database {one.namespace}/{one.name}" for one in existing.databases}
    for message, origin in databases:
        place = (namespace_of(message), cluster_name(message.metadata.name))
        taken[place] = Placed(message, origin).described
    for message, origin in databases:
        namespace, name = namespace_of(message), cluster_name(message.metadata.name)
        for suffix in _SUFFIXES:
            longer, shorter = (namespace, f"{name}{suffix}"), (namespace, name.removesuffix(suffix))
            other = taken.get(longer) or (taken.get(shorter) if shorter[1] != name else None)
            if other:
                text = f"its objects would have the names of those of {other}, in the same namespace: rename one"
                yield Problem(text, "metadata.name", origin, Placed(message, origin).subject)
                break
