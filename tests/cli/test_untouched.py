"""A failure before anything was written says so, once, and only of a verb that writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planton.cli import main
from planton.errors import ClusterError, ConflictError, FieldConflict, RefusedError
from tests.cli.fake import CHANGES, FakeCluster

_WRITTEN = {
    "apply": "nothing was written",
    "delete": "nothing was deleted",
    "sync-credentials": "nothing was written",
    "restore": "nothing was written",
    "backups create": "no backup was made",
}
_ARGUMENTS = {
    "restore": ("orders", "--to", "latest", "--as", "copy"),
    "backups create": ("orders",),
    "env": ("orders", "--live"),
    "backups list": ("orders",),
}


def _said(text: str) -> int:
    text = text.lower()
    return sum(text.count(words) for words in {*_WRITTEN.values(), "nothing was applied", "nothing was done"})


def _unreachable(tmp_path: Path) -> str:
    config = {
        "current-context": "here",
        # A port on which nothing listens and nothing ever will.
        "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize("verb", [*_WRITTEN, "plan", "status", "check", "env", "backups list"])
@pytest.mark.parametrize("fault", ["no kubeconfig", "no server", "bad manifest"])
def test_before_planning(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    manifests: str,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    fault: str,
) -> None:
    monkeypatch.setattr("planton.cluster.api.retry.Attempts.again", lambda *arguments: False)
    monkeypatch.setattr("planton.cluster.api.retry.Attempts.again_soon", lambda *arguments: False)
    kubeconfig = _unreachable(tmp_path) if fault == "no server" else str(tmp_path / "absent")
    takes_files = verb != "sync-credentials"
    if fault == "bad manifest":
        if not takes_files:
            return
        Path(manifests).write_text("kind: PostgresKubernetes\n")
    files = ["-f", manifests] if takes_files else []
    live = ["--live"] if verb in ("check", "backups create", "backups list") else []
    words = [*verb.split(), *_ARGUMENTS.get(verb, ())]
    assert main([*words, *files, *live, "--kubeconfig", kubeconfig]) == 1
    out, err = capsys.readouterr()
    if (verb, fault) == ("sync-credentials", "no server"):
        # It has no plan, and says from its beginning what it has done.
        assert "Done before it ended: 0 created, 0 configured" in out
        return
    assert _said(err) == (1 if verb in _WRITTEN else 0), err
    if verb in _WRITTEN:
        assert _WRITTEN[verb] in err.splitlines()[-1].lower()


@pytest.mark.parametrize(
    "error",
    [
        RefusedError(["no"]),
        ClusterError("said no", subject="Secret/a/b", phase="plan"),
        ConflictError([FieldConflict("Secret/a/b", "helm", ("data.a",))]),
        KeyboardInterrupt(),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("verb", ["apply", "delete", "plan"])
def test_while_planning(
    capsys: pytest.CaptureFixture[str],
    cluster: FakeCluster,
    manifests: str,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    error: BaseException,
) -> None:
    def plan(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(cluster, "plan", plan)
    monkeypatch.setattr(cluster, "plan_delete", plan)
    assert main([verb, "-f", manifests]) in (1, 130)
    err = capsys.readouterr().err
    if verb != "plan":
        assert _said(err) == 1, err
        assert _WRITTEN[verb] in err.lower()
    else:
        # Of a plan nobody fears that; a conflict is told in the same words everywhere.
        assert _said(err) == isinstance(error, ConflictError)


def test_not_once_something_can_have_been_written(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    for error in (ClusterError("said no", changes=CHANGES[:1]), ClusterError("answer lost"), KeyboardInterrupt()):
        cluster.error = error
        assert main(["apply", "-f", manifests]) in (1, 130)
        assert _said(capsys.readouterr().err) == 0
