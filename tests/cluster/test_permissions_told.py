"""What is said when something is not allowed in many namespaces: short in the text, all of it where it is asked for."""

from __future__ import annotations

import pytest

from planton.cli import main
from planton.cluster.failure import with_changes
from planton.cluster.permissions.advice import advise
from planton.cluster.permissions.review import Need, NoPermissionError, refusals_in, told
from planton.errors import ClusterError
from planton.translate.planton_permissions import Work
from tests.cli.conftest import cluster as cluster
from tests.cli.conftest import manifests as manifests
from tests.cli.fake import FakeCluster

DENIED = [
    Need(f"team-{number:02}", "", resource, verb, "keys")
    for number in range(50)
    for resource, verb in (("secrets", "patch"), ("services", "create"))
]


def test_each_kind_is_said_of_a_few_namespaces() -> None:
    lines = told(DENIED).split("\n  ")
    assert lines == [
        *(f'cannot patch resource "secrets" in API group "" in the namespace "team-{n:02}" (keys)' for n in range(3)),
        "and the same in 47 more (" + ", ".join(f"team-{n:02}" for n in range(3, 13)) + " and 37 more)",
        *(f'cannot create resource "services" in API group "" in the namespace "team-{n:02}" (keys)' for n in range(3)),
        "and the same in 47 more (" + ", ".join(f"team-{n:02}" for n in range(3, 13)) + " and 37 more)",
    ]
    assert told(DENIED, every=True).count("cannot ") == 100
    assert told(DENIED[:8]).count("cannot ") == 8
    assert {one.verb for one in refusals_in(told(DENIED))} == {"patch", "create"}


def test_all_of_it_goes_with_the_error() -> None:
    error = NoPermissionError(DENIED, phase="plan")
    assert error.denied == tuple(DENIED)
    wrapped = with_changes(error, (), phase="apply", waited=0.0)
    assert wrapped.denied == tuple(DENIED)


def test_the_command_for_the_administrator_names_every_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planton.cluster.permissions.advice._is_wide", lambda server: False)
    monkeypatch.setattr("planton.cluster.permissions.advice._who", lambda server: "--user me")
    error: ClusterError = NoPermissionError(DENIED, phase="plan")
    advise(error, None, ["databases"])  # type: ignore[arg-type]  # Nobody is asked.
    spaces = ",".join(f"team-{number:02}" for number in range(50))
    assert f"planton permissions databases --namespaces {spaces} --user me" in error.remedy
    assert error.denied == tuple(DENIED)


@pytest.mark.parametrize(
    ("need", "work", "said"),
    [
        (Need("team-a", "", "secrets", "list"), "delete", "delete"),
        (Need("team-a", "acid.zalan.do", "postgresqls", "get"), "backup", "backup"),
        (Need("team-a", "", "secrets", "get"), "delete", "delete"),
        (Need("team-a", "apps", "deployments", "patch"), "databases", "databases operator"),
    ],
)
def test_the_command_asks_for_no_more_than_the_run_needs(
    monkeypatch: pytest.MonkeyPatch, need: Need, work: Work, said: str
) -> None:
    monkeypatch.setattr("planton.cluster.permissions.advice._is_wide", lambda server: True)
    monkeypatch.setattr("planton.cluster.permissions.advice._who", lambda server: "--user me")
    error: ClusterError = NoPermissionError([need], phase="plan")
    advise(error, None, [work])  # type: ignore[arg-type]  # Nobody is asked.
    assert f"planton permissions {said} --user me" in error.remedy


def test_verbose_says_all_of_it(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.error = NoPermissionError(DENIED, phase="apply")
    assert main(["apply", "-f", manifests]) == 1
    assert capsys.readouterr().err.count("cannot ") == 6
    assert main(["apply", "-f", manifests, "-v"]) == 1
    assert capsys.readouterr().err.count('cannot patch resource "secrets"') == 3 + 50
