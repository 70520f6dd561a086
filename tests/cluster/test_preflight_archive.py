"""What a restore from an archive would bring back, by what is in it: each refusal with the nearest that works."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from planton.catalogue.names import BACKUPS, WAL, segment_name
from planton.cluster.restoring.preflight_archive import examine
from planton.cluster.restoring.preflight_facts import Examined, Wanted
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials
from tests.catalogue.archives import at
from tests.catalogue.wal_pages import IDENTIFIER, SEGMENT
from tests.cluster.restorable import Restorable, lz4, whole

NOW = at("12:00:00")
KEY = "5e" * 32
RAW = bytes.fromhex(KEY)
A = "base_000000010000000000000002"


def access(key: str = "", version: str = "15") -> ArchiveAccess:
    return ArchiveAccess(
        namespace="orders",
        scope="db-orders",
        version=version,
        prefix="s3://pg-backups/backups/db-orders/15",
        environment={"WALG_LIBSODIUM_KEY_TRANSFORM": "hex"} if key else {},
        references={"WALG_LIBSODIUM_KEY": "keys/WALG_LIBSODIUM_KEY"} if key else {},
        contents=Credentials({"WALG_LIBSODIUM_KEY": key} if key else {}),
    )


def wanted(target: str = "", **more: object) -> Wanted:
    clone = Wanted("db-restored", "clone", "orders", target, "15", Decimal(2**30))
    return replace(clone, **more)  # type: ignore[arg-type]


def look(archive: Restorable, target: str = "", *, key: str = "", **more: object) -> Examined:
    return examine(archive.memory(), access(key), wanted(target, **more), now=NOW)


def reason(archive: Restorable, target: str = "", *, key: str = "", **more: object) -> str:
    found = look(archive, target, key=key, **more)
    assert found.birth is None
    assert found.effects == ()
    (only,) = found.reasons
    return only


@pytest.fixture
def archive() -> Restorable:
    """By hand: A is finished at 08:00:20, its sentinel comes at 08:00:21; the last commit is of 08:09:59."""
    return whole(at("08:00:00"))


def test_what_retention_is_about_to_delete() -> None:
    archive = whole(at("01T08:00:00"))
    for segment, finish in ((5, at("01T08:04:20")), (8, at("01T08:07:20"))):
        archive.base(segment, finish)
    for kept, told in ((2, True), (30, False)):
        place = replace(access(), retention=kept)
        found = examine(archive.memory(), place, wanted("2026-11-01T08:02:30Z"), now=NOW)
        assert found.reasons == ()
        assert any(f"{A}, which it needs, goes with the next run of retention" in one for one in found.warnings) == told


def test_all_that_is_archived(archive: Restorable) -> None:
    found = look(archive)
    assert (found.reasons, found.warnings) == ((), ())
    size = sum(one.size for key, one in archive.stored.items() if key.startswith(WAL))
    assert found.effects == (
        f"db-restored is restored with {A} (finished 2026-11-22T08:00:20Z, PostgreSQL 15) and replays 11 WAL segments, "
        f"{size / 1024:.1f} KiB, to the end of the archive",
        "the last commit that is archived there is of 2026-11-22T08:09:59Z, 3 h 50 min ago",
    )
    assert found.birth is not None
    assert found.birth.to_json() == (
        f'{{"backup":"{A}","prefix":"s3://pg-backups/backups/db-orders/15","system_identifier":"{IDENTIFIER}",'
        '"timeline":"1","version":"15"}'
    )


def test_a_time(archive: Restorable) -> None:
    found = look(archive, "2026-11-22T09:04:30+01:00")
    assert (found.reasons, found.warnings) == ((), ())
    # Segments 2 to 7: the last one came at 08:05:00, after the target.
    size = sum(archive.stored[f"{WAL}{segment_name(1, number, SEGMENT)}.lz4"].size for number in range(2, 8))
    assert found.effects == (
        f"db-restored is restored from {A} (finished 2026-11-22T08:00:20Z, PostgreSQL 15) to "
        f"2026-11-22T09:04:30+01:00: replays 6 WAL segments, {size / 1024:.1f} KiB",
    )
    assert found.birth is not None
    assert found.birth.target_time == "2026-11-22T09:04:30+01:00"


def test_after_the_end(archive: Restorable) -> None:
    assert reason(archive, "2026-11-22T08:30:00Z") == (
        "a restore to 2026-11-22T08:30:00Z is not possible: the archive reaches until 2026-11-22T08:09:59Z. The "
        "nearest time that can be restored is 2026-11-22T08:09:58Z before it; or all that is archived, without "
        "target_time (--to latest)"
    )


def test_the_last_commit_itself_is_not_reached_and_a_whole_second_before_is_offered(archive: Restorable) -> None:
    archive.wal_segment(13, at("08:11:00"), at("08:10:59.5"))
    text = reason(archive, "2026-11-22T08:10:59.5Z")
    assert "reaches until 2026-11-22T08:10:59Z." in text
    assert "is 2026-11-22T08:10:59Z before it;" in text
    # What is offered works.
    assert look(archive, "2026-11-22T08:10:59Z").reasons == ()


def test_in_the_future(archive: Restorable) -> None:
    text = reason(archive, "2026-11-22T13:30:00Z")
    assert text.startswith("a restore to 2026-11-22T13:30:00Z, which is 1 h 30 min in the future, is not possible: ")


def test_before_the_first_backup(archive: Restorable) -> None:
    assert reason(archive, "2026-11-22T07:59:00Z") == (
        "a restore to 2026-11-22T07:59:00Z is not possible: no base backup is older: the first one, "
        f"{A}, came at 2026-11-22T08:00:21Z. The first time that can be restored is 2026-11-22T08:00:22Z"
    )
    assert look(archive, "2026-11-22T08:00:22Z").reasons == ()


def test_before_the_backup_was_finished(archive: Restorable) -> None:
    """By the second's cut its sentinel lies before its finish: chosen, and not consistent in time."""
    archive.base(8, at("08:06:30.75"), modified=at("08:06:30.9"))
    text = reason(archive, "2026-11-22T08:06:30.5Z")
    assert "was finished only at 2026-11-22T08:06:30.750000Z" in text
    assert "is 2026-11-22T08:06:30Z before it and 2026-11-22T08:06:31Z after it" in text


