"""The recovery window: the times to which a restore can go, worked out and not guessed.

For a target time T:

1. Spilo takes B(T): of all base backups in the prefix the one with the greatest M that is before T. M is the time of
   its sentinel as `wal-g backup-list` prints it, in whole seconds (Spilo 4.0-p3 and 4.1, bootstrap/clone_with_wale.py,
   choose_backup: `<`; of two with one M the one that is listed first). It looks neither at what is in the backup nor
   at whose it is.
2. B(T) is fetched: it and all that it needs has to be there.
3. PostgreSQL follows the newest timeline (timelines.py) through the WAL (replay.py), from the backup's start LSN on.
4. It stops before the first commit or abort with a time after T (PostgreSQL 17, xlogrecovery.c, recoveryStopsBefore,
   with recovery_target_inclusive, which Spilo leaves on). When that comes before the backup is consistent, it ends with
   "requested recovery stop point is before consistent recovery point". That cannot be when T is not before the finish
   of the backup: what was committed up to its finish LSN has a time up to its finish.
5. When the WAL ends before such a commit comes, it ends with "recovery ended before configured recovery target was
   reached". Spilo then tries again without any target, and opens with whatever there is, also up to a gap (4.0-p3,
   bootstrap/maybe_pg_upgrade.py, perform_pitr). That is not what was asked for, so it counts as a failure here: there
   has to be a commit or an abort after T in the WAL that replay reaches.

So the times that B can serve begin after M and not before its finish, and end before E, the last commit that replay out
of B reaches, or with M of the backup that is chosen next, whichever comes first. M of the next one is within, since at
that very time B is still chosen. With E unknown (no reader, or no commit in the last segments that were read), the time
at which the store got the last segment stands for it: E is earlier.

What this takes for granted: that the clock of the pod that makes a backup and that of PostgreSQL are one (they are,
unless a replica makes it), and that commits stand in the WAL in the order of their times (but for microseconds).

Without a target wal-g takes the backup with the newest sentinel (LATEST; internal/backup_util.go, GetLatestBackup), and
PostgreSQL replays all it can get. Then it opens, wherever that ended: a gap is no error to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from planton.catalogue.model import BaseBackup, Hole, RecoveryWindow, Span, order_of
from planton.catalogue.names import segment_name
from planton.catalogue.replay import Reach, replay
from planton.catalogue.segments import WalIndex
from planton.catalogue.timelines import Histories, off_path
from planton.catalogue.times import exact
from planton.catalogue.wal_reader import WalReader

# An idle database with a checkpoint now and then archives segments without a commit; they are small.
_MOST_BACK = 16
_MOST_READS = 64
_TOO_SHORT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Archive:
    """What the arithmetic takes.

    Attributes:
        backups: All base backups of the prefix, whoever made them.
        owners: Name of the backup -> system identifier of its cluster; 0 when nothing says it.
        index: The WAL segments.
        histories: The history files.
        segment_size: Size of a segment in bytes.
        partials: Timeline and number of `.partial` segments.
        newest_segment: When the store got the newest segment of all; None without any.
    """

    backups: Sequence[BaseBackup]
    owners: Mapping[str, int]
    index: WalIndex
    histories: Histories
    segment_size: int
    partials: Collection[tuple[int, int]] = ()
    newest_segment: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be restored from one base backup.

    Attributes:
        backup: The backup; with what is wrong with it, its files, its timeline, its WAL.
        end: The last commit that replay reaches, or the time of the last segment; None when the backup cannot be used,
            and when it is known that replay reaches no commit.
        is_exact: Whether it is known by what was read.
        stopped: Why replay ends although there is more WAL; empty when it does not.
        next_segment: Name of the segment that would have been next.
    """

    backup: BaseBackup
    end: datetime | None = None
    is_exact: bool = False
    stopped: str = ""
    next_segment: str = ""


