"""What `sync-credentials` goes by, read from the cluster alone: the platform, its Secrets, the Secrets of others.

Nothing is read here that the account of the CronJob (translate/sync_job.py) may not read: no Secret is listed, and
Deployments of other namespaces are no business of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster.api.mask import Scrubber, scrubber_for
from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POSTGRESQL, SECRET, Key
from planton.cluster.api.server import Server, in_parallel, joined, results
from planton.cluster.operators import operators_in, read_settings
from planton.cluster.ownership import SET_LABEL, is_ours, labels_of
from planton.cluster.planning.inventory import is_terminating, read_inventory
from planton.cluster.planning.plan import foreign_object
from planton.cluster.planning.references import UnresolvedError, secret_value
from planton.cluster.planning.told import generation_in
from planton.errors import ClusterError, ConflictError, RefusedError
from planton.translate.backup import CERTIFICATE, FILES_PATH
from planton.translate.contract import KubernetesObject
from planton.translate.generation import GENERATION, told_generation
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR, SOURCES_ANNOTATION
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform, sources_text
from planton.translate.policy import ENCRYPTION_KEYS, ENCRYPTION_VARIABLES
from planton.translate.secret_checks import as_stored, value_problem
from planton.translate.secret_values import Credentials, Reference, secret_text
from planton.translate.store import CERTIFICATE_VARIABLE

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
        text: The platform as the backup ConfigMap says it.
        half_applied: Whether the operator's own Secrets, its configuration and what it is told do not belong together:
            an apply is under way, or was broken off. Then its Secrets are copied, and nothing else is written.
    """

    platform: BackupPlatform
    own: Mapping[str, KubernetesObject] = field(repr=False)
    told: int
    set_id: str | None
    settings: Mapping[str, str] = field(repr=False)
    scrubber: Scrubber
    problems: tuple[ClusterError, ...] = ()
    text: str = ""
    half_applied: bool = False


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
    settings = operator_settings(server, namespace, deployment)
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
    half = [_half_applied(namespace, name) for name in _unfinished(platform, own, settings)]
    follow = follow and not half
    values, problems = _values(platform, own), list(half)
    if follow:
        values, problems = _wanted(platform, own, foreign, _proof(server, platform, own))
    _check_complete(platform, values, problems)
    return SyncState(
        _with_values(platform, own, values, told, follow),
        own,
        told,
        labels_of(config_map).get(SET_LABEL),
        settings,
        scrubber,
        tuple(problems),
        platform_text(config_map),
        bool(half),
    )


def operator_settings(server: Server, namespace: str, deployment: KubernetesObject | None) -> Mapping[str, str]:
    """Reads what an operator is told.

    Args:
        server: The API server.
        namespace: Its namespace.
        deployment: Its Deployment; None when it is gone.

    Returns:
        Setting -> value.

    Raises:
        ClusterError: The server refused.
    """
    operators = operators_in([deployment] if deployment else ())
    if operators:
        return read_settings(server, operators[0])
    found = server.get(Key(CONFIG_MAP, namespace, OPERATOR))
    return (found or {}).get("data") or {}


def platform_text(config_map: Mapping[str, Any]) -> str:
    """Gives the platform as the backup ConfigMap says it.

    Args:
        config_map: The ConfigMap.

    Returns:
        The text; empty without one.
    """
    return str((config_map["metadata"].get("annotations") or {}).get(PLATFORM_ANNOTATION, ""))


def _unfinished(
    platform: BackupPlatform, own: Mapping[str, KubernetesObject], settings: Mapping[str, str]
) -> list[str]:
    """Names the operator's own Secrets that do not belong to its configuration.

    An apply writes the Secrets first, then the backup ConfigMap, then what the operator is told. In between the
    ConfigMap names sources that are no longer right: what they hold would undo the apply.
    """
    wanted = sources_text(platform.sources)
    found = [
        name
        for name, secret in own.items()
        if (secret["metadata"].get("annotations") or {}).get(SOURCES_ANNOTATION, "") != wanted
    ]
    told = settings.get("pod_environment_secret", "")
    return found or ([told or platform.secret_name] if told != platform.secret_name else [])


