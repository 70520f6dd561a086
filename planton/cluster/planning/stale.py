"""What has changed between a plan and its apply: nobody's change is written over unseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planton.cluster.api.resources import SECRET, Key
from planton.errors import ClusterError
from planton.translate.contract import KubernetesObject
from planton.translate.names import (
    DELETE_ANNOTATION,
    FILES_SECRET,
    GENERATION_ANNOTATION,
    SOURCES_ANNOTATION,
    is_storage_secret,
)

_NO_VERSION = "1"
_CHANGED = "it has changed since the plan"
_AGAIN = "Plan again: run the same command again, and look at what it shows."


def only_over(obj: KubernetesObject, live: KubernetesObject | None) -> KubernetesObject:
    """Makes the server refuse an object over any other than the one that was looked at.

    Args:
        obj: What is sent; left as it is.
        live: The live object; None sends no condition.

    Returns:
        A copy that shares everything but its metadata.
    """
    if live is None:
        return obj
    # The resourceVersion alone does not keep an object from being made anew when it is gone; the uid does.
    condition = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
    return {**obj, "metadata": {**obj["metadata"], **condition}}


def only_new(obj: KubernetesObject) -> KubernetesObject:
    """Makes the server refuse an object where there is one already, whoever made it and since when.

    The server compares a resourceVersion that is sent with that of the object that is there, and creates it where there
    is none. No object has the first one: that of the store while it was empty.
    https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go
    (Update)

    Args:
        obj: What is sent; left as it is.

    Returns:
        A copy that shares everything but its metadata.
    """
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": _NO_VERSION}}


def is_as_planned(planned: KubernetesObject, now: KubernetesObject, desired: KubernetesObject) -> bool:
    """Tells whether only such parts of an object have changed as its controllers write all the time.

    Args:
        planned: The object that the plan looked at.
        now: The object as it is now.
        desired: What would be sent.

    Returns:
        True when all but status, bookkeeping, and labels and annotations of others is the same.
    """
    return _substance(planned, desired) == _substance(now, desired)


def _substance(obj: KubernetesObject, desired: KubernetesObject) -> KubernetesObject:
    metadata = obj["metadata"]
    kept: dict[str, Any] = {
        key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")
    }
    for part in ("labels", "annotations"):
        ours = {*(desired["metadata"].get(part) or {}), DELETE_ANNOTATION}
        there = metadata.get(part) or {}
        kept[f"metadata.{part}"] = {
            key: value for key, value in there.items() if key in ours or key.startswith("planton.ai/")
        }
    kept["metadata"] = (metadata.get("uid"), "deletionTimestamp" in metadata, metadata.get("ownerReferences") or [])
    return kept


def is_source(key: Key) -> bool:
    """Tells whether an object of the operator's namespace is one that is copied to all databases.

    Args:
        key: Its identity.

    Returns:
        True for the storage Secret and for that with files.
    """
    return key.resource is SECRET and (is_storage_secret(key.name) or key.name == FILES_SECRET)


def credentials_in(secret: KubernetesObject) -> tuple[dict[str, str], tuple[str, ...]]:
    """Gives what of a Secret is credentials: its contents, how often they have changed, and where they come from.

    Args:
        secret: The Secret, live or wanted.

    Returns:
        Values to be compared, and never shown.
    """
    annotations = secret["metadata"].get("annotations") or {}
    marks = (GENERATION_ANNOTATION, SOURCES_ANNOTATION)
    return dict(secret.get("data") or {}), tuple(str(annotations.get(mark, "")) for mark in marks)


def changed(key: Key, reasons: Sequence[str] = ()) -> ClusterError:
    """Makes the error for an object that is not as the plan saw it.

    Args:
        key: Its identity.
        reasons: What would be refused now.

    Returns:
        The error.
    """
    return ClusterError(
        "\n".join((_CHANGED, *reasons)),
        subject=key.subject,
        phase="apply",
        status=409,
        reason="Conflict",
        remedy=_AGAIN,
    )


def no_longer_right(subject: str, text: str) -> ClusterError:
    """Makes the error for a set that the cluster has outgrown since the plan.

    Args:
        subject: What it is about; empty for the whole set.
        text: What is wrong now.

    Returns:
        The error.
    """
    return ClusterError(
        f"the cluster has changed since the plan\n{text}",
        subject=subject,
        phase="apply",
        status=409,
        reason="Conflict",
        remedy=_AGAIN,
    )
