"""CPU and memory as Kubernetes writes them."""

from __future__ import annotations

from planton.types import ContainerResources


def resource_requirements(resources: ContainerResources) -> dict[str, dict[str, str]]:
    """Turns container resources into resource requirements.

    Args:
        resources: Resources with their defaults filled.

    Returns:
        Limits and requests, without what is empty.
    """
    requirements = {}
    for name, amount in (("limits", resources.limits), ("requests", resources.requests)):
        given = {key: value for key, value in (("cpu", amount.cpu), ("memory", amount.memory)) if value}
        if given:
            requirements[name] = given
    return requirements
