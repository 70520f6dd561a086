"""A base backup on demand: when it is refused, and what the scripts do that are run in the pod."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.connection import ApiError, ClusterIdentity, Connection
from planton.cluster.api.resources import Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.backups import backup_now
from planton.cluster.backups.backup_now import BackupMade, PlannedBackup, make_backup, plan_backup
from planton.errors import ClusterError, RefusedError, WaitError
from tests.cluster.backup_pod import CRONTAB, BackupPod
from tests.cluster.objects import Object
from tests.cluster.patroni import pod, runs, told

PLANNED = PlannedBackup("shop", "db-orders", "db-orders-0", ())
SERVER = Server(Connection(None, ClusterIdentity("", "", "")), "test")


class Cluster:
    """Has a database and its pods, and nothing else."""

    def __init__(self, spec: Object | None, *pods: Object) -> None:
        self.spec, self.pods = spec, pods

    def get(self, key: Key) -> Object | None:
        return None if self.spec is None else {"spec": {"numberOfInstances": 1, **self.spec}}

    def list(self, resource: ResourceType, namespace: str, *, labels: str) -> list[Object]:
        assert labels == "cluster-name=db-orders"
        return list(self.pods)


def planned(spec: Object | None, *pods: Object) -> PlannedBackup:
    cluster: Any = Cluster(spec, *pods)
    return plan_backup(cluster, "shop", "db-orders")


def one(number: int = 0, role: str = "primary", *, ready: bool = True, state: str = "running", **env: str) -> Object:
    label = "replica" if role == "replica" else "master"
    status = told(state, role)
    return {**pod("shop", "db-orders", number, status=status, label=label, env=env), "status": runs(ready)}


@pytest.mark.parametrize(
    ("spec", "pods", "words"),
    [
        (None, [], "is not there"),
        ({"standby": {"s3_wal_path": "s3://a/b"}}, [one(role="standby_leader")], "is a standby"),
        ({"numberOfInstances": 0}, [], "is stopped"),
        ({}, [], "has no primary that is ready"),
        ({}, [one(ready=False)], "has no primary that is ready"),
        ({}, [one(state="starting")], "has no primary that is ready"),
        ({}, [one(1, "replica")], "has no primary that is ready"),
        ({}, [one(WALG_S3_PREFIX="", USE_WALG_BACKUP="false")], "has backups off"),
        ({}, [one(WALG_BACKUP_FROM_REPLICA="true")], "has no replica, which alone makes its backups"),
        (
            {},
            [one(WALG_BACKUP_FROM_REPLICA="true"), one(1, "replica", ready=False, WALG_BACKUP_FROM_REPLICA="true")],
            "has no replica",
        ),
    ],
)
def test_refused(spec: Object | None, pods: list[Object], words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        planned(spec, *pods)
    assert words in str(caught.value)
    assert "postgresql/shop/db-orders" in str(caught.value)


def test_which_pod_makes_it() -> None:
    assert planned({}, one(1, "replica"), one(0)).pod == "db-orders-0"
    replica: dict[str, Any] = {"WALG_BACKUP_FROM_REPLICA": "true"}
    assert planned({}, one(0, **replica), one(1, "replica", **replica)).pod == "db-orders-1"
    # The script of Spilo knows no other spelling.
    other: dict[str, Any] = {"WALG_BACKUP_FROM_REPLICA": "True"}
    assert planned({}, one(0, **other), one(1, "replica", **other)).pod == "db-orders-0"


def test_what_else_it_does_is_said_before() -> None:
    effects = " ".join(planned({}, one(BACKUP_NUM_TO_RETAIN="7")).effects)
    assert "BACKUP_NUM_TO_RETAIN 7" in effects
    assert "are deleted" in effects
    assert "BACKUP_NUM_TO_RETAIN 5" in " ".join(planned({}, one()).effects)


class Work:
    """Runs the scripts in a folder that stands for the container."""

    def __init__(self, container: BackupPod) -> None:
        self.pod = container
        self.told: list[str] = []
        self.tell: Callable[[str], None] = self.told.append

    def make(self, *, over_at: str = "", newest: backup_now.Newest | None = None) -> BackupMade:
        """Makes a backup; its time is over as soon as its script has said something."""
        over = 0.0
        self.pod.cut_at = over_at

        def progress(event: ProgressEvent) -> None:
            nonlocal over
            over += 1e6 if over_at and over_at in event.subject else 0.0
            self.tell(event.subject)

        return make_backup(
            SERVER,
            PLANNED,
            newest=newest or self.pod.newest,
            timeout=60.0,
            progress=progress,
            clock=lambda: time.monotonic() + over,
            sleep=lambda seconds: time.sleep(min(seconds, 0.05)),
        )

    @property
    def files(self) -> list[str]:
        return sorted(re.sub(r"-[0-9a-f]{16}", "", path.name) for path in (self.pod.home / "tmp").iterdir())


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    container = BackupPod(tmp_path)
    monkeypatch.setattr(backup_now, "run_in_pod", container.run)
    yield Work(container)
    for path in (tmp_path / "tmp").glob("*.pid"):
        # A script that was left running, by its group: it was started in a session of its own.
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.killpg(int(path.read_text()), signal.SIGKILL)


def test_made(work: Work) -> None:
    work.pod.setting("WALG_S3_PREFIX", "s3://of/the/envdir")
    work.pod.script('env | sort; printf "no line end"; make_backup')
    made = work.make()
    assert made.name == "base_000000010000000000000000"
    assert made.pod == "db-orders-0"
    assert not made.notes
    output = "\n".join(work.told)
    assert f"I was called as: {work.pod.home}/postgres_backup.sh {work.pod.home}/data" in output
    # What cron gives, and no more: the container's environment has other settings than the schedule's.
    assert "WALG_S3_PREFIX=s3://of/the/envdir" in output
    assert f"PATH={work.pod.path}" in output
    assert "WALG_LEAK" not in output
    assert "no line end" in output
    assert "planton:" not in output
    # The file with the output stays until the next one.
    assert work.files == ["planton-backup.ended", "planton-backup.log", "planton-backup.pid"]
    work.make()
    assert work.files == ["planton-backup.ended", "planton-backup.log", "planton-backup.pid"]


def test_a_script_that_ends_well_and_has_made_none_is_a_failure(work: Work) -> None:
    """As Spilo's does: wal-g's error is not its own."""
    work.pod.script("make_backup")
    work.make()
    work.pod.script('echo "ERROR: Failed to upload part"; echo "not deleting any"; exit 0')
    with pytest.raises(ClusterError) as caught:
        work.make()
    assert "no new base backup is in the archive" in str(caught.value)
    assert "ERROR: Failed to upload part" in str(caught.value)


def test_a_store_that_shows_it_late_is_asked_again(work: Work) -> None:
    answers = iter([None, None, None, ("base_000000010000000000000009", datetime.now(UTC))])
    assert work.make(newest=lambda: next(answers)).name == "base_000000010000000000000009"


def test_an_older_backup_that_is_there_now_is_no_new_one(work: Work) -> None:
    """Retention may delete what was the newest, and another hand."""
    old, older = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    answers = iter([("base_b", old)] + [("base_a", older)] * 9)
    with pytest.raises(ClusterError, match="no new base backup"):
        work.make(newest=lambda: next(answers))


def test_a_cut_connection_is_no_failure(work: Work) -> None:
    work.pod.script("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.4; done; make_backup; echo line 7")
    work.pod.cut_after = 2
    begun: list[str] = []

    def tell(text: str) -> None:
        begun.append(text)
        if len(begun) == 3:
            work.pod.cut_after = 2

    work.tell = tell
    # The first command has one line: it is the following that is cut.
    assert work.make().name.endswith("0")
    assert any("connection to the pod was cut" in text for text in begun)
    lines = [text.rpartition(": ")[2] for text in begun if "line " in text]
    assert lines == [f"line {number}" for number in range(1, 8)]


def test_one_is_enough_at_a_time(work: Work, tmp_path: Path) -> None:
    work.pod.script("make_backup; echo made; sleep 30")
    with pytest.raises(WaitError) as waited:
        # Not there before the script has ended: retention belongs to it.
        work.make(over_at="made", newest=lambda: None)
    assert "goes on" in str(waited.value)
    with pytest.raises(RefusedError, match="is being made already"):
        work.make()


def test_over_time_with_the_backup_there_is_a_success(work: Work) -> None:
    work.pod.script("make_backup; echo made; sleep 30")
    made = work.make(over_at="made")
    assert made.notes == ("retention after it had not ended in time; it goes on",)


@contextlib.contextmanager
def process(home: Path, *arguments: str) -> Iterator[None]:
    """Runs a process with these arguments, which does nothing."""
    (home / arguments[1]).write_text("read line")
    with subprocess.Popen(arguments, executable="/bin/bash", cwd=home, stdin=subprocess.PIPE) as running:
        yield
        running.kill()


def test_others_with_the_same_words_are_no_backup(work: Work) -> None:
    """Spilo's patroni_wait.sh waits for its turn with the script among its arguments."""
    home = work.pod.home
    script = f"{home}/postgres_backup.sh", f"{home}/data"
    with (
        process(home, "bash", "patroni_wait.sh", "-t", "3600", "--", "envdir", f"{home}/env", *script),
        process(home, "wal-g", "backup-push", "/another/data"),
        process(home, "wal-g", "backup-list", f"{home}/data"),
    ):
        assert work.make().name


