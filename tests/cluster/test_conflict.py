"""Others own fields or objects: a typed error, nothing written; an explicit word takes them over."""

from __future__ import annotations

import pytest

from planton.errors import ConflictError, FieldConflict
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import config_map, deployment, everything, namespace, secret, service_account

pytestmark = [pytest.mark.cluster, pytest.mark.client]


def test_fields_of_others_are_all_named_and_nothing_is_written(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    harness.edit(config_map(space), {"data": {"a": "theirs"}}, "kubectl-edit")
    harness.edit(deployment(space), {"spec": {"replicas": 3}}, "autoscaler")
    changed = [*objects, service_account(space, "another")]
    versions = harness.versions(objects)
    with pytest.raises(ConflictError) as caught:
        harness.plan(changed)
    assert set(caught.value.conflicts) == {
        FieldConflict(f"ConfigMap/{space}/settings", "kubectl-edit", ("data.a",)),
        FieldConflict(f"Deployment/{space}/worker", "autoscaler", ("spec.replicas",)),
    }
    assert caught.value.changes == ()
    assert caught.value.phase == "plan"
    for word in ("kubectl-edit", "autoscaler", "planton", "spec.replicas", "--force-conflicts"):
        assert word in str(caught.value)
    assert harness.versions(objects) == versions
    assert harness.find(service_account(space, "another")) is None


def test_force_takes_fields_over_and_says_from_whom(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    harness.edit(deployment(space), {"spec": {"replicas": 3}}, "autoscaler")
    plan = harness.plan(objects, force_conflicts=True)
    (change,) = [change for change in plan.changes if change.action != "unchanged"]
    assert change.reason == "takes spec.replicas over from autoscaler"
    assert [(one.path, one.before, one.after) for one in change.diff] == [("spec.replicas", "3", "1")]
    harness.carry_out(plan)
    assert harness.get(deployment(space))["spec"]["replicas"] == 1
    assert not harness.plan(objects).changed


def test_a_field_that_others_own_with_our_value_is_no_conflict(harness: Harness, space: str) -> None:
    objects = [namespace(space), config_map(space, a="1")]
    harness.apply(objects)
    harness.api.request(
        "PATCH",
        f"/api/v1/namespaces/{space}/configmaps/settings?fieldManager=another",
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}},
        content_type="application/apply-patch+yaml",
    )
    assert not harness.plan(objects).changed


def test_an_object_that_planton_did_not_make_is_not_merged_into(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    theirs = secret(space, other="value-of-others")
    theirs["metadata"] = {"name": "keys", "namespace": space}
    harness.create(theirs, "kubectl-create")
    with pytest.raises(ConflictError) as caught:
        harness.plan([namespace(space), secret(space)])
    (conflict,) = caught.value.conflicts
    assert conflict.subject == f"Secret/{space}/keys"
    assert conflict.manager == "kubectl-create"
    assert set(harness.get(secret(space))["data"]) == {"other"}
    plan = harness.plan([namespace(space), secret(space)], force_conflicts=True)
    assert "kubectl-create" in plan.changes[1].reason
    harness.carry_out(plan)
    assert set(harness.get(secret(space))["data"]) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert not harness.plan([namespace(space), secret(space)]).changed


def test_a_conflict_that_appears_between_plan_and_apply_carries_what_was_done(harness: Harness, space: str) -> None:
    objects = everything(space)
    harness.apply(objects)
    changed = [
        *(one for one in objects if one["kind"] not in ("ConfigMap", "Secret")),
        secret(space, AWS_ACCESS_KEY_ID="rotated"),
        config_map(space, a="2"),
    ]
    plan = harness.plan(changed)
    harness.edit(config_map(space), {"data": {"a": "theirs"}}, "kubectl-edit")
    with pytest.raises(ConflictError) as caught:
        harness.carry_out(plan)
    assert caught.value.conflicts == (FieldConflict(f"ConfigMap/{space}/settings", "kubectl-edit", ("data.a",)),)
    assert words(caught.value.changes)[f"Secret/{space}/keys"] == "configured"
    assert not any(change.kind == "Deployment" for change in caught.value.changes)
    assert harness.get(config_map(space))["data"] == {"a": "theirs"}


def test_an_object_that_appears_between_plan_and_apply_is_not_merged_into(harness: Harness, space: str) -> None:
    harness.apply([namespace(space)])
    plan = harness.plan([namespace(space), config_map(space)])
    assert words(plan)[f"ConfigMap/{space}/settings"] == "created"
    theirs = config_map(space, a="theirs")
    theirs["metadata"] = {"name": "settings", "namespace": space}
    harness.create(theirs, "kubectl-create")
    with pytest.raises(ConflictError) as caught:
        harness.carry_out(plan)
    assert caught.value.conflicts[0].manager == "kubectl-create"
    assert harness.get(config_map(space))["data"] == {"a": "theirs"}
