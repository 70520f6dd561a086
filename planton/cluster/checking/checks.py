"""Tries out whether stores do what backups need, and whether archives are empty or belong to their databases.

Each store once, however many databases use it; all of them at the same time; and no request for longer than TIMEOUT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from planton.catalogue.probe import Finding, Judged, Probe, ProbeKey, archive_state, probe, probe_key
from planton.cluster.api.resources import STATEFUL_SET, Key
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_ages import is_inside
from planton.cluster.backups.archive_record import has_volume
from planton.cluster.environment import environment_in
from planton.cluster.patroni import read_patroni
from planton.errors import StoreError
from planton.translate.archive_access import ArchiveAccess
from planton.translate.contract import KubernetesObject

if TYPE_CHECKING:
    from planton.catalogue.bucket import Bucket

TIMEOUT = 6.0
"""Seconds after which a request to a store is given up here."""

Kind: TypeAlias = Literal["store", "archive", "from the cluster", "settings"]

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_MOST_THREADS = 32
_NAMED = 3
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Target:
    """One archive that is to be tried out.

    Attributes:
        subject: Who uses it, such as `PostgresKubernetes/orders`.
        access: How it is reached.
        key: Identity of the database's custom resource; None for what an operator gives to all databases.
        is_there: Whether that custom resource is in the cluster; None when no cluster was asked.
        use_configmaps: Whether Patroni keeps its state in ConfigMaps, where no pod says it.
    """

    subject: str
    access: ArchiveAccess = field(repr=False)
    key: Key | None = None
    is_there: bool | None = None
    use_configmaps: bool = False


@dataclass(frozen=True, slots=True)
class Checked(Judged):
    """What was found out about one store or one archive.

    Attributes:
        kind: `store`; `archive` for whose it is; `from the cluster` for what a Job there has found; `settings` for a
            database whose archive nobody can find.
        where: The store or the archive, for people.
        used_by: Who uses it.
        findings: What was tried, in order.
        left_behind: Keys of objects that the check wrote and could not delete, below the archive's prefix.
    """

    kind: Kind
    where: str
    used_by: tuple[str, ...]
    findings: tuple[Finding, ...]
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Store:
    access: ArchiveAccess = field(repr=False)
    targets: tuple[Target, ...]


Progress: TypeAlias = Callable[[str], None]


def check_targets(
    targets: Sequence[Target],
    *,
    write: bool,
    server: Server | None = None,
    whose: Callable[[Target], bool] = lambda target: True,
    progress: Progress = lambda text: None,
) -> tuple[Checked, ...]:
    """Tries out stores, each once, and then looks whose the archives are.

    Args:
        targets: Archives.
        write: Whether to write and delete, too; else it is only read.
        server: The API server; None without a cluster.
        whose: Of which of them it is asked whether the archive is empty or its database's own.
        progress: Is told what is tried.

    Returns:
        The stores, then the archives, each in the order of the targets. An archive in a store that cannot be read is
        not listed: the store's finding says it.

    Raises:
        ClusterError: The API server refused.
    """
    groups: dict[ProbeKey, list[Target]] = {}
    for target in targets:
        groups.setdefault(probe_key(target.access), []).append(target)
    stores = [_Store(group[0].access, tuple(group)) for group in groups.values()]

    def try_store(store: _Store) -> Probe:
        progress(f"s3://{store.access.bucket}")
        return probe(store.access, write=write, timeout=TIMEOUT)

    probes = at_once(try_store, stores)
    checked = [_of_store(store, found) for store, found in zip(stores, probes, strict=True)]
    readable = {probe_key(store.access) for store, found in zip(stores, probes, strict=True) if _is_readable(found)}
    wanted = [one for one in targets if one.key is not None and whose(one) and probe_key(one.access) in readable]

    def look(target: Target) -> Checked:
        progress(str(target.access.identity))
        finding = _from_here(check_owner(target, server), target.access)
        return Checked("archive", str(target.access.identity), (target.subject,), (finding,))

    return (*checked, *at_once(look, wanted))


def _of_store(store: _Store, found: Probe) -> Checked:
    access = store.access
    where, _, host = found.subject.rpartition(" at ")
    bucket = f"s3://{access.bucket}" if where else found.subject
    users = tuple(dict.fromkeys(one.subject for one in store.targets))
    findings = tuple(_from_here(one, access) for one in found.findings)
    return Checked("store", f"{bucket} at {host}" if where else bucket, users, findings, found.left_behind)


def _from_here(finding: Finding, access: ArchiveAccess) -> Finding:
    """Turns into a warning what says nothing of the database's pods."""
    if finding.outcome != "failed":
        return finding
    if finding.problem in ("credentials", "forbidden") and not has_keys(access):
        return replace(
            finding,
            outcome="warning",
            remedy=f"That says nothing of the pods, which have keys that are not known here. {finding.remedy}".strip(),
        )
    if finding.problem == "unreachable" and is_inside(access):
        remedy = "Its name exists inside of the cluster only: try it out with planton check --from-cluster."
        return replace(finding, remedy=remedy)
    return finding


