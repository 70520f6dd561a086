"""Whether all that a base backup consists of is in the store: looked at for the one backup that a restore takes.

wal-g 3.0.5 and 3.0.8, internal/databases/postgres: a restore takes the tars that are there (backup.go, GetTarNames), so
that one that is gone is missed by nobody until PostgreSQL misses its files. Without pg_control.tar it ends with an
error (unwrapOld), without files_metadata.json, too, unless the backup was made without it
(GetSentinelAndFilesMetadata). The sentinel has the sum of the tars' sizes as it was when wal-g last looked, so that
what is there is as much or a little more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from planton.catalogue.bucket import Bucket
from planton.catalogue.model import BaseBackup
from planton.catalogue.names import BACKUPS, SENTINEL

_TARS = "tar_partitions/"
_MOST_JSON = 8 << 20


def missing_files(bucket: Bucket, backup: BaseBackup, backups: Iterable[BaseBackup]) -> str:
    """Says what is missing of a backup, or of those that it needs.

    It lists them whole: a request for each 1,000 parts of up to a GiB, and reads their sentinels.

    Args:
        bucket: The archive.
        backup: The backup.
        backups: All base backups of the archive.

    Returns:
        What is missing; empty when nothing is.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    for one in _chain(backup, {other.name: other for other in backups}):
        problem = _missing(bucket, one)
        if problem:
            return f"{one.name}: {problem}"
    return ""


def _chain(backup: BaseBackup, known: dict[str, BaseBackup]) -> Iterator[BaseBackup]:
    seen: set[str] = set()
    current: BaseBackup | None = backup
    while current is not None and current.name not in seen:
        seen.add(current.name)
        yield current
        current = known.get(current.from_backup)


def _missing(bucket: Bucket, backup: BaseBackup) -> str:
    folder = f"{BACKUPS}{backup.name}/"
    size = parts = 0
    others: set[str] = set()
    for page in bucket.pages(folder):
        for one in page:
            name = one.key.removeprefix(folder)
            if not name.startswith(_TARS):
                others.add(name)
                continue
            size += one.size
            tar = name.removeprefix(_TARS).partition(".tar")[0]
            if tar in ("pg_control", "backup_label"):
                others.add(tar)
            else:
                parts += 1
    if not parts:
        return "none of its tars is there"
    if "pg_control" not in others:
        return "its pg_control.tar is gone, and wal-g ends with an error"
    if size < backup.size:
        return f"of its tars {size} bytes are there, and {backup.size} were written: some are gone"
    if "files_metadata.json" not in others and _needs_list(bucket, backup):
        return "its files_metadata.json is gone, and wal-g ends with an error"
    return ""


def _needs_list(bucket: Bucket, backup: BaseBackup) -> bool:
    content = bucket.read(f"{BACKUPS}{backup.name}{SENTINEL}", most=_MOST_JSON)
    try:
        given = json.loads(content or b"")
    except (ValueError, RecursionError):
        return False
    if not isinstance(given, dict) or given.get("FilesMetadataDisabled") is True:
        return False
    version = given.get("Version")
    return isinstance(version, int) and version >= 2
