"""Databases' own Secrets that have fallen behind the Secrets of others that they were filled from.

They are not followed by `sync-credentials`, and only looked at. What says where they come from is an annotation in the
database's namespace: whoever may write there could have any Secret of the cluster copied to it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import SECRET, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.ownership import is_ours
from planton.cluster.planning.references import UnresolvedError, secret_value
from planton.translate.contract import KubernetesObject
from planton.translate.names import SOURCES_ANNOTATION, cluster_name, own_secret_names
from planton.translate.platform import sources_from
from planton.translate.secret_checks import as_stored
from planton.translate.secret_values import Reference, secret_text

APPLY = "Apply the database's manifest again: its pods restart with the new values."


@dataclass(frozen=True, slots=True)
class OwnSecret:
    """A database's own Secret that is not as the Secrets of others are now.

    Attributes:
        namespace: Its namespace.
        database: Name of the custom resource.
        name: Name of the Secret.
        what: Why, in words.
        readable: Whether it could be looked at; False when a permission is missing.
    """

    namespace: str
    database: str
    name: str
    what: str
    readable: bool = True

    @property
    def subject(self) -> str:
        """`Secret/namespace/name`."""
        return f"Secret/{self.namespace}/{self.name}"


def read_outdated(server: Server, databases: Iterable[KubernetesObject]) -> tuple[OwnSecret, ...]:
    """Finds them.

    Args:
        server: The API server.
        databases: Custom resources.

    Returns:
        Those that have fallen behind, and those that could not be looked at, sorted.

    Raises:
        ClusterError: The server refused something other than to read a Secret.
    """
    wanted = sorted({one for database in databases for one in _own(database)})
    found = results(in_parallel(lambda one: _look(server, *one), wanted))
    return tuple(one for one in found if one is not None)


def _own(database: KubernetesObject) -> Iterable[tuple[str, str, str]]:
    """Namespace, custom resource and name of each Secret of its own to which a custom resource refers."""
    metadata, spec = database["metadata"], database.get("spec") or {}
    name = str(metadata["name"])
    prefix = cluster_name("")
    if not name.startswith(prefix):
        return
    names = set(own_secret_names(name.removeprefix(prefix)))
    referred = {
        *_in(spec.get("env"), "valueFrom", "secretKeyRef", "name"),
        *_in(spec.get("additionalVolumes"), "volumeSource", "secret", "secretName"),
    }
    yield from ((str(metadata["namespace"]), name, secret) for secret in referred & names)


def _in(entries: object, *path: str) -> Iterable[str]:
    given: list[Any] = entries if isinstance(entries, list) else []
    for one in given:
        value: Any = one
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            yield value


def _look(server: Server, namespace: str, database: str, name: str) -> OwnSecret | None:
    try:
        own = server.get(Key(SECRET, namespace, name))
        if own is None or not is_ours(own):
            return None  # `status` says what is missing, and an apply whose it is.
        sources = sources_from((own["metadata"].get("annotations") or {}).get(SOURCES_ANNOTATION, ""))
        places = sorted({tuple(place.split("/")[:2]) for place in sources.values()})
        foreign = {"/".join(place): server.get(Key(SECRET, *place)) for place in places}
    except ApiError as error:
        if error.status != 403:
            raise
        text = "no permission to see whether it has fallen behind the Secrets that it was filled from"
        return OwnSecret(namespace, database, name, text, readable=False)
    behind = [
        f"{key} in Secret/{place.rpartition('/')[0]}"
        for key, place in sorted(sources.items())
        if _differs(own, foreign, key, place)
    ]
    if not behind:
        return None
    return OwnSecret(namespace, database, name, _words(behind))


def _words(behind: Sequence[str]) -> str:
    return f"it is not followed, and what it was filled from has another value now, or none: {', '.join(behind)}"


def _differs(own: KubernetesObject, foreign: Mapping[str, KubernetesObject | None], key: str, place: str) -> bool:
    source, _, part = place.rpartition("/")
    try:
        wanted = as_stored(key, secret_value(foreign.get(source), Reference("Secret", source, part)))
    except UnresolvedError:
        return True
    return secret_text((own.get("data") or {}).get(key) or "") != wanted
