"""What a delete of databases is refused for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planton.cluster.api.resources import POSTGRESQL, SECRET, STATEFUL_SET, VOLUME_CLAIM, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import DeleteOptions
from planton.cluster.operators import LiveOperator, is_true, read_settings
from planton.cluster.ownership import SET_LABEL, is_applied_by_us, labels_of, other_managers
from planton.cluster.planning.inventory import Inventory
from planton.errors import RefusedError
from planton.translate.contract import KubernetesObject
from planton.types import PostgresKubernetes

# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/config.go (secret_name_template)
PASSWORD_SUFFIX = "credentials.postgresql.acid.zalan.do"
CLUSTER_LABEL = "cluster-name"
"""The operator's cluster_name_label, which planton does not change."""
# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/config.go (cluster_labels)
_CLUSTER_LABELS = "application:spilo"
STILL_THERE = (
    "still there: the operator is cleaning up, or the database was deleted while none ran. Wait, or delete it by hand"
)
"""Said of a StatefulSet without its custom resource."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database that a delete is about.

    Attributes:
        message: Its message; not printed.
        namespace: Its namespace.
        name: Name of its custom resource.
        live: Its custom resource; None when it is gone.
        stateful_set: Its StatefulSet; None when it has none, or none that stays.
        claims: Every volume claim with its label.
        passwords: Its Secrets with passwords.
    """

    message: PostgresKubernetes = field(repr=False)
    namespace: str
    name: str
    live: KubernetesObject | None = field(repr=False)
    stateful_set: KubernetesObject | None = field(default=None, repr=False)
    claims: tuple[KubernetesObject, ...] = field(default=(), repr=False)
    passwords: tuple[KubernetesObject, ...] = field(default=(), repr=False)

    @property
    def key(self) -> Key:
        """Identity of its custom resource."""
        return Key(POSTGRESQL, self.namespace, self.name)

    @property
    def stateful_set_key(self) -> Key:
        """Identity of its StatefulSet."""
        return Key(STATEFUL_SET, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Running:
    """An operator that is to run, with what it is told.

    Attributes:
        operator: Its Deployment.
        settings: Setting -> value.
    """

    operator: LiveOperator
    settings: Mapping[str, str] = field(repr=False)

    def says(self, setting: str, default: str) -> bool:
        """Whether a switch is on."""
        return is_true(self.settings.get(setting, default))


def running_operators(server: Server, inventory: Inventory) -> tuple[Running, ...]:
    """Reads what every operator is told that is to run, ready or not: its process may be there in any case.

    Args:
        server: The API server.
        inventory: Facts of the cluster.

    Returns:
        The operators.

    Raises:
        ClusterError: The server refused.
    """
    return tuple(Running(one, read_settings(server, one)) for one in inventory.operators if one.wanted > 0)


def is_volume_of(claim: Mapping[str, Any], name: str, operators: Iterable[Running]) -> bool:
    """Tells whether a volume claim is one that the operator made for a database, and not a copy with its labels.

    https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/constants/postgresql.go (DataVolumeName)

    Args:
        claim: The claim.
        name: Name of the database's custom resource.
        operators: Operators with what they are told.

    Returns:
        True when it has the name of a volume of its StatefulSet and the labels of the operator.
    """
    if not re.fullmatch(rf"pgdata-{re.escape(name)}-\d+", claim["metadata"]["name"], re.ASCII):
        return False
    return _has_labels(claim, name, operators)


def _has_labels(claim: Mapping[str, Any], name: str, operators: Iterable[Running]) -> bool:
    texts = {one.settings.get("cluster_labels") or _CLUSTER_LABELS for one in operators} or {_CLUSTER_LABELS}
    labels = labels_of(claim)
    wanted = [[pair.partition(":")[::2] for pair in text.split(",")] for text in texts]
    return labels.get(CLUSTER_LABEL) == name and any(
        all(labels.get(key.strip()) == value.strip() for key, value in pairs) for pairs in wanted
    )


def check_targets(
    targets: Sequence[Target], operators: Sequence[Running], options: DeleteOptions, *, no_operator: str
) -> None:
    """Looks whether the custom resources may go, and whether nothing goes along that was not named.

    Args:
        targets: The databases.
        operators: Operators that are to run.
        options: What may go.
        no_operator: Why no operator would clean up; empty when one would.

    Raises:
        RefusedError: They may not, for all reasons at once.
    """
    living = [one for one in targets if one.live is not None]
    reasons = [reason for one in living for reason in _ownership(one, options)]
    if living and no_operator:
        reasons += _without_operator(living, options, no_operator)
    reasons += [reason for one in targets if one.live is None for reason in _orphan(one, options)]
    for target in living:
        reasons += _along_by_operator(target, operators, options)
        reasons += _along_by_cluster(target, options, operators)
    if reasons:
        raise RefusedError(list(dict.fromkeys(reasons)))


def _ownership(target: Target, options: DeleteOptions) -> list[str]:
    live = target.live or {}
    if not is_applied_by_us(live):
        makers = ", ".join(other_managers(live)) or "others"
        return [
            f"{target.key.subject} was not made by planton, but by {makers}: delete it there, or take it over first, "
            "by an apply of its manifest with --force-conflicts"
        ]
    there = labels_of(live).get(SET_LABEL)
    if there is None or there == options.set_id:
        return []
    said = f"not of set {options.set_id}" if options.set_id else "and no set was named"
    return [f"{target.key.subject} is of set {there}, {said}: if it is meant, say --set {there}"]


def _words(options: DeleteOptions) -> list[str]:
    """What was named that the pods of a database need while they run."""
    words = {
        "volumes": options.volumes,
        "passwords": options.passwords,
        "storage Secret": options.storage_secret,
        "Namespace": options.namespace,
    }
    return [word for word, said in words.items() if said]


def _without_operator(living: Sequence[Target], options: DeleteOptions, no_operator: str) -> list[str]:
    if not options.without_operator:
        return [
            f"{one.key.subject}: {no_operator}. A database deleted while the operator is down leaves its pods running: "
            "start the operator first"
            for one in living
        ]
    words = _words(options)
    if not words:
        return []
    return [f"without an operator the pods go on running: their {' and '.join(words)} cannot go with them"]


def _orphan(target: Target, options: DeleteOptions) -> list[str]:
    words = [word for word in _words(options) if word != "Namespace"]
    if target.stateful_set is None or not words:
        return []
    return [f"{target.stateful_set_key.subject} is {STILL_THERE}; until then the {' and '.join(words)} are in use"]


def _along_by_operator(target: Target, operators: Sequence[Running], options: DeleteOptions) -> list[str]:
    """What an operator deletes together with a database."""
    reasons = []
    for one in operators:
        # Both default to true: https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/config.go
        if one.says("enable_persistent_volume_claim_deletion", "true"):
            if not options.volumes:
                reasons.append(_along(target, one, "volumes", "enable_persistent_volume_claim_deletion is on"))
            # It goes by their labels.
            others = [
                key_of(claim, VOLUME_CLAIM).subject
                for claim in target.claims
                if _has_labels(claim, target.name, [one]) and not is_volume_of(claim, target.name, [one])
            ]
            if others and options.volumes:
                reasons.append(
                    f"{target.key.subject}: {one.operator.subject} would delete {', '.join(others)} too, by its "
                    "labels, and it is no volume of the database: take the labels away"
                )
        if not options.volumes and _deletes_by_policy(one.settings):
            reasons.append(_along(target, one, "volumes", "persistent_volume_claim_retention_policy says so"))
        if not options.passwords and one.says("enable_secrets_deletion", "true"):
            reasons.append(_along(target, one, "passwords", "enable_secrets_deletion is on"))
        if not options.passwords and one.says("enable_owner_references", "false"):
            reasons.append(_along(target, one, "passwords", "enable_owner_references is on"))
    return reasons


def _along(target: Target, one: Running, what: str, why: str) -> str:
    return (
        f"{target.key.subject}: {one.operator.subject} deletes {what} together with a database ({why}): "
        f"name them with --{what}, or change the setting first"
    )


def _deletes_by_policy(settings: Mapping[str, str]) -> bool:
    text = settings.get("persistent_volume_claim_retention_policy", "")
    return bool(re.search(r"when_deleted\W+delete\b", text))


def _along_by_cluster(target: Target, options: DeleteOptions, operators: Sequence[Running]) -> list[str]:
    """What the cluster itself deletes with a database: by its StatefulSet's policy, and by owners."""
    reasons = []
    spec = (target.stateful_set or {}).get("spec") or {}
    if (spec.get("persistentVolumeClaimRetentionPolicy") or {}).get("whenDeleted") == "Delete" and not options.volumes:
        reasons.append(
            f"{target.key.subject}: {target.stateful_set_key.subject} deletes its volumes when it is deleted "
            "(persistentVolumeClaimRetentionPolicy): name them with --volumes, or change the policy first"
        )
    for claim in target.claims:
        key = key_of(claim, VOLUME_CLAIM)
        if options.volumes and is_volume_of(claim, target.name, operators):
            continue
        remedy = "take the owner away first"
        if is_volume_of(claim, target.name, operators):
            remedy = f"name it with --volumes, or {remedy}"
        reasons += _owned(target, key, claim, remedy)
    for secret in target.passwords if not options.passwords else ():
        reasons += _owned(
            target, key_of(secret, SECRET), secret, "name it with --passwords, or take the owner away first"
        )
    return reasons


def _owned(target: Target, key: Key, obj: Mapping[str, Any], remedy: str) -> list[str]:
    owners = {
        str(one.get("kind"))
        for one in obj["metadata"].get("ownerReferences") or ()
        if one.get("kind") in (POSTGRESQL.kind, STATEFUL_SET.kind) and one.get("name") == target.name
    }
    if not owners:
        return []
    owner = ", ".join(f"{kind}/{target.namespace}/{target.name}" for kind in sorted(owners))
    return [f"{target.key.subject}: {key.subject} is owned by {owner} and would go along: {remedy}"]
