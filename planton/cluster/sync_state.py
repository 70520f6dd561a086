"""What `sync-credentials` goes by, read from the cluster alone: the platform, its Secrets, the Secrets of others.

Nothing is read here that the account of the CronJob (translate/sync_job.py) may not read: no Secret is listed, and
Deployments of other namespaces are no business of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster._resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POSTGRESQL, SECRET, Key
from planton.cluster._server import Server, in_parallel, results
from planton.cluster.inventory import generation_in, is_terminating, read_inventory
from planton.cluster.mask import Scrubber, scrubber_for
from planton.cluster.operators import operators_in, read_settings
from planton.cluster.ownership import SET_LABEL, is_ours, labels_of
from planton.cluster.plan import foreign_object
from planton.cluster.references import UnresolvedError, secret_value
from planton.errors import ClusterError, ConflictError, RefusedError
from planton.translate.contract import KubernetesObject
from planton.translate.generation import GENERATION, told_generation
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.policy import ENCRYPTION_KEYS
from planton.translate.secret_checks import as_stored, value_problem
from planton.translate.secret_values import Credentials, Reference

PHASE = "sync"
NOT_OURS = "Rename or remove it, then run the same command again; planton writes nothing into it."
_APPLY = "Apply the operator's manifest again."


@dataclass(frozen=True, slots=True)
class SyncState:
    """What there is.

    Attributes:
        platform: The backup platform with the credentials that every copy shall hold, and their generation.
        own: The operator's own Secrets as they are, by name.
        told: The generation that the pods are told now.
        set_id: Id of the set that the operator is in, and so its copies; None without one.
        settings: What the operator is told.
        scrubber: Knows every value that was read.
        problems: Why Secrets of others are not followed.
    """

    platform: BackupPlatform
    own: Mapping[str, KubernetesObject] = field(repr=False)
    told: int
    set_id: str | None
    settings: Mapping[str, str] = field(repr=False)
    scrubber: Scrubber
    problems: tuple[ClusterError, ...] = ()


def find_operator(server: Server) -> str:
    """Finds the operator, where none was named.

    Args:
        server: The API server.

    Returns:
        Its namespace.

    Raises:
        ClusterError: The server refused.
        RefusedError: There is none, or there are several.
    """
    namespace = read_inventory(server, credentials=False).operator_namespace
    if not namespace:
        raise RefusedError(["the cluster has no operator, so there are no credentials to copy"])
    return namespace


def read_state(server: Server, namespace: str, *, follow: bool) -> SyncState:
    """Reads what there is.

    Args:
        server: The API server.
        namespace: Namespace of the operator.
        follow: Whether the Secrets of others are read again; otherwise the operator's own are what counts.

    Returns:
        What there is.

    Raises:
        ClusterError: The server refused, or what is there cannot be used.
        ConflictError: A Secret of the operator's namespace is not planton's.
        RefusedError: The operator has no backups.
    """
    keys = [Key(CONFIG_MAP, namespace, BACKUP_CONFIGMAP), Key(DEPLOYMENT, namespace, OPERATOR)]
    config_map, deployment = results(in_parallel(server.get, keys))
    settings = _settings(server, namespace, deployment)
    told_of = settings.get("pod_environment_configmap", "").rpartition("/")
    if config_map is None or told_of[2] != BACKUP_CONFIGMAP or told_of[0] not in ("", namespace):
        raise RefusedError(
            [f"the operator in namespace {namespace} has no backups that planton set up, so there is nothing to copy"]
        )
    platform = _platform(server, config_map, namespace)
    names = [name for name in (platform.files_secret_name, platform.secret_name) if name]
    others = _others(platform) if follow else []
    found = results(in_parallel(server.get, [*(Key(SECRET, namespace, name) for name in names), *others]))
    own = {name: one for name, one in zip(names, found, strict=False) if one is not None}
    foreign = dict(zip(others, found[len(names) :], strict=True))
    for one in own.values():
        if not is_ours(one):
            raise ConflictError([foreign_object(Key(SECRET, namespace, one["metadata"]["name"]), one)], remedy=NOT_OURS)
    scrubber = scrubber_for({**one, "kind": "Secret"} for one in (*own.values(), *foreign.values()) if one)
    told = told_generation((config_map.get("data") or {}).get(GENERATION))
    values, problems = _wanted(platform, own, foreign) if follow else (_values(platform, own), [])
    _check_complete(platform, values)
    return SyncState(
        _with_values(platform, own, values, told, follow),
        own,
        told,
        labels_of(config_map).get(SET_LABEL),
        settings,
        scrubber,
        tuple(problems),
    )


def _settings(server: Server, namespace: str, deployment: KubernetesObject | None) -> Mapping[str, str]:
    operators = operators_in([deployment] if deployment else ())
    if operators:
        return read_settings(server, operators[0])
    found = server.get(Key(CONFIG_MAP, namespace, OPERATOR))
    return (found or {}).get("data") or {}


def _platform(server: Server, config_map: KubernetesObject, namespace: str) -> BackupPlatform:
    text = (config_map["metadata"].get("annotations") or {}).get(PLATFORM_ANNOTATION, "")
    problem = ""
    try:
        platform = BackupPlatform.from_json(text)
    except ValueError as error:
        problem = str(error)
    if problem:
        subject = f"ConfigMap/{namespace}/{BACKUP_CONFIGMAP}"
        raise ClusterError(problem, subject=subject, phase=server.phase, remedy=_APPLY)
    return replace(platform, namespace=namespace)


def _others(platform: BackupPlatform) -> list[Key]:
    return sorted({Key(SECRET, *place.split("/")[:2]) for place in platform.sources.values()})


def source_secrets(platform: BackupPlatform) -> list[Key]:
    """Names every Secret that copies are made from.

    Args:
        platform: The backup platform.

    Returns:
        Those of others, and the operator's own.
    """
    own = [name for name in (platform.secret_name, platform.files_secret_name) if name]
    return sorted({*_others(platform), *(Key(SECRET, platform.namespace, name) for name in own)})


def _values(platform: BackupPlatform, own: Mapping[str, KubernetesObject]) -> dict[str, str]:
    """Reads the operator's own Secrets: only the keys that are meant, since each key of a copy reaches the pods."""
    values = {}
    for secret, keys in (
        (own.get(platform.secret_name), platform.secret_keys),
        (own.get(platform.files_secret_name), platform.file_names),
    ):
        data = (secret or {}).get("data") or {}
        for name in keys:
            try:
                values[name] = base64.b64decode(data[name], validate=True).decode("utf-8")
            except (KeyError, TypeError, binascii.Error, ValueError):
                continue
    return values


