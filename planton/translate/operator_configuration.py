"""The operator's configuration ConfigMap: what is always written out, and what a manifest may add.

The defaults of the ConfigMap route are those of the code, not of the chart, and several are dangerous
(github.com/zalando/postgres-operator v1.15.1, pkg/util/config/config.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planton.errors import Problem
from planton.sensitive import entry, is_showable
from planton.translate.backup import FILES_PATH, boolean
from planton.translate.existing import Existing
from planton.translate.names import (
    BACKUP_CONFIGMAP,
    DELETE_ANNOTATION,
    INHERITED_LABELS,
    POD_SERVICE_ACCOUNT,
    SUPERUSER,
)
from planton.translate.operator_settings import known_settings, wrong_form
from planton.translate.platform import BackupPlatform
from planton.translate.service_accounts import ROLE_ANNOTATION, definition
from planton.translate.versions import OperatorVersion

_ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        # Empty would mean the operator's own namespace only.
        "watched_namespace": "*",
        # The Teams API is a service of Zalando's: without it no cluster can be created when this is on.
        "enable_teams_api": "false",
        # The first defaults to true: a cloud load balancer for every database.
        "enable_master_load_balancer": "false",
        "enable_replica_load_balancer": "false",
        # Both default to true: deleting a custom resource deletes its volumes and its passwords.
        "enable_persistent_volume_claim_deletion": "false",
        "enable_secrets_deletion": "false",
        # The operator then refuses to delete a cluster whose custom resource lacks this annotation.
        "delete_annotation_name_key": DELETE_ANNOTATION,
        # Defaults to "manual": a raised version in a custom resource starts pg_upgrade.
        "major_version_upgrade_mode": "off",
        "pod_service_account_name": POD_SERVICE_ACCOUNT,
        # $(PGVERSION) in a prefix needs it.
        "enable_pgversion_env_var": "true",
        "pam_configuration": "",
        "inherited_labels": ",".join(INHERITED_LABELS),
    }
)

_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "docker_image": "it follows from spec.operator_version",
        "kubernetes_use_configmaps": "it is true for a new installation and stays as it is for an existing one",
        "pod_environment_configmap": "it follows from spec.backup_config",
        "pod_environment_secret": "it follows from spec.backup_config",
        "api_port": "planton's Service and readiness probe rely on it",
        "cluster_labels": "planton's Services rely on it",
        "cluster_name_label": "planton's Services rely on it",
        "pod_role_label": "planton's Services rely on it",
        "secret_name_template": "planton names the superuser's Secret by it",
        "super_username": "planton names the superuser's Secret by it",
        "pod_service_account_definition": "it follows from spec.backup_config.credentials",
        "irsa_role_arn": "it follows from spec.backup_config.credentials.cloud_identity.aws_role_arn",
        "pod_service_account_role_binding_definition": "planton writes the role of the pods",
        # Deleting a custom resource, or scaling it down, would delete what holds its data.
        "persistent_volume_claim_retention_policy": "volumes stay when a database is deleted or scaled down",
        "enable_owner_references": "with it a deleted custom resource takes its passwords and volumes along",
        "major_version_upgrade_team_allow_list": "it would start pg_upgrade in spite of major_version_upgrade_mode off",
        "enable_crd_registration": "planton waits for the CRD that the operator registers",
        "etcd_host": "Patroni would keep its state elsewhere; a change on a live installation risks split-brain",
        # Each of these makes an archive address of its own, so that "off" is not off any more: Spilo
        # 4.0-p3, configure_spilo.py, write_wale_environment.
        "wal_s3_bucket": "it would be a second archive beside spec.backup_config",
        "wal_gs_bucket": "it would be a second archive beside spec.backup_config",
        "wal_az_storage_account": "it would be a second archive beside spec.backup_config",
        # A ConfigMap is no place for keys.
        "logical_backup_s3_access_key_id": "a key does not belong in a ConfigMap; "
        "use logical_backup_cronjob_environment_secret",
        "logical_backup_s3_secret_access_key": "a key does not belong in a ConfigMap; "
        "use logical_backup_cronjob_environment_secret",
        "logical_backup_azure_storage_account_key": "a key does not belong in a ConfigMap; "
        "use logical_backup_cronjob_environment_secret",
        "scalyr_api_key": "a key does not belong in a ConfigMap",
        # Each item of the list would become an empty container.
        "sidecars": "it cannot be set by ConfigMap; the operator would add empty containers",
    }
)

OWNED_SETTINGS = frozenset(_ALWAYS) | frozenset(_ELSEWHERE)
"""Settings that `operator_settings` may not hold."""


def use_configmaps(existing: Existing) -> bool:
    """Decides where Patroni keeps its state: a silent change on a live installation risks split-brain.

    Args:
        existing: Facts of the cluster.

    Returns:
        The live operator's value; True on a new installation.
    """
    return existing.kubernetes_use_configmaps != "false"


def configuration(
    settings: Mapping[str, str],
    platform: BackupPlatform | None,
    existing: Existing,
    operator: OperatorVersion,
) -> dict[str, str]:
    """Computes the data of the configuration ConfigMap.

    Args:
        settings: `operator_settings` of the manifest.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.
        operator: Version of the operator.

    Returns:
        Setting -> value, sorted by name.
    """
    values = {
        **settings,
        **_ALWAYS,
        "docker_image": operator.spilo_image,
        "kubernetes_use_configmaps": boolean(use_configmaps(existing)),
        # Written out in both cases: absent and empty mean the same to the operator.
        "pod_environment_configmap": f"{platform.namespace}/{BACKUP_CONFIGMAP}" if platform else "",
        # A bare name: it is looked up in the namespace of each custom resource.
        "pod_environment_secret": platform.secret_name if platform else "",
    }
    if platform is not None:
        values.update(_of_platform(platform, operator))
    return dict(sorted(values.items()))


def _of_platform(platform: BackupPlatform, operator: OperatorVersion) -> dict[str, str]:
    values: dict[str, str] = {}
    if platform.files_secret_name:
        # Into every container of every database's pods, from the namespace of each.
        values["additional_secret_mount"] = platform.files_secret_name
        values["additional_secret_mount_path"] = FILES_PATH
    annotations = platform.service_account_annotations
    if annotations:
        values["pod_service_account_definition"] = definition(annotations)
    if operator.has_role_setting and ROLE_ANNOTATION in annotations:
        # With an empty one this version takes the annotation off every service account.
        values["irsa_role_arn"] = annotations[ROLE_ANNOTATION]
    return values


def mount_problems(settings: Mapping[str, str], platform: BackupPlatform | None) -> list[Problem]:
    """Checks that the one Secret that the operator mounts everywhere is free for the store's certificate.

    Args:
        settings: `operator_settings` of the manifest.
        platform: Backup platform, or None without operator-level backups.

    Returns:
        A problem for each setting that is taken.
    """
    if platform is None or not platform.files_secret_name:
        return []
    text = (
        "cannot be set together with spec.backup_config.storage.certificate_authority, which is mounted by it: "
        "remove the setting"
    )
    names = ("additional_secret_mount", "additional_secret_mount_path")
    return [Problem(text, f'spec.operator_settings["{name}"]') for name in names if name in settings]


def setting_problems(settings: Mapping[str, str], operator: OperatorVersion) -> list[Problem]:
    """Checks the settings that a manifest adds.

    Args:
        settings: `operator_settings` of the manifest.
        operator: Version of the operator.

    Returns:
        A problem for each setting that is planton's, unknown, or of the wrong form.
    """
    problems = []
    known = known_settings(operator.version)
    for name, value in sorted(settings.items()):
        path = _path(name)
        if name in OWNED_SETTINGS:
            why = _ELSEWHERE.get(name, "its default is dangerous, and planton writes a safe one")
            problems.append(Problem(f"is written by planton: {why}. Remove it", path))
        elif name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known - OWNED_SETTINGS, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            text = f"is not a setting of operator {operator.version}, which would pass it over in silence{hint}"
            shown = text if is_showable(name) else f"{text}; its name is not shown, since it can be a credential"
            problems.append(Problem(shown, path))
        elif wrong := wrong_form(name, value):
            problems.append(Problem(f"{wrong}. The operator would not start with this value", path))
    if not problems:
        problems += _combinations(settings)
    return problems


def _path(name: str) -> str:
    return f"spec.operator_settings{entry(name)}"


def _combinations(settings: Mapping[str, str]) -> list[Problem]:
    """Finds what the operator's own check refuses at its start (pkg/util/config/config.go, validate)."""
    problems = []
    least, most = int(settings.get("min_instances", "-1")), int(settings.get("max_instances", "-1"))
    if 0 < most < least:
        text = "is above max_instances. The operator would not start with this value"
        problems.append(Problem(text, _path("min_instances")))
    if settings.get("connection_pooler_user") == SUPERUSER:
        text = "is the superuser. The operator would not start with this value"
        problems.append(Problem(text, _path("connection_pooler_user")))
    return problems
