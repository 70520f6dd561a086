"""RBAC: what the operator and the database pods may do, and nothing else.

Each rule was read off the operator's calls of the Kubernetes API (github.com/zalando/postgres-operator
v1.15.1 and v2.0.1, pkg/cluster, pkg/controller, pkg/util/k8sutil), and is proven by the tests, in which the
real operator runs under this role. What the chart grants beyond it is never called with these settings. The
pods' rules are the calls of Patroni 4.0 (patroni/dcs/kubernetes.py).
"""

from __future__ import annotations

from planton.translate.contract import KubernetesObject
from planton.translate.names import OPERATOR, POD_SERVICE_ACCOUNT, namespace_of, object_metadata
from planton.types import PostgresOperatorKubernetes

_RBAC = "rbac.authorization.k8s.io"


def _rule(group: str, resources: str, verbs: str, names: str = "") -> KubernetesObject:
    rule: KubernetesObject = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    if names:
        rule["resourceNames"] = names.split()
    return rule


def operator_rules(message: PostgresOperatorKubernetes, use_configmaps: bool) -> list[KubernetesObject]:
    """Gives what the operator may do.

    Args:
        message: The operator, with its defaults filled.
        use_configmaps: Whether Patroni keeps its state in ConfigMaps (True) or in Endpoints.

    Returns:
        Rules of a role.
    """
    first_generation = message.spec.operator_version.startswith("1.")
    settings = message.spec.operator_settings
    if first_generation:
        custom_resources = [
            # `update` takes its finalizer off a custom resource.
            _rule("acid.zalan.do", "postgresqls", "list patch update watch"),
            _rule("acid.zalan.do", "postgresqls/status", "patch"),
            # The operator registers its CRD itself.
            _rule("apiextensions.k8s.io", "customresourcedefinitions", "create get patch"),
        ]
    else:
        custom_resources = [
            _rule("acid.zalan.do", "postgresqls", "get list patch update watch"),
            _rule("acid.zalan.do", "postgresqls/status", "update"),
            _rule("apiextensions.k8s.io", "customresourcedefinitions", "create get update"),
        ]
    if use_configmaps:
        # Its own configuration and the backup environment, and Patroni's state objects.
        state = [_rule("", "configmaps", "delete get patch update")]
    else:
        state = [
            _rule("", "configmaps", "get"),
            _rule("", "endpoints", "create delete get patch update"),
        ]
    rules = [
        *custom_resources,
        *state,
        # The passwords of its databases, the storage Secret that it looks up for each of them, and the
        # connection pooler's Secret, which it deletes when the pooler is switched off.
        _rule("", "secrets services", "create delete get patch update"),
        _rule("", "pods", "delete get list patch watch"),
        # Volumes grow, and are never deleted.
        _rule("", "persistentvolumeclaims", "list patch update"),
        _rule("", "nodes", "get list watch"),
        _rule("", "events", "create patch"),
        _rule("", "serviceaccounts", "create get" if first_generation else "create get update"),
        _rule("apps", "statefulsets", "create delete get list patch"),
        _rule("apps", "deployments", "create delete get patch update"),
        _rule("batch", "cronjobs", "create delete get patch update"),
        _rule("policy", "poddisruptionbudgets", "create delete get"),
        _rule(_RBAC, "rolebindings", "create get"),
        # To bind the pods' role to their account without holding its rights: `bind` on that one role is
        # less than those rights in every namespace (Kubernetes, "Privilege escalation prevention").
        _rule(_RBAC, "clusterroles", "bind", POD_SERVICE_ACCOUNT),
    ]
    resize = settings.get("storage_resize_mode", "pvc")
    if resize in ("mixed", "ebs"):
        rules.append(_rule("", "persistentvolumes", "get update" if resize == "ebs" else "get"))
    if resize == "ebs":
        rules.append(_rule("", "pods/exec", "create"))
    if settings.get("enable_postgres_team_crd") == "true":
        rules.append(_rule("acid.zalan.do", "postgresteams", "get list watch"))
    return rules


def pod_rules(use_configmaps: bool) -> list[KubernetesObject]:
    """Gives what the database pods may do.

    Args:
        use_configmaps: Whether Patroni keeps its state in ConfigMaps (True) or in Endpoints.

    Returns:
        Rules of a role.
    """
    rules = [
        _rule("", "configmaps" if use_configmaps else "endpoints", "create get list patch watch"),
        _rule("", "pods", "get list patch watch"),
    ]
    if not use_configmaps:
        # A headless Service for its configuration endpoint.
        rules.append(_rule("", "services", "create"))
    return rules


def operator_roles(message: PostgresOperatorKubernetes, *, use_configmaps: bool) -> list[KubernetesObject]:
    """Makes the operator's account, its role and binding, and the role of the database pods.

    Args:
        message: The operator, with its defaults filled.
        use_configmaps: Whether Patroni keeps its state in ConfigMaps (True) or in Endpoints.

    Returns:
        ServiceAccount, two ClusterRoles and a ClusterRoleBinding.
    """
    namespace = namespace_of(message)
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": object_metadata(message, OPERATOR, namespace=namespace),
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": object_metadata(message, OPERATOR),
            "rules": operator_rules(message, use_configmaps),
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": object_metadata(message, POD_SERVICE_ACCOUNT),
            "rules": pod_rules(use_configmaps),
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": object_metadata(message, OPERATOR),
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": OPERATOR},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}],
        },
    ]
