"""Brings the operator's credentials to every namespace with a database, and follows when they change.

Before anything is written it looks at every copy, and asks whether all may be written that has to be. Without what is
shared nothing is done; a namespace that is closed is left out, and the pods are not told.

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
from collections.abc import Callable, Collection, Iterable
from functools import partial

from planton.cluster.api.connection import Connection
from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, POSTGRESQL, SECRET, Key, key_of
from planton.cluster.api.server import Server, in_parallel
from planton.cluster.changes import Change, ProgressEvent
from planton.cluster.ownership import with_set
from planton.cluster.permissions.review import Need, NoPermissionError
from planton.cluster.planning.extract import applied
from planton.cluster.planning.own_secrets import APPLY, read_outdated
from planton.cluster.planning.plan import foreign_object
from planton.cluster.planning.steps import change_of
from planton.cluster.planning.told import generation_in
from planton.cluster.synchronising.sync_encryption import check_encryption
from planton.cluster.synchronising.sync_permissions import (
    closed_spaces,
    needs_of_operator,
    needs_of_write,
    roles_told,
    with_roles,
)
from planton.cluster.synchronising.sync_result import Synchronised, failure_of
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
            with roles_told():
                self._namespace = find_operator(self._server)
        before: list[Change] = []
        for _ in range(_READS):
            self._progress(ProgressEvent("read", 0, 0, self._namespace))
            with roles_told():
                state = read_state(self._server, self._namespace, follow=follow)
            run = _Run(self._server.during(PHASE, state.scrubber), state, self._progress, self._on_change)
            try:
                work(state, run)
            except OutdatedError:
                before += [one for one in run.changes if one.action != "unchanged"]
                continue
            except PlantonError as error:
                if not isinstance(error, ClusterError):
                    raise
                failures = [with_roles(one) for one in (*run.failures, error)]
                raise failure_of(failures, [*before, *run.changes]) from None
            failures = [with_roles(one) for one in (*state.problems, *run.failures)]
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


def _no_check(live: KubernetesObject) -> None:
    return


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
        self._looked: dict[Key, KubernetesObject | None] = {}

    def everything(self, deadline: Deadline | None) -> None:
        first = read_spaces(self._server)
        self._look(first[0], needs_of_operator(self._state, self._secrets(self._platform.namespace)))
        if not self._state.half_applied:
            self._check_keys(first[0])
            self._write_own()
        self._copy_to_all(first)
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

    def _copy_to_all(self, first: tuple[frozenset[str], frozenset[str]] | None = None) -> None:
        """Copies until there is no namespace left that came meanwhile; first to those that were looked at."""
        for number in range(_ROUNDS):
            is_looked = number == 0 and first is not None
            spaces, going = first if number == 0 and first is not None else read_spaces(self._server)
            for space in sorted(going - self.going):
                self._made(skipped(space))
            self.going |= going
            fresh = sorted(spaces - self.done - self.failed - self.going)
            if is_looked:
                self._copy(fresh)
            elif fresh:
                self.copy(fresh)
            else:
                return

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
        self._look(spaces)
        self._copy([space for space in spaces if space not in self.failed])

    def _look(self, spaces: Collection[str], shared: Collection[Need] | None = None) -> None:
        """Looks at the copies, and asks whether all may be written that has to be; what is closed has failed."""

        def needs_in(space: str) -> set[Need]:
            wanted = set()
            for desired in self._copies(space):
                live = self._looked[key_of(desired)] = self._server.get(key_of(desired))
                wanted |= needs_of_write(desired, live)
            return wanted

        ordered = sorted(spaces)
        outcomes = zip(ordered, in_parallel(needs_in, ordered), strict=True)
        # What cannot be looked at fails where it is written.
        wanted = {space: one for space, one in outcomes if not isinstance(one, Exception)}
        if closed := closed_spaces(self._server, shared or (), wanted, is_whole=shared is not None):
            self.failed |= set(closed)
            self.failures.append(NoPermissionError([one for needs in closed.values() for one in needs], phase=PHASE))

    def _copy(self, spaces: list[str]) -> None:
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

    def _copies(self, space: str) -> list[KubernetesObject]:
        # That with files first: a pod that misses it hangs, while without the other the operator makes no pod.
        found = self._secrets(space) if space != self._platform.namespace else []
        if annotations := self._platform.service_account_annotations:
            found.append(service_account(annotations, space))
        return found

    def _copy_to(self, space: str) -> None:
        for desired in self._copies(space):
            check = partial(self._check_copy, desired) if desired["kind"] == SECRET.kind else _no_check
            self._made(put(self._server, desired, check=check, looked=self._looked))

    def _check_keys(self, spaces: Collection[str]) -> None:
        """Looks whether a key for encryption would be lost, before the first Secret is written."""
        own = self._state.own
        for desired in self._secrets(self._platform.namespace):
            check_encryption(self._state, desired, own.get(desired["metadata"]["name"]))
        # Behind a new generation each copy could be written over.
        if self._platform.generation > generation_in(own.get(self._platform.secret_name)):
            for desired in (one for space in sorted(spaces) for one in self._copies(space)):
                check_encryption(self._state, desired, self._looked.get(key_of(desired)))

    def _check_copy(self, desired: KubernetesObject, live: KubernetesObject) -> None:
        self._check_generation(live)
        check_encryption(self._state, desired, live)

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
