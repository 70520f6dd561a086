"""Namespaces: made where they do not exist, and never touched again."""

from __future__ import annotations

from planton.translate.contract import KubernetesObject
from planton.translate.names import namespace_of, object_metadata
from planton.types import Resource


def namespace_object(message: Resource) -> KubernetesObject:
    """Makes the Namespace of a resource.

    Args:
        message: A message of any kind.

    Returns:
        The Namespace.
    """
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": object_metadata(message, namespace_of(message))}
