"""What comes out of a restore from an archive, before anything is created: whether it works, and what it brings back.

PostgreSQL and Spilo do not say it in time. A base backup of which a tar is gone is fetched all the same; where the WAL
ends too early, or cannot be decrypted, PostgreSQL takes that for the end of the archive and opens; and a target that it
does not reach makes Spilo try again without one (4.0-p3 and 4.1, bootstrap/maybe_pg_upgrade.py, perform_pitr).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from planton.catalogue.choice import Choice, choose
from planton.catalogue.decrypt import INSTALL
from planton.catalogue.reading import read_catalogue
from planton.catalogue.times import age, not_after
from planton.catalogue.wal_archive import check_key, open_wal
from planton.catalogue.wholeness import missing_files
from planton.cluster.restoring.preflight_facts import Examined, Wanted
from planton.cluster.restoring.preflight_wal import NeededWal, needed_wal
from planton.cluster.restoring.preflight_words import command, ends, no_base_backup, out_of_reach, size_text
from planton.translate.birth import Birth
from planton.words import counted

if TYPE_CHECKING:
    from planton.catalogue.bucket import Bucket
    from planton.catalogue.model import BaseBackup, Catalogue, Lineage
    from planton.catalogue.wal_archive import KeyCheck
    from planton.catalogue.wal_reader import WalReader
    from planton.translate.archive_access import ArchiveAccess


def examine(bucket: Bucket, access: ArchiveAccess, wanted: Wanted, *, now: datetime) -> Examined:
    """Looks into an archive, as a restore will find it.

    Args:
        bucket: The archive, opened with the keys that the new pods will have.
        access: How it is reached and read.
        wanted: What is to come of it.
        now: The time, in UTC.

    Returns:
        What was found out.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    reader = open_wal(bucket, access)
    catalogue = read_catalogue(bucket, now=now, retention=access.retention, wal=reader, prefix=access.prefix)
    target = moment_of(wanted.target) if wanted.target else None
    choice = choose(catalogue, target)
    if not catalogue.backups:
        return Examined((no_base_backup(catalogue, wanted.source),))
    examination = _Examination(bucket, access, wanted, catalogue, choice, reader, now)
    examination.run(target)
    return examination.result(target)


def moment_of(text: str) -> datetime:
    """Reads a target time of a manifest.

    Args:
        text: A time with its zone, which the rule on the field has seen to.

    Returns:
        The time in UTC.
    """
    return datetime.fromisoformat(text).astimezone(UTC)


