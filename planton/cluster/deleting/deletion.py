"""Decides what a delete takes away, what stays, and what it is refused for. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from planton.cluster.api.resources import (
    NAMESPACE,
    SECRET,
    SERVICE,
    VOLUME_CLAIM,
    Key,
    ResourceType,
    key_of,
)
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_reading import ArchiveReader, archives_now, operator_of
from planton.cluster.backups.archive_record import deletion_step
from planton.cluster.changes import DeleteOptions
from planton.cluster.deleting.deletion_checks import (
    CLUSTER_LABEL,
    PASSWORD_SUFFIX,
    STILL_THERE,
    Running,
    Target,
    check_targets,
    is_volume_of,
    running_operators,
)
from planton.cluster.deleting.last_backup import LastBackup
from planton.cluster.deleting.left_behind import LeftBehind, archives_left, look_into, refusals, said_of
from planton.cluster.deleting.remaining import ReadArchive
from planton.cluster.operators import read_settings
from planton.cluster.ownership import check_set_id, is_applied_by_us, is_ours
from planton.cluster.permissions.needed import check_deletion
from planton.cluster.planning import admission
from planton.cluster.planning.inventory import Inventory, read_inventory
from planton.cluster.planning.order import Stage
from planton.cluster.planning.prune import PRUNABLE
from planton.cluster.planning.steps import Step, change_of
from planton.errors import RefusedError
from planton.manifest import Manifests
from planton.translate.contract import KubernetesObject
from planton.translate.names import (
    FILES_SECRET,
    KIND_LABEL,
    NAME_LABEL,
    STORAGE_SECRETS,
    cluster_name,
    namespace_of,
    own_secret_names,
)
from planton.translate.policy import ENCRYPTION_KEYS
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource

_HOLDS_KEY = "holds the key with which backups are encrypted; stays, and is deleted by hand when none is needed"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete would do.

    Attributes:
        targets: Databases that go.
        databases: Steps for their custom resources and Services, after the one that remembers their archives.
        leftovers: Steps for volumes, passwords, storage Secrets and what belongs to the operator.
        namespaces: Steps for Namespaces; whether they are empty is seen when all else is gone.
        settings: What the operator is told.
        is_cleaned_up: Whether an operator is there to clean up.
        behind: What each database leaves.
        options: What may go.
    """

    targets: tuple[Target, ...]
    databases: tuple[Step, ...]
    leftovers: tuple[Step, ...]
    namespaces: tuple[Step, ...]
    settings: dict[str, str] = field(repr=False)
    is_cleaned_up: bool = True
    behind: tuple[LeftBehind, ...] = ()
    options: DeleteOptions = field(default_factory=DeleteOptions)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in their order."""
        return (*self.databases, *self.leftovers, *self.namespaces)


def read_deletion(server: Server, messages: Manifests, options: DeleteOptions) -> tuple[Deletion, ArchiveReader]:
    """Reads the facts and decides what a delete does.

    Args:
        server: The API server.
        messages: The set, with its defaults filled.
        options: What may go.

    Returns:
        The decisions, and what reads the archives of the databases, also when these are gone.

    Raises:
        RefusedError: A word is missing, or the state of the cluster forbids it.
        ClusterError: The server refused.
    """
    admission.check_target(messages, options.cluster_id)
    inventory = read_inventory(
        server,
        set_operator=admission.operator_of(messages),
        chosen=options.operator_namespace,
        credentials=False,
    )
    reader = ArchiveReader(server, inventory)
    deletion = plan_deletion(server, messages, inventory, options, reader)
    if options.last_backup:
        LastBackup(server, reader).check(one.key for one in deletion.targets if one.live is not None)
    check_deletion(server, deletion)
    return deletion, reader


def plan_deletion(
    server: Server,
    messages: Sequence[Resource],
    inventory: Inventory,
    options: DeleteOptions,
    read_archive: ReadArchive | None = None,
) -> Deletion:
    """Decides what a delete does.

    Args:
        server: The API server.
        messages: The set, with its defaults filled.
        inventory: Facts of the cluster.
        options: What may go.
        read_archive: Reads the archive of a database; None looks into none, and says so.

    Returns:
        The decisions.

    Raises:
        RefusedError: A word is missing, or the state of the cluster forbids it.
        ClusterError: The server refused.
    """
    check_set_id(options.set_id)
    targets = [_looked_up(server, one) for one in _targets(messages, inventory, options)]
    operator_message = next((one for one in messages if isinstance(one, PostgresOperatorKubernetes)), None)
    _check_words(messages, operator_message, inventory, options)
    operator = operator_of(inventory)
    running = running_operators(server, inventory)
    no_operator = ""
    if operator is None or not operator.available:
        no_operator = f"{operator.subject} has no available replica" if operator else "no operator runs in the cluster"
    check_targets(targets, running, options, no_operator=no_operator)
    settings = read_settings(server, operator) if operator else {}
    archives = archives_now(server, inventory, operator, settings)
    home = archives.namespace or inventory.operator_namespace
    left = archives_left(server, targets, archives, home)
    leftovers, namespaces = [], []
    going = {(one.namespace, one.name) for one in targets}
    for target in targets:
        leftovers += _leftover_steps(server, target, inventory, going, running, options)
    if operator_message is not None and options.operator:
        _check_no_databases(inventory, going)
        leftovers += _operator_steps(server, operator_message, options)
    spaces = {one.namespace: one.message for one in targets} | (
        {namespace_of(operator_message): operator_message} if operator_message and options.operator else {}
    )
    for namespace in spaces:
        namespaces += _namespace_steps(namespace, inventory, options)
    unique = {step.key: step for step in leftovers}
    secrets = {(key.namespace, key.name) for key, step in unique.items() if _takes_secret(step)}
    behind = look_into(
        server,
        targets,
        left,
        archives,
        operator_namespace=home,
        going=secrets,
        read_archive=read_archive,
        use_configmaps=inventory.existing.kubernetes_use_configmaps == "true",
    )
    now = datetime.now(UTC)
    if reasons := refusals(behind, options, now):
        raise RefusedError(reasons)
    remembered = deletion_step(
        server, archives.namespace, [left[one.key] for one in targets if one.live and one.key in left]
    )
    databases = [remembered] if remembered else []
    for one in behind:
        databases += _database_steps(server, one.target, said_of(one, options, now), is_down=bool(no_operator))
    return Deletion(
        tuple(targets),
        tuple(databases),
        tuple(unique.values()),
        tuple(namespaces),
        settings,
        not no_operator,
        behind,
        options,
    )


def _takes_secret(step: Step) -> bool:
    return step.key.resource is SECRET and step.change.action == "deleted"


def _step(
    key: Key, obj: KubernetesObject | None, *, goes: bool, reason: str = "", effects: tuple[str, ...] = ()
) -> Step:
    metadata = (obj or {}).get("metadata") or {}
    return Step(
        key,
        change_of(key, "deleted" if goes else "skipped", reason=reason, effects=effects),
        Stage.DATABASES,
        0,
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
    )


def _targets(messages: Sequence[Resource], inventory: Inventory, options: DeleteOptions) -> list[Target]:
    live = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in inventory.databases}
    databases = [one for one in messages if isinstance(one, PostgresKubernetes)]
    targets, reasons = [], []
    for word in options.databases:
        space, _, name = word.rpartition("/")
        found = [one for one in databases if one.metadata.name == name and space in ("", namespace_of(one))]
        if len(found) != 1:
            spaces = ", ".join(f"{namespace_of(one)}/{name}" for one in found)
            reasons.append(
                f"several databases are named {name}: say which one, {spaces}"
                if found
                else f"no database {word} is in the manifests: give the one that it had, with -f"
            )
            continue
        place = (namespace_of(found[0]), cluster_name(name))
        targets.append(Target(found[0], *place, live.get(place)))
    if reasons:
        raise RefusedError(reasons)
    return targets


def _check_words(
    messages: Sequence[Resource],
    operator: PostgresOperatorKubernetes | None,
    inventory: Inventory,
    options: DeleteOptions,
) -> None:
    if options.databases or (operator is not None and options.operator):
        return
    if options.operator:
        raise RefusedError(["no operator is in the manifests"])
    lines = ["nothing was named, so nothing is deleted. What could go:"]
    for message in messages:
        if isinstance(message, PostgresKubernetes):
            place = (namespace_of(message), cluster_name(message.metadata.name))
            there = inventory.existing.database(*place) is not None
            lines.append(
                f"  postgresql/{place[0]}/{place[1]}{'' if there else ' (gone already)'} with its pods and Services, "
                f"when {message.metadata.name} is named; its volumes, passwords, storage Secret and Namespace stay "
                "unless each is named by its own word"
            )
        elif message is operator:
            lines.append(
                f"  the operator in namespace {namespace_of(message)}, with the word for it, when the cluster has no "
                "database; its storage Secret and Namespace stay unless each is named by its own word"
            )
    raise RefusedError(["\n".join(lines)])


def _looked_up(server: Server, target: Target) -> Target:
    labels = f"{CLUSTER_LABEL}={target.name}"
    stateful_set = server.get(target.stateful_set_key)
    if stateful_set is not None and stateful_set["metadata"].get("deletionTimestamp"):
        stateful_set = None
    secrets = server.list(SECRET, target.namespace, labels=labels, metadata_only=True) or ()
    return replace(
        target,
        stateful_set=stateful_set,
        claims=tuple(server.list(VOLUME_CLAIM, target.namespace, labels=labels, metadata_only=True) or ()),
        passwords=tuple(
            one for one in secrets if one["metadata"]["name"].endswith(f".{target.name}.{PASSWORD_SUFFIX}")
        ),
    )


def _check_no_databases(inventory: Inventory, going: set[tuple[str, str]]) -> None:
    left = [one for one in inventory.existing.databases if (one.namespace, one.name) not in going]
    if left:
        names = ", ".join(f"{one.namespace}/{one.name}" for one in left[:10]) + (", ..." if len(left) > 10 else "")
        raise RefusedError(
            [f"the operator looks after {len(left)} databases ({names}): it is not deleted before they are"]
        )


def _database_steps(server: Server, target: Target, effects: tuple[str, ...], *, is_down: bool) -> list[Step]:
    steps = [
        _step(target.key, target.live, goes=True, effects=effects)
        if target.live is not None
        else _step(target.key, None, goes=False, reason="gone already", effects=effects)
    ]
    if is_down and target.live is not None and target.stateful_set is not None:
        reason = "stays, and its pods run on: no operator is there to clean up"
        steps.append(_step(target.stateful_set_key, None, goes=False, reason=reason))
    selector = f"{KIND_LABEL}={target.message.kind},{NAME_LABEL}={target.message.metadata.name}"
    for service in server.list(SERVICE, target.namespace, labels=selector) or ():
        # What the operator makes inherits no name label; what others labelled like ours we did not apply.
        if is_applied_by_us(service):
            steps.append(_step(key_of(service, SERVICE), service, goes=True))
    return steps


def _leftover_steps(
    server: Server,
    target: Target,
    inventory: Inventory,
    going: set[tuple[str, str]],
    operators: Sequence[Running],
    options: DeleteOptions,
) -> list[Step]:
    steps = []
    if target.live is None and target.stateful_set is not None:
        steps.append(_step(target.stateful_set_key, None, goes=False, reason=STILL_THERE))
    for claim in target.claims:
        key = key_of(claim, VOLUME_CLAIM)
        if is_volume_of(claim, target.name, operators):
            steps.append(_kept_or(key, claim, options.volumes, "holds the data; stays"))
        else:
            reason = "stays: it has the label of the database, and is no volume that the operator made for it"
            steps.append(_step(key, claim, goes=False, reason=reason))
    for secret in target.passwords:
        steps.append(_kept_or(key_of(secret, SECRET), secret, options.passwords, "holds a password; stays"))
    for name in own_secret_names(target.message.metadata.name):
        steps += _own_secret_steps(server, Key(SECRET, target.namespace, name), options)
    steps += _storage_steps(server, target.namespace, inventory, going, options)
    return steps


def _own_secret_steps(server: Server, key: Key, options: DeleteOptions) -> list[Step]:
    """Decides about a Secret with a database's own credentials: its archive can be read with them only."""
    secret = server.get(key)
    if secret is None:
        return []
    if not is_applied_by_us(secret):
        return [_step(key, secret, goes=False, reason="stays: it was not made by planton")]
    encrypts = bool(ENCRYPTION_KEYS & set(secret.get("data") or {}))
    what = "holds the key with which its backups are encrypted" if encrypts else "belongs to its backups"
    if encrypts:
        return [_step(key, secret, goes=False, reason=f"{what}; stays, and is deleted by hand when none is needed")]
    return [_kept_or(key, secret, options.storage_secret, f"{what}; stays")]


