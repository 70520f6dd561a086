"""What planton itself needs to be allowed in a cluster: every permission, for which work, where, and why.

Each one was read off planton's requests, and is proven by the tests, in which planton does all of its work with these
and no others. The roles that grant them: planton_roles.py.

Server-side apply is a PATCH. Where it creates, the API server asks for `create` with the name as well (Kubernetes
v1.36, apiserver pkg/endpoints/handlers/patch.go), so that names hold for that, too; as they do for a list by
`metadata.name`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from planton.translate.archive_record import RECORD_CONFIGMAP
from planton.translate.contract import KubernetesObject
from planton.translate.names import BACKUP_CONFIGMAP, FILES_SECRET, OPERATOR, POD_SERVICE_ACCOUNT, STORAGE_SECRETS

Work: TypeAlias = Literal["read", "databases", "operator", "prune", "backup", "check", "delete", "namespaces"]
"""Something that planton does, and that one may be allowed to do."""

Scope: TypeAlias = Literal["cluster", "operator", "databases"]
"""Where a permission is needed: everywhere, in the operator's namespace, in the namespaces of databases."""

WORKS: Mapping[Work, str] = MappingProxyType(
    {
        "read": "status, env, backups list, show and window, check; plan while nothing changes",
        "databases": "plan and apply databases, restore",
        "operator": "plan and apply the operator, and its credentials in every namespace with a database",
        "prune": "plan and apply with --set; delete --operator",
        "backup": "backups create, delete --last-backup",
        "check": "check --from-cluster",
        "delete": "delete databases, with their volumes, passwords and Secrets",
        "namespaces": "delete --namespace",
    }
)
"""Every work with the verbs of the command that need it. Every work needs `read`, too."""

