"""Without keys: the identity that a cloud gives to the pods, by annotations of their service account."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import planton
from planton.rendering import Rendering
from planton.translate.existing import Existing, ExistingDatabase
from tests.translate import spilo_model
from tests.translate.stores import DATABASE_KEYS, EXISTING, VERSIONS, database, keys, operator

ROLE = "arn:aws:iam::123456789012:role/backups"
ANNOTATION = "eks.amazonaws.com/role-arn"
OTHER = {"azure.workload.identity/client-id": "0000"}
LIVE = (ExistingDatabase("theirs", "acid-minimal", "16"), ExistingDatabase("going", "x", "16"))


def identity(version: str = "2.0.1", *, role: str = "", annotations: dict[str, str] | None = None) -> str:
    given: dict[str, Any] = {}
    if role:
        given["aws_role_arn"] = role
    if annotations:
        given["service_account_annotations"] = annotations
    return operator(version, store="aws", credentials={"cloud_identity": given})


def rendered(text: str, existing: Existing = EXISTING) -> Rendering:
    return planton.render(planton.loads(text), existing=existing)


def settings(rendering: Rendering) -> dict[str, str]:
    (found,) = [
        item for item in rendering if (item["kind"], item["metadata"]["name"]) == ("ConfigMap", "postgres-operator")
    ]
    return dict(found["data"])


def accounts(rendering: Rendering) -> dict[str, Any]:
    return {
        item["metadata"]["namespace"]: item
        for item in rendering
        if item["kind"] == "ServiceAccount" and item["metadata"]["name"] == "postgres-pod"
    }


def archive(text: str, version: str) -> spilo_model.Archive:
    environment = spilo_model.pod_environment(rendered(text), "db-orders", "orders")
    found = spilo_model.archive(environment, spilo_model.SPILO[version])
    assert found is not None
    return found


def test_a_role_does_not_work_with_the_wal_g_of_spilo_4_0() -> None:
    with pytest.raises(planton.ManifestError) as caught:
        rendered(identity("1.15.1", role=ROLE))
    (problem,) = caught.value.problems
    assert problem.path == "spec.backup_config.credentials.cloud_identity.aws_role_arn"
    for part in ("operator 1.15.1", "wal-g 3.0.5", "WAL fills the volume", "operator_version 2.0.1, or give keys"):
        assert part in problem.message


def test_a_role_stands_on_the_account_in_each_namespace_and_in_the_settings() -> None:
    existing = replace(EXISTING, from_cluster=True, databases=LIVE, terminating_namespaces=frozenset({"going"}))
    rendering = rendered(identity(role=ROLE, annotations=OTHER) + database(), existing)
    found = accounts(rendering)
    assert set(found) == {"orders", "theirs"}
    annotations = {ANNOTATION: ROLE, **OTHER}
    for namespace, account in found.items():
        # Nothing but the annotations: the operator makes and uses the account.
        assert account == {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": "postgres-pod",
                "namespace": namespace,
                "annotations": dict(sorted(annotations.items())),
            },
        }
    data = settings(rendering)
    # With an empty one operator 2.0.1 would take the annotation off again.
    assert data["irsa_role_arn"] == ROLE
    assert json.loads(data["pod_service_account_definition"]) == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "postgres-pod", "annotations": annotations},
    }
    assert data["pod_environment_secret"] == ""
    assert not [item for item in rendering if item["kind"] == "Secret"]


@pytest.mark.parametrize("version", VERSIONS)
def test_other_annotations_work_with_both_versions(version: str) -> None:
    rendering = rendered(identity(version, annotations=OTHER) + database())
    assert accounts(rendering)["orders"]["metadata"]["annotations"] == OTHER
    data = settings(rendering)
    assert json.loads(data["pod_service_account_definition"])["metadata"]["annotations"] == OTHER
    assert "irsa_role_arn" not in data


@pytest.mark.parametrize("version", VERSIONS)
def test_the_profile_of_the_nodes_needs_nothing(version: str) -> None:
    text = identity(version) + database()
    rendering = rendered(text)
    assert accounts(rendering) == {}
    data = settings(rendering)
    assert not {"irsa_role_arn", "pod_service_account_definition"} & set(data)
    assert data["pod_environment_secret"] == ""
    assert not [item for item in rendering if item["kind"] == "Secret"]
    found = archive(text, version)
    assert found.keys is None
    # Without an endpoint nobody else would find it out.
    assert (found.endpoint, found.region, found.encryption) == ("", "eu-central-1", "AES256")


def test_annotations_that_are_no_longer_wanted_go() -> None:
    existing = replace(
        EXISTING, from_cluster=True, databases=LIVE, annotated_accounts=frozenset({"theirs", "orders", "elsewhere"})
    )
    for text in (identity(), operator("2.0.1", store="aws"), operator("2.0.1")):
        found = accounts(rendered(text + database(), existing))
        assert set(found) == {"theirs", "orders"}
        assert all("annotations" not in account["metadata"] for account in found.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_may_turn_away_from_the_operators_keys(version: str) -> None:
    text = operator(version, store="aws") + database(credentials={"cloud_identity": {}})
    assert archive(text, version).keys is None
    (cluster,) = [item for item in rendered(text) if item["kind"] == "postgresql"]
    # Both: Spilo 4.1 writes something else for one that is missing alone.
    assert cluster["spec"]["env"] == [
        {"name": "AWS_ACCESS_KEY_ID", "value": ""},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": ""},
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", ["", "google", "minio", "aws"])
def test_a_database_with_keys_over_an_operator_with_an_identity(store: str, version: str) -> None:
    text = identity(version) + database(store, credentials=keys(DATABASE_KEYS))
    assert archive(text, version).keys == DATABASE_KEYS


@pytest.mark.parametrize("store", ["r2-short", "r2", "google", "minio"])
def test_a_database_without_keys_in_a_store_that_wants_them(store: str) -> None:
    with pytest.raises(planton.ManifestError) as caught:
        rendered(operator(store=store) + database(credentials={"cloud_identity": {}}))
    (problem,) = caught.value.problems
    assert problem.path == "spec.backup_config.credentials.cloud_identity"
    assert "works with Amazon S3 only" in problem.message
