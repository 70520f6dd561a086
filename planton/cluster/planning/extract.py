"""What of a live object is ours by server-side apply, in a form that can be applied again.

An apply that leaves a field out gives it up, so whoever wants to change one field of an object without its manifest has
to send again all that was applied before, and nothing else. managedFields say what that is, as for client-go's
`Extract…` functions (https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planton.cluster.ownership import applied_fields
from planton.translate.contract import KubernetesObject

_MISSING = object()


def applied(live: KubernetesObject) -> KubernetesObject | None:
    """Gives what we have applied of an object.

    Args:
        live: The object, with its managedFields; left as it is.

    Returns:
        A copy with our fields only, which an apply would not change; None when we never applied the object.
    """
    fields = applied_fields(live)
    if fields is None:
        return None
    taken: KubernetesObject = _taken(live, fields)
    metadata = {name: live["metadata"][name] for name in ("name", "namespace") if name in live["metadata"]}
    head = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
    return {**head, **taken, "metadata": {**metadata, **taken.get("metadata", {})}}


def _taken(value: Any, fields: Mapping[str, Any]) -> Any:
    children = {key: inner for key, inner in fields.items() if key != "."}
    if not children:
        # "." alone is an empty map or list of ours, in which others may have put something.
        return type(value)() if "." in fields and isinstance(value, (dict, list)) else json.loads(json.dumps(value))
    if isinstance(value, Mapping):
        named = {key[2:]: inner for key, inner in children.items() if key.startswith("f:")}
        return {name: _taken(value[name], inner) for name, inner in named.items() if name in value}
    if isinstance(value, list):
        # In the order of the live list: that of an applied list is kept by the server.
        return [_taken(item, inner) for item in value if (inner := _of_item(item, children)) is not None]
    return value


def _of_item(item: Any, children: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for mark, inner in children.items():
        wanted = json.loads(mark[2:])
        if mark.startswith("v:") and item == wanted:
            return {}
        if mark.startswith("k:") and all(
            isinstance(item, Mapping) and item.get(name, _MISSING) == part for name, part in wanted.items()
        ):
            return inner
    return None