def _kept_or(key: Key, obj: KubernetesObject, goes: bool, reason: str) -> Step:
    return _step(key, obj, goes=goes, reason="" if goes else reason)


def _storage_steps(
    server: Server, namespace: str, inventory: Inventory, going: set[tuple[str, str]], options: DeleteOptions
) -> list[Step]:
    steps = []
    # Those of earlier sets of keys, too: nobody else takes them away.
    for name in (*STORAGE_SECRETS, FILES_SECRET):
        steps += _copy_steps(server, Key(SECRET, namespace, name), inventory, going, options)
    return steps


def _copy_steps(
    server: Server, key: Key, inventory: Inventory, going: set[tuple[str, str]], options: DeleteOptions
) -> list[Step]:
    namespace = key.namespace
    secret = server.get(key)
    if secret is None:
        return []
    others = [
        one.name
        for one in inventory.existing.databases
        if one.namespace == namespace and (one.namespace, one.name) not in going
    ]
    if not options.storage_secret:
        return [_step(key, secret, goes=False, reason="copy of the storage Secret; stays")]
    if others:
        return [_step(key, secret, goes=False, reason=f"stays: {', '.join(others)} needs it")]
    if namespace == inventory.operator_namespace and not options.operator:
        return [_step(key, secret, goes=False, reason="stays: it is the operator's own")]
    if not is_applied_by_us(secret):
        return [_step(key, secret, goes=False, reason="stays: it was not made by planton")]
    if _may_hold_last_key(server, key, secret, inventory.operator_namespace):
        return [_step(key, secret, goes=False, reason=_HOLDS_KEY)]
    return [_step(key, secret, goes=True)]


