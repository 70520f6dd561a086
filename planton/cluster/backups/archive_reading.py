"""Reads the archives of databases that a delete is about: of live ones, and of those that are gone by the record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from planton.catalogue.archive import Archive
from planton.catalogue.model import Catalogue
from planton.cluster.api.mask import Scrubber, scrubber_for
from planton.cluster.api.resources import POSTGRESQL, SECRET, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_record import left_by_deletion
from planton.cluster.backups.archives import Archives, read_archives, told_configmap
from planton.cluster.backups.left_access import inherited_facts, read_access, read_left_archives
from planton.cluster.operators import LiveOperator, read_settings
from planton.cluster.planning.inventory import Inventory
from planton.errors import StoreError

if TYPE_CHECKING:
    from planton.translate.archive_access import ArchiveAccess

Look: TypeAlias = Callable[["ArchiveAccess"], Catalogue]
"""Reads an archive; raises a StoreError when it cannot."""


def operator_of(inventory: Inventory) -> LiveOperator | None:
    """Finds the operator that would clean up: the one that is meant, or else whichever runs.

    Args:
        inventory: Facts of the cluster.

    Returns:
        The operator; None when the cluster has none.
    """
    mine = [one for one in inventory.operators if one.namespace == inventory.operator_namespace]
    return max(mine or inventory.operators, key=lambda one: one.available, default=None)


def archives_now(
    server: Server, inventory: Inventory, operator: LiveOperator | None, settings: dict[str, str]
) -> Archives:
    """Says what databases archive now, also under an operator that planton did not make.

    Args:
        server: The API server.
        inventory: Facts of the cluster.
        operator: The operator; None when the cluster has none.
        settings: What it is told.

    Returns:
        What databases inherit and say themselves.

    Raises:
        ClusterError: The server refused.
    """
    space = operator.namespace if operator else ""
    told = told_configmap({"data": settings}, space)
    if told is None:
        return read_archives(server, (), {}, inventory)
    inherited = (server.get(told) or {}).get("data") or {}
    live = {key_of(one, POSTGRESQL): one for one in inventory.databases}
    secret = str(settings.get("pod_environment_secret") or "")
    names = frozenset(((server.get(Key(SECRET, space, secret)) if secret else None) or {}).get("data") or {})
    return Archives(inherited, inherited, live, namespace=space, secret_before=names, secret_name_before=secret)


class ArchiveReader:
    """Reads archives as they are at each call, reached as their databases were when they were first asked for.

    So an archive is read again when its custom resource, and the Secrets with its keys, are gone meanwhile.
    """

    def __init__(self, server: Server, inventory: Inventory, look: Look | None = None) -> None:
        """Makes the reader; reads nothing yet.

        Args:
            server: The API server.
            inventory: Facts of the cluster.
            look: Reads one archive; None reads the catalogue out of its bucket.
        """
        self._server = server
        self._inventory = inventory
        self._look = look or catalogue_of
        self._lock = threading.Lock()
        self._archives: Archives | None = None
        self._known: dict[Key, ArchiveAccess | None] = {}

    def __call__(self, key: Key) -> Catalogue | StoreError | None:
        """Reads the archive of a database.

        Args:
            key: Identity of its custom resource, which may be gone.

        Returns:
            What is in it; why it could not be read; None where nobody knows how it is reached.

        Raises:
            ClusterError: The API server refused.
        """
        access = self._access_of(key)
        if access is None:
            return None
        try:
            return self._look(access)
        except StoreError as error:
            return error

    def newest(self, key: Key) -> tuple[str, datetime] | None:
        """Finds the newest base backup of a database, with a handful of requests.

        Args:
            key: Identity of its custom resource.

        Returns:
            Its name, and when the store got its sentinel; None when there is none.

        Raises:
            StoreError: The archive cannot be read.
            ClusterError: The API server refused.
        """
        access = self._access_of(key)
        if access is None:
            subject = f"the archive of {key.namespace}/{key.name}"
            raise StoreError("nobody knows how it is reached", subject=subject, problem="refused")
        return Archive(access).newest()

    def scrubber(self, key: Key) -> Scrubber:
        """Gives what knows the credentials with which the archive of a database is reached and read.

        Args:
            key: Identity of its custom resource.

        Returns:
            The scrubber; it knows nothing where nobody knows how the archive is reached.

        Raises:
            ClusterError: The API server refused.
        """
        access = self._access_of(key)
        return scrubber_for([{"kind": "Secret", "data": access.contents.data()}] if access is not None else [])

    def _access_of(self, key: Key) -> ArchiveAccess | None:
        with self._lock:
            if key not in self._known:
                self._known[key] = self._find(key)
            return self._known[key]

    def _find(self, key: Key) -> ArchiveAccess | None:
        if self._archives is None:
            operator = operator_of(self._inventory)
            settings = dict(read_settings(self._server, operator)) if operator else {}
            self._archives = archives_now(self._server, self._inventory, operator, settings)
        archives = self._archives
        space = archives.namespace or self._inventory.operator_namespace
        if key in archives.live:
            found = list(left_by_deletion(self._server, archives, [key]))
        else:
            found = read_left_archives(self._server, space, key.name, key.namespace, exact=True)
        if len(found) != 1:
            return None
        return read_access(self._server, found[0], space, inherited_facts(self._server, archives))


def catalogue_of(access: ArchiveAccess) -> Catalogue:
    """Reads what is in an archive.

    Args:
        access: How it is reached.

    Returns:
        Its catalogue.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    return Archive(access).catalogue()
