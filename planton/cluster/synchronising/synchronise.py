"""Brings the operator's credentials to every namespace with a database, and follows when they change.

The order is what makes it safe to be killed anywhere. First the operator's own Secrets, with the next generation in the
same request as the data; then every copy; then, when no copy is missing, the generation in the backup ConfigMap, by
which pods restart; then the operator, which reads ConfigMaps at its start. Whoever comes next finds in the cluster how
far it got: a generation on the Secret that the pods were not told, or a checksum that the operator was not started
with.

The ConfigMap and the Deployment are planton's by an apply of the operator's manifest. Here they are applied again by
the same field manager with the fields that it has, but for the one value. What a later apply would write is then there
already; a field manager of its own would own that one value and be in the next apply's way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from planton.cluster.api.connection import Connection
from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, POSTGRESQL, SECRET, Key
from planton.cluster.api.server import Server, in_parallel, joined
from planton.cluster.changes import Change, ProgressEvent
from planton.cluster.ownership import with_set
from planton.cluster.planning.extract import applied
from planton.cluster.planning.inventory import generation_in
from planton.cluster.planning.own_secrets import APPLY, read_outdated
from planton.cluster.planning.plan import foreign_object
from planton.cluster.planning.steps import change_of
from planton.cluster.synchronising.sync_state import (
    NOT_OURS,
    PHASE,
    SyncState,
    find_operator,
    operator_settings,
    platform_text,
    read_spaces,
    read_state,
)
from planton.cluster.synchronising.sync_write import OutdatedError, passed_over, put, skipped, write_over
from planton.cluster.wait import Deadline, pending_rollout
from planton.errors import ClusterError, ConflictError, PlantonError
from planton.translate.backup import platform_secrets
from planton.translate.contract import KubernetesObject
from planton.translate.generation import GENERATION, told_generation
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR
from planton.translate.operator_workload import CHECKSUM_ANNOTATION, configuration_checksum
from planton.translate.service_accounts import service_account

_READS = 5
_ROUNDS = 20
_EFFECT = "pods of every database that takes these credentials restart, one after the other"
_RESTART = "the operator restarts and syncs all databases"

OnChange = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What one run has done.

    Attributes:
        state: What it went by; None when it did not get as far.
        changes: One for each object that was looked at, in the order in which it was.
        failures: What went wrong; everything else was done all the same.
        spaces: Namespaces whose copies are right now.
        failed_spaces: Namespaces with a database whose copies are not.
    """

    state: SyncState | None
    changes: tuple[Change, ...]
    failures: tuple[ClusterError, ...]
    spaces: frozenset[str]
    failed_spaces: frozenset[str]

    def check(self) -> None:
        """Raises what went wrong.

        Raises:
            ConflictError: Secrets of others stand where copies belong, and nothing else went wrong.
            ClusterError: Something went wrong; `changes` on it says what was done.
        """
        if self.failures:
            raise failure_of(self.failures, self.changes, self._note)

    @property
    def _note(self) -> str:
        state = self.state
        if state is None or not self.failed_spaces or state.platform.generation <= state.told:
            return ""
        return (
            f"Pods are told of the new credentials (generation {state.platform.generation}) only when every copy is "
            "written: until then they go on with the old ones, which must stay valid."
        )


def failure_of(failures: Iterable[ClusterError], changes: Iterable[Change], note: str = "") -> ClusterError:
    """Makes one error of all that went wrong.

    Args:
        failures: At least one.
        changes: What was done.
        note: What else to know.

    Returns:
        The error, with the words of all.
    """
    told = list({str(one): one for one in failures}.values())
    if len(told) == 1 and not note:
        told[0].changes = tuple(changes)
        return told[0]
    conflicts = [one for failure in told if isinstance(failure, ConflictError) for one in failure.conflicts]
    if all(isinstance(one, ConflictError) for one in told):
        return ConflictError(conflicts, changes=tuple(changes), remedy=_lines(told[0].remedy, note))
    first = joined(told)
    if not isinstance(first, ClusterError):
        raise first
    return ClusterError(
        first.text,
        subject=first.subject,
        phase=first.phase,
        status=first.status,
        reason=first.reason,
        remedy=_lines(first.remedy, note),
        changes=tuple(changes),
    )


def _lines(*texts: str) -> str:
    return "\n".join(text for text in texts if text)


