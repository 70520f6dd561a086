"""Keys for encryption that would be written over although backups may still need them.

Of a database that archives it is known what it needs (encryption.py). Of one whose backups are off, or that is gone,
the old backups stay where they are, and the Secret may hold the only key to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, Key
from planton.cluster.backups.archives import Archives
from planton.cluster.planning.told import generation_in
from planton.translate.archive_record import MOVED, RECORD_CONFIGMAP, read_record
from planton.translate.contract import KubernetesObject
from planton.translate.names import KIND_LABEL, NAME_LABEL, cluster_name, is_storage_secret
from planton.translate.policy import ENCRYPTION_KEYS


def lost_keys(
    archives: Archives,
    wanted: Mapping[Key, KubernetesObject],
    live: Mapping[Key, KubernetesObject],
    find: Callable[[Key], KubernetesObject | None],
) -> list[str]:
    """Finds them.

    Args:
        archives: What databases inherit and say themselves, before and after.
        wanted: Every object of the set.
        live: What of it is there.
        find: Reads a live object: the record of archives, where the key of an operator changes.

    Returns:
        A reason with its remedy for each Secret; empty when no key is lost.

    Raises:
        ClusterError: The server refused.
    """
    reasons = []
    for key, secret in sorted(wanted.items(), key=lambda pair: pair[0]):
        if key.resource is not SECRET or key not in live or not _overwrites(secret, live[key]):
            continue
        if is_storage_secret(key.name) and archives.settings is None:
            reasons += _of_copy(key, secret, live[key], archives)
            continue
        if needy := _needy(key, secret, archives, find):
            reasons.append(
                f"{key.subject}: it holds the key with which backups of {needy} are encrypted, and another one would "
                "be written over it: they could not be read any more. Keep the old key elsewhere, then say so with "
                "--allow-encryption-change"
            )
    return reasons


def _overwrites(secret: KubernetesObject, live: KubernetesObject) -> bool:
    after, before = secret.get("data") or {}, live.get("data") or {}
    return any(before.get(name) and before[name] != after.get(name) for name in ENCRYPTION_KEYS)


def _of_copy(key: Key, secret: KubernetesObject, live: KubernetesObject, archives: Archives) -> list[str]:
    """Says that the operator's own Secret has another key than the copy that would be made anew, and no apply says why.

    An apply that changes the key was told to, and raises the generation in one request with it.
    """
    if generation_in(live) < generation_in(secret):
        return []
    databases = sorted(one.name for one in archives.live if one.namespace == key.namespace)
    whose = ", ".join(databases[:3]) + (" and others" if len(databases) > 3 else "") or "this namespace"
    return [
        f"{key.subject}: it holds the key with which backups of {whose} are encrypted, and the operator's own Secret "
        "holds another one, which no apply has written: one of the two was changed by hand. Find out which reads the "
        "archives, write it into the other, then run the same command again; or, where the operator's is right, say "
        "so with --allow-encryption-change"
    ]


def _needy(
    key: Key, secret: KubernetesObject, archives: Archives, find: Callable[[Key], KubernetesObject | None]
) -> str:
    """Names databases that need the key, and of which nothing else says so."""
    if is_storage_secret(key.name):
        if archives.settings is None or key.namespace != archives.settings.namespace:
            return ""  # A copy: the operator's own, which is in the set, says it.
        quiet = {(one.namespace, one.name) for one in archives.live if archives.moves(one)[0] is None}
        needy = sorted(quiet | _gone(key, archives, find(Key(CONFIG_MAP, key.namespace, RECORD_CONFIGMAP)) or {}))
        return ", ".join("/".join(one) for one in needy[:3]) + (" and others" if len(needy) > 3 else "")
    labels = secret["metadata"].get("labels") or {}
    if labels.get(KIND_LABEL) != "PostgresKubernetes":
        return ""
    database = Key(POSTGRESQL, key.namespace, cluster_name(str(labels.get(NAME_LABEL, ""))))
    if database in archives.live and archives.moves(database)[0] is not None:
        return ""
    return f"{database.namespace}/{database.name}"


def _gone(key: Key, archives: Archives, record: KubernetesObject) -> set[tuple[str, str]]:
    """Names databases that are gone, and have left an archive that was encrypted with a key of this Secret.

    Not those that were moved to another archive before: with which key these are read was said then, and by now the
    Secret may well hold another one.
    """
    alive = {(one.namespace, one.name) for one in archives.live}
    return {
        (one.namespace, one.name)
        for one in read_record(record.get("data") or {})
        if one.why != MOVED and one.key_in.rpartition("/")[0] == key.name and (one.namespace, one.name) not in alive
    }
