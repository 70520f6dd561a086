"""The operator that is meant, and what it is told: its configuration, the backup platform, what databases inherit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, SECRET, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.operators import LiveOperator, operators_in, read_settings
from planton.cluster.planning.ahead import Ahead
from planton.errors import ClusterError, RefusedError
from planton.translate.contract import KubernetesObject
from planton.translate.generation import told_generation
from planton.translate.names import BACKUP_CONFIGMAP, GENERATION_ANNOTATION, OPERATOR
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.secret_values import Credentials, secret_text


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the operator that is meant.

    Attributes:
        operators: Every Deployment that runs the operator.
        namespace: Namespace of the one that is meant; empty when there is none.
        config_map: The backup ConfigMap of that namespace; None where there is none that planton made.
        settings: What the operator is told.
        platform: The backup platform read back, or None; its credentials are there unless the Secret is missing.
        inherited: What it gives to every database now; None where there is no operator.
    """

    operators: tuple[LiveOperator, ...]
    namespace: str
    config_map: KubernetesObject | None = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    platform: BackupPlatform | None
    inherited: Mapping[str, str] | None = field(repr=False)


def read_told(server: Server, ahead: Ahead, *, set_operator: str | None, chosen: str | None, credentials: bool) -> Told:
    """Reads it.

    Args:
        server: The API server.
        ahead: Lists that were begun.
        set_operator: Namespace of the operator whose manifest is in the set; None when there is none.
        chosen: Namespace that was given for the operator.
        credentials: Whether the storage Secret is read.

    Returns:
        What is known.

    Raises:
        ClusterError: The server refused (a missing permission is an error, never "absent"), or what it has is broken.
        RefusedError: The cluster has several operators and none was chosen.
    """
    reads = [lambda: ahead.list(server, DEPLOYMENT), lambda: _backup_configmaps(server, set_operator or chosen)]
    deployments, config_maps = results(in_parallel(lambda read: read(), reads))
    operators = operators_in(deployments or ())
    annotated = {
        str(one["metadata"]["namespace"]): one
        for one in config_maps or ()
        if PLATFORM_ANNOTATION in (one["metadata"].get("annotations") or {})
    }
    namespace = set_operator or chosen or _only_operator(operators, annotated)
    config_map = annotated.get(namespace)
    settings = read_told_settings(server, namespace, operators)
    platform = None
    if set_operator is None and namespace and config_map is not None and _is_told(namespace, settings):
        platform = _platform(server, config_map, namespace, credentials=credentials)
    if chosen and set_operator is None and platform is None and all(one.namespace != chosen for one in operators):
        raise RefusedError([f"namespace {chosen} has no operator: none of its Deployments runs it"])
    return Told(operators, namespace, config_map, settings, platform, _inherited(server, namespace, settings))


def read_told_settings(server: Server, namespace: str, operators: Sequence[LiveOperator]) -> Mapping[str, str]:
    """Reads what the operator of a namespace is told; when it is gone, what it was told may still be there.

    Args:
        server: The API server.
        namespace: The namespace; empty for none.
        operators: Every Deployment that runs the operator.

    Returns:
        Its configuration; empty where there is none.

    Raises:
        ClusterError: The server refused.
    """
    operator = next((one for one in operators if one.namespace == namespace), None)
    if operator:
        return read_settings(server, operator)
    found = server.get(Key(CONFIG_MAP, namespace, OPERATOR)) if namespace else None
    return (found or {}).get("data") or {}


def _backup_configmaps(server: Server, namespace: str | None) -> list[KubernetesObject] | None:
    if namespace is None:
        return server.list(CONFIG_MAP, fields=f"metadata.name={BACKUP_CONFIGMAP}")
    found = server.get(Key(CONFIG_MAP, namespace, BACKUP_CONFIGMAP))
    return [found] if found else []


def _only_operator(operators: Sequence[LiveOperator], annotated: Mapping[str, Any]) -> str:
    running = {one.namespace for one in operators}
    # A ConfigMap of that name proves an operator only where one runs: anybody may write ConfigMaps somewhere.
    found = sorted(running or set(annotated))
    if len(found) > 1:
        raise RefusedError(
            [f"the cluster has operators in namespaces {', '.join(found)}: say which one with --operator NAMESPACE"]
        )
    return found[0] if found else ""


def _is_told(namespace: str, settings: Mapping[str, str]) -> bool:
    """Whether the operator uses the backup ConfigMap of its namespace: one that is left over proves nothing."""
    told = settings.get("pod_environment_configmap", "")
    space, _, name = told.rpartition("/")
    return name == BACKUP_CONFIGMAP and space in ("", namespace)


def _inherited(server: Server, namespace: str, settings: Mapping[str, str]) -> Mapping[str, str] | None:
    """Reads what the operator gives to every database now; None where there is no operator."""
    if not settings:
        return None
    space, _, name = settings.get("pod_environment_configmap", "").rpartition("/")
    found = server.get(Key(CONFIG_MAP, space or namespace, name)) if name else None
    return (found or {}).get("data") or {}


def _platform(server: Server, config_map: KubernetesObject, namespace: str, *, credentials: bool) -> BackupPlatform:
    subject = f"ConfigMap/{namespace}/{BACKUP_CONFIGMAP}"
    try:
        platform = BackupPlatform.from_json(config_map["metadata"]["annotations"][PLATFORM_ANNOTATION])
    except ValueError as error:
        raise ClusterError(
            str(error), subject=subject, phase=server.phase, remedy="Apply the operator's manifest again."
        ) from None
    platform = replace(platform, namespace=namespace)
    if not credentials:
        return platform
    wanted = {platform.secret_name: platform.secret_keys, platform.files_secret_name: platform.file_names}
    names = [name for name in wanted if name]
    found = dict(
        zip(names, results(in_parallel(lambda one: server.get(Key(SECRET, namespace, one)), names)), strict=True)
    )
    contents = {name: _credentials(one, wanted[name], server) for name, one in found.items() if one}
    return replace(
        platform,
        credentials=contents.get(platform.secret_name),
        files=contents.get(platform.files_secret_name),
        generation=generation_in(found.get(platform.secret_name)),
    )


def generation_in(secret: KubernetesObject | None) -> int:
    """Reads the generation of the credentials in a Secret.

    Args:
        secret: The Secret; None when it is not there.

    Returns:
        The generation; 0 for none.
    """
    return told_generation((((secret or {}).get("metadata") or {}).get("annotations") or {}).get(GENERATION_ANNOTATION))


def _credentials(secret: KubernetesObject, keys: Sequence[str], server: Server) -> Credentials:
    """Takes the keys that are meant: every key of a copy reaches the pods of that namespace."""
    data = secret.get("data") or {}
    metadata = secret["metadata"]
    missing = [name for name in keys if name not in data]
    if missing:
        raise ClusterError(
            f"it has no {', '.join(missing)}",
            subject=f"Secret/{metadata['namespace']}/{metadata['name']}",
            phase=server.phase,
            remedy="Apply the operator's manifest again.",
        )
    values = {name: text for name in keys if (text := secret_text(data[name])) is not None}
    if len(values) == len(set(keys)):
        return Credentials(values)
    raise ClusterError(
        "its data is not text",
        subject=f"Secret/{metadata['namespace']}/{metadata['name']}",
        phase=server.phase,
        remedy="Apply the operator's manifest again.",
    )
