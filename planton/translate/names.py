"""Names, labels and annotations of objects: those that existing installations have.

Names come from the message and never from hashes or structure. Where they are fixed:
docs/reference.md, "What the objects are called".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from planton.translate.given import given
from planton.types import ApiResourceMetadata, Resource

NAMESPACE_LABEL = "kubernetes.project-planton.org/namespace"
"""Label in metadata.labels that chooses the namespace."""

OPERATOR = "postgres-operator"
"""Default namespace of the operator, and the name of its Deployment, ServiceAccount, roles, Service, ConfigMap."""
POD_SERVICE_ACCOUNT = "postgres-pod"
"""ServiceAccount of the database pods, which the operator creates, and the ClusterRole that it binds to it."""
BACKUP_CONFIGMAP = "postgres-pod-backup-config"
"""ConfigMap with the backup environment of every database's pods."""
STORAGE_SECRET = "r2-postgres-backup-credentials"
"""Secret with the object store's credentials, where nothing but its pair of keys is needed."""
FILES_SECRET = "postgres-backup-files"
"""Secret whose keys are mounted into the pods as files: the certificate of the store's authority."""
GENERATION_ANNOTATION = "planton.ai/credentials-generation"
"""Annotation of a Secret with credentials: how often they have changed. Written in one request with them."""
SOURCES_ANNOTATION = "planton.ai/credential-sources"
"""Annotation of Secrets, not of copies: the Secrets of others that their contents come from, as JSON. Written in one
request with the contents; the backup ConfigMap says the same only when an apply is done with all copies."""
RESTORED_FROM_ANNOTATION = "planton.ai/restored-from"
"""Annotation of the custom resource of a clone: what it was made from, as JSON without secrets."""
DELETE_ANNOTATION = "delete-clustername"
"""Annotation without which the operator refuses to delete a cluster (its `delete_annotation_name_key`)."""
SUPERUSER = "postgres"
"""The operator's `super_username`, which planton does not change."""
POSTGRES_PORT = 5432
OPERATOR_PORT = 8080
"""Port of the operator's REST API (its `api_port`)."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "planton"
RESOURCE_LABEL = "planton.ai/resource"
NAME_LABEL = "planton.ai/name"
KIND_LABEL = "planton.ai/kind"
ID_LABEL = "planton.ai/id"
ORGANIZATION_LABEL = "planton.ai/organization"
ENVIRONMENT_LABEL = "planton.ai/environment"

INHERITED_LABELS = (RESOURCE_LABEL, ORGANIZATION_LABEL, ENVIRONMENT_LABEL, KIND_LABEL, ID_LABEL)
"""Labels that the operator passes on to StatefulSets, pods, volume claims and password Secrets: never one by
which planton owns or prunes."""

OPERATOR_SELECTOR: Mapping[str, str] = {
    "app.kubernetes.io/name": OPERATOR,
    "app.kubernetes.io/instance": OPERATOR,
}
"""Selector of the operator's pods. It is immutable on a Deployment, so it is the one of existing installations."""


def cluster_name(name: str) -> str:
    """Gives the name of a database's cluster: its custom resource, StatefulSet and Service.

    Args:
        name: metadata.name of the database.

    Returns:
        The name.
    """
    return f"db-{name}"


def storage_secret_name(*, keys: bool, encryption: str, certificate: bool) -> str:
    """Gives the name of the operator's storage Secret. It says which keys it has.

    Another set of keys is another Secret. The operator reads a Secret of which it was told at every sync, but what it
    is told (the name, and the mount of files) at its start only (postgres-operator v1.15.1, cmd/main.go and
    pkg/cluster/k8sres.go). So keys neither come to pods before all that belongs to them does, nor go while pods refer
    to them.

    Args:
        keys: Whether it has the pair of keys of the store.
        encryption: How wal-g encrypts: `libsodium`, `pgp` or empty.
        certificate: Whether the certificate of the store's authority is mounted.

    Returns:
        The name; empty when there is nothing to hold.
    """
    parts = [encryption] * bool(encryption) + ["ca"] * certificate
    if not keys and not parts:
        return ""
    return "-".join([STORAGE_SECRET if keys else "postgres-backup", *parts])


def is_storage_secret(name: str) -> bool:
    """Tells whether a Secret is the operator's storage Secret, or has been.

    Args:
        name: Its name.

    Returns:
        True for every name that storage_secret_name gives.
    """
    return name in STORAGE_SECRETS


_METHODS = ("", "libsodium", "pgp")
STORAGE_SECRETS = tuple(
    name
    for keys in (True, False)
    for encryption in _METHODS
    for certificate in (False, True)
    if (name := storage_secret_name(keys=keys, encryption=encryption, certificate=certificate))
)
"""Every name of the storage Secret."""


def credentials_secret(name: str, *, keys: bool = True, encryption: str = "") -> str:
    """Gives the name of the Secret with a database's own credentials. It says which keys it has, as above.

    Args:
        name: metadata.name of the database.
        keys: Whether it has a pair of keys of its own.
        encryption: How wal-g encrypts with a key of its own: `libsodium`, `pgp` or empty.

    Returns:
        The name.
    """
    return "-".join([cluster_name(name), "backup", *["credentials"] * keys, *[encryption] * bool(encryption)])


def own_secret_names(name: str) -> tuple[str, ...]:
    """Gives every name that a Secret of a database's own can have.

    Args:
        name: metadata.name of the database.

    Returns:
        Those with credentials, and that with files.
    """
    of_sources = (
        one for kind in SOURCE_KINDS for one in (*source_secret_names(name, kind), source_files_secret(name, kind))
    )
    return (
        *(credentials_secret(name, keys=keys, encryption=method) for keys, method in _sets_of_keys()),
        files_secret(name),
        *of_sources,
    )


