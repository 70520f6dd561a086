"""`planton permissions`: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
import yaml

from planton.cli import main
from planton.translate.planton_permissions import WORKS
from planton.translate.planton_roles import planton_roles


def test_it_prints_the_roles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "databases", "prune", "--account", "ci/planton"]) == 0
    printed = capsys.readouterr()
    subject = {"kind": "ServiceAccount", "name": "planton", "namespace": "ci"}
    assert list(yaml.safe_load_all(printed.out)) == planton_roles(["databases", "prune"], subject=subject)
    assert printed.err == ""
    words = ["--namespaces", "b, a,b", "--operator", "pg", "--name", "team", "--group", "team:leads", "-o", "json"]
    assert main(["permissions", "delete", *words]) == 0
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team:leads"}
    assert json.loads(capsys.readouterr().out)["items"] == planton_roles(
        ["delete"], subject=subject, namespaces=["b", "a"], operator_namespace="pg", name="team"
    )


@pytest.mark.parametrize("work", WORKS)
def test_every_work(work: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", work]) == 0
    printed = capsys.readouterr()
    assert all("Binding" not in one["kind"] for one in yaml.safe_load_all(printed.out))
    assert "Nobody is bound to these roles" in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["databases", "--account", "planton"], "--account needs a namespace and a name"),
        (["databases", "--account", "ci/"], "a name must be"),
        (["databases", "--account", "ci/a/b"], "a name must be"),
        (["databases", "--namespaces", "Team"], "a name must be"),
        (["databases", "--namespaces", ","], "--namespaces names none"),
        (["databases", "--user", " "], "--user is empty"),
        (["databases", "--name", "a b"], "a name must be"),
        (["databases", "operator", "--namespaces", "a"], "cannot confine it"),
        (["databases", "prune", "--namespaces", "a"], "cannot confine it"),
        (["databases", "--user", "a", "--group", "b"], "not allowed with"),
        (["everything"], "invalid choice"),
        ([], "WORK"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", *words]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
