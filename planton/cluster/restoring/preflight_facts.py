"""What a pre-flight is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from planton.translate.birth import Birth


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new database is to start from.

    Attributes:
        name: Name of its custom resource, such as `db-orders-restored`.
        kind: Whether it starts from the archive, or follows it.
        source: Name of the database whose archive it is, as a command takes it; empty for one given by its place.
        target: The time to which it is to be restored, as its manifest has it; empty for all that is archived.
        version: Its major version of PostgreSQL.
        disk: Size of its volume in bytes; 0 when it is not known.
        image_versions: Major versions of PostgreSQL that are in the image of its pods; empty when they are not known.
    """

    name: str
    kind: Literal["clone", "standby"]
    source: str
    target: str = ""
    version: str = ""
    disk: Decimal = Decimal(0)
    image_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found out.

    Attributes:
        reasons: Why nothing comes of it, each with what would work.
        warnings: What is worth saying.
        effects: What it brings back.
        birth: What is written down of it; None when nothing comes of it.
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    birth: Birth | None = None
