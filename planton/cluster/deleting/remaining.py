"""What remains of a database once it is deleted: what its archive holds, until when, and how one comes back to it.

Retention runs in the pods alone (Spilo 4.0-p3 and 4.1, postgres_backup.sh): an archive whose database is gone stays as
it is until somebody deletes it, or a lifecycle rule of the bucket does.

What was not archived yet comes into the archive when PostgreSQL shuts down in order: with archiving on it switches to
a new WAL segment before the last checkpoint, and the archiver runs once more, trying each segment three times
(PostgreSQL 13 to 18, src/backend/access/transam/xlog.c, ShutdownXLOG; src/backend/postmaster/pgarch.c,
pgarch_ArchiverCopyLoop). A database at rest has nothing to switch, and then nothing comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from planton.catalogue.model import Catalogue, RecoveryWindow
from planton.catalogue.times import after, age, before, not_after
from planton.cluster.api.resources import Key
from planton.errors import StoreError
from planton.translate.archive_record import LeftArchive
from planton.translate.restore_manifest import RestoreManifest
from planton.words import counted

ReadArchive: TypeAlias = Callable[[Key], "Catalogue | StoreError | None"]
"""Reads the archive of a database by the identity of its custom resource, also when that is gone since: what is in it;
why it could not be read; None where it was not looked into."""
MakeBackup: TypeAlias = Callable[[Key], str]
"""Makes a base backup of a running database, waits until it is whole in the archive, and gives its name. Raises a
PlantonError when there is none."""

State: TypeAlias = Literal["restorable", "nothing", "unreadable", "not read", "unknown", "none", "standby"]
"""`nothing` is an archive from which nothing can be restored; `unknown` a database that is gone and of whose archive
the record has no word; `none` one whose backups are off; `standby` one that has only what it follows."""

OLD = timedelta(hours=1)
"""How old the last WAL segment of a running database may be: Spilo's archive_timeout is half of it (Spilo 4.0-p3,
configure_spilo.py), so that whoever writes archives at least that often."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What remains of one database.

    Attributes:
        namespace: Its namespace.
        name: Its name (metadata.name).
        archive: Its archive, `s3://<bucket>/<path> at <host>`; empty when there is none, or none is known.
        state: What can be made of it.
        base_backups: Number of base backups in it, of the newest database cluster there.
        newest_backup: When the newest one was finished, in UTC.
        window: The times to which a restore can go.
        last_wal: When the store got the last WAL segment, in UTC.
        segments: Number of WAL segments.
        problem: Why it could not be read, or what is wrong with it; empty when nothing is.
        lost_secrets: `namespace/name` of Secrets with its keys that go, or are gone.
        command: The command that restores it; empty when nothing can be restored.
        manifest: A manifest that does, without the record; None when its store is not known.
        identifier: System identifier of the database; 0 when it is not known.
        warnings: What else is worth saying of the archive.
    """

    namespace: str
    name: str
    archive: str
    state: State
    base_backups: int = 0
    newest_backup: datetime | None = None
    window: RecoveryWindow = field(default_factory=RecoveryWindow)
    last_wal: datetime | None = None
    segments: int = 0
    problem: str = ""
    lost_secrets: tuple[str, ...] = ()
    command: str = ""
    manifest: RestoreManifest | None = field(default=None, repr=False)
    identifier: int = 0
    warnings: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """Gives the facts for programs.

        Returns:
            A dict for JSON or YAML, with times in UTC.
        """

        def text(moment: datetime | None) -> str | None:
            return not_after(moment) if moment is not None else None

        window = self.window
        return {
            "namespace": self.namespace,
            "name": self.name,
            "archive": self.archive,
            "state": self.state,
            "baseBackups": self.base_backups,
            "newestBackup": text(self.newest_backup),
            "restorableFrom": after(window.first) if window.first is not None else None,
            "restorableUntil": before(window.last) if window.last is not None else None,
            "untilIsExact": window.is_exact,
            "holes": [
                {"start": not_after(one.start), "end": not_after(one.end), "reason": one.reason} for one in window.holes
            ],
            "lastWal": text(self.last_wal),
            "problem": self.problem,
            "lostSecrets": list(self.lost_secrets),
            "restore": self.command,
            "manifest": self.manifest.tree if self.manifest is not None else None,
            "notes": list(self.manifest.notes) if self.manifest is not None else [],
        }


def remaining_of(
    found: Catalogue | StoreError | None,
    left: LeftArchive,
    *,
    name: str,
    lost: tuple[str, ...] = (),
    identifier: int = 0,
) -> Remaining:
    """Says what remains of a database with an archive.

    Args:
        found: What is in its archive; why it could not be read; None where it was not looked into.
        left: The archive.
        name: Name of the database (metadata.name).
        lost: `namespace/name` of Secrets with its keys that go.
        identifier: System identifier of the database; 0 when it is not known.

    Returns:
        What remains; the manifest is left out.
    """
    place = str(left.archive)
    command = restore_command(name, left.namespace)
    if isinstance(found, StoreError):
        return Remaining(
            left.namespace, name, place, "unreadable", problem=found.text, lost_secrets=lost, command=command
        )
    if found is None:
        return Remaining(left.namespace, name, place, "not read", lost_secrets=lost, command=command)
    current = found.current
    strange = ""
    if identifier and current is not None and current.system_identifier not in (0, identifier):
        # Made anew under an old name, or another one writes there: what the newest backup brings back is not its data.
        strange = (
            f"the newest base backup there is of another database cluster (system identifier "
            f"{current.system_identifier}, and {name} has {identifier})"
        )
        current = next((one for one in found.lineages if one.system_identifier == identifier), None)
    window = current.window if current is not None else RecoveryWindow()
    backups = current.backups if current is not None else ()
    runs = [run for one in (current.timelines if current is not None else ()) for run in one.runs]
    is_restorable = bool(backups) and bool(window.spans or window.latest)
    return Remaining(
        left.namespace,
        name,
        place,
        "restorable" if is_restorable else "nothing",
        base_backups=len(backups),
        newest_backup=max((one.finish_time for one in backups), default=None),
        window=window,
        last_wal=max((run.last_modified for run in runs), default=None),
        segments=found.segments,
        problem=strange or window.problem,
        lost_secrets=lost,
        command=command if is_restorable else "",
        identifier=identifier,
        warnings=found.warnings,
    )


def restored_name(name: str) -> str:
    """Gives a name for the database that an old one is restored as: nothing is restored in its place.

    Args:
        name: Name of the old one.

    Returns:
        Another name, short enough to be one.
    """
    return f"{name[:40].rstrip('-')}-restored"


def restore_command(name: str, namespace: str) -> str:
    """Gives the command that restores a database that is gone.

    Args:
        name: Its name (metadata.name).
        namespace: Its namespace.

    Returns:
        The command, for all that is archived.
    """
    return f"planton restore {name} --to latest --as {restored_name(name)} -n {namespace}"


def effects_of(remaining: Remaining, *, live: Mapping[str, Any] | None, now: datetime) -> list[str]:
    """Says what remains, for people.

    Args:
        remaining: What remains.
        live: The custom resource of the database; None when it is gone.
        now: The time, in UTC.

    Returns:
        Sentences without a full stop.
    """
    if remaining.state == "none":
        return [f"{remaining.name} has no archive: with its volumes all data is lost"]
    if remaining.state == "standby":
        return [f"{remaining.name} is a standby: all that it holds is in the archive that it follows, which stays"]
    if remaining.state == "unknown":
        return [f"no archive of {remaining.name} is known: with its volumes all data may be lost"]
    said = [_contents(remaining)]
    said += [
        f"within that, no restore can go to a time from {not_after(hole.start)} to {not_after(hole.end)}: {hole.reason}"
        for hole in remaining.window.holes
    ]
    if remaining.problem and remaining.state in ("restorable", "nothing"):
        said.append(f"a restore to the end of its archive is not whole: {remaining.problem}")
    said += remaining.warnings
    if _is_behind(remaining, live, now):
        said.append(f"{_last_wal(remaining, now)}: what was written since is in the volumes only")
    if remaining.lost_secrets:
        said.append(
            f"the keys to its archive go with {_secrets(remaining)}: keep them, and give them in `archive.credentials` "
            "(a key of encryption in `archive.encryption`) when you restore"
        )
    said.append(
        "from then on nobody deletes from its archive (retention runs in the pods): it stays, and costs, until "
        "somebody deletes it, or a lifecycle rule of the bucket does"
    )
    return said


def _contents(remaining: Remaining) -> str:
    place = f"the archive of {remaining.name}, {remaining.archive}, stays"
    if remaining.state == "unreadable":
        return f"{place}; it could not be read from here, so nobody knows what is in it: {remaining.problem}"
    if remaining.state == "not read":
        return f"{place}; it was not looked into"
    count, newest = remaining.base_backups, remaining.newest_backup
    if remaining.state == "nothing":
        has = f"{_backups(count)}, none of which can be restored" if count else "no finished base backup"
        return f"{place}, and has {has}: NOTHING can be restored once the volumes are gone"
    finished = f", the newest of {not_after(newest)}" if newest is not None else ""
    return f"{place}: {_backups(count)}{finished}; {_window(remaining.window)}"


def _backups(count: int) -> str:
    return counted(count, "base backup")


def _window(window: RecoveryWindow) -> str:
    if window.first is None or window.last is None:
        end = f", {not_after(window.latest_end)}," if window.latest_end is not None else ""
        return f"it can be restored to the end of its archive{end}, and to no other time"
    about = "" if window.is_exact else "about "
    return f"it can be restored to any time from {after(window.first)} to {about}{before(window.last)}"


def _secrets(remaining: Remaining) -> str:
    many = "s" if len(remaining.lost_secrets) > 1 else ""
    return f"Secret{many} {', '.join(remaining.lost_secrets)}"


def _last_wal(remaining: Remaining, now: datetime) -> str:
    if remaining.last_wal is None:
        return f"there is no WAL in the archive of {remaining.name}"
    ago = age((now - remaining.last_wal).total_seconds())
    return f"the last WAL of {remaining.name} came into its archive {ago} ago ({not_after(remaining.last_wal)})"


def _is_behind(remaining: Remaining, live: Mapping[str, Any] | None, now: datetime) -> bool:
    """Whether a database that runs has archived nothing for long; one that is stopped has nothing to archive."""
    if live is None or not is_started(live) or remaining.state != "restorable":
        return False
    return remaining.last_wal is None or now - remaining.last_wal > OLD


def is_started(live: Mapping[str, Any]) -> bool:
    """Tells whether a database is meant to run.

    Args:
        live: Its custom resource.

    Returns:
        False for one with no pods.
    """
    return bool((live.get("spec") or {}).get("numberOfInstances", 1))


def is_standby(live: Mapping[str, Any]) -> bool:
    """Tells whether a database follows another's archive: then it archives nothing of its own.

    Args:
        live: Its custom resource.

    Returns:
        True until it is promoted.
    """
    return bool((live.get("spec") or {}).get("standby"))


def volume_reasons(
    remaining: Remaining, *, live: Mapping[str, Any] | None, left: LeftArchive | None, last_backup: bool, now: datetime
) -> list[str]:
    """Says why the volumes of a database do not go without the word for it: its data would, or may, be lost.

    Args:
        remaining: What remains of it.
        live: Its custom resource; None when it is gone.
        left: Its archive; None when there is none.
        last_backup: Whether a base backup is made before, and must succeed.
        now: The time, in UTC.

    Returns:
        Reasons, each with its remedy; empty when its archive, or the one that it follows, holds what the volumes do,
        and where its backups are off.
    """
    if remaining.state in ("none", "standby"):
        return []
    subject, where = f"{remaining.namespace}/{remaining.name}", remaining.archive
    is_offered = live is not None and is_started(live) and remaining.state in ("restorable", "nothing")
    remedy = ("Make a last base backup first, with --last-backup; or, where" if is_offered else "Where") + (
        " the data may be lost, say so with --without-backup"
    )
    if remaining.state == "unknown":
        why = "no archive of it is known"
    elif remaining.state == "unreadable":
        why = f"its archive {where} could not be read: {remaining.problem}"
    elif remaining.state == "not read":
        why = f"its archive {where} was not looked into"
    elif last_backup:
        return []
    elif remaining.state == "nothing":
        why = f"nothing can be restored from its archive {where}"
    elif remaining.problem:
        why = f"its archive {where} is not whole: {remaining.problem}"
    elif _is_behind(remaining, live, now):
        why = f"{_last_wal(remaining, now)}, and what was written since is in the volumes only"
    elif live is None and left is not None and _is_cut_off(remaining, left):
        why = (
            f"{_last_wal(remaining, now)}, before it was deleted ({left.left_at}): a database at rest has nothing to "
            "archive then; what another one wrote since is in the volumes only"
        )
    else:
        return []
    return [f"the volumes of {subject} do not go: {why}. {remedy}"]


def _is_cut_off(remaining: Remaining, left: LeftArchive) -> bool:
    """Whether nothing has come since the deletion, by which a database archives its last WAL."""
    if not left.left_at or remaining.last_wal is None:
        return remaining.last_wal is None
    return not_after(remaining.last_wal) < left.left_at


def has_grown(earlier: Remaining, later: Remaining) -> bool:
    """Tells whether WAL has come into an archive meanwhile. Goes by the store's own clock alone.

    Args:
        earlier: What was there.
        later: What is there now.

    Returns:
        True when there is more, or newer.
    """
    if later.last_wal is None:
        return False
    is_newer = earlier.last_wal is None or later.last_wal > earlier.last_wal
    return is_newer or later.segments > earlier.segments


def reached(earlier: Remaining, later: Remaining) -> tuple[list[str], str]:
    """Says until when an archive reaches after its database has been shut down.

    Args:
        earlier: What was in it right before.
        later: What is in it now.

    Returns:
        Sentences; and why the volumes had better stay, empty when they need not.
    """
    if later.state in ("unreadable", "not read"):
        why = f"could not be read after the shutdown: {later.problem}" if later.problem else "was not looked into"
        return [f"the archive of {later.name} {why}"], f"its archive {why}"
    end, is_exact = later.window.latest_end or later.window.last, later.window.latest_is_exact
    until = ""
    if end is not None:
        until = f"the archive of {later.name} reaches until {'' if is_exact else 'about '}{not_after(end)}"
    if later.state == "nothing":
        return [_contents(later)], "nothing can be restored from its archive"
    if has_grown(earlier, later):
        return [f"{until}, with the WAL of its shutdown"] if until else [], ""
    last = f"; the last WAL came {not_after(later.last_wal)}" if later.last_wal is not None else ""
    return (
        [
            f"no WAL has come into the archive of {later.name} with its shutdown{last}. A database at rest has none "
            "left to archive; what another one wrote since is in its volumes only"
        ],
        "no WAL has come into its archive with the shutdown",
    )
