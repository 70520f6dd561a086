"""The environment of a database's pods as it is in the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planton.cluster.api.mask import HIDDEN, is_shown_variable, without_users
from planton.cluster.api.resources import STATEFUL_SET, Key
from planton.cluster.api.server import Server
from planton.translate.contract import KubernetesObject
from planton.translate.environment import Variable

# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/constants/postgresql.go (PostgresContainerName)
_CONTAINER = "postgres"


def read_environment(server: Server, namespace: str, name: str) -> list[KubernetesObject] | None:
    """Reads the environment that the operator gave the pods of a database.

    Args:
        server: The API server.
        namespace: Namespace of the database.
        name: Name of its custom resource, which is that of its StatefulSet.

    Returns:
        The entries in their order, as the API server has them, with every value hidden that neither planton nor the
        operator is known to write; None without a StatefulSet.

    Raises:
        ClusterError: The server refused.
    """
    stateful_set = server.get(Key(STATEFUL_SET, namespace, name))
    return None if stateful_set is None else environment_in(stateful_set)


def environment_in(stateful_set: Mapping[str, Any]) -> list[KubernetesObject]:
    """Takes the environment of the database container out of a StatefulSet.

    Args:
        stateful_set: The StatefulSet.

    Returns:
        The entries in their order, with every value hidden that neither planton nor the operator is known to write.
    """
    containers = stateful_set["spec"]["template"]["spec"].get("containers") or ()
    chosen = next((one for one in containers if one.get("name") == _CONTAINER), None)
    return [_shown(entry) for entry in (chosen or {}).get("env") or ()]


def _shown(entry: Mapping[str, Any]) -> KubernetesObject:
    if not entry.get("value"):
        return dict(entry)
    shown = is_shown_variable(str(entry.get("name", "")))
    # Others write addresses with a password in them.
    return {**entry, "value": without_users(str(entry["value"])) if shown else HIDDEN}


def differing(wanted: Sequence[Variable], live: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Names the variables that are not in the pods as they should be.

    Args:
        wanted: The environment as it was rendered.
        live: The entries in the StatefulSet.

    Returns:
        Their names, sorted.
    """
    # Of two entries with one name the kubelet takes the last.
    entries = {str(entry.get("name")): entry for entry in live}
    names = []
    for variable in wanted:
        if variable.source == "default":
            continue
        entry = entries.get(variable.name)
        reference = ((entry or {}).get("valueFrom") or {}).get("secretKeyRef")
        if entry is None:
            names.append(variable.name)
        elif variable.secret:
            if not reference or f"{reference.get('name')}/{reference.get('key')}" != variable.secret:
                names.append(variable.name)
        # The server leaves an empty value out.
        elif reference or (entry.get("value") or "") != (variable.value or ""):
            names.append(variable.name)
    return tuple(sorted(names))
