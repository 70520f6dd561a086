"""Settings that an operator knows, with the form of each: an unknown one it passes over in silence.

A value of the wrong form is worse: the operator panics at its start, and again at every restart.
Source: field tags `name:"…"` of the structs in pkg/util/config/config.go, and the parser processField in
pkg/util/config/util.go, at v1.15.1 and v2.0.1 of github.com/zalando/postgres-operator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_NAMES_BY_FORM = {
    "boolean": (
        "debug_logging enable_admin_role_for_users enable_crd_registration enable_crd_validation "
        "enable_cross_namespace_secret enable_database_access enable_ebs_gp3_migration enable_finalizers "
        "enable_init_containers enable_lazy_spilo_upgrade enable_load_balancer enable_maintenance_windows "
        "enable_master_load_balancer enable_master_node_port enable_master_pooler_load_balancer "
        "enable_master_pooler_node_port enable_owner_references enable_password_rotation "
        "enable_patroni_failsafe_mode enable_persistent_volume_claim_deletion enable_pgversion_env_var "
        "enable_pod_antiaffinity enable_pod_disruption_budget enable_postgres_team_crd "
        "enable_postgres_team_crd_superusers enable_readiness_probe enable_replica_load_balancer "
        "enable_replica_node_port enable_replica_pooler_load_balancer enable_replica_pooler_node_port "
        "enable_secrets_deletion enable_shm_volume enable_sidecars enable_spilo_wal_path_compat "
        "enable_team_id_clustername_prefix enable_team_member_deprecation enable_team_superuser "
        "enable_teams_api kubernetes_use_configmaps pdb_master_label_selector "
        "pod_antiaffinity_preferred_during_scheduling set_memory_request_to_limit "
        "share_pgsocket_with_sidecars spilo_allow_privilege_escalation spilo_privileged"
    ),
    "duration": (
        "master_pod_move_timeout patroni_api_check_interval patroni_api_check_timeout "
        "pod_deletion_wait_timeout pod_label_wait_timeout pod_terminate_grace_period ready_wait_interval "
        "ready_wait_timeout repair_period resource_check_interval resource_check_timeout resync_period"
    ),
    "integer": (
        "api_port cluster_history_entries connection_pooler_max_db_connections "
        "connection_pooler_number_of_instances enable_ebs_gp3_migration_max_size "
        "logical_backup_failed_jobs_history_limit logical_backup_successful_jobs_history_limit "
        "logical_backup_ttl_seconds_after_finished max_instances min_instances ring_log_lines spilo_fsgroup "
        "spilo_runasgroup spilo_runasuser"
    ),
    "map": (
        "cluster_labels custom_pod_annotations custom_service_annotations node_readiness_label "
        "persistent_volume_claim_retention_policy sidecar_docker_images team_api_role_configuration "
        "toleration"
    ),
    "natural": ("password_rotation_interval password_rotation_user_retention workers"),
    "text": (
        "additional_owner_roles additional_pod_capabilities additional_secret_mount "
        "additional_secret_mount_path aws_region cluster_domain cluster_name_label "
        "connection_pooler_default_cpu_limit connection_pooler_default_cpu_request "
        "connection_pooler_default_memory_limit connection_pooler_default_memory_request "
        "connection_pooler_image connection_pooler_mode connection_pooler_schema connection_pooler_user "
        "crd_categories db_hosted_zone default_cpu_limit default_cpu_request default_memory_limit "
        "default_memory_request delete_annotation_date_key delete_annotation_name_key docker_image "
        "downscaler_annotations etcd_host external_traffic_policy gcp_credentials "
        "ignore_instance_limits_annotation_key ignore_resources_limits_annotation_key ignored_annotations "
        "infrastructure_roles_secret_name infrastructure_roles_secrets inherited_annotations inherited_labels "
        "irsa_role_arn kube_iam_role log_s3_bucket logical_backup_azure_storage_account_key "
        "logical_backup_azure_storage_account_name logical_backup_azure_storage_container "
        "logical_backup_cpu_limit logical_backup_cpu_request logical_backup_cronjob_environment_secret "
        "logical_backup_docker_image logical_backup_google_application_credentials logical_backup_job_prefix "
        "logical_backup_memory_limit logical_backup_memory_request logical_backup_provider "
        "logical_backup_s3_access_key_id logical_backup_s3_bucket logical_backup_s3_bucket_prefix "
        "logical_backup_s3_endpoint logical_backup_s3_region logical_backup_s3_retention_time "
        "logical_backup_s3_secret_access_key logical_backup_s3_sse logical_backup_schedule "
        "maintenance_windows major_version_upgrade_mode major_version_upgrade_team_allow_list "
        "master_dns_name_format master_legacy_dns_name_format max_cpu_request max_memory_request "
        "min_cpu_limit min_memory_limit minimal_major_version node_readiness_label_merge "
        "oauth_token_secret_name pam_configuration pam_role_name pdb_name_format "
        "pod_antiaffinity_topology_key pod_environment_configmap pod_environment_secret pod_management_policy "
        "pod_priority_class_name pod_role_label pod_service_account_definition pod_service_account_name "
        "pod_service_account_role_binding_definition postgres_superuser_teams protected_role_names "
        "replica_dns_name_format replica_legacy_dns_name_format replication_username role_deletion_suffix "
        "scalyr_api_key scalyr_cpu_limit scalyr_cpu_request scalyr_image scalyr_memory_limit "
        "scalyr_memory_request scalyr_server_url secret_name_template sidecars storage_resize_mode "
        "super_username target_major_version team_admin_role teams_api_url wal_az_storage_account "
        "wal_gs_bucket wal_s3_bucket watched_namespace"
    ),
}

_ONLY_IN_1_15_1 = frozenset("enable_crd_validation enable_ebs_gp3_migration enable_ebs_gp3_migration_max_size".split())
_ONLY_IN_2_0_1 = frozenset(
    (
        "enable_maintenance_windows enable_master_node_port enable_master_pooler_node_port "
        "enable_replica_node_port enable_replica_pooler_node_port ignore_resources_limits_annotation_key "
        "irsa_role_arn logical_backup_failed_jobs_history_limit logical_backup_successful_jobs_history_limit "
        "logical_backup_ttl_seconds_after_finished maintenance_windows "
    ).split()
)

FORM_BY_NAME: Mapping[str, str] = MappingProxyType(
    {name: form for form, names in _NAMES_BY_FORM.items() for name in names.split()}
)
"""Every setting -> its form: text, boolean, integer, natural, duration or map."""

_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        # Each pattern takes a little less than Go's parser does: no hexadecimal or octal numbers, no "T" for true.
        "boolean": (re.compile(r"true|false", re.ASCII), 'is true or false, in quotes: "true"'),
        "integer": (re.compile(r"0|-?[1-9][0-9]{0,8}", re.ASCII), "is a whole number without leading zeros, in quotes"),
        "natural": (re.compile(r"[1-9][0-9]{0,8}", re.ASCII), "is a whole number above 0, in quotes"),
        "duration": (
            # Of zero length is as bad: a ticker of the operator panics.
            re.compile(r"(?=.*[1-9])([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+", re.ASCII),
            'is a duration above zero with its unit, such as "30s", "10m" or "1h30m"',
        ),
        "map": (
            re.compile(r"[^:,]+:[^:,]*(,[^:,]+:[^:,]*)*"),
            'is a list of pairs, such as "key1:value1,key2:value2"',
        ),
    }
)


def known_settings(version: str) -> frozenset[str]:
    """Gives the settings that a version of the operator knows.

    Args:
        version: Version of the operator, such as `1.15.1`.

    Returns:
        Names of its settings.
    """
    absent = _ONLY_IN_2_0_1 if version == "1.15.1" else _ONLY_IN_1_15_1
    return frozenset(FORM_BY_NAME) - absent


def wrong_form(name: str, value: str) -> str | None:
    """Says what is wrong with the value of a setting.

    Args:
        name: Name of a known setting.
        value: Its value. Empty is right for a text only: for every other form the operator takes it as zero
            instead of the default, and for some settings dies of that.

    Returns:
        The form it should have, or None when it is right. The value is not in the text.
    """
    rule = _FORMS.get(FORM_BY_NAME[name])
    if rule is None or rule[0].fullmatch(value):
        return None
    return rule[1]
