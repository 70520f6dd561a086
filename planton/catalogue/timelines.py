"""Timelines: what `.history` files say, and the path that a restore takes through them.

PostgreSQL, src/backend/access/transam/timeline.c and xlogrecovery.c:

- Spilo restores with `recovery_target_timeline` "latest" (4.0-p3 and 4.1, configure_spilo.py, CLONE_TARGET_TIMELINE).
  The newest timeline is found by asking for `<n+1>.history`, `<n+2>.history` … from the timeline of the backup on,
  until one is missing (findNewestTimeLine). So a file that is missing hides all later ones, and whose it is plays no
  role.
- Its history file then names the timelines on the way, each with the LSN at which it was left (readTimeLineHistory).
  Without the file a timeline has no parents. A line that is none ends the start ("syntax error in history file").
- A backup whose checkpoint is not on that way ends the start, too ("requested timeline N is not a child of this
  server's history", InitWalRecovery).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from planton.catalogue.model import Switch
from planton.catalogue.names import lsn_text

_LINE = re.compile(r"\s*([0-9]{1,10})\s+([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})(?:\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A timeline's part of a path.

    Attributes:
        timeline: Its number.
        begin: LSN from which on it holds; 0 from the beginning.
        end: LSN at which it was left; None for the last one.
    """

    timeline: int
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Path:
    """The timelines that a restore goes through, out of a backup of one timeline.

    Attributes:
        target: The newest one.
        stretches: Oldest first; empty with a problem.
        problem: Why it is not known, or why PostgreSQL does not start with it; empty for none.
    """

    target: int
    stretches: tuple[Stretch, ...] = ()
    problem: str = ""

    def timeline_at(self, lsn: int) -> int:
        """Finds the timeline that holds at an LSN.

        Args:
            lsn: The LSN.

        Returns:
            Its number; 0 when there is none.
        """
        for one in reversed(self.stretches):
            if one.begin <= lsn and (one.end is None or lsn < one.end):
                return one.timeline
        return 0

    def left_at(self, timeline: int) -> int | None:
        """Gives where a timeline is left.

        Args:
            timeline: Its number.

        Returns:
            The LSN; None when it is the last one, or not on the path.
        """
        return next((one.end for one in self.stretches if one.timeline == timeline), None)


@dataclass(frozen=True, slots=True)
class Histories:
    """The `.history` files of an archive.

    Attributes:
        present: Timelines that have one.
        read: Timeline -> what it says, of those that could be read.
        unread: Timeline -> why its file could not be read here. PostgreSQL may well be able to.
        broken: Timeline -> what PostgreSQL would not accept in it.
    """

    present: frozenset[int] = frozenset()
    read: Mapping[int, tuple[Switch, ...]] = field(default_factory=dict)
    unread: Mapping[int, str] = field(default_factory=dict)
    broken: Mapping[int, str] = field(default_factory=dict)

    def newest_from(self, timeline: int) -> int:
        """Finds the timeline that `latest` leads to.

        Args:
            timeline: Timeline of the backup.

        Returns:
            The last one of which, without a break, each has a history file.
        """
        while timeline + 1 in self.present:
            timeline += 1
        return timeline

    def path(self, timeline: int) -> Path:
        """Finds the path of a restore.

        Args:
            timeline: Timeline of the backup.

        Returns:
            The path, or why there is none.
        """
        target = self.newest_from(timeline)
        if target in self.broken:
            return Path(
                target, problem=f"PostgreSQL does not accept the history of timeline {target}: {self.broken[target]}"
            )
        if target in self.read:
            return Path(target, _stretches(self.read[target], target))
        if target in self.unread and target != timeline:
            return Path(
                target,
                problem=f"a restore goes on to timeline {target}, and where that begins is not known: "
                f"{self.unread[target]}",
            )
        # Of its own timeline a backup needs no history: nothing before its start is read.
        return Path(target, (Stretch(target, 0, None),))


def _stretches(switches: tuple[Switch, ...], target: int) -> tuple[Stretch, ...]:
    stretches, begin = [], 0
    for one in switches:
        stretches.append(Stretch(one.timeline, begin, one.lsn))
        begin = one.lsn
    return (*stretches, Stretch(target, begin, None))


def parse_history(content: bytes, timeline: int) -> tuple[Switch, ...] | str:
    """Reads a `.history` file.

    Args:
        content: Its text.
        timeline: The timeline that it is about.

    Returns:
        Where each timeline was left, oldest first; or what PostgreSQL would not accept in it. No text of the file is in
        that.
    """
    switches: list[Switch] = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            return f"line {number} is not `<timeline> <LSN> <reason>`"
        parent = int(match[1])
        if switches and parent <= switches[-1].timeline:
            return f"line {number}: timelines are not in increasing order"
        lsn = int(match[2], 16) << 32 | int(match[3], 16)
        switches.append(Switch(parent, lsn, (match[4] or "").strip()))
    if switches and switches[-1].timeline >= timeline:
        return "a timeline in it is not lower than its own"
    return tuple(switches)


def off_path(path: Path, timeline: int, start_lsn: int, finish_lsn: int) -> str:
    """Says why a backup is not on a path.

    Args:
        path: The path that a restore from it takes.
        timeline: Timeline of the backup.
        start_lsn: LSN at which its replay begins.
        finish_lsn: LSN at which it becomes consistent.

    Returns:
        The reason; empty when it is on the path.
    """
    if path.problem:
        return path.problem
    found = path.timeline_at(start_lsn)
    if found != timeline:
        left = path.left_at(timeline)
        where = f" at {lsn_text(left)}, before this backup," if left is not None else ""
        return (
            f"it was made on timeline {timeline}, which was left{where} by the newest one, {path.target}: PostgreSQL "
            f"refuses it (requested timeline {path.target} is not a child of this server's history)"
        )
    left = path.left_at(timeline)
    if left is not None and finish_lsn > left:
        return (
            f"timeline {timeline} was left at {lsn_text(left)}, before this backup was consistent "
            f"({lsn_text(finish_lsn)}): its WAL leads to another timeline"
        )
    return ""