def judge(archive: Archive, reader: WalReader | None) -> tuple[Verdict, ...]:
    """Works out for each base backup what can be restored from it.

    Args:
        archive: What is in the archive.
        reader: Reads WAL; None when it is not read, and ends are estimates.

    Returns:
        The verdicts in the order of the backups' sentinels, oldest first.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    return _Judge(archive, reader).run()


class _Judge:
    def __init__(self, archive: Archive, reader: WalReader | None) -> None:
        self._archive, self._reader = archive, reader
        self._left = _MOST_READS
        self._commits: dict[tuple[str, int | None], datetime | None] = {}

    def run(self) -> tuple[Verdict, ...]:
        # The newest first, so that what may be read is spent on the end of the archive.
        verdicts = [self._judge(one) for one in sorted(self._archive.backups, key=order_of, reverse=True)]
        return tuple(reversed(verdicts))

    def _judge(self, backup: BaseBackup) -> Verdict:
        if backup.problem:
            return Verdict(backup)
        archive, size = self._archive, self._archive.segment_size
        path = archive.histories.path(backup.timeline)
        problem = off_path(path, backup.timeline, backup.start_lsn, backup.finish_lsn)
        if problem:
            return Verdict(_with(backup, problem))
        owner = archive.owners.get(backup.name, 0)
        first = backup.start_lsn // size
        reach = replay(archive.index, path, first, size, owner, archive.partials, since=backup.modified)
        following = segment_name(*reach.next, size)
        if not reach.holds(backup.finish_lsn, size):
            why = reach.problem or f"{following} is not in the archive"
            return Verdict(_with(backup, f"the WAL that it needs to become consistent is not whole: {why}"))
        commit, is_known = self._last_commit(reach)
        end = commit if is_known else reach.pieces[-1].modified
        return Verdict(backup, end, is_known, reach.problem, following)

    def _last_commit(self, reach: Reach) -> tuple[datetime | None, bool]:
        """Finds the last commit that is replayed, and whether that is known; none and known when there is no commit."""
        if self._reader is None:
            return None, False
        steps = 0
        for piece in reversed(reach.pieces):
            for number in range(piece.last, piece.first - 1, -1):
                if steps >= _MOST_BACK:
                    return None, False
                name = segment_name(piece.timeline, number, self._archive.segment_size)
                place = (name, None if steps else reach.limit)
                if place not in self._commits:
                    if self._left < 1:
                        return None, False
                    self._left -= 1
                    self._commits[place] = self._reader.last_commit(name, before=place[1])
                if self._reader.problem:
                    return None, False
                steps += 1
                if (commit := self._commits[place]) is not None:
                    return commit, True
        return None, True


def _with(backup: BaseBackup, problem: str) -> BaseBackup:
    return replace(backup, problem=problem)


def chosen_in_turn(backups: Iterable[BaseBackup]) -> tuple[BaseBackup, ...]:
    """Gives the backups that Spilo chooses for some target time.

    Args:
        backups: All base backups of the prefix.

    Returns:
        Them by the time after which each is chosen; of several with one time the first one that is listed.
    """
    first: dict[datetime, BaseBackup] = {}
    for one in sorted(backups, key=order_of):
        first.setdefault(one.listed, one)
    return tuple(first[moment] for moment in sorted(first))


def windows(verdicts: Sequence[Verdict], owners: Mapping[str, int], archive: Archive) -> Mapping[int, RecoveryWindow]:
    """Puts the windows together: one for each cluster.

    Args:
        verdicts: What can be restored from each backup.
        owners: Name of the backup -> what its cluster is told by; the windows are named by the same.
        archive: What is in the archive.

    Returns:
        What a cluster is told by -> its window.
    """
    by_name = {one.backup.name: one for one in verdicts}
    turn = [by_name[one.name] for one in chosen_in_turn(one.backup for one in verdicts)]
    spans: dict[int, list[Span]] = {}
    holes: dict[int, list[tuple[Hole, bool]]] = {}
    for verdict, following in zip(turn, [*turn[1:], None], strict=False):
        owner = owners[verdict.backup.name]
        until = following.backup.listed if following is not None else None
        span = _span(verdict, until)
        if span is not None:
            spans.setdefault(owner, []).append(span)
        own = _holes(verdict, span, until, archive.newest_segment)
        holes.setdefault(owner, []).extend(own)
    newest = max(verdicts, key=lambda one: order_of(one.backup), default=None)
    return {
        owner: _window(spans.get(owner, []), holes.get(owner, []), newest, owner == owners[newest.backup.name])
        for owner in set(owners.values())
        if newest is not None
    }


def _span(verdict: Verdict, until: datetime | None) -> Span | None:
    backup, end = verdict.backup, verdict.end
    if end is None:
        return None
    # At M itself the backup before is chosen; at the finish this one is, when that is later.
    is_later = backup.finish_time > backup.listed
    start = backup.finish_time if is_later else backup.listed
    is_cut = until is not None and until < end
    if is_cut and until is not None:
        end = until
    if start > end or (start == end and not (is_later and is_cut)):
        return None
    return Span(backup.name, start, end, verdict.is_exact, includes_start=is_later, includes_end=is_cut)


def _holes(
    verdict: Verdict, span: Span | None, until: datetime | None, newest_segment: datetime | None
) -> list[tuple[Hole, bool]]:
    """Finds where a backup is chosen and cannot serve, each with whether that is also worth saying at the very end."""
    backup = verdict.backup
    last = until
    if last is None and newest_segment is not None and newest_segment > backup.listed:
        last = newest_segment
    if backup.problem:
        return [(Hole(backup.listed, last, f"{backup.name}: {backup.problem}"), True)] if last is not None else []
    found = []
    if backup.finish_time > backup.listed:
        finish = backup.finish_time if until is None else min(backup.finish_time, until)
        found.append((Hole(backup.listed, finish, f"{backup.name} was not finished yet"), False))
    end = span.end if span is not None else max(backup.listed, backup.finish_time)
    if last is None or last <= end:
        return found
    if verdict.stopped:
        found.append((Hole(end, last, verdict.stopped), True))
    else:
        reason = (
            f"nothing that was committed after {exact(verdict.end)} is in the archive, and PostgreSQL needs a later "
            "commit to know that it has arrived"
            if verdict.end is not None
            else "nothing that was committed later is in the archive"
        )
        found.append((Hole(end, last, reason), False))
    return found


def _window(
    spans: list[Span], holes: list[tuple[Hole, bool]], newest: Verdict | None, is_newest: bool
) -> RecoveryWindow:
    first = spans[0].start if spans else None
    last = spans[-1].end if spans else None
    kept = [
        hole
        for hole, is_said in sorted(holes, key=lambda pair: pair[0].start)
        if hole.end - hole.start >= _TOO_SHORT
        and first is not None
        and last is not None
        and hole.start >= first
        and (hole.start < last or is_said)
    ]
    if newest is None or not is_newest:
        problem = "the newest base backup is of another database cluster: a restore without a time brings that one back"
        return RecoveryWindow(tuple(spans), tuple(kept), problem=problem)
    problem = newest.backup.problem
    if problem:
        problem = f"{newest.backup.name}, the newest base backup: {problem}"
    elif newest.stopped:
        problem = f"it ends early, and the database opens without a word of it: {newest.stopped}"
    return RecoveryWindow(
        tuple(spans), tuple(kept), newest.backup.name, newest.end, problem, newest.is_exact and newest.end is not None
    )
