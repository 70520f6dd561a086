"""`planton sync-credentials`, with a cluster that is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

import planton
from planton.cli import main
from planton.cli._exit import HUNG_UP, TERMINATED, Stopped
from planton.cluster import ApplyResult, Change, ProgressEvent
from planton.errors import ClusterError, ConflictError, FieldConflict, PlantonError
from tests.cli.fake import IDENTITY, FakeCluster
from tests.manifests import ACCESS_KEY, SECRET_KEY, operator

WRITTEN = (
    Change("unchanged", "v1", "Secret", "postgres-operator", "keys"),
    Change("created", "v1", "Secret", "orders", "keys"),
    Change("skipped", "v1", "Namespace", "", "going", reason="is being deleted"),
)


@dataclass
class FakeFollower:
    """Says what a test gives it, and ends as it says."""

    end: BaseException
    on_change: Callable[[Change], None]
    on_error: Callable[[PlantonError], None]

    def run(self) -> None:
        for change in WRITTEN[1:]:
            self.on_change(change)
        self.on_error(ClusterError("it is away", subject="Secret/vault/bucket", phase="sync"))
        raise self.end


@dataclass
class SyncCluster(FakeCluster):
    """Answers what synchronising asks."""

    def synchronise_credentials(
        self,
        operator_namespace: str | None,
        *,
        timeout: float,
        progress: Callable[[ProgressEvent], None],
        on_change: Callable[[Change], None],
    ) -> ApplyResult:
        self.asked["sync"] = {"operator_namespace": operator_namespace, "timeout": timeout}
        progress(ProgressEvent("secrets", 1, 1, "Namespace/orders"))
        on_change(WRITTEN[1])
        if self.error is not None:
            raise self.error
        return ApplyResult(IDENTITY, WRITTEN)

    def follow_credentials(
        self,
        operator_namespace: str | None,
        *,
        interval: float,
        on_change: Callable[[Change], None],
        on_error: Callable[[PlantonError], None],
    ) -> FakeFollower:
        self.asked["follow"] = {"operator_namespace": operator_namespace, "interval": interval}
        return FakeFollower(self.error or KeyboardInterrupt(), on_change, on_error)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> SyncCluster:
    made = SyncCluster()

    def connect(*places: Any, in_cluster: bool = False) -> SyncCluster:
        made.asked["connect"] = {"places": places, "in_cluster": in_cluster}
        return made

    monkeypatch.setattr("planton.cluster.connect", connect)
    return made


def test_once(capsys: pytest.CaptureFixture[str], fake: SyncCluster) -> None:
    assert main(["sync-credentials", "--operator", "data", "--timeout", "20"]) == 0
    assert fake.asked["sync"] == {"operator_namespace": "data", "timeout": 20.0}
    captured = capsys.readouterr()
    assert captured.err == ""
    assert IDENTITY.server in captured.out
    assert "created     Secret/orders/keys\n" in captured.out
    assert "Secret/postgres-operator/keys" not in captured.out
    assert captured.out.endswith("Done: 1 created, 0 configured, 1 unchanged, 0 deleted, 1 skipped\n")
    assert main(["sync-credentials", "--in-cluster", "--all", "-o", "json"]) == 0
    assert fake.asked["connect"] == {"places": (), "in_cluster": True}
    data = json.loads(capsys.readouterr().out)
    assert (data["complete"], data["changed"], data["summary"]["created"]) == (True, True, 1)
    assert [one["name"] for one in data["changes"]] == ["keys", "keys", "going"]


def test_what_was_done_is_told_before_what_went_wrong(capsys: pytest.CaptureFixture[str], fake: SyncCluster) -> None:
    conflict = FieldConflict("Secret/theirs/keys", "them", ("the whole object",))
    fake.error = ConflictError([conflict], changes=WRITTEN, remedy="Rename it.")
    assert main(["sync-credentials"]) == 1
    captured = capsys.readouterr()
    assert "created     Secret/orders/keys\n" in captured.out
    assert "Done before it ended: 1 created" in captured.out
    assert 'Secret/theirs/keys: "them" owns' in captured.err
    assert "Rename it." in captured.err
    assert "force" not in captured.err
    fake.error = Stopped(TERMINATED, "terminated")
    assert main(["sync-credentials", "-o", "json"]) == TERMINATED
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert (data["complete"], data["summary"]["created"]) == (False, 1)
    assert "goes on from there" in captured.err


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Stopped(TERMINATED, "terminated")])
def test_watching_ends_cleanly(capsys: pytest.CaptureFixture[str], fake: SyncCluster, end: BaseException) -> None:
    fake.error = end
    assert main(["sync-credentials", "--watch", "--interval", "1m"]) == 0
    assert fake.asked["follow"] == {"operator_namespace": None, "interval": 60.0}
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first.endswith("Z created Secret/orders/keys")
    assert second.endswith("Z skipped Namespace/going (is being deleted)")
    assert "Secret/vault/bucket: sync: it is away" in captured.err
    assert captured.err.endswith("Stopped: 1 created, 0 configured, 1 skipped; 1 errors\n")
    fake.error = Stopped(HUNG_UP, "hung up")
    assert main(["sync-credentials", "--watch"]) == HUNG_UP


def test_watching_as_lines_of_json(capsys: pytest.CaptureFixture[str], fake: SyncCluster) -> None:
    assert main(["sync-credentials", "--watch", "-o", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["action"], one["namespace"], one["name"]) for one in lines] == [
        ("created", "orders", "keys"),
        ("skipped", "", "going"),
    ]
    assert all(one["time"].endswith("Z") for one in lines)


def test_the_cron_job_is_yaml(capsys: pytest.CaptureFixture[str], fake: SyncCluster) -> None:
    argv = ["sync-credentials", "--render-cron-job", "--image", "registry.example/planton:1"]
    assert main(argv) == 1
    assert "has no backups" in capsys.readouterr().err
    fake.platform = planton.render(planton.loads(operator())).platform
    assert main([*argv, "--schedule", "*/9 * * * *"]) == 0
    text = capsys.readouterr().out
    objects = list(yaml.safe_load_all(text))
    assert [one["kind"] for one in objects][-1] == "CronJob"
    assert objects[-1]["spec"]["schedule"] == "*/9 * * * *"
    assert ACCESS_KEY not in text
    assert SECRET_KEY not in text
    assert main([*argv, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "List"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--watch", "--render-cron-job"], "two things"),
        (["--render-cron-job"], "--image IMAGE"),
        (["--image", "x"], "--render-cron-job"),
        (["--render-cron-job", "--image", "x", "--schedule", "61 * * * *"], "--schedule"),
        (["--render-cron-job", "--image", "x", "--schedule", ""], "--schedule"),
        (["--in-cluster", "--context", "x"], "--in-cluster"),
    ],
)
def test_options_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], fake: SyncCluster, argv: list[str], words: str
) -> None:
    assert main(["sync-credentials", *argv]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "connect" not in fake.asked
