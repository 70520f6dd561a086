"""What a whole set is refused for, before any object is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from planton.errors import Problem, RefusedError
from planton.translate.names import OPERATOR, cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.types import PostgresOperatorKubernetes, Resource

if TYPE_CHECKING:
    from planton.cluster.planning.inventory import Inventory


def operator_of(messages: Sequence[Resource]) -> str | None:
    """Finds the operator of a set.

    Args:
        messages: The set, with its defaults filled.

    Returns:
        Namespace of its operator; None when it has none.
    """
    return next((namespace_of(one) for one in messages if isinstance(one, PostgresOperatorKubernetes)), None)


def target_clusters(messages: Sequence[Resource]) -> tuple[str, ...]:
    """Lists the target clusters that a set names. They select nothing: they are shown.

    Args:
        messages: The set.

    Returns:
        Each id or name once, in the order of the set.
    """
    names = []
    for message in messages:
        if not isinstance(message, PostgresOperatorKubernetes) or not message.spec.HasField("target_cluster"):
            continue
        target = message.spec.target_cluster
        if target.WhichOneof("credential_source") == "kubernetes_cluster_credential_id":
            names.append(target.kubernetes_cluster_credential_id)
        elif target.WhichOneof("credential_source") == "kubernetes_cluster_selector":
            names.append(target.kubernetes_cluster_selector.cluster_name)
    return tuple(dict.fromkeys(name for name in names if name))


def check_target(messages: Sequence[Resource], cluster_id: str | None) -> None:
    """Compares the target clusters of a set with the one that is meant.

    Args:
        messages: The set.
        cluster_id: Id of the cluster that is meant; None compares nothing.

    Raises:
        RefusedError: A manifest names another one.
    """
    others = [name for name in target_clusters(messages) if name != cluster_id]
    if cluster_id is not None and others:
        raise RefusedError(
            [f'the manifests are for cluster "{name}", but --cluster-id says "{cluster_id}"' for name in others]
        )


def check_operators(messages: Sequence[Resource], inventory: Inventory) -> None:
    """Looks for operators that would fight with the one of the set, and for databases that none would look after.

    Args:
        messages: The set.
        inventory: Facts of the cluster.

    Raises:
        RefusedError: There is another operator, or none.
    """
    namespace = operator_of(messages)
    if namespace is None:
        if not inventory.serves_databases and not inventory.operators:
            raise RefusedError(
                [
                    "the cluster has no operator to look after databases: apply the manifest of a "
                    "PostgresOperatorKubernetes first, or together with these"
                ]
            )
        return
    reasons = []
    for one in inventory.operators:
        if (one.namespace, one.name) == (namespace, OPERATOR):
            if not one.ours:
                reasons.append(
                    f"{one.subject} is there already and was not made by planton (by the operator's chart?): it is not "
                    "taken over. Keep it and apply only the databases, with --operator "
                    f"{one.namespace}, or remove it first; its databases go on running without it"
                )
            elif one.configuration_object:
                # Server-side apply merges a container's env by name: an apply would leave the variable where it is.
                reasons.append(
                    f"{one.subject} has the variable POSTGRES_OPERATOR_CONFIGURATION_OBJECT, which makes the operator "
                    "ignore its ConfigMap, and with it everything in this manifest. Remove it: kubectl set env -n "
                    f"{one.namespace} deployment/{one.name} POSTGRES_OPERATOR_CONFIGURATION_OBJECT-"
                )
        elif one.wanted > 0:
            reasons.append(
                f"{one.subject} is an operator already: two on the same namespaces fight over the databases. "
                "Remove one of them, or scale it to zero"
            )
    if reasons:
        raise RefusedError(reasons)


def operator_warnings(messages: Sequence[Resource], inventory: Inventory) -> list[Problem]:
    """Says when nothing would happen to databases, because no operator looks after them now.

    Args:
        messages: The set.
        inventory: Facts of the cluster.

    Returns:
        A warning, or nothing.
    """
    if operator_of(messages) is not None or any(one.wanted > 0 for one in inventory.operators):
        return []
    text = (
        "no Deployment of this cluster runs the operator (or all are scaled to zero): nothing happens to these "
        "databases until one does"
    )
    return [Problem(text)]


def check_credentials(messages: Sequence[Resource], platform: BackupPlatform | None) -> None:
    """Looks whether the storage Secret can be copied to the databases of a set.

    Args:
        messages: The set.
        platform: The backup platform in force.

    Raises:
        RefusedError: The operator expects a Secret in their namespaces that is itself missing.
    """
    missing = missing_secret(platform) if platform is not None else ""
    if platform is None or not missing:
        return
    databases = [one for one in messages if not isinstance(one, PostgresOperatorKubernetes)]
    if databases:
        raise RefusedError(
            [
                f"{missing} is missing: without a copy of it the operator "
                f"cannot create the pods of {cluster_name(databases[0].metadata.name)}. Apply the operator's manifest "
                "again"
            ]
        )


def missing_secret(platform: BackupPlatform) -> str:
    """Names a Secret of the platform that is not there.

    Args:
        platform: The backup platform in force.

    Returns:
        `Secret/namespace/name`; empty when all are there.
    """
    if platform.secret_name and platform.credentials is None:
        return f"Secret/{platform.namespace}/{platform.secret_name}"
    if platform.files_secret_name and platform.files is None:
        return f"Secret/{platform.namespace}/{platform.files_secret_name}"
    return ""
