"""`planton restore`: what has to be said, the file, and the question."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import planton
from planton.cli import main
from planton.cli._exit import UsageError
from planton.cli._restore import target_of
from planton.cluster import Change, PlanOptions
from planton.cluster.restoring.restore import RestoreDraft, RestoreRequest
from planton.cluster.restoring.restored import Restoration, RestorationState
from planton.cluster.status import ResourceStatus
from planton.errors import ClusterError, RefusedError, WaitError
from planton.types import Resource
from tests.cli.fake import FakeCluster
from tests.cli.support import Terminal, on_terminal
from tests.translate.beginnings import beginning, by_name

TEXT = "# A restore.\n" + beginning("clone", by_name(), name="again")
ARGV = ["restore", "orders", "--to", "2026-11-22T08:14:35Z", "--as", "again"]
MADE = (Change("created", "acid.zalan.do/v1", "postgresql", "shop", "db-again"),)


class Restoring(FakeCluster):
    """A cluster that makes a manifest of whatever is asked for."""

    def draft_restore(self, request: RestoreRequest, *, manifests: Iterable[Resource]) -> RestoreDraft:
        self.asked["draft"] = {"request": request, "manifests": [one.metadata.name for one in manifests]}
        return RestoreDraft(TEXT, planton.loads(TEXT), "shop/db-orders", "shop")


@pytest.fixture
def restoring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Restoring:
    fake = Restoring()
    fake.changes = MADE
    monkeypatch.setattr("planton.cluster.connect", lambda kubeconfig, context: fake)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("latest", ""),
        ("LATEST", ""),
        ("2026-11-22T08:14:35Z", "2026-11-22T08:14:35Z"),
        ("2026-11-22 08:14:35z", "2026-11-22T08:14:35Z"),
        ("2026-11-22 08:14:35 UTC", "2026-11-22T08:14:35Z"),
        ("2026-11-22T08:14Z", "2026-11-22T08:14:00Z"),
        ("2026-11-22T08:14:35.123456+01:00", "2026-11-22T08:14:35.123456+01:00"),
        ("2026-11-22T08:14:35-0530", "2026-11-22T08:14:35-05:30"),
        ("2026-11-22 08:14:35.6+01", "2026-11-22T08:14:35.6+01:00"),
    ],
)
def test_times(given: str, expected: str) -> None:
    assert target_of(given, "orders") == expected
    if expected:
        # As a manifest takes it.
        planton.loads(beginning("clone", by_name(), target=f'"{expected}"'))


@pytest.mark.parametrize(
    "given", ["", "now", "yesterday", "2026-11-22", "08:14:35Z", "2026-02-30T08:14:35Z", "2026-11-22T25:00:00Z",
              "2026-11-22T08:14:35+99:00", "2026-11-22T08:14:35+1", "2026-11-22T08:14:35+24",
              "2026-11-22T08:14:35.1234567Z", "1700000000", "\uff12026-11-22T08:14:35Z"]
)  # fmt: skip
def test_what_is_no_time(given: str) -> None:
    with pytest.raises(UsageError, match="is no time") as caught:
        target_of(given, "orders")
    assert "2026-11-22T08:14:35Z" in caught.value.remedy


@pytest.mark.parametrize(
    ("zone", "remedy"),
    [
        ("UTC", "In UTC write --to 2026-07-01T08:14:35Z."),
        (
            "Europe/Berlin",
            "In UTC write --to 2026-07-01T08:14:35Z; if it is the time of this machine (+0200), write --to "
            "2026-07-01T06:14:35Z.",
        ),
    ],
)
def test_without_a_zone(monkeypatch: pytest.MonkeyPatch, zone: str, remedy: str) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with pytest.raises(UsageError, match="has no zone") as caught:
            target_of("2026-07-01 08:14:35", "orders")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert caught.value.remedy == remedy


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("given", ["0001-01-01T00:04:00", "9999-12-31T23:59"])
def test_without_a_zone_where_the_calendar_ends(monkeypatch: pytest.MonkeyPatch, zone: str, given: str) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with pytest.raises(UsageError, match="has no zone"):
            target_of(given, "orders")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["restore", "orders", "--as", "again"], "say to which time, with --to TIME or --to latest"),
        (["restore", "orders", "--to", "latest"], "Nothing is restored in place: orders stays as it is"),
        ([*ARGV[:-1], "Again!"], '--as "Again!" is no name'),
        ([*ARGV[:-1], "a" * 50], "At most 49 lower-case letters"),
        ([*ARGV, "--as-namespace", "A"], '--as-namespace "A" is no name'),
        ([*ARGV, "--yes", "--no-apply"], "--yes and --no-apply contradict each other"),
        ([*ARGV, "--output-file", "there.yaml"], "there.yaml is there already"),
        ([*ARGV, "--output-file", "."], ". is a directory"),
        ([*ARGV, "--output-file", "-"], "the manifest is written to a file"),
        ([*ARGV, "--output-file", "nowhere/x.yaml"], "the directory of nowhere/x.yaml is not there"),
        ([*ARGV, "--output-file", "x.json"], "x.json would be read as JSON"),
    ],
)
def test_what_is_wrong_asks_no_cluster(
    capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path, argv: list[str], said: str
) -> None:
    (tmp_path / "there.yaml").write_text("mine")
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert restoring.asked == {}
    assert (tmp_path / "there.yaml").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def found(state: RestorationState) -> list[ResourceStatus]:
    (message,) = planton.loads(TEXT)
    proof = Restoration(state, f"it is {state}")
    return [ResourceStatus(message, "PostgresKubernetes/again", "shop", True, True, restoration=proof)]


@pytest.mark.parametrize(("state", "code"), [("restored", 0), ("empty", 1), ("not proven", 1), ("restoring", 1)])
def test_what_runs_is_proven(
    capsys: pytest.CaptureFixture[str],
    restoring: Restoring,
    monkeypatch: pytest.MonkeyPatch,
    state: RestorationState,
    code: int,
) -> None:
    """An empty database runs as well: Running is no success."""
    monkeypatch.setattr("planton.cli._restore.PATIENCE", 0.0)
    restoring.statuses = found(state)
    assert main([*ARGV, "--yes", "--wait"]) == code
    err = capsys.readouterr().err
    assert f"it is {state}\n" in err
    assert ("switch applications over" in err) == (code == 0)


def test_yes(capsys: pytest.CaptureFixture[str], restoring: Restoring, manifests: str, tmp_path: Path) -> None:
    restoring.statuses = found("restored")
    argv = [*ARGV, "--yes", "--wait", "--timeout", "20m", "-n", "shop", "--as-namespace", "audit", "-f", manifests]
    assert main([*argv, "--operator", "pg", "--disk-size", "20Gi", "--skip-check", "--context", "here"]) == 0
    assert restoring.asked["draft"] == {
        "request": RestoreRequest(
            "orders", "again", "2026-11-22T08:14:35Z", "shop", "audit", "pg", "20Gi", "again.yaml"
        ),
        "manifests": ["postgres-operator", "orders", "billing"],
    }
    # Nothing is pruned for the sake of one manifest, and nothing that is there is changed.
    assert restoring.asked["plan"] == {
        "options": PlanOptions(operator_namespace="pg", skip_checks=True),
        "names": ["again"],
    }
    assert restoring.asked["apply"] == {"timeout": 1200.0, "wait": True}
    assert (tmp_path / "again.yaml").read_text() == TEXT
    captured = capsys.readouterr()
    assert "  # A restore.\n" in captured.out
    assert captured.out.count("created  ") == 1
    assert "Done: 1 created" in captured.out
    assert "Nothing is done yet" not in captured.out
    assert "shop/db-orders is as it was." in captured.err


def test_where_to_look_afterwards(capsys: pytest.CaptureFixture[str], restoring: Restoring) -> None:
    assert main([*ARGV, "--yes", "--context", "here", "--operator", "pg"]) == 0
    assert "planton status -f again.yaml --context here --operator pg\n" in capsys.readouterr().err
    assert "status" not in restoring.asked


def test_only_the_file(capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path) -> None:
    assert main([*ARGV, "--no-apply"]) == 0
    assert (tmp_path / "again.yaml").read_text() == TEXT
    assert "apply" not in restoring.asked
    assert "To apply it: planton apply -f again.yaml\n" in capsys.readouterr().err


def test_nobody_to_ask(capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path) -> None:
    assert main(ARGV) == 1
    assert (tmp_path / "again.yaml").read_text() == TEXT
    assert "apply" not in restoring.asked
    err = capsys.readouterr().err
    assert "There is no terminal to ask on, and no --yes.\nerror: nothing was applied\n" in err


class Typed(Terminal):
    def __init__(self, answer: str) -> None:
        super().__init__()
        self.readline = io.StringIO(answer).readline


@pytest.mark.parametrize(
    ("answer", "code"), [("yes\n", 0), ("Y\n", 0), ("no\n", 1), ("\n", 1), ("", 1), ("yes please\n", 1)]
)
def test_the_question(
    monkeypatch: pytest.MonkeyPatch, restoring: Restoring, tmp_path: Path, answer: str, code: int
) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    assert main(ARGV) == code
    assert ("apply" in restoring.asked) == (code == 0)
    assert "Make shop/again now?" in terminal.text
    # Whoever is asked has seen the plan.
    assert terminal.text.index("postgresql/shop/db-again") < terminal.text.index("Make shop/again now?")
    assert (tmp_path / "again.yaml").exists()


def test_for_programs(capsys: pytest.CaptureFixture[str], restoring: Restoring) -> None:
    assert main([*ARGV, "--yes", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True


def test_for_programs_with_nobody_to_ask(capsys: pytest.CaptureFixture[str], restoring: Restoring) -> None:
    assert main([*ARGV, "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["changes"][0]["name"]) == (False, "db-again")


def test_a_refused_plan_writes_no_file(
    capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RefusedError(["the archive reaches until 2026-11-22T08:14:35Z"])

    monkeypatch.setattr(restoring, "plan", refuse)
    assert main([*ARGV, "--yes"]) == 1
    assert "the archive reaches until 2026-11-22T08:14:35Z" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_apply_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path
) -> None:
    restoring.error = ClusterError("it is gone", phase="apply")
    assert main([*ARGV, "--yes"]) == 1
    assert "again.yaml stays; once it is mended: planton apply -f again.yaml\n" in capsys.readouterr().err


def test_one_that_takes_longer_is_no_failure(
    capsys: pytest.CaptureFixture[str], restoring: Restoring, tmp_path: Path
) -> None:
    restoring.error = WaitError(["postgresql/shop/db-again: no pod is ready"], seconds=300.0)
    assert main([*ARGV, "--yes", "--wait"]) == 1
    err = capsys.readouterr().err
    assert "What was applied goes on in the cluster: planton status -f again.yaml\n" in err
    assert "mended" not in err
    # It would meet the file that it has written.
    assert "run the same command again" not in err
    assert (tmp_path / "again.yaml").exists()
