"""Whether a store does what backups need of it: tried out with the keys that the database has, and tidied up after."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from planton.catalogue._keys import KEYS
from planton.catalogue.bucket import TIMEOUT, Bucket, WritableBucket, open_bucket
from planton.errors import StoreError, StoreProblem
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials
from planton.translate.store import STORE_VARIABLES

CHECK_FOLDER = "planton-check/"
"""Folder of the objects that a probe writes. wal-g lists it with the archive and leaves it alone: its retention deletes
what has 24 digits of a WAL segment in its name, base backups' names included (v3.0.5 and v3.0.8,
internal/databases/postgres/delete.go, timelineAndSegmentNoLess; timeline.go, TryFetchTimelineAndLogSegNo)."""

Outcome = Literal["ok", "warning", "failed", "not tried"]

# In the order in which one follows from the other. A failure of the last ones has nothing to do with reading.
_READING = ("reachable", "certificate", "keys", "bucket", "region", "clock", "readable")
_WRITING = ("writable", "clock", "deletable singly", "deletable in a batch")
_CHECK_OF: dict[StoreProblem, str] = {
    "unreachable": "reachable",
    "certificate": "certificate",
    "credentials": "keys",
    "no bucket": "bucket",
    "region": "region",
    "clock": "clock",
}
# What a failure leaves proven: an answer came back; for the rest stores differ in what they look at first.
_PROVEN_BY: dict[StoreProblem, tuple[str, ...]] = {
    "unreachable": (),
    "certificate": ("reachable",),
    "forbidden": ("reachable", "certificate", "keys"),
}
_ANSWERED = ("reachable", "certificate")

_SKEW_SAID = timedelta(seconds=15)
_SKEW_TOO_MUCH = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried.

    Attributes:
        check: What: `reachable`, `certificate`, `keys`, `bucket`, `region`, `clock`, `readable`, `writable`,
            `deletable singly` or `deletable in a batch`.
        outcome: How it went.
        text: What was seen, in words.
        remedy: What to do; empty when it is well.
        problem: What kind of trouble it is; None when the store has none.
    """

    check: str
    outcome: Outcome
    text: str = ""
    remedy: str = ""
    problem: StoreProblem | None = None


class Judged:
    """What is good or bad by its findings.

    Attributes:
        findings: Each thing once, in the order in which they follow from each other.
    """

    __slots__ = ()
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing failed. Warnings, and what was not tried, do not count."""
        return all(one.outcome != "failed" for one in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What failed."""
        return tuple(one for one in self.findings if one.outcome == "failed")


@dataclass(frozen=True, slots=True)
class Probe(Judged):
    """What a probe has found.

    Attributes:
        subject: What was tried: `s3://<bucket>/<path> at <host>`.
        findings: Each thing once, in the order in which they follow from each other.
        left_behind: Keys of objects that the probe wrote and could not delete, below the archive's prefix.
    """

    subject: str
    findings: tuple[Finding, ...]
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """What a probe depends on: accesses of one key share one probe. Prints no credential.

    Attributes:
        bucket: Name of the bucket.
        store: Variables that decide about the store.
        keys: The keys, or where they are.
        certificates: Certificate of the store's authority.
    """

    bucket: str
    store: tuple[tuple[str, str], ...] = field(repr=False)
    keys: Credentials = field(repr=False)
    certificates: Credentials = field(repr=False)


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Whether there is anything in an archive.

    Attributes:
        first: Keys of some of its objects, the first ones; empty for an empty archive.
    """

    first: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there but what a probe has left."""
        return not self.first


def probe_key(access: ArchiveAccess) -> ProbeKey:
    """Says which accesses need only one probe: those of one store, bucket and pair of keys, whatever their prefix.

    Args:
        access: How an archive is reached.

    Returns:
        What can be compared, and be the key of a dictionary.
    """
    store = {name: value for name, value in access.environment.items() if value and name in {*STORE_VARIABLES, *KEYS}}
    known, lacking = access.contents.reveal(), access.contents.unresolved
    keys = Credentials(
        {name: known[name] for name in KEYS if name in known},
        {name: lacking[name] for name in KEYS if name in lacking},
    )
    nowhere = {
        name: f"{access.namespace}/{access.references[name]}"
        for name in KEYS
        if name in access.references and name not in known and name not in lacking
    }
    return ProbeKey(access.bucket, tuple(sorted({**store, **nowhere}.items())), keys, access.certificates)


