"""Namespaces: made where they do not exist, and never touched again."""

from __future__ import annotations

from planton.translate.contract import KubernetesObject
from planton.translate.names import Naming


def namespace_object(naming: Naming) -> KubernetesObject:
    """Makes the Namespace of a resource.

    Args:
        naming: Names of the resource.

    Returns:
        The Namespace.
    """
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": naming.metadata(naming.namespace)}