def test_a_gap(archive: Restorable) -> None:
    archive.drop_wal(6)
    missing = segment_name(1, 6, SEGMENT)
    assert reason(archive) == (
        "not all that is archived can be restored: it ends early, and the database opens without a word of it: "
        f"{missing} is missing. What is whole can be restored by a target_time, up to 2026-11-22T08:02:58Z. A "
        "new base backup mends it for what comes after: planton backups create orders"
    )
    text = reason(archive, "2026-11-22T08:05:00Z")
    assert f"the archive reaches until 2026-11-22T08:02:59Z ({missing} is missing)" in text
    assert look(archive, "2026-11-22T08:02:58Z").reasons == ()


def test_in_a_hole(archive: Restorable) -> None:
    archive.drop_wal(6)
    archive.base(9, at("08:07:30"))
    text = reason(archive, "2026-11-22T08:05:00Z")
    missing = segment_name(1, 6, SEGMENT)
    assert text == (
        "a restore to 2026-11-22T08:05:00Z is not possible: no restore can go to a time from 2026-11-22T08:02:59Z to "
        f"2026-11-22T08:07:32Z: {missing} is missing. The nearest time that can be restored is "
        "2026-11-22T08:02:58Z before it and 2026-11-22T08:07:32Z after it"
    )
    for good in ("2026-11-22T08:02:58Z", "2026-11-22T08:07:32Z", ""):
        assert look(archive, good).reasons == ()


def test_nothing_there() -> None:
    text = reason(Restorable())
    assert text.startswith("it is empty: nothing was ever archived there, or it is not the right place.")
    assert text.endswith("make one first: planton backups create orders")
    # Of one that is given by its place no command knows.
    assert reason(Restorable(), source="").endswith("make one first")


def test_only_wal() -> None:
    archive = Restorable()
    archive.wal_run(2, 4, at("08:00:00"))
    assert reason(archive).startswith("it has no base backup, and nothing can be restored from WAL alone.")


def test_only_one_that_is_not_finished(archive: Restorable) -> None:
    archive.drop(f"{BACKUPS}{A}_backup_stop_sentinel.json")
    assert reason(archive, "2026-11-22T08:05:00Z").startswith(
        f"it has no finished base backup yet: {A} was begun, and is either being made right now or broken off."
    )


def test_a_part_of_the_backup_is_gone(archive: Restorable) -> None:
    archive.drop(f"{BACKUPS}{A}/tar_partitions/part_001")
    text = reason(archive)
    assert text.startswith(f"the base backup that would be taken is not whole: {A}: none of its tars is there.")


def test_the_newest_backup_is_no_good_for_what_comes_after(archive: Restorable) -> None:
    archive.base(30, at("08:20:00"))
    assert "base_00000001000000000000001E" in reason(archive)
    text = reason(archive, "2026-11-22T08:30:00Z")
    assert "the archive reaches until 2026-11-22T08:09:59Z (" in text
    assert "the WAL that it needs to become consistent is not whole" in text