def _wanted(
    platform: BackupPlatform, own: Mapping[str, KubernetesObject], foreign: Mapping[Key, KubernetesObject | None]
) -> tuple[dict[str, str], list[ClusterError]]:
    """Puts what others' Secrets hold now over what the operator's own hold: all of it, or nothing."""
    values = _values(platform, own)
    transform = platform.settings.get("WALG_LIBSODIUM_KEY_TRANSFORM", "")
    passphrase = "WALG_PGP_KEY_PASSPHRASE"
    has_passphrase = bool(values.get(passphrase)) or passphrase in platform.sources
    fresh: dict[str, str] = {}
    problems: list[ClusterError] = []
    refused: list[ClusterError] = []
    for name, place in sorted(platform.sources.items()):
        if name not in (*platform.secret_keys, *platform.file_names):
            continue
        namespace, secret, key = place.split("/")
        reference = Reference("Secret", f"{namespace}/{secret}", key)
        text = ""
        try:
            value = as_stored(name, secret_value(foreign.get(Key(SECRET, namespace, secret)), reference))
            text = value_problem(name, value, transform, has_passphrase=has_passphrase, store=platform.store)
        except UnresolvedError as error:
            problems.append(_problem(namespace, secret, f"{name} {error}"))
            continue
        if text:
            problems.append(_problem(namespace, secret, f"{name} comes from its key {key}, whose value {text}"))
        elif name in ENCRYPTION_KEYS and values.get(name, value) != value:
            refused.append(_encryption(namespace, secret, name, key))
        else:
            fresh[name] = value
    if problems:
        # Of a pair of keys half a new one is worse than the old pair.
        return values, [*problems, *refused]
    return {**values, **fresh}, refused


def _problem(namespace: str, secret: str, text: str) -> ClusterError:
    return ClusterError(
        text,
        subject=f"Secret/{namespace}/{secret}",
        phase=PHASE,
        remedy="The copies keep what they have. Mend that Secret, then run the same command again.",
    )


def _encryption(namespace: str, secret: str, name: str, key: str) -> ClusterError:
    return ClusterError(
        f"{name} comes from its key {key}, which has another value now: what is archived so far could not be read any "
        "more",
        subject=f"Secret/{namespace}/{secret}",
        phase=PHASE,
        remedy="The copies keep the old key. Put it back; or, where old backups may become unreadable, apply the "
        "operator's manifest with --allow-encryption-change.",
    )


def _check_complete(platform: BackupPlatform, values: Mapping[str, str]) -> None:
    for secret, keys in (
        (platform.secret_name, platform.secret_keys),
        (platform.files_secret_name, platform.file_names),
    ):
        missing = [name for name in keys if secret and not values.get(name)]
        if missing:
            raise ClusterError(
                f"it is not there, or has no {', '.join(missing)}",
                subject=f"Secret/{platform.namespace}/{secret}",
                phase=PHASE,
                remedy=_APPLY,
            )


def _with_values(
    platform: BackupPlatform,
    own: Mapping[str, KubernetesObject],
    values: Mapping[str, str],
    told: int,
    follow: bool,
) -> BackupPlatform:
    contents = Credentials({name: values[name] for name in platform.secret_keys}) if platform.secret_name else None
    files = Credentials({name: values[name] for name in platform.file_names}) if platform.files_secret_name else None
    generation = generation_in(own.get(platform.secret_name))
    if contents is not None and follow:
        before = _values(platform, own)
        is_new = any(before.get(name) != value for name, value in contents.reveal().items())
        if platform.secret_name not in own:
            # What the pods have came from one that is lost, and may have been another.
            generation = told + 1 if told else 0
        elif is_new or generation < told:
            # Behind what the pods were told it can only be when somebody wrote over it, and with what nobody knows.
            generation = max(generation, told) + 1
    return replace(platform, credentials=contents, files=files, generation=generation)


def read_spaces(server: Server) -> tuple[frozenset[str], frozenset[str]]:
    """Finds the namespaces with databases, ours or not.

    Args:
        server: The API server.

    Returns:
        Those that stay, and those that are going away.

    Raises:
        ClusterError: The server refused.
    """
    databases = server.list(POSTGRESQL, metadata_only=True) or ()
    spaces = {str(one["metadata"]["namespace"]) for one in databases}
    going = _going(server.list(NAMESPACE, metadata_only=True) or ()) & spaces
    return frozenset(spaces - going), frozenset(going)


def _going(namespaces: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(one["metadata"]["name"]) for one in namespaces if is_terminating(one)}
