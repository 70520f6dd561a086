"""What is ours: labels, sets, and what managedFields say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planton.errors import RefusedError
from planton.translate.contract import KubernetesObject
from planton.translate.names import POD_SERVICE_ACCOUNT, RESOURCE_LABEL

MANAGER = "planton"
"""Our field manager."""

SET_LABEL = "planton.ai/set"

OURS = f"{RESOURCE_LABEL}=true"
"""Label selector of our objects. The operator passes the label on to some of its own, so it proves nothing alone."""

# https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/validation/validation.go
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Gives the labels of an object.

    Args:
        obj: The object.

    Returns:
        Its labels, empty when it has none.
    """
    return (obj.get("metadata") or {}).get("labels") or {}


def applied_fields(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Gives the fields that we own by server-side apply.

    Args:
        obj: A live object.

    Returns:
        Its fieldsV1, or None when we never applied it.
    """
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
            return fields
    return None


def is_applied_by_us(obj: Mapping[str, Any]) -> bool:
    """Tells whether we applied an object.

    Args:
        obj: A live object.

    Returns:
        True when managedFields say so.
    """
    return applied_fields(obj) is not None


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Tells whether an object was made by us: applied by us, or at least labelled as ours.

    Args:
        obj: A live object.

    Returns:
        True when applying it takes nothing away from anybody.
    """
    return is_applied_by_us(obj) or labels_of(obj).get(RESOURCE_LABEL) == "true"


def other_managers(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Names the field managers of an object besides us.

    Args:
        obj: A live object.

    Returns:
        Their names, sorted.
    """
    entries = (obj.get("metadata") or {}).get("managedFields") or ()
    return tuple(sorted({str(entry.get("manager", "")) for entry in entries} - {MANAGER, ""}))


def check_set_id(set_id: str | None) -> None:
    """Checks the id of a set.

    Args:
        set_id: The id, or None.

    Raises:
        RefusedError: It is not a label value.
    """
    if set_id is not None and not _LABEL_VALUE.fullmatch(set_id):
        raise RefusedError(
            [
                "the set id must be a label value: 1 to 63 letters, digits, '-', '_' or '.', "
                "beginning and ending with a letter or digit"
            ]
        )


def with_set(objects: Iterable[KubernetesObject], set_id: str | None) -> list[KubernetesObject]:
    """Puts objects into a set.

    Args:
        objects: The objects; left as they are.
        set_id: Id of the set, or None.

    Returns:
        The objects, with the label of the set when there is one.
    """
    if set_id is None:
        return list(objects)
    return [obj if is_pod_account(obj) else labelled(obj, set_id) for obj in objects]


def is_pod_account(obj: Mapping[str, Any]) -> bool:
    """Tells whether an object is the service account of the database pods.

    Args:
        obj: The object.

    Returns:
        True for the one that the operator makes, and on which planton writes annotations and nothing else.
    """
    return obj.get("kind") == "ServiceAccount" and (obj.get("metadata") or {}).get("name") == POD_SERVICE_ACCOUNT


def labelled(obj: KubernetesObject, set_id: str) -> KubernetesObject:
    """Gives an object with the label of a set.

    Args:
        obj: The object; left as it is.
        set_id: Id of the set.

    Returns:
        A copy that shares everything but its metadata.
    """
    metadata = dict(obj["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), SET_LABEL: set_id}
    return {**obj, "metadata": metadata}
