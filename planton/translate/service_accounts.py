"""The service account of the database pods, as far as a cloud gives an identity by its annotations.

The operator makes the account in each namespace, with the annotations of `pod_service_account_definition`, and takes
one that is there as it is (postgres-operator v1.15.1, pkg/cluster/cluster.go, createPodServiceAccounts). It never
changes them afterwards, but that v2.0.1 with an empty `irsa_role_arn` takes the annotation of that role off
(pkg/cluster/sync.go, syncPodServiceAccount). So planton writes the annotations in each namespace itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from planton.translate.contract import KubernetesObject
from planton.translate.names import POD_SERVICE_ACCOUNT
from planton.types import BackupCredentials

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
"""https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html"""


def identity_annotations(credentials: BackupCredentials) -> dict[str, str]:
    """Gives the annotations by which a cloud knows the pods.

    Args:
        credentials: Credentials of the operator's manifest.

    Returns:
        Annotations of the service account, sorted; empty where keys are given, or the nodes have the identity.
    """
    identity = credentials.cloud_identity
    annotations = dict(identity.service_account_annotations)
    if identity.aws_role_arn:
        annotations[ROLE_ANNOTATION] = identity.aws_role_arn
    return dict(sorted(annotations.items()))


def service_account(annotations: Mapping[str, str], namespace: str) -> KubernetesObject:
    """Makes the service account of the pods in a namespace.

    Nothing but the annotations is planton's: the operator makes and uses the account.

    Args:
        annotations: The annotations; without any, those that were there before go.
        namespace: A namespace with a database.

    Returns:
        The service account.
    """
    metadata: KubernetesObject = {"name": POD_SERVICE_ACCOUNT, "namespace": namespace}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def definition(annotations: Mapping[str, str]) -> str:
    """Writes `pod_service_account_definition`, for accounts that the operator makes itself.

    Args:
        annotations: The annotations.

    Returns:
        A service account as JSON; empty, which is the operator's default, without annotations.
    """
    if not annotations:
        return ""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": POD_SERVICE_ACCOUNT, "annotations": dict(annotations)},
    }
    return json.dumps(account, sort_keys=True, separators=(",", ":"))
