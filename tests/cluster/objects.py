"""Plain objects for tests of the cluster layer, in the form in which they are rendered."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]

LABELS = {"app.kubernetes.io/managed-by": "planton", "planton.ai/resource": "true", "planton.ai/name": "sample"}


def metadata(name: str, namespace: str | None = None, **labels: str) -> Object:
    there = {"namespace": namespace} if namespace else {}
    return {"name": name, **there, "labels": LABELS | labels}


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name)}


def config_map(space: str, name: str = "settings", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, space), "data": data or {"a": "1"}}


def secret(space: str, name: str = "keys", **data: str) -> Object:
    values = data or {"AWS_ACCESS_KEY_ID": "sentinel-access", "AWS_SECRET_ACCESS_KEY": "sentinel-secret"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, space),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def service_account(space: str, name: str = "worker") -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, space)}


def service(space: str, name: str = "front") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, space),
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": "sample"},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "targetPort": 8080}],
        },
    }


def cluster_role(name: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata(name),
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    }


def cluster_role_binding(name: str, space: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata(name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": space}],
    }


def deployment(space: str, name: str = "worker", **container: Any) -> Object:
    """Makes a Deployment that nothing in a sandbox runs, with all forms of fields that planton renders."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, space),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "sample"}},
            "template": {
                "metadata": {"labels": {"app": "sample"}, "annotations": {"planton.ai/configuration-checksum": "0"}},
                "spec": {
                    "serviceAccountName": "worker",
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "volumes": [{"name": "scratch", "emptyDir": {}}],
                    "containers": [
                        {
                            "name": "worker",
                            "image": "example.org/worker:1",
                            "env": [{"name": "SETTINGS", "value": "settings"}, {"name": "EMPTY", "value": ""}],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "resources": {
                                "limits": {"cpu": "1000m", "memory": "1Gi"},
                                "requests": {"cpu": "0.05", "memory": "1024Ki"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp", "readOnly": False}],
                            **container,
                        }
                    ],
                },
            },
        },
    }


def foreign_database(space: str, name: str = "") -> Object:
    """A database as somebody makes it who never heard of planton."""
    return {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": name or f"db-{space}", "namespace": space},
        "spec": {"teamId": "them", "numberOfInstances": 1, "postgresql": {"version": "16"}, "volume": {"size": "1Gi"}},
    }


def everything(space: str) -> list[Object]:
    """Makes a set with one object of each kind that needs no CRD, in no order."""
    return [
        deployment(space),
        config_map(space),
        secret(space),
        service(space),
        cluster_role_binding(space, space),
        cluster_role(space),
        service_account(space),
        namespace(space),
    ]
