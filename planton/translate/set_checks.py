"""What is wrong with a set of messages that are right one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from planton.errors import Problem
from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_checks import archive_problems, clone_warnings, live_archive_problems
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.ingress import external_hostname
from planton.translate.live_checks import Finding, Placed, live_problems, not_rendered
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes


def check_set(
    placed: Sequence[Placed],
    archives: Mapping[int, ArchiveIdentity],
    platform: BackupPlatform | None,
    existing: Existing,
) -> tuple[list[Problem], list[Problem]]:
    """Checks a set against itself and against the cluster.

    Args:
        placed: The messages of the set.
        archives: Place in the set -> archive, of those that have one.
        platform: The backup platform in force.
        existing: Facts of the cluster.

    Returns:
        A problem for each clash, which names both sides; and warnings, of which those about databases of others belong
        to no message.
    """
    databases = [one for one in placed if isinstance(one.message, PostgresKubernetes)]
    others = not_rendered(databases, existing)
    findings = list(_findings(placed, others, platform, existing))
    problems = [
        *_doubles(placed),
        *_hostnames(databases, existing),
        *_names(databases, existing),
        *archive_problems([(placed[index], archive) for index, archive in archives.items()], others, platform),
        *(one.problem for one in findings if not one.is_there_already),
    ]
    # What others have brought about must not keep anybody from a rotation of keys.
    already = [one.warning for one in findings if one.is_there_already]
    return problems, [*clone_warnings(others, platform), *already]


def _findings(
    placed: Sequence[Placed],
    others: Sequence[ExistingDatabase],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Finding]:
    """Finds what is wrong with live databases under the operators of the set."""
    for one in placed:
        if isinstance(one.message, PostgresOperatorKubernetes):
            yield from live_problems(one, one.message, others, platform, existing)
            yield from live_archive_problems(one, others, platform, existing)


def _doubles(placed: Sequence[Placed]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], Placed] = {}
    operator: Placed | None = None
    for one in placed:
        first = seen.setdefault((one.kind, one.namespace, one.name), one)
        is_operator = isinstance(one.message, PostgresOperatorKubernetes)
        if first is not one:
            yield Problem(f"is given twice: also as {first}", "metadata.name", one.origin, one.subject)
        elif is_operator and operator:
            text = f"two operators on the same namespaces fight: keep this one or {operator}"
            yield Problem(text, "kind", one.origin, one.subject)
        if is_operator:
            operator = operator or one


def _hostnames(databases: Sequence[Placed], existing: Existing) -> Iterator[Problem]:
    seen: dict[str, Placed] = {}
    for one in databases:
        # All of them are databases, which only the type checker does not know.
        hostname = external_hostname(one.message) if isinstance(one.message, PostgresKubernetes) else ""
        if not hostname:
            continue
        own = "/".join(one.place) + "-external"
        live = existing.hostnames.get(hostname, own)
        other = str(seen.get(hostname) or (f"the live Service {live}" if live != own else ""))
        if other:
            text = f"makes the same external host name as {other}; use another namespace or domain"
            yield Problem(text, "spec.ingress.dns_domain", one.origin, one.subject)
        seen.setdefault(hostname, one)


# Suffixes of what the operator makes beside a custom resource (v1.15.1, pkg/cluster: Services, Patroni's
# objects, connection pooler), and of planton's own Service.
_SUFFIXES = ("-repl", "-config", "-leader", "-sync", "-failover", "-pooler", "-pooler-repl", "-external")


def _names(databases: Sequence[Placed], existing: Existing) -> Iterator[Problem]:
    """Finds databases of one namespace whose objects would have the same names."""
    taken: dict[tuple[str, str], Placed | ExistingDatabase] = {
        (one.namespace, one.name): one for one in existing.databases
    }
    for one in databases:
        taken[one.place] = one
    # Hardly ever any, so that these are found first, and put into words in the order of the set.
    clashing = set[tuple[str, str]]()
    for namespace, name in taken:
        if name.endswith(_SUFFIXES):
            for suffix in _SUFFIXES:
                shorter = (namespace, name.removesuffix(suffix))
                if shorter[1] != name and shorter in taken:
                    clashing.update((shorter, (namespace, name)))
    if not clashing:
        return
    for one in databases:
        namespace, name = one.place
        if (namespace, name) not in clashing:
            continue
        for suffix in _SUFFIXES:
            longer, shorter = (namespace, f"{name}{suffix}"), (namespace, name.removesuffix(suffix))
            other = taken.get(longer) or (taken.get(shorter) if shorter[1] != name else None)
            if other:
                who = str(other)
                if isinstance(other, ExistingDatabase):
                    who = f"the live database {other.namespace}/{other.name}"
                text = f"its objects would have the names of those of {who}, in the same namespace: rename one"
                yield Problem(text, "metadata.name", one.origin, one.subject)
                break
