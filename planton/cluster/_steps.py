"""What a plan keeps for itself to be carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from planton.cluster._resources import Key
from planton.cluster.changes import Action, Change, FieldChange, PlanOptions
from planton.cluster.mask import Scrubber
from planton.cluster.order import Stage
from planton.translate.contract import KubernetesObject
from planton.types import Resource

Refresh: TypeAlias = Callable[[], Sequence[KubernetesObject]]
"""Renders the storage Secret again, for every namespace that has a database by then."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object with what is decided for it.

    Attributes:
        key: Identity of the object.
        change: What is done to it.
        stage: When it is done.
        rank: Order within the stage.
        desired: What is sent; None when nothing is.
        removals: Paths of keys that are removed by a second request.
        uid: uid of the live object that is to be deleted.
        resource_version: Its resourceVersion.
    """

    key: Key
    change: Change
    stage: Stage
    rank: int
    desired: KubernetesObject | None = field(default=None, repr=False, compare=False)
    removals: tuple[tuple[str, ...], ...] = ()
    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The inside of a plan.

    Attributes:
        steps: Objects in the order in which they are written.
        prunes: Objects that are deleted, or kept for a reason, in that order.
        scrubber: Knows the credentials of the set.
        options: With which the plan was made.
        refresh: Renders the storage Secret again; None for a plan of plain objects.
        messages: The set as messages; empty for a plan of plain objects.
    """

    steps: tuple[Step, ...]
    prunes: tuple[Step, ...]
    scrubber: Scrubber
    options: PlanOptions
    refresh: Refresh | None = None
    messages: tuple[Resource, ...] = field(default=(), repr=False)


def change_of(
    key: Key,
    action: Action,
    *,
    diff: tuple[FieldChange, ...] = (),
    effects: tuple[str, ...] = (),
    reason: str = "",
) -> Change:
    """Makes a change of an object.

    Args:
        key: Its identity.
        action: What is done.
        diff: Fields that change.
        effects: What that does beyond the object.
        reason: Why.

    Returns:
        The change.
    """
    return Change(action, key.resource.api_version, key.resource.kind, key.namespace, key.name, diff, effects, reason)


def with_action(step: Step, action: Action, reason: str) -> Step:
    """Gives a step with another outcome.

    Args:
        step: The step.
        action: What is done instead.
        reason: Why.

    Returns:
        The step; nothing is sent for it.
    """
    return replace(step, change=change_of(step.key, action, reason=reason), desired=None, removals=())
