"""Carries out a delete, in an order in which nothing is left running and nothing goes that was not named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from planton.catalogue.model import Catalogue
from planton.cluster.api import connection
from planton.cluster.api.connection import ApiError
from planton.cluster.api.genuine import is_group_list, is_kind
from planton.cluster.api.resources import (
    POD,
    POSTGRESQL,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    VOLUME_CLAIM,
    Key,
    ResourceType,
    key_of,
)
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archive_record import write_record
from planton.cluster.changes import Change, ProgressEvent
from planton.cluster.deleting.deletion import Deletion
from planton.cluster.deleting.deletion_checks import CLUSTER_LABEL, Target
from planton.cluster.deleting.left_behind import LeftBehind
from planton.cluster.deleting.remaining import MakeBackup, ReadArchive, Remaining, effects_of, reached
from planton.cluster.failure import with_changes
from planton.cluster.operators import is_operator
from planton.cluster.planning.prune import secret_user
from planton.cluster.planning.steps import Step, change_of
from planton.cluster.rounds import Rounds
from planton.cluster.wait import Deadline, Pending
from planton.errors import ClusterError, PlantonError, RefusedError, StoreError, WaitError
from planton.stopping import STOPPING
from planton.translate.names import (
    DELETE_ANNOTATION,
    FILES_SECRET,
    POD_SERVICE_ACCOUNT,
    is_storage_secret,
    own_secret_names,
)
from planton.words import first_few

_DATE_KEY = "delete_annotation_date_key"
_NAME_KEY = "delete_annotation_name_key"
# So many of what keeps a namespace are named.
_NAMED = 5
_LATE_SECONDS = 20.0
_STILL = (
    "{} may be permitted to be deleted from now on (its annotation "
    + DELETE_ANNOTATION
    + "): the same command goes on "
    "from there, and an apply of its manifest takes that back."
)

# What every namespace has by itself, or what comes and goes with others.
_IGNORED_KINDS = frozenset({"Event", "Endpoints", "EndpointSlice", "Lease", "ControllerRevision", "PodMetrics"})
_IGNORED_OBJECTS = frozenset({("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")})


class Deleter:
    """One delete: carries out decisions and remembers what was done."""

    def __init__(
        self,
        server: Server,
        deletion: Deletion,
        *,
        deadline: Deadline,
        progress: Callable[[ProgressEvent], None],
        read_archive: ReadArchive | None = None,
        make_backup: MakeBackup | None = None,
    ) -> None:
        """Makes the delete; does nothing yet.

        Args:
            server: The API server.
            deletion: What was decided.
            deadline: How long may be waited until the operator has cleaned up.
            progress: Is told where the work has got to.
            read_archive: Reads the archive of a database, also when its custom resource is gone; None looks into none.
            make_backup: Makes a base backup; has a limit of its own in time. Needed for a last backup only.
        """
        self._server = server
        self._deletion = deletion
        self._deadline = deadline
        self._progress = progress
        self._read_archive = read_archive
        self._make_backup = make_backup
        self._changes: list[Change] = []
        self._backed_up: set[Key] = set()
        self._remaining = {one.target.key: one.remaining for one in deletion.behind}
        self._held: dict[Key, str] = {}

    @property
    def remaining(self) -> tuple[Remaining, ...]:
        """What remains of each database, as it was seen last."""
        return tuple(self._remaining.values())

    def run(self) -> list[Change]:
        """Carries out the decisions.

        Returns:
            What was done, and what stays, in order.

        Raises:
            ClusterError: Something failed; `changes` on it says what was done before.
        """
        try:
            self._back_up()
            self._delete(self._deletion.databases)
            self._wait_for_cleaning()
            self._look_again()
            self._check_operator_is_idle()
            self._delete([self._held_back(step) for step in self._deletion.leftovers])
            for step in self._deletion.namespaces:
                self._changes.append(self._namespace(step))
        except Exception as error:
            told = with_changes(
                error,
                self._changes,
                phase="delete",
                waited=self._deadline.waited,
            )
            # With the place of it and without the error itself, whose text may hold anything.
            raise told.with_traceback(error.__traceback__) from None
        return self._changes

    def _back_up(self) -> None:
        """Makes the last backups. Nothing is deleted yet, and nothing will be when one fails."""
        targets = [one for one in self._deletion.behind if one.target.live is not None and one.left is not None]
        if not self._deletion.options.last_backup or not targets:
            return
        if self._make_backup is None:
            raise RefusedError(["a last backup was asked for, and nobody is there to make one"])
        for number, one in enumerate(targets, start=1):
            key = one.target.key
            # Not the custom resource's own subject: nothing is done to that yet.
            subject = f"last backup of {key.namespace}/{key.name}"
            self._progress(ProgressEvent("backup", number - 1, len(targets), subject))
            try:
                name = self._make_backup(key)
            except PlantonError as error:
                text = error.text if isinstance(error, (ClusterError, StoreError)) else str(error)
                remedy = error.remedy if isinstance(error, (ClusterError, StoreError)) else ""
                raise self._no_backup(key, text, remedy) from None
            self._check_backup(one, name)
            self._backed_up.add(key)
            self._progress(ProgressEvent("backup", number, len(targets), f"{subject}: {name}"))
        self._deadline.restart()

    def _check_backup(self, behind: LeftBehind, name: str) -> None:
        """Looks with its own eyes whether the backup is there, and whether a restore can start from it."""
        if self._read_archive is None:
            return
        key = behind.target.key
        found = self._read_archive(key)
        if not isinstance(found, Catalogue):
            # Whoever made it has seen it in the archive; more than that nobody can say now.
            return
        made = next((one for one in found.backups if one.name == name), None)
        if made is None:
            raise self._no_backup(key, f"{name} is not in its archive")
        if made.problem:
            raise self._no_backup(key, f"nothing can be restored from {name}: {made.problem}")
        before = self._remaining[key].newest_backup
        if before is not None and made.finish_time <= before:
            raise self._no_backup(key, f"{name} was there before")
        self._remaining[key] = behind.read_again(found)

    @staticmethod
    def _no_backup(key: Key, text: str, remedy: str = "") -> ClusterError:
        return ClusterError(
            f"no last base backup was made, so nothing was deleted: {text}",
            subject=key.subject,
            phase="backup",
            remedy=remedy or "Mend this, then run the same command again; or leave --last-backup out.",
        )

    def _look_again(self) -> None:
        """Sees, once databases are shut down, until when their archives reach, and which volumes had better stay."""
        read = self._read_archive
        behind = [one for one in self._deletion.behind if one.target.live is not None and one.left is not None]
        behind = [one for one in behind if one.remaining.state != "standby"]
        if read is None or not self._deletion.is_cleaned_up:
            return
        # What could not be read is a value here, and no failure of the delete.
        seen = results(in_parallel(lambda one: one.read_again(read(one.target.key)), behind))
        for one, later in zip(behind, seen, strict=True):
            key = one.target.key
            said, why = reached(self._remaining[key], later)
            self._remaining[key] = later
            now = datetime.now(UTC)
            self._say_of(key, (*effects_of(later, live=None, now=now), *said))
            if why and not self._deletion.options.without_backup and key not in self._backed_up:
                self._held[key] = why

    def _say_of(self, key: Key, effects: tuple[str, ...]) -> None:
        subject = key.subject
        self._changes = [replace(one, effects=effects) if one.subject == subject else one for one in self._changes]

    def _held_back(self, step: Step) -> Step:
        """Keeps a volume whose database has not archived its last WAL, as far as one can see."""
        if step.key.resource is not VOLUME_CLAIM or step.change.action != "deleted":
            return step
        for one in self._deletion.targets:
            own = {claim["metadata"]["name"] for claim in one.claims} if one.namespace == step.key.namespace else ()
            if one.key in self._held and step.key.name in own:
                reason = f"stays: {self._held[one.key]}. Delete it with the same command and --without-backup"
                return replace(step, change=change_of(step.key, "skipped", reason=reason))
        return step

    def _delete(self, steps: Sequence[Step]) -> None:
        for number, step in enumerate(steps, start=1):
            self._changes.append(self._one(step))
            self._progress(ProgressEvent("delete", number, len(steps), step.key.subject))

    def _one(self, step: Step) -> Change:
        if step.desired is not None:
            return write_record(self._server, step)
        if step.change.action != "deleted":
            return step.change
        if step.key.resource is SECRET and (user := secret_user(self._server, step.key.namespace, step.key.name)):
            return change_of(step.key, "skipped", reason=f"stays: {user} refers to it")
        if user := self._user_since(step.key):
            return change_of(step.key, "skipped", reason=f"stays: {user} was made meanwhile, and uses it")
        before: dict[str, str | None] = {}
        try:
            if step.key.resource is POSTGRESQL:
                before = self._permission_of(step.key, step.uid)
                # So that also who ends all this at once hears of it.
                STOPPING.permitted.add(step.key.subject)
                self._permit(step.key, step.uid, before)
            # Its status and its annotations change all the time; the uid says that it is the same object.
            found = self._server.delete(step.key, uid=step.uid)
        except BaseException as error:
            if not self._take_back(step.key, step.uid, before) and isinstance(error, ClusterError):
                error.reword(remedy="\n".join(filter(None, (error.remedy, _STILL.format(step.key.subject)))))
            raise
        finally:
            STOPPING.permitted.discard(step.key.subject)
        return step.change if found else change_of(step.key, "skipped", reason="gone already")

    def _user_since(self, key: Key) -> str:
        """Names a database that is there when a volume or a Secret is about to go; empty for none.

        Somebody has made it meanwhile, and it finds the volume of the one that was deleted and runs on its data; or it
        was never deleted, whatever was said of that.
        """
        if key.resource not in (VOLUME_CLAIM, SECRET):
            return ""
        targets = [one for one in self._deletion.targets if one.namespace == key.namespace]
        users = [
            key_of(one, POSTGRESQL)
            for one in self._server.list(POSTGRESQL, key.namespace, metadata_only=True) or ()
            # Without an operator they go only when somebody lets go of them.
            if not one["metadata"].get("deletionTimestamp")
        ]
        if key.resource is VOLUME_CLAIM or not (is_storage_secret(key.name) or key.name == FILES_SECRET):
            owners = {one.key for one in targets if key.name in _names_of(one)}
            users = [one for one in users if one in owners]
        return users[0].subject if users else ""

    def _annotations(self, name: str) -> dict[str, str]:
        """Gives the annotations without which the operator takes a deletion for an accident, and cleans nothing up.

        https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/controller/controller.go
        (meetsClusterDeleteAnnotations); its date is that of its own clock, which is UTC in its image.
        """
        settings = self._deletion.settings
        annotations = {DELETE_ANNOTATION: name}
        if settings.get(_NAME_KEY):
            annotations[settings[_NAME_KEY]] = name
        if settings.get(_DATE_KEY):
            annotations[settings[_DATE_KEY]] = datetime.now(UTC).strftime("%Y-%m-%d")
        return annotations

    def _permission_of(self, key: Key, uid: str) -> dict[str, str | None]:
        """Reads what stands in the place of each annotation that has yet to be set; None for nothing."""
        live = self._server.get(key)
        if live is None or live["metadata"]["uid"] != uid:
            return {}
        there = live["metadata"].get("annotations") or {}
        return {
            name: there.get(name) for name, value in self._annotations(key.name).items() if there.get(name) != value
        }

    def _permit(self, key: Key, uid: str, before: Collection[str]) -> None:
        annotations = {name: value for name, value in self._annotations(key.name).items() if name in before}
        try:
            if annotations:
                self._server.merge(key, {"metadata": {"uid": uid, "annotations": annotations}})
        except ApiError as error:
            # Gone, or another one of that name by now: the deletion will say so.
            if not error.is_absent and error.status != 409:
                raise

    def _take_back(self, key: Key, uid: str, before: dict[str, str | None]) -> bool:
        """Takes a permission back that has not been used: it would let anybody delete the database at any time.

        Returns:
            False when it may still be there; the next apply takes it away.
        """
        rounds = Rounds()
        while rounds.again():
            try:
                live = self._server.get(key) if before else None
                rounds.saw(live)
                # What is being deleted keeps it, or the operator would clean nothing up.
                if live is None or live["metadata"]["uid"] != uid or live["metadata"].get("deletionTimestamp"):
                    return True
                version = live["metadata"]["resourceVersion"]
                self._server.merge(key, {"metadata": {"uid": uid, "resourceVersion": version, "annotations": before}})
                return True
            except ClusterError as error:
                # The operator writes a status for the permission itself: with that in between it is looked at again.
                if not (isinstance(error, ApiError) and error.status == 409):
                    return False
        return False

    def _wait_for_cleaning(self) -> None:
        if not self._deletion.is_cleaned_up:
            return
        if targets := [one for one in self._deletion.targets if one.live is not None]:
            self._wait_for(targets, self._deadline)
        # A run before this one may have been killed while the operator was at it. Nothing says that it still is: what
        # stays then keeps its Namespace, as ever.
        if targets := [one for one in self._deletion.targets if one.live is None]:
            with suppress(WaitError):
                self._wait_for(targets, Deadline(min(_LATE_SECONDS, self._deadline.left)))

    def _wait_for(self, targets: Sequence[Target], deadline: Deadline) -> None:
        deadline.wait_for(
            lambda: [
                pending
                for found in results(in_parallel(lambda one: _pending(self._server.during("wait"), one), targets))
                for pending in found
            ],
            lambda text: self._progress(ProgressEvent("wait", 0, 0, text)),
        )

    def _check_operator_is_idle(self) -> None:
        """Looks whether a database appeared while others were deleted: its operator must not go then."""
        operators = [one.key for one in self._deletion.leftovers if is_operator(one.key)]
        databases = self._server.list(POSTGRESQL, metadata_only=True) if operators else None
        if databases:
            raise ClusterError(
                f"{key_of(databases[0]).subject} has appeared meanwhile",
                subject=operators[0].subject,
                phase="delete",
                remedy="An operator with databases is not deleted.",
            )

    def _namespace(self, step: Step) -> Change:
        if step.change.action != "deleted":
            return step.change
        try:
            left = contents(self._server, step.key.name, self._deletion.settings)
        except ApiError as error:
            # A kind of others, whose own server is away (an APIService): what is of it in there nobody can say.
            if not (error.is_passing and error.status):
                raise
            why = f"{error.subject} does not answer (HTTP status {error.status})"
            return change_of(step.key, "skipped", reason=f"stays: whether it is empty cannot be told, {why}")
        if left:
            return change_of(step.key, "skipped", reason=f"stays: it is not empty ({first_few(left, _NAMED)})")
        return self._one(step)


def _names_of(target: Target) -> set[str]:
    objects = (*target.claims, *target.passwords)
    return {*(str(one["metadata"]["name"]) for one in objects), *own_secret_names(target.message.metadata.name)}


def _pending(server: Server, target: Target) -> list[Pending]:
    if server.get(target.key) is not None:
        return [Pending(f"{target.key.subject}: the operator has not let go of it yet")]
    labels = f"{CLUSTER_LABEL}={target.name}"
    left = [
        obj
        for resource in (STATEFUL_SET, SERVICE, POD)
        for obj in server.list(resource, target.namespace, labels=labels, metadata_only=True) or ()
        # What has been deleted only waits for the cluster's garbage collector; a pod takes its time to stop.
        if resource is POD or not obj["metadata"].get("deletionTimestamp")
    ]
    return [Pending(f"{key_of(obj).subject}: the operator has not removed it yet") for obj in left]


def contents(server: Server, namespace: str, settings: dict[str, str]) -> list[str]:
    """Lists everything in a namespace that keeps it from being called empty.

    Args:
        server: The API server.
        namespace: The namespace.
        settings: What the operator is told; the account of its pods comes with it.

    Returns:
        `Kind/name` of each object, sorted.

    Raises:
        ClusterError: The server refused.
    """
    account = settings.get("pod_service_account_name") or POD_SERVICE_ACCOUNT
    # The operator makes both and removes neither: pkg/controller/postgresql.go (submitRBACCredentials) at v1.15.1.
    ignored = _IGNORED_OBJECTS | {("ServiceAccount", account), ("RoleBinding", account)}
    types = _all_types(server)
    lists = results(in_parallel(lambda one: server.list(one, namespace, metadata_only=True) or [], types))
    found = [
        (resource.kind, str(obj["metadata"]["name"]))
        for resource, objects in zip(types, lists, strict=True)
        for obj in objects
        if not obj["metadata"].get("deletionTimestamp")
    ]
    return sorted("/".join(one) for one in found if one not in ignored)


def _all_types(server: Server) -> list[ResourceType]:
    """Asks the server for every kind that can stand in a namespace."""
    roots = ["/api/v1"]
    groups = server.send(connection.get("/apis"), "API groups", is_group_list)[1]
    for group in groups["groups"]:
        # Not every kind is in every version: Istio's EnvoyFilter is in none that is preferred.
        versions = [group["preferredVersion"], *group["versions"]]
        roots += dict.fromkeys(f"/apis/{one['groupVersion']}" for one in versions)
    answers = results(
        in_parallel(lambda root: server.send(connection.get(root), root, is_kind("APIResourceList"))[1], roots)
    )
    types: dict[tuple[str, str], ResourceType] = {}
    for answer in answers:
        for one in answer.get("resources") or ():
            listable = "list" in (one.get("verbs") or ()) and "delete" in (one.get("verbs") or ())
            if one.get("namespaced") and listable and "/" not in one["name"] and one["kind"] not in _IGNORED_KINDS:
                group = answer["groupVersion"].rpartition("/")[0]
                types.setdefault((group, one["name"]), ResourceType(answer["groupVersion"], one["kind"], one["name"]))
    return list(types.values())
