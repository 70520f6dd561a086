"""What a plan keeps for itself to be carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from planton.cluster.api.mask import Scrubber
from planton.cluster.api.resources import Key
from planton.cluster.changes import Action, Change, FieldChange, PlanOptions
from planton.cluster.permissions.review import Need
from planton.cluster.planning.ahead import Ahead
from planton.cluster.planning.generations import OldCredentials
from planton.cluster.planning.order import Stage
from planton.errors import Problem
from planton.translate.contract import KubernetesObject
from planton.types import Resource


class SecondLook(Protocol):
    """Looks at the cluster again while a plan is carried out."""

    def begin(self, ahead: Ahead) -> None:
        """Begins what a check reads."""

    def check(self, written: Iterable[KubernetesObject] = (), ahead: Ahead | None = None) -> None:
        """Raises when the set cannot be applied any more; it knows databases that were written since the last time."""

    def read_keys(self) -> None:
        """Reads Secrets again that are copied and not the set's own."""

    def copies(self, namespace: str) -> Mapping[str, KubernetesObject]:
        """Renders those Secrets for a namespace, by name."""

    @property
    def has_generation(self) -> bool:
        """Whether credentials of the set have ever changed."""

    def old_credentials(self) -> Sequence[OldCredentials]:
        """Finds the databases of which something still runs on old credentials."""

    def storage_secrets(self) -> Sequence[KubernetesObject]:
        """Renders the storage Secret for every namespace that has a database by now."""


class StoreLook(Protocol):
    """Tries out the object stores that a plan is about to use."""

    def run(self, *, write: bool, report: Callable[[str], None]) -> tuple[Problem, ...]:
        """Tries them out; raises when one of them says no, and gives what is worth a warning."""


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
        databases: Names of the databases of its namespace that were known when this was decided.
        live: The live object that is to be changed, as the plan saw it; it is changed only as that. Of a Secret that
            stays as it is, too.
        is_copy: Whether it is a copy of the storage Secret that the plan did not know to be needed.
        warning: What the plan warns of with it; empty for nothing.
    """

    key: Key
    change: Change
    stage: Stage
    rank: int
    desired: KubernetesObject | None = field(default=None, repr=False, compare=False)
    removals: tuple[tuple[str, ...], ...] = ()
    uid: str = ""
    resource_version: str = ""
    databases: frozenset[str] = frozenset()
    live: KubernetesObject | None = field(default=None, repr=False, compare=False)
    is_copy: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The inside of a plan.

    Attributes:
        steps: Objects in the order in which they are written.
        prunes: Objects that are deleted, or kept for a reason, in that order.
        scrubber: Knows the credentials of the set.
        options: With which the plan was made.
        refresh: Looks at the cluster again; None for a plan of plain objects.
        messages: The set as messages; empty for a plan of plain objects.
        checks: Tries out the stores that the apply is about to use; None where it uses none, or shall not.
        denied: What the caller is not allowed, so that the plan leaves it out.
        going: Namespaces that are being deleted, whose databases the plan leaves out.
    """

    steps: tuple[Step, ...]
    prunes: tuple[Step, ...]
    scrubber: Scrubber
    options: PlanOptions
    refresh: SecondLook | None = None
    messages: tuple[Resource, ...] = field(default=(), repr=False)
    checks: StoreLook | None = field(default=None, repr=False, compare=False)
    denied: tuple[Need, ...] = ()
    going: tuple[str, ...] = ()


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
