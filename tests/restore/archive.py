"""An archive of WAL-G's form in a real object store, written and read with a real PostgreSQL and without wal-g.

The server runs as a user that may read neither the tests nor their Python. So its archive_command puts segments into a
folder, from which the tests bring them into the store; and before a restore everything is fetched out of the store into
a folder, from which its restore_command takes it.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cramjam

from planton.catalogue.bucket import WritableBucket
from planton.catalogue.names import BACKUPS, SENTINEL, WAL
from tests.restore.postgres import Server, give, moment


@dataclass(frozen=True)
class Outcome:
    """What came of a restore.

    Attributes:
        fatal: What PostgreSQL ended with; empty when it came up.
        rows: The numbers in the table of the tests, in order.
        timeline: Timeline on which it came up; 0 when it did not.
    """

    fatal: str
    rows: tuple[int, ...] = ()
    timeline: int = 0


@dataclass
class Archive:
    """An archive, and the folders beside it.

    Attributes:
        bucket: The archive in the store.
        folder: A folder for servers.
    """

    bucket: WritableBucket
    folder: Path

    def __post_init__(self) -> None:
        self._restores = 0
        # What was read once is not read for each restore again.
        self._contents: dict[str, bytes] = {}
        self._spool = self.folder / "spool"
        self._spool.mkdir()
        give(self._spool)

    def connect(self, server: Server) -> None:
        """Makes a server archive to here; to be done before it starts."""
        spool = self._spool
        command = f"test ! -f {spool}/%f && cp %p {spool}/%f.new && mv {spool}/%f.new {spool}/%f"
        server.set(archive_mode="on", archive_command=f"'{command}'")

    def switch(self, server: Server) -> str:
        """Ends the segment and brings all that was archived into the store; gives the segment's name."""
        name = server.value("SELECT pg_walfile_name(pg_current_wal_lsn())")
        server.sql("SELECT pg_switch_wal()")
        self._wait(server, name)
        self.upload()
        return name

    def upload(self) -> None:
        """Brings what was archived into the store."""
        for path in sorted(self._spool.iterdir()):
            if path.suffix != ".new":
                self.bucket.write(f"{WAL}{path.name}.lz4", bytes(cramjam.lz4.compress(path.read_bytes())))
                path.unlink()

    def back_up(self, server: Server, during: Callable[[], object] = lambda: None) -> str:
        """Makes a base backup as wal-g does: pg_backup_start, a copy, pg_backup_stop, and the sentinel last.

        Args:
            server: The server.
            during: What happens while it is being made.

        Returns:
            Its name.
        """
        started = datetime.now(UTC)
        with server.session() as session:
            start = session("SELECT pg_backup_start('tests', true)")
            content, size = _tar(_files(server.data))
            during()
            stop, label = session("SELECT lsn || '|' || labelfile FROM pg_backup_stop(true)").split("|")
        finished = datetime.now(UTC)
        self.upload()
        name = "base_" + label.split(" (file ")[1].split(")")[0]
        control, _ = _tar([("global/pg_control", server.data / "global/pg_control")])
        parts = {
            "part_001": content,
            "pg_control": control,
            "backup_label": _tar([("backup_label", label.encode())])[0],
        }
        for part, one in parts.items():
            self.bucket.write(f"{BACKUPS}{name}/tar_partitions/{part}.tar.lz4", one)
        stored = sum(map(len, parts.values()))
        facts = {
            "LSN": _lsn(start),
            "PgVersion": int(server.value("SHOW server_version_num")),
            "FinishLSN": _lsn(stop),
            "SystemIdentifier": int(server.value("SELECT system_identifier FROM pg_control_system()")),
            "UncompressedSize": size,
            "CompressedSize": stored,
            "DataCatalogSize": size,
            "ChkpNum": None,
            "Version": 2,
            "StartTime": started.isoformat().replace("+00:00", "Z"),
            "FinishTime": finished.isoformat().replace("+00:00", "Z"),
            "DateFmt": "%Y-%m-%dT%H:%M:%S.%fZ",
            "Hostname": "db-orders-0",
            "DataDir": str(server.data),
            "IsPermanent": False,
        }
        self.bucket.write(f"{BACKUPS}{name}{SENTINEL}", json.dumps(facts).encode())
        return name

    def restore(
        self, server: Server, backup: str, target: datetime | None, *, goes_on: bool = False
    ) -> tuple[Server, Outcome]:
        """Restores as a pod of Spilo does, and leaves the server running when it came up.

        Args:
            server: Any server of the same version and settings.
            backup: Name of the base backup.
            target: Time to which to go; None for the end of the archive.
            goes_on: Whether it archives to where it came from, as after a promotion.

        Returns:
            The server, and what came of it.
        """
        self._restores += 1
        folder = self.folder / f"restore-{self._restores}"
        other = Server(folder, server.programs)
        fetched = folder / "wal"
        fetched.mkdir(parents=True)
        for key in self._files(WAL):
            (fetched / key.removeprefix(WAL).removesuffix(".lz4")).write_bytes(self._read(key))
        for key in self._files(f"{BACKUPS}{backup}/tar_partitions/"):
            with tarfile.open(fileobj=io.BytesIO(self._read(key))) as tar:
                tar.extractall(other.data, filter="tar")
        other.data.chmod(0o700)
        other.set(
            unix_socket_directories=f"'{folder}'",
            archive_mode="on" if goes_on else "off",
            hot_standby="off",
            restore_command=f"'cp {fetched}/%f %p'",
            # What Spilo 4.0-p3 and 4.1 write for a clone: configure_spilo.py, template of recovery_conf.
            recovery_target_timeline="'latest'",
            recovery_target_action="'promote'",
            # Empty is none; what was backed up may name one.
            recovery_target_time=f"'{target.isoformat(sep=' ')}'" if target else "''",
        )
        (other.data / "recovery.signal").touch()
        give(folder)
        if not other.wait():
            return other, Outcome(other.fatal)
        rows = tuple(int(number) for (number,) in other.sql("SELECT number FROM kept ORDER BY number"))
        return other, Outcome("", rows, int(other.value("SELECT timeline_id FROM pg_control_checkpoint()")))

    def _files(self, start: str) -> Iterator[str]:
        return (one.key for page in self.bucket.pages(start) for one in page)

    def _read(self, key: str) -> bytes:
        if key not in self._contents:
            content = self.bucket.read(key, most=1 << 30)
            assert content is not None
            self._contents[key] = bytes(cramjam.lz4.decompress(content))
        return self._contents[key]

    def _wait(self, server: Server, name: str) -> None:
        for _ in range(600):
            if (self._spool / name).exists():
                return
            server.sql("SELECT pg_sleep(0.02)")
        raise AssertionError(f"{name} was not archived: {server.log.read_text()[-2000:]}")


