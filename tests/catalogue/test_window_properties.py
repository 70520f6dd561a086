"""The window against a slow restore that goes from segment to segment and from commit to commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planton.catalogue.choice import choose
from planton.catalogue.reading import read_catalogue
from planton.catalogue.segments import Listing
from tests.catalogue.archives import ORDERS, OTHER, SIZE, Archive
from tests.thorough import examples

BEGIN = datetime(2026, 11, 22, 8, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@dataclass
class Segment:
    came: datetime
    commits: list[tuple[int, datetime]]
    owner: int


@dataclass
class Backup:
    name: str
    timeline: int
    segment: int
    finish: datetime
    came: datetime
    owner: int


@dataclass
class World:
    """What was done, told twice: as an archive, and plainly."""

    archive: Archive = field(default_factory=Archive)
    segments: dict[tuple[int, int], Segment] = field(default_factory=dict)
    histories: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    backups: list[Backup] = field(default_factory=list)
    clock: datetime = BEGIN

    def times(self) -> list[datetime]:
        commits = [moment for one in self.segments.values() for _, moment in one.commits]
        return commits + [
            moment for one in self.backups for moment in (one.finish, one.came, one.came.replace(microsecond=0))
        ]

    def put(self, timeline: int, number: int, commits: list[tuple[int, datetime]], owner: int) -> None:
        self.segments[timeline, number] = Segment(self.clock, commits, owner)
        self.archive.segment(number, self.clock, timeline=timeline, owner=owner)
        self.archive.reader.commits[f"{timeline:08X}{0:08X}{number:08X}"] = commits


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    ends = {1: (1, draw(st.integers(2, 7)))}
    write(draw, world, 1, *ends[1], ORDERS)
    for timeline in range(2, draw(st.integers(1, 3)) + 1):
        parent = draw(st.integers(1, timeline - 1))
        first = draw(st.integers(ends[parent][0], ends[parent][1]))
        # Anywhere in that segment, at its very beginning, too.
        switch = first * SIZE + draw(st.sampled_from([0, 0x1000, SIZE // 2, SIZE - 0x1000]))
        before = world.histories.get(parent, [])
        if before and before[-1][1] >= switch:
            continue
        world.clock += timedelta(seconds=draw(st.integers(0, 90)))
        world.histories[timeline] = [*before, (parent, switch)]
        world.archive.history(timeline, world.clock, *world.histories[timeline])
        ends[timeline] = (first, first + draw(st.integers(0, 4)))
        old = world.segments.get((parent, first))
        copied = [one for one in old.commits if one[0] < switch] if old else []
        write(draw, world, timeline, *ends[timeline], ORDERS, switch=switch, copied=copied)
        ends.setdefault(timeline, (first, first))
    for key in draw(st.lists(st.sampled_from(sorted(world.segments)), max_size=2, unique=True)):
        world.archive.drop_segment(key[1], timeline=key[0])
        del world.segments[key]
    for timeline in draw(st.lists(st.sampled_from([0, *world.histories]), max_size=1)):
        if world.histories.pop(timeline, None) is not None:
            world.archive.drop(f"wal_005/{timeline:08X}.history")
    if draw(st.booleans()):
        world.clock += timedelta(hours=3)
        write(draw, world, 1, 1, draw(st.integers(1, 8)), OTHER)
    return world


def write(
    draw: st.DrawFn, world: World, timeline: int, first: int, last: int, owner: int, *, switch: int = 0,
    copied: list[tuple[int, datetime]] | None = None,
) -> None:  # fmt: skip
    for number in range(first, last + 1):
        commits = list(copied or []) if number == first else []
        begun = world.clock
        if draw(st.integers(0, 3)) == 0:
            # Its finish LSN lies before the first commit in this segment, and its finish after all that came before.
            finish = begun + timedelta(milliseconds=draw(st.integers(0, 90_000)))
            came = finish + timedelta(milliseconds=draw(st.integers(-2000, 3000)))
            name = world.archive.backup(number, finish, modified=came, timeline=timeline, owner=owner, start=begun)
            if number * SIZE + 0x100 > switch:
                world.backups = [one for one in world.backups if one.name != name]
                world.backups.append(Backup(name, timeline, number, finish, came, owner))
            else:
                world.archive.drop(f"basebackups_005/{name}")
                world.backups = [one for one in world.backups if one.name != name]
        count = draw(st.integers(0, 2))
        base = max(number * SIZE, switch) + 0x200
        room = ((number + 1) * SIZE - base) // (count + 1)
        for place in range(count):
            world.clock += timedelta(milliseconds=draw(st.integers(1, 40_000)))
            commits.append((base + room * (place + 1) - 1, world.clock))
        world.clock += timedelta(milliseconds=draw(st.integers(1, 40_000)))
        world.put(timeline, number, commits, owner)


def restore(world: World, target: datetime) -> bool:
    """Does what Spilo, wal-g and PostgreSQL do, step by step."""
    chosen = None
    for one in sorted(world.backups, key=lambda one: (one.came, one.name)):
        printed = datetime.fromisoformat(one.came.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
        if printed < target and (chosen is None or printed > chosen[0]):
            chosen = printed, one
    if chosen is None:
        return False
    backup = chosen[1]
    if target < backup.finish:
        return False
    newest = backup.timeline
    while newest + 1 in world.histories:
        newest += 1
    left = dict(world.histories.get(newest, []))
    way = [*left, newest]
    if backup.timeline not in way:
        return False
    begins = dict(zip(way, [0, *left.values()], strict=True))
    consistent = backup.segment * SIZE + 0x28 + 0xD8
    if not begins[backup.timeline] <= backup.segment * SIZE + 0x28:
        return False
    if backup.timeline in left and consistent > left[backup.timeline]:
        return False
    number, lowest = backup.segment, 0
    while True:
        candidates = [
            timeline for timeline in way
            if timeline >= lowest and number >= begins[timeline] // SIZE and (timeline, number) in world.segments
        ]  # fmt: skip
        if not candidates:
            return False
        lowest = max(candidates)
        segment = world.segments[lowest, number]
        if segment.owner != backup.owner:
            return False
        end = left.get(lowest)
        for lsn, moment in segment.commits:
            if end is not None and lsn >= end:
                return False
            if moment > target:
                return lsn >= consistent
        if end is not None and (number + 1) * SIZE > end:
            return False
        number += 1


@settings(
    max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(world=worlds(), data=st.data())
def test_the_window_is_where_a_restore_arrives(world: World, data: st.DataObject) -> None:
    catalogue = read_catalogue(world.archive.bucket(), now=world.clock, wal=world.archive.wal(), threads=1)
    spans = catalogue.spans
    for one, following in pairwise(spans):
        assert one.end <= following.start
    known = world.times()
    around = [moment + shift for moment in known for shift in (-TICK, timedelta(), TICK)]
    anywhere = [BEGIN + timedelta(milliseconds=data.draw(st.integers(-10_000, 1_500_000))) for _ in range(5)]
    for target in [*around, *anywhere]:
        inside = any(one.contains(target) for one in spans)
        assert inside == restore(world, target), target
        choice = choose(catalogue, target)
        assert (choice.span is not None) == inside
        assert bool(choice.problem) is not inside
        for near in (choice.before, choice.after):
            assert near is None or restore(world, near)


@settings(max_examples=examples(200), deadline=None)
@given(
    numbers=st.lists(st.integers(0, 600), unique=True, max_size=60).map(sorted),
    cut=st.integers(0, 60),
)
def test_runs_are_the_same_however_the_listing_is_cut(numbers: list[int], cut: int) -> None:
    archive = Archive()
    for number in numbers:
        archive.segment(number, BEGIN + timedelta(minutes=number))
    objects = [archive.stored[key] for key in sorted(archive.stored)]
    whole, left, right = Listing(SIZE), Listing(SIZE), Listing(SIZE)
    whole.add(objects)
    left.add(objects[:cut])
    right.add(objects[cut:])
    left.join(right)
    assert left.chunks == whole.chunks
    assert left.count == whole.count == len(numbers)
    held = [number for one in whole.chunks for number in range(one.first, one.last + 1)]
    assert held == numbers
