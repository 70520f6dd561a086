"""What a container of Spilo has for base backups, as a folder on this machine: a crontab, envdir, and a script."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# As Spilo 4.0-p3 writes it (configure_spilo.py, write_crontab), with a line before and one after it.
CRONTAB = """PATH={path}
*/5 * * * * bash /scripts/renice.sh
0 2 * * * envdir "{home}/env" {home}/postgres_backup.sh "{home}/data"
1 */1 * * * nice -n 5 envdir "{home}/log" /scripts/upload_pg_log_to_s3.py
"""
SENTINEL = "_backup_stop_sentinel.json"


class BackupPod:
    """One container: `bucket` is where the script below puts its backups unless it is told otherwise."""

    def __init__(self, home: Path) -> None:
        self.home, self.bucket = home, home / "bucket"
        self.path = f"{home}/bin:/usr/bin:/bin"
        for name in ("bin", "env", "bucket", "tmp"):
            (home / name).mkdir()
        self.program("bin/crontab", f'[ "$1" = -lu ] && [ "$2" = postgres ] && cat {home}/crontab')
        self.program("bin/su", '[ "$1 $2" = "postgres -c" ] && exec sh -c "$3"')
        reader = 'for one in "$1"/*; do export "${one##*/}=$(head -n 1 "$one")"; done'
        self.program("bin/envdir", f'shopt -s nullglob\n{reader}\nshift\nexec "$@"')
        self.crontab(CRONTAB)
        self.script("make_backup")
        self.environment = {"PATH": self.path, "HOME": str(home), "RW_DIR": str(home), "WALG_LEAK": "of the container"}
        self.commands: list[list[str]] = []
        self.cut_after = 0
        """Lines of an output after which the next connection is cut; 0 for none."""
        self.cut_at = ""
        """What is in the line after which each connection is cut; empty for none."""

    def program(self, name: str, text: str) -> None:
        path = self.home / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def crontab(self, text: str) -> None:
        (self.home / "crontab").write_text(text.format(path=self.path, home=self.home))

    def setting(self, name: str, value: str) -> None:
        """Writes what envdir gives to the script."""
        (self.home / "env" / name).write_text(value)

    def script(self, body: str) -> None:
        """Writes postgres_backup.sh; `make_backup` in it puts a sentinel into the bucket."""
        name = f"base_00000001000000000000000$(ls {self.bucket} | wc -l)"
        make = f'make_backup() {{ echo "{{}}" > "{self.bucket}/{name}{SENTINEL}"; }}'
        self.program("postgres_backup.sh", f'{make}\necho "I was called as: $0 $*"\n{body}')

    def push_to_store(self) -> None:
        """Has the script put a backup into an S3 server, with what envdir gives it and nothing else."""
        push = Path(__file__).with_name("push_backup.py")
        self.script(f'echo "producing a new backup"\n{sys.executable} {push} "$1"\necho "not deleting any"')

    def newest(self) -> tuple[str, datetime] | None:
        found = [(path.name.removesuffix(SENTINEL), path.stat().st_mtime) for path in self.bucket.iterdir()]
        name, time = max(found, key=lambda one: one[1], default=("", 0.0))
        return (name, datetime.fromtimestamp(time, UTC)) if name else None

    def run(
        self,
        server: object,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        on_line: Callable[[str], None],
        until: float,
        clock: Callable[[], float],
        **others: Any,
    ) -> int | None:
        """Stands for `run_in_pod`."""
        self.commands.append(list(command))
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(max(until - clock(), 0), process.kill)
            timer.start()
            try:
                for count, line in enumerate(process.stdout, 1):
                    on_line(line.rstrip("\n"))
                    if count == self.cut_after or (self.cut_at and self.cut_at in line):
                        self.cut_after = 0
                        process.kill()
                        break
            finally:
                timer.cancel()
        return None if process.returncode < 0 else process.returncode