def insert(server: Server, *numbers: int) -> dict[int, datetime]:
    """Inserts rows, each by a transaction of its own; gives when each was committed, as PostgreSQL itself has it."""
    server.sql("CREATE TABLE IF NOT EXISTS kept (number int)")
    server.sql(*(f"INSERT INTO kept VALUES ({number})" for number in numbers))
    rows = server.sql("SELECT number, pg_xact_commit_timestamp(xmin) FROM kept")
    return {int(number): moment(at) for number, at in rows if int(number) in numbers}


def write_without_commit(server: Server) -> None:
    """Writes WAL that ends no transaction, as an idle database does."""
    server.sql("SELECT pg_logical_emit_message(false, 'idle', 'nothing')")


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def _files(data: Path) -> Iterator[tuple[str, Path]]:
    """Gives what belongs to a base backup: all but the WAL, and what says that a server is running."""
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if name == "global/pg_control" or name.startswith(("postmaster.", "pg_wal/", "pg_replslot/", "pg_stat_tmp/")):
            continue
        yield name, path


def _tar(files: Iterable[tuple[str, Path | bytes]]) -> tuple[bytes, int]:
    """Gives files as an object, and their size before."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            if isinstance(content, Path) and content.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(entry)
                continue
            data = content if isinstance(content, bytes) else content.read_bytes()
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return bytes(cramjam.lz4.compress(file.getvalue())), file.tell()
