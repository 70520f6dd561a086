"""From backup to restored rows with a real wal-g, where there is one on the PATH, and what the catalogue says of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planton.catalogue.bucket import open_bucket
from planton.catalogue.choice import chosen_backup
from planton.catalogue.reading import read_catalogue
from planton.catalogue.wal_archive import check_key, open_wal
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials
from tests.keys import TEST_ONLY_KEY
from tests.restore.archive import insert, write_without_commit
from tests.restore.postgres import Server, as_server, give, run

WALG = shutil.which("wal-g")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("object-store"),
    pytest.mark.skipif(WALG is None, reason="there is no wal-g on the PATH: restores are tested without it only"),
]

TICK = timedelta(microseconds=1)
ENCRYPTION = {
    "plain": {},
    "OpenPGP": {"WALG_PGP_KEY": TEST_ONLY_KEY},
    "libsodium": {"WALG_LIBSODIUM_KEY": "ab" * 32, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"},
}


class WalG:
    """wal-g with the variables of a pod."""

    def __init__(self, place: Path, access: ArchiveAccess) -> None:
        assert WALG is not None
        self.program = place / "wal-g"
        # Where its own place is closed to the user that PostgreSQL runs as.
        shutil.copy(WALG, self.program)
        self.program.chmod(0o755)
        home = place / "home"
        home.mkdir()
        give(home)
        self.environment = {
            **access.environment,
            **access.contents.reveal(),
            "WALG_S3_PREFIX": access.prefix,
            "HOME": str(home),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
        }

    def __call__(self, *arguments: str | Path, **environment: str) -> str:
        return run(self.program, *arguments, environment={**self.environment, **environment})

    def is_able(self) -> bool:
        """Tells whether it was built with what these variables want."""
        done = subprocess.run(
            [self.program, "st", "put", "/etc/hostname", "planton-check/able"],
            env=self.environment,
            capture_output=True,
            text=True,
            cwd="/",
            **as_server(),
        )
        return "not compiled with" not in done.stderr


def restored(server: Server, walg: WalG, folder: Path, backup: str, target: datetime | None) -> tuple[int, ...] | str:
    """Restores as a pod of Spilo does; gives the rows, or what PostgreSQL ended with."""
    folder.mkdir()
    give(folder)
    other = Server(folder, server.programs, walg.environment)
    walg("backup-fetch", other.data, backup)
    other.set(
        unix_socket_directories=f"'{folder}'",
        archive_mode="off",
        hot_standby="off",
        restore_command=f'\'{walg.program} wal-fetch "%f" "%p"\'',
        recovery_target_timeline="'latest'",
        recovery_target_action="'promote'",
        recovery_target_time=f"'{target.isoformat(sep=' ')}'" if target else "''",
    )
    (other.data / "recovery.signal").touch()
    give(folder)
    other.data.chmod(0o700)
    try:
        if not other.wait():
            return other.fatal
        return tuple(int(number) for (number,) in other.sql("SELECT number FROM kept ORDER BY number"))
    finally:
        other.stop()


@pytest.fixture(params=sorted(ENCRYPTION))
def encrypted(request: pytest.FixtureRequest, archived: ArchiveAccess) -> ArchiveAccess:
    """The archive, with each kind of encryption."""
    variables = ENCRYPTION[request.param]
    keys = {name: value for name, value in variables.items() if not name.endswith("TRANSFORM")}
    return replace(
        archived,
        environment={**archived.environment, **{name: variables[name] for name in set(variables) - set(keys)}},
        references={**archived.references, **{name: f"keys/{name}" for name in keys}},
        contents=Credentials({**archived.contents.reveal(), **keys}),
    )


@pytest.fixture
def server(place: Path, programs: Path, encrypted: ArchiveAccess) -> Iterable[Server]:
    walg = WalG(place, encrypted)
    if not walg.is_able():
        pytest.skip("this wal-g was built without libsodium")
    one = Server.create(place / "server", programs, segment_megabytes=16)
    one.environment = walg.environment
    one.set(archive_mode="on", archive_command=f"'{walg.program} wal-push \"%p\"'")
    one.start()
    try:
        yield one
    finally:
        one.stop()


def switch(server: Server) -> None:
    """Ends the segment and waits until it is archived."""
    name = server.value("SELECT pg_walfile_name(pg_current_wal_lsn())")
    server.sql("SELECT pg_switch_wal()")
    for _ in range(300):
        if server.value("SELECT coalesce(max(last_archived_wal), '') FROM pg_stat_archiver") >= name:
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} is not archived: {server.log.read_text()[-3000:]}")


def test_from_backup_to_restored_rows(server: Server, encrypted: ArchiveAccess, place: Path) -> None:
    (place / "hand").mkdir()
    walg = WalG(place / "hand", encrypted)
    walg.environment["PGHOST"] = str(server.folder)
    rows: dict[int, datetime] = {}
    walg("backup-push", server.data)
    time.sleep(1.1)
    rows |= insert(server, 1, 2, 3)
    switch(server)
    time.sleep(1.1)
    walg("backup-push", server.data)
    time.sleep(1.1)
    rows |= insert(server, 4, 5)
    switch(server)
    write_without_commit(server)
    switch(server)

    bucket = open_bucket(encrypted)
    wal = open_wal(bucket, encrypted)
    catalogue = read_catalogue(bucket, now=datetime.now(UTC), wal=wal)
    assert (wal.problem, catalogue.warnings, catalogue.unfinished) == ("", (), ())
    (lineage,) = catalogue.lineages

    # What wal-g itself says of them.
    told = json.loads(walg("backup-list", "--json", "--detail"))
    assert [one["backup_name"] for one in told] == [one.name for one in lineage.backups]
    for said, backup in zip(told, lineage.backups, strict=True):
        assert datetime.fromisoformat(said["time"]) == backup.listed
        assert datetime.fromisoformat(said["finish_time"]) == backup.finish_time
        assert (said["start_lsn"], said["finish_lsn"]) == (backup.start_lsn, backup.finish_lsn)
        assert (said["pg_version"], said["system_identifier"]) == (backup.server_version, backup.system_identifier)
        assert check_key(bucket, encrypted, backup=backup.name).problem == ""
    assert (lineage.window.last, lineage.window.is_exact) == (rows[5], True)
    assert lineage.segment_size == 16 << 20

    middle = rows[1] + (rows[2] - rows[1]) / 2
    for number, target in enumerate((middle, rows[4], rows[5] - TICK, rows[5])):
        chosen = chosen_backup(lineage.backups, target)
        assert chosen is not None
        outcome = restored(server, walg, place / f"restore-{number}", chosen.name, target)
        if any(span.contains(target) for span in lineage.window.spans):
            assert outcome == tuple(sorted(one for one, moment in rows.items() if moment <= target))
        else:
            assert outcome == "recovery ended before configured recovery target was reached"
    assert restored(server, walg, place / "latest", "LATEST", None) == (1, 2, 3, 4, 5)
