"""CPU and memory as Kubernetes writes them."""

from __future__ import annotations

from functools import lru_cache
from sys import intern

from planton.types import ContainerResources


def resource_requirements(resources: ContainerResources) -> dict[str, dict[str, str]]:
    """Turns container resources into resource requirements.

    Args:
        resources: Resources with their defaults filled.

    Returns:
        Limits and requests, without what is empty.
    """
    # The same few sizes stand in thousands of databases. What is given is the caller's own.
    return {name: amounts.copy() for name, amounts in _requirements(resources.SerializeToString()).items()}


@lru_cache(maxsize=1024)
def _requirements(data: bytes) -> dict[str, dict[str, str]]:
    resources = ContainerResources.FromString(data)
    requirements = {}
    for name, amount in (("limits", resources.limits), ("requests", resources.requests)):
        given = {}
        # One text for the same amount in thousands of databases.
        if cpu := amount.cpu:
            given["cpu"] = intern(cpu)
        if memory := amount.memory:
            given["memory"] = intern(memory)
        if given:
            requirements[name] = given
    return requirements
