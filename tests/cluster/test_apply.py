"""Create, nothing to do, one change: plain objects against a real API server."""

from __future__ import annotations

import copy

import pytest

from tests.cluster.conftest import Harness, words
from tests.cluster.objects import config_map, deployment, everything, namespace, secret

pytestmark = [pytest.mark.cluster, pytest.mark.client]


def test_creates_in_order_and_then_changes_nothing(harness: Harness, space: str) -> None:
    objects = everything(space)
    before = copy.deepcopy(objects)
    plan = harness.plan(objects)
    assert set(words(plan).values()) == {"created"}
    assert [change.kind for change in plan.changes] == [
        "Namespace",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Secret",
        "ConfigMap",
        "Service",
        "Deployment",
    ]
    assert harness.find(namespace(space)) is None
    assert words(harness.carry_out(plan)) == words(plan)
    versions = harness.versions(objects)
    again = harness.plan(objects)
    assert set(words(again).values()) == {"unchanged"}
    assert not again.changed
    assert set(words(harness.carry_out(again)).values()) == {"unchanged"}
    assert harness.versions(objects) == versions
    assert objects == before


def test_an_unchanged_set_is_settled_without_asking_for_a_dry_run(
    harness: Harness, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = everything(space)
    harness.apply(objects)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the server")

    monkeypatch.setattr("planton.cluster.api.server.Server.apply", refuse)
    assert set(words(harness.plan(objects)).values()) == {"unchanged"}


def test_one_change_is_shown_and_is_all_that_is_written(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    before = harness.versions(objects)
    changed = [
        one if one["kind"] != "Deployment" else deployment(space, image="example.org/worker:2") for one in objects
    ]
    plan = harness.plan(changed)
    assert [change.action for change in plan.changes].count("configured") == 1
    (change,) = [change for change in plan.changes if change.action == "configured"]
    path = "spec.template.spec.containers[name=worker].image"
    assert [(one.path, one.before, one.after) for one in change.diff] == [
        (path, '"example.org/worker:1"', '"example.org/worker:2"')
    ]
    assert harness.versions(objects) == before
    harness.carry_out(plan)
    after = harness.versions(objects)
    assert {subject for subject, version in after.items() if version != before[subject]} == {
        f"Deployment/{space}/worker"
    }
    assert not harness.plan(changed).changed


def test_a_field_that_is_no_longer_sent_goes(harness: Harness, space: str) -> None:
    labelled = config_map(space)
    labelled["metadata"]["labels"] |= {"team": "storage"}
    harness.apply([namespace(space), labelled])
    assert harness.get(labelled)["metadata"]["labels"]["team"] == "storage"
    plain = config_map(space)
    plain["metadata"]["labels"].pop("team", None)
    plan = harness.plan([namespace(space), plain])
    assert [(one.path, one.before, one.after) for one in plan.changes[1].diff] == [
        ("metadata.labels.team", '"storage"', None)
    ]
    harness.carry_out(plan)
    assert "team" not in harness.get(plain)["metadata"]["labels"]


def test_labels_of_others_stay(harness: Harness, space: str) -> None:
    objects = [namespace(space), config_map(space)]
    harness.apply(objects)
    harness.edit(config_map(space), {"metadata": {"labels": {"theirs": "yes"}, "annotations": {"note": "keep"}}})
    assert not harness.plan(objects).changed
    harness.apply([namespace(space), config_map(space, a="2")])
    live = harness.get(config_map(space))
    assert live["metadata"]["labels"]["theirs"] == "yes"
    assert live["metadata"]["annotations"]["note"] == "keep"


def test_the_status_that_controllers_write_is_no_difference(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    harness.api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{space}/deployments/worker/status?fieldManager=kube-controller-manager",
        {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}, "status": {"observedGeneration": 1}},
        content_type="application/merge-patch+json",
    )
    assert not harness.plan(objects).changed


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_a_foreign_key_in_data_is_drift_and_goes(harness: Harness, space: str, kind: str) -> None:
    obj = config_map(space) if kind == "ConfigMap" else secret(space)
    harness.apply([namespace(space), obj])
    harness.edit(obj, {"data": {"planted": "c2VudGluZWwtcGxhbnRlZA=="}}, "intruder")
    plan = harness.plan([namespace(space), obj])
    change = plan.changes[1]
    assert change.action == "configured"
    assert [(one.path, one.before, one.after) for one in change.diff] == [("data.planted", "<hidden>", None)]
    for text in ("sentinel-planted", "c2VudGluZWwtcGxhbnRlZA=="):
        assert text not in str(plan)
        assert text not in repr(plan)
    harness.carry_out(plan)
    assert set(harness.get(obj)["data"]) == set(obj["data"])
    assert not harness.plan([namespace(space), obj]).changed


def test_a_key_that_somebody_removed_comes_back(harness: Harness, space: str) -> None:
    obj = config_map(space, a="1", b="2")
    harness.apply([namespace(space), obj])
    harness.edit(obj, {"data": {"b": None}})
    plan = harness.plan([namespace(space), obj])
    assert [(one.path, one.before, one.after) for one in plan.changes[1].diff] == [("data.b", None, '"2"')]
    harness.carry_out(plan)
    assert harness.get(obj)["data"] == {"a": "1", "b": "2"}


def test_a_namespace_that_is_not_ours_is_left_as_it_is(harness: Harness, space: str) -> None:
    harness.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {"owner": "them"}}})
    before = harness.get(namespace(space))
    changes = harness.apply([namespace(space), config_map(space)], set_id=space)
    assert (changes[0].action, changes[0].reason) == ("skipped", "exists already, not created by planton")
    after = harness.get(namespace(space))
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert not any(name.startswith("planton.ai/") for name in after["metadata"]["labels"])
    assert harness.get(config_map(space))["metadata"]["labels"]["planton.ai/set"] == space


def test_a_namespace_of_ours_is_never_changed_again(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    before = harness.get(namespace(space))
    changed = namespace(space)
    changed["metadata"]["labels"] |= {"team": "storage"}
    assert words(harness.apply([changed], set_id=space)) == {f"Namespace/{space}": "unchanged"}
    assert harness.get(namespace(space))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
