"""What is fuzzed: every reader of something that others may have written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tests.fuzz.trees import Fallback


class Target(Protocol):
    """Reads inputs of one kind.

    Attributes:
        name: What it is called on the command line.
        words: What inputs of this kind are made of.
    """

    @property
    def name(self) -> str: ...

    @property
    def words(self) -> tuple[str, ...]: ...

    def seeds(self) -> Iterable[bytes]:
        """Inputs to begin with."""

    def mutate(self, data: bytes, most: int, seed: int, fallback: Fallback) -> bytes:
        """Another input."""

    def run(self, data: bytes) -> list[str]:
        """Reads one; gives what is seen of it, and raises on anything that must not be."""


NAMES = ("manifests", "values", "archive", "wal", "cluster")


def target_of(name: str) -> Target:
    """Makes a target.

    Args:
        name: One of NAMES.

    Returns:
        The target.
    """
    # Imported here, so that a process has and instruments only what it needs.
    if name == "manifests":
        from tests.fuzz.manifests import ManifestTarget

        return ManifestTarget()
    if name == "values":
        from tests.fuzz.values import ValueTarget

        return ValueTarget()
    if name == "archive":
        from tests.fuzz.archive import ArchiveTarget

        return ArchiveTarget()
    if name == "wal":
        from tests.fuzz.archive import WalTarget

        return WalTarget()
    from tests.fuzz.cluster import ClusterTarget

    return ClusterTarget()
