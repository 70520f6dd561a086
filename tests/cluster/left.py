"""Archives that are not there: what a delete finds when it looks into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from planton.catalogue.model import (
    BaseBackup,
    Catalogue,
    Hole,
    Lineage,
    RecoveryWindow,
    SegmentRun,
    Span,
    Timeline,
)
from planton.errors import StoreError
from planton.translate.archive_access import ArchiveAccess

HOUR = timedelta(hours=1)


def backup(finished: datetime, number: int = 2, *, problem: str = "") -> BaseBackup:
    name = f"base_0000000100000000000000{number:02X}"
    begun, lsn = finished - timedelta(minutes=1), number << 24
    return BaseBackup(
        name, "full", False, begun, finished, finished, 1, lsn, lsn + 256, 1 << 20, 1 << 22, 170002, 42, "db-x-0",
        full_backup=name, problem=problem,
    )  # fmt: skip


def catalogue(
    last_wal: datetime | None,
    *,
    backups: tuple[BaseBackup, ...] | None = None,
    segments: int = 5,
    holes: tuple[Hole, ...] = (),
    problem: str = "",
) -> Catalogue:
    """An archive that reaches until its last WAL, out of two base backups unless others are given."""
    end = last_wal or datetime.now(UTC)
    made = (backup(end - 30 * HOUR), backup(end - 6 * HOUR, 9)) if backups is None else backups
    sound = [one for one in made if not one.problem]
    spans = (Span(sound[0].name, sound[0].finish_time, end, True),) if sound and last_wal else ()
    window = RecoveryWindow(spans, holes, sound[-1].name if sound else "", end if sound else None, problem, True)
    runs = (SegmentRun(1, 2, 1 + segments, end - 31 * HOUR, end),) if last_wal else ()
    lineage = Lineage(42, "17", 1 << 24, made, (Timeline(1, runs),), window)
    return Catalogue("s3://b/x", (lineage,), segments=segments if last_wal else 0)


@dataclass
class Store:
    """Answers for every archive; remembers how it was reached.

    Attributes:
        answer: What is in an archive at a look, or why it cannot be read.
        asked: The accesses with which it was looked into.
    """

    answer: Callable[[int], Catalogue | StoreError] = field(default=lambda look: catalogue(datetime.now(UTC)))
    asked: list[ArchiveAccess] = field(default_factory=list)

    def look(self, access: ArchiveAccess) -> Catalogue:
        self.asked.append(access)
        found = self.answer(len(self.asked))
        if isinstance(found, StoreError):
            raise found
        return found


UNREACHABLE = StoreError("no such host", subject="s3://b/x at h", problem="unreachable")
