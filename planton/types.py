"""The generated message classes, by one door. Nothing else in this package names a `_pb2` module.

The classes print credentials in `str` and `repr`: never format a message, use `planton.dumps`
with `redact=True`, which masks them.
"""

from __future__ import annotations

from typing import TypeAlias

from project_planton.kubernetes.postgreskubernetes.v1.api_pb2 import (
    PostgresKubernetes,
    PostgresKubernetesStatus,
)
from project_planton.kubernetes.postgreskubernetes.v1.spec_pb2 import (
    PostgresKubernetesArchiveLocation,
    PostgresKubernetesArchiveSource,
    PostgresKubernetesBackupConfig,
    PostgresKubernetesClone,
    PostgresKubernetesContainer,
    PostgresKubernetesDatabaseSource,
    PostgresKubernetesSpec,
    PostgresKubernetesStandby,
)
from project_planton.kubernetes.postgreskubernetes.v1.stack_outputs_pb2 import PostgresKubernetesStackOutputs
from project_planton.kubernetes.postgresoperatorkubernetes.v1.api_pb2 import (
    PostgresOperatorKubernetes,
    PostgresOperatorKubernetesStatus,
)
from project_planton.kubernetes.postgresoperatorkubernetes.v1.spec_pb2 import (
    PostgresOperatorKubernetesBackupConfig,
    PostgresOperatorKubernetesBackupR2Config,
    PostgresOperatorKubernetesSpec,
    PostgresOperatorKubernetesSpecContainer,
)
from project_planton.kubernetes.postgresoperatorkubernetes.v1.stack_outputs_pb2 import (
    PostgresOperatorKubernetesStackOutputs,
)
from project_planton.shared.backup.v1.policy_pb2 import (
    BackupEncryption,
    BackupLibsodiumKey,
    BackupNoEncryption,
    BackupPgpKey,
    BackupRetention,
    BackupTuning,
)
from project_planton.shared.backup.v1.secret_value_pb2 import SecretKeyReference, SecretValue
from project_planton.shared.backup.v1.storage_pb2 import (
    AwsS3Store,
    BackupCloudIdentity,
    BackupCredentials,
    BackupKmsKey,
    BackupNoServerSideEncryption,
    BackupProxy,
    BackupServerSideEncryption,
    BackupStorage,
    BackupStoreKey,
    CloudflareR2Store,
    GoogleCloudStorageStore,
    S3CompatibleStore,
)
from project_planton.shared.options.v1 import options_pb2 as _options
from project_planton.shared.v1.kubernetes_pb2 import (
    ContainerResources,
    CpuMemory,
    IngressSpec,
    KubernetesSecretKey,
)
from project_planton.shared.v1.metadata_pb2 import ApiResourceMetadata, ApiResourceMetadataVersion
from project_planton.shared.v1.target_cluster_pb2 import (
    KubernetesAddonTargetCluster,
    KubernetesClusterCloudResourceSelector,
)

Resource: TypeAlias = PostgresOperatorKubernetes | PostgresKubernetes
"""A message of any kind that can stand in a manifest."""

DEFAULT_OPTION = _options.default
"""Field option: default of a scalar field, in the text form of its type."""
DEFAULT_CONTAINER_RESOURCES_OPTION = _options.default_container_resources
"""Field option: default of a ContainerResources field, filled field by field."""
CREATED_WHEN_ABSENT_OPTION = _options.created_when_absent
"""Field option: a message field that is made when absent, so that the defaults inside it apply."""

__all__ = [
    "CREATED_WHEN_ABSENT_OPTION",
    "DEFAULT_CONTAINER_RESOURCES_OPTION",
    "DEFAULT_OPTION",
    "ApiResourceMetadata",
    "ApiResourceMetadataVersion",
    "AwsS3Store",
    "BackupCloudIdentity",
    "BackupCredentials",
    "BackupEncryption",
    "BackupKmsKey",
    "BackupLibsodiumKey",
    "BackupNoEncryption",
    "BackupNoServerSideEncryption",
    "BackupPgpKey",
    "BackupProxy",
    "BackupRetention",
    "BackupServerSideEncryption",
    "BackupStorage",
    "BackupStoreKey",
    "BackupTuning",
    "CloudflareR2Store",
    "ContainerResources",
    "CpuMemory",
    "GoogleCloudStorageStore",
    "IngressSpec",
    "KubernetesAddonTargetCluster",
    "KubernetesClusterCloudResourceSelector",
    "KubernetesSecretKey",
    "PostgresKubernetes",
    "PostgresKubernetesArchiveLocation",
    "PostgresKubernetesArchiveSource",
    "PostgresKubernetesBackupConfig",
    "PostgresKubernetesClone",
    "PostgresKubernetesContainer",
    "PostgresKubernetesDatabaseSource",
    "PostgresKubernetesSpec",
    "PostgresKubernetesStackOutputs",
    "PostgresKubernetesStandby",
    "PostgresKubernetesStatus",
    "PostgresOperatorKubernetes",
    "PostgresOperatorKubernetesBackupConfig",
    "PostgresOperatorKubernetesBackupR2Config",
    "PostgresOperatorKubernetesSpec",
    "PostgresOperatorKubernetesSpecContainer",
    "PostgresOperatorKubernetesStackOutputs",
    "PostgresOperatorKubernetesStatus",
    "Resource",
    "S3CompatibleStore",
    "SecretKeyReference",
    "SecretValue",
]
