"""Reads the live objects that a set of objects is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import NAMESPACE, POSTGRESQL, Key, ResourceType
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.ownership import OURS
from planton.cluster.permissions.review import gathered
from planton.cluster.planning.ahead import LIST_FROM, Ahead
from planton.cluster.planning.inventory import Inventory
from planton.translate.contract import KubernetesObject


def read_live(
    server: Server, keys: Collection[Key], inventory: Inventory, ahead: Ahead | None = None
) -> dict[Key, KubernetesObject]:
    """Reads what is there.

    Objects with our label come from lists in pages where there are many; all others are read one by one, since an
    object without our label is there all the same.

    Args:
        server: The API server.
        keys: Identities of the objects.
        inventory: What is known already: Namespaces and databases are not read again.
        ahead: Lists that were begun.

    Returns:
        The objects that are there.

    Raises:
        ClusterError: The server refused (a missing permission is an error, never "absent").
    """
    found: dict[Key, KubernetesObject] = {}
    by_type: dict[ResourceType, list[Key]] = defaultdict(list)
    databases = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in inventory.databases}
    for key in keys:
        if key.resource is NAMESPACE:
            if key.name in inventory.namespaces:
                found[key] = inventory.namespaces[key.name]
        elif key.resource is POSTGRESQL:
            if (key.namespace, key.name) in databases:
                found[key] = databases[key.namespace, key.name]
        elif not key.namespace or key.namespace in inventory.namespaces:
            by_type[key.resource].append(key)
    many = [resource for resource, wanted in by_type.items() if len(wanted) >= LIST_FROM]
    for resource, items in zip(
        many, results(in_parallel(lambda one: _labelled(server, one, ahead), many)), strict=True
    ):
        wanted = set(by_type[resource])
        for item in items:
            key = Key(resource, str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"]))
            if key in wanted:
                found[key] = item
    missing = [key for wanted in by_type.values() for key in wanted if key not in found]
    for key, obj in zip(missing, gathered(in_parallel(server.get, missing)), strict=True):
        if obj is not None:
            found[key] = obj
    return found


def _labelled(server: Server, resource: ResourceType, ahead: Ahead | None) -> Sequence[KubernetesObject]:
    try:
        return (ahead or Ahead()).list(server, resource, labels=OURS) or ()
    except ApiError as error:
        # Who may not list all namespaces may still read the objects that are meant, one by one.
        if error.status == 403:
            return ()
        raise