def _half_applied(namespace: str, secret: str) -> ClusterError:
    return ClusterError(
        "it does not belong to the operator's configuration: an apply of its manifest is under way, or was broken off",
        subject=f"Secret/{namespace}/{secret}",
        phase=PHASE,
        remedy="Databases get copies, and nothing else is done: no Secret of others is followed. Let the apply end, or "
        "apply the operator's manifest again; then run the same command again.",
    )


def _proof(server: Server, platform: BackupPlatform, own: Mapping[str, KubernetesObject]) -> Mapping[str, str] | None:
    """Reads with what archives are encrypted from the copies, where the operator's own Secret is lost.

    Returns:
        What all copies have; empty when they differ or there is none. None where the Secret is there, or has no such
        key: then nothing has to be proved.
    """
    names = [name for name in ENCRYPTION_VARIABLES if name in platform.secret_keys]
    if not names or platform.secret_name in own:
        return None
    spaces, _ = read_spaces(server)
    keys = [Key(SECRET, space, platform.secret_name) for space in sorted(spaces)]
    copies = [one for one in results(in_parallel(server.get, keys)) if one is not None and is_ours(one)]
    held = [_values(platform, {platform.secret_name: one}) for one in copies]
    found = [{name: one[name] for name in names if name in one} for one in held]
    return found[0] if found and all(one == found[0] for one in found) else {}


def _platform(server: Server, config_map: KubernetesObject, namespace: str) -> BackupPlatform:
    problem = ""
    try:
        platform = BackupPlatform.from_json(platform_text(config_map))
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
            if (text := secret_text(data.get(name))) is not None:
                values[name] = text
    return values


def _wanted(
    platform: BackupPlatform,
    own: Mapping[str, KubernetesObject],
    foreign: Mapping[Key, KubernetesObject | None],
    proof: Mapping[str, str] | None,
) -> tuple[dict[str, str], list[ClusterError]]:
    """Puts what others' Secrets hold now over what the operator's own hold: all of it, or nothing."""
    values = _values(platform, own)
    if platform.files_secret_name and CERTIFICATE_VARIABLE in platform.secret_keys:
        values[CERTIFICATE_VARIABLE] = f"{FILES_PATH}/{CERTIFICATE}"
    held = {**platform.settings, **(proof or {}), **values}
    transform = held.get("WALG_LIBSODIUM_KEY_TRANSFORM", "")
    passphrase = "WALG_PGP_KEY_PASSPHRASE"
    has_passphrase = bool(held.get(passphrase)) or passphrase in platform.sources
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
            if proof is not None and name in ENCRYPTION_KEYS and proof.get(name) != value:
                raise _unproved(platform, namespace, secret, name)
            if name != passphrase or value:
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
    if proof and fresh.keys() & ENCRYPTION_KEYS:
        # Their key is the right one, and so is what belongs to it and comes from no Secret.
        values = {**proof, **values}
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


def _unproved(platform: BackupPlatform, namespace: str, secret: str, name: str) -> ClusterError:
    return ClusterError(
        f"it is gone, and no copy of it proves that {name} in Secret/{namespace}/{secret} is still the one by which "
        "archives were written",
        subject=f"Secret/{platform.namespace}/{platform.secret_name}",
        phase=PHASE,
        remedy="Make sure that it is, then apply the operator's manifest again.",
    )


def _check_complete(platform: BackupPlatform, values: Mapping[str, str], problems: Sequence[ClusterError]) -> None:
    for secret, keys in (
        (platform.secret_name, platform.secret_keys),
        (platform.files_secret_name, platform.file_names),
    ):
        missing = [name for name in keys if secret and name not in values]
        if missing:
            error = ClusterError(
                f"it is not there, or has no {', '.join(missing)}",
                subject=f"Secret/{platform.namespace}/{secret}",
                phase=PHASE,
                remedy=_APPLY,
            )
            raise joined([error, *problems])


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
            generation = told + 1
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
