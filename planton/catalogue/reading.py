"""Reads the catalogue of an archive straight from its bucket; only reads.

What it costs, for B base backups and N objects of WAL: B / 250 requests to list the base backups (files and folders),
two reads for each (its sentinel and its metadata.json, small files), N / 1,000 requests for the WAL and some tens more
for each timeline of more than 2,000 segments (listing.py), one for the folders beside, one read for each history file.
What a backup consists of is not listed. With a reader of WAL there are one or a few segments more: the last ones, and
those where there is a doubt about whose they are. All of that runs in several threads; what is kept in memory are the
backups and the stretches of WAL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from planton.catalogue.backups import BackupFiles, read_backups, segment_size_of
from planton.catalogue.bucket import Bucket
from planton.catalogue.lineages import Owners, adopt, beginnings, owners_of, start_segments
from planton.catalogue.listing import list_wal, read_latest
from planton.catalogue.model import (
    BaseBackup,
    Catalogue,
    Lineage,
    RecoveryWindow,
    SegmentRun,
    StoredObject,
    Switch,
    Timeline,
    order_of,
)
from planton.catalogue.names import (
    BACKUPS,
    DEFAULT_SEGMENT_SIZE,
    KNOWN_FOLDERS,
    SENTINEL,
    WAL,
    backup_of_sentinel,
    parse_wal_key,
)
from planton.catalogue.retention import next_deleted
from planton.catalogue.segments import Listing, WalIndex
from planton.catalogue.timelines import Histories, parse_history
from planton.catalogue.wal_reader import WalReader
from planton.catalogue.window import Archive, judge, windows

__all__ = ["read_catalogue", "read_latest"]

_THREADS = 16
# A sentinel has some hundred bytes. Before files_metadata.json there was, wal-g wrote the names of all files into it.
_MOST_JSON = 8 << 20
_MOST_HISTORIES = 256
# What a check of the store puts there and takes away again.
_OWN_FOLDERS = frozenset({"planton-check"})


def read_catalogue(
    bucket: Bucket,
    *,
    now: datetime,
    retention: int = 0,
    wal: WalReader | None = None,
    prefix: str = "",
    threads: int = _THREADS,
) -> Catalogue:
    """Reads what is in an archive.

    Args:
        bucket: The archive.
        now: When the next run of retention is taken to be.
        retention: BACKUP_NUM_TO_RETAIN; 0 when it is not known.
        wal: Reads WAL; None when it is not read: then ends are estimates, and what leads from one timeline to the next
            is not known.
        prefix: Name of the archive, `s3://<bucket>/<path>`; empty for what the bucket calls itself.
        threads: How many requests are under way at once.

    Returns:
        The catalogue.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    pool = ThreadPoolExecutor(max_workers=max(threads, 1), thread_name_prefix="catalogue")
    try:
        return _Reading(bucket, pool, wal).read(prefix or bucket.subject, now, retention)
    finally:
        # After an error nothing is begun any more; what is under way ends by its own timeout.
        pool.shutdown(wait=True, cancel_futures=True)


