"""Where databases archive before an apply, after it, and on the way: what their order and the effects follow from.

The rule of order. A set may change what databases inherit from the operator and what they say themselves, and
the one is written before the other. A custom resource that exists already is written *before* the operator's
configuration when its new environment is right under the old configuration, too: with an empty WALG_S3_PREFIX
it always is, and with a prefix and USE_WALG_BACKUP "true" of its own as well. All others are written after the
operator. Where the two ways go through different stores, the one counts that goes through none but the first and the
last. So no database passes through an archive that it neither had nor shall have, and none through a prefix without
USE_WALG_BACKUP "true": with that, Spilo 4.0 archives by wal-e to nowhere, and WAL fills the volume.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, Key
from planton.cluster.api.server import Server
from planton.cluster.planning.inventory import Inventory
from planton.translate.archive import ArchiveIdentity
from planton.translate.backup import environment_of
from planton.translate.contract import KubernetesObject
from planton.translate.effective_archive import archive_of, is_broken
from planton.translate.names import OPERATOR
from planton.translate.pod_variables import entries_that_count, layered
from planton.translate.store import STORE_VARIABLES

BROKEN = ArchiveIdentity("", "broken")
"""A prefix without an effective USE_WALG_BACKUP "true"."""

T = TypeVar("T")
Environment: TypeAlias = Mapping[str, str]
_Move: TypeAlias = tuple[ArchiveIdentity | None, ArchiveIdentity | None]


@dataclass(frozen=True, slots=True)
class Archives:
    """What the databases of a cluster inherit, and what they say themselves, before and after an apply.

    Attributes:
        before: Environment that the operator gives to every database now.
        after: Environment that it will give.
        live: Every live custom resource.
        desired: Every custom resource of the set.
        settings: Identity of the operator's configuration, where the set has it.
        namespace: Namespace of the operator; empty without one.
        secret_before: Names of the variables that every database gets from the storage Secret now.
        secret_after: Those that it will get.
        secret_name_before: Name of that Secret now; empty for none.
        secret_name_after: Its name then.
        encryption: Databases whose encryption changes -> how wal-g encrypts before and after: `libsodium`, `pgp`, or
            empty; the same where only the key changes.
        reencrypted: Those of them whose archive stays where it is, or that go on in one that they had left.
        incomparable: Those of them whose old key is not there any more: it may be the same.
    """

    before: Environment = field(default_factory=dict)
    after: Environment = field(default_factory=dict)
    live: Mapping[Key, KubernetesObject] = field(default_factory=dict, repr=False)
    desired: Mapping[Key, KubernetesObject] = field(default_factory=dict, repr=False)
    settings: Key | None = None
    namespace: str = ""
    secret_before: frozenset[str] = frozenset()
    secret_after: frozenset[str] = frozenset()
    encryption: Mapping[Key, tuple[str, str]] = field(default_factory=dict)
    reencrypted: frozenset[Key] = frozenset()
    incomparable: frozenset[Key] = frozenset()
    secret_name_before: str = ""
    secret_name_after: str = ""
    _moves: dict[Key, _Move] = field(init=False, default_factory=dict, repr=False, compare=False)
    _alike: dict[tuple[object, bool], Any] = field(init=False, default_factory=dict, repr=False, compare=False)

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
        if old == new or version_of(live) != version_of(desired):
            return False
        is_own = bool(STORE_VARIABLES & {*old, *new})
        ways = ((old, self.before), (new, self.after), (new, self.before), (old, self.after))
        found = [_archive(live, layered(own, inherited)) for own, inherited in ways]
        stores = [
            _store(archive, layered(own, inherited)) if is_own else ()
            for archive, (own, inherited) in zip(found, ways, strict=True)
        ]
        # The whole address first, with all that is needed to reach a store of its own. Then without the store: under
        # the old configuration nothing may reach it yet, and nothing is lost by that.
        for compared in (list(zip(found, stores, strict=True)), found):
            start, end, first, last = compared
            wanted = {one for one in (start, end) if one not in (BROKEN, (BROKEN, ()))}
            if (first in wanted) != (last in wanted):
                return first in wanted
        return _goes_first(*(archive.prefix if archive is not None else "" for archive in found))

    def moves(self, key: Key) -> tuple[ArchiveIdentity | None, ArchiveIdentity | None]:
        """Gives where a database archives now, and where it will.

        Args:
            key: Identity of its custom resource.

        Returns:
            Archives; None for none, and for one that does not work.
        """
        # Asked for several times of each database, and made of the environments of all of them.
        found = self._moves.get(key)
        if found is None:
            found = self._moves[key] = self._move(key)
        return found

    def of_all_alike(self, make: Callable[[Archives, bool], T], *, after: bool) -> T:
        """Gives what is the same for every database whose custom resource says nothing of its environment.

        Most are so, and what follows from all that they inherit takes long to make a thousand times.

        Args:
            make: Makes it, of these archives and for before or after the apply.
            after: For which of them.

        Returns:
            What it has made the first time.
        """
        if (make, after) not in self._alike:
            self._alike[make, after] = make(self, after)
        made: T = self._alike[make, after]
        return made

    def _move(self, key: Key) -> _Move:
        live = self.live.get(key)
        desired = self.desired.get(key, live)
        own = environment(live) if live is not None else {}
        start = self._archive(live, own, after=False) if live is not None else None
        if live is not None and desired is not None and self._stays(live, desired, own):
            return _working(start), _working(start)
        end = self._archive(desired, environment(desired), after=True) if desired is not None else None
        return _working(start), _working(end)

    def _archive(self, database: KubernetesObject, own: Environment, *, after: bool) -> ArchiveIdentity | None:
        if own:
            return _archive(database, layered(own, self.after if after else self.before))
        return _archive(database, self.of_all_alike(_inherited, after=after))

    def _stays(self, live: KubernetesObject, desired: KubernetesObject, own: Environment) -> bool:
        """Whether nothing changes from which an archive follows."""
        return self.before == self.after and (
            live is desired
            or (
                version_of(live) == version_of(desired)
                and (has_same_entries(live, desired) or own == environment(desired))
            )
        )

    def encrypted(
        self, encryption: Mapping[Key, tuple[str, str]], reencrypted: frozenset[Key], incomparable: frozenset[Key]
    ) -> Archives:
        """Gives the same with what is known of encryption, on which no place depends.

        Args:
            encryption: Databases whose encryption changes, as of the attribute.
            reencrypted: As of the attribute.
            incomparable: As of the attribute.

        Returns:
            A copy.
        """
        made = replace(self, encryption=encryption, reencrypted=reencrypted, incomparable=incomparable)
        made._moves.update(self._moves)
        return made

    def follows(self, key: Key) -> bool:
        """Tells whether what happens to a live database comes from the operator alone.

        Args:
            key: Identity of its custom resource.

        Returns:
            True when its own environment stays as it is.
        """
        desired = self.desired.get(key)
        return desired is None or environment(desired) == environment(self.live[key])

    def environments(self, key: Key) -> tuple[Environment, Environment]:
        """Gives what the pods of a live database get now, and what they will get.

        Args:
            key: Identity of its custom resource.

        Returns:
            Name -> value; a reference stands for a value that is not known.
        """
        live = self.live[key]
        desired = self.desired.get(key, live)
        # The custom resource wins over the Secret, and the Secret over the ConfigMap: postgres-operator v1.15.1,
        # pkg/cluster/k8sres.go (generateSpiloPodEnvVars).
        return (
            layered(environment(live), dict.fromkeys(sorted(self.secret_before), _IN_SECRET), self.before),
            layered(environment(desired), dict.fromkeys(sorted(self.secret_after), _IN_SECRET), self.after),
        )

    def instances(self, key: Key) -> tuple[int, int]:
        """Gives how many pods a live database has now, and how many it will have.

        Args:
            key: Identity of its custom resource.

        Returns:
            Their numbers.
        """
        live = self.live[key]
        before, after = (_instances(one) for one in (live, self.desired.get(key, live)))
        return before, after

    def changed_variables(self, key: Key) -> tuple[str, ...]:
        """Finds the variables by which the environment of a live database's pods changes.

        Args:
            key: Identity of its custom resource.

        Returns:
            Names, sorted; empty when nothing restarts. The order does not count (postgres-operator v1.15.1,
            pkg/cluster/cluster.go, compareEnv).
        """
        before, after = self.environments(key)
        return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _goes_first(start: str, end: str, first: str, last: str) -> bool:
    """Judges by prefixes: now, in the end, the new resource under the old configuration, and the other way round."""
    if start == end == first == last:
        return False
    wanted = {start, end} - {BROKEN.prefix}
    if first in wanted:
        return True
    return last not in wanted and last == BROKEN.prefix and first != BROKEN.prefix


_IN_SECRET = "<Secret>"


def environment(database: Mapping[str, Any]) -> dict[str, str]:
    """Reads the environment of a custom resource.

    Args:
        database: The custom resource.

    Returns:
        Name -> value; for a reference, the reference as JSON.
    """
    return {
        name: str(one.get("value") or "")
        if one.get("valueFrom") is None
        else json.dumps(one["valueFrom"], sort_keys=True)
        for name, one in entries_that_count(database)
    }


def has_same_entries(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tells whether two custom resources say the same of the environment, to the letter.

    Args:
        one: A custom resource.
        other: Another.

    Returns:
        True when what is read of the one is true of the other; False when that has to be looked at.
    """
    return bool(((one.get("spec") or {}).get("env") or ()) == ((other.get("spec") or {}).get("env") or ()))


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
        platform = inventory.platform
        inherited = environment_of(platform) if platform else {}
        name = platform.secret_name if platform else ""
        names = frozenset(platform.secret_keys if platform and name else ())
        return Archives(
            inherited,
            inherited,
            databases,
            desired,
            namespace=inventory.operator_namespace,
            secret_before=names,
            secret_after=names,
            secret_name_before=name,
            secret_name_after=name,
        )
    told, will = (
        told_configmap(live.get(settings), settings.namespace),
        told_configmap(wanted[settings], settings.namespace),
    )
    before: KubernetesObject = {}
    if told is not None:
        before = (live.get(told) or server.get(told) or {}).get("data") or {}
    after = (wanted.get(will) or {}).get("data") or {} if will is not None else {}
    return Archives(
        before,
        after,
        databases,
        desired,
        settings,
        settings.namespace,
        _names_in(told_secret(settings, live.get(settings)), lambda key: live.get(key) or server.get(key)),
        _names_in(told_secret(settings, wanted[settings]), wanted.get),
        secret_name_before=_name_of(told_secret(settings, live.get(settings))),
        secret_name_after=_name_of(told_secret(settings, wanted[settings])),
    )


