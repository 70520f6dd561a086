"""What a plan and an apply try out before anything is written: stores and archives that they are about to use.

An apply that changes nothing about backups asks no store anything. A plan only reads; the apply writes and deletes,
too, just before it writes to the cluster. What a store says for certain is refused; a store that is not reached from
here is only said, since the database's pods are somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from planton.catalogue.probe import Finding, probe_key
from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.backups.archives import environment, version_of
from planton.cluster.changes import Plan, PlanOptions, Sealed
from planton.cluster.checking.check_targets import inherited_access, of_platform, target_of
from planton.cluster.checking.checks import Checked, Target, check_targets
from planton.cluster.planning.facts import Facts
from planton.cluster.planning.steps import Decisions, Step
from planton.errors import Problem, RefusedError, StoreProblem
from planton.translate.archive_access import READING_VARIABLES
from planton.translate.contract import KubernetesObject
from planton.translate.effective_archive import archive_of
from planton.translate.names import BACKUP_CONFIGMAP, FILES_SECRET, is_storage_secret
from planton.translate.pod_variables import layered
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes
from planton.words import first_few

_SAYS_NOTHING: frozenset[StoreProblem] = frozenset({"unreachable", "busy"})
_PLACE = frozenset({"WALG_S3_PREFIX", "USE_WALG_BACKUP"})
_OF_ARCHIVE = READING_VARIABLES | _PLACE
_SHOWN = 3
_SKIP = "To leave the check out: --skip-check."

Report: TypeAlias = Callable[[str], None]


class StoreChecks:
    """The stores that an apply is about to use; tried out again just before it writes."""

    __slots__ = ("_new", "_server", "_targets", "_unreached")

    def __init__(self, server: Server, targets: Sequence[Target], new: frozenset[Key]) -> None:
        """Makes the value; asks nothing.

        Args:
            server: The API server.
            targets: The archives.
            new: Databases that begin to archive there.
        """
        self._server = server
        self._targets = list(targets)
        self._new = new
        self._unreached: set[object] = set()

    def __repr__(self) -> str:
        """Says nothing of what it holds."""
        return f"<StoreChecks of {len(self._targets)}>"

    def run(self, *, write: bool, report: Report = lambda text: None) -> tuple[Problem, ...]:
        """Tries the stores out. One that was not reached once is not asked again.

        Args:
            write: Whether to write and delete, too.
            report: Is told what is tried.

        Returns:
            What is worth a warning.

        Raises:
            RefusedError: A store said no, or an archive belongs to something else.
            ClusterError: The API server refused.
        """
        asked = [one for one in self._targets if probe_key(one.access) not in self._unreached]
        checked = check_targets(
            asked, write=write, server=self._server, whose=lambda one: one.key in self._new, progress=report
        )
        for one in checked:
            if one.kind == "store" and any(found.problem == "unreachable" for found in one.failures):
                self._unreached |= {probe_key(target.access) for target in asked if target.subject in one.used_by}
        # Who begins to write where something is, has to prove that it is its own.
        checked = tuple(_strictly(one) if one.kind == "archive" else one for one in checked)
        reasons = [_reason(one, found) for one in checked for found in one.failures if is_definite(found)]
        if reasons:
            raise RefusedError(reasons)
        return tuple(_warning(one, found) for one, found in _once_for_each_host(checked))


def _once_for_each_host(checked: Sequence[Checked]) -> Iterator[tuple[Checked, Finding]]:
    """Gives what is worth a warning; that a host is not reached once, whatever buckets and keys it was tried with."""
    unreached: dict[tuple[str, str], tuple[list[str], Checked, Finding]] = {}
    for one in checked:
        for found in one.findings:
            if found.problem == "unreachable" and found.outcome == "failed":
                bucket, _, host = one.where.rpartition(" at ")
                buckets, first, _ = unreached.setdefault((host, found.text), ([], replace(one, used_by=()), found))
                buckets += [bucket] if bucket and bucket not in buckets else []
                users = tuple(dict.fromkeys((*first.used_by, *one.used_by)))
                merged = replace(
                    first, where=f"{first_few(buckets, _SHOWN)} at {host}" if bucket else one.where, used_by=users
                )
                unreached[host, found.text] = (buckets, merged, found)
            elif found.outcome == "warning" or (found.outcome == "failed" and not is_definite(found)):
                yield one, found
    yield from ((one, found) for _, one, found in unreached.values())


def _strictly(checked: Checked) -> Checked:
    findings = tuple(
        replace(one, outcome="failed", remedy=f"{one.remedy} {_REUSE}".strip()) if one.outcome == "warning" else one
        for one in checked.findings
    )
    return replace(checked, findings=findings)


_REUSE = "Where it is meant that it writes there all the same: --allow-archive-reuse."


def is_definite(finding: Finding) -> bool:
    """Tells whether a failure holds for the database's pods, too.

    Args:
        finding: What failed.

    Returns:
        False where the store was not reached from here, or had too much to do.
    """
    return finding.problem not in _SAYS_NOTHING


def _reason(checked: Checked, finding: Finding) -> str:
    skip = "" if checked.kind == "archive" else _SKIP
    return " ".join(
        part for part in (f"{_users(checked)}: {checked.where}: {finding.text}.", finding.remedy, skip) if part
    )


def _warning(checked: Checked, finding: Finding) -> Problem:
    text = f"{checked.where}: not tried out from here: {finding.text}"
    if finding.outcome == "warning":
        text = f"{checked.where}: {finding.text}"
    remedy = finding.remedy
    if finding.problem == "unreachable":
        remedy = "The database's pods may reach it all the same: once they are there, planton check --from-cluster."
    return Problem(f"{text}. {remedy}".strip(), subject=_users(checked))


def _users(checked: Checked) -> str:
    return first_few(checked.used_by, _SHOWN)


def with_store_checks(plan: Plan, server: Server, facts: Facts, options: PlanOptions, report: Report) -> Plan:
    """Tries out the stores that a plan is about to use, without writing into them.

    Args:
        plan: The plan.
        server: The API server.
        facts: What the plan was made from.
        options: What is allowed.
        report: Is told what is tried.

    Returns:
        The plan with what is worth a warning, and with what its apply tries out again.

    Raises:
        RefusedError: A store said no, or an archive belongs to something else.
        ClusterError: The API server refused.
    """
    decisions: Decisions = plan._sealed.content
    if options.skip_checks or not plan.changed:
        return plan
    targets, new = affected(decisions.steps, facts)
    if not targets:
        return plan
    checks = StoreChecks(server, targets, frozenset() if options.allow_archive_reuse else new)
    warnings = checks.run(write=False, report=report)
    sealed = Sealed(replace(decisions, checks=checks))
    return replace(plan, warnings=(*plan.warnings, *warnings), _sealed=sealed)


def affected(steps: Sequence[Step], facts: Facts) -> tuple[list[Target], frozenset[Key]]:
    """Finds the archives that steps of a plan make, move, or reach in another way.

    Args:
        steps: The steps.
        facts: What the plan was made from.

    Returns:
        The targets, and the databases among them that begin to archive where they did not.
    """
    changed = {one.key: one for one in steps if one.desired is not None}
    live = {key_of(one, POSTGRESQL): one for one in facts.inventory.databases}
    targets: list[Target] = []
    new: set[Key] = set()
    for message in facts.messages:
        if not isinstance(message, PostgresKubernetes):
            continue
        target = target_of(message, facts.platform, facts.existing, facts.inventory)
        if target is None or target.key is None:
            continue
        key = target.key
        if key not in live or _moves(target, live[key], facts) or _is_promoted(changed.get(key)):
            new.add(key)
        elif not _is_reached_otherwise(key, live[key], changed):
            continue
        targets.append(target)
    targets += _of_operator(changed, targets, facts)
    known = {one.key for one in targets}
    has_operator = any(isinstance(one, PostgresOperatorKubernetes) for one in facts.messages)
    for key, database in live.items():
        if has_operator and key not in known:
            target = _moved_by_operator(key, database, changed, facts)
            if target is not None:
                targets.append(target)
                new.add(key)
    return targets, frozenset(new)


def _moves(target: Target, database: KubernetesObject, facts: Facts) -> bool:
    """Whether a live database archives somewhere else afterwards."""
    own, inherited = environment(database), facts.existing.inherited or {}
    metadata = database["metadata"]
    before = archive_of(
        layered(own, inherited),
        name=str(metadata["name"]),
        namespace=str(metadata["namespace"]),
        version=version_of(database),
    )
    return before != target.access.identity


def _is_promoted(step: Step | None) -> bool:
    """Whether a standby becomes a primary: until now it has archived nothing, and somebody else may have."""
    before, after = (((one or {}).get("spec") or {}) for one in (step and step.live, step and step.desired))
    return bool(before.get("standby")) and not after.get("standby")


def _is_reached_otherwise(key: Key, database: KubernetesObject, changed: Mapping[Key, Step]) -> bool:
    """Whether the store or the keys of a database change by its own resource or its own Secrets."""
    step = changed.get(key)
    desired = step.desired if step is not None and step.desired is not None else database
    if _archive_part(environment(database)) != _archive_part(environment(desired)):
        return True
    secrets = {Key(SECRET, key.namespace, name) for name in _secrets_of(desired)}
    return any(one in changed and _has_other_data(changed[one]) for one in secrets)


def _archive_part(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name in _OF_ARCHIVE}


def _secrets_of(database: KubernetesObject) -> Iterator[str]:
    spec = database.get("spec") or {}
    for one in spec.get("env") or ():
        source = one.get("valueFrom") if isinstance(one, Mapping) and one.get("name") in READING_VARIABLES else None
        reference = source.get("secretKeyRef") if isinstance(source, Mapping) else None
        if isinstance(reference, Mapping):
            yield str(reference.get("name") or "")
    for one in spec.get("additionalVolumes") or ():
        source = one.get("volumeSource") if isinstance(one, Mapping) else None
        secret = source.get("secret") if isinstance(source, Mapping) else None
        if isinstance(secret, Mapping):
            yield str(secret.get("secretName") or "")


def _has_other_data(step: Step) -> bool:
    return ((step.live or {}).get("data") or {}) != ((step.desired or {}).get("data") or {})


def _of_operator(changed: Mapping[Key, Step], targets: Sequence[Target], facts: Facts) -> list[Target]:
    """The store that the operator gives to all databases, where it or its keys change."""
    operator = next((one for one in facts.messages if isinstance(one, PostgresOperatorKubernetes)), None)
    if operator is None or facts.platform is None:
        return []
    space = facts.platform.namespace

    def tells(key: Key, step: Step) -> bool:
        if key.namespace != space:
            return False
        if key.resource is SECRET:
            return (is_storage_secret(key.name) or key.name == FILES_SECRET) and _has_other_data(step)
        if key.resource is CONFIG_MAP and key.name == BACKUP_CONFIGMAP:
            before, after = (_archive_part((one or {}).get("data") or {}) for one in (step.live, step.desired))
            return before != after
        return False

    if not any(tells(key, step) for key, step in changed.items()):
        return []
    return of_platform(facts.platform, f"{operator.kind}/{operator.metadata.name}", targets)


def _moved_by_operator(
    key: Key, database: KubernetesObject, changed: Mapping[Key, Step], facts: Facts
) -> Target | None:
    """A database of which a set with an operator says nothing, and whose archive that operator moves."""
    in_set = key in changed or _archive_part(environment(database))
    if in_set or facts.platform is None:
        return None
    access = inherited_access(facts.platform, namespace=key.namespace, scope=key.name, version=version_of(database))
    if access is None:
        return None
    use_configmaps = facts.existing.kubernetes_use_configmaps == "true"
    target = Target(key.subject, access, key, is_there=True, use_configmaps=use_configmaps)
    return target if _moves(target, database, facts) else None
