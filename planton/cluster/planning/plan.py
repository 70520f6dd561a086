"""Compares a set of objects with the cluster and decides, object by object. Writes nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.remedies import is_of_old_definition
from planton.cluster.api.resources import (
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    POSTGRESQL,
    ROLE_BINDING,
    SECRET,
    Key,
    key_of,
)
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archive_record import (
    RecordChange,
    begin_record,
    read_record_change,
    with_all_in_use,
    with_unwritten,
)
from planton.cluster.backups.archives import Archives, read_archives
from planton.cluster.backups.encryption import (
    delta_refusals,
    encryption_refusals,
    former_secrets,
    resumed,
    with_encryption,
)
from planton.cluster.changes import Change, PlanOptions
from planton.cluster.deleting.lost_keys import lost_keys
from planton.cluster.operators import brings_definition, is_operator
from planton.cluster.ownership import SET_LABEL, is_ours, is_pod_account, labelled, labels_of, other_managers
from planton.cluster.permissions.review import together
from planton.cluster.planning.ahead import LIST_FROM, Ahead
from planton.cluster.planning.compare import foreign_data, is_settled, is_unchanged_but_ownership, is_unchanged_by
from planton.cluster.planning.diff import field_changes, removed_keys
from planton.cluster.planning.effects import effects_of
from planton.cluster.planning.ingress import closed_ingresses
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.live import read_live
from planton.cluster.planning.order import Stage, order_key, place
from planton.cluster.planning.safety import refusals
from planton.cluster.planning.steps import Step, change_of
from planton.errors import ConflictError, FieldConflict, RefusedError
from planton.translate.archive_record import no_room
from planton.translate.contract import KubernetesObject

_MANAGER_IN_CONFLICT = re.compile(r'conflict with "([^"]*)"')
FOREIGN_NAMESPACE = "exists already, not created by planton"
_NO_PERMISSION = "archives that are in use are not written down: no permission"
_TRIED_LATER = "cannot be tried out before the operator's new version has registered its definition of databases"
_WHOLE = "the whole object, which planton did not make"

Report = Callable[[int, int, str], None]


@dataclass(slots=True)
class _Outcome:
    """What was found out about one object: a step, or why there is none."""

    step: Step | None = None
    conflicts: list[FieldConflict] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    going: str = ""


_ASK = _Outcome()


def server_knows_place(key: Key, inventory: Inventory) -> bool:
    """Tells whether the server can try an object out that is not there.

    Args:
        key: Its identity.
        inventory: Facts of the cluster.

    Returns:
        False where it can only say that the namespace or the kind is not there yet.
    """
    is_there = not key.namespace or key.namespace in inventory.namespaces
    return is_there and (key.resource is not POSTGRESQL or inventory.serves_databases)


def untried(keys: Iterable[Key], inventory: Inventory) -> frozenset[Key]:
    """Names new Namespaces that are not tried out: beyond a few of them it only takes long, since all are alike.

    Args:
        keys: Identities of the objects of a set.
        inventory: Facts of the cluster.

    Returns:
        Their identities.
    """
    new = [key for key in keys if key.resource is NAMESPACE and key.name not in inventory.namespaces]
    return frozenset(new[LIST_FROM:])


def plan_objects(
    server: Server,
    objects: Sequence[KubernetesObject],
    inventory: Inventory,
    options: PlanOptions,
    report: Report = lambda done, total, subject: None,
    ahead: Ahead | None = None,
) -> list[Step]:
    """Decides what an apply of a set of objects would do.

    Args:
        server: The API server; its scrubber knows the credentials of the set.
        objects: The objects, with the label of their set.
        inventory: Facts of the cluster.
        options: What is allowed.
        report: Is told how many objects are decided, of how many, and the last one's subject.
        ahead: What was begun.

    Returns:
        A step for each object, and for each load balancer that is closed, in the order in which they are written.

    Raises:
        RefusedError: Something must not be done, or not without an explicit word: all reasons at once.
        ConflictError: Others own fields or objects of the set: all of them at once.
        ClusterError: The server refused something.
    """
    ordered = sorted(objects, key=order_key)
    keys = [key_of(obj) for obj in ordered]
    live = read_live(server, keys, inventory, ahead)
    wanted = dict(zip(keys, ordered, strict=True))
    archives = read_archives(server, wanted.items(), live, inventory)
    if ahead is not None:
        begin_record(ahead, server, archives)
    archives = with_encryption(archives, wanted, {**live, **_read(server, former_secrets(archives, live))})
    record = read_record_change(server, archives, ahead)
    archives = _with_resumed(server, archives, record, wanted, inventory)
    _check_archives(archives, record, lost_keys(archives, wanted, live, server.get), options)
    spaces = frozenset(key.name for key in keys if key.resource is NAMESPACE)
    brings = any(brings_definition(key, obj, live.get(key)) for key, obj in wanted.items())
    planner = _Planner(server, inventory, options, spaces, archives, untried(keys, inventory), brings)
    # Most are decided without a question to the server, and those need no thread.
    outcomes: dict[Key, _Outcome | Exception] = {}
    for key, obj in wanted.items():
        outcomes[key] = planner.decide(key, obj, live.get(key), asks=False)
    asked = [key for key, outcome in outcomes.items() if outcome is _ASK]
    done = len(keys) - len(asked)
    if done:
        report(done, len(keys), next(key.subject for key in reversed(keys) if outcomes[key] is not _ASK))

    def decide(key: Key) -> _Outcome:
        nonlocal done
        outcome = planner.decide(key, wanted[key], live.get(key))
        done += 1
        report(done, len(keys), key.subject)
        return outcome

    outcomes.update(zip(asked, in_parallel(decide, asked), strict=True))
    steps = _judge(list(outcomes.values()))
    if any(step.desired is not None for step in steps):
        # Archives of databases of others are written down when something is written anyway: they alone make no plan.
        record = with_all_in_use(server, archives, record, ahead)
    elif record is None:
        record = with_unwritten(server, archives, wanted, ahead)
    steps += _judge(planner.remember(record, is_of_set=any(key in archives.desired for key in wanted)))
    steps = [_placed(step, archives) for step in (*steps, *closed_ingresses(server, wanted, inventory, ahead))]
    return sorted(steps, key=lambda step: (step.stage, step.rank))


def _with_resumed(
    server: Server,
    archives: Archives,
    record: RecordChange | None,
    wanted: Mapping[Key, KubernetesObject],
    inventory: Inventory,
) -> Archives:
    """Looks for databases that go on in an archive with another encryption than when they stopped."""
    platform = inventory.platform
    data = platform.credentials.data() if platform is not None and platform.credentials is not None else None
    found: dict[Key, KubernetesObject | None] = {}

    def find(key: Key) -> KubernetesObject | None:
        if key not in found:
            found[key] = server.get(key)
        return found[key]

    for key, written in (record.resumes if record is not None else {}).items():
        archives = resumed(archives, key, written, wanted=wanted, find=find, credentials=data)
    return archives


def _check_archives(archives: Archives, record: RecordChange | None, lost: Sequence[str], options: PlanOptions) -> None:
    reasons = delta_refusals(archives)
    if not options.allow_encryption_change:
        reasons += [*encryption_refusals(archives), *lost]
    if record is not None and not options.allow_archive_reuse:
        reasons += record.reuses
    if reasons:
        raise RefusedError(reasons)


def _read(server: Server, keys: Collection[Key]) -> dict[Key, KubernetesObject]:
    found = zip(keys, results(in_parallel(server.get, list(keys))), strict=True)
    return {key: obj for key, obj in found if obj is not None}


def _placed(step: Step, archives: Archives) -> Step:
    if step.change.action == "configured" and step.key.resource is POSTGRESQL and archives.goes_first(step.key):
        return replace(step, stage=Stage.FIRST_DATABASES, rank=0)
    return step


def _judge(outcomes: Sequence[_Outcome | Exception]) -> list[Step]:
    failures = [one for one in outcomes if isinstance(one, Exception)]
    good = [one for one in outcomes if isinstance(one, _Outcome)]
    if failures:
        raise together(failures)
    refused = [reason for one in good for reason in one.refused]
    if refused:
        going = {one.going for one in good if one.refused}
        raise RefusedError(list(dict.fromkeys(refused)), going=() if "" in going else going)
    conflicts = [conflict for one in good for conflict in one.conflicts]
    if conflicts:
        raise ConflictError(conflicts)
    return [one.step for one in good if one.step is not None]


def conflicts_of(error: ApiError, subject: str) -> list[FieldConflict]:
    """Reads who owns what from the server's refusal of an apply.

    Args:
        error: The refusal.
        subject: `Kind/namespace/name`.

    Returns:
        One for each other manager; empty when the refusal is about something else.
    """
    fields: Mapping[str, list[str]] = defaultdict(list)
    if error.status == 409:
        for cause in error.causes:
            if cause.reason == "FieldManagerConflict":
                match = _MANAGER_IN_CONFLICT.search(cause.message)
                fields[match[1] if match else "unknown"].append(cause.field.lstrip("."))
    return [FieldConflict(subject, manager, tuple(paths)) for manager, paths in fields.items()]


def foreign_object(key: Key, live: KubernetesObject) -> FieldConflict:
    """Describes an object that is there and was not made by us.

    Args:
        key: Its identity.
        live: The object.

    Returns:
        A conflict about the whole object.
    """
    return FieldConflict(key.subject, ", ".join(other_managers(live)) or "unknown", (_WHOLE,))


@dataclass(frozen=True, slots=True)
class _Planner:
    server: Server
    inventory: Inventory
    options: PlanOptions
    created_namespaces: frozenset[str]
    archives: Archives
    untried: Collection[Key] = frozenset()
    brings_definition: bool = False

    def decide(
        self, key: Key, desired: KubernetesObject, live: KubernetesObject | None, *, asks: bool = True
    ) -> _Outcome:
        """Decides about one object; gives _ASK where the server would have to be asked and must not."""
        if key.resource is NAMESPACE:
            return self._namespace(key, desired, live, asks=asks)
        if key.namespace in self.inventory.existing.terminating_namespaces:
            return _Outcome(refused=[going_away(key.namespace)], going=key.namespace)
        if refused := self._place_refusals(key, live):
            return _Outcome(refused=refused)
        if live is None:
            return self._new(key, desired, asks=asks)
        return self._existing(key, desired, live, asks=asks)

    def remember(self, record: RecordChange | None, *, is_of_set: bool) -> list[_Outcome]:
        """Decides about the record of archives, of the set's databases or not: it is written before any is left."""
        if record is None:
            return []
        warning = no_room(record.left_out) if record.left_out else ""
        if record.desired is None:
            # Counted with the databases of which it speaks: an apply and the plan after it shall name as many.
            if not warning and (record.live is None or not is_of_set):
                return []
            unchanged = _step(record.live or {}, change_of(record.key, "unchanged"), record.key)
            return [_Outcome(replace(unchanged, stage=Stage.DATABASES, rank=9, warning=warning))]
        try:
            outcome = self.decide(record.key, record.desired, record.live)
        except ApiError as error:
            if error.status != 403 or record.is_needed:
                raise
            return [
                _Outcome(_step(record.desired, change_of(record.key, "skipped", reason=_NO_PERMISSION), record.key))
            ]
        if outcome.step is not None:
            # What is left is written down before, and with which key what is taken is encrypted: so after the Secrets.
            # What is taken alone comes once the databases are there.
            stage, rank = (Stage.SECRETS, 9) if record.is_needed else (Stage.DATABASES, 9)
            outcome.step = replace(outcome.step, stage=stage, rank=rank, warning=warning)
        return [outcome]

    def _namespace(self, key: Key, desired: KubernetesObject, live: KubernetesObject | None, *, asks: bool) -> _Outcome:
        if live is None:
            return self._new(key, desired, asks=asks)
        if key.name in self.inventory.existing.terminating_namespaces:
            return _Outcome(refused=[going_away(key.name)], going=key.name)
        if is_ours(live):
            return _Outcome(_untouched(key, desired))
        return _Outcome(_step(desired, change_of(key, "skipped", reason=FOREIGN_NAMESPACE), key))

    def _place_refusals(self, key: Key, live: KubernetesObject | None) -> list[str]:
        is_there = key.namespace in self.inventory.namespaces
        if key.namespace and not is_there and key.namespace not in self.created_namespaces:
            return [f"{key.subject}: namespace {key.namespace} is not there, and is not in the set"]
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return [f"{key.subject} is being deleted: wait until it is gone, then run the same command again"]
        return []

    def _new(self, key: Key, desired: KubernetesObject, *, asks: bool) -> _Outcome:
        is_tried = server_knows_place(key, self.inventory) and key not in self.untried
        if is_tried and not asks:
            return _ASK
        effects = effects_of(desired, None, self.archives)
        count = len(self.inventory.databases)
        if is_operator(key) and count:
            effects += (f"{key.name} begins to look after {count} database{'s' if count > 1 else ''} of the cluster",)
        created = change_of(key, "created", effects=effects)
        step = _step(desired, created, key, desired=desired)
        if not is_tried:
            return _Outcome(step)
        try:
            self.server.apply(key, desired, dry_run=True)
        except ApiError as error:
            if conflicts := conflicts_of(error, key.subject):
                return _Outcome(conflicts=conflicts)
            if error.status == 404 and key.resource in (CLUSTER_ROLE_BINDING, ROLE_BINDING):
                # Whoever is no administrator must hold what is in the role, which is made just before.
                return _Outcome(step)
            if key.resource is POSTGRESQL and self.brings_definition and is_of_old_definition(error.status, error.text):
                later = replace(created, effects=(*effects, _TRIED_LATER))
                return _Outcome(_step(desired, later, key, desired=desired))
            raise
        return _Outcome(step)

    def _existing(self, key: Key, desired: KubernetesObject, live: KubernetesObject, *, asks: bool) -> _Outcome:
        # The operator has written the annotations of an account that it has made, from what it was told before.
        force = self.options.force_conflicts or is_pod_account(desired)
        if not is_ours(live) and not force:
            return _Outcome(conflicts=[foreign_object(key, live)])
        if refused := refusals(key, desired, live, self.options):
            return _Outcome(refused=refused)
        desired, other_set = self._with_live_set(key, desired, live)
        if other_set and not force:
            return _Outcome(conflicts=[other_set])
        removals = foreign_data(desired, live)
        if not removals and is_settled(desired, live):
            return _Outcome(_untouched(key, desired, live))
        if not asks:
            return _ASK
        conflicts: list[FieldConflict] = []
        try:
            answer, _ = self.server.apply(key, desired, dry_run=True)
        except ApiError as error:
            conflicts = conflicts_of(error, key.subject)
            if not conflicts:
                raise
            if not force:
                return _Outcome(conflicts=conflicts)
            answer, _ = self.server.apply(key, desired, dry_run=True, force=True)
        if not removals and is_unchanged_by(live, answer):
            return _Outcome(_untouched(key, desired, live))
        change = change_of(
            key,
            "configured",
            diff=(
                *field_changes(live, answer, self.server.scrubber),
                *removed_keys(removals, self.server.scrubber),
            ),
            effects=effects_of(answer, live, self.archives),
            reason=_reason(live, answer, conflicts, removals),
        )
        return _Outcome(_step(desired, change, key, desired=desired, removals=removals, live=live))

    def _with_live_set(
        self, key: Key, desired: KubernetesObject, live: KubernetesObject
    ) -> tuple[KubernetesObject, FieldConflict | None]:
        """Leaves an object in the set that it is in, unless it is told to move."""
        there, wanted = labels_of(live).get(SET_LABEL), self.options.set_id
        if there is None or there == wanted:
            return desired, None
        # Copies of the storage Secret belong to the operator's set and to that of the database: they stay in theirs.
        if wanted is None or key.resource is SECRET:
            return labelled(desired, there), None
        return desired, FieldConflict(key.subject, f"planton, set {there}", (f'metadata.labels["{SET_LABEL}"]',))


