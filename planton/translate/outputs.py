"""The outputs of a resource: names and addresses, all of which follow from its message."""

from __future__ import annotations

from planton.translate.ingress import external_hostname
from planton.translate.names import OPERATOR, OPERATOR_PORT, POSTGRES_PORT, SUPERUSER, cluster_name, namespace_of
from planton.types import (
    KubernetesSecretKey,
    PostgresKubernetes,
    PostgresKubernetesStackOutputs,
    PostgresOperatorKubernetes,
    PostgresOperatorKubernetesStackOutputs,
    Resource,
)


def superuser_secret(cluster: str) -> str:
    """Gives the name of the Secret with the superuser's password.

    Args:
        cluster: Name of the custom resource.

    Returns:
        The operator's default `secret_name_template` (v1.15.1, pkg/util/config/config.go), filled in.
    """
    return f"{SUPERUSER}.{cluster}.credentials.postgresql.acid.zalan.do"


def database_outputs(message: PostgresKubernetes) -> PostgresKubernetesStackOutputs:
    """Gives the outputs of a database.

    Args:
        message: The database.

    Returns:
        Its names and addresses.
    """
    namespace = namespace_of(message)
    cluster = cluster_name(message.metadata.name)
    secret = superuser_secret(cluster)
    return PostgresKubernetesStackOutputs(
        namespace=namespace,
        service=cluster,
        port_forward_command=f"kubectl port-forward -n {namespace} service/{cluster} {POSTGRES_PORT}:{POSTGRES_PORT}",
        kube_endpoint=f"{cluster}.{namespace}.svc.cluster.local",
        external_hostname=external_hostname(message),
        username_secret=KubernetesSecretKey(name=secret, key="username"),
        password_secret=KubernetesSecretKey(name=secret, key="password"),
    )


def operator_outputs(message: PostgresOperatorKubernetes) -> PostgresOperatorKubernetesStackOutputs:
    """Gives the outputs of an operator.

    Args:
        message: The operator.

    Returns:
        Its names and addresses.
    """
    namespace = namespace_of(message)
    return PostgresOperatorKubernetesStackOutputs(
        namespace=namespace,
        service=OPERATOR,
        port_forward_command=f"kubectl port-forward -n {namespace} service/{OPERATOR} {OPERATOR_PORT}:{OPERATOR_PORT}",
        kube_endpoint=f"{OPERATOR}.{namespace}.svc.cluster.local",
    )


def fill_outputs(message: Resource) -> None:
    """Writes the outputs into a message's status.

    Args:
        message: A message of any kind; changed in place.
    """
    if isinstance(message, PostgresOperatorKubernetes):
        message.status.outputs.CopyFrom(operator_outputs(message))
    else:
        message.status.outputs.CopyFrom(database_outputs(message))