class _Reading:
    def __init__(self, bucket: Bucket, pool: ThreadPoolExecutor, wal: WalReader | None) -> None:
        self._bucket, self._pool, self._wal = bucket, pool, wal
        self._warnings: list[str] = []

    def read(self, prefix: str, now: datetime, retention: int) -> Catalogue:
        others = self._pool.submit(self._bucket.folders, "")
        backups, unfinished, troubles = self._backups()
        size = segment_size_of(backups) or self._segment_size()
        cuts = [moment for moment, _ in beginnings(backups)][1:]
        watched = frozenset(start_segments(backups, size))
        listing = list_wal(self._bucket, self._pool, size, cuts, watched)
        histories = self._histories(listing, backups)
        owners = owners_of(listing, backups, self._wal)
        self._warn(listing, histories, [*others.result()])
        belongs = adopt(backups, owners.chunks, size)
        archive = Archive(
            backups,
            belongs,
            WalIndex(owners.chunks),
            histories,
            size,
            listing.partials,
            max((one.newest for one in owners.chunks), default=None),
        )
        verdicts = judge(archive, self._wal)
        keys = {one.name: _key(one, belongs) for one in backups}
        known = {*keys.values(), *(one.owner for one in owners.chunks if one.owner)}
        found = windows(verdicts, keys, archive)
        deleted = next_deleted(backups, keep=retention, at=now, is_blocked=bool(troubles))
        lineages = [
            Lineage(
                system_identifier=max(key, 0),
                version=_version([one for one in backups if keys[one.name] == key], owners, key),
                segment_size=size,
                backups=(own := tuple(one.backup for one in verdicts if keys[one.backup.name] == key)),
                timelines=_timelines(owners, histories, key, size, is_only=len(known) < 2),
                window=found[key],
                next_deleted=tuple(name for name in deleted if any(one.name == name for one in own)),
            )
            for key in dict.fromkeys(keys[one.name] for one in sorted(backups, key=order_of, reverse=True))
        ]
        lineages.reverse()
        strangers = self._strangers(owners, histories, set(keys.values()), size)
        if self._wal is not None and self._wal.problem:
            self._warnings.append(f"WAL could not be read, so that times are estimates: {self._wal.problem}")
        return Catalogue(
            prefix=prefix,
            lineages=(*strangers, *lineages),
            unfinished=unfinished,
            segments=listing.count,
            size=listing.size + sum(one.size for one in backups),
            warnings=(*troubles, *owners.warnings, *self._warnings),
        )

    def _backups(self) -> tuple[tuple[BaseBackup, ...], tuple[str, ...], tuple[str, ...]]:
        listed = self._pool.submit(self._bucket.files, BACKUPS)
        folders = set(self._bucket.folders(BACKUPS))
        sentinels = {name: one for one in listed.result() if (name := backup_of_sentinel(one.key))}

        def read(pair: tuple[str, StoredObject]) -> BackupFiles:
            name, stored = pair
            content = self._bucket.read(f"{BACKUPS}{name}{SENTINEL}", most=_MOST_JSON)
            has_folder = name in folders
            metadata = self._bucket.read(f"{BACKUPS}{name}/metadata.json", most=_MOST_JSON) if has_folder else None
            return BackupFiles(name, stored, content, metadata, has_folder)

        backups, troubles = read_backups(self._pool.map(read, sentinels.items()))
        return backups, tuple(sorted(folders - set(sentinels))), troubles

    def _segment_size(self) -> int:
        """Without a backup that says it, the header of a segment does."""
        if self._wal is not None and not self._wal.problem:
            for page in self._bucket.pages(WAL):
                for one in page:
                    name = parse_wal_key(one.key)
                    if name is not None and name.kind == "segment":
                        header = self._wal.header(one.key.removeprefix(WAL)[:24])
                        return header.segment_size if header is not None else DEFAULT_SEGMENT_SIZE
        return DEFAULT_SEGMENT_SIZE

    def _histories(self, listing: Listing, backups: Iterable[BaseBackup]) -> Histories:
        known = Histories(frozenset(listing.histories))
        needed = {known.newest_from(one.timeline) for one in backups} & listing.histories
        rest = sorted(listing.histories - needed, reverse=True)[: max(_MOST_HISTORIES - len(needed), 0)]
        wanted = sorted({*needed, *rest})
        read: dict[int, tuple[Switch, ...]] = {}
        unread: dict[int, str] = {}
        broken: dict[int, str] = {}
        if self._wal is None:
            unread = dict.fromkeys(wanted, "its .history file was not read")
            wanted = []
        for number, content in zip(wanted, self._pool.map(self._history, wanted), strict=True):
            if content is None:
                problem = self._wal.problem if self._wal is not None else ""
                unread[number] = problem or "its .history file is damaged"
                continue
            switches = parse_history(content, number)
            if isinstance(switches, str):
                broken[number] = switches
            else:
                read[number] = switches
        return Histories(known.present, read, unread, broken)

    def _history(self, timeline: int) -> bytes | None:
        return self._wal.history(timeline) if self._wal is not None else None

    def _warn(self, listing: Listing, histories: Histories, folders: Sequence[str]) -> None:
        for timeline in sorted({one.timeline for one in listing.chunks}):
            if timeline > 1 and timeline not in histories.present:
                self._warnings.append(
                    f"timeline {timeline} has WAL, and its .history file is not there: no restore from a backup of an "
                    "earlier timeline goes over to it or to a later one"
                )
            if listing.is_jumbled(timeline):
                self._warnings.append(
                    f"the times of the WAL of timeline {timeline} are out of order, as in a bucket that was copied: "
                    "they do not say when it was archived"
                )
        for number, problem in sorted({**histories.unread, **histories.broken}.items()):
            if number in histories.broken or self._wal is not None:
                self._warnings.append(f"{number:08X}.history: {problem}")
        if listing.doubled:
            self._warnings.append(
                f"some segments are there with two extensions ({', '.join(listing.doubled)}): a restore takes one of "
                "them, and it may be the wrong one"
            )
        if listing.unknown_count:
            self._warnings.append(
                f"{listing.unknown_count} objects in {WAL} are none that a restore asks for (such as "
                f"{', '.join(one.removeprefix(WAL) for one in listing.unknown[:3])})"
            )
        foreign = sorted({*folders} - KNOWN_FOLDERS - _OWN_FOLDERS)
        if foreign:
            names = ", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else "")
            self._warnings.append(
                f"other folders lie below this archive's prefix ({names}): its retention deletes what looks like WAL "
                "or base backups in them, too"
            )

    def _strangers(self, owners: Owners, histories: Histories, known: set[int], size: int) -> list[Lineage]:
        """Clusters of which there is WAL only."""
        found = dict.fromkeys(one.owner for one in owners.chunks if one.owner not in known)
        # WAL of which nobody knows whose it is belongs to the only cluster there is.
        if known:
            found.pop(0, None)
        newest = {key: max(one.newest for one in owners.chunks if one.owner == key) for key in found}
        return [
            Lineage(
                system_identifier=key,
                version=owners.versions.get(key, ""),
                segment_size=size,
                backups=(),
                timelines=_timelines(owners, histories, key, size, is_only=not known and len(found) < 2),
                window=RecoveryWindow(problem="there is no base backup: nothing can be restored from WAL alone"),
            )
            for key in sorted(found, key=lambda key: newest[key])
        ]


