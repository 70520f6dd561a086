"""The operator's objects: settings, backup environment, roles, where keys are."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

import planton
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.platform import BackupPlatform
from planton.translate.secret_values import Credentials
from tests.manifests import ACCESS_KEY, SECRET_KEY, database, operator


def objects(text: str, existing: Existing | None = None) -> dict[tuple[str, str, str], KubernetesObject]:
    rendered = planton.render(planton.loads(text), existing=existing)
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in rendered}


OPERATOR = "postgres-operator"
CONFIGURATION = ("ConfigMap", OPERATOR, OPERATOR)
BACKUP = ("ConfigMap", OPERATOR, "postgres-pod-backup-config")


def test_no_part_is_in_two_places() -> None:
    """Whoever changes one of them (a plugin of a pipeline, a label more) changes nothing else."""
    places: dict[int, str] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict | list):
            assert places.setdefault(id(value), path) == path
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, one in items:
                walk(one, f"{path}.{key}")

    rendered = planton.render(planton.loads(operator() + database("a") + database("b", backup="s3_prefix: /own")))
    for number, one in enumerate(rendered):
        walk(one, f"{number}:{one['kind']}")


def test_every_dangerous_default_is_written_out() -> None:
    assert objects(operator())[CONFIGURATION]["data"] == {
        "delete_annotation_name_key": "delete-clustername",
        "docker_image": "ghcr.io/zalando/spilo-17:4.0-p3",
        "enable_master_load_balancer": "false",
        "enable_persistent_volume_claim_deletion": "false",
        "enable_pgversion_env_var": "true",
        "enable_replica_load_balancer": "false",
        "enable_secrets_deletion": "false",
        "enable_teams_api": "false",
        "inherited_labels": (
            "planton.ai/resource,planton.ai/organization,planton.ai/environment,planton.ai/kind,planton.ai/id"
        ),
        "kubernetes_use_configmaps": "true",
        "major_version_upgrade_mode": "off",
        "pam_configuration": "",
        "pod_environment_configmap": "postgres-operator/postgres-pod-backup-config",
        "pod_environment_secret": "r2-postgres-backup-credentials",
        "pod_service_account_name": "postgres-pod",
        "watched_namespace": "*",
    }


def test_backup_environment_of_the_operator() -> None:
    configmap = objects(operator())[BACKUP]
    assert configmap["data"] == {
        "AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
        "AWS_REGION": "auto",
        "AWS_S3_FORCE_PATH_STYLE": "true",
        "BACKUP_SCHEDULE": "0 2 * * *",
        "CLONE_USE_WALG_RESTORE": "true",
        "USE_WALG_BACKUP": "true",
        "USE_WALG_RESTORE": "true",
        "WALG_DISABLE_S3_SSE": "true",
        "WALG_S3_PREFIX": "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)",
    }


def test_switched_off_at_the_operator_leaves_no_archive_address() -> None:
    data = objects(operator(backup="enable_wal_g_backup: false"))[BACKUP]["data"]
    assert "WALG_S3_PREFIX" not in data
    assert data["USE_WALG_BACKUP"] == "false"


def test_without_backup_config_nothing_points_anywhere() -> None:
    found = objects(operator(backup=None))
    assert BACKUP not in found
    assert not [key for key in found if key[0] == "Secret"]
    assert found[CONFIGURATION]["data"]["pod_environment_secret"] == ""
    assert found[CONFIGURATION]["data"]["pod_environment_configmap"] == ""


def test_keys_are_in_secrets_and_nowhere_else() -> None:
    found = objects(operator() + database())
    secrets = {key for key in found if key[0] == "Secret"}
    assert secrets == {
        ("Secret", OPERATOR, "r2-postgres-backup-credentials"),
        ("Secret", "orders", "r2-postgres-backup-credentials"),
    }
    for key, item in found.items():
        text = json.dumps(item)
        for sentinel in (ACCESS_KEY, SECRET_KEY):
            encoded = base64.b64encode(sentinel.encode()).decode()
            assert sentinel not in text
            assert (encoded in text) == (key in secrets)


def test_the_secret_goes_to_every_namespace_with_a_live_database() -> None:
    live = (ExistingDatabase("theirs", "acid-minimal", "16"), ExistingDatabase("going", "x", "16"))
    existing = Existing(from_cluster=True, databases=live, terminating_namespaces=frozenset({"going"}))
    found = objects(operator() + database(), existing)
    assert {key[1] for key in found if key[0] == "Secret"} == {OPERATOR, "theirs", "orders"}
    assert ("Namespace", "", "theirs") not in found


def test_the_platform_reads_back_as_it_was() -> None:
    rendering = planton.render(planton.loads(operator(metadata="labels: {team: data}\norg: acme")))
    (configmap,) = [item for item in rendering if item["metadata"]["name"] == "postgres-pod-backup-config"]
    text = configmap["metadata"]["annotations"]["planton.ai/backup-platform"]
    assert ACCESS_KEY not in text
    keys = Credentials({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
    # Contents of Secrets are read from there.
    assert replace(BackupPlatform.from_json(text, keys), files=Credentials({})) == rendering.platform


def test_a_database_alone_gets_the_same_objects_with_the_platform_read_back() -> None:
    together = planton.render(planton.loads(operator() + database(backup="enable_clone: false")))
    alone = planton.render(planton.loads(database(backup="enable_clone: false")), together.platform)
    kinds = [(item["kind"], item["metadata"]["name"]) for item in alone]
    assert kinds == [
        ("Namespace", "orders"),
        ("Secret", "r2-postgres-backup-credentials"),
        ("postgresql", "db-orders"),
    ]
    for item in alone:
        assert item in list(together)


@pytest.mark.parametrize("live", ["true", "false", None])
def test_where_patroni_keeps_its_state_never_changes_silently(live: str | None) -> None:
    found = objects(operator(), Existing(from_cluster=True, kubernetes_use_configmaps=live))
    expected = live or "true"
    assert found[CONFIGURATION]["data"]["kubernetes_use_configmaps"] == expected
    resources = {name for rule in found[("ClusterRole", "", "postgres-pod")]["rules"] for name in rule["resources"]}
    assert ("configmaps" in resources) == (expected == "true")
    assert ("endpoints" in resources) == (expected == "false")


def test_a_change_of_either_configmap_restarts_the_operator_and_a_change_of_keys_does_not() -> None:
    def checksum(text: str) -> str:
        template = objects(text)[("Deployment", OPERATOR, OPERATOR)]["spec"]["template"]
        return str(template["metadata"]["annotations"]["planton.ai/configuration-checksum"])

    first = checksum(operator())
    assert checksum(operator()) == first
    assert checksum(operator(backup="enable_clone_wal_g_restore: false")) != first
    assert checksum(operator(spec='operator_settings: {resync_period: "5m"}')) != first
    assert checksum(operator().replace(SECRET_KEY, "another-key")) == first


def test_the_operator_has_no_wildcards_and_no_more_than_one_name_to_bind() -> None:
    rules = objects(operator())[("ClusterRole", "", OPERATOR)]["rules"]
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
    (bind,) = [rule for rule in rules if "bind" in rule["verbs"]]
    assert bind["resourceNames"] == ["postgres-pod"]
    assert not [rule for rule in rules if "secrets" in rule["resources"] and "list" in rule["verbs"]]


def test_pod_security_and_resources_of_the_operator() -> None:
    spec = "container: {resources: {limits: {cpu: 500m}}}"
    deployment = objects(operator(spec=spec))[("Deployment", OPERATOR, OPERATOR)]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {
        "limits": {"cpu": "500m", "memory": "1Gi"},
        "requests": {"cpu": "50m", "memory": "100Mi"},
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["image"] == "ghcr.io/zalando/postgres-operator:v1.15.1"


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ('watched_namespace: "mine"', "is written by planton"),
        ('logical_backup_s3_secret_access_key: "x"', "a key does not belong in a ConfigMap"),
        ('wal_s3_bucket: "b"', "second archive"),
        ('resync_perod: "10m"', 'did you mean "resync_period"?'),
        ('resync_period: "10"', "is a duration above zero with its unit"),
        ('resync_period: "0s"', "is a duration above zero"),
        ('etcd_host: "x"', "split-brain"),
        ('enable_owner_references: "true"', "takes its passwords and volumes along"),
        ('persistent_volume_claim_retention_policy: "when_deleted:delete"', "volumes stay"),
        ('connection_pooler_user: "postgres"', "is the superuser"),
        ('min_instances: "3", max_instances: "2"', "is above max_instances"),
        ('workers: ""', "is a whole number above 0"),
        ('enable_finalizers: "yes"', "is true or false"),
        ('maintenance_windows: "x"', "is not a setting of operator 1.15.1"),
    ],
)
def test_settings_that_cannot_be(setting: str, text: str) -> None:
    with pytest.raises(planton.ManifestError, match=text.replace("?", "\\?")) as caught:
        planton.render(planton.loads(operator(spec=f"operator_settings: {{{setting}}}")))
    (problem,) = caught.value.problems
    assert problem.path.startswith("spec.operator_settings[")
    assert problem.origin.line > 0


def test_settings_that_a_manifest_adds_are_written() -> None:
    data = objects(operator(spec='operator_settings: {resync_period: "10m", enable_finalizers: "true"}'))
    assert data[CONFIGURATION]["data"]["resync_period"] == "10m"
    assert data[CONFIGURATION]["data"]["enable_finalizers"] == "true"
