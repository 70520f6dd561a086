"""Defaults: one function that fills them, from the options on the fields.

A field that is set is never touched, also not one set to false, 0 or an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from planton import quantity
from planton.kinds import KINDS
from planton.manifest._tables import BOOL, ENUM, INT, Scalar, is_repeated
from planton.types import (
    CREATED_WHEN_ABSENT_OPTION,
    DEFAULT_CONTAINER_RESOURCES_OPTION,
    DEFAULT_OPTION,
    ContainerResources,
    Resource,
)

# The forms that the rules on the fields take. A wrong amount must not spread to where nothing was given.
_AMOUNTS = {
    "cpu": re.compile(r"[0-9]+m|[0-9]+([.][0-9]{1,3})?", re.ASCII),
    "memory": re.compile(r"[0-9]+([.][0-9]+)?([KMGTPE]i|[MGTPE])", re.ASCII),
}
_LONGEST = 24
_ITEMS: tuple[Literal["cpu", "memory"], ...] = ("cpu", "memory")
_MOST = 1024
"""Resources of which is remembered what they lack."""
_LARGEST = 128

_Fill: TypeAlias = Callable[[Any], None]


def fill(message: Resource) -> None:
    """Fills the defaults of a message, in place, and its apiVersion and kind where they are empty.

    Args:
        message: A message of any kind.
    """
    kind = KINDS.get(message.DESCRIPTOR.name)
    if kind is not None:
        if not message.api_version:
            message.api_version = kind.api_version
        if not message.kind:
            message.kind = kind.name
    for step in _steps(message.DESCRIPTOR):
        step(message)


@lru_cache(maxsize=256)
def _steps(descriptor: Descriptor) -> tuple[_Fill, ...]:
    """Finds what there is to fill in a message, once for each message type."""
    steps = []
    for field in descriptor.fields:
        options = field.GetOptions()
        if options.HasExtension(DEFAULT_OPTION):
            steps.append(_scalar_step(field, options.Extensions[DEFAULT_OPTION]))
        elif options.HasExtension(DEFAULT_CONTAINER_RESOURCES_OPTION):
            steps.append(_resources_step(field.name, options.Extensions[DEFAULT_CONTAINER_RESOURCES_OPTION]))
        elif field.message_type is not None and not is_repeated(field):
            inner = _steps(field.message_type)
            created = options.Extensions[CREATED_WHEN_ABSENT_OPTION]
            if inner or created:
                steps.append(_message_step(field.name, created, inner))
    return tuple(steps)


def _scalar_step(field: FieldDescriptor, text: str) -> _Fill:
    if not field.has_presence:
        raise TypeError(f"{field.full_name}: a default needs an optional field, or an explicit zero could not be seen")
    name, value = field.name, _value(Scalar(field), text)

    def step(message: Any) -> None:
        if not message.HasField(name):
            setattr(message, name, value)

    return step


def _value(scalar: Scalar, text: str) -> Any:
    if scalar.type == BOOL:
        return {"true": True, "false": False}[text]
    if scalar.type == INT:
        return int(text)
    return scalar.numbers[text] if scalar.type == ENUM else text


def _message_step(name: str, created: bool, inner: tuple[_Fill, ...]) -> _Fill:
    def step(message: Any) -> None:
        if not message.HasField(name):
            if not created:
                return
            getattr(message, name).SetInParent()
        child = getattr(message, name)
        for one in inner:
            one(child)

    return step


def _resources_step(name: str, default: ContainerResources) -> _Fill:
    lacking = _lacking(ContainerResources(), default).SerializeToString()
    known: dict[bytes, bytes] = {}

    def step(message: Message) -> None:
        resources: ContainerResources = getattr(message, name)
        # As bytes, all of it is filled in by one call; and the same few sizes stand in most manifests.
        if not message.HasField(name):
            resources.MergeFromString(lacking)
            return
        given = resources.SerializeToString()
        found = known.get(given)
        if found is None:
            found = _lacking(resources, default).SerializeToString()
            # Amounts alone are remembered: anything else can be a credential in the wrong place.
            if len(known) < _MOST and len(given) <= _LARGEST and _has_amounts_alone(resources):
                known[given] = found
        resources.MergeFromString(found)

    return step


def _lacking(resources: ContainerResources, default: ContainerResources) -> ContainerResources:
    """Gives what resources do not say, and nothing of what they do."""
    lacking = ContainerResources()
    limits, requests = resources.limits, resources.requests
    for item in _ITEMS:
        limit, request = getattr(default.limits, item), getattr(default.requests, item)
        limited, requested = limits.HasField(item), requests.HasField(item)
        if not limited:
            given = getattr(requests, item)
            raised = requested and _is_amount(item, given) and quantity.parse(given) > quantity.parse(limit)
            limit = given if raised else limit
            setattr(lacking.limits, item, limit)
        else:
            limit = getattr(limits, item)
        if not requested:
            lowered = limited and _is_amount(item, limit) and quantity.parse(limit) < quantity.parse(request)
            setattr(lacking.requests, item, limit if lowered else request)
    return lacking


def _has_amounts_alone(resources: ContainerResources) -> bool:
    given = [(item, getattr(part, item)) for part in (resources.limits, resources.requests) for item in _ITEMS]
    return all(not text or _is_amount(item, text) for item, text in given)


def _is_amount(item: str, text: str) -> bool:
    return len(text) <= _LONGEST and _AMOUNTS[item].fullmatch(text) is not None
