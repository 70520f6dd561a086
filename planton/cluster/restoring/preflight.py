"""What a plan looks at before a database is created from an archive, or begins to follow one.

With a small mistake such a database comes up as an ordinary empty one (restored.py says why), so that here everything
is looked at that the new pods will read: with the keys that they will have, from here. What does not come out well is
refused, all of it at once, and nothing is created. A store that is not reached from here is refused, too: unlike with
backups, what goes wrong later is not seen as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from planton.cluster.api.resources import POSTGRESQL, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_record import has_volume
from planton.cluster.changes import Plan, PlanOptions, Sealed, effects_in
from planton.cluster.checking.apply_checks import Report, is_definite
from planton.cluster.checking.check_targets import target_of
from planton.cluster.checking.checks import Target, at_once, check_owner
from planton.cluster.planning.facts import Facts
from planton.cluster.planning.steps import Decisions, Step
from planton.cluster.restoring.preflight_facts import Examined, Wanted
from planton.errors import Problem, RefusedError, StoreError
from planton.quantity import parse
from planton.translate.archive_access import ArchiveAccess
from planton.translate.beginning import beginning_of
from planton.translate.birth import Birth
from planton.translate.contract import KubernetesObject
from planton.translate.database_facts import operator_of, postgres_version, source_message
from planton.translate.names import RESTORED_FROM_ANNOTATION, cluster_name, namespace_of
from planton.types import PostgresKubernetes

TIMEOUT = 15.0
"""Seconds after which a request to a store is given up here: a page of a large archive takes its time."""

_UNCHECKED = (
    "is not looked into before: where anything is wrong with its archive, its keys or its time, the database comes up "
    "empty, or not at all. Afterwards look at planton status"
)
_SKIP = "A restore that was not looked into may come up empty. Where that is meant all the same: --skip-check."


@dataclass(frozen=True, slots=True)
class Restore:
    """A new database that starts from an archive, or follows one.

    Attributes:
        key: Identity of its custom resource.
        subject: Its manifest, such as `PostgresKubernetes/orders-restored`.
        path: Where its manifest says the source.
        access: How its source is reached, with the keys that its pods will have.
        wanted: What is to come of it.
        own: Its own archive; None without one.
    """

    key: Key
    subject: str
    path: str
    access: ArchiveAccess = field(repr=False)
    wanted: Wanted
    own: Target | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found out about the new databases of a set that do not start empty.

    Attributes:
        births: Identity of the custom resource -> what is written down on it.
        effects: Identity of the custom resource -> what comes of it, in words.
        warnings: What is worth saying.
    """

    births: Mapping[Key, Birth] = field(default_factory=dict)
    effects: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def written_into(self, objects: Iterable[KubernetesObject]) -> list[KubernetesObject]:
        """Writes down on custom resources what was found.

        Args:
            objects: The set, rendered.

        Returns:
            The set, with the annotation by which status proves a restore.
        """
        return [self._born(one) for one in objects]

    def _born(self, obj: KubernetesObject) -> KubernetesObject:
        birth = self.births.get(key_of(obj)) if obj.get("kind") == POSTGRESQL.kind else None
        if birth is None:
            return obj
        metadata = obj["metadata"]
        annotations = {**(metadata.get("annotations") or {}), RESTORED_FROM_ANNOTATION: birth.to_json()}
        return {**obj, "metadata": {**metadata, "annotations": dict(sorted(annotations.items()))}}

    def told(self, plan: Plan) -> Plan:
        """Says in a plan what comes of it.

        Args:
            plan: The plan.

        Returns:
            The plan with the effects.
        """
        if not self.effects:
            return plan
        decisions: Decisions = plan._sealed.content
        steps = tuple(self._with_effects(one) for one in decisions.steps)
        changes = tuple(one.change for one in (*steps, *decisions.prunes))
        sealed = Sealed(replace(decisions, steps=steps))
        return replace(plan, changes=changes, effects=effects_in(changes), _sealed=sealed)

    def _with_effects(self, step: Step) -> Step:
        effects = self.effects.get(step.key, ())
        if not effects or step.change.action != "created":
            return step
        return replace(step, change=replace(step.change, effects=(*step.change.effects, *effects)))