class Synchroniser:
    """Brings credentials where they belong. Can run again and again."""

    def __init__(
        self,
        connection: Connection,
        operator_namespace: str | None,
        *,
        progress: Callable[[ProgressEvent], None] = lambda event: None,
        on_change: OnChange = lambda change: None,
    ) -> None:
        """Makes the value; asks nothing yet.

        Args:
            connection: The cluster.
            operator_namespace: Namespace of the operator; None finds the only one.
            progress: Is told where the work has got to.
            on_change: Is told each change as soon as it is made, by several threads.
        """
        self._server = Server(connection, PHASE)
        self._namespace = operator_namespace
        self._progress = progress
        self._on_change = on_change

    def run(self, deadline: Deadline | None = None) -> Synchronised:
        """Does everything once.

        Args:
            deadline: How long to wait for an operator that is restarted; None does not wait.

        Returns:
            What was done, and what went wrong with single namespaces.

        Raises:
            RefusedError: The operator has no backups, or it is not clear which one is meant.
            ClusterError: The server refused what everything else depends on; `changes` says what was done.
        """
        return self._again(lambda state, run: run.everything(deadline), follow=True)

    def copy_to(self, spaces: Iterable[str]) -> Synchronised:
        """Copies what the operator has now to some namespaces, and does nothing else.

        Args:
            spaces: Namespaces with a database.

        Returns:
            As of run.

        Raises:
            RefusedError: As of run.
            ClusterError: As of run.
        """
        wanted = sorted(spaces)
        return self._again(lambda state, run: run.copy(wanted), follow=False)

    def _again(self, work: Callable[[SyncState, _Run], None], *, follow: bool) -> Synchronised:
        if self._namespace is None:
            self._namespace = find_operator(self._server)
        before: list[Change] = []
        for _ in range(_READS):
            self._progress(ProgressEvent("read", 0, 0, self._namespace))
            state = read_state(self._server, self._namespace, follow=follow)
            run = _Run(self._server.during(PHASE, state.scrubber), state, self._progress, self._on_change)
            try:
                work(state, run)
            except OutdatedError:
                before += [one for one in run.changes if one.action != "unchanged"]
                continue
            except PlantonError as error:
                failures = [*run.failures, error] if isinstance(error, ClusterError) else run.failures
                if not isinstance(error, ClusterError):
                    raise
                raise failure_of(failures, [*before, *run.changes]) from None
            failures = [*state.problems, *run.failures]
            changes = (*before, *run.changes)
            return Synchronised(state, changes, tuple(failures), frozenset(run.done), frozenset(run.failed))
        raise failure_of(
            [
                ClusterError(
                    "the operator's Secrets change faster than they can be copied",
                    subject=f"namespace {self._namespace}",
                    phase=PHASE,
                    status=409,
                    reason="Conflict",
                    remedy="Find out what writes to them, then run the same command again.",
                )
            ],
            before,
        )


