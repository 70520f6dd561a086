"""Which of several values of one variable a database's pods get.

The operator puts them together from front to back and leaves out what has a name that is there already, in capitals or
not: the custom resource's own entries, then the storage Secret, then the backup ConfigMap. So of two entries with one
name the first counts (postgres-operator v1.15.1, pkg/cluster/k8sres.go: generateSpiloPodEnvVars, appendEnvVars,
isEnvVarPresent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def entries_that_count(database: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Gives the entries of a custom resource's environment that pods get, each name once.

    Args:
        database: The custom resource. Anybody may have written anything there: what is no entry is left out.

    Yields:
        The name, and the entry as it stands there.
    """
    seen: set[str] = set()
    for one in (database.get("spec") or {}).get("env") or ():
        if not isinstance(one, Mapping) or not isinstance(name := one.get("name"), str) or name.casefold() in seen:
            continue
        seen.add(name.casefold())
        yield name, one


def layered(*layers: Mapping[str, T]) -> dict[str, T]:
    """Puts layers of variables together as the operator does.

    Args:
        layers: Name -> value; what is in an earlier one wins.

    Returns:
        Name -> value.
    """
    found: dict[str, T] = {}
    for layer in layers:
        found |= layer
    # Nearly always no name stands there in two ways, and then it is done by dictionaries: a thousand databases ask.
    if len(set(map(str.casefold, found))) == len(found):
        for layer in reversed(layers):
            found |= layer
        return found
    found = {}
    seen: set[str] = set()
    for layer in layers:
        for name, value in layer.items():
            if name.casefold() not in seen:
                seen.add(name.casefold())
                found[name] = value
    return found