def test_one_that_somebody_makes_by_hand_counts(work: Work) -> None:
    data = f"{work.pod.home}/data"
    for program in ("wal-g", "/usr/local/bin/wal-g"):
        with process(work.pod.home, program, "backup-push", data), pytest.raises(RefusedError, match="made already"):
            work.make()


def test_killed(work: Work) -> None:
    work.pod.script(f"echo begun; kill -9 $(cat {work.pod.home}/tmp/*.pid); sleep 1")
    with pytest.raises(ClusterError) as caught:
        work.make()
    assert "its script was killed" in str(caught.value)
    assert "  begun" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "PATH=/usr/bin\n", "# " + CRONTAB.splitlines()[2] + "\n", "0 2 * * * nice envdir x /scripts/other.sh y\n"],
)
def test_without_a_schedule_nothing_is_begun(work: Work, text: str) -> None:
    work.pod.crontab(text)
    with pytest.raises(RefusedError, match="its crontab has no base backups"):
        work.make()
    assert not work.files
    assert not work.told


def test_a_bucket_that_cannot_be_read_begins_nothing(work: Work) -> None:
    def newest() -> None:
        raise ClusterError("refused")

    with pytest.raises(ClusterError, match="refused"):
        work.make(newest=newest)
    assert not work.pod.commands


def test_a_container_without_what_is_needed(work: Work) -> None:
    work.pod.environment["RW_DIR"] = "/nonexistent"
    work.pod.environment["PATH"] = str(work.pod.home / "nothing")
    with pytest.raises((ClusterError, RefusedError)):
        work.make()


def test_a_pod_that_goes_away(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.pod.script("sleep 30")
    calls = 0

    def run(server: Any, *arguments: Any, **others: Any) -> int | None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ApiError("pods not found", status=404, reason="NotFound")
        return work.pod.run(server, *arguments, **others)

    monkeypatch.setattr(backup_now, "run_in_pod", run)
    monkeypatch.setattr(Server, "get", lambda self, key: None)
    with pytest.raises(ClusterError, match="the pod went away"):
        work.make()
