"""Where databases archive before an apply, after it, and on the way: what their order and the effects follow from.

The rule of order. A set may change what databases inherit from the operator and what they say themselves, and
the one is written before the other. A custom resource that exists already is written *before* the operator's
configuration when its new environment is right under the old configuration, too: with an empty WALG_S3_PREFIX
it always is, and with a prefix and USE_WALG_BACKUP "true" of its own as well. All others are written after the
operator. So no database passes through an archive that it neither had nor shall have, and none through a prefix
without USE_WALG_BACKUP "true": with that, Spilo 4.0 archives by wal-e to nowhere, and WAL fills the volume.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from planton.cluster._resources import CONFIG_MAP, POSTGRESQL, Key
from planton.cluster._server import Server
from planton.cluster.inventory import Inventory
from planton.translate.archive import identity
from planton.translate.backup import environment_of
from planton.translate.contract import KubernetesObject
from planton.translate.names import OPERATOR

BROKEN = "broken"
"""A prefix without an effective USE_WALG_BACKUP "true"."""

Environment: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Archives:
    """What the databases of a cluster inherit, and what they say themselves, before and after an apply.

    Attributes:
        before: Environment that the operator gives to every database now.
        after: Environment that it will give.
        live: Every live custom resource.
        desired: Every custom resource of the set.
    """

    before: Environment = field(default_factory=dict)
    after: Environment = field(default_factory=dict)
    live: Mapping[Key, KubernetesObject] = field(default_factory=dict, repr=False)
    desired: Mapping[Key, KubernetesObject] = field(default_factory=dict, repr=False)

    def goes_first(self, key: Key) -> bool:
        """Tells whether a custom resource is written before the operator's configuration.

        Args:
            key: Its identity.

        Returns:
            True by the rule of order (see above); False for one that is new, that stays as it is, or that changes
            its version, which the old operator may not know.
        """
        live, desired = self.live.get(key), self.desired.get(key)
        if live is None or desired is None or self.before == self.after:
            return False
        old, new = environment(live), environment(desired)
        if old == new or _version(live) != _version(desired):
            return False
        # Without the endpoint: under the old configuration nothing reaches the store yet, and nothing is lost by that.
        start, end = _prefix(live, old, self.before), _prefix(live, new, self.after)
        first, last = _prefix(live, new, self.before), _prefix(live, old, self.after)
        if start == end == first == last:
            return False
        wanted = {start, end} - {BROKEN}
        if first in wanted:
            return True
        return last not in wanted and last == BROKEN and first != BROKEN

    def moves(self, key: Key) -> tuple[str, str]:
        """Gives where a database archives now, and where it will.

        Args:
            key: Identity of its custom resource.

        Returns:
            Names of archives, to be compared; empty for none.
        """
        live = self.live[key]
        desired = self.desired.get(key, live)
        return (
            _working(_archive(live, environment(live), self.before)),
            _working(_archive(live, environment(desired), self.after)),
        )

    def of_the_operator(self) -> tuple[list[str], list[str], list[str]]:
        """Finds the databases whose archive changes by the operator's change alone.

        Returns:
            Those whose backups stop, those whose backups begin, and those whose archive moves, as `namespace/name`.
        """
        stop, begin, move = [], [], []
        for key in sorted(self.live):
            desired = self.desired.get(key)
            if desired is not None and environment(desired) != environment(self.live[key]):
                continue  # Its own change says it.
            start, end = self.moves(key)
            if start and not end:
                stop.append(f"{key.namespace}/{key.name}")
            elif end and not start:
                begin.append(f"{key.namespace}/{key.name}")
            elif start != end:
                move.append(f"{key.namespace}/{key.name}")
        return stop, begin, move

    def changes_environment(self, key: Key) -> bool:
        """Tells whether the pods of a database get another environment.

        Args:
            key: Identity of its custom resource.

        Returns:
            True when a value in force differs; the order does not count (postgres-operator v1.15.1,
            pkg/cluster/cluster.go, compareEnv).
        """
        live = self.live[key]
        desired = self.desired.get(key, live)
        return {**self.before, **environment(live)} != {**self.after, **environment(desired)}


def environment(database: Mapping[str, Any]) -> dict[str, str]:
    """Reads the environment of a custom resource.

    Args:
        database: The custom resource.

    Returns:
        Name -> value; for a reference, the reference as JSON.
    """
    return {
        str(one.get("name")): json.dumps(one["valueFrom"], sort_keys=True)
        if "valueFrom" in one
        else str(one.get("value", ""))
        for one in (database.get("spec") or {}).get("env") or ()
        if isinstance(one, Mapping)
    }


def read_archives(
    server: Server,
    objects: Iterable[tuple[Key, KubernetesObject]],
    live: Mapping[Key, KubernetesObject],
    inventory: Inventory,
) -> Archives:
    """Finds what databases inherit, and say themselves, before and after an apply.

    Args:
        server: The API server.
        objects: The set.
        live: What of it is there.
        inventory: Facts of the cluster.

    Returns:
        The facts.

    Raises:
        ClusterError: The server refused.
    """
    wanted = dict(objects)
    databases = {
        Key(POSTGRESQL, one["metadata"]["namespace"], one["metadata"]["name"]): one for one in inventory.databases
    }
    desired = {key: obj for key, obj in wanted.items() if key.resource is POSTGRESQL}
    settings = next((key for key, obj in wanted.items() if _is_settings(key, obj)), None)
    if settings is None:
        inherited = environment_of(inventory.platform) if inventory.platform else {}
        return Archives(inherited, inherited, databases, desired)
    told, will = _named(live.get(settings), settings.namespace), _named(wanted[settings], settings.namespace)
    before: KubernetesObject = {}
    if told is not None:
        before = (live.get(told) or server.get(told) or {}).get("data") or {}
    after = (wanted.get(will) or {}).get("data") or {} if will is not None else {}
    return Archives(before, after, databases, desired)


def _is_settings(key: Key, obj: KubernetesObject) -> bool:
    return key.resource is CONFIG_MAP and key.name == OPERATOR and "watched_namespace" in (obj.get("data") or {})


def _named(settings: KubernetesObject | None, namespace: str) -> Key | None:
    """The ConfigMap whose data the operator gives to every database."""
    text = str(((settings or {}).get("data") or {}).get("pod_environment_configmap") or "")
    space, _, name = text.rpartition("/")
    return Key(CONFIG_MAP, space or namespace, name) if name else None


def _version(database: KubernetesObject) -> str:
    return str(((database.get("spec") or {}).get("postgresql") or {}).get("version") or "")


def _prefix(database: KubernetesObject, own: Environment, inherited: Environment) -> str:
    return _archive(database, own, inherited).rpartition(" ")[2]


def _working(archive: str) -> str:
    return "" if archive == BROKEN else archive


def _archive(database: KubernetesObject, own: Environment, inherited: Environment) -> str:
    """Names the archive of a database; empty without one."""
    effective = {**inherited, **own}
    prefix = effective.get("WALG_S3_PREFIX", "")
    if not prefix:
        return ""
    if effective.get("USE_WALG_BACKUP", "").lower() != "true":
        return BROKEN
    found = identity(
        prefix,
        effective.get("AWS_ENDPOINT", ""),
        scope=str(database["metadata"]["name"]),
        version=_version(database),
        namespace=str(database["metadata"]["namespace"]),
    )
    return f"{found.endpoint} {found.prefix}"