RBAC = "rbac.authorization.k8s.io"
DATABASES = "acid.zalan.do"


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission.

    Attributes:
        work: For what it is needed.
        scope: Where it is needed.
        group: API group; empty for the core group.
        resource: Plural name of the resource.
        verbs: What is done with it.
        reason: What for.
        names: The objects that are meant; empty for all.
    """

    work: Work
    scope: Scope
    group: str
    resource: str
    verbs: tuple[str, ...]
    reason: str
    names: tuple[str, ...] = ()

    @property
    def rule(self) -> KubernetesObject:
        """The rule of a role that grants it."""
        rule: KubernetesObject = {
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": list(self.verbs),
        }
        if self.names:
            rule["resourceNames"] = list(self.names)
        return rule


_STORAGE = (*STORAGE_SECRETS, FILES_SECRET)
_APPLY = "get create patch"


_Row: TypeAlias = tuple[str, str, str, str] | tuple[str, str, str, str, Sequence[str]]


def _of(work: Work, scope: Scope, *rows: _Row) -> list[Permission]:
    return [
        Permission(work, scope, row[0], row[1], tuple(row[2].split()), row[3], tuple(row[4]) if len(row) == 5 else ())
        for row in rows
    ]


def _users(reason: str) -> list[tuple[str, str, str, str]]:
    kinds = {
        "": ("pods", "replicationcontrollers", "serviceaccounts"),
        "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
        "batch": ("cronjobs", "jobs"),
    }
    return [(group, resource, "list", reason) for group, found in kinds.items() for resource in found]


PERMISSIONS: tuple[Permission, ...] = (
    *_of(
        "read",
        "cluster",
        ("", "namespaces", "list", "which are there, and which are being deleted"),
        (DATABASES, "postgresqls", "list", "no two databases may have one archive, wherever they are"),
        ("apps", "deployments", "list", "where operators run: there may be one only"),
        ("", "configmaps", "list", "which operator has backups, where none is named", [BACKUP_CONFIGMAP]),
        ("", "services", "list", "external host names that are taken (manifests with ingress; restore)"),
    ),
    *_of(
        "read",
        "operator",
        (
            "",
            "configmaps",
            "get",
            "the operator's configuration, what every database inherits, archives in use and left behind",
            [OPERATOR, BACKUP_CONFIGMAP, RECORD_CONFIGMAP],
        ),
        ("", "secrets", "get", "keys of the store, with which archives are read", _STORAGE),
        ("apps", "deployments", "get", "whether the operator runs", [OPERATOR]),
        ("", "pods", "list", "pods of the operator"),
        ("", "events", "list", "what the operator warns of"),
    ),
    *_of(
        "read",
        "databases",
        ("", "secrets", "get", "a database's own keys, and whether its copy of the storage Secret is the newest"),
        ("apps", "statefulsets", "get list", "what the operator has told the pods"),
        ("", "pods", "list", "the pods of a database, and what Patroni says of them"),
        ("", "events", "list", "warnings"),
        ("", "configmaps", "get", "what Patroni keeps: whether a restore came up with its data"),
        ("", "endpoints", "get", "the same, where Patroni keeps it there (operator 1.15)"),
        ("", "persistentvolumeclaims", "list", "whether a new database finds a volume of its name"),
    ),
    # The operator's own objects, when its manifest is in the set: a plan compares them.
    *_of(
        "read",
        "cluster",
        (
            RBAC,
            "clusterroles",
            "get",
            "whether the operator's roles are as they should be",
            [OPERATOR, POD_SERVICE_ACCOUNT],
        ),
        (RBAC, "clusterrolebindings", "get", "likewise", [OPERATOR]),
    ),
    *_of(
        "read",
        "operator",
        ("", "serviceaccounts", "get", "whether the operator's account is as it should be", [OPERATOR]),
        ("", "services", "get", "likewise its Service", [OPERATOR]),
    ),
    *_of(
        "databases",
        "cluster",
        ("", "namespaces", _APPLY, "namespaces for new databases; not where they are made by others"),
    ),
    *_of(
        "databases",
        "operator",
        ("", "configmaps", "get create patch", "writes archives down before one is left", [RECORD_CONFIGMAP]),
    ),
    *_of(
        "databases",
        "databases",
        ("", "secrets", _APPLY, "the copy of the storage Secret, and a database's own keys"),
        (DATABASES, "postgresqls", _APPLY, "the databases themselves"),
        ("", "services", "get create patch delete", "load balancers of databases with ingress"),
        (
            "",
            "serviceaccounts",
            _APPLY,
            "annotations of the pods' account, where a cloud gives an identity by it",
            [POD_SERVICE_ACCOUNT],
        ),
    ),
    *_of(
        "operator",
        "cluster",
        ("", "namespaces", _APPLY, "the operator's namespace"),
        (RBAC, "clusterroles", _APPLY, "the roles of the operator and of the pods", [OPERATOR, POD_SERVICE_ACCOUNT]),
        (RBAC, "clusterrolebindings", _APPLY, "binds the operator's role", [OPERATOR]),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "get",
            "whether the operator has registered its kind",
            ["postgresqls.acid.zalan.do"],
        ),
        ("", "serviceaccounts", "list", "accounts with a cloud's identity", [POD_SERVICE_ACCOUNT]),
    ),
    *_of(
        "operator",
        "operator",
        ("", "serviceaccounts", _APPLY, "the operator's account", [OPERATOR]),
        (
            "",
            "configmaps",
            _APPLY,
            "its configuration, what every database inherits, archives in use",
            [OPERATOR, BACKUP_CONFIGMAP, RECORD_CONFIGMAP],
        ),
        ("", "services", _APPLY, "its Service", [OPERATOR]),
        ("apps", "deployments", _APPLY, "the operator", [OPERATOR]),
    ),
    *_of(
        "operator",
        "databases",
        ("", "secrets", _APPLY, "keys of the store, in every namespace with a database", _STORAGE),
        ("", "serviceaccounts", _APPLY, "a cloud's identity, likewise", [POD_SERVICE_ACCOUNT]),
        ("", "pods", "list", "which pods still run on old keys"),
        ("apps", "statefulsets", "list", "likewise"),
    ),
    *_of(
        "prune",
        "cluster",
        *(
            (group, resource, "list", "what has the label of the set, or is the operator's")
            for group, resource in (
                ("", "configmaps"),
                ("", "secrets"),
                ("", "serviceaccounts"),
                ("", "services"),
                ("apps", "deployments"),
                (DATABASES, "postgresqls"),
                (RBAC, "clusterrolebindings"),
                (RBAC, "clusterroles"),
                (RBAC, "rolebindings"),
                (RBAC, "roles"),
                ("", "namespaces"),
            )
        ),
        (RBAC, "clusterroles", "delete", "what an operator leaves", [OPERATOR, POD_SERVICE_ACCOUNT]),
        (RBAC, "clusterrolebindings", "delete", "what an operator leaves", [OPERATOR]),
    ),
    *_of(
        "prune",
        "operator",
        ("", "configmaps", "delete", "what an operator leaves", [OPERATOR, BACKUP_CONFIGMAP]),
        ("", "serviceaccounts", "delete", "what an operator leaves", [OPERATOR]),
        ("apps", "deployments", "delete", "an operator without databases", [OPERATOR]),
    ),
    *_of(
        "prune",
        "databases",
        ("", "services", "delete", "load balancers of databases that are gone, the operator's Service"),
        ("", "secrets", "delete", "keys that nothing refers to any more"),
        *_users("whether something refers to a Secret that would go"),
    ),
    *_of(
        "backup",
        "databases",
        (DATABASES, "postgresqls", "get", "whether it archives by itself"),
        ("", "pods", "get", "whether the pod is still the one that was chosen"),
        ("", "pods/exec", "create get", "runs the line of the pod's own crontab; a WebSocket is opened by `get`"),
    ),
    *_of(
        "check",
        "databases",
        ("batch", "jobs", "create delete get patch", "a short Job with the database's own image and account"),
    ),
    *_of(
        "delete",
        "operator",
        ("", "configmaps", _APPLY, "writes the archive down that is left", [RECORD_CONFIGMAP]),
    ),
    *_of(
        "delete",
        "databases",
        (DATABASES, "postgresqls", "delete get patch", "the database, with the annotation that permits it"),
        ("", "services", "delete list", "its load balancers; whether the operator has cleaned up"),
        ("", "persistentvolumeclaims", "delete list", "its volumes, with --volumes"),
        ("", "secrets", "delete list", "its passwords and keys, with --passwords and --storage-secret"),
        *_users("whether something refers to a Secret that would go"),
    ),
    *_of(
        "namespaces",
        "databases",
        ("", "namespaces", "delete", "the namespace itself"),
        ("*", "*", "list", "whether it is empty: everything in it, whatever its kind"),
    ),
)
"""Every permission."""
