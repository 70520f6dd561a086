"""PostgresOperatorKubernetes -> Kubernetes objects."""

from __future__ import annotations

from planton.errors import Problem
from planton.translate.backup import backup_configmap, environment_of, storage_secret
from planton.translate.contract import KubernetesObject, Translation
from planton.translate.existing import Existing
from planton.translate.names import OPERATOR, namespace_of, object_metadata
from planton.translate.namespace import namespace_object
from planton.translate.operator_configuration import configuration, setting_problems, use_configmaps
from planton.translate.operator_roles import operator_roles
from planton.translate.operator_workload import configuration_checksum, operator_deployment, operator_service
from planton.translate.platform import BackupPlatform
from planton.translate.versions import OPERATOR_VERSIONS
from planton.types import PostgresOperatorKubernetes


def translate(message: PostgresOperatorKubernetes, platform: BackupPlatform | None, existing: Existing) -> Translation:
    """Turns an operator into objects.

    Args:
        message: The operator, with its defaults filled.
        platform: The platform that it makes, or None without backup_config.
        existing: Facts of the cluster. Every namespace with a live custom resource gets a copy of the storage
            Secret, before the operator is told its name.

    Returns:
        Its objects, and what is wrong or worth saying.
    """
    operator = OPERATOR_VERSIONS[message.spec.operator_version]
    namespace = namespace_of(message)
    errors = setting_problems(message.spec.operator_settings, operator)
    warnings: list[Problem] = []
    data = configuration(message.spec.operator_settings, platform, existing, operator)
    objects: list[KubernetesObject] = [
        namespace_object(message),
        *operator_roles(message, use_configmaps=use_configmaps(existing)),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": object_metadata(message, OPERATOR, namespace=namespace),
            "data": data,
        },
        operator_service(message),
    ]
    environment: dict[str, str] = {}
    if platform is not None:
        environment = environment_of(platform)
        objects.append(backup_configmap(message, platform))
        if platform.credentials is not None:
            targets = {namespace} | {one.namespace for one in existing.databases} - existing.terminating_namespaces
            objects.extend(storage_secret(platform, target) for target in sorted(targets))
        _check_switches(platform, operator.has_restore_switch, errors, warnings)
    objects.append(operator_deployment(message, operator, configuration_checksum(data, environment)))
    return Translation(objects, errors, warnings)


def _check_switches(
    platform: BackupPlatform, has_restore_switch: bool, errors: list[Problem], warnings: list[Problem]
) -> None:
    path = "spec.backup_config"
    if platform.backup and not platform.restore and not has_restore_switch:
        errors.append(
            Problem(
                f"restore cannot be switched off while backups are on: the Spilo image of operator "
                f"{platform.operator_version} has no such switch. Leave it on, or switch backups off",
                f"{path}.enable_wal_g_restore",
            )
        )
    if "$(PGVERSION)" not in platform.prefix_template:
        warnings.append(
            Problem(
                "has no $(PGVERSION): after a major upgrade the new version archives into the old one's archive",
                f"{path}.s3_prefix_template",
            )
        )
    if not platform.backup:
        warnings.append(
            Problem(
                "is false: no database of this operator has backups, except those that switch them on themselves",
                f"{path}.enable_wal_g_backup",
            )
        )