def _step(obj: KubernetesObject, change: Change, key: Key, **more: Any) -> Step:
    stage, rank = place(obj)
    return Step(key, change, stage, rank, **more)


def _untouched(key: Key, obj: KubernetesObject, live: KubernetesObject | None = None) -> Step:
    # Before pods are told of a Secret it is looked at once more.
    return _step(obj, change_of(key, "unchanged"), key, live=live if key.resource is SECRET else None)


def going_away(namespace: str) -> str:
    """Says that a namespace is being deleted, and what to do.

    Args:
        namespace: Its name.

    Returns:
        The reason for a refusal.
    """
    return (
        f"Namespace/{namespace} is being deleted: wait until it is gone, then run the same command again, or leave out "
        "the manifests of what is in it"
    )


def _reason(
    live: KubernetesObject, answer: KubernetesObject, taken: Sequence[FieldConflict], removals: Sequence[object]
) -> str:
    if not is_ours(live) and not is_pod_account(live):
        return f"taken over; it was made by {', '.join(other_managers(live)) or 'others'}"
    if taken:
        return "; ".join(f"takes {', '.join(one.fields)} over from {one.manager}" for one in taken)
    if not removals and is_unchanged_but_ownership(live, answer):
        return "only the ownership of fields changes"
    return ""
