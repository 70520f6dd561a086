"""Compares what we want with what is there, without asking the server.

`is_settled` says True only when an apply would surely change nothing: what we own according to managedFields is
exactly what we would send, in both directions, and the values are the same. When it is not sure the server is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from planton.cluster.ownership import MANAGER, applied_fields
from planton.cluster.planning.normalise import ABSENT, same
from planton.translate.contract import KubernetesObject
from planton.translate.names import DELETE_ANNOTATION

# Fields that the server keeps out of managedFields, or that only it writes.
# https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/stripmeta.go
_UNMANAGED = frozenset({"apiVersion", "kind"})
_UNMANAGED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
    }
)

# Maps that are owned as a whole (x-kubernetes-map-type: atomic): in managedFields they look like an empty map.
_ATOMIC_MAPS = frozenset(
    {
        "selector",
        "nodeSelector",
        "labelSelector",
        "namespaceSelector",
        "podSelector",
        "roleRef",
        "secretKeyRef",
        "configMapKeyRef",
        "fieldRef",
        "resourceFieldRef",
    }
)

_SCALARS = frozenset({str, int, float, bool, type(None)})


def is_typed(obj: Mapping[str, Any]) -> bool:
    """Tells whether the server has a type of its own for an object.

    Args:
        obj: The object.

    Returns:
        False for custom resources.
    """
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def is_settled(desired: KubernetesObject, live: KubernetesObject) -> bool:
    """Tells whether an apply would surely change nothing.

    Args:
        desired: What would be sent.
        live: What is there.

    Returns:
        True when it is sure; False when the server must be asked.
    """
    owned = applied_fields(live)
    if owned is None:
        return False
    wanted = _managed(desired)
    shape = _shape_of(owned)
    if shape is not None and _is_equal(wanted, live, shape):
        return True
    return _agrees(wanted, live, owned, (), typed=is_typed(desired))


_Shape: TypeAlias = dict[str, "_Shape | None"]
"""What is owned in a map: name of a field -> what is owned in it, None for a field that is owned as a whole."""

_SHAPES = 16
_DEEPEST = 30
_known: tuple[tuple[Mapping[str, Any], _Shape], ...] = ()


def _shape_of(owned: Mapping[str, Any]) -> _Shape | None:
    """Gives the shape of managedFields; None where there is more in them than maps within maps.

    The objects of a thousand databases have two or three of them, and to see that one is the same as another is much
    quicker than to walk through it once more.
    """
    global _known
    for one, known in _known:
        if one == owned:
            return known
    shape = _shape_in(owned, _DEEPEST) if owned else None
    if shape is not None:
        # As a whole, since threads look at it meanwhile.
        _known = ((owned, shape), *_known[: _SHAPES - 1])
    return shape


def _shape_in(owned: Mapping[str, Any], deepest: int) -> _Shape | None:
    shape: _Shape = {}
    for name, part in owned.items():
        if name == ".":
            continue
        if not name.startswith("f:") or not isinstance(part, Mapping) or not deepest:
            return None
        if not part or part.keys() == {"."}:
            shape[name[2:]] = None
        elif (inner := _shape_in(part, deepest - 1)) is not None:
            shape[name[2:]] = inner
        else:
            return None
    return shape


def _is_equal(desired: Any, live: Any, shape: _Shape) -> bool:
    """Tells quickly whether what we own is equal to the letter, as it nearly always is; False when it is not sure."""
    if not isinstance(desired, dict) or not isinstance(live, dict) or desired.keys() != shape.keys():
        return False
    for name, inner in shape.items():
        value, other = desired[name], live.get(name, ABSENT)
        if inner is not None:
            if not _is_equal(value, other, inner):
                return False
            continue
        if value != other:
            return False
        kind = type(value)
        # A text is equal to nothing but a text. An empty map may stand for one that is owned as a whole: that is looked
        # at with care.
        if kind is not str and (kind is dict or not _is_alike(value, other)):
            return False
    return True


def _is_alike(one: Any, other: Any) -> bool:
    """Compares with the types of JSON: for Python True is 1."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(_is_alike, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(_is_alike(value, other[key]) for key, value in one.items())
    return type(one) in _SCALARS and bool(one == other)


def _managed(obj: KubernetesObject) -> KubernetesObject:
    kept = {key: value for key, value in obj.items() if key not in _UNMANAGED}
    if isinstance(kept.get("metadata"), Mapping):
        metadata = {key: value for key, value in kept["metadata"].items() if key not in _UNMANAGED_METADATA}
        if metadata:
            kept["metadata"] = metadata
        else:
            del kept["metadata"]
    return kept