def has_keys(access: ArchiveAccess) -> bool:
    """Tells whether the keys of the database's pods are known here.

    Args:
        access: How the archive is reached.

    Returns:
        False for a cloud's identity, and for keys in a Secret that could not be read.
    """
    known = access.contents.reveal()
    return all(known.get(name) for name in _KEYS)


def _is_readable(found: Probe) -> bool:
    return any(one.check == "readable" and one.outcome == "ok" for one in found.findings)


def check_owner(target: Target, server: Server | None) -> Finding:
    """Looks whether an archive is empty, or provably that of its database.

    A clone and a standby have the system identifier of their source: that they share no archive with it is looked at
    elsewhere, by the addresses.

    Args:
        target: The archive.
        server: The API server; None without a cluster.

    Returns:
        The finding `archive`: a failure where it is another's, or left over; a warning where it cannot be proven.

    Raises:
        ClusterError: The API server refused.
    """
    from planton.catalogue.bucket import open_bucket

    try:
        return _owner(open_bucket(target.access, timeout=TIMEOUT), target, server)
    except StoreError as error:
        return Finding("archive", "failed", error.text, error.remedy, error.problem)


def _owner(bucket: Bucket, target: Target, server: Server | None) -> Finding:
    state = archive_state(bucket, most=_NAMED)
    if state.is_empty:
        return Finding("archive", "ok", "empty")
    holds = f"it holds {', '.join(state.first)}{', …' if len(state.first) == _NAMED else ''}"
    key = target.key
    if server is None or key is None:
        return Finding("archive", "not tried", f"{holds}; whose it is, only the cluster can tell", "Add --live.")
    if not target.is_there:
        if has_volume(server, key):
            return Finding("archive", "ok", f"{holds}; the volume of {key.namespace}/{key.name} is there, too")
        return Finding("archive", "failed", f"not empty: {holds}", _TAKE_ANOTHER, "refused")
    return _compare(bucket, target, key, server)


_TAKE_ANOTHER = (
    "A new database would write into what another one has left, and both are lost. To have that one back: planton "
    "restore. Else give this one another s3_prefix. If it is meant: --allow-archive-reuse."
)


def _compare(bucket: Bucket, target: Target, key: Key, server: Server) -> Finding:
    """Compares the system identifier in the archive with that of the live database cluster."""
    from planton.catalogue.newest import owner_of
    from planton.catalogue.reading import read_latest
    from planton.catalogue.wal_archive import open_wal

    stateful_set = server.get(Key(STATEFUL_SET, key.namespace, key.name))
    use_configmaps = target.use_configmaps if stateful_set is None else _uses_configmaps(stateful_set)
    state = read_patroni(server, key.namespace, key.name, use_configmaps=use_configmaps)
    mine = state.system_identifier
    theirs, by = owner_of(bucket, read_latest(bucket), open_wal(bucket, target.access))
    if mine and mine == theirs:
        return Finding("archive", "ok", f"its own, by {by} (system identifier {mine})")
    if mine and theirs:
        return Finding(
            "archive",
            "failed",
            f"it holds an archive of another database cluster: system identifier {theirs} by {by}, and here it is "
            f"{mine}",
            "Two that write to one place destroy each other's backups: give this database another s3_prefix. It may be "
            "its own only after pg_upgrade, which makes a new identifier.",
            "refused",
        )
    if mine:
        return Finding("archive", "warning", f"not proven to be its own: {by}", "Look into it: planton backups show.")
    why = "; ".join(state.unreadable) or f"{state.subject} has no system identifier of the live database yet"
    return Finding("archive", "warning", f"not empty, and not proven to be its own: {why}")


def _uses_configmaps(stateful_set: KubernetesObject) -> bool:
    entries = environment_in(stateful_set)
    return any(one.get("name") == "KUBERNETES_USE_CONFIGMAPS" and one.get("value") for one in entries)


def at_once(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Does the same for several stores at the same time: each of them may keep one waiting.

    Args:
        work: What is done.
        items: The items.

    Returns:
        The results, in order.
    """
    if not items:
        return []
    pool = ThreadPoolExecutor(min(_MOST_THREADS, len(items)), thread_name_prefix="check")
    try:
        return list(pool.map(work, items))
    finally:
        # On Ctrl-C what has not begun is not begun any more.
        pool.shutdown(cancel_futures=True)
