"""What the newest base backup of an archive says of its database cluster: by two small files, without a listing."""

from __future__ import annotations

from dataclasses import dataclass

from planton.catalogue.backups import BackupFiles, read_backups, segment_size_of
from planton.catalogue.bucket import Bucket
from planton.catalogue.model import BaseBackup, Latest, StoredObject
from planton.catalogue.names import BACKUPS, SENTINEL
from planton.catalogue.wal_reader import WalReader

# A sentinel has some hundred bytes. Before files_metadata.json there was, wal-g wrote the names of all files into it.
_MOST_JSON = 8 << 20


@dataclass(frozen=True, slots=True)
class NewestBackup:
    """What the newest base backup says.

    Attributes:
        backup: The backup; None when there is none.
        segment_size: Size of a WAL segment in bytes; 0 when it is not known.
    """

    backup: BaseBackup | None = None
    segment_size: int = 0

    @property
    def system_identifier(self) -> int:
        """System identifier of its database cluster; 0 when it is not known."""
        return self.backup.system_identifier if self.backup is not None else 0


def newest_backup(bucket: Bucket, latest: Latest) -> NewestBackup:
    """Reads the newest base backup, by two requests.

    Args:
        bucket: The archive.
        latest: What is newest in it.

    Returns:
        What it says; nothing for an archive without a base backup.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    if not latest.backup or latest.backup_modified is None:
        return NewestBackup()
    key = f"{BACKUPS}{latest.backup}{SENTINEL}"
    content = bucket.read(key, most=_MOST_JSON)
    metadata = bucket.read(f"{BACKUPS}{latest.backup}/metadata.json", most=_MOST_JSON)
    sentinel = StoredObject(key, len(content or b""), latest.backup_modified)
    found, _ = read_backups([BackupFiles(latest.backup, sentinel, content, metadata)])
    return NewestBackup(found[0], segment_size_of(found)) if found else NewestBackup()


def owner_of(bucket: Bucket, latest: Latest, wal: WalReader) -> tuple[int, str]:
    """Finds out whose archive it is, by what came last.

    Args:
        bucket: The archive.
        latest: What is newest in it.
        wal: Reads WAL.

    Returns:
        System identifier of the database cluster, 0 when nothing says it; and what says it, or why it is not known.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    identifier = newest_backup(bucket, latest).system_identifier
    if identifier:
        return identifier, latest.backup
    if latest.segment:
        header = wal.header(latest.segment)
        if header is not None:
            return header.system_identifier, f"WAL segment {latest.segment}"
    if wal.problem:
        return 0, wal.problem
    return 0, "it has no base backup and no WAL segment that says it"
