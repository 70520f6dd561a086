"""The operator's Deployment and Service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from planton.translate.contract import KubernetesObject
from planton.translate.names import OPERATOR, OPERATOR_PORT, OPERATOR_SELECTOR, namespace_of, object_metadata
from planton.translate.resources import resource_requirements
from planton.translate.versions import OperatorVersion
from planton.types import PostgresOperatorKubernetes

CHECKSUM_ANNOTATION = "planton.ai/configuration-checksum"
"""Annotation of the operator's pods: the operator reads its configuration at its start only, so a change of
either ConfigMap has to restart it. No Secret goes into the sum."""


def configuration_checksum(*parts: Mapping[str, str]) -> str:
    """Sums up what the operator reads at its start.

    Args:
        parts: Data of ConfigMaps.

    Returns:
        A SHA-256 sum, hexadecimal.
    """
    return hashlib.sha256(json.dumps([dict(part) for part in parts], sort_keys=True).encode()).hexdigest()


def operator_deployment(
    message: PostgresOperatorKubernetes, operator: OperatorVersion, checksum: str
) -> KubernetesObject:
    """Makes the operator's Deployment.

    Non-root, a read-only file system and no capabilities: the operator writes no file and listens on 8080
    only (charts/postgres-operator/values.yaml at v1.15.1 has the same security context).

    Args:
        message: The operator, with its defaults filled.
        operator: Its version.
        checksum: Sum of its configuration.

    Returns:
        The Deployment.
    """
    selector = dict(OPERATOR_SELECTOR)
    container: KubernetesObject = {
        "name": OPERATOR,
        "image": operator.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "CONFIG_MAP_NAME", "value": OPERATOR}],
        "ports": [{"name": "http", "containerPort": OPERATOR_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/readyz/", "port": OPERATOR_PORT},
            "initialDelaySeconds": 5,
            "periodSeconds": 10,
        },
        "resources": resource_requirements(message.spec.container.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_metadata(message, OPERATOR, namespace=namespace_of(message), labels=selector),
        "spec": {
            "replicas": 1,
            # Two operators on one set of namespaces fight: the old one goes before the new one comes.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": dict(selector)},
            "template": {
                "metadata": {"labels": dict(selector), "annotations": {CHECKSUM_ANNOTATION: checksum}},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                },
            },
        },
    }


def operator_service(message: PostgresOperatorKubernetes) -> KubernetesObject:
    """Makes the Service in front of the operator's REST API.

    Args:
        message: The operator.

    Returns:
        The Service.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_metadata(message, OPERATOR, namespace=namespace_of(message)),
        "spec": {
            "type": "ClusterIP",
            "selector": dict(OPERATOR_SELECTOR),
            "ports": [{"name": "http", "port": OPERATOR_PORT, "protocol": "TCP", "targetPort": OPERATOR_PORT}],
        },
    }
