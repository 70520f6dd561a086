"""Whether a database that was to start from an archive has come up with what was in it.

Where anything is wrong with the variables of a clone, Spilo only warns in its log and makes an ordinary empty database
(4.0-p3, configure_spilo.py, get_placeholders), and the operator reports it as Running: its word is not enough.
The system identifier is: initdb makes a new one each time, and a restored data directory keeps that of the database
cluster from which the base backup was taken. A restore also ends with a promotion, and so on a timeline higher than
all in its archive (PostgreSQL 17, src/backend/access/transam/xlog.c, StartupXLOG).

`pg_upgrade` ends both: its cluster has an identifier of its own, and is on timeline 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from planton.cluster.api.server import Server
from planton.cluster.patroni import PatroniState, read_patroni
from planton.cluster.wait import FAILED, RUNNING
from planton.translate.birth import Birth
from planton.translate.names import RESTORED_FROM_ANNOTATION

RestorationState: TypeAlias = Literal["restored", "following", "restoring", "not proven", "empty"]
"""`empty`: it is another database cluster than the one that was to be restored. Only the first two are good."""

# Patroni 4.0.4, patroni/postgresql/bootstrap.py: _initdb is what makes an empty database.
_INITDB = frozenset({"initializing new cluster", "initdb failed"})
_FAILED_BOOTSTRAP = "custom bootstrap failed"
_ADVICE = (
    "Let no application write to it. The archive that it was to come from is as it was: check it with planton backups, "
    "and restore under another name. Look into this database by a query before you delete it"
)
_LOOK = "kubectl logs and the pod's events say why"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a database was to start from.

    Attributes:
        prefix: Prefix of the source's archive.
        target_time: The time to which it was to be restored; empty for all that is archived.
        system_identifier: System identifier of the source's database cluster; 0 when it is not known.
        timeline: Timeline of the base backup; 0 when it is not known.
        backup: Name of the base backup; empty when it is not known.
        version: Major version of PostgreSQL in the archive; empty when it is not known.
    """

    prefix: str = ""
    target_time: str = ""
    system_identifier: int = 0
    timeline: int = 0
    backup: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Restoration:
    """Whether a database has come up with what was in the archive.

    Attributes:
        state: `restored`, or `following` for a standby: the evidence fits and it runs. `restoring`: not yet. `not
            proven`: it may be, and something is missing to know it. `empty`: it is not.
        line: The same in words, with the remedy.
        missing: What is missing until it is proven, or restored.
        birth: What it was to start from.
        system_identifier: System identifier that was found; 0 when there is none yet.
        timeline: Timeline that was found; 0 when it is not known.
        ended: Where recovery ended, in PostgreSQL's words, for a restore to a time; else empty.
        ended_at: When it ended, as Patroni writes it; empty when it does not say.
    """

    state: RestorationState
    line: str
    missing: tuple[str, ...] = ()
    birth: Expected = field(default_factory=Expected)
    system_identifier: int = 0
    timeline: int = 0
    ended: str = ""
    ended_at: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether it is what it should be."""
        return self.state in ("restored", "following")


def birth_of(database: Mapping[str, Any]) -> Expected | None:
    """Reads what a database was to start from.

    Args:
        database: Its custom resource.

    Returns:
        What its annotation says, as far as it is of the right form; what is known of a standby or clone without one is
        nothing. None for a database that starts empty.
    """
    annotations = (database.get("metadata") or {}).get("annotations") or {}
    spec = database.get("spec") or {}
    text = annotations.get(RESTORED_FROM_ANNOTATION)
    if text is None and not spec.get("standby") and not _is_cloned(spec):
        return None
    told = Birth.from_json(text) if isinstance(text, str) else None
    if told is None:
        return Expected()
    return Expected(
        prefix=told.prefix,
        target_time=told.target_time,
        system_identifier=_number(told.system_identifier),
        timeline=_number(told.timeline),
        backup=told.backup,
        version=told.version,
    )


def _is_cloned(spec: Mapping[str, Any]) -> bool:
    entries = [one for one in spec.get("env") or () if isinstance(one, Mapping)]
    return any(one.get("name") == "CLONE_METHOD" and one.get("value") for one in entries) or bool(
        isinstance(spec.get("clone"), Mapping) and spec["clone"].get("cluster")
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def restoration(
    server: Server,
    database: Mapping[str, Any],
    *,
    use_configmaps: bool,
    expected: int | None = None,
) -> Restoration | None:
    """Reads whether a database has come up with what was in the archive.

    Args:
        server: The API server.
        database: Its custom resource.
        use_configmaps: Whether its pods have KUBERNETES_USE_CONFIGMAPS.
        expected: System identifier of the source, where the caller has read it from the archive; None takes what the
            custom resource says of it.

    Returns:
        What there is of evidence; None for a database that was to start empty.

    Raises:
        ClusterError: The server refused for another reason than a missing permission.
    """
    birth = birth_of(database)
    if birth is None:
        return None
    if expected:
        birth = replace(birth, system_identifier=expected)
    metadata = database["metadata"]
    state = read_patroni(server, str(metadata["namespace"]), str(metadata["name"]), use_configmaps=use_configmaps)
    return judge(birth, database, state)


def judge(birth: Expected, database: Mapping[str, Any], state: PatroniState) -> Restoration:
    """Weighs the evidence.

    Args:
        birth: What the database was to start from.
        database: Its custom resource.
        state: What Patroni says.

    Returns:
        What follows from it: `restored` and `following` only where nothing is missing.
    """
    ended, ended_at = _end_of_recovery(birth, state)
    found = Restoration(
        "not proven",
        "",
        birth=birth,
        system_identifier=state.system_identifier,
        timeline=state.timeline,
        ended=ended,
        ended_at=ended_at,
    )
    if state.unreadable:
        return _not_proven(found, state.unreadable)
    if not state.system_identifier:
        return _before_bootstrap_ended(found, database, state)
    if not birth.system_identifier:
        return _without_expectation(found, database, state)
    if state.system_identifier != birth.system_identifier:
        return _another(found, database, state)
    return _fitting(found, database, state)


def _not_proven(found: Restoration, missing: tuple[str, ...]) -> Restoration:
    return replace(
        found,
        state="not proven",
        missing=missing,
        line=f"not proven that it holds what was in {_source(found.birth)}: {'; '.join(missing)}",
    )


def _before_bootstrap_ended(found: Restoration, database: Mapping[str, Any], state: PatroniState) -> Restoration:
    """Until the end of recovery Patroni writes no system identifier."""
    empty = [one.name for one in state.members if one.state in _INITDB]
    if empty:
        return replace(
            found,
            state="empty",
            missing=(f"{', '.join(empty)} runs initdb",),
            line=f"EMPTY, not restored: {', '.join(empty)} makes an ordinary empty database (Patroni: initdb) instead "
            f"of taking {_source(found.birth)}. {_ADVICE}",
        )
    missing = [f"{one.name}: {one.trouble}" for one in state.members if one.trouble]
    missing += [f"{one.name}: fetching the backup failed; Patroni tries again" for one in state.members
                if one.state == _FAILED_BOOTSTRAP]  # fmt: skip
    if state.initialize:
        missing.append(f"{state.subject} has an annotation initialize that is no system identifier")
    if not state.members:
        missing.append("it has no pods yet")
    elif state.initialize is None and not missing:
        missing.append("Patroni has not begun, or a restore has failed and it begins again")
    reported = _reported(database)
    if reported in FAILED:
        missing.append(f"the operator reports {reported}")
    doing = sorted({one.state for one in state.members if one.state and one.state != _FAILED_BOOTSTRAP})
    now = f" (Patroni: {', '.join(doing)})" if doing else ""
    line = f"being restored from {_source(found.birth)}{now}"
    if missing:
        line += f": {'; '.join(missing)}. {_LOOK}"
    return replace(found, state="restoring", missing=tuple(missing) or ("recovery has not ended",), line=line)


def _without_expectation(found: Restoration, database: Mapping[str, Any], state: PatroniState) -> Restoration:
    missing = ["the system identifier of the source is not known, since its archive was not read before"]
    if not database["spec"].get("standby") and _last_timeline(state) == 1:
        # By pg_upgrade too, so that this alone decides nothing.
        missing.append(
            "it is on timeline 1, where no restored database is unless PostgreSQL was upgraded: look into it"
        )
    return _not_proven(found, tuple(missing))


def _another(found: Restoration, database: Mapping[str, Any], state: PatroniState) -> Restoration:
    facts = f"system identifier {state.system_identifier}, expected {found.birth.system_identifier}"
    if upgrade := _upgrade(found.birth, database):
        words = f"{upgrade}, and an upgrade makes a new system identifier ({facts}): only a query in it can tell"
        return _not_proven(found, (words,))
    what = "it follows" if database["spec"].get("standby") else "EMPTY, not restored: it is"
    return replace(
        found,
        state="empty",
        missing=(facts,),
        line=f"{what} another database cluster than the one in {_source(found.birth)} ({facts}). {_ADVICE}",
    )


def _upgrade(birth: Expected, database: Mapping[str, Any]) -> str:
    """Says what speaks for an upgrade since the base backup, on the way here or later; empty for none."""
    version = str((database["spec"].get("postgresql") or {}).get("version") or "")
    if birth.version and version and version != birth.version:
        return f"PostgreSQL {birth.version} of the archive is {version} here"
    # https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/cluster/majorversionupgrade.go
    if (database["metadata"].get("annotations") or {}).get("last-major-upgrade-success"):
        return "the operator has upgraded it to another major version"
    return ""


def _fitting(found: Restoration, database: Mapping[str, Any], state: PatroniState) -> Restoration:
    """The system identifier fits; what is left is whether it is promoted and runs."""
    birth, leader, reported = found.birth, state.leader, _reported(database)
    standby = bool(database["spec"].get("standby"))
    stopped = database["spec"].get("numberOfInstances") == 0
    missing = []
    if not standby:
        if not found.timeline:
            missing.append("no pod says on which timeline it is")
        elif found.timeline <= max(birth.timeline, 1):
            missing.append(
                f"it is on timeline {found.timeline}, and the backup is of timeline {max(birth.timeline, 1)}: "
                "a restore that has ended is on a higher one"
            )
    came = not missing
    if came and not standby and birth.target_time and not found.ended:
        # Spilo 4.0-p3, bootstrap/maybe_pg_upgrade.py (perform_pitr): it tries again without the target.
        missing.append(
            f"its history names no target: where replay ends before {birth.target_time}, Spilo tries again without a "
            "target and opens with whatever there is. Check the newest rows"
        )
        came = False
    if stopped:
        missing.append("it is stopped: it has no instances")
    elif reported != RUNNING:
        missing.append(f"the operator reports {reported}" if reported else "the operator has not reported anything yet")
    if not stopped:
        missing += _of_leader(leader is not None and leader.ready, standby, state)
    source = _source(birth)
    if not missing and standby:
        return replace(found, state="following", line=f"follows {source} (system identifier {found.system_identifier})")
    if not missing:
        at = f", recovery ended {found.ended}" if found.ended else ""
        return replace(
            found,
            state="restored",
            line=f"restored from {source} (system identifier {found.system_identifier}, timeline {found.timeline}{at})",
        )
    if came:
        line = f"it is the database cluster of {source}, and does not run now: {'; '.join(missing)}"
        return replace(found, state="restoring", missing=tuple(missing), line=line)
    return _not_proven(found, tuple(missing))


def _of_leader(ready: bool, standby: bool, state: PatroniState) -> list[str]:
    """Says what is missing of a leading pod."""
    missing = []
    leader = state.leader
    if standby and leader is not None and not leader.is_standby_leader:
        missing.append(f"{leader.name} is a primary and does not follow: its custom resource says that it should")
    elif not standby and leader is not None and not leader.is_primary:
        missing.append(f"{leader.name} still follows: it has not been promoted")
    elif not ready:
        missing.append("no leader is ready" if standby else "no primary is ready")
        missing += [f"{one.name}: {one.trouble}" for one in state.members if one.trouble]
    return missing


def _end_of_recovery(birth: Expected, state: PatroniState) -> tuple[str, str]:
    """Finds where recovery to a time ended: only such a promotion has a reason that begins so.

    PostgreSQL 17, src/backend/access/transam/xlogrecovery.c (getRecoveryStopReason).
    """
    if not birth.target_time:
        return "", ""
    for one in reversed(state.history):
        if one.timeline >= birth.timeline and one.reason.startswith(("before ", "after ")):
            return one.reason, one.time
    return "", ""


def _last_timeline(state: PatroniState) -> int:
    return state.timeline or (1 if state.leader is not None and not state.history else 0)


def _reported(database: Mapping[str, Any]) -> str:
    return str((database.get("status") or {}).get("PostgresClusterStatus") or "")


def _source(birth: Expected) -> str:
    where = birth.prefix or "the archive"
    return f"{where} at {birth.target_time}" if birth.target_time else where
