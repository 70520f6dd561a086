"""What a plan knows: the set, the cluster, and what of both is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from planton.cluster.planning.inventory import Inventory
from planton.translate.collect import in_force
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.types import Resource


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan knows.

    Attributes:
        messages: The set, with its defaults filled.
        platform: The backup platform in force.
        existing: Facts in force, with what references of the set lead to.
        inventory: Facts of the cluster.
    """

    messages: Sequence[Resource] = field(repr=False)
    platform: BackupPlatform | None
    existing: Existing = field(repr=False)
    inventory: Inventory = field(repr=False)


def facts_in_force(
    messages: Sequence[Resource], inventory: Inventory | None, existing: Existing
) -> tuple[BackupPlatform | None, Existing]:
    """Gives the facts by which messages of a set are translated.

    Args:
        messages: The set, with its defaults filled.
        inventory: Facts of the cluster; None without one.
        existing: Facts for translation, with what references lead to.

    Returns:
        The backup platform, and the facts with the archives for which messages of the set ask.
    """
    return in_force(messages, inventory.platform if inventory is not None else None, existing)