def _sets_of_keys() -> list[tuple[bool, str]]:
    return [(keys, method) for keys in (True, False) for method in _METHODS if keys or method]


def source_secret_names(name: str, kind: str) -> tuple[str, ...]:
    """Gives every name that the Secret can have with which a clone or a standby reads its source.

    Args:
        name: metadata.name of the database.
        kind: One of SOURCE_KINDS.

    Returns:
        Those with credentials.
    """
    return tuple(source_secret(name, kind, keys=keys, encryption=method) for keys, method in _sets_of_keys())


SOURCE_KINDS = ("clone", "standby")
"""What another database's archive is read for."""


def source_secret(name: str, kind: str, *, keys: bool, encryption: str) -> str:
    """Gives the name of the Secret with which a clone or a standby reads its source. It says which keys it has.

    Args:
        name: metadata.name of the database.
        kind: One of SOURCE_KINDS.
        keys: Whether it has the pair of keys of the store.
        encryption: How wal-g encrypts there: `libsodium`, `pgp` or empty.

    Returns:
        The name.
    """
    return "-".join([cluster_name(name), kind, *["credentials"] * keys, *[encryption] * bool(encryption)])


def source_files_secret(name: str, kind: str) -> str:
    """Gives the name of the Secret with the certificate of a source's store, and of its volume.

    A volume's name has at most 63 characters: 49 + 3 + 11 fit.

    Args:
        name: metadata.name of the database.
        kind: One of SOURCE_KINDS.

    Returns:
        The name.
    """
    return f"{cluster_name(name)}-{kind}-ca"


def files_secret(name: str) -> str:
    """Gives the name of the Secret with a database's own files.

    It is also the name of a volume, which has at most 63 characters: 49 + 3 + 9 fit.

    Args:
        name: metadata.name of the database.

    Returns:
        The name.
    """
    return f"{cluster_name(name)}-store-ca"


def namespace_of(message: Resource) -> str:
    """Gives the namespace of a resource.

    Args:
        message: A message of any kind.

    Returns:
        The namespace that its label chooses, else the default of its kind.
    """
    metadata: ApiResourceMetadata = message.metadata
    return _namespace(metadata.labels, metadata.name, message.kind)


def _namespace(labels: Mapping[str, str] | None, name: str, kind: str) -> str:
    # Asked before: to look into a map that is empty costs as much as all the rest.
    if labels and (chosen := labels.get(NAMESPACE_LABEL, "")):
        return chosen
    return OPERATOR if kind == "PostgresOperatorKubernetes" else name


def labels_of(message: Resource) -> dict[str, str]:
    """Gives the labels of every object of a resource.

    Args:
        message: A message of any kind.

    Returns:
        The manifest's labels, overruled by planton's own, sorted by name.
    """
    return _labels(given(message.metadata), message.kind)


def _labels(metadata: Mapping[str, Any], kind: str) -> dict[str, str]:
    # In the order of their names, so that most need no sorting.
    ours = {MANAGED_BY_LABEL: MANAGED_BY}
    if "env" in metadata:
        ours[ENVIRONMENT_LABEL] = metadata["env"]
    if "id" in metadata:
        ours[ID_LABEL] = metadata["id"]
    if kind:
        ours[KIND_LABEL] = kind
    if "name" in metadata:
        ours[NAME_LABEL] = metadata["name"]
    if "org" in metadata:
        ours[ORGANIZATION_LABEL] = metadata["org"]
    ours[RESOURCE_LABEL] = "true"
    return dict(sorted({**metadata["labels"], **ours}.items())) if "labels" in metadata else ours


class ObjectMetadata(TypedDict, total=False):
    """Metadata of a Kubernetes object, in the order in which it is written."""

    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Naming:
    """Name, namespace, labels and annotations of one resource, read off its message once for all of its objects.

    Attributes:
        name: metadata.name of the resource.
        namespace: Its namespace.
    """

    __slots__ = ("_annotations", "_labels", "name", "namespace")

    def __init__(self, message: Resource) -> None:
        """Reads the message.

        Args:
            message: A message of any kind.
        """
        metadata, kind = given(message.metadata), message.kind
        self._labels = _labels(metadata, kind)
        self.name: str = metadata.get("name", "")
        self.namespace = _namespace(metadata.get("labels"), self.name, kind)
        self._annotations = dict(metadata["annotations"]) if "annotations" in metadata else {}

    def metadata(
        self,
        name: str,
        *,
        namespace: str | None = None,
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ObjectMetadata:
        """Makes the metadata of an object.

        Args:
            name: Name of the object.
            namespace: Its namespace; None for a cluster-scoped object.
            annotations: Annotations of planton's, which overrule the manifest's.
            labels: Labels in addition, which overrule the manifest's.

        Returns:
            The metadata, without empty parts. Nothing in it is shared with that of another object.
        """
        metadata: ObjectMetadata = {"name": name}
        if namespace is not None:
            metadata["namespace"] = namespace
        metadata["labels"] = dict(sorted({**self._labels, **labels}.items())) if labels else self._labels.copy()
        if annotations or self._annotations:
            metadata["annotations"] = dict(sorted({**self._annotations, **(annotations or {})}.items()))
        return metadata


def object_metadata(
    message: Resource,
    name: str,
    *,
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> ObjectMetadata:
    """Makes the metadata of an object, as Naming does, where a resource has only one of them.

    Args:
        message: The resource to which the object belongs.
        name: Name of the object.
        namespace: Its namespace; None for a cluster-scoped object.
        annotations: Annotations of planton's, which overrule the manifest's.
        labels: Labels in addition, which overrule the manifest's.

    Returns:
        The metadata, without empty parts.
    """
    return Naming(message).metadata(name, namespace=namespace, annotations=annotations, labels=labels)