def preflight(server: Server, facts: Facts, options: PlanOptions, report: Report = lambda text: None) -> Preflight:
    """Looks at all that new databases of a set start from. Writes nothing, neither here nor into a store.

    Args:
        server: The API server.
        facts: What the plan is made from.
        options: What is allowed.
        report: Is told what is looked at.

    Returns:
        What was found out.

    Raises:
        RefusedError: A restore would fail, or bring back something else than is asked for: all reasons at once.
        ClusterError: The API server refused.
    """
    restores = restores_in(facts)
    if options.skip_checks:
        # Not a look into what it starts from, but a fact: where a volume is, it starts from that.
        return Preflight(
            warnings=tuple(
                Problem(text, path=one.path, subject=one.subject)
                for one in restores
                for text in (_UNCHECKED, *_volume(server, one))
            )
        )

    def look(restore: Restore) -> Examined:
        report(str(restore.access.identity))
        return _look(server, restore, options)

    found = list(zip(restores, at_once(look, restores), strict=True))
    reasons = [f"{restore.subject}: {reason}" for restore, one in found for reason in one.reasons]
    if reasons:
        raise RefusedError(list(dict.fromkeys(reasons)))
    return Preflight(
        {restore.key: one.birth for restore, one in found if one.birth is not None},
        {restore.key: one.effects for restore, one in found},
        tuple(
            Problem(f"({restore.access.identity}): {text}", path=restore.path, subject=restore.subject)
            for restore, one in found
            for text in one.warnings
        ),
    )


def restores_in(facts: Facts) -> list[Restore]:
    """Finds the new databases of a set that do not start empty.

    Args:
        facts: What the plan is made from.

    Returns:
        One for each whose source is known; whether it can be is said by translation.
    """
    live = {key_of(one, POSTGRESQL) for one in facts.inventory.databases}
    found = []
    for message in facts.messages:
        if not isinstance(message, PostgresKubernetes) or source_message(message) is None:
            continue
        key = Key(POSTGRESQL, namespace_of(message), cluster_name(message.metadata.name))
        access = beginning_of(message, facts.platform, facts.existing).access if key not in live else None
        if access is not None:
            found.append(_restore(message, key, access, facts))
    return found


def _restore(message: PostgresKubernetes, key: Key, access: ArchiveAccess, facts: Facts) -> Restore:
    spec = message.spec
    is_clone = spec.HasField("clone")
    kind = "clone" if is_clone else "standby"
    source = source_message(message)
    by_name = source.database.name if source is not None and source.HasField("database") else ""
    disk = spec.container.disk_size.replace(" ", "").replace("\t", "")
    return Restore(
        key,
        f"{message.kind}/{message.metadata.name}",
        f"spec.{kind}.source",
        access,
        Wanted(
            key.name,
            "clone" if is_clone else "standby",
            by_name,
            spec.clone.target_time if is_clone else "",
            postgres_version(message, facts.existing),
            parse(disk) if disk else Decimal(0),
            operator_of(facts.platform, facts.existing).postgres_versions,
        ),
        target_of(message, facts.platform, facts.existing, facts.inventory),
    )


def _look(server: Server, restore: Restore, options: PlanOptions) -> Examined:
    reasons = [*_volume(server, restore), *_own_archive(server, restore, options)]
    found = _source(restore)
    return replace(found, reasons=(*found.reasons, *reasons))


def _source(restore: Restore) -> Examined:
    # What reads an archive is slow to import, and most plans restore nothing.
    from planton.catalogue.bucket import open_bucket
    from planton.cluster.restoring.preflight_archive import examine

    try:
        bucket = open_bucket(restore.access, timeout=TIMEOUT)
        found = examine(bucket, restore.access, restore.wanted, now=datetime.now(UTC))
    except StoreError as error:
        text = f"{restore.path}: its archive cannot be read from here: {error.subject}: {error.text}."
        return Examined((" ".join(part for part in (text, error.remedy, _SKIP) if part),))
    place = f"{restore.path}: {restore.access.identity}"
    return replace(found, reasons=tuple(f"{place}: {one}" for one in found.reasons))


def _volume(server: Server, restore: Restore) -> Sequence[str]:
    """A pod that finds a data directory starts with it, and looks at no archive: Patroni's bootstrap."""
    key = restore.key
    if not has_volume(server, key):
        return ()
    return (
        f"the volume claim {key.namespace}/pgdata-{key.name}-0 is there, of an earlier database of this name: its pod "
        "would start with what is in that, and nothing would be restored. Take another name; or, where that data is "
        f"what is wanted, take {restore.wanted.kind} out of the manifest; or, where nobody needs it, delete the claim",
    )


def _own_archive(server: Server, restore: Restore, options: PlanOptions) -> Sequence[str]:
    """What is wrong with the place to which it will archive itself; a store that is not reached is said elsewhere."""
    if restore.own is None or options.allow_archive_reuse:
        return ()
    finding = check_owner(restore.own, server)
    if finding.outcome != "failed" or not is_definite(finding):
        return ()
    where = restore.own.access.identity
    return (f"its own archive, {where}: {finding.text}. {finding.remedy}".strip(),)