def _names_in(key: Key | None, find: Callable[[Key], KubernetesObject | None]) -> frozenset[str]:
    """Names of the variables that come from the storage Secret; none of one that is not there."""
    return frozenset(((find(key) if key is not None else None) or {}).get("data") or {})


def _instances(database: KubernetesObject) -> int:
    number = (database.get("spec") or {}).get("numberOfInstances")
    return number if isinstance(number, int) else 1


def _name_of(key: Key | None) -> str:
    return key.name if key is not None else ""


def told_secret(settings: Key, obj: KubernetesObject | None) -> Key | None:
    """Names the storage Secret of which the operator is told.

    Args:
        settings: Identity of its configuration.
        obj: Its configuration; None where there is none.

    Returns:
        Identity of the Secret in the operator's namespace; None for none.
    """
    name = str(((obj or {}).get("data") or {}).get("pod_environment_secret") or "")
    return Key(SECRET, settings.namespace, name) if name else None


def _is_settings(key: Key, obj: KubernetesObject) -> bool:
    return key.resource is CONFIG_MAP and key.name == OPERATOR and "watched_namespace" in (obj.get("data") or {})


def told_configmap(settings: KubernetesObject | None, namespace: str) -> Key | None:
    """Finds the ConfigMap whose data an operator gives to every database.

    Args:
        settings: The operator's configuration; None where there is none.
        namespace: Its namespace.

    Returns:
        Identity of the ConfigMap; None when it is told of none.
    """
    text = str(((settings or {}).get("data") or {}).get("pod_environment_configmap") or "")
    space, _, name = text.rpartition("/")
    return Key(CONFIG_MAP, space or namespace, name) if name else None


def version_of(database: Mapping[str, Any]) -> str:
    """Reads the major version of PostgreSQL of a custom resource.

    Args:
        database: The custom resource.

    Returns:
        The version; empty when none is set.
    """
    return str(((database.get("spec") or {}).get("postgresql") or {}).get("version") or "")


def _store(archive: ArchiveIdentity | None, effective: Environment) -> tuple[tuple[str, str], ...]:
    """All that says how a store is reached; nothing where there is no archive."""
    if archive is None or archive == BROKEN:
        return ()
    return tuple((name, effective[name]) for name in sorted(STORE_VARIABLES) if effective.get(name))


def _working(archive: ArchiveIdentity | None) -> ArchiveIdentity | None:
    return None if archive == BROKEN else archive


def _inherited(archives: Archives, after: bool) -> Environment:
    return layered(archives.after if after else archives.before)


def _archive(database: KubernetesObject, effective: Environment) -> ArchiveIdentity | None:
    """Names the archive of a database by all that its pods get; None without one."""
    if is_broken(effective):
        return BROKEN
    metadata = database["metadata"]
    return archive_of(
        effective, name=str(metadata["name"]), namespace=str(metadata["namespace"]), version=version_of(database)
    )
