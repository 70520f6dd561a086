"""The Service that makes a database reachable from outside the cluster."""

from __future__ import annotations

from planton.translate.contract import KubernetesObject
from planton.translate.names import POSTGRES_PORT, cluster_name, namespace_of, object_metadata
from planton.types import PostgresKubernetes

HOSTNAME_ANNOTATION = "external-dns.alpha.kubernetes.io/hostname"
"""Annotation from which external-dns takes the name to publish."""


def external_hostname(message: PostgresKubernetes) -> str:
    """Gives the host name of a database outside the cluster.

    Args:
        message: The database.

    Returns:
        `<namespace>.<dns_domain>`; empty without ingress.
    """
    ingress = message.spec.ingress
    return f"{namespace_of(message)}.{ingress.dns_domain}" if ingress.enabled else ""


def external_service(message: PostgresKubernetes) -> KubernetesObject:
    """Makes the load balancer in front of the primary, and of the primary only.

    The labels are those that the operator and Patroni set on the primary's pod (postgres-operator v1.15.1:
    cluster_labels, cluster_name_label, pod_role_label).

    Args:
        message: The database, with ingress enabled.

    Returns:
        The Service.
    """
    cluster = cluster_name(message.metadata.name)
    spec: KubernetesObject = {
        "type": "LoadBalancer",
        "selector": {"application": "spilo", "cluster-name": cluster, "spilo-role": "master"},
        "ports": [
            {"name": "postgresql", "port": POSTGRES_PORT, "protocol": "TCP", "targetPort": POSTGRES_PORT},
        ],
    }
    if message.spec.ingress.allowed_source_ranges:
        spec["loadBalancerSourceRanges"] = list(message.spec.ingress.allowed_source_ranges)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_metadata(
            message,
            f"{cluster}-external",
            namespace=namespace_of(message),
            annotations={HOSTNAME_ANNOTATION: external_hostname(message)},
        ),
        "spec": spec,
    }
