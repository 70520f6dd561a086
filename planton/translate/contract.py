"""Types that translators share: what a Kubernetes object is, and what a translator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from planton.errors import Problem
from planton.translate.archive import ArchiveIdentity
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform

KubernetesObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as plain dicts, lists, strings, numbers and booleans."""


class Translation(NamedTuple):
    """What one message becomes.

    Attributes:
        objects: Kubernetes objects, in no particular order; apiVersion, kind and metadata stand first in each.
        errors: What makes the message unusable with this platform; origin and subject are filled in by the caller.
        warnings: What is worth saying; likewise.
        archive: Where a database archives; None for one without an archive, and for what is no database.
    """

    objects: Sequence[KubernetesObject]
    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    archive: ArchiveIdentity | None = None


Translate: TypeAlias = Callable[[Any, BackupPlatform | None, Existing], Translation]
"""A translator: message with its defaults filled, backup platform, existing facts -> translation. Pure."""