def _may_hold_last_key(server: Server, key: Key, secret: KubernetesObject, home: str) -> bool:
    """Whether a Secret has a key with which backups are encrypted and is no copy of one that the operator has."""
    data = secret.get("data") or {}
    held = {name: data[name] for name in ENCRYPTION_KEYS if name in data}
    own = server.get(Key(SECRET, home, key.name)) if held and home and key.namespace != home else None
    there = (own or {}).get("data") or {}
    return any(there.get(name) != value for name, value in held.items())


def _operator_steps(server: Server, message: PostgresOperatorKubernetes, options: DeleteOptions) -> list[Step]:
    namespace = namespace_of(message)
    selector = f"{KIND_LABEL}={message.kind},{NAME_LABEL}={message.metadata.name}"
    steps = []
    for resource in PRUNABLE:
        for obj in server.list(resource, labels=selector) or ():
            key = key_of(obj, resource)
            if key.namespace not in ("", namespace) and resource is not SECRET:
                continue
            steps.append(_operator_step(server, key, resource, obj, namespace, options))
    return steps


def _operator_step(
    server: Server, key: Key, resource: ResourceType, obj: KubernetesObject, home: str, options: DeleteOptions
) -> Step:
    if not is_applied_by_us(obj):
        return _step(key, obj, goes=False, reason="stays: it was not made by planton")
    if resource is SECRET and not options.storage_secret:
        return _step(key, obj, goes=False, reason="storage Secret; stays")
    if resource is SECRET and _may_hold_last_key(server, key, obj, home):
        return _step(key, obj, goes=False, reason=_HOLDS_KEY)
    return _step(key, obj, goes=True)


def _namespace_steps(namespace: str, inventory: Inventory, options: DeleteOptions) -> list[Step]:
    live = inventory.namespaces.get(namespace)
    if live is None:
        return []
    key = Key(NAMESPACE, "", namespace)
    if not options.namespace:
        return [_step(key, live, goes=False, reason="stays")]
    if not is_applied_by_us(live) or not is_ours(live):
        return [_step(key, live, goes=False, reason="stays: it was not created by planton")]
    return [_step(key, live, goes=True)]
