"""Databases whose archive would be written with another key than until now, or without one.

Nothing in an archive says how it was encrypted: wal-g reads everything with the key that it has now (wal-g v3.0.5,
internal/databases/postgres and internal/fetch_helper.go, DecryptBytes). So what is there becomes unreadable.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from planton.cluster.api.resources import CONFIG_MAP, SECRET, Key
from planton.cluster.backups.archives import Archives, Environment, environment, has_same_entries, told_secret
from planton.translate.archive_record import UNKNOWN
from planton.translate.contract import KubernetesObject
from planton.translate.existing import secret_reference
from planton.translate.generation import DATABASE_GENERATION, GENERATION, told_generation
from planton.translate.names import BACKUP_CONFIGMAP, GENERATION_ANNOTATION
from planton.translate.platform import PLATFORM_ANNOTATION, BackupPlatform
from planton.translate.pod_variables import entries_that_count, layered
from planton.translate.policy import ENCRYPTION_VARIABLES

Objects: TypeAlias = Mapping[Key, KubernetesObject]
_Signature: TypeAlias = tuple[str, tuple[object, ...]]


def with_encryption(archives: Archives, wanted: Objects, live: Objects) -> Archives:
    """Finds the databases whose backups get another encryption.

    Args:
        archives: What databases inherit and say themselves, before and after.
        wanted: Every object of the set.
        live: What of it is there, and what `former_secrets` names.

    Returns:
        The same with `encryption`, `reencrypted` and `incomparable`. No key is in it.
    """
    old, new = _before(archives, live), _after(archives, wanted)
    found: dict[Key, tuple[str, str]] = {}
    incomparable = set()
    then = {**live, **wanted}
    is_inherited = old == new
    for key, database in archives.live.items():
        desired = archives.desired.get(key, database)
        # As nearly always: it says the same, inherits the same, and refers to no Secret that could have changed.
        if is_inherited and has_same_entries(database, desired) and not any(map(secret_reference, _entries(database))):
            continue
        if None in archives.moves(key):
            continue
        before = _signature(database, old, live)
        after = _signature(desired, new, then)
        if before != after:
            found[key] = (before[0], after[0])
            if before[0] == after[0] and not _is_known(before[1], after[1]):
                incomparable.add(key)
    same_place = frozenset(key for key in found if len(set(archives.moves(key))) == 1)
    return archives.encrypted(found, same_place, same_place & incomparable)


def _is_known(before: Iterable[object], after: Iterable[object]) -> bool:
    """Whether every old value is there to be compared with the new one."""
    return not any(
        isinstance(old, tuple) and not isinstance(new, tuple) for old, new in zip(before, after, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What a database gets from its operator.

    Attributes:
        environment: By the ConfigMap.
        secret: By the Secret, where its contents are known.
        names: By the Secret.
    """

    environment: Environment
    secret: Mapping[str, str] = field(repr=False)
    names: frozenset[str]


def _before(archives: Archives, live: Objects) -> _Inherited:
    if archives.settings is None:
        return _Inherited(archives.before, {}, archives.secret_before)
    told = told_secret(archives.settings, live.get(archives.settings))
    meant = _meant_secret(archives.settings.namespace, live)
    if meant is not None and meant != told and meant in live:
        # An apply was broken off between the two ConfigMaps. It was allowed to do what it began, and only this ends it.
        return _Inherited(archives.before, _data(meant, live), frozenset(_data(meant, live)))
    if told is None or told in live:
        return _Inherited(archives.before, _data(told, live), archives.secret_before)
    # It is lost. A copy of the same generation has the same keys.
    generation = told_generation(archives.before.get(GENERATION))
    for key in sorted(key for key in live if key.resource is SECRET and key.name == told.name):
        if _generation(live[key]) == generation:
            return _Inherited(archives.before, _data(key, live), frozenset(_data(key, live)))
    names = archives.secret_before | frozenset(
        name for method, name in _KEY_OF.items() if method in told.name.split("-")
    )
    return _Inherited(archives.before, {}, names)