def test_a_timeline_goes_on(archive: Restorable) -> None:
    archive.wal_history(2, at("08:10:30"), (1, 12 * SEGMENT + 0x3000))
    archive.wal_run(12, 14, at("08:11:00"), timeline=2)
    found = look(archive)
    assert found.reasons == ()
    # 2 to 11 of timeline 1, 12 to 14 of timeline 2.
    assert "replays 13 WAL segments" in found.effects[0]
    assert "of 2026-11-22T08:12:59Z" in found.effects[1]
    assert look(archive, "2026-11-22T08:12:30Z").reasons == ()
    # Timeline 2 came later, and its first segment is not reached.
    assert "replays 6 WAL segments" in look(archive, "2026-11-22T08:04:30Z").effects[0]


def test_only_what_the_backup_needs_is_counted(archive: Restorable) -> None:
    archive.base(8, at("08:06:30"))
    assert "replays 5 WAL segments" in look(archive).effects[0]
    # The segment that came at that very second may end before it.
    assert "replays 3 WAL segments" in look(archive, "2026-11-22T08:07:00Z").effects[0]


def test_a_window_within_one_second() -> None:
    archive = Restorable()
    archive.base(2, at("08:00:20.5"), modified=at("08:00:20.6"))
    archive.wal_segment(2, at("08:01:00"), at("08:00:20.9"))
    text = reason(archive, "2026-11-22T08:02:00Z")
    assert "is 2026-11-22T08:00:20.899999Z before it" in text
    assert look(archive, "2026-11-22T08:00:20.899999Z").reasons == ()


def test_encrypted() -> None:
    archive = whole(at("08:00:00"), key=RAW)
    for target in ("", "2026-11-22T08:05:00Z"):
        found = look(archive, target, key=KEY)
        assert (found.reasons, found.warnings) == ((), ())


@pytest.mark.parametrize(("written", "given"), [(RAW, "7f" * 32), (RAW, ""), (b"", KEY)])
def test_another_encryption(written: bytes, given: str) -> None:
    text = "\n".join(look(whole(at("08:00:00"), key=written), "2026-11-22T08:05:00Z", key=given).reasons)
    assert text.startswith(f"it cannot be read with what the new database has: {BACKUPS}{A}/tar_partitions/")
    assert KEY not in text


def test_the_key_has_changed_since_the_backup(archive: Restorable) -> None:
    archive = whole(at("08:00:00"), key=RAW)
    archive.key = bytes.fromhex("7f" * 32)
    archive.wal_run(10, 12, at("08:08:00"))
    text = "\n".join(look(archive, key=KEY).reasons)
    assert f"{segment_name(1, 12, SEGMENT)} is damaged, or was written with another key" in text
    # Before it changed all is well.
    assert look(archive, "2026-11-22T08:05:30Z", key=KEY).reasons == ()


def test_no_wal_opens_with_the_key() -> None:
    archive = whole(at("08:00:00"), key=RAW)
    archive.key = bytes.fromhex("7f" * 32)
    archive.wal_run(2, 12, at("08:00:00"))
    text = "\n".join(look(archive, key=KEY).reasons)
    assert "its WAL is not readable throughout: its base backup opens, and its WAL cannot be decrypted" in text


