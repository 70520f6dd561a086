"""The recovery window, against PostgreSQL itself: for each time, what the catalogue says is what a restore does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planton.catalogue.bucket import open_bucket
from planton.catalogue.choice import chosen_backup
from planton.catalogue.model import Lineage
from planton.catalogue.names import WAL
from planton.catalogue.reading import read_catalogue
from planton.catalogue.wal_archive import open_wal
from planton.translate.archive_access import ArchiveAccess
from tests.restore.archive import Archive, Outcome, insert, write_without_commit
from tests.restore.postgres import Server

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]

TICK = timedelta(microseconds=1)
NEVER_REACHED = "recovery ended before configured recovery target was reached"
TOO_EARLY = "requested recovery stop point is before consistent recovery point"


class Scene:
    """A server, its archive, and the rows that were committed on the way that `latest` follows."""

    def __init__(self, place: Path, programs: Path, archived: ArchiveAccess) -> None:
        self.access = archived
        self.archive = Archive(open_bucket(archived), place)
        self.server = Server.create(place / "server", programs)
        self.servers = [self.server]
        self.archive.connect(self.server)
        self.rows: dict[int, datetime] = {}

    def __enter__(self) -> Scene:
        self.server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for server in self.servers:
            server.stop()

    def insert(self, *numbers: int) -> None:
        self.rows |= insert(self.server, *numbers)

    def back_up(self, during: Callable[[], object] = lambda: None) -> str:
        """Makes a base backup. Spilo knows when by the second: what comes before and after is in another one."""
        time.sleep(1.1)
        name = self.archive.back_up(self.server, during)
        time.sleep(1.1)
        return name

    def lineage(self) -> Lineage:
        bucket = open_bucket(self.access)
        wal = open_wal(bucket, self.access)
        catalogue = read_catalogue(bucket, now=datetime.now(UTC), wal=wal)
        assert wal.problem == ""
        assert len(catalogue.lineages) == 1
        assert catalogue.warnings == ()
        return catalogue.lineages[0]

    def restore(self, backup: str, target: datetime | None) -> Outcome:
        server, outcome = self.archive.restore(self.server, backup, target)
        server.stop()
        return outcome

    def compare(self, targets: Mapping[str, datetime]) -> dict[str, bool]:
        """Compares window and PostgreSQL; gives which of the times can be reached."""
        lineage = self.lineage()
        found: dict[str, bool] = {}
        for what, target in targets.items():
            spans = [one for one in lineage.window.spans if one.contains(target)]
            assert len(spans) <= 1, what
            backup = chosen_backup(lineage.backups, target)
            if backup is None:
                # Spilo has none to begin with: nothing is restored.
                assert not spans, what
                found[what] = False
                continue
            outcome = self.restore(backup.name, target)
            assert outcome.fatal == "" or outcome.fatal in (NEVER_REACHED, TOO_EARLY), what
            assert bool(spans) == (outcome.fatal == ""), (what, target, lineage.window, outcome)
            if spans:
                assert spans[0].backup == backup.name
                assert outcome.rows == self.until(target), what
            found[what] = bool(spans)
        return found

    def until(self, target: datetime) -> tuple[int, ...]:
        return tuple(sorted(number for number, at in self.rows.items() if at <= target))


def between(rows: Mapping[int, datetime], numbers: Iterable[int]) -> datetime:
    """A time in the middle of two commits."""
    first, second = (rows[number] for number in numbers)
    return first + (second - first) / 2


@pytest.fixture
def scene(place: Path, programs: Path, archived: ArchiveAccess) -> Iterable[Scene]:
    with Scene(place, programs, archived) as one:
        yield one


def test_a_whole_archive_with_an_idle_tail(scene: Scene) -> None:
    scene.insert(1, 2)
    before = datetime.now(UTC)
    first = scene.back_up(during=lambda: scene.insert(3))
    scene.insert(4)
    scene.archive.switch(scene.server)
    scene.insert(5)
    scene.archive.switch(scene.server)
    second = scene.back_up()
    scene.insert(6, 7, 8)
    scene.archive.switch(scene.server)
    for _ in range(3):
        write_without_commit(scene.server)
        scene.archive.switch(scene.server)

    rows = scene.rows
    assert scene.compare(
        {
            "before the first backup": before,
            "within the first backup": rows[3],
            "just before a commit": rows[4] - TICK,
            "at a commit": rows[4],
            "between commits": between(rows, (4, 5)),
            "out of the second backup": rows[6] + TICK,
            "just before the last commit": rows[8] - TICK,
            "at the last commit": rows[8],
            "after the last commit": rows[8] + timedelta(seconds=1),
            "tomorrow": rows[8] + timedelta(days=1),
        }
    ) == {
        "before the first backup": False,
        "within the first backup": False,
        "just before a commit": True,
        "at a commit": True,
        "between commits": True,
        "out of the second backup": True,
        "just before the last commit": True,
        "at the last commit": False,
        "after the last commit": False,
        "tomorrow": False,
    }
    lineage = scene.lineage()
    assert [one.name for one in lineage.backups] == [first, second]
    window = lineage.window
    assert (window.last, window.is_exact) == (rows[8], True)
    assert (window.latest, window.latest_end, window.problem) == (second, rows[8], "")
    assert lineage.segment_size == 1 << 20
    assert scene.restore(second, None) == Outcome("", tuple(range(1, 9)), 2)
    # PostgreSQL itself, where Spilo would not choose so.
    assert scene.restore(first, before).fatal == TOO_EARLY
    assert scene.restore(first, rows[7]).rows == scene.until(rows[7])
    # A backup that is younger than the target, with no commit while it was made, is not refused: it has too much.
    assert scene.restore(second, rows[4]).rows == (1, 2, 3, 4, 5)


def test_a_gap(scene: Scene) -> None:
    first = scene.back_up()
    scene.insert(1, 2)
    scene.archive.switch(scene.server)
    scene.insert(3)
    lost = scene.archive.switch(scene.server)
    scene.insert(4, 5)
    scene.archive.switch(scene.server)
    second = scene.back_up()
    scene.insert(6, 7)
    scene.archive.switch(scene.server)
    scene.archive.bucket.delete([f"{WAL}{lost}.lz4"])

    rows = scene.rows
    assert scene.compare(
        {
            "before the gap": between(rows, (1, 2)),
            "the last commit before the gap": rows[2],
            "in the gap": rows[3],
            "after the gap, out of the first backup": rows[4],
            "out of the second backup": between(rows, (6, 7)),
        }
    ) == {
        "before the gap": True,
        "the last commit before the gap": False,
        "in the gap": False,
        "after the gap, out of the first backup": False,
        "out of the second backup": True,
    }
    window = scene.lineage().window
    assert [one.backup for one in window.spans] == [first, second]
    assert any(lost in one.reason for one in window.holes)
    assert scene.restore(second, None).rows == tuple(range(1, 8))
    # Replay ends at the gap, and says nothing of it.
    assert scene.restore(first, None).rows == (1, 2)


def test_a_promotion_that_leaves_a_branch_behind(scene: Scene) -> None:
    first = scene.back_up()
    scene.insert(1, 2, 3)
    scene.archive.switch(scene.server)
    left = dict(scene.rows)
    target = between(left, (2, 3))
    # Somebody restored in place, and went on from there: row 3 is on the branch that was left.
    scene.server.shut_down()
    scene.archive.upload()
    promoted, outcome = scene.archive.restore(scene.server, first, target, goes_on=True)
    scene.servers.append(promoted)
    assert outcome == Outcome("", (1, 2), 2)
    scene.server = promoted
    del scene.rows[3]
    scene.insert(11, 12)
    scene.archive.switch(promoted)
    second = scene.back_up()
    scene.insert(13, 14)
    scene.archive.switch(promoted)

    rows = scene.rows
    assert scene.compare(
        {
            "before the branch": between(rows, (1, 2)),
            "on the branch that was left": left[3],
            "between the branch and the first commit after it": rows[11] - TICK,
            "on the new timeline": rows[11],
            "out of the backup of the new timeline": rows[13],
            "at the end": rows[14],
        }
    ) == {
        "before the branch": True,
        # The new timeline has no such commit, and a later one ends the replay: it comes up as it was there then.
        "on the branch that was left": True,
        "between the branch and the first commit after it": True,
        "on the new timeline": True,
        "out of the backup of the new timeline": True,
        "at the end": False,
    }
    lineage = scene.lineage()
    assert [one.number for one in lineage.timelines] == [1, 2]
    assert [one.name for one in lineage.backups] == [first, second]
    assert scene.restore(first, None) == Outcome("", (1, 2, 11, 12, 13, 14), 3)
    assert scene.restore(second, None) == Outcome("", (1, 2, 11, 12, 13, 14), 3)