def archive_state(bucket: Bucket, *, most: int = 3) -> ArchiveState:
    """Looks whether there is anything in an archive, as a rule by one request.

    Args:
        bucket: The archive's bucket.
        most: How many keys to give at most.

    Returns:
        What is there.

    Raises:
        StoreError: The store refused, or could not be reached.
    """
    for page in bucket.pages():
        found = [one.key for one in page if not one.key.startswith(CHECK_FOLDER)]
        if found:
            return ArchiveState(tuple(found[:most]))
    return ArchiveState()


def probe(
    access: ArchiveAccess,
    *,
    write: bool,
    timeout: float = TIMEOUT,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Probe:
    """Tries out whether a store does what backups need: reading, writing, and the two ways of deleting.

    A store's trouble is a finding and no error. What is written are three objects of some bytes below `planton-check/`
    in the archive's prefix; they are deleted again, and what stays is named.

    Args:
        access: How the archive is reached.
        write: Whether to write and delete, too; else it is only read.
        timeout: Seconds after which each request is given up.
        now: The clock of this machine, in UTC.

    Returns:
        What was found.
    """
    try:
        bucket = open_bucket(access, timeout=timeout)
    except StoreError as error:
        return Probe(error.subject, (*_reading_failed(error, ()), *_not_tried(_WRITING, but=("clock",))))
    return probe_bucket(bucket, write=write, now=now)


def probe_bucket(bucket: WritableBucket, *, write: bool, now: Callable[[], datetime]) -> Probe:
    """Tries out a bucket that is open: see `probe`.

    Args:
        bucket: The bucket.
        write: Whether to write and delete, too.
        now: The clock of this machine, in UTC.

    Returns:
        What was found.
    """
    try:
        archive_state(bucket)
    except StoreError as error:
        failed = _reading_failed(error, _PROVEN_BY.get(error.problem, _ANSWERED))
        return Probe(bucket.subject, (*failed, *_not_tried(_WRITING, but=("clock",))))
    certificate = "trusted" if bucket.uses_tls else "plain HTTP: there is none, and backups travel in clear"
    texts = {"certificate": certificate, "clock": "near enough for the store to take requests"}
    found = {check: Finding(check, "ok", texts.get(check, "")) for check in _READING}
    if not write:
        return Probe(bucket.subject, (*found.values(), *_not_tried(_WRITING, but=("clock",))))
    trial = _Trial(bucket, now)
    trial.run()
    found.update({one.check: one for one in trial.findings})
    return Probe(bucket.subject, tuple(found.values()), trial.left_behind)


class _Trial:
    """Writes, reads back and deletes, and keeps in mind what may be there."""

    def __init__(self, bucket: WritableBucket, now: Callable[[], datetime]) -> None:
        self.findings: list[Finding] = []
        self.left_behind: tuple[str, ...] = ()
        self._bucket = bucket
        self._now = now
        # Never 24 digits of a segment in it: lower case, and too short.
        token = secrets.token_hex(8)
        self._keys = tuple(f"{CHECK_FOLDER}{token}-{number}" for number in (1, 2, 3))
        self._content = f"planton looked whether it may write here: {token}\n".encode()
        self._there: set[str] = set()

    def run(self) -> None:
        try:
            self._try_out()
        finally:
            self._tidy_up()

    def _try_out(self) -> None:
        single, *batch = self._keys
        begun = self._now()
        if not self._try("writable", lambda: self._write(single)):
            self.findings += _not_tried(("deletable singly", "deletable in a batch"))
            return
        ended = self._now()
        self._try("clock", lambda: self._compare_clocks(begun, ended))
        self._try("deletable singly", lambda: self._delete((single,), lambda: self._bucket.delete_one(single)))
        self._try("deletable in a batch", lambda: self._delete_batch(batch))

    def _try(self, check: str, function: Callable[[], Finding]) -> bool:
        try:
            finding = function()
        except StoreError as error:
            finding = _failed(check, error)
        self.findings.append(replace(finding, check=check))
        return finding.outcome != "failed"

    def _write(self, key: str) -> Finding:
        # Also when it fails: a store can have written what it did not answer to.
        self._there.add(key)
        self._bucket.write(key, self._content)
        if self._bucket.read(key, most=len(self._content) + 1) != self._content:
            return Finding(
                "",
                "failed",
                f"what was written to {key} does not come back when it is read",
                "Look into the store: such backups cannot be restored.",
                "refused",
            )
        return Finding("", "ok")

    def _compare_clocks(self, begun: datetime, ended: datetime) -> Finding:
        """Compares with the time that the store gave to the object, which lies between these two of ours."""
        found = self._bucket.stat(self._keys[0])
        if found is None:
            return Finding(
                "",
                "failed",
                "what was written is not in the listing",
                "Look into the store: wal-g finds backups by listing.",
                "refused",
            )
        # Some stores give whole seconds.
        early, late = begun - timedelta(seconds=1) - found.modified, found.modified - ended
        skew = max(early, late)
        if skew <= _SKEW_SAID:
            return Finding("", "ok", "agrees with the store's")
        side = "behind" if early > late else "ahead of"
        text = f"the store's clock is {skew.total_seconds():.0f} s {side} this machine's"
        remedy = (
            "Set the clocks by NTP. S3 refuses requests from 15 minutes on, and a restore chooses the base backup by "
            "the store's time."
        )
        outcome: Outcome = "failed" if skew > _SKEW_TOO_MUCH else "warning"
        return Finding("", outcome, text, remedy, "clock")

    def _delete_batch(self, keys: Sequence[str]) -> Finding:
        for key in keys:
            self._there.add(key)
            self._bucket.write(key, self._content)
        return self._delete(keys, lambda: self._bucket.delete(keys))

    def _delete(self, keys: Sequence[str], function: Callable[[], None]) -> Finding:
        function()
        if kept := [key for key in keys if self._bucket.stat(key) is not None]:
            return Finding(
                "",
                "failed",
                f"the store says that it deletes, and {', '.join(kept)} stays",
                "Look at locks and retention rules of the bucket: without deletion the archive grows for ever.",
                "refused",
            )
        self._there.difference_update(keys)
        return Finding("", "ok")

    def _tidy_up(self) -> None:
        """Deletes what may still be there, one way or the other, as long as the store answers."""
        ways = (self._bucket.delete_one, lambda key: self._bucket.delete([key]))
        for key, delete in [(key, delete) for key in sorted(self._there) for delete in ways]:
            if key in self._there and not self._delete_at_last(key, delete):
                break
        self.left_behind = tuple(sorted(self._there))
        if not self.left_behind:
            return
        said = f"{', '.join(self.left_behind)} may still be there, below {self._bucket.subject}: delete it by hand"
        for number, one in enumerate(self.findings):
            if one.outcome == "failed":
                self.findings[number] = replace(one, remedy=f"{one.remedy} {said}.".strip())

    def _delete_at_last(self, key: str, delete: Callable[[str], None]) -> bool:
        """Deletes; False when there is no sense in going on."""
        try:
            delete(key)
        except StoreError as error:
            if error.problem == "unreachable":
                return False
        try:
            if self._bucket.stat(key) is None:
                self._there.discard(key)
        except StoreError as error:
            return error.problem != "unreachable"
        return True


def _reading_failed(error: StoreError, proven: Sequence[str]) -> list[Finding]:
    failed = _CHECK_OF.get(error.problem, "readable")
    return [
        _failed(check, error) if check == failed else Finding(check, "ok" if check in proven else "not tried")
        for check in _READING
    ]


def _failed(check: str, error: StoreError) -> Finding:
    return Finding(check, "failed", error.text, error.remedy, error.problem)


def _not_tried(checks: Sequence[str], *, but: Sequence[str] = ()) -> list[Finding]:
    return [Finding(check, "not tried") for check in checks if check not in but]
