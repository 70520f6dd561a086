"""What only an API server says: which answers are believed, and which come from what stands on the way to it.

A load balancer without a backend says 404, too, and a proxy whose session has ended may say 200 with JSON of its own.
Taken at their word, the one makes what is there absent and the other makes a full list empty; volumes would be deleted
on the strength of it. So an answer is believed only when it says of itself what was asked for.

What a kube-apiserver 1.36 says: of a name that is not there a Status with reason NotFound, whose details have the name
and the plural of its kind; of a kind that is not there in a group of its own the same with empty details; of a custom
resource without a definition, and of a group that is not there, the plain text `404 page not found`. A dry run that
would create gives a uid, and no resourceVersion. Lists of metadata alone have `items: null` where there are none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from planton.cluster.api.resources import Key, ResourceType

Check = Callable[[Mapping[str, Any]], bool]
"""Tells whether an answer that went well says what it has to."""

_METADATA = "meta.k8s.io/v1"
_OF_GROUP = re.compile(r"/apis/([^/]+/[^/]+)(?:/namespaces/[^/]+)?(?:/([^/]+))?")
# So that a thousand objects of a kind that is not there cost one question; what is younger than a look may be missed.
_SECONDS = 1.0


def is_kind(kind: str) -> Check:
    """Makes the check of an answer that is no object and no list.

    Args:
        kind: What it has to be, such as `APIGroupList`.

    Returns:
        The check.
    """
    return lambda answer: answer.get("kind") == kind


def is_group_list(answer: Mapping[str, Any]) -> bool:
    """Tells whether an answer is the list of all groups of an API server.

    One that has just started names only those that it has found up to then (kube-apiserver 1.36.3: at first that of the
    aggregator alone), and what is in the others would be taken for nothing.

    Args:
        answer: The answer.

    Returns:
        True when it is, and has those of the server itself.
    """
    names = {one.get("name") for one in _dicts(answer.get("groups"))}
    return is_kind("APIGroupList")(answer) and "apps" in names


def is_object(key: Key, *, is_stored: bool = True) -> Check:
    """Makes the check of an answer that has to be an object.

    Args:
        key: Its identity.
        is_stored: Whether it was read or written, and not only tried out.

    Returns:
        The check.
    """

    def check(answer: Mapping[str, Any]) -> bool:
        metadata = answer.get("metadata")
        return (
            answer.get("kind") == key.resource.kind
            and answer.get("apiVersion") == key.resource.api_version
            and isinstance(metadata, dict)
            and metadata.get("name") == key.name
            and (not key.resource.namespaced or metadata.get("namespace") == key.namespace)
            and _is_text(metadata.get("uid"))
            and (not is_stored or _is_text(metadata.get("resourceVersion")))
        )

    return check


def is_list(resource: ResourceType) -> Check:
    """Makes the check of an answer that has to be a list.

    Args:
        resource: Type of its items.

    Returns:
        The check.
    """

    def check(answer: Mapping[str, Any]) -> bool:
        # An empty one is null where it is a nil slice of Go; a list without `items` is none.
        items = answer.get("items", "")
        return (
            # What a list of custom resources is called is up to their definition.
            str(answer.get("kind", "")).endswith("List")
            and answer.get("apiVersion") in (resource.api_version, _METADATA)
            and isinstance(answer.get("metadata"), dict)
            and (items is None or isinstance(items, list))
            and all(isinstance(one, dict) and isinstance(one.get("metadata"), dict) for one in items or ())
        )

    return check


def is_deletion(key: Key, uid: str) -> Check:
    """Makes the check of the answer to a deletion.

    Args:
        key: What was deleted.
        uid: Its uid.

    Returns:
        The check: a Status that says Success, or the object itself where something has yet to let go of it.
    """
    is_itself = is_object(key)

    def check(answer: Mapping[str, Any]) -> bool:
        if is_status(answer):
            details = answer.get("details")
            told = details.get("uid", uid) if isinstance(details, dict) else uid
            return answer.get("status") == "Success" and told == uid
        return is_itself(answer) and answer["metadata"]["uid"] == uid

    return check


def is_status(answer: Mapping[str, Any]) -> bool:
    """Tells whether an answer is a Status, by which an API server refuses.

    Args:
        answer: The answer.

    Returns:
        True when it is one.
    """
    return answer.get("kind") == "Status" and answer.get("apiVersion") == "v1"


def is_about(details: tuple[str, str], method: str, path: str) -> bool:
    """Tells whether a Status NotFound is about what was asked for.

    Args:
        details: Name and kind in it; both empty where the server does not know the kind.
        method: Method of the request.
        path: Path of the request.

    Returns:
        True when it is about the object, or its namespace or kind.
    """
    segments = {unquote(one) for one in path.split("/")}
    # A webhook may say NotFound to any write, for reasons of its own: that is a refusal, and nothing is absent.
    return all(not one or one in segments for one in details) and (method == "GET" or any(details))


class Groups:
    """What is known of kinds that a server does not have. Safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins without knowing any.

        Args:
            clock: Gives the time in seconds.
        """
        self._clock = clock
        self._absent: dict[tuple[str, str], float] = {}

    def is_absent(self, path: str, ask: Callable[[str, str], Mapping[str, Any]]) -> bool:
        """Tells whether a server that says `404 page not found` really does not have a kind.

        Args:
            path: Path of the request to which it said so.
            ask: Reads a path, whose answer has to be of a kind.

        Returns:
            True when the list of its groups, or that of the kinds in the group, is without it.
        """
        found = _OF_GROUP.match(path)
        if found is None:
            return False
        version, plural = found[1], found[2] or ""
        if self._absent.get((version, plural), float("-inf")) > self._clock():
            return True
        groups = _dicts(ask("/apis", "APIGroupList").get("groups"))
        versions = [str(one.get("groupVersion")) for group in groups for one in _dicts(group.get("versions"))]
        # An API server is never without its own.
        if "apps/v1" not in versions:
            return False
        if version in versions:
            kinds = ask(f"/apis/{version}", "APIResourceList") if plural else {}
            if kinds.get("groupVersion") != version or not isinstance(kinds.get("resources"), list):
                return False
            if any(one.get("name") == plural for one in _dicts(kinds["resources"])):
                return False
        self._absent[version, plural] = self._clock() + _SECONDS
        return True


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
