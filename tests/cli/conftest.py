"""Manifests and clusters for the tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.fake import FakeCluster
from tests.manifests import database, operator


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets a cluster, or a preference, of the person who runs it."""
    for name in ("KUBECONFIG", "NO_COLOR", "PLANTON_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    """A file with an operator and two databases."""
    path = tmp_path / "manifests.yaml"
    path.write_text(operator() + database("orders") + database("billing", backup="enable_backup: false"))
    return str(path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The cluster that every verb gets."""
    fake = FakeCluster()
    monkeypatch.setattr("planton.cluster.connect", lambda kubeconfig, context: fake)
    return fake
