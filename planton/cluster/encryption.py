"""Databases whose archive would be written with another key than until now, or without one.

Nothing in an archive says how it was encrypted: wal-g reads everything with the key that it has now (wal-g v3.0.5,
internal/databases/postgres and internal/fetch_helper.go, DecryptBytes). So what is there becomes unreadable.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from planton.cluster._resources import SECRET, Key
from planton.cluster.archives import Archives, Environment
from planton.translate.contract import KubernetesObject
from planton.translate.names import STORAGE_SECRET
from planton.translate.policy import ENCRYPTION_VARIABLES

Objects: TypeAlias = Mapping[Key, KubernetesObject]
_Signature: TypeAlias = tuple[str, tuple[object, ...]]


def with_encryption(archives: Archives, wanted: Objects, live: Objects) -> Archives:
    """Finds the databases whose backups get another encryption.

    Args:
        archives: What databases inherit and say themselves, before and after.
        wanted: Every object of the set.
        live: What of it is there.

    Returns:
        The same with `encryption` and `reencrypted`. No key is in it.
    """
    told = next((key for key in wanted if key.resource is SECRET and key.name == STORAGE_SECRET), None)
    operator = _of_operator(archives, told, wanted, live)
    found: dict[Key, tuple[str, str]] = {}
    for key, database in archives.live.items():
        if None in archives.moves(key):
            continue
        desired = archives.desired.get(key, database)
        old = _Inherited(archives.before, operator[0], archives.secret_before)
        new = _Inherited(archives.after, operator[1], archives.secret_after)
        before = _signature(database, old, live)
        after = _signature(desired, new, {**live, **wanted})
        if before != after:
            found[key] = (before[0], after[0])
    same_place = frozenset(key for key in found if len(set(archives.moves(key))) == 1)
    return replace(archives, encryption=found, reencrypted=same_place)


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


def _of_operator(
    archives: Archives, told: Key | None, wanted: Objects, live: Objects
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Contents of the storage Secret before and after; the same where the set does not have the operator."""
    if told is None or archives.settings is None:
        return {}, {}
    source = Key(SECRET, archives.settings.namespace, STORAGE_SECRET)
    return (live.get(source) or {}).get("data") or {}, (wanted.get(source) or {}).get("data") or {}


def _signature(database: KubernetesObject, inherited: _Inherited, objects: Objects) -> _Signature:
    """The method and, to be compared and never shown, its keys."""
    entries = {str(one.get("name")): one for one in _entries(database)}
    values: list[object] = []
    for name in ENCRYPTION_VARIABLES:
        if name in entries:
            values.append(_value(entries[name], str(database["metadata"]["namespace"]), objects))
        elif inherited.secret.get(name):
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
    return [one for one in (database.get("spec") or {}).get("env") or () if isinstance(one, Mapping)]


def _value(entry: Mapping[str, Any], namespace: str, objects: Objects) -> object:
    reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
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


_WITH = {"": "in clear", "libsodium": "with a libsodium key", "pgp": "with a PGP key"}


def unreadable(before: str, after: str) -> str:
    """Says what becomes of an archive that goes on with another encryption.

    Args:
        before: How wal-g encrypts now.
        after: How it will.

    Returns:
        The words, without a full stop.
    """
    if before == after:
        change = f"it was encrypted {_WITH[before]}, and wal-g reads everything with another one from now on"
    elif not after:
        change = f"it was encrypted {_WITH[before]}, and wal-g reads everything without a key from now on"
    else:
        was = "written" if not before else "encrypted"
        change = f"it was {was} {_WITH[before]}, and wal-g reads everything {_WITH[after]} from now on"
    return (
        f"{change}. Until the next base backup is complete there is nothing to restore from, and a new replica has to "
        "be copied from the primary"
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


def encryption_refusals(found: Iterable[Key]) -> list[str]:
    """Says why databases are refused another encryption.

    Args:
        found: Identities of their custom resources.

    Returns:
        A reason with its remedy for each.
    """
    return [
        f"{key.subject}: its backups would be encrypted in another way, and what is archived so far could not be read "
        "any more: not for a restore, not for a new replica. Give it another archive (s3_prefix) at the same time, and "
        "keep the old key for the old one; or, where the old backups may become unreadable, say so with "
        "--allow-encryption-change"
        for key in sorted(found, key=lambda one: (one.namespace, one.name))
    ]
