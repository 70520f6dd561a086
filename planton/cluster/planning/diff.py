"""Differences between two states of one object, field by field, credentials hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planton.cluster.api.mask import HIDDEN, Scrubber, is_hidden
from planton.cluster.changes import FieldChange
from planton.translate.contract import KubernetesObject
from planton.translate.platform import PLATFORM_ANNOTATION

# Fields by which the items of lists are told apart, the first that all items have and that is unique.
_KEYS = ("name", "containerPort", "port", "mountPath", "key", "ip", "uid")
_PLATFORM = f'metadata.annotations["{PLATFORM_ANNOTATION}"]'
_SERVER_METADATA = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"})


def _visible(obj: KubernetesObject) -> KubernetesObject:
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _SERVER_METADATA}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def field_changes(before: KubernetesObject, after: KubernetesObject, scrubber: Scrubber) -> tuple[FieldChange, ...]:
    """Lists the fields that differ.

    Args:
        before: The object as it is.
        after: The object as it would be.
        scrubber: Knows the credentials that no text may show.

    Returns:
        One for each scalar that differs, in the order of the object.
    """
    kind = str(after.get("kind") or before.get("kind") or "")
    changes = tuple(_walk(kind, _visible(before), _visible(after), (), "", (), scrubber))
    # It repeats the rest of its ConfigMap, in one long line.
    shown = tuple(one for one in changes if one.path != _PLATFORM)
    return shown or changes


def removed_keys(paths: Sequence[tuple[str, ...]], scrubber: Scrubber) -> tuple[FieldChange, ...]:
    """Lists keys that are not ours and are removed; their values are never shown.

    Args:
        paths: Paths of the keys.
        scrubber: Knows the credentials that no text may show.

    Returns:
        One for each.
    """
    return tuple(FieldChange(scrubber.text(".".join(path)), HIDDEN, None) for path in paths)


def _walk(
    kind: str,
    before: Any,
    after: Any,
    path: tuple[str, ...],
    shown: str,
    entry: tuple[str, ...],
    scrubber: Scrubber,
) -> Iterator[FieldChange]:
    if before == after:
        return
    maps = [one for one in (before, after) if isinstance(one, Mapping) and one]
    lists = [one for one in (before, after) if isinstance(one, list) and one]
    if maps and not lists and all(isinstance(one, Mapping) or one is None for one in (before, after)):
        for key in dict.fromkeys([*(before or {}), *(after or {})]):
            name = str(key)
            inner = f"{shown}.{name}" if shown and _is_plain(name) else name if not shown else f'{shown}["{name}"]'
            yield from _walk(
                kind, (before or {}).get(key), (after or {}).get(key), (*path, name), inner, entry, scrubber
            )
        return
    if lists and not maps and all(isinstance(one, list) or one is None for one in (before, after)):
        yield from _walk_list(kind, before or [], after or [], path, shown, scrubber)
        return
    hide = is_hidden(kind, path, entry)
    yield FieldChange(scrubber.text(shown), _text(before, hide, scrubber), _text(after, hide, scrubber))


def _walk_list(
    kind: str, before: list[Any], after: list[Any], path: tuple[str, ...], shown: str, scrubber: Scrubber
) -> Iterator[FieldChange]:
    key = next((name for name in _KEYS if _tells_apart(name, before) and _tells_apart(name, after)), None)
    if key is None:
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            yield from _walk(kind, old, new, path, f"{shown}[{index}]", _names(old, new), scrubber)
        return
    olds, news = {one[key]: one for one in before}, {one[key]: one for one in after}
    for value in dict.fromkeys([*olds, *news]):
        old, new = olds.get(value), news.get(value)
        if old is None or new is None:
            # The key stands in the path already; shown again only where there is nothing else.
            old, new = (_without(one, key) if one else one for one in (old, new))
        yield from _walk(kind, old, new, path, f"{shown}[{key}={value}]", (str(value),), scrubber)
    if list(olds) != list(news) and set(olds) == set(news):
        yield FieldChange(f"{shown} (order)", _text(list(olds), False, scrubber), _text(list(news), False, scrubber))


def _names(*items: Any) -> tuple[str, ...]:
    """Names that items of a list have themselves, where their places say nothing."""
    return tuple(str(one["name"]) for one in items if isinstance(one, Mapping) and "name" in one)


def _without(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return {name: value for name, value in item.items() if name != key} or item


def _tells_apart(name: str, items: Sequence[Any]) -> bool:
    values = [one.get(name) if isinstance(one, Mapping) else None for one in items]
    return all(isinstance(value, (str, int)) for value in values) and len(set(values)) == len(values)


def _is_plain(name: str) -> bool:
    return not set(name) & set('./[]" ')


def _text(value: Any, hide: bool, scrubber: Scrubber) -> str | None:
    if value is None:
        return None
    # An empty value gives nothing away, and what was switched off by one can be seen.
    return HIDDEN if hide and value != "" else scrubber.text(json.dumps(value, ensure_ascii=False))
