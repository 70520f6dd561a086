"""What is said of an archive that a delete leaves, and when volumes do not go; no cluster is needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from planton.catalogue.model import Catalogue, Hole
from planton.cluster.deleting.remaining import (
    Remaining,
    effects_of,
    has_grown,
    reached,
    remaining_of,
    restored_name,
    volume_reasons,
)
from planton.errors import StoreError
from planton.translate.archive_record import DELETED, LeftArchive
from tests.cluster.left import UNREACHABLE, backup, catalogue
from tests.cluster.objects import Object

NOW = datetime(2026, 11, 22, 8, 14, 35, tzinfo=UTC)
LEFT = LeftArchive("h", "s3://b/x", "a", "db-x", "17", DELETED, left_at="2026-11-22T08:00:00Z")
LIVE: Object = {"spec": {"numberOfInstances": 1}}
STOPPED: Object = {"spec": {"numberOfInstances": 0}}
MINUTE = timedelta(minutes=1)


def remaining(found: Catalogue | StoreError | None, **parts: object) -> Remaining:
    return replace(remaining_of(found, LEFT, name="x"), **parts)  # type: ignore[arg-type]


def said(one: Remaining, live: Object | None = LIVE) -> str:
    return "\n".join(effects_of(one, live=live, now=NOW))


def reasons(one: Remaining, live: Object | None = LIVE, *, last_backup: bool = False) -> list[str]:
    return volume_reasons(one, live=live, left=LEFT, last_backup=last_backup, now=NOW)


def test_an_archive_that_is_whole() -> None:
    # Two backups, of 30 and of 6 hours before the last WAL, which is a minute old.
    one = remaining(catalogue(NOW - MINUTE))
    text = said(one)
    assert "the archive of x, s3://b/x at h, stays: 2 base backups, the newest of 2026-11-22T02:13:35Z" in text
    assert "it can be restored to any time from 2026-11-21T02:13:36Z to 2026-11-22T08:13:34Z" in text
    assert "from then on nobody deletes from its archive" in text
    assert "volumes only" not in text
    assert reasons(one) == []
    assert one.command == "planton restore x --to latest --as x-restored -n a"
    data = one.data()
    assert (data["state"], data["baseBackups"], data["newestBackup"]) == ("restorable", 2, "2026-11-22T02:13:35Z")
    assert (data["restorableFrom"], data["restorableUntil"]) == ("2026-11-21T02:13:36Z", "2026-11-22T08:13:34Z")
    assert data["untilIsExact"] is True


def test_the_archive_of_another_cluster_is_no_archive_of_its_own() -> None:
    whole = replace(catalogue(NOW - MINUTE), warnings=("a folder of somebody else's is there",))
    (other,) = whole.lineages
    one = remaining_of(whole, LEFT, name="x", identifier=other.system_identifier + 1)
    assert (one.state, one.base_backups, one.last_wal, one.command) == ("nothing", 0, None, "")
    assert "the newest base backup there is of another database cluster" in said(one)
    assert "a folder of somebody else's is there" in said(one)
    (reason,) = reasons(one)
    assert "nothing can be restored from its archive" in reason
    assert remaining_of(whole, LEFT, name="x", identifier=other.system_identifier).state == "restorable"
    # Its own is there, and is not the newest.
    own = replace(other, system_identifier=other.system_identifier + 1)
    both = remaining_of(replace(whole, lineages=(own, other)), LEFT, name="x", identifier=own.system_identifier)
    assert (both.state, both.base_backups) == ("restorable", 2)
    (reason,) = reasons(both)
    assert "is not whole: the newest base backup there is of another" in reason


def test_an_end_that_is_an_estimate_is_called_one() -> None:
    whole = catalogue(NOW - MINUTE)
    (lineage,) = whole.lineages
    spans = tuple(replace(one, is_exact=False) for one in lineage.window.spans)
    guessed = replace(whole, lineages=(replace(lineage, window=replace(lineage.window, spans=spans)),))
    assert "to about 2026-11-22T08:13:34Z" in said(remaining(guessed))


def test_a_hole_and_an_end_that_is_not_whole_are_said() -> None:
    hole = Hole(NOW - 20 * MINUTE, NOW - 10 * MINUTE, "000000010000000000000007 is missing")
    one = remaining(catalogue(NOW - MINUTE, holes=(hole,), problem="WAL ends at 000000010000000000000007"))
    text = said(one)
    assert "from 2026-11-22T07:54:35Z to 2026-11-22T08:04:35Z: 000000010000000000000007 is missing" in text
    assert "a restore to the end of its archive is not whole: WAL ends at" in text
    (reason,) = reasons(one)
    assert reason.startswith("the volumes of a/x do not go: its archive s3://b/x at h is not whole")
    assert "--last-backup" in reason
    assert "--without-backup" in reason


@pytest.mark.parametrize(
    "found",
    [
        Catalogue("s3://b/x"),
        catalogue(NOW - MINUTE, backups=()),
        catalogue(NOW - MINUTE, backups=(backup(NOW - MINUTE, problem="its sentinel is damaged"),)),
    ],
)
def test_an_archive_from_which_nothing_can_be_restored(found: Catalogue) -> None:
    one = remaining(found)
    assert "NOTHING can be restored once the volumes are gone" in said(one)
    (reason,) = reasons(one)
    assert "nothing can be restored from its archive" in reason
    assert one.command == ""
    # A last backup that must succeed is a remedy for that, and for nothing that cannot be seen.
    assert reasons(one, last_backup=True) == []


@pytest.mark.parametrize(
    ("found", "words"), [(UNREACHABLE, "could not be read from here, so"), (None, "was not looked into")]
)
def test_an_archive_that_was_not_read(found: StoreError | None, words: str) -> None:
    one = remaining(found)
    assert words in said(one)
    for last_backup in (False, True):
        (reason,) = reasons(one, last_backup=last_backup)
        assert "Where the data may be lost, say so with --without-backup" in reason
        assert "--last-backup" not in reason


def test_a_database_that_runs_and_has_not_archived_for_long() -> None:
    for ago, is_refused in ((59 * MINUTE, False), (61 * MINUTE, True)):
        one = remaining(catalogue(NOW - ago))
        assert bool(reasons(one)) is is_refused
        assert ("what was written since is in the volumes only" in said(one)) is is_refused
        assert reasons(one, last_backup=True) == []
        # One that is stopped has nothing to archive.
        assert reasons(one, STOPPED) == []
    (reason,) = reasons(remaining(catalogue(NOW - 61 * MINUTE)))
    assert "came into its archive 1 h 1 min ago (2026-11-22T07:13:35Z)" in reason


def test_a_database_that_is_gone_must_have_archived_its_end() -> None:
    assert reasons(remaining(catalogue(NOW - 14 * MINUTE)), None) == []  # After 08:00:00, when it was deleted.
    (reason,) = reasons(remaining(catalogue(NOW - 15 * MINUTE)), None)
    assert "before it was deleted (2026-11-22T08:00:00Z)" in reason
    assert "--last-backup" not in reason


def test_without_an_archive() -> None:
    off = Remaining("a", "x", "", "none")
    assert effects_of(off, live=LIVE, now=NOW) == ["x has no archive: with its volumes all data is lost"]
    assert volume_reasons(off, live=LIVE, left=None, last_backup=False, now=NOW) == []
    unknown = Remaining("a", "x", "", "unknown")
    (reason,) = volume_reasons(unknown, live=None, left=None, last_backup=False, now=NOW)
    assert "no archive of it is known" in reason


def test_a_standby_has_nothing_of_its_own() -> None:
    one = Remaining("a", "x", "s3://b/x at h", "standby")
    (text,) = effects_of(one, live=LIVE, now=NOW)
    assert "all that it holds is in the archive that it follows" in text
    assert reasons(one) == []


def test_keys_that_go_are_said() -> None:
    one = remaining(catalogue(NOW - MINUTE), lost_secrets=("a/db-x-backup-credentials",))
    text = said(one)
    assert "the keys to its archive go with Secret a/db-x-backup-credentials" in text
    assert "`archive.credentials`" in text


def test_whether_the_end_has_come_is_seen_by_the_store_alone() -> None:
    before = remaining(catalogue(NOW - MINUTE))
    assert not has_grown(before, before)
    assert has_grown(before, remaining(catalogue(NOW)))
    assert has_grown(before, remaining(catalogue(NOW - MINUTE, segments=6)))
    assert has_grown(remaining(Catalogue("s3://b/x")), before)
    assert not has_grown(before, remaining(Catalogue("s3://b/x")))


def test_until_when_it_reaches_in_the_end() -> None:
    before = remaining(catalogue(NOW - MINUTE))
    assert reached(before, remaining(catalogue(NOW))) == (
        ["the archive of x reaches until 2026-11-22T08:14:35Z, with the WAL of its shutdown"],
        "",
    )
    (warning,), why = reached(before, before)
    assert "no WAL has come into the archive of x with its shutdown; the last WAL came 2026-11-22T08:13:35Z" in warning
    assert why
    assert reached(before, remaining(UNREACHABLE))[1]
    assert reached(before, remaining(None))[1]
    assert reached(before, remaining(Catalogue("s3://b/x")))[1]


@pytest.mark.parametrize("name", ["x", "n" * 49, f"{'n' * 39}-nnnnnnnnn"])
def test_another_name_is_one_that_a_database_can_have(name: str) -> None:
    assert restored_name(name) != name
    assert len(restored_name(name)) <= 49
    assert "--" not in restored_name(name)


def test_nothing_that_reads_stores_is_imported_before_one_is_looked_into() -> None:
    code = "import sys, planton.cluster, planton.cli.delete; print(sorted({'obstore', 'cramjam'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
