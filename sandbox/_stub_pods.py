"""Pod objects with a status, for what a cluster without a kubelet cannot run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from sandbox._api import Api, Object
from sandbox._errors import ApiError


def stub_pod(
    api: Api,
    namespace: str,
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None,
    service_account: str,
    running: bool,
) -> Object:
    """Create a pod and write the status that a kubelet would; arguments as in `Sandbox.stub_pod`.

    Args:
        api: client with administrator's rights.
        namespace: an existing namespace.
        name: name of the pod.
        labels: labels of the pod.
        annotations: annotations of the pod.
        service_account: account of the pod; ``default`` is made where it is missing.
        running: False leaves it pending.

    Returns:
        The object as the API server has it.

    Raises:
        ApiError: if the API server refuses it.
    """
    if service_account == "default":
        # The controller manager makes this account in each namespace; admission refuses pods without one.
        _ensure_account(api, namespace)
    metadata: Object = {"name": name, "namespace": namespace, "labels": dict(labels)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "serviceAccountName": service_account,
            "containers": [{"name": "stub", "image": "stub.invalid/never-runs:1"}],
        },
    }
    pods = f"/api/v1/namespaces/{namespace}/pods"
    created = api.request("POST", pods, pod)
    if not running:
        return created
    return api.request(
        "PATCH",
        f"{pods}/{name}/status",
        {"status": _running_status()},
        content_type="application/merge-patch+json",
    )


def _ensure_account(api: Api, namespace: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    try:
        api.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def _running_status() -> Object:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "startTime": now,
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in conditions],
        "containerStatuses": [
            {
                "name": "stub",
                "image": "stub.invalid/never-runs:1",
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
        ],
    }
