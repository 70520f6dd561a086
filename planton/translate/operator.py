"""PostgresOperatorKubernetes -> Kubernetes objects."""

from __future__ import annotations

from planton.errors import Problem
from planton.translate.backup import backup_configmap, environment_of, platform_secrets, secret_problems
from planton.translate.contract import KubernetesObject, Translation
from planton.translate.existing import Existing
from planton.translate.names import OPERATOR, Naming, namespace_of, object_metadata
from planton.translate.namespace import namespace_object
from planton.translate.operator_configuration import (
    configuration,
    mount_problems,
    setting_problems,
    use_configmaps,
)
from planton.translate.operator_roles import operator_roles
from planton.translate.operator_workload import configuration_checksum, operator_deployment, operator_service
from planton.translate.platform import BackupPlatform
from planton.translate.policy import DEFAULT_RETENTION
from planton.translate.secret_warnings import secret_warnings
from planton.translate.service_accounts import ROLE_ANNOTATION, service_account
from planton.translate.versions import OPERATOR_VERSIONS, OperatorVersion
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
    settings = message.spec.operator_settings
    errors = [*setting_problems(settings, operator), *mount_problems(settings, platform)]
    warnings: list[Problem] = []
    data = configuration(settings, platform, existing, operator)
    objects: list[KubernetesObject] = [
        namespace_object(Naming(message)),
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
    spaces = {one.namespace for one in existing.databases} - existing.terminating_namespaces
    annotations = platform.service_account_annotations if platform is not None else {}
    for space in sorted(spaces if annotations else spaces & existing.annotated_accounts):
        objects.append(service_account(annotations, space))
    if platform is not None:
        environment = environment_of(platform)
        objects.append(backup_configmap(message, platform))
        for space in sorted({namespace} | spaces):
            objects.extend(platform_secrets(platform, space))
        _check_switches(platform, operator.has_restore_switch, errors, warnings)
        _check_values(platform, operator, errors, warnings)
        _warn(message, platform, warnings)
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


def _check_values(
    platform: BackupPlatform, operator: OperatorVersion, errors: list[Problem], warnings: list[Problem]
) -> None:
    identity = "AWS_ACCESS_KEY_ID" not in platform.secret_keys
    for contents in (platform.credentials, platform.files):
        if contents is not None:
            errors.extend(secret_problems(contents, "", store=platform.store))
            warnings.extend(secret_warnings(contents, platform.store, identity=identity))
    if ROLE_ANNOTATION in platform.service_account_annotations and not operator.has_role_setting:
        errors.append(
            Problem(
                f"does not work with operator {operator.version}: wal-g 3.0.5 of its Spilo image "
                f"({operator.spilo_image}) fails at every call in a pod that has a role (AWS_ROLE_ARN): nothing is "
                "archived, and WAL fills the volume. Choose operator_version 2.0.1, or give keys",
                "spec.backup_config.credentials.cloud_identity.aws_role_arn",
            )
        )


def _warn(message: PostgresOperatorKubernetes, platform: BackupPlatform, warnings: list[Problem]) -> None:
    config = message.spec.backup_config
    path = "spec.backup_config"
    if platform.endpoint.startswith("http://"):
        warnings.append(Problem("is plain HTTP: backups travel in clear", f"{path}.storage.s3_compatible.endpoint"))
    if platform.store == "google_cloud_storage":
        warnings.append(
            Problem(
                "retention deletes many objects at once, which the S3 API of this store has not always taken: look "
                "now and then whether old backups go",
                f"{path}.storage.google_cloud_storage",
            )
        )
    steps = config.tuning.delta_max_steps
    if config.tuning.HasField("delta_origin") and not steps:
        warnings.append(
            Problem("has no effect without delta_max_steps: no delta is made", f"{path}.tuning.delta_origin")
        )
    retained = config.retention.backups_and_days or DEFAULT_RETENTION
    if steps >= retained:
        warnings.append(
            Problem(
                f"is not below retention ({retained}), which counts delta backups too: a full backup with all of its "
                "deltas outlives it. Retain more, or make fewer deltas",
                f"{path}.tuning.delta_max_steps",
            )
        )
