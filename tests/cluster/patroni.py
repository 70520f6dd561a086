"""What Patroni and the kubelet write about a database cluster, for tests without either."""

from __future__ import annotations

import json
from typing import Any

from sandbox._api import Api
from tests.cluster.objects import Object

# As Patroni 4.0.4 writes it of a primary (Ha.touch_member), with what planton does not read.
_STATUS = {
    "conn_url": "postgres://10.2.0.11:5432/postgres",
    "api_url": "http://10.2.0.11:8008/patroni",
    "version": "4.0.4",
    "xlog_location": 117440512,
}


def history(*lines: tuple[int, str] | tuple[int, str, str]) -> str:
    """Makes the annotation `history`: timelines that were left, why, and when."""
    made = []
    for timeline, reason, *time in lines:
        made.append([timeline, 67108864 * int(timeline), reason, *time, *["pod-0" for _ in time]])
    return json.dumps(made, separators=(",", ":"))


def config(
    space: str, name: str, initialize: str | None, lines: str | None = None, *, kind: str = "ConfigMap"
) -> Object:
    """Makes the object `<cluster>-config`."""
    annotations = {"config": '{"ttl":30,"loop_wait":10}', "initialize": initialize, "history": lines}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": f"{name}-config",
            "namespace": space,
            "labels": {"application": "spilo", "cluster-name": name},
            "annotations": {key: value for key, value in annotations.items() if value is not None},
        },
    }


def told(state: str = "running", role: str = "primary", timeline: int | None = 2, **more: Any) -> str:
    """Makes the annotation `status` of a pod."""
    facts = {**_STATUS, "state": state, "role": role, **more}
    return json.dumps(facts | ({"timeline": timeline} if timeline is not None else {}), separators=(",", ":"))


def pod(
    space: str,
    name: str,
    number: int = 0,
    *,
    status: str | None = None,
    label: str = "master",
    env: dict[str, str] | None = None,
    node: str = "",
) -> Object:
    """Makes a pod of a database as the operator's StatefulSet would, without its image."""
    labels = {"application": "spilo", "cluster-name": name} | ({"spilo-role": label} if label else {})
    entries = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container = {"name": "postgres", "image": "stub.invalid/spilo:1", "env": entries}
    spec: Object = {"serviceAccountName": "default", "containers": [container]}
    annotations = {} if status is None else {"status": status}
    metadata = {"name": f"{name}-{number}", "namespace": space, "labels": labels, "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec | ({"nodeName": node} if node else {}),
    }


def runs(ready: bool = True, **container: Any) -> Object:
    """Makes the status of a pod; arguments replace parts of its container's."""
    one = {"name": "postgres", "image": "stub.invalid/spilo:1", "imageID": "", "ready": ready, "restartCount": 0}
    state = {"running": {"startedAt": "2026-11-22T08:00:00Z"}}
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    conditions = [{"type": kind, "status": str(ready or kind == "PodScheduled")} for kind in kinds]
    phase = "Running" if ready else "Pending"
    return {"phase": phase, "conditions": conditions, "containerStatuses": [{**one, "state": state, **container}]}


def create_pod(api: Api, obj: Object, status: Object | None = None) -> None:
    """Creates a pod, with the status that a kubelet would write."""
    pods = f"/api/v1/namespaces/{obj['metadata']['namespace']}/pods"
    api.request("POST", pods, obj)
    patch = {"status": status or runs()}
    name = obj["metadata"]["name"]
    api.request("PATCH", f"{pods}/{name}/status", patch, content_type="application/merge-patch+json")