def test_without_the_library_it_is_said(archive: Restorable, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    archive = whole(at("08:00:00"), key=RAW)
    monkeypatch.setitem(sys.modules, "nacl", None)
    found = look(archive, "2026-11-22T08:05:00Z", key=KEY)
    assert found.reasons == ()
    assert found.birth is not None
    text = "\n".join(found.warnings)
    assert "not checked is whether its encryption key fits" in text
    assert "pip install 'planton[encryption]'" in text
    assert "where its last commit is was not read; the store got its last WAL at 2026-11-22T08:10:00Z" in text
    assert "WAL could not be read" not in text
    assert "where its last commit is was not read: look at the newest rows" in look(archive, key=KEY).warnings
    # What lies beyond any estimate is refused all the same.
    assert "as far as one can tell without its last commit" in reason(archive, "2026-11-22T08:10:01Z", key=KEY)
    assert "the last WAL there came at 2026-11-22T08:10:00Z" in look(archive, key=KEY).effects[1]


@pytest.mark.parametrize(("kind", "refused"), [("clone", False), ("standby", True)])
def test_a_higher_version(archive: Restorable, kind: str, refused: bool) -> None:
    if refused:
        assert "no other version can read its WAL" in reason(archive, kind=kind, version="17")
    else:
        # The manifest says that the archive is of 17, too.
        found = examine(archive.memory(), access(version="17"), wanted(version="17"), now=NOW)
        assert found.reasons == ()
        assert "Spilo runs pg_upgrade after the restore" in "\n".join(found.warnings)
        # Said already by whoever has read the manifest.
        assert look(archive, version="17").warnings == ()


def test_a_lower_version(archive: Restorable) -> None:
    assert reason(archive, version="14") == (
        f"its base backup {A} was made by PostgreSQL 15, and this database has 14: there is no way back to an older "
        'version. Write version: "15"'
    )


def test_a_version_that_the_image_does_not_have(archive: Restorable) -> None:
    versions = ("16", "17", "18")
    assert reason(archive, version="17", image_versions=versions) == (
        f"its base backup {A} was made by PostgreSQL 15, which the image of the pods does not have: it has 16 to 18"
    )
    assert look(archive, image_versions=("14", "15")).reasons == ()


def test_a_prefix_below_which_spilo_looks_first(archive: Restorable) -> None:
    """Spilo, clone_with_wale.py: of …/spilo/…/wal it tries each version's folder before the place itself."""
    place = replace(access(), prefix="s3://pg-backups/spilo/db-orders/wal")
    versions = wanted(image_versions=("13", "14", "15", "16", "17"))
    assert examine(archive.memory(), place, versions, now=NOW).reasons == ()
    archive.put("15/basebackups_005/x", at("08:00:00"), b"x")
    archive.put("9/basebackups_005/x", at("08:00:00"), b"x")
    (text,) = examine(archive.memory(), place, versions, now=NOW).reasons
    assert text.endswith("write s3_prefix: s3://pg-backups/spilo/db-orders/wal/15")
    # Of any other place it takes just that.
    assert look(archive, image_versions=versions.image_versions).reasons == ()


def test_a_volume_that_is_too_small(archive: Restorable) -> None:
    assert reason(archive, disk=Decimal(20 * 2**20)) == (
        f"its volume of 20.0 MiB cannot hold the 22.4 MiB of {A}: raise container.disk_size"
    )
    assert look(archive, disk=Decimal(23_502_280)).reasons == ()


def test_a_delta_needs_the_room_of_its_full_backup(archive: Restorable) -> None:
    archive.base(8, at("08:06:30"), on=A, full=A, uncompressed=1000)
    assert f"cannot hold the 22.4 MiB of {A}" in reason(archive, disk=Decimal(20 * 2**20))
    # With all keys in order the full one is tried, too: the delta alone may be newer than a change of them.
    assert look(archive).reasons == ()


def test_of_a_delta_the_full_backup_is_tried_as_well() -> None:
    archive = whole(at("08:00:00"), key=bytes.fromhex("7f" * 32))
    archive.key = RAW
    archive.wal_run(8, 12, at("08:06:00"))
    archive.base(8, at("08:06:30"), on=A, full=A)
    text = "\n".join(look(archive, key=KEY).reasons)
    assert f"{BACKUPS}{A}/tar_partitions/" in text


def test_everything_at_once(archive: Restorable) -> None:
    found = look(archive, "2026-11-22T08:30:00Z", version="14", disk=Decimal(1))
    assert len(found.reasons) == 3


def test_a_standby(archive: Restorable) -> None:
    found = look(archive, kind="standby")
    assert found.reasons == ()
    assert found.effects[0].startswith(f"db-restored begins with {A} (finished")
    archive.drop_wal(6)
    text = reason(archive, kind="standby")
    assert "target_time" not in text


def test_of_two_clusters_the_older_one(archive: Restorable) -> None:
    archive.base(40, at("10:00:00"), owner=IDENTIFIER + 1)
    archive.wal_segment(40, at("10:01:00"), at("10:00:30"))
    found = look(archive, "2026-11-22T08:05:00Z")
    text = "\n".join(found.warnings)
    assert f"this brings back the older one: system identifier {IDENTIFIER}, not {IDENTIFIER + 1}" in text


def test_damaged_wal_is_no_end_of_the_archive(archive: Restorable) -> None:
    archive.put(f"{WAL}{segment_name(1, 12, SEGMENT)}.lz4", at("08:10:00"), lz4(b"no WAL" * 100))
    archive.wal_segment(13, at("08:11:00"), at("08:10:59"))
    archive.put(f"{WAL}{segment_name(1, 2, SEGMENT)}.lz4", at("08:00:00") + timedelta(), b"garbage")
    text = reason(archive, "2026-11-22T08:05:00Z")
    assert f"{segment_name(1, 2, SEGMENT)} is damaged" in text
