"""PostgreSQL with backups on Kubernetes, from protobuf messages.

    import planton

    manifests = planton.load("manifests/")
    cluster = planton.connect(context="production")
    print(cluster.plan(manifests))
    cluster.apply(manifests)

The message classes are in `planton.types`, all errors in `planton.errors`. Everything else is behind the names
below; each is imported when it is first used, so that `import planton` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # The name is what type checkers go by; importing typing would cost every start 4 ms.
if TYPE_CHECKING:
    from typing import Any

    from planton.cluster import Cluster, connect
    from planton.cluster.backups.access import archive
    from planton.errors import ConflictError, ManifestError, PlantonError, RefusedError, WaitError
    from planton.manifest import dump, dumps, load, loads
    from planton.rendering import environment, render, validate

__version__ = "0.1.0"

__all__ = [
    "load",
    "loads",
    "dump",
    "dumps",
    "validate",
    "render",
    "environment",
    "archive",
    "connect",
    "Cluster",
    "PlantonError",
    "ManifestError",
    "ConflictError",
    "RefusedError",
    "WaitError",
]

_HOMES = {
    "load": "planton.manifest",
    "loads": "planton.manifest",
    "dump": "planton.manifest",
    "dumps": "planton.manifest",
    "validate": "planton.rendering",
    "render": "planton.rendering",
    "environment": "planton.rendering",
    "archive": "planton.cluster.backups.access",
    "connect": "planton.cluster",
    "Cluster": "planton.cluster",
    "PlantonError": "planton.errors",
    "ManifestError": "planton.errors",
    "ConflictError": "planton.errors",
    "RefusedError": "planton.errors",
    "WaitError": "planton.errors",
}


if not TYPE_CHECKING:  # By this, type checkers would take any name for a public one.

    def __getattr__(name: str) -> Any:
        """Imports a public name when it is first used."""
        from planton.lazy import found

        return found(__name__, name, _HOMES)


def __dir__() -> list[str]:
    """Lists the public names."""
    return sorted([*__all__, "__version__"])
