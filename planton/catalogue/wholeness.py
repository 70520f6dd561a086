"""Whether all that a base backup consists of is in the store: looked at for the one backup that a restore takes.

wal-g 3.0.5 and 3.0.8, internal/databases/postgres: a restore takes the tars that are there (backup.go, GetTarNames), so
that one that is gone is missed by nobody until PostgreSQL misses its files. Two of them it knows by their names
(tars_to_extract_provider.go): pg_control.tar, without which nothing starts, and backup_label.tar, by which PostgreSQL
knows where replay begins. Only without both it ends with an error (backup.go, unwrapOld); without backup_label.tar
PostgreSQL begins at the wrong place and may open with damaged data. Made with the compression method `none`, which
3.0.8 has and 3.0.5 has not, their names end with a point, and wal-g does not find them (tried with 3.0.8).

Without files_metadata.json it ends with an error, unless the backup was made without it (GetSentinelAndFilesMetadata).
The sentinel has the sum of the tars' sizes as it was when wal-g last looked, before the last ones had all been counted
(backup_push_handler.go, uploadBackup), so that what is there is as much or a little more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from planton.catalogue.bucket import Bucket
from planton.catalogue.model import BaseBackup
from planton.catalogue.names import BACKUPS, SENTINEL

_TARS = "tar_partitions/"
_CONTROL = re.compile(r".*pg_control\.tar(?:\..+)?")
_LABEL = re.compile(r".*backup_label\.tar(?:\..+)?")
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
    has_control = has_label = is_listed = False
    for page in bucket.pages(folder):
        for one in page:
            name = one.key.removeprefix(folder)
            is_listed = is_listed or name == "files_metadata.json"
            if not name.startswith(_TARS):
                continue
            size += one.size
            tar = name.removeprefix(_TARS)
            if _CONTROL.fullmatch(tar):
                has_control = True
            elif _LABEL.fullmatch(tar):
                has_label = True
            elif not tar.startswith(("pg_control.tar", "backup_label.tar")):
                parts += 1
    if not parts:
        return "none of its tars is there"
    if not has_control:
        return "its pg_control.tar is gone, or has a name by which wal-g does not find it: nothing starts without it"
    if not has_label:
        return "its backup_label.tar is gone: PostgreSQL would begin at the wrong place, and its data could be damaged"
    if size < backup.size:
        return f"of its tars {size} bytes are there, and {backup.size} were written: some are gone"
    if not is_listed and _needs_list(bucket, backup):
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
