"""Compares the cluster with the model, object by object."""

from __future__ import annotations

import json
from typing import Any

from tests.model.expected import GENERATION, PLANTED, SET, TOLD, Entry, Expected, Object, Place, subject

_OTHER_LABELS = {SET, "theirs", "kubernetes.io/metadata.name"}


def agrees(place: Place, entry: Entry, live: Object) -> None:
    assert entry.sent is not None
    sent = json.loads(json.dumps(entry.sent))
    del sent["apiVersion"]  # Items of a list do not say theirs.
    for patch in entry.taken.values():
        merge(sent, patch)
    labels = live["metadata"].get("labels") or {}
    assert {name: text for name, text in labels.items() if name not in _OTHER_LABELS} == sent["metadata"]["labels"]
    assert labels.get(SET, "") == entry.in_set, place
    assert generation(live) == entry.generation, place
    if place[0] == "Secret":
        extra = {PLANTED: "cGxhbnRlZA=="} if entry.planted else {}
        assert live["data"] == {**sent["data"], **extra}
    if place[0] == "postgresql":
        live = json.loads(json.dumps(live))
        live["spec"]["env"] = [one for one in live["spec"].get("env") or () if one["name"] != TOLD]
        sent["spec"].setdefault("env", [])
    assert shows(sent, live), (place, sent, live)


def merge(obj: Object, patch: Object) -> None:
    for name, value in patch.items():
        if isinstance(value, dict):
            merge(obj.setdefault(name, {}), value)
        else:
            obj[name] = value


def shows(sent: Any, live: Any) -> bool:
    """Whether all that was sent is there; what is there besides are defaults."""
    if isinstance(sent, dict):
        return isinstance(live, dict) and all(name in live and shows(one, live[name]) for name, one in sent.items())
    if isinstance(sent, list):
        return (
            isinstance(live, list)
            and len(sent) == len(live)
            and all(shows(one, other) for one, other in zip(sent, live, strict=True))
        )
    return bool(sent == live)


def generation(obj: Object) -> int:
    annotation = (obj["metadata"].get("annotations") or {}).get(GENERATION, "0")
    if obj["kind"] != "postgresql":
        return int(annotation)
    told = [one["value"] for one in obj["spec"].get("env") or () if one["name"] == TOLD]
    return int(told[0]) if told else 0


def words(changes: Any) -> dict[str, str]:
    return {change.subject: change.action for change in changes}


def named(expected: Expected) -> dict[str, str]:
    return {subject(place): word for place, word in expected.actions.items()}
