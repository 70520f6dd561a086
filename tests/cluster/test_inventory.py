"""Facts that are hard to stage: operators of all sorts, by a cluster that says what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from planton.cluster.api.resources import SECRET, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.operators import operators_in, read_settings
from planton.cluster.planning.inventory import Inventory, database_facts, read_inventory
from planton.errors import ClusterError, RefusedError
from planton.translate.platform import PLATFORM_ANNOTATION
from tests.cluster.objects import Object


class Told:
    """A server that has what it is told, by `Kind/namespace/name`."""

    phase = "read"

    def __init__(self, *objects: Object) -> None:
        self.objects = list(objects)

    def get(self, key: Key) -> Object | None:
        return next((one for one in self.objects if self._is(one, key.resource) and _name(one) == key.subject), None)

    def list(self, resource: ResourceType, namespace: str = "", **_: object) -> list[Object] | None:
        return [one for one in self.objects if self._is(one, resource)]

    def _is(self, obj: Object, resource: ResourceType) -> bool:
        return bool(obj["kind"] == resource.kind)


def _name(obj: Object) -> str:
    metadata = obj["metadata"]
    return "/".join(part for part in (obj["kind"], metadata.get("namespace"), metadata["name"]) if part)


def read(*objects: Object, **options: Any) -> Inventory:
    return read_inventory(cast("Server", Told(*objects)), **options)


def made(kind: str, name: str, namespace: str = "", **content: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | content.pop("metadata", {})
    return {"kind": kind, "metadata": metadata, **content}


def operator(namespace: str = "ops", image: str = "ghcr.io/zalando/postgres-operator:v1.15.1", **env: str) -> Object:
    container = {"image": image, "env": [{"name": name, "value": value} for name, value in env.items()]}
    return made(
        "Deployment",
        "postgres-operator",
        namespace,
        spec={"template": {"spec": {"containers": [container]}}},
        status={"availableReplicas": 1},
    )


def platform(namespace: str, **changes: Any) -> Object:
    facts = {
        "namespace": "elsewhere",
        "operator_version": "1.15.1",
        "bucket": "bucket",
        "prefix_template": "backups/$(SCOPE)",
        "schedule": "0 0 * * *",
        "backup": True,
        "restore": True,
        "clone": True,
        "endpoint": "",
        "region": "auto",
        "force_path_style": True,
        "disable_server_side_encryption": True,
        "secret_name": "keys",
        **changes,
    }
    annotations = {PLATFORM_ANNOTATION: json.dumps(facts)}
    return made("ConfigMap", "postgres-pod-backup-config", namespace, metadata={"annotations": annotations})


def told(namespace: str, **settings: str) -> Object:
    """What planton tells an operator with backup_config."""
    data = {"pod_environment_configmap": f"{namespace}/postgres-pod-backup-config", **settings}
    return made("ConfigMap", "postgres-operator", namespace, data=data)


def keys(namespace: str, **extra: str) -> Object:
    data = {"AWS_ACCESS_KEY_ID": "dmFsdWU=", "AWS_SECRET_ACCESS_KEY": "dmFsdWU=", **extra}
    return made("Secret", "keys", namespace, data=data)


OURS = operator(CONFIG_MAP_NAME="postgres-operator")


def stateful_set(env: Mapping[str, str]) -> Object:
    containers = [{"name": "postgres", "env": [{"name": name, "value": value} for name, value in env.items()]}]
    return made("StatefulSet", "db-a", "a", spec={"template": {"spec": {"containers": containers}}})


SETTING = "kubernetes_use_configmaps"
DATABASE = made(
    "postgresql",
    "db-a",
    "a",
    spec={
        "teamId": "db",
        "postgresql": {"version": "16"},
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}],
    },
)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/zalando/postgres-operator:v1.15.1", "1.15.1"),
        ("registry.example.org:5000/mirror/postgres-operator:v1.14.0", "1.14.0"),
        ("postgres-operator@sha256:0123", ""),
        ("registry.example.org:5000/postgres-operator", ""),
        ("postgres-operator:latest", ""),
    ],
)
def test_images_of_the_operator(image: str, version: str) -> None:
    (found,) = operators_in([operator(image=image)])
    assert (found.version, found.subject) == (version, "Deployment/ops/postgres-operator")


@pytest.mark.parametrize(
    "image",
    [
        "registry.developers.crunchydata.com/crunchydata/postgres-operator:ubi8-5.7.2-0",
        "ghcr.io/zalando/postgres-operator-ui:v1.15.1",
        "example.org/postgres-operator/helper:1",
        "ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0",
    ],
)
def test_images_of_others(image: str) -> None:
    assert operators_in([operator(image=image)]) == ()


def test_an_operator_can_be_known_by_its_label() -> None:
    deployment = operator(image="example.org/our-own-build:1")
    assert operators_in([deployment]) == ()
    deployment["metadata"]["labels"] = {"app.kubernetes.io/name": "postgres-operator"}
    assert len(operators_in([deployment])) == 1


def test_settings_by_map_and_by_object() -> None:
    settings = made("ConfigMap", "settings", "other", data={"delete_annotation_name_key": "by-map"})
    by_map = operator(CONFIG_MAP_NAME="other/settings")
    tree: Object = {
        "kubernetes_use_configmaps": True,
        "kubernetes": {"delete_annotation_name_key": "by-object", "enable_pod_antiaffinity": False, "list": [1]},
    }
    policy = {"when_deleted": "delete", "when_scaled": "retain"}
    tree["kubernetes"]["persistent_volume_claim_retention_policy"] = policy
    configuration = made("OperatorConfiguration", "settings", "ops", configuration=tree)
    by_object = operator(CONFIG_MAP_NAME="other/settings", POSTGRES_OPERATOR_CONFIGURATION_OBJECT="settings")
    server = cast("Server", Told(settings, configuration))
    assert read_settings(server, operators_in([by_map])[0]) == {"delete_annotation_name_key": "by-map"}
    found = read_settings(server, operators_in([by_object])[0])
    assert found["delete_annotation_name_key"] == "by-object"
    assert found["enable_pod_antiaffinity"] == "False"
    assert "list" not in found
    assert found["persistent_volume_claim_retention_policy"] == "when_deleted:delete,when_scaled:retain"
    assert read_settings(server, operators_in([operator()])[0]) == {}


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([], None),
        ([operator()], "false"),
        ([operator(image="zalando/postgres-operator:v2.0.1")], "true"),
        ([operator(image="zalando/postgres-operator:v0.0.1")], None),
        (
            [operator(CONFIG_MAP_NAME="c"), made("ConfigMap", "c", "ops", data={"kubernetes_use_configmaps": "1"})],
            "true",
        ),
        (
            [operator(CONFIG_MAP_NAME="c"), made("ConfigMap", "c", "ops", data={"kubernetes_use_configmaps": "false"})],
            "false",
        ),
        # Nobody can say any more but the databases themselves.
        ([DATABASE, stateful_set({"KUBERNETES_USE_CONFIGMAPS": "true"})], "true"),
        ([DATABASE, stateful_set({})], "false"),
        ([DATABASE], None),
        # The operator's ConfigMap is lost: the default of its version would move the state of a live database.
        ([OURS, DATABASE, stateful_set({"KUBERNETES_USE_CONFIGMAPS": "true"})], "true"),
        ([operator(POSTGRES_OPERATOR_CONFIGURATION_OBJECT="x"), DATABASE, stateful_set({})], "false"),
    ],
)
def test_where_patroni_keeps_its_state(objects: list[Object], found: str | None) -> None:
    assert read(*objects).existing.kubernetes_use_configmaps == found


def test_what_an_operator_was_told_outlives_it() -> None:
    settings = made("ConfigMap", "postgres-operator", "ops", data={"kubernetes_use_configmaps": "false"})
    assert read(settings, set_operator="ops").existing.kubernetes_use_configmaps == "false"


def test_databases_are_facts() -> None:
    existing = read(DATABASE, made("Namespace", "a", metadata={"deletionTimestamp": "now"})).existing
    (database,) = existing.databases
    assert (database.namespace, database.name, database.version, database.team) == ("a", "db-a", "16", "db")
    assert database.environment == {"A": "1"}
    assert database.references == {"B"}
    assert existing.terminating_namespaces == {"a"}
    assert existing.from_cluster


@pytest.mark.parametrize(
    ("entries", "environment", "references"),
    [
        # Of two with one name the operator takes the first, in capitals or not, whatever it is.
        ([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], {"A": "1"}, set()),
        ([{"name": "a", "value": "1"}, {"name": "A", "value": "2"}], {"a": "1"}, set()),
        ([{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "A", "value": "2"}], {}, {"A"}),
        ([{"name": "A", "value": "1"}, {"name": "a", "valueFrom": {"fieldRef": {}}}], {"A": "1"}, set()),
        # Go reads null as nothing.
        ([{"name": "A", "value": None}, {"name": "B"}], {"A": "", "B": ""}, set()),
        ([{"name": "A", "value": "1", "valueFrom": None}], {"A": "1"}, set()),
        (["none", {"value": "1"}, {"name": None, "value": "1"}], {}, set()),
    ],
)
def test_facts_of_a_database_are_what_its_pods_get(
    entries: list[Any], environment: dict[str, str], references: set[str]
) -> None:
    facts = database_facts({**DATABASE, "spec": {"env": entries}})
    assert facts.environment == environment
    assert facts.references == references


def test_what_a_database_began_with_is_what_its_pods_get() -> None:
    entries = [{"name": "CLONE_SCOPE", "value": "first"}, {"name": "CLONE_SCOPE", "value": "second"}]
    facts = database_facts({**DATABASE, "spec": {"env": [*entries, {"name": "STANDBY_METHOD", "value": "x"}]}})
    assert facts.begun == (entries[0], {"name": "STANDBY_METHOD", "value": "x"})


def test_host_names_are_read_where_they_are_wanted() -> None:
    annotations = {"external-dns.alpha.kubernetes.io/hostname": "a.example.org, b.example.org"}
    services = [made("Service", "front", "a", metadata={"annotations": annotations}), made("Service", "plain", "a")]
    found = {"a.example.org": "a/front", "b.example.org": "a/front"}
    assert read(*services, hostnames=True).existing.hostnames == found
    assert read(*services).existing.hostnames == {}


def test_a_platform_comes_from_the_namespace_in_which_an_operator_runs() -> None:
    found = read(OURS, told("ops"), platform("ops"), platform("planted", bucket="theirs"), keys("ops")).platform
    assert found is not None
    assert (found.namespace, found.bucket) == ("ops", "bucket")
    assert found.credentials is not None
    assert found.credentials.keys() == ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert read(OURS, told("ops"), platform("planted")).platform is None
    # Without a running operator there is only what one has left behind.
    left = read(told("ops"), platform("ops")).platform
    assert left is not None
    assert left.credentials is None
    with pytest.raises(RefusedError, match="ops, other"):
        read(platform("ops"), platform("other"))


@pytest.mark.parametrize("setting", ["", "ops/another", "other/postgres-pod-backup-config"])
def test_a_backup_configmap_that_the_operator_does_not_use_is_no_platform(setting: str) -> None:
    assert read(OURS, told("ops", pod_environment_configmap=setting), platform("ops"), keys("ops")).platform is None


def test_only_the_keys_that_are_meant_are_taken() -> None:
    found = read(OURS, told("ops"), platform("ops"), keys("ops", ADMIN_TOKEN="dmFsdWU=")).platform
    assert found is not None
    assert found.credentials is not None
    assert "ADMIN_TOKEN" not in found.credentials.reveal()


@pytest.mark.parametrize(
    "change",
    [{"secret_name": "../../victim/secrets/x"}, {"backup": "false"}, {"labels": ["a"]}, {"prefix_template": None}],
)
def test_a_forged_annotation_is_an_error_of_ours(change: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match="does not hold a backup platform"):
        read(OURS, told("ops"), platform("ops", **change), keys("ops"))


def test_names_stay_names_in_paths() -> None:
    assert Key(SECRET, "a", "../../b/secrets/c").path == "/api/v1/namespaces/a/secrets/..%2F..%2Fb%2Fsecrets%2Fc"


def test_a_set_with_an_operator_needs_no_platform_from_the_cluster() -> None:
    assert read(operator(), platform("ops"), set_operator="ops").platform is None
    with pytest.raises(RefusedError, match="--operator says other"):
        read(set_operator="ops", chosen="other")


@pytest.mark.parametrize("value", ["not base64", "/w=="])
def test_a_storage_secret_that_is_no_text(value: str) -> None:
    with pytest.raises(ClusterError) as caught:
        read(OURS, told("ops"), platform("ops"), keys("ops", AWS_ACCESS_KEY_ID=value))
    assert caught.value.subject == "Secret/ops/keys"
    assert caught.value.__context__ is None
    assert value not in str(caught.value)


def test_a_platform_of_nobody_knows_whom() -> None:
    broken = platform("ops")
    broken["metadata"]["annotations"][PLATFORM_ANNOTATION] = '{"sentinel": 1'
    with pytest.raises(ClusterError) as caught:
        read(OURS, told("ops"), broken)
    assert "sentinel" not in str(caught.value)
    assert caught.value.remedy
