"""The backup environment in a cluster: what the custom resource and the operator ask for, and what the pods have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from planton.cluster.api.mask import HIDDEN, is_shown_variable, without_users
from planton.translate.archive import resolve
from planton.translate.beginning import standby_entries
from planton.translate.environment import Variable, effective
from planton.translate.generation import GENERATIONS
from planton.translate.store import STORE_VARIABLES

if TYPE_CHECKING:
    from planton.translate.existing import Existing, ExistingDatabase
    from planton.translate.platform import BackupPlatform

State: TypeAlias = Literal["same", "missing", "different", "extra", "not set"]
"""How a variable stands in the pods; `not set` is right for a default."""

# What Spilo and WAL-G read, each also with CLONE_ or STANDBY_ before it: Spilo 4.0-p3 and 4.1-p2,
# postgres-appliance/scripts/configure_spilo.py.
_BACKUP_NAME = re.compile(r"(CLONE_|STANDBY_|USE_WAL[EG]_|WAL[EG]?_|AWS_|BACKUP_|AZURE_|GOOGLE_).*")
_OUR_NAMES = STORE_VARIABLES | {*GENERATIONS}


@dataclass(frozen=True, slots=True)
class Entry:
    """One environment variable of a StatefulSet's template.

    Attributes:
        value: Its literal value; hidden where its name is that of a credential; None for a reference.
        secret: `name/key` of a reference to a Secret, else empty.
        times: How often the name stands in the list; of several the last one counts.
    """

    value: str | None
    secret: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Compared:
    """A variable as it should be, and as it is in the pods.

    Attributes:
        variable: As it should be; for one that should not be there, as it is.
        state: How they compare.
        live: As it is; None when it is not there.
    """

    variable: Variable
    state: State
    live: Entry | None

    @property
    def differs(self) -> bool:
        """Whether the pods are not as they should be."""
        return self.state in ("missing", "different", "extra")


def read_entries(environment: Iterable[dict[str, Any]]) -> dict[str, Entry]:
    """Reads the environment of a container.

    Args:
        environment: `env` of the container, as the API server gives it.

    Returns:
        Name -> entry, for literal values and references to Secrets. A plain credential is hidden.
    """
    entries: dict[str, Entry] = {}
    for item in environment:
        name = str(item["name"])
        source = item.get("valueFrom") or {}
        reference = source.get("secretKeyRef")
        times = entries[name].times + 1 if name in entries else 1
        if reference:
            entries[name] = Entry(None, f"{reference.get('name', '')}/{reference.get('key', '')}", times)
        elif not source:
            # The API server leaves an empty value out.
            value = str(item.get("value") or "")
            entries[name] = Entry(_shown(name, value), "", times)
    return entries


def _shown(name: str, value: str) -> str:
    # planton takes no proxy nor endpoint with a user, but others write such into custom resources.
    shown = not value or (is_shown_variable(name) and not (name.endswith("_proxy") and "@" in value))
    return without_users(value) if shown else HIDDEN


def _has_to_do_with_backups(name: str) -> bool:
    return name in _OUR_NAMES or _BACKUP_NAME.fullmatch(name) is not None


def wanted_in_cluster(
    database: ExistingDatabase, platform: BackupPlatform | None, existing: Existing
) -> list[Variable]:
    """Computes from the cluster alone what the operator should make of a database.

    Args:
        database: The live custom resource.
        platform: The backup platform that was read back from the cluster.
        existing: Facts of the cluster.

    Returns:
        The variables, sorted by name. One that the custom resource takes from a Secret names no Secret: which one it is
        shows in the pods.
    """

    def written(name: str, value: str, source: str) -> Variable:
        shown = value if source == "default" else _shown(name, value)
        resolved = resolve(shown, scope=database.name, version=database.version, namespace=database.namespace)
        return Variable(name, shown, resolved, source)

    own = [
        written(name, value, "database")
        for name, value in database.environment.items()
        if _has_to_do_with_backups(name)
    ]
    own += [Variable(name, None, None, "database") for name in database.references if _has_to_do_with_backups(name)]
    own += [written(name, one["value"], "database") for name, one in standby_entries(database.standby).items()]
    return effective(own, replace(platform, generation=existing.generation) if platform else None, written)


def compare(variables: Sequence[Variable], entries: dict[str, Entry]) -> list[Compared]:
    """Compares what should be with what is in the pods.

    Args:
        variables: What should be.
        entries: What is.

    Returns:
        Every variable of either side that has to do with backups, sorted by name.
    """
    compared = {}
    for one in variables:
        entry = entries.get(one.name)
        if one.value is None and not one.secret and entry is not None and entry.secret:
            one = replace(one, secret=entry.secret)
        compared[one.name] = Compared(one, _state(one, entry), entry)
    for name, entry in entries.items():
        if name not in compared and _has_to_do_with_backups(name):
            compared[name] = Compared(Variable(name, entry.value, entry.value, "", entry.secret), "extra", entry)
    return [compared[name] for name in sorted(compared)]


def _state(variable: Variable, entry: Entry | None) -> State:
    if variable.source == "default":
        # Nobody writes a default into the pods; a value there means that somebody says otherwise.
        return "not set" if entry is None else "different"
    if entry is None:
        return "missing"
    if entry.times > 1:
        return "different"
    return "same" if (entry.value, entry.secret) == (variable.value, variable.secret) else "different"