def _agrees(desired: Any, live: Any, owned: Mapping[str, Any], path: tuple[str, ...], *, typed: bool) -> bool:
    children = {key: value for key, value in owned.items() if key != "."}
    if not children:
        if isinstance(desired, Mapping) and desired and (not path or path[-1] not in _ATOMIC_MAPS):
            return False  # Owned as an empty map until now, or an atomic one that is not in our table.
        return same(desired, live, path, typed=typed)
    marks = {key[:2] for key in children}
    if marks == {"f:"}:
        return (
            isinstance(desired, Mapping)
            and isinstance(live, Mapping)
            and {f"f:{key}" for key in desired} == set(children)
            and all(
                _agrees(value, live.get(key, ABSENT), children[f"f:{key}"], (*path, key), typed=typed)
                for key, value in desired.items()
            )
        )
    if not isinstance(desired, list) or not isinstance(live, list) or len(desired) != len(children):
        return False
    if marks == {"k:"}:
        return _agrees_by_key(desired, live, children, path, typed=typed)
    if marks == {"v:"}:
        wanted = {json.dumps(one, sort_keys=True) for one in desired}
        there = {json.dumps(one, sort_keys=True) for one in live}
        owns = {json.dumps(json.loads(key[2:]), sort_keys=True) for key in children}
        return wanted == owns and wanted <= there
    return False


def _agrees_by_key(
    desired: Sequence[Any],
    live: Sequence[Any],
    children: Mapping[str, Mapping[str, Any]],
    path: tuple[str, ...],
    *,
    typed: bool,
) -> bool:
    for text, owned in children.items():
        key = json.loads(text[2:])
        # Parts of the key that are not sent are defaults of the server, such as a port's protocol.
        ours = [one for one in desired if isinstance(one, Mapping) and _fits(key, one, strict=False)]
        theirs = [one for one in live if isinstance(one, Mapping) and _fits(key, one, strict=True)]
        if len(ours) != 1 or len(theirs) != 1 or not _agrees(ours[0], theirs[0], owned, path, typed=typed):
            return False
    return True


def _fits(key: Mapping[str, Any], item: Mapping[str, Any], *, strict: bool) -> bool:
    return all(item.get(name) == value if name in item or strict else True for name, value in key.items())


def is_unchanged_by(live: KubernetesObject, answer: KubernetesObject) -> bool:
    """Tells whether a dry-run changed nothing, ownership of fields included.

    Args:
        live: What is there.
        answer: What the server answered to the dry-run.

    Returns:
        True when they are the same but for times and the resourceVersion.
    """
    return _without_noise(live) == _without_noise(answer)


def is_unchanged_but_ownership(live: KubernetesObject, answer: KubernetesObject) -> bool:
    """Tells whether a dry-run changed nothing but which manager owns which field.

    Args:
        live: What is there.
        answer: What the server answered to the dry-run.

    Returns:
        True when all values are the same.
    """
    one, other = _without_noise(live), _without_noise(answer)
    for obj in (one, other):
        obj["metadata"].pop("managedFields", None)
    return one == other


def _without_noise(obj: KubernetesObject) -> KubernetesObject:
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "resourceVersion"}
    if "managedFields" in metadata:
        entries = [{key: value for key, value in one.items() if key != "time"} for one in metadata["managedFields"]]
        metadata["managedFields"] = sorted(entries, key=lambda one: json.dumps(one, sort_keys=True))
    return {**obj, "metadata": metadata}


def foreign_data(desired: KubernetesObject, live: KubernetesObject) -> tuple[tuple[str, ...], ...]:
    """Finds what stands where everything is ours, and is not ours.

    Args:
        desired: What would be sent.
        live: What is there.

    Returns:
        Paths of keys in the data of a ConfigMap or Secret that we do not send, and of a permission to delete that a
        deletion which was broken off left at a database.
    """
    kind = desired.get("kind")
    if kind in ("ConfigMap", "Secret"):
        return tuple(
            (part, key)
            for part in ("data", "binaryData")
            for key in sorted(live.get(part) or {})
            if key not in (desired.get(part) or {}) and not _goes_by_itself(live, part, key)
        )
    is_there = DELETE_ANNOTATION in (live["metadata"].get("annotations") or {})
    if kind == "postgresql" and is_there and DELETE_ANNOTATION not in (desired["metadata"].get("annotations") or {}):
        # By a merge patch of a deletion that was broken off; one that somebody else has set is none of our business.
        ours = [entry for entry in live["metadata"].get("managedFields") or () if entry.get("manager") == MANAGER]
        if any(f"f:{DELETE_ANNOTATION}" in _annotations(entry) for entry in ours):
            return (("metadata", "annotations", DELETE_ANNOTATION),)
    return ()


def _goes_by_itself(live: KubernetesObject, part: str, key: str) -> bool:
    """Whether an apply that no longer has a key removes it: we applied it, and nobody else owns it."""
    owners = [
        (entry.get("manager"), entry.get("operation"))
        for entry in live["metadata"].get("managedFields") or ()
        if f"f:{key}" in ((entry.get("fieldsV1") or {}).get(f"f:{part}") or {})
    ]
    return owners == [(MANAGER, "Apply")]


def _annotations(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    return fields.get("f:annotations") or {}
