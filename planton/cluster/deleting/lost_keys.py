"""Keys for encryption that would be written over although backups may still need them.

Of a database that archives it is known what it needs (encryption.py). Of one whose backups are off, or that is gone
and comes back, the old backups stay where they are, and the Secret may hold the only key to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from planton.cluster.api.resources import POSTGRESQL, SECRET, Key
from planton.cluster.backups.archives import Archives
from planton.translate.contract import KubernetesObject
from planton.translate.names import KIND_LABEL, NAME_LABEL, cluster_name, is_storage_secret
from planton.translate.policy import ENCRYPTION_KEYS


def lost_keys(
    archives: Archives, wanted: Mapping[Key, KubernetesObject], live: Mapping[Key, KubernetesObject]
) -> list[str]:
    """Finds them.

    Args:
        archives: What databases inherit and say themselves, before and after.
        wanted: Every object of the set.
        live: What of it is there.

    Returns:
        A reason with its remedy for each Secret; empty when no key is lost.
    """
    reasons = []
    for key, secret in sorted(wanted.items(), key=lambda pair: pair[0]):
        if key.resource is not SECRET or key not in live or not _overwrites(secret, live[key]):
            continue
        if needy := _needy(key, secret, archives):
            reasons.append(
                f"{key.subject}: it holds the key with which backups of {needy} are encrypted, and another one would "
                "be written over it: they could not be read any more. Keep the old key elsewhere, then say so with "
                "--allow-encryption-change"
            )
    return reasons


def _overwrites(secret: KubernetesObject, live: KubernetesObject) -> bool:
    after, before = secret.get("data") or {}, live.get("data") or {}
    return any(before.get(name) and before[name] != after.get(name) for name in ENCRYPTION_KEYS)


def _needy(key: Key, secret: KubernetesObject, archives: Archives) -> str:
    """Names databases that need the key, and of which nothing else says so."""
    if is_storage_secret(key.name):
        if archives.settings is None or key.namespace != archives.settings.namespace:
            return ""  # A copy: the source says it.
        quiet = [one for one in sorted(archives.live) if archives.moves(one)[0] is None]
        return ", ".join(f"{one.namespace}/{one.name}" for one in quiet[:3]) + (" and others" if len(quiet) > 3 else "")
    labels = secret["metadata"].get("labels") or {}
    if labels.get(KIND_LABEL) != "PostgresKubernetes":
        return ""
    database = Key(POSTGRESQL, key.namespace, cluster_name(str(labels.get(NAME_LABEL, ""))))
    if database in archives.live and archives.moves(database)[0] is not None:
        return ""
    return f"{database.namespace}/{database.name}"
