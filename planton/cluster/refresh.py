"""A second look at the cluster while a plan is carried out: databases that came meanwhile, keys that changed."""

from __future__ import annotations

from collections.abc import Mapping

from planton.cluster import admission
from planton.cluster._connection import Connection
from planton.cluster._resources import NAMESPACE, POSTGRESQL
from planton.cluster._server import Server
from planton.cluster.changes import PlanOptions
from planton.cluster.inventory import Inventory, is_terminating, read_inventory
from planton.cluster.ownership import with_set
from planton.cluster.stale import no_longer_right
from planton.errors import ManifestError, RefusedError
from planton.manifest import Manifests
from planton.rendering import render
from planton.translate.backup import storage_secret
from planton.translate.contract import KubernetesObject
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes


class Refresh:
    """Reads again what a plan was made from."""

    def __init__(
        self, connection: Connection, messages: Manifests, options: PlanOptions, platform: BackupPlatform | None
    ) -> None:
        """Makes the value; reads nothing yet.

        Args:
            connection: The cluster.
            messages: The set.
            options: With which the plan was made.
            platform: The backup platform in force.
        """
        self._server = Server(connection, "apply")
        self._messages = messages
        self._options = options
        self._platform = platform
        self._operator = admission.operator_of(messages)

    def __repr__(self) -> str:
        """Says nothing of what it holds."""
        return "<Refresh>"

    def read(self) -> Inventory:
        """Reads the facts of the cluster.

        Returns:
            The facts.

        Raises:
            ClusterError: The server refused, or the operator's backup settings are not those of the plan.
            RefusedError: There are several operators by now.
        """
        hostnames = any(isinstance(one, PostgresKubernetes) and one.spec.ingress.enabled for one in self._messages)
        inventory = read_inventory(
            self._server,
            set_operator=self._operator,
            chosen=self._options.operator_namespace,
            hostnames=hostnames,
        )
        if self._operator is None:
            if _facts(inventory.platform) != _facts(self._platform):
                raise no_longer_right("", "the operator's backup settings are others now")
            self._platform = inventory.platform
        return inventory

    def check(self) -> None:
        """Checks the set once more, against the databases that there are now.

        Raises:
            ClusterError: The set cannot be applied any more, or the server refused.
        """
        try:
            inventory = self.read()
            admission.check_operators(self._messages, inventory)
            rendering = render(self._messages, inventory.platform, inventory.existing)
            admission.check_credentials(self._messages, rendering.platform)
        except (ManifestError, RefusedError) as error:
            raise no_longer_right("", str(error)) from None

    def keys(self) -> Mapping[str, KubernetesObject]:
        """Reads the storage Secret again, where it is another's than the set's.

        Returns:
            Name of the Secret -> its `data` for copies; empty when the set has the operator, or there is no Secret.

        Raises:
            ClusterError: The server refused, or the operator's backup settings are not those of the plan.
        """
        if self._operator is not None or self._platform is None or not self._platform.secret_name:
            return {}
        try:
            platform = self.read().platform
        except RefusedError as error:
            raise no_longer_right("", str(error)) from None
        if platform is None or platform.credentials is None:
            subject = f"Secret/{self._platform.namespace}/{self._platform.secret_name}"
            raise no_longer_right(subject, "it is not there any more")
        return {platform.secret_name: storage_secret(platform, platform.namespace)["data"]}

    def storage_secrets(self) -> list[KubernetesObject]:
        """Renders the storage Secret for every namespace that has a database now, ours or not.

        Returns:
            The copies, with the label of the set.

        Raises:
            ClusterError: The server refused.
        """
        if self._platform is None or self._platform.credentials is None:
            return []
        databases = self._server.list(POSTGRESQL, metadata_only=True) or []
        going = {one["metadata"]["name"] for one in self._server.list(NAMESPACE) or () if is_terminating(one)}
        spaces = {str(one["metadata"]["namespace"]) for one in databases} - going
        return with_set((storage_secret(self._platform, space) for space in sorted(spaces)), self._options.set_id)


def _facts(platform: BackupPlatform | None) -> str:
    return platform.to_json() if platform is not None else ""