def _meant_secret(namespace: str, live: Objects) -> Key | None:
    """Names the storage Secret that goes with the backup ConfigMap, told to the operator already or not."""
    config_map = live.get(Key(CONFIG_MAP, namespace, BACKUP_CONFIGMAP)) or {}
    annotations = (config_map.get("metadata") or {}).get("annotations") or {}
    try:
        name = BackupPlatform.from_json(str(annotations.get(PLATFORM_ANNOTATION))).secret_name
    except ValueError:
        return None
    return Key(SECRET, namespace, name) if name else None


def _after(archives: Archives, wanted: Objects, credentials: Mapping[str, str] | None = None) -> _Inherited:
    if archives.settings is None:
        return _Inherited(archives.after, credentials or {}, archives.secret_after)
    told = told_secret(archives.settings, wanted.get(archives.settings))
    return _Inherited(archives.after, _data(told, wanted), archives.secret_after)


_KEY_OF: Mapping[str, str] = {"libsodium": "WALG_LIBSODIUM_KEY", "pgp": "WALG_PGP_KEY"}


def _generation(secret: KubernetesObject) -> int:
    return told_generation((secret["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION))


def former_secrets(archives: Archives, live: Objects) -> list[Key]:
    """Names Secrets with keys for encryption that are in use now and are no longer in the set, or are lost.

    Args:
        archives: What databases inherit and say themselves, before and after.
        live: What of the set is there.

    Returns:
        Identities of Secrets that nobody has read yet, sorted; copies, too, where that of the operator is not there.
    """
    keys = set()
    told = told_secret(archives.settings, live.get(archives.settings)) if archives.settings is not None else None
    if told is not None and told not in live:
        keys |= {told, *(Key(SECRET, key.namespace, told.name) for key in archives.live)}
    for key in archives.desired:
        for entry in _entries(archives.live.get(key, {})):
            reference = secret_reference(entry)
            if reference and entry.get("name") in ENCRYPTION_VARIABLES:
                keys.add(Key(SECRET, key.namespace, str(reference.get("name"))))
    return sorted(key for key in keys if key not in live)


def _data(key: Key | None, objects: Objects) -> Mapping[str, str]:
    return ((objects.get(key) or {}).get("data") or {}) if key is not None else {}


def written_with(archives: Archives, key: Key, *, after: bool) -> tuple[str, str]:
    """Says how the archive of a database is encrypted, for the record. No key is in it, nor anything made from one.

    Args:
        archives: What databases inherit and say themselves, before and after.
        key: Identity of its custom resource.
        after: Whether it is meant after the apply.

    Returns:
        The method, behind it the form of the key where the custom resource says it itself; and in which Secret the key
        is, with its generation, as `name/generation`. Both are empty for an archive in clear.
    """
    database = archives.desired.get(key) if after else archives.live.get(key)
    database = database or archives.live[key]
    if not (database.get("spec") or {}).get("env"):
        return archives.of_all_alike(_written_alike, after=after)
    return _written(archives, database, after=after)


def _written_alike(archives: Archives, after: bool) -> tuple[str, str]:
    return _written(archives, {}, after=after)


def _written(archives: Archives, database: KubernetesObject, *, after: bool) -> tuple[str, str]:
    inherited = (
        _Inherited(archives.after, {}, archives.secret_after)
        if after
        else _Inherited(archives.before, {}, archives.secret_before)
    )
    method, values = _signature(database, inherited, {})
    if not method:
        return "", ""
    form = values[1] if method == "libsodium" and isinstance(values[1], str) else ""
    own = environment(database)
    entries = dict(entries_that_count(database))
    variable = _KEY_OF[method]
    place = ""
    if variable not in entries:
        name = archives.secret_name_after if after else archives.secret_name_before
        place = f"{name}/{told_generation(layered(own, inherited.environment).get(GENERATION))}"
    else:
        reference = secret_reference(entries[variable])
        if reference.get("key") == variable:
            place = f"{reference.get('name')}/{told_generation(own.get(DATABASE_GENERATION))}"
    return f"{method} {form}".strip(), place


def resumed(
    archives: Archives,
    key: Key,
    written: tuple[str, str],
    *,
    wanted: Objects,
    find: Callable[[Key], KubernetesObject | None],
    credentials: Mapping[str, str] | None = None,
) -> Archives:
    """Finds out whether a database goes on in an archive, where it had stopped, with another encryption.

    Args:
        archives: What databases inherit and say themselves, before and after.
        key: Identity of its custom resource.
        written: How the archive is encrypted, as `written_with` says it; the method is UNKNOWN where nobody knows.
        wanted: Every object of the set.
        find: Reads a live Secret.
        credentials: Data of the operator's Secret, where the set does not have the operator.

    Returns:
        The same, with the database in `reencrypted` when what is archived becomes unreadable, or may.
    """
    desired = archives.desired.get(key) or archives.live[key]

    def of_now(reference: Key) -> KubernetesObject | None:
        return wanted.get(reference) or find(reference)

    objects = {one: obj for one in _referred(desired, key.namespace) if (obj := of_now(one)) is not None}
    after, values = _signature(desired, _after(archives, wanted, credentials), objects)
    before, _, form = written[0].partition(" ")
    is_comparable = before not in (after, UNKNOWN)
    if before == after:
        if not after:
            return archives
        old = _as_written(archives, key, written[1], form, find)
        if old is not None:
            is_comparable = True
            if old.get(_KEY_OF[after]) == values[0] and (after == "pgp" or old.get(_FORM, "") == values[1]):
                return archives
    return replace(
        archives,
        encryption={**archives.encryption, key: (before, after)},
        reencrypted=archives.reencrypted | {key},
        incomparable=archives.incomparable if is_comparable else archives.incomparable | {key},
    )


_FORM = "WALG_LIBSODIUM_KEY_TRANSFORM"


def _referred(database: KubernetesObject, namespace: str) -> set[Key]:
    references = [secret_reference(one) for one in _entries(database)]
    return {Key(SECRET, namespace, str(one["name"])) for one in references if one.get("name")}


def _as_written(
    archives: Archives, key: Key, place: str, form: str, find: Callable[[Key], KubernetesObject | None]
) -> Mapping[str, str] | None:
    """The values with which an archive was written, from a Secret that has not changed since; None without one."""
    name, _, generation = place.rpartition("/")
    for space in dict.fromkeys((key.namespace, archives.namespace)) if name else ():
        secret = find(Key(SECRET, space, name))
        if secret is not None and str(_generation(secret)) == generation:
            values = {one: _plain(text) for one, text in (secret.get("data") or {}).items()}
            return {**values, _FORM: form} if form else values
    return None


def _signature(database: KubernetesObject, inherited: _Inherited, objects: Objects) -> _Signature:
    """The method and, to be compared and never shown, its keys."""
    entries = dict(entries_that_count(database))
    # Written in other letters, pods get it instead of what they would inherit, and wal-g does not look at it.
    hidden = {name.casefold() for name in entries}
    values: list[object] = []
    for name in ENCRYPTION_VARIABLES:
        if name in entries:
            values.append(_value(entries[name], str(database["metadata"]["namespace"]), objects))
        elif name.casefold() in hidden:
            values.append("")
        elif name in inherited.secret:
            values.append(_plain(inherited.secret[name]))
        elif name in inherited.names:
            values.append(("the operator's Secret", name))
        else:
            values.append(inherited.environment.get(name, ""))
    if values[ENCRYPTION_VARIABLES.index("WALG_PGP_KEY")]:
        # A PGP key wins over one of libsodium.
        return "pgp", tuple(values[2:])
    return ("libsodium", tuple(values[:2])) if values[0] else ("", ())


def _entries(database: KubernetesObject) -> Iterable[Mapping[str, Any]]:
    return [one for _, one in entries_that_count(database)]


def _value(entry: Mapping[str, Any], namespace: str, objects: Objects) -> object:
    reference = secret_reference(entry)
    if not reference:
        return str(entry.get("value") or "")
    name, key = str(reference.get("name")), str(reference.get("key"))
    data = (objects.get(Key(SECRET, namespace, name)) or {}).get("data") or {}
    # A Secret that is none of the set's stays as it is: then the reference says enough.
    return _plain(data[key]) if key in data else (name, key)


def _plain(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", errors="replace")
    except (binascii.Error, ValueError):
        return encoded


_WITH = {
    "": "in clear",
    "libsodium": "with a libsodium key",
    "pgp": "with a PGP key",
    UNKNOWN: "in a way that nobody wrote down",
}


def unreadable(before: str, after: str) -> str:
    """Says what becomes of an archive that goes on with another encryption.

    Args:
        before: How wal-g encrypts now.
        after: How it will.

    Returns:
        The words, without a full stop.
    """
    if before == UNKNOWN:
        change = f"how it was encrypted is not known, and wal-g reads everything {_WITH[after]} from now on"
    elif before == after:
        change = f"it was encrypted {_WITH[before]}, and wal-g reads everything with another one from now on"
    elif not after:
        change = f"it was encrypted {_WITH[before]}, and wal-g reads everything without a key from now on"
    else:
        was = "written" if not before else "encrypted"
        change = f"it was {was} {_WITH[before]}, and wal-g reads everything {_WITH[after]} from now on"
    return (
        f"{change}. Until the next full base backup is complete there is nothing to restore from, and a new replica "
        "has to be copied from the primary"
    )


def left_behind(before: str, after: str) -> str:
    """Says which key an archive needs that stays behind, where the new one has another encryption.

    Args:
        before: How wal-g encrypts now.
        after: How it will.

    Returns:
        The words, to follow its name.
    """
    if not before:
        return f"is written in clear, and the new one {_WITH[after]}: a restore from the old one must have no key"
    return f"is encrypted {_WITH[before]}, and only that key reads it: keep the key of until now"


def encryption_refusals(archives: Archives) -> list[str]:
    """Says why databases are refused another encryption.

    Args:
        archives: What databases inherit and say themselves, before and after.

    Returns:
        A reason with its remedy for each.
    """
    return [
        f"{key.subject}: {_MAY_BE if key in archives.incomparable else _WOULD_BE} Give it another archive at the same "
        "time (s3_prefix, or s3_prefix_template of its operator), and keep the old key for the old one; or, where the "
        "old backups may become unreadable, say so with --allow-encryption-change"
        for key in sorted(archives.reencrypted, key=lambda one: (one.namespace, one.name))
    ]


_WOULD_BE = (
    "its backups would be encrypted in another way, and what is archived so far could not be read any more: not for a "
    "restore, not for a new replica."
)
_MAY_BE = (
    "with which key its archive was written cannot be compared any more: the Secret that had it is not there, has "
    "changed since, or was never written down. With another key, what is archived so far could not be read: not for a "
    "restore, not for a new replica. Where it is surely the same, say --allow-encryption-change."
)


def delta_refusals(archives: Archives) -> list[str]:
    """Says which databases would make delta backups on top of what cannot be read any more.

    Args:
        archives: What databases inherit and say themselves, before and after.

    Returns:
        A reason with its remedy for each; no word allows it, since no backup would be good until the next full one.
    """
    reasons = []
    for key in sorted(archives.reencrypted, key=lambda one: (one.namespace, one.name)):
        desired = archives.desired.get(key) or archives.live[key]
        steps = {**archives.after, **environment(desired)}.get("WALG_DELTA_MAX_STEPS", "")
        if told_generation(steps) > 0:
            reasons.append(
                f"{key.subject}: its backups would be encrypted in another way, and with delta_max_steps ({steps}) the "
                "next ones would be deltas of one that cannot be read any more. Set delta_max_steps to 0 in the same "
                "apply, and raise it again after the next full base backup"
            )
    return reasons
