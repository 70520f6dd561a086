"""What an apply may not do though its plan could: a permission that was taken away meanwhile.

The namespace in which that happens is left alone from then on, since what comes later there depends on what came
before. The others go on, unless something shared is still to be written: pods must not be told of Secrets that are not
there, and no database may inherit other settings while its own, that keep it as it is, are not written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from planton.cluster.api.resources import NAMESPACE, POSTGRESQL, SECRET, SERVICE, SERVICE_ACCOUNT, Key
from planton.cluster.api.server import Server
from planton.cluster.changes import Change
from planton.cluster.operators import is_operator
from planton.cluster.permissions.needed import refused
from planton.cluster.permissions.review import (
    Need,
    NoPermissionError,
    denied_in,
    denied_of,
    needs_of,
    remedy_for,
    told,
)
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Decisions, Step, with_action
from planton.errors import ClusterError
from planton.translate.archive_record import RECORD_CONFIGMAP
from planton.words import first_few

_MOST_NAMES = 10
_OF_DATABASES = (NAMESPACE, POSTGRESQL, SECRET, SERVICE, SERVICE_ACCOUNT)
GOING = "its namespace is being deleted"
_LATER = "archives that are in use are written down by the next apply: a database was not written"


class Losses:
    """Namespaces that an apply has lost, or never had."""

    def __init__(self, decisions: Decisions) -> None:
        """Makes the value.

        Args:
            decisions: What the plan decided.
        """
        self._steps = decisions.steps
        self._homes = {step.key.namespace for step in decisions.steps if is_operator(step.key)}
        self._denied: list[Need] = list(decisions.denied)
        self._going = decisions.going
        self._lost: dict[str, Need] = {}

    def without(self, step: Step) -> Step:
        """Gives a step as it can still be carried out.

        Args:
            step: The step.

        Returns:
            The step, refused where its namespace was lost.
        """
        if step.desired is None and step.change.action != "deleted":
            return step
        if need := self._lost.get(_place(step.key)):
            return refused(step, [need])
        if self._lost and step.stage is Stage.DATABASES and step.key.name == RECORD_CONFIGMAP:
            # It would say of a database that was not written that it archives.
            return with_action(step, "skipped", _LATER)
        return step

    def told(self, batch: Sequence[Step], outcomes: Sequence[Change | Exception]) -> list[Change | Exception]:
        """Takes a refusal for what it is where all else can go on.

        Args:
            batch: What was tried at the same time.
            outcomes: What became of each.

        Returns:
            The same; where a namespace is lost, a change that says so stands in place of the failure.
        """
        failed = [
            (step, denied_in(one)) for step, one in zip(batch, outcomes, strict=True) if isinstance(one, Exception)
        ]
        if not failed or not all(self._is_alone(step, denied) for step, denied in failed):
            return list(outcomes)
        spaces = {_place(step.key) for step, _ in failed} | self._lost.keys()
        if self._is_shared_ahead(batch[0]) or not self._others(spaces):
            return list(outcomes)
        for step, denied in failed:
            self._denied += denied
            self._lost.setdefault(_place(step.key), denied[0])
        return [
            refused(step, denied_in(one)).change if isinstance(one, Exception) else one
            for step, one in zip(batch, outcomes, strict=True)
        ]

    def check(self, phase: str) -> None:
        """Ends an apply that has left something out.

        Args:
            phase: What was being done.

        Raises:
            ClusterError: Something was not permitted, or was about to go.
        """
        going = "".join(f"\n  Namespace/{space} is being deleted" for space in self._going)
        if not self._denied:
            if going:
                raise ClusterError(
                    f"left out what is being deleted; all else is done:{going}",
                    phase=phase,
                    reason="Terminating",
                    remedy="Wait until it is gone, then run the same command again; or leave its manifests out.",
                )
            return
        error = NoPermissionError(self._denied, phase=phase)
        spaces = sorted({one.namespace for one in error.denied} - {""})
        where = f" in {len(spaces)} of {len(self._spaces() | set(spaces))} namespaces" if spaces else ""
        raise ClusterError(
            f"no permission{where}; all else is done:\n  {told(error.denied)}{going}",
            subject=f"Namespace/{spaces[0]}" if len(spaces) == 1 else "",
            phase=phase,
            status=error.status,
            reason=error.reason,
            remedy=remedy_for(error.denied),
            denied=error.denied,
        )

    def check_ahead(self, server: Server) -> None:
        """Makes sure that databases get their own settings, before the ones that they inherit are others.

        Asked right then: it may be long since the plan, and between the two writes nothing else keeps a database where
        it is.

        Args:
            server: The API server.

        Raises:
            NoPermissionError: Some may not be written; nothing shared was.
            ApiError: The server could not be reached.
        """
        ahead = [step for step in self._steps if step.stage >= Stage.CONFIGURATION and step.desired is not None]
        shared = [step.key.subject for step in ahead if is_shared(step, self._homes)]
        if not shared:
            return
        wanted = {
            need: step.key.subject
            for step in ahead
            if step.key.resource is POSTGRESQL
            for need in needs_of(step.key, "create patch" if step.change.action == "created" else "patch")
        }
        if denied := denied_of(server, wanted):
            databases = list(dict.fromkeys(wanted[need] for need in denied))
            raise NoPermissionError(denied, phase=server.phase, why=not_in_part(shared, databases))

    def _is_alone(self, step: Step, denied: Sequence[Need]) -> bool:
        """Whether a refusal is about the namespace of a database and nothing else."""
        place = _place(step.key)
        return bool(denied and place and place not in self._homes and step.key.resource in _OF_DATABASES) and all(
            one.namespace == place for one in denied
        )

    def _is_shared_ahead(self, now: Step) -> bool:
        """Whether something is still to be written on which databases of several namespaces depend."""
        return any(
            (step.stage, step.rank) > (now.stage, now.rank) and (is_shared(step, self._homes) or _is_leaving(step))
            for step in self._steps
        )

    def _others(self, spaces: set[str]) -> bool:
        return any(
            step.desired is not None and step.key.resource in _OF_DATABASES and _place(step.key) not in spaces
            for step in self._steps
        )

    def _spaces(self) -> set[str]:
        return {_place(step.key) for step in self._steps if step.key.resource in _OF_DATABASES} - self._homes


def is_shared(step: Step, homes: Collection[str]) -> bool:
    """Tells whether something is changed on which databases of several namespaces depend.

    Args:
        step: What is done.
        homes: Namespaces of operators of the set.

    Returns:
        True for the operator, its configuration, its keys, and roles; the record of archives says only what is.
    """
    is_written = step.desired is not None or step.change.action == "deleted"
    is_of_many = step.key.resource not in _OF_DATABASES or _place(step.key) in homes
    return is_written and is_of_many and step.key.name != RECORD_CONFIGMAP


def not_in_part(shared: Sequence[str], databases: Sequence[str]) -> str:
    """Says why nothing is done where a database is closed and something shared changes.

    Args:
        shared: `Kind/namespace/name` of what is shared and changes, at least one.
        databases: Likewise of the databases that may not be written.

    Returns:
        The words.
    """
    verb = (
        "would inherit the new settings without its own"
        if len(databases) == 1
        else ("would inherit the new settings without their own")
    )
    closed, changing = first_few(databases, _MOST_NAMES), first_few(shared, _MOST_NAMES)
    return f"{closed} {verb}: {changing} would change. So that is not written either"


def _is_leaving(step: Step) -> bool:
    """Whether archives are written down before they are left: it must not be said of one that is not."""
    return step.desired is not None and step.key.name == RECORD_CONFIGMAP and step.stage is not Stage.DATABASES


def _place(key: Key) -> str:
    """The namespace to which an object belongs; that of a Namespace is itself."""
    return key.name if key.resource is NAMESPACE else key.namespace
