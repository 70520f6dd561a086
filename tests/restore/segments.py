"""Makes the WAL segments of tests/catalogue/data/wal: one of each major version, by its own server.

`PLANTON_TEST_POSTGRES=/folder/of/its/programs python -m tests.restore.segments` writes `<major>.xz`, a segment of
1 MiB, and `<major>.json`, what pg_waldump says of its commits and aborts.
"""

from __future__ import annotations

import json
import lzma
import re
from datetime import datetime
from pathlib import Path

from tests.restore.postgres import Server, reachable_programs, run, workplace

DATA = Path(__file__).resolve().parents[1] / "catalogue" / "data" / "wal"
_ENDED = re.compile(
    r"rmgr: Transaction .*lsn: (\S+?)/(\S+?), .*desc: (?:COMMIT|ABORT)(?:_PREPARED)? (?:\d+: )?(\d{4}-\S+ \S+) UTC"
)


def ended(programs: Path, segment: Path) -> list[tuple[int, datetime]]:
    """Gives LSN and time of each commit and abort of a segment, as pg_waldump prints them."""
    found: list[tuple[int, datetime]] = []
    for line in dump(programs, segment).splitlines():
        if match := _ENDED.match(line):
            moment = datetime.fromisoformat(match[3] + "+00:00")
            found.append((int(match[1], 16) << 32 | int(match[2], 16), moment))
    return found


def dump(programs: Path, segment: Path) -> str:
    """Gives what pg_waldump says of a segment. It ends with an error where the next one would be wanted."""
    try:
        return run(programs / "pg_waldump", segment)
    except AssertionError as error:
        return str(error)


def fill(server: Server) -> Path:
    """Ends transactions in all the ways that there are; gives the segment, which a switch ends."""
    server.sql("SELECT pg_switch_wal()", "CHECKPOINT")
    server.sql(
        "CREATE TABLE one (number int PRIMARY KEY, filler text)",
        "SELECT pg_replication_origin_create('elsewhere')",
        *(f"INSERT INTO one VALUES ({number}, repeat('x', {number}))" for number in range(200)),
        "BEGIN", "INSERT INTO one VALUES (900, repeat(md5('1'), 900))", "ROLLBACK",
        "BEGIN", "INSERT INTO one VALUES (901, 'a')", "SAVEPOINT within", "INSERT INTO one VALUES (902, 'b')", "COMMIT",
        "BEGIN", "INSERT INTO one VALUES (903, 'c')", "PREPARE TRANSACTION 'kept'", "COMMIT PREPARED 'kept'",
        "BEGIN", "INSERT INTO one VALUES (904, 'd')", "PREPARE TRANSACTION 'left'", "ROLLBACK PREPARED 'left'",
        "SELECT pg_logical_emit_message(false, 'prefix', repeat('long enough for pages ', 2000))",
        "SELECT pg_replication_origin_session_setup('elsewhere')", "INSERT INTO one VALUES (905, 'e')",
    )  # fmt: skip
    name = server.value("SELECT pg_walfile_name(pg_current_wal_lsn())")
    server.sql("SELECT pg_switch_wal()")
    return server.data / "pg_wal" / name


def main() -> None:
    """Writes the files."""
    with workplace() as folder:
        programs = reachable_programs(folder)
        server = Server.create(folder / "server", programs)
        server.start()
        try:
            major = str(int(server.value("SHOW server_version_num")) // 10000)
            segment = fill(server)
            told = ended(programs, segment)
            identifier = int(server.value("SELECT system_identifier FROM pg_control_system()"))
            DATA.mkdir(parents=True, exist_ok=True)
            (DATA / f"{major}.xz").write_bytes(lzma.compress(segment.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
            facts = {
                "name": segment.name,
                "system_identifier": identifier,
                "ended": [[f"{lsn:X}", str(at)] for lsn, at in told],
            }
            (DATA / f"{major}.json").write_text(json.dumps(facts, indent=0) + "\n")
            print(major, segment.name, len(told))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