class _Run:
    """One run over one reading of the cluster."""

    def __init__(
        self,
        server: Server,
        state: SyncState,
        progress: Callable[[ProgressEvent], None],
        on_change: OnChange,
    ) -> None:
        self._server = server
        self._state = state
        self._platform = state.platform
        self._progress = progress
        self._on_change = on_change
        self._lock = threading.Lock()
        self.changes: list[Change] = []
        self.failures: list[ClusterError] = []
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.going: set[str] = set()

    def everything(self, deadline: Deadline | None) -> None:
        if not self._state.half_applied:
            self._write_own()
        self._copy_to_all()
        self._look_at_own_of_databases()
        if self.failed or self._state.half_applied:
            return
        restarted = False
        try:
            self._tell()
            restarted = self._restart()
        except ClusterError as error:
            self.failures.append(error)
        if restarted and deadline is not None:
            self._wait(deadline)

    def _write_own(self) -> None:
        """Writes the operator's own Secrets: the generation in one request with the data, and over what was read."""
        for secret in self._secrets(self._platform.namespace):
            live = self._state.own.get(secret["metadata"]["name"])
            change = write_over(self._server, secret, live)
            if change is None:
                raise OutdatedError
            self._made(change)

    def _secrets(self, space: str) -> list[KubernetesObject]:
        # In the set of the operator, where an apply of it would put them, too.
        return with_set(platform_secrets(self._platform, space), self._state.set_id)

    def _copy_to_all(self) -> None:
        """Copies until there is no namespace left that came meanwhile."""
        for _ in range(_ROUNDS):
            spaces, going = read_spaces(self._server)
            for space in sorted(going - self.going):
                self._made(skipped(space))
            self.going |= going
            fresh = sorted(spaces - self.done - self.failed - self.going)
            if not fresh:
                return
            self.copy(fresh)

    def _look_at_own_of_databases(self) -> None:
        """Says which databases' own Secrets would have to be applied again: they are followed by nobody."""
        try:
            found = read_outdated(self._server, self._server.list(POSTGRESQL) or ())
        except ClusterError as error:
            self.failures.append(error)
            return
        for one in found:
            if one.readable:
                self.failures.append(ClusterError(one.what, subject=one.subject, phase=PHASE, remedy=APPLY))
            else:
                self._made(change_of(Key(SECRET, one.namespace, one.name), "skipped", reason=one.what))

    def copy(self, spaces: list[str]) -> None:
        """Copies to namespaces, each on its own: what goes wrong in one does not keep the others from theirs."""
        number = 0

        def one(space: str) -> None:
            nonlocal number
            self._copy_to(space)
            with self._lock:
                number += 1
                self._progress(ProgressEvent("secrets", number, len(spaces), f"Namespace/{space}"))

        outcomes = in_parallel(one, spaces)
        if any(isinstance(outcome, OutdatedError) for outcome in outcomes):
            raise OutdatedError
        for space, outcome in zip(spaces, outcomes, strict=True):
            if outcome is None:
                self.done.add(space)
            elif (change := passed_over(outcome, space)) is not None:
                self.going.add(space)
                self._made(change)
            elif isinstance(outcome, ClusterError):
                self.failed.add(space)
                self.failures.append(outcome)
            else:
                raise outcome

    def _copy_to(self, space: str) -> None:
        if space != self._platform.namespace:
            # That with files first: a pod that misses it hangs, while without the other the operator makes no pod.
            for secret in self._secrets(space):
                self._made(put(self._server, secret, check=self._check_generation))
        if self._platform.service_account_annotations:
            self._made(put(self._server, service_account(self._platform.service_account_annotations, space)))

    def _check_generation(self, live: KubernetesObject) -> None:
        """A copy that is ahead was written by somebody who has read newer keys, unless somebody meddled with it."""
        if generation_in(live) <= self._platform.generation:
            return
        now = self._server.get(Key(SECRET, self._platform.namespace, self._platform.secret_name))
        if generation_in(now) > self._platform.generation:
            raise OutdatedError

    def _tell(self) -> None:
        """Tells the pods the generation, once no copy is behind it."""
        wanted = self._platform.generation

        def next_of(desired: KubernetesObject) -> KubernetesObject | None:
            if platform_text(desired) != self._state.text:
                raise OutdatedError
            data = desired.get("data") or {}
            if told_generation(data.get(GENERATION)) >= wanted:
                return None
            return {**desired, "data": {**data, GENERATION: str(wanted)}}

        self._change(Key(CONFIG_MAP, self._platform.namespace, BACKUP_CONFIGMAP), next_of, _EFFECT)

    def _restart(self) -> bool:
        """Starts the operator with what it was told; the sum is the one that an apply would write."""
        config_map = self._server.get(Key(CONFIG_MAP, self._platform.namespace, BACKUP_CONFIGMAP))
        environment = (config_map or {}).get("data") or {}
        if not told_generation(environment.get(GENERATION)):
            return False
        key = Key(DEPLOYMENT, self._platform.namespace, OPERATOR)
        # As they are now: an apply may have written them meanwhile.
        settings = operator_settings(self._server, self._platform.namespace, self._server.get(key))
        checksum = configuration_checksum(settings, environment)

        def next_of(desired: KubernetesObject) -> KubernetesObject | None:
            annotations = desired["spec"]["template"].get("metadata", {}).get("annotations") or {}
            if annotations.get(CHECKSUM_ANNOTATION, checksum) == checksum:
                return None
            annotations[CHECKSUM_ANNOTATION] = checksum
            return desired

        return self._change(key, next_of, _RESTART)

    def _change(self, key: Key, next_of: Callable[[KubernetesObject], KubernetesObject | None], effect: str) -> bool:
        """Applies an object again with what of it is planton's, but for what next_of changes; None changes nothing."""
        for _ in range(_READS):
            live = self._server.get(key)
            if live is None:
                return False
            ours = applied(live)
            if ours is None:
                raise ConflictError([foreign_object(key, live)], remedy=NOT_OURS)
            desired = next_of(ours)
            if desired is None:
                self._made(change_of(key, "unchanged"))
                return False
            self._progress(ProgressEvent("configuration", 0, 0, key.subject))
            change = write_over(self._server, desired, live, effects=[effect], remove=False)
            if change is not None:
                self._made(change)
                return change.action != "unchanged"
        raise OutdatedError

    def _wait(self, deadline: Deadline) -> None:
        key = Key(DEPLOYMENT, self._platform.namespace, OPERATOR)
        server = self._server.during("wait")
        try:
            deadline.wait_for(
                lambda: pending_rollout(server, key), lambda text: self._progress(ProgressEvent("wait", 0, 0, text))
            )
        except ClusterError as error:
            self.failures.append(error)
        # Databases that somebody made while the operator was away.
        self._copy_to_all()

    def _made(self, change: Change) -> None:
        with self._lock:
            self.changes.append(change)
            if change.action != "unchanged":
                self._on_change(change)
