"""The CronJob that keeps the credentials where they belong, with an account that may do that and nothing else.

Which calls it makes: planton/cluster/synchronising/; the tests run it under these very rules. Secrets are never listed.
Server-side apply is a PATCH, and where it creates, the API server asks for `create` with the name
(Kubernetes v1.36, apiserver pkg/endpoints/handlers/patch.go), so resourceNames hold for that as well.

Less is not possible, and it is still a lot: whoever has this account's token reads the bucket's keys, and by `patch` on
the operator's Deployment can run anything as the operator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from planton.translate.contract import KubernetesObject
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR, POD_SERVICE_ACCOUNT
from planton.translate.platform import BackupPlatform

SYNC_JOB = "planton-sync-credentials"
"""Name of the CronJob, and what the names of its account and roles begin with."""
DEFAULT_SCHEDULE = "*/5 * * * *"
_RBAC = "rbac.authorization.k8s.io"
# Of no account in an image; https://github.com/GoogleContainerTools/distroless has it as `nonroot`.
_USER = 65532


def sync_job(platform: BackupPlatform, image: str, schedule: str = DEFAULT_SCHEDULE) -> list[KubernetesObject]:
    """Makes the CronJob with what it needs.

    Args:
        platform: The backup platform of the operator.
        image: Image in which the command `planton` is.
        schedule: Cron expression.

    Returns:
        ServiceAccount, roles, bindings and CronJob, in the order in which they are applied.
    """
    namespace = platform.namespace
    wide = f"{SYNC_JOB}-{namespace}"
    objects: list[KubernetesObject] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(SYNC_JOB, namespace)},
        _role("ClusterRole", wide, "", _everywhere(platform)),
        _binding("ClusterRoleBinding", wide, "", "ClusterRole", namespace),
    ]
    places = _sources(platform)
    rules = _at_the_operator() + _reading(places.pop(namespace, ()))
    objects += [
        _role("Role", SYNC_JOB, namespace, rules),
        _binding("RoleBinding", SYNC_JOB, namespace, "Role", namespace),
    ]
    for space, names in sorted(places.items()):
        objects += [
            _role("Role", wide, space, _reading(names)),
            _binding("RoleBinding", wide, space, "Role", namespace),
        ]
    return [*objects, _cron_job(namespace, image, schedule)]


def _metadata(name: str, namespace: str) -> KubernetesObject:
    # Not the labels by which planton knows its own: whoever applies this owns it.
    metadata: KubernetesObject = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"app.kubernetes.io/name": SYNC_JOB, "app.kubernetes.io/part-of": "planton"}
    return metadata


def _rule(group: str, resource: str, verbs: str, names: Sequence[str] = ()) -> KubernetesObject:
    rule: KubernetesObject = {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}
    if names:
        rule["resourceNames"] = list(names)
    return rule


def _everywhere(platform: BackupPlatform) -> list[KubernetesObject]:
    copies = sorted(name for name in (platform.secret_name, platform.files_secret_name) if name)
    rules = [_rule("", "namespaces", "list"), _rule("acid.zalan.do", "postgresqls", "list")]
    if copies:
        rules.append(_rule("", "secrets", "create get patch", copies))
    if platform.service_account_annotations:
        rules.append(_rule("", "serviceaccounts", "create get patch", [POD_SERVICE_ACCOUNT]))
    return rules


def _at_the_operator() -> list[KubernetesObject]:
    return [
        _rule("", "configmaps", "get", [OPERATOR, BACKUP_CONFIGMAP]),
        _rule("", "configmaps", "patch", [BACKUP_CONFIGMAP]),
        _rule("apps", "deployments", "get patch", [OPERATOR]),
    ]


def _sources(platform: BackupPlatform) -> dict[str, tuple[str, ...]]:
    """Namespace -> the Secrets of others in it that are followed."""
    found: dict[str, set[str]] = defaultdict(set)
    for place in platform.sources.values():
        namespace, name, _ = place.split("/")
        found[namespace].add(name)
    return {namespace: tuple(sorted(names)) for namespace, names in found.items()}


def _reading(names: Sequence[str]) -> list[KubernetesObject]:
    return [_rule("", "secrets", "get", names)] if names else []


def _role(kind: str, name: str, namespace: str, rules: list[KubernetesObject]) -> KubernetesObject:
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": _metadata(name, namespace), "rules": rules}


def _binding(kind: str, name: str, namespace: str, role: str, home: str) -> KubernetesObject:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": SYNC_JOB, "namespace": home}],
    }


def _cron_job(namespace: str, image: str, schedule: str) -> KubernetesObject:
    container: KubernetesObject = {
        "name": "planton",
        "image": image,
        "command": ["planton", "sync-credentials", "--in-cluster", "--operator", namespace],
        # It writes no file: not even what Python compiles.
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "resources": {
            "limits": {"cpu": "500m", "memory": "256Mi"},
            "requests": {"cpu": "50m", "memory": "128Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: KubernetesObject = {
        "serviceAccountName": SYNC_JOB,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    labels = {"app.kubernetes.io/name": SYNC_JOB}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(SYNC_JOB, namespace),
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            # Without it a hundred missed starts in a row end the CronJob for good.
            "startingDeadlineSeconds": 240,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 1,
                    # More than the command waits for the operator, so that it tells itself what is not ready.
                    "activeDeadlineSeconds": 600,
                    "ttlSecondsAfterFinished": 3600,
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                }
            },
        },
    }
