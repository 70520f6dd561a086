"""The backup environment in a cluster: what the custom resource and the operator ask for, and what the pods have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from planton.cluster.mask import HIDDEN, is_shown_variable
from planton.translate.archive import resolve
from planton.translate.backup import environment_of
from planton.translate.environment import SPILO_DEFAULTS, Variable

if TYPE_CHECKING:
    from planton.translate.existing import ExistingDatabase
    from planton.translate.platform import BackupPlatform

State: TypeAlias = Literal["same", "missing", "different", "extra", "not set"]
"""How a variable stands in the pods; `not set` is right for a default."""

# What Spilo and WAL-G read, each also with CLONE_ or STANDBY_ before it: Spilo 4.0-p3 and 4.1-p2,
# postgres-appliance/scripts/configure_spilo.py.
_BACKUP_NAME = re.compile(r"(CLONE_|STANDBY_|USE_WAL[EG]_|WAL[EG]?_|AWS_|BACKUP_|AZURE_|GOOGLE_).*")


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
            entries[name] = Entry(HIDDEN if value and not is_shown_variable(name) else value, "", times)
    return entries


def wanted_in_cluster(database: ExistingDatabase, platform: BackupPlatform | None) -> list[Variable]:
    """Computes from the cluster alone what the operator should make of a database.

    The custom resource wins over the storage Secret, and that over the backup ConfigMap (postgres-operator
    v1.15.1, pkg/cluster/k8sres.go, generateSpiloPodEnvVars).

    Args:
        database: The live custom resource.
        platform: The backup platform that was read back from the cluster.

    Returns:
        The variables, sorted by name.
    """

    def variable(name: str, value: str, source: str) -> Variable:
        shown = HIDDEN if value and not is_shown_variable(name) else value
        resolved = resolve(shown, scope=database.name, version=database.version, namespace=database.namespace)
        return Variable(name, shown, resolved, source)

    variables = {
        name: variable(name, value, "database")
        for name, value in database.environment.items()
        if _BACKUP_NAME.fullmatch(name)
    }
    if platform is not None:
        for name in platform.credentials.keys() if platform.credentials else ():
            variables.setdefault(name, Variable(name, None, None, "operator", f"{platform.secret_name}/{name}"))
        for name, value in environment_of(platform).items():
            variables.setdefault(name, variable(name, value, "operator"))
    if (archive := variables.get("WALG_S3_PREFIX")) and archive.value:
        for name, value in SPILO_DEFAULTS.items():
            variables.setdefault(name, variable(name, value, "default"))
    return [variables[name] for name in sorted(variables)]


def compare(variables: Sequence[Variable], entries: dict[str, Entry]) -> list[Compared]:
    """Compares what should be with what is in the pods.

    Args:
        variables: What should be.
        entries: What is.

    Returns:
        Every variable of either side that has to do with backups, sorted by name.
    """
    compared = {one.name: Compared(one, _state(one, entries.get(one.name)), entries.get(one.name)) for one in variables}
    for name, entry in entries.items():
        if name not in compared and _BACKUP_NAME.fullmatch(name):
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
