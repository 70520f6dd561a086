"""Carries out what a plan decided, stage by stage. Whatever happens, it is known what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from planton.cluster.api.connection import ApiError
from planton.cluster.api.mask import scrubber_for
from planton.cluster.api.remedies import is_of_old_definition
from planton.cluster.api.resources import CONFIG_MAP, NAMESPACE, POSTGRESQL, SECRET, SERVICE, Key, key_of
from planton.cluster.api.server import Server, in_parallel, joined
from planton.cluster.backups.archive_record import is_addition, write_record
from planton.cluster.backups.archives import environment
from planton.cluster.changes import Change, ProgressEvent
from planton.cluster.failure import with_changes
from planton.cluster.operators import brings_definition, is_operator
from planton.cluster.ownership import is_pod_account
from planton.cluster.permissions.losses import Losses
from planton.cluster.planning import prune, second_thoughts
from planton.cluster.planning.ahead import Ahead
from planton.cluster.planning.ingress import close_ingress
from planton.cluster.planning.order import Stage, place
from planton.cluster.planning.plan import conflicts_of
from planton.cluster.planning.stale import changed, credentials_in, is_source, only_new, only_over
from planton.cluster.planning.steps import Decisions, Step, change_of
from planton.cluster.rounds import Rounds
from planton.cluster.wait import (
    AwaitedDatabase,
    Deadline,
    Pending,
    pending_crd,
    pending_databases,
    pending_rollout,
)
from planton.collector import Uncollected
from planton.errors import ConflictError
from planton.translate.contract import KubernetesObject
from planton.translate.generation import GENERATIONS
from planton.translate.names import is_storage_secret

Progress = Callable[[ProgressEvent], None]
CopySteps = Callable[[], list[Step]]
"""Steps for copies of the storage Secret in namespaces that the plan did not know."""

# A new Namespace is not known at once to an API server other than the one that created it, nor to those that grant
# permissions in it; nor is a definition that the operator has just registered.
_NEWS_SECONDS = 3.0
_COPY_ROUNDS = 20
_NOT_IN_NEW_DEFINITION = (
    "So says the definition of databases that the operator of this set has registered just now: it does not have that "
    "either. Correct the manifest, then run the same command again: it goes on from what is done."
)


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
        self._copied: set[Key] = set()
        self._new_namespaces: set[str] = set()
        self._losses = Losses(decisions)
        self.old_credentials: tuple[str, ...] = ()
        """A line for each database of which something still runs on old credentials; looked for when they have ever
        changed, and after a wait."""

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
        except Exception as error:
            told = with_changes(
                error,
                self._changes,
                phase="apply",
                waited=self._deadline.waited,
            )
            # With the place of it and without the error itself, whose text may hold anything.
            raise told.with_traceback(error.__traceback__) from None
        return self._changes

    def _stages(self, wait: bool) -> None:
        steps = self._decisions.steps
        operators = [step.key for step in steps if is_operator(step.key)]
        for stage in Stage:
            mine = [step for step in steps if step.stage is stage]
            if stage is Stage.SECRETS:
                mine = _source_first(self._with_keys_of_now(mine), {key.namespace for key in operators})
            if stage is Stage.FIRST_DATABASES and operators:
                # The operator looks for the Secret in the namespace of every database, and is told its name next.
                self._copy_secrets()
                self._check(step for step in steps if step.stage >= stage)
            if stage is Stage.CONFIGURATION:
                self._losses.check_ahead(self._server)
                self._check_sources({key.namespace for key in operators})
            if stage is Stage.DATABASES:
                self._check(mine)
                self._write_databases(mine)
                continue
            self._write(stage.phase, mine)
            if stage is Stage.OPERATOR and operators:
                # Databases that somebody made meanwhile; while the operator starts, and while it is waited for.
                self._copy_secrets()
                self._wait_for_operator(operators)
                self._copy_secrets()
        if wait:
            self._wait_for_databases()
        self._look_for_old_credentials(wait)
        self._prune()
        self._losses.check(self._server.phase)

    def _write_databases(self, steps: Sequence[Step]) -> None:
        """Writes databases, and what follows them: meanwhile it is read once more what there is."""
        databases = [step for step in steps if step.key.resource is POSTGRESQL]
        rest = [step for step in steps if step.key.resource is not POSTGRESQL]
        self._write(Stage.DATABASES.phase, databases, of=len(steps))
        with Ahead() as ahead:
            if rest and self._decisions.refresh is not None and any(step.desired is not None for step in databases):
                self._decisions.refresh.begin(ahead)
            self._write(Stage.DATABASES.phase, rest, len(databases), of=len(steps))
            # Two applies at the same moment may both have passed the check before: then both must say so now.
            self._check(databases, ahead)

    def _write(self, phase: str, steps: Sequence[Step], done: int = 0, *, of: int | None = None) -> None:
        total = len(steps) if of is None else of
        deaf: list[Exception] = []
        for _, group in groupby(sorted(steps, key=lambda step: step.rank), key=lambda step: step.rank):
            batch = [self._losses.without(step) for step in group]

            def write(step: Step) -> Change:
                nonlocal done
                change = self._one(step)
                done += 1
                try:
                    self._progress(ProgressEvent(phase, done, total, step.key.subject))
                except Exception as error:  # Not ours to judge, and what was written is told first.
                    deaf.append(error)
                return change

            with Uncollected():
                self._collect(self._losses.told(batch, in_parallel(write, batch)))
            if deaf:
                raise deaf[0]

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

    def _check(self, steps: Iterable[Step], ahead: Ahead | None = None) -> None:
        """Checks the set once more before the point of no return: the cluster may have changed since the plan."""
        wanted = [(step.key, step.desired) for step in steps if step.desired is not None]
        if self._decisions.refresh is not None and wanted:
            with Uncollected():
                self._decisions.refresh.check(
                    [obj for key, obj in wanted if key.resource is POSTGRESQL and key in self._written], ahead
                )

    def _check_sources(self, spaces: Collection[str]) -> None:
        """Checks that the operator's own Secrets are as this apply left them, before pods are told of them.

        Whoever follows Secrets of others (`sync-credentials`) goes by the configuration of until now.
        """
        steps = self._decisions.steps
        if not any(step.desired is not None and step.stage >= Stage.CONFIGURATION for step in steps):
            return
        for step in steps:
            if step.key.namespace in spaces and is_source(step.key):
                expected, live = step.desired or step.live, self._server.get(step.key)
                if live is None:
                    raise changed(step.key, ["it is not there any more"])
                if expected is not None and credentials_in(expected) != credentials_in(live):
                    raise changed(step.key, ["others have written into it, so that pods are not told of it yet"])

    def _with_keys_of_now(self, steps: Sequence[Step]) -> list[Step]:
        """Puts into copies of the storage Secret what its source has now: it may have been rotated since the plan."""
        refresh = self._decisions.refresh
        if refresh is None or all(step.desired is None for step in steps):
            return list(steps)
        refresh.read_keys()

        def of_now(step: Step) -> Step:
            if step.desired is None or step.key.resource is not SECRET:
                return step
            copy = refresh.copies(step.key.namespace).get(step.key.name)
            if copy is None:
                return step
            metadata = dict(step.desired["metadata"])
            if "annotations" in copy["metadata"]:
                metadata["annotations"] = copy["metadata"]["annotations"]
            return replace(step, desired={**step.desired, "metadata": metadata, "data": copy["data"]})

        made = [of_now(step) for step in steps]
        known = [step.desired for step in (*self._decisions.steps, *made) if step.desired is not None]
        self._server = self._server.during(self._server.phase, scrubber_for(known))
        return made

    def _one(self, step: Step) -> Change:
        if step.change.action == "deleted" and step.key.resource is SERVICE:
            return close_ingress(self._server, step)
        if step.desired is None:
            return step.change
        if is_addition(step):
            return write_record(self._server, step)
        if step.is_copy:
            # Most are there: an apply would be one more request, and says less.
            step = second_thoughts.of_new(self._server, step, self._decisions.options)
        step, answer = self._apply(step)
        if step.key.resource is NAMESPACE and step.change.action == "created":
            self._new_namespaces.add(step.key.name)
        if answer is None:
            return step.change
        if step.removals:
            answer = self._remove(step, answer)
        self._written[step.key] = str(answer["metadata"]["resourceVersion"])
        return step.change

    def _apply(self, step: Step) -> tuple[Step, KubernetesObject | None]:
        """Sends an object; gives what was really done, and the server's answer when something was."""
        end = time.monotonic() + _NEWS_SECONDS
        options = self._decisions.options
        rounds, may_be_ours = Rounds(), False
        while step.desired is not None:
            is_new = step.change.action == "created" and step.live is None
            obj = only_new(step.desired) if is_new else only_over(step.desired, step.live)
            force = options.force_conflicts or is_pod_account(obj)
            try:
                answer, was_created = self._server.apply(step.key, obj, force=force)
            except ApiError as error:
                # Also one of a round before: it may have been under way while the next one was refused.
                may_be_ours = may_be_ours or error.may_have_arrived
                conflicts = conflicts_of(error, step.key.subject)
                if error.status == 409 and (is_new or (step.live is not None and not conflicts)):
                    rounds.saw(step.live)
                    if not rounds.again():
                        if rounds.is_race:
                            raise rounds.failed(step.key.subject, self._server.phase) from None
                        raise
                    if is_new:
                        step = second_thoughts.of_new(self._server, step, options, may_be_ours=may_be_ours)
                    else:
                        step = second_thoughts.of_changed(self._server, step, options)
                    continue
                if conflicts:
                    raise ConflictError(conflicts) from None
                is_young = error.status in (403, 404) and step.key.namespace in self._new_namespaces
                is_early = self._is_before_definition(step, error)
                if not (is_young or is_early) or time.monotonic() > end:
                    if is_early:
                        error.reword(remedy=_NOT_IN_NEW_DEFINITION)
                    raise
            else:
                if is_new and not was_created:
                    raise changed(step.key, ["somebody has made it in the same moment, and it is both by now"])
                return step, answer
            time.sleep(0.2)
        return step, None

    def _is_before_definition(self, step: Step, error: ApiError) -> bool:
        """Whether an API server may not know yet what the operator has registered in the course of this apply."""
        if step.key.resource is not POSTGRESQL or not is_of_old_definition(error.status, error.text):
            return False
        steps = self._decisions.steps
        return any(one.desired is not None and brings_definition(one.key, one.desired, one.live) for one in steps)

    def _remove(self, step: Step, live: KubernetesObject) -> KubernetesObject:
        """Removes what is not ours from where everything is ours; an apply alone leaves it there."""
        rounds = Rounds()
        while rounds.again():
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
            rounds.saw(live := again)
        raise rounds.failed(step.key.subject, self._server.phase)

    def _copy_secrets(self) -> None:
        """Copies the storage Secret to namespaces of databases that appeared meanwhile, until there is none left."""
        for _ in range(_COPY_ROUNDS):
            known = {step.key for step in self._decisions.steps} | self._copied
            fresh = [step for step in self._copies() if step.key not in known]
            if not fresh:
                return
            # Also those that are there as they should be, of which nothing is written.
            self._copied |= {step.key for step in fresh}
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
            if step.key.resource is POSTGRESQL and self._losses.without(step).change.action != "refused"
        ]
        self._deadline.wait_for(
            lambda: pending_databases(self._server.during("wait"), awaited),
            lambda text: self._progress(ProgressEvent("wait", 0, 0, text)),
        )

    def _look_for_old_credentials(self, wait: bool) -> None:
        refresh = self._decisions.refresh
        raised = any(_raises_generation(step) for step in self._decisions.steps)
        if refresh is None or not (wait or raised or refresh.has_generation):
            return

        def look() -> list[Pending]:
            self.old_credentials = tuple(one.line for one in refresh.old_credentials())
            return [Pending(line) for line in self.old_credentials]

        try:
            if wait:
                self._deadline.wait_for(look, lambda text: self._progress(ProgressEvent("wait", 0, 0, text)))
            else:
                look()
        except ApiError as error:
            if error.status != 403:
                raise
            # All is done but this look: said, and not taken for "there are none".
            self.old_credentials = (
                "which pods still run on old credentials cannot be told: no permission to list them",
            )

    def _prune(self) -> None:
        steps = self._decisions.prunes
        for number, step in enumerate(steps, start=1):
            batch = [self._losses.without(step)]
            self._collect(self._losses.told(batch, in_parallel(self._prune_one, batch)))
            self._progress(ProgressEvent("prune", number, len(steps), step.key.subject))

    def _prune_one(self, step: Step) -> Change:
        if step.change.action != "deleted":
            return step.change
        return prune.prune_one(self._server.during("prune"), step)


def _source_first(steps: Iterable[Step], operators: Collection[str]) -> list[Step]:
    """Puts the copies of the operator's keys behind their source, which says that they are others than before.

    A process that is killed between two copies would leave new keys without a trace of it otherwise: with the old ones
    applied again, pods that started in between would stay on the new ones.
    """
    return [
        replace(step, rank=step.rank + 1)
        if operators and is_storage_secret(step.key.name) and step.key.namespace not in operators
        else step
        for step in steps
    ]


def _raises_generation(step: Step) -> bool:
    """Whether pods are told of new credentials by a step."""
    if step.desired is None or step.key.resource not in (CONFIG_MAP, POSTGRESQL):
        return False
    after, before = (
        (one or {}).get("data") or {} if step.key.resource is CONFIG_MAP else environment(one or {})
        for one in (step.desired, step.live)
    )
    return any(after.get(name) != before.get(name) for name in GENERATIONS)


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
    return [
        Step(key_of(obj), change_of(key_of(obj), "created"), *place(obj), desired=obj, is_copy=True) for obj in objects
    ]
