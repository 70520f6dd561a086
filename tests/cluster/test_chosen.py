"""Databases that are chosen by name and by namespace, for `check` and `status`."""

from __future__ import annotations

from typing import Any

import pytest

import planton
from planton.cluster.checking.check_targets import targets_in_cluster, targets_in_manifests
from planton.cluster.planning.inventory import Inventory
from planton.cluster.status_all import meant_of
from planton.errors import ManifestError, RefusedError
from planton.manifest import prepare
from planton.translate.existing import Existing
from tests.manifests import database, operator

IN = "labels: {{kubernetes.project-planton.org/namespace: {}}}"
SET = prepare(
    planton.loads(
        operator()
        + database("orders")
        + database("billing", metadata=IN.format("team-a"))
        + database("users", metadata=IN.format("team-a"))
    )
)
SERVER: Any = None


def subjects(names: tuple[str, ...] = (), namespace: str | None = None) -> list[str]:
    targets, without = targets_in_manifests(None, None, SET, names, namespace)
    assert without == []
    return [one.subject.partition("/")[2] for one in targets]


def test_archives_of_manifests() -> None:
    assert subjects() == ["orders", "billing", "users"]
    assert subjects(namespace="team-a") == ["billing", "users"]
    assert subjects(("users",), "team-a") == ["users"]
    # Nothing to check would look as if all were well.
    with pytest.raises(ManifestError, match="no database of these manifests is in namespace team-b"):
        subjects(namespace="team-b")
    with pytest.raises(ManifestError, match="no database of this name in namespace team-a"):
        subjects(("orders",), "team-a")


def test_archives_of_a_cluster_without_such_a_namespace() -> None:
    inventory = Inventory(None, Existing(from_cluster=True), (), "postgres-operator", {}, (), True)
    with pytest.raises(RefusedError, match="the cluster has no database in namespace team-b"):
        targets_in_cluster(SERVER, inventory, (), "team-b")


def test_resources_of_manifests() -> None:
    def names(*chosen: str, namespace: str | None = None) -> list[str]:
        return [one.metadata.name for one in meant_of(SET, chosen, namespace)]

    assert names() == ["postgres-operator", "orders", "billing", "users"]
    assert names("users", "orders") == ["orders", "users"]
    assert names(namespace="team-a") == ["billing", "users"]
    assert names("users", namespace="team-a") == ["users"]
    for chosen, namespace, text in (
        (("user",), None, 'nothing of these manifests is named "user"; did you mean "users"\\?'),
        (("orders",), "team-a", 'nothing of these manifests is named "orders" in namespace team-a'),
        ((), "team-b", "nothing of these manifests is in namespace team-b"),
    ):
        with pytest.raises(ManifestError, match=text):
            names(*chosen, namespace=namespace)