class _Examination:
    def __init__(
        self,
        bucket: Bucket,
        access: ArchiveAccess,
        wanted: Wanted,
        catalogue: Catalogue,
        choice: Choice,
        reader: WalReader,
        now: datetime,
    ) -> None:
        self._bucket, self._access, self._wanted = bucket, access, wanted
        self._catalogue, self._choice, self._reader, self._now = catalogue, choice, reader, now
        self._reasons: list[str] = []
        self._warnings: list[str] = []
        self._needed = NeededWal()

    def run(self, target: datetime | None) -> None:
        """Looks at everything, so that all that is wrong is said at once."""
        choice, backup = self._choice, self._choice.backup
        self._elsewhere()
        is_read = backup is None or self._keys(backup)
        if target is not None and choice.span is None:
            self._reasons.append(out_of_reach(self._catalogue, choice, self._wanted.target, target, now=self._now))
        elif target is None and choice.problem:
            self._reasons.append(self._not_whole(choice))
        if backup is None:
            return
        self._files(backup)
        self._version(backup)
        self._size(backup)
        if choice.lineage is not None and not self._reasons:
            self._wal(backup, choice.lineage, target, is_read=is_read)
            self._end(target)
            self._whose(choice.lineage)
            self._kept(backup, choice.lineage)

    def result(self, target: datetime | None) -> Examined:
        """Puts it together."""
        said = (*self._warnings, *(one for one in self._catalogue.warnings if not one.startswith(_UNREAD)))
        backup, lineage = self._choice.backup, self._choice.lineage
        if self._reasons or backup is None or lineage is None:
            return Examined(tuple(self._reasons), said)
        birth = Birth(
            prefix=self._access.prefix,
            target_time=self._wanted.target,
            system_identifier=str(lineage.system_identifier or ""),
            timeline=str(backup.timeline),
            backup=backup.name,
        )
        if backup.version:
            birth = replace(birth, version=backup.version)
        return Examined(warnings=said, effects=self._effects(backup, target), birth=birth)

    def _elsewhere(self) -> None:
        """Of a prefix of its own making Spilo takes what lies below it, by version, highest first.

        Spilo 4.0-p3 and 4.1, bootstrap/clone_with_wale.py (get_wale_environments).
        """
        prefix = self._access.prefix
        if self._wanted.kind == "standby" or "/spilo/" not in prefix or not prefix.endswith("/wal"):
            return
        below = sorted({*self._bucket.folders("")} & {*self._wanted.image_versions}, key=_number)
        if below:
            self._reasons.append(
                f"from such a place Spilo takes the archive of the highest version below it, which is another one: "
                f"write s3_prefix: {prefix}/{below[-1]}"
            )

    def _keys(self, backup: BaseBackup) -> bool:
        """Tries the key on the backup and on the full one below it; says whether what is read here is what wal-g reads.

        A delta may be newer than a change of the key, which its full backup is not.
        """
        for name in dict.fromkeys((backup.full_backup or backup.name, backup.name)):
            tried = check_key(self._bucket, self._access, backup=name)
            if not tried.problem:
                continue
            if _is_open(tried):
                self._warnings.append(
                    f"not checked is whether its encryption key fits, and where its WAL ends: {tried.problem}"
                )
            else:
                self._reasons.append(f"it cannot be read with what the new database has: {tried.problem}")
            return False
        return True

    def _not_whole(self, choice: Choice) -> str:
        last = self._catalogue.spans[-1].end if self._catalogue.spans else None
        way = ""
        if last is not None and self._wanted.kind == "clone":
            way = f" What is whole can be restored by a target_time, up to {ends(self._catalogue)}."
        return (
            f"not all that is archived can be restored: {choice.problem}.{way} A new base backup mends it for what "
            f"comes after{command('create', self._wanted.source)}"
        )

    def _files(self, backup: BaseBackup) -> None:
        if backup.problem:
            return  # The window says it.
        missing = missing_files(self._bucket, backup, self._catalogue.backups)
        if missing:
            self._reasons.append(
                f"the base backup that would be taken is not whole: {missing}. Another time may take another one"
                f"{command('list', self._wanted.source)}"
            )

    def _version(self, backup: BaseBackup) -> None:
        wanted, found = _number(self._wanted.version), _number(backup.version)
        known = self._wanted.image_versions
        if found and known and backup.version not in known:
            # It is replayed by the version that wrote it: start_old_cluster in maybe_pg_upgrade.py (see above).
            self._reasons.append(
                f"its base backup {backup.name} was made by PostgreSQL {found}, which the image of the pods does not "
                f"have: it has {known[0]} to {known[-1]}"
            )
            return
        if not wanted or not found or wanted == found:
            return
        if wanted < found:
            self._reasons.append(
                f"its base backup {backup.name} was made by PostgreSQL {found}, and this database has {wanted}: there "
                f'is no way back to an older version. Write version: "{found}"'
            )
        elif self._wanted.kind == "standby":
            self._reasons.append(
                f"its base backup {backup.name} was made by PostgreSQL {found}, and this database has {wanted}: no "
                f'other version can read its WAL. Write version: "{found}"'
            )
        elif self._access.version != self._wanted.version and _number(self._access.version) == found:
            return  # Whoever has read the manifest has said it.
        else:
            self._warnings.append(
                f"its base backup {backup.name} was made by PostgreSQL {found}, and this database has {wanted}: Spilo "
                "runs pg_upgrade after the restore, which takes longer and can fail"
            )

    def _size(self, backup: BaseBackup) -> None:
        """A delta counts what it holds itself: what it goes back to is at least that large, too."""
        known = {one.name: one for one in self._catalogue.backups}
        full = known.get(backup.full_backup, backup)
        size = max(backup.uncompressed_size, full.uncompressed_size)
        if 0 < self._wanted.disk < size:
            self._reasons.append(
                f"its volume of {size_text(int(self._wanted.disk))} cannot hold the {size_text(size)} of "
                f"{full.name if size == full.uncompressed_size else backup.name}: raise container.disk_size"
            )

    def _wal(self, backup: BaseBackup, lineage: Lineage, target: datetime | None, *, is_read: bool) -> None:
        self._needed = needed_wal(self._bucket, lineage, backup, target)
        if not is_read:
            return
        # Its beginning and its end: between them a key does not change twice for nothing.
        for name in dict.fromkeys(one for one in (self._needed.first, self._needed.last) if one):
            if self._reader.header(name) is not None:
                continue
            what = f"{name} is damaged, or was written with another key"
            if self._reader.problem:
                what = f"its base backup opens, and {self._reader.problem}"
            self._reasons.append(
                f"its WAL is not readable throughout: {what}. PostgreSQL would take that for the end of the archive, "
                f"and open without what comes after it. Find a time before it"
                f"{command('window', self._wanted.source)}"
            )
            return

    def _end(self, target: datetime | None) -> None:
        """Says it where nobody knows when the last commit was."""
        span, lineage = self._choice.span, self._choice.lineage
        if target is not None and span is not None and not span.is_exact:
            self._warnings.append(
                f"where its last commit is was not read; the store got its last WAL at {not_after(span.end)}. Where "
                f"nothing was committed between {self._wanted.target} and then, Spilo restores all that there is: "
                "look at the newest rows"
            )
        elif target is None and lineage is not None and not lineage.window.latest_is_exact:
            self._warnings.append("where its last commit is was not read: look at the newest rows")

    def _whose(self, lineage: Lineage) -> None:
        current = self._catalogue.current
        if current is not None and current.system_identifier != lineage.system_identifier:
            self._warnings.append(
                f"two database clusters have archived there, and this brings back the older one: system identifier "
                f"{lineage.system_identifier}, not {current.system_identifier}, which has the newest base backup"
            )

    def _kept(self, backup: BaseBackup, lineage: Lineage) -> None:
        going = {backup.name, backup.full_backup} & set(lineage.next_deleted)
        if going:
            self._warnings.append(
                f"{', '.join(sorted(going))}, which it needs, goes with the next run of retention there, which comes "
                "with the next base backup: be done before, or raise retention.backups_and_days of the source first"
            )

    def _effects(self, backup: BaseBackup, target: datetime | None) -> tuple[str, ...]:
        needed = self._needed
        size = f", {size_text(needed.size)}" if needed.size else ""
        wal = f"{counted(needed.count, 'WAL segment')}{size}"
        told = f"{backup.name} (finished {not_after(backup.finish_time)}, PostgreSQL {backup.version})"
        if target is not None:
            return (f"{self._wanted.name} is restored from {told} to {self._wanted.target}: replays {wal}",)
        return (
            f"{self._wanted.name} {'begins' if self._wanted.kind == 'standby' else 'is restored'} with {told} and "
            f"replays {wal}, to the end of the archive",
            self._until(),
        )

    def _until(self) -> str:
        lineage = self._choice.lineage
        end = lineage.window.latest_end if lineage is not None else None
        if lineage is None or end is None:
            return "nothing was committed there since that base backup was made"
        ago = age((self._now - end).total_seconds())
        if lineage.window.latest_is_exact:
            return f"the last commit that is archived there is of {not_after(end)}, {ago} ago"
        return f"the last WAL there came at {not_after(end)}, {ago} ago: the last commit is of before"


_UNREAD = "WAL could not be read, so that times are estimates"


def _is_open(tried: KeyCheck) -> bool:
    """Whether it is only here that an archive is not read: by what is not installed, and not by its key."""
    return not tried.is_certain or INSTALL in tried.problem


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 4 else 0
