"""Where objects stand in the API: kind -> plural name and scope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from planton.errors import ClusterError

# What `quote` leaves as it is, and nearly every name consists of; the question is cheaper than the quoting.
_SAFE = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII)


def _quoted(name: str) -> str:
    return name if _SAFE.fullmatch(name) else quote(name, safe="")


class ResourceType(NamedTuple):
    """One type of resource of the API server.

    Attributes:
        api_version: Group and version, such as `apps/v1`; `v1` for the core group.
        kind: Kind, such as `Deployment`.
        plural: Name in paths, such as `deployments`.
        namespaced: Whether its objects stand in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """Gives the path of an object, or of a collection.

        Args:
            namespace: Namespace; empty for all namespaces, and for what stands in none.
            name: Name; empty for the collection.

        Returns:
            Path from the root of the server.
        """
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        # Names come out of the cluster too: one with a slash in it must not lead to another object.
        place = f"/namespaces/{_quoted(namespace)}" if self.namespaced and namespace else ""
        tail = f"/{_quoted(name)}" if name else ""
        return f"{root}{place}/{self.plural}{tail}"

    def subject(self, namespace: str, name: str) -> str:
        """Names an object for people.

        Args:
            namespace: Its namespace; empty when it stands in none.
            name: Its name.

        Returns:
            `Kind/namespace/name`, or `Kind/name` for what stands in no namespace.
        """
        return "/".join(part for part in (self.kind, namespace, name) if part)


_RBAC = "rbac.authorization.k8s.io/v1"

NAMESPACE = ResourceType("v1", "Namespace", "namespaces", namespaced=False)
SECRET = ResourceType("v1", "Secret", "secrets")
CONFIG_MAP = ResourceType("v1", "ConfigMap", "configmaps")
SERVICE = ResourceType("v1", "Service", "services")
SERVICE_ACCOUNT = ResourceType("v1", "ServiceAccount", "serviceaccounts")
POD = ResourceType("v1", "Pod", "pods")
VOLUME_CLAIM = ResourceType("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
EVENT = ResourceType("v1", "Event", "events")
DEPLOYMENT = ResourceType("apps/v1", "Deployment", "deployments")
STATEFUL_SET = ResourceType("apps/v1", "StatefulSet", "statefulsets")
CLUSTER_ROLE = ResourceType(_RBAC, "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = ResourceType(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
ROLE = ResourceType(_RBAC, "Role", "roles")
ROLE_BINDING = ResourceType(_RBAC, "RoleBinding", "rolebindings")
CRD = ResourceType("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
POSTGRESQL = ResourceType("acid.zalan.do/v1", "postgresql", "postgresqls")

_KNOWN: Mapping[tuple[str, str], ResourceType] = MappingProxyType(
    {
        (one.api_version, one.kind): one
        for one in (
            NAMESPACE,
            SECRET,
            CONFIG_MAP,
            SERVICE,
            SERVICE_ACCOUNT,
            POD,
            VOLUME_CLAIM,
            EVENT,
            DEPLOYMENT,
            STATEFUL_SET,
            CLUSTER_ROLE,
            CLUSTER_ROLE_BINDING,
            ROLE,
            ROLE_BINDING,
            CRD,
            POSTGRESQL,
            ResourceType("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            ResourceType("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
            ResourceType("batch/v1", "CronJob", "cronjobs"),
            ResourceType("batch/v1", "Job", "jobs"),
        )
    }
)


def resource_of(obj: Mapping[str, Any]) -> ResourceType:
    """Finds the resource type of an object.

    Args:
        obj: Object with `apiVersion` and `kind`.

    Returns:
        Its resource type.

    Raises:
        ClusterError: The kind is none that planton writes.
    """
    api_version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
    found = _KNOWN.get((api_version, kind))
    if found is None:
        raise ClusterError(f'kind "{kind}" of apiVersion "{api_version}" is none that planton writes', phase="plan")
    return found


class Key(NamedTuple):
    """Identity of an object in one cluster.

    A tuple, as what it stands in is: a set of a thousand databases is looked up by it a hundred thousand times, and
    tuples are made, hashed and compared without a line of Python.

    Attributes:
        resource: Its type.
        namespace: Its namespace; empty when it stands in none.
        name: Its name.
    """

    resource: ResourceType
    namespace: str
    name: str

    @property
    def subject(self) -> str:
        """`Kind/namespace/name`."""
        return self.resource.subject(self.namespace, self.name)

    @property
    def path(self) -> str:
        """Path from the root of the server."""
        return self.resource.path(self.namespace, self.name)


def key_of(obj: Mapping[str, Any], resource: ResourceType | None = None) -> Key:
    """Gives the identity of an object.

    Args:
        obj: The object.
        resource: Its type, for items of a list, which do not name their kind.

    Returns:
        Its identity.

    Raises:
        ClusterError: It has no name, or its kind is none that planton writes.
    """
    resource = resource or resource_of(obj)
    metadata = obj.get("metadata") or {}
    name = str(metadata.get("name", ""))
    namespace = str(metadata.get("namespace", "")) if resource.namespaced else ""
    if not name or (resource.namespaced and not namespace):
        missing = "name" if not name else "namespace"
        raise ClusterError(f"an object of kind {resource.kind} has no metadata.{missing}", phase="plan")
    return Key(resource, namespace, name)