def _key(backup: BaseBackup, belongs: Mapping[str, int]) -> int:
    """What tells a cluster: its system identifier; where no backup says it, the major version, as a negative number."""
    return belongs[backup.name] or -(backup.server_version // 10000)


def _version(backups: Sequence[BaseBackup], owners: Owners, key: int) -> str:
    return next((one.version for one in reversed(backups) if one.version), "") or owners.versions.get(key, "")


def _timelines(owners: Owners, histories: Histories, key: int, size: int, *, is_only: bool) -> tuple[Timeline, ...]:
    runs: dict[int, list[SegmentRun]] = {}
    for one in owners.chunks:
        if is_only or one.owner in (key, 0):
            run = SegmentRun(one.timeline, one.first, one.last, one.first_modified, one.last_modified, one.size)
            runs.setdefault(one.timeline, []).append(run)
    own = {number for number in histories.present if is_only or _fits(histories, number, runs, size)}
    numbers = sorted({*runs, *own})
    return tuple(
        Timeline(number, tuple(runs.get(number, ())), histories.read.get(number, ()), number in histories.present)
        for number in numbers
    )


def _fits(histories: Histories, number: int, runs: dict[int, list[SegmentRun]], size: int) -> bool:
    """Tells whether a history file is that of a cluster: the timeline that was left reaches to where it was left."""
    switches = histories.read.get(number, ())
    if not switches:
        return number in runs
    segment = switches[-1].lsn // size
    own = [*runs.get(switches[-1].timeline, ()), *runs.get(number, ())]
    return any(one.first - 1 <= segment <= one.last + 1 for one in own)
