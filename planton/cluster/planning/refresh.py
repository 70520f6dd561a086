"""A second look at the cluster while a plan is carried out: databases that came meanwhile, keys that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from planton.cluster.api.connection import Connection
from planton.cluster.api.resources import NAMESPACE, POSTGRESQL
from planton.cluster.api.server import Server
from planton.cluster.changes import PlanOptions
from planton.cluster.ownership import with_set
from planton.cluster.planning import admission
from planton.cluster.planning.ahead import FIRST_LISTS, Ahead
from planton.cluster.planning.generations import OldCredentials, read_old_credentials
from planton.cluster.planning.inventory import Inventory, database_facts, is_terminating, read_inventory
from planton.cluster.planning.stale import no_longer_right
from planton.errors import ManifestError, RefusedError
from planton.manifest import Manifests
from planton.rendering import render
from planton.translate.archive_sources import wanted_sources
from planton.translate.backup import platform_secrets
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.secret_values import SecretValues
from planton.translate.service_accounts import service_account
from planton.types import PostgresKubernetes


class Refresh:
    """Reads again what a plan was made from."""

    def __init__(
        self,
        connection: Connection,
        messages: Manifests,
        options: PlanOptions,
        platform: BackupPlatform | None,
        values: SecretValues,
        *,
        inventory: Inventory,
        has_generation: bool,
    ) -> None:
        """Makes the value; reads nothing yet.

        Args:
            connection: The cluster.
            messages: The set.
            options: With which the plan was made.
            platform: The backup platform in force.
            values: What the references of the set lead to.
            inventory: What the set was found to be right for.
            has_generation: Whether credentials of the set, or of its operator, have ever changed.
        """
        self._has_generation = has_generation
        self._values = values
        self._server = Server(connection, "apply")
        self._messages = messages
        self._options = options
        self._platform = platform
        self._operator = admission.operator_of(messages)
        self._judged = inventory

    def __repr__(self) -> str:
        """Says nothing of what it holds."""
        return "<Refresh>"

    def begin(self, ahead: Ahead) -> None:
        """Begins the lists that the next check reads.

        Args:
            ahead: Where they are begun.
        """
        for resource in FIRST_LISTS:
            ahead.begin(self._server, resource)

    def read(self, *, databases_too: bool = True, ahead: Ahead | None = None) -> Inventory:
        """Reads the facts of the cluster.

        Args:
            databases_too: Whether Namespaces and databases are read, and not only what is known of the operator.
            ahead: Lists that were begun.

        Returns:
            The facts.

        Raises:
            ClusterError: The server refused, or the operator's backup settings are not those of the plan.
            RefusedError: There are several operators by now.
        """
        hostnames = databases_too and any(
            isinstance(one, PostgresKubernetes) and one.spec.ingress.enabled for one in self._messages
        )
        inventory = read_inventory(
            self._server,
            set_operator=self._operator,
            chosen=self._options.operator_namespace,
            hostnames=hostnames,
            sources=wanted_sources(self._messages) if databases_too else {},
            databases_too=databases_too,
            ahead=ahead,
        )
        if self._operator is None:
            if _facts(inventory.platform) != _facts(self._platform):
                raise no_longer_right("", "the operator's backup settings are others now")
            self._platform = inventory.platform
        return inventory

    def check(self, written: Iterable[KubernetesObject] = (), ahead: Ahead | None = None) -> None:
        """Checks the set once more, against the databases that there are now.

        Args:
            written: Databases of the set that were written since the last check.
            ahead: Lists that were begun after that.

        Raises:
            ClusterError: The set cannot be applied any more, or the server refused.
        """
        try:
            inventory = self.read(ahead=ahead)
            admission.check_operators(self._messages, inventory)
            if not has_news(self._judged, inventory, written):
                return
            existing = replace(inventory.existing, values=self._values)
            rendering = render(self._messages, inventory.platform, existing)
            admission.check_credentials(self._messages, rendering.platform)
            self._judged = inventory
        except (ManifestError, RefusedError) as error:
            raise no_longer_right("", str(error)) from None

    def copies(self, namespace: str) -> Mapping[str, KubernetesObject]:
        """Reads the operator's Secrets again, where they are another's than the set's.

        Args:
            namespace: Where the copies go.

        Returns:
            Name of each Secret -> its copy; empty when the set has the operator, or there is no Secret.

        Raises:
            ClusterError: The server refused, or the operator's backup settings are not those of the plan.
        """
        if self._operator is not None or self._platform is None:
            return {}
        return {str(one["metadata"]["name"]): one for one in platform_secrets(self._platform, namespace)}

    def read_keys(self) -> None:
        """Reads the operator's Secrets again, for the copies: they may have been rotated since the plan.

        Raises:
            ClusterError: The server refused, or the operator's backup settings are not those of the plan.
        """
        if self._operator is not None or self._platform is None:
            return
        try:
            platform = self.read(databases_too=False).platform
        except RefusedError as error:
            raise no_longer_right("", str(error)) from None
        if platform is not None and (missing := admission.missing_secret(platform)):
            raise no_longer_right(missing, "it is not there any more")

    @property
    def has_generation(self) -> bool:
        """Whether credentials of the set, or of its operator, have ever changed."""
        return self._has_generation

    def old_credentials(self) -> Sequence[OldCredentials]:
        """Finds the databases of which something still runs on old credentials.

        Returns:
            Of all databases where the set has the operator, else of those of the set.

        Raises:
            ClusterError: The server refused.
        """
        mine = [
            (namespace_of(one), cluster_name(one.metadata.name))
            for one in self._messages
            if isinstance(one, PostgresKubernetes)
        ]
        namespace = self._operator or (self._platform.namespace if self._platform is not None else "")
        return read_old_credentials(self._server, namespace, None if self._operator else mine)

    def storage_secrets(self) -> list[KubernetesObject]:
        """Renders what the platform has to have in every namespace that has a database now, ours or not.

        Returns:
            The copies, with the label of the set.

        Raises:
            ClusterError: The server refused.
        """
        platform = self._platform
        if platform is None:
            return []
        databases = self._server.list(POSTGRESQL, metadata_only=True) or []
        going = {one["metadata"]["name"] for one in self._server.list(NAMESPACE) or () if is_terminating(one)}
        spaces = {str(one["metadata"]["namespace"]) for one in databases} - going
        objects = [one for space in sorted(spaces) for one in platform_secrets(platform, space)]
        if platform.service_account_annotations:
            objects += [service_account(platform.service_account_annotations, space) for space in sorted(spaces)]
        return with_set(objects, self._options.set_id)


def has_news(judged: Inventory, now: Inventory, written: Iterable[KubernetesObject]) -> bool:
    """Tells whether a set has to be judged again: the same facts have the same answer, and many take long.

    Args:
        judged: Facts for which the set is right.
        now: Facts of now.
        written: Databases of the set that were written since.

    Returns:
        False only when nothing has come but those, each as it was written.
    """
    if (judged.platform, judged.operators, judged.operator_namespace, judged.serves_databases) != (
        now.platform,
        now.operators,
        now.operator_namespace,
        now.serves_databases,
    ) or _but_databases(judged.existing) != _but_databases(now.existing):
        return True
    ours = {(one.namespace, one.name): one for one in map(database_facts, written)}
    there = {(one.namespace, one.name) for one in now.existing.databases}
    return any((one.namespace, one.name) not in there for one in judged.existing.databases) or any(
        one not in (judged.existing.database(one.namespace, one.name), ours.get((one.namespace, one.name)))
        for one in now.existing.databases
    )


def _but_databases(existing: Existing) -> Existing:
    # Secrets of the set are read for the plan alone, and what references lead to goes with it.
    return replace(existing, databases=(), secrets={}, values=SecretValues())


def _facts(platform: BackupPlatform | None) -> str:
    return platform.to_json() if platform is not None else ""
