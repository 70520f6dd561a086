"""Carries out what a plan decided, stage by stage. Whatever happens, it is known what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from planton.cluster import prune
from planton.cluster._connection import ApiError
from planton.cluster._resources import NAMESPACE, POSTGRESQL, Key, key_of
from planton.cluster._server import Server, in_parallel, joined
from planton.cluster._steps import Decisions, Step, change_of, with_action
from planton.cluster.changes import Change, ProgressEvent
from planton.cluster.operators import is_operator
from planton.cluster.order import Stage
from planton.cluster.ownership import is_ours
from planton.cluster.plan import FOREIGN_NAMESPACE, conflicts_of, foreign_object
from planton.cluster.wait import (
    AwaitedDatabase,
    Deadline,
    pending_crd,
    pending_databases,
    pending_rollout,
)
from planton.errors import ClusterError, ConflictError, WaitError
from planton.translate.contract import KubernetesObject

Progress = Callable[[ProgressEvent], None]
CopySteps = Callable[[], list[Step]]
"""Steps for copies of the storage Secret in namespaces that the plan did not know."""

# A new Namespace is not known at once to an API server other than the one that created it, nor to those that grant
# permissions in it.
_NAMESPACE_SECONDS = 3.0
_COPY_ROUNDS = 20


class Applier:
    """One apply: carries out steps and remembers what was done."""

    def __init__(
        self,
        server: Server,
        decisions: Decisions,
        *,
        copies: CopySteps,
        deadline: Deadline,
        progress: Progress,
    ) -> None:
        """Makes the apply; does nothing yet.

        Args:
            server: The API server.
            decisions: What the plan decided.
            copies: Finds namespaces of databases that the plan did not know.
            deadline: How long may be waited.
            progress: Is told where the work has got to.
        """
        self._server = server
        self._decisions = decisions
        self._copies = copies
        self._deadline = deadline
        self._progress = progress
        self._changes: list[Change] = []
        self._written: dict[Key, str] = {}
        self._new_namespaces: set[str] = set()

    def run(self, *, wait: bool) -> list[Change]:
        """Carries out the steps.

        Args:
            wait: Whether to wait until the databases run, too.

        Returns:
            What was done, in the order of the plan.

        Raises:
            ClusterError: Something failed; `changes` on it says what was done before.
        """
        try:
            self._stages(wait)
        except WaitError as error:
            raise WaitError(error.pending, seconds=self._deadline.waited, changes=self._changes) from None
        except ConflictError as error:
            raise ConflictError(error.conflicts, changes=self._changes) from None
        except ClusterError as error:
            raise ClusterError(
                error.text,
                subject=error.subject,
                phase=error.phase,
                status=error.status,
                reason=error.reason,
                remedy=error.remedy,
                changes=self._changes,
            ) from None
        return self._changes

    def _stages(self, wait: bool) -> None:
        steps = self._decisions.steps
        operators = [step.key for step in steps if is_operator(step.key)]
        for stage in Stage:
            mine = [step for step in steps if step.stage is stage]
            if stage is Stage.CONFIGURATION and operators:
                # The operator looks for the Secret in the namespace of every database, and is told its name next.
                self._copy_secrets()
            self._write(stage.phase, mine)
            if stage is Stage.OPERATOR and operators:
                # Databases that somebody made meanwhile; while the operator starts, and while it is waited for.
                self._copy_secrets()
                self._wait_for_operator(operators)
                self._copy_secrets()
        if wait:
            self._wait_for_databases()
        self._prune()

    def _write(self, phase: str, steps: Sequence[Step]) -> None:
        done = 0
        for _, group in groupby(sorted(steps, key=lambda step: step.rank), key=lambda step: step.rank):
            batch = list(group)

            def write(step: Step) -> Change:
                nonlocal done
                change = self._one(step)
                done += 1
                self._progress(ProgressEvent(phase, done, len(steps), step.key.subject))
                return change

            self._collect(in_parallel(write, batch))

    def _collect(self, outcomes: Iterable[Change | Exception]) -> None:
        """Remembers what was done, and only then raises what went wrong."""
        failures: list[Exception] = []
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                failures.append(outcome)
            else:
                self._changes.append(outcome)
        conflicts = [one for failure in failures if isinstance(failure, ConflictError) for one in failure.conflicts]
        others = [failure for failure in failures if not isinstance(failure, ConflictError)]
        if others:
            raise joined(others)
        if conflicts:
            raise ConflictError(conflicts, changes=self._changes)

    def _one(self, step: Step) -> Change:
        if step.desired is None:
            return step.change
        if step.change.action == "created" and step.key.namespace not in self._new_namespaces:
            step = self._look_again(step)
        desired = step.desired
        if desired is None:
            return step.change
        answer = self._apply(step, desired)
        if step.removals:
            answer = self._remove(step, answer)
        if step.key.resource is NAMESPACE:
            self._new_namespaces.add(step.key.name)
        self._written[step.key] = str(answer["metadata"]["resourceVersion"])
        return step.change

    def _look_again(self, step: Step) -> Step:
        """Finds out whether somebody made an object meanwhile: an apply would merge into it without a word."""
        live = self._server.get(step.key)
        if live is None:
            return step
        if step.key.resource is NAMESPACE:
            if is_ours(live):
                return with_action(step, "unchanged", "")
            return with_action(step, "skipped", FOREIGN_NAMESPACE)
        if not is_ours(live) and not self._decisions.options.force_conflicts:
            raise ConflictError([foreign_object(step.key, live)])
        return step

    def _apply(self, step: Step, desired: KubernetesObject) -> KubernetesObject:
        end = time.monotonic() + _NAMESPACE_SECONDS
        while True:
            try:
                return self._server.apply(step.key, desired, force=self._decisions.options.force_conflicts)[0]
            except ApiError as error:
                if conflicts := conflicts_of(error, step.key.subject):
                    raise ConflictError(conflicts) from None
                is_young = error.status in (403, 404) and step.key.namespace in self._new_namespaces
                if not is_young or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def _remove(self, step: Step, live: KubernetesObject) -> KubernetesObject:
        """Removes what is not ours from where everything is ours; an apply alone leaves it there."""
        for _ in range(5):
            patch: KubernetesObject = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}}
            for path in step.removals:
                place = patch
                for part in path[:-1]:
                    place = place.setdefault(part, {})
                place[path[-1]] = None
            try:
                return self._server.merge(step.key, patch)
            except ApiError as error:
                if error.status != 409:
                    raise
            again = self._server.get(step.key)
            if again is None:
                return live
            live = again
        raise ClusterError(
            "it changes faster than it can be put right",
            subject=step.key.subject,
            phase="apply",
            status=409,
            reason="Conflict",
            remedy="Find out what writes to it, then run the same command again.",
        )

    def _copy_secrets(self) -> None:
        """Copies the storage Secret to namespaces of databases that appeared meanwhile, until there is none left."""
        for _ in range(_COPY_ROUNDS):
            known = {step.key for step in self._decisions.steps} | set(self._written)
            fresh = [step for step in self._copies() if step.key not in known]
            if not fresh:
                return
            self._write(Stage.SECRETS.phase, fresh)

    def _wait_for_operator(self, keys: Sequence[Key]) -> None:
        def report(text: str) -> None:
            self._progress(ProgressEvent("wait", 0, 0, text))

        self._deadline.wait_for(
            lambda: [
                *(pending for key in keys for pending in pending_rollout(self._server.during("wait"), key)),
                *pending_crd(self._server.during("wait")),
            ],
            report,
        )

    def _wait_for_databases(self) -> None:
        awaited = [
            AwaitedDatabase(step.key, self._written.get(step.key, "") if _is_seen_by_operator(step.change) else "")
            for step in self._decisions.steps
            if step.key.resource is POSTGRESQL
        ]
        self._deadline.wait_for(
            lambda: pending_databases(self._server.during("wait"), awaited),
            lambda text: self._progress(ProgressEvent("wait", 0, 0, text)),
        )

    def _prune(self) -> None:
        steps = self._decisions.prunes
        for number, step in enumerate(steps, start=1):
            self._collect(in_parallel(self._prune_one, [step]))
            self._progress(ProgressEvent("prune", number, len(steps), step.key.subject))

    def _prune_one(self, step: Step) -> Change:
        if step.change.action != "deleted":
            return step.change
        return prune.prune_one(self._server.during("prune"), step)


def _is_seen_by_operator(change: Change) -> bool:
    """Whether the operator acts on a change: it compares spec and annotations only.

    https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/controller/postgresql.go (postgresqlUpdate)
    """
    return change.action == "configured" and any(
        one.path.startswith(("spec", "metadata.annotations")) for one in change.diff
    )


def copy_steps(objects: Iterable[KubernetesObject]) -> list[Step]:
    """Makes steps for copies of the storage Secret.

    Args:
        objects: The copies.

    Returns:
        A step that creates each Secret; whether it is there already is seen when it is carried out.
    """
    return [Step(key_of(obj), change_of(key_of(obj), "created"), Stage.SECRETS, 0, desired=obj) for obj in objects]
