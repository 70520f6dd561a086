"""Writes one object for `sync-credentials`: sends only what differs, and only over what was looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import NAMESPACE, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.changes import Change
from planton.cluster.ownership import SET_LABEL, is_ours, is_pod_account, labelled, labels_of
from planton.cluster.planning.compare import foreign_data, is_settled, is_unchanged_by
from planton.cluster.planning.diff import field_changes, removed_keys
from planton.cluster.planning.plan import conflicts_of, foreign_object
from planton.cluster.planning.stale import only_new, only_over
from planton.cluster.planning.steps import change_of
from planton.cluster.rounds import Rounds
from planton.cluster.synchronising.sync_state import NOT_OURS, PHASE
from planton.errors import ClusterError, ConflictError
from planton.translate.contract import KubernetesObject

_TAKEN = "Remove the field from the other manager, then run the same command again."
_TERMINATING = "NamespaceTerminating"


class OutdatedError(Exception):
    """What was read is not so any more: another run, or an apply, was faster. Everything has to be read again."""


def put(
    server: Server,
    desired: KubernetesObject,
    *,
    effects: Sequence[str] = (),
    check: Callable[[KubernetesObject], None] = lambda live: None,
    remove: bool = True,
    looked: Mapping[Key, KubernetesObject | None] = MappingProxyType({}),
) -> Change:
    """Makes an object what it shall be.

    Args:
        server: The API server; its scrubber knows the credentials.
        desired: The object.
        effects: What a change of it does beyond it.
        check: Is shown the live object before it is written over; raises when it must not be.
        remove: Whether keys of others in its data go.
        looked: What a look has found a moment ago: it is not taken twice.

    Returns:
        What was done.

    Raises:
        ConflictError: It is not planton's, or somebody else owns a field of it.
        ClusterError: The server refused, or the object changes faster than it can be written.
    """
    key = key_of(desired)
    rounds, is_first = Rounds(), True
    while rounds.again():
        live = looked[key] if is_first and key in looked else server.get(key)
        is_first = False
        rounds.saw(live)
        if live is not None:
            _check_ours(key, desired, live)
            check(live)
        change = write_over(server, desired, live, effects=effects, remove=remove)
        if change is not None:
            return change
    raise rounds.failed(key.subject, PHASE)


def _check_ours(key: Key, desired: KubernetesObject, live: KubernetesObject) -> None:
    if live["metadata"].get("deletionTimestamp"):
        raise ClusterError(
            "it is being deleted",
            subject=key.subject,
            phase=PHASE,
            remedy="Wait until it is gone, then run the same command again.",
        )
    if not is_ours(live) and not is_pod_account(desired):
        raise ConflictError([foreign_object(key, live)], remedy=NOT_OURS)


def is_right(desired: KubernetesObject, live: KubernetesObject | None) -> bool:
    """Tells whether nothing of an object is to be written.

    Args:
        desired: The object.
        live: What is there; None when nothing is.

    Returns:
        True when it surely is as it shall be.
    """
    if live is None:
        return False
    wanted = _in_its_set(desired, live)
    return not foreign_data(wanted, live) and is_settled(wanted, live)


def _in_its_set(desired: KubernetesObject, live: KubernetesObject) -> KubernetesObject:
    # Objects stay in the set that they are in: it is none of this verb's business.
    there = labels_of(live).get(SET_LABEL)
    return desired if there is None else labelled(desired, there)


def write_over(
    server: Server,
    desired: KubernetesObject,
    live: KubernetesObject | None,
    *,
    effects: Sequence[str] = (),
    remove: bool = True,
) -> Change | None:
    """Writes an object over exactly the one that was looked at.

    Args:
        server: The API server.
        desired: The object.
        live: What was looked at; None when it was not there.
        effects: What a change of it does beyond it.
        remove: Whether keys of others in its data go.

    Returns:
        What was done; None when the object is another one by now.

    Raises:
        ConflictError: Somebody else owns a field of it.
        ApiError: The server refused.
    """
    key = key_of(desired)
    if live is not None:
        desired = _in_its_set(desired, live)
    removals = foreign_data(desired, live) if remove and live is not None else ()
    if live is not None and not removals and is_settled(desired, live):
        return change_of(key, "unchanged")
    try:
        # The operator has written the annotations of an account that it has made, from what it was told before.
        sent = only_over(desired, live) if live is not None else only_new(desired)
        answer, _ = server.apply(key, sent, force=is_pod_account(desired))
    except ApiError as error:
        # Of one that somebody has made since the look it is not known yet whose it is: that comes before its fields.
        if live is not None and (conflicts := conflicts_of(error, key.subject)):
            raise ConflictError(conflicts, remedy=_TAKEN) from None
        if error.status != 409:
            raise
        now = server.get(key) if error.may_have_arrived else None
        if now is None or not is_settled(desired, now) or (live is None and foreign_data(desired, now)):
            return None
        # The first attempt has written it, and its answer was lost on the way.
        answer = now
    if removals and not _remove(server, key, answer, removals):
        return None
    if live is None:
        return change_of(key, "created", effects=tuple(effects))
    if not removals and is_unchanged_by(live, answer):
        return change_of(key, "unchanged")
    diff = (*field_changes(live, answer, server.scrubber), *removed_keys(removals, server.scrubber))
    return change_of(key, "configured", diff=diff, effects=tuple(effects))


def _remove(server: Server, key: Key, live: KubernetesObject, removals: Sequence[tuple[str, ...]]) -> bool:
    """Takes out keys that an apply leaves where they are; False when the object is another one by now."""
    patch: KubernetesObject = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}}
    for part, name in removals:
        patch.setdefault(part, {})[name] = None
    try:
        server.merge(key, patch)
    except ApiError as error:
        if error.status != 409:
            raise
        now = server.get(key) if error.may_have_arrived else None
        return now is not None and not any(name in (now.get(part) or {}) for part, name in removals)
    return True


def passed_over(error: Exception, namespace: str) -> Change | None:
    """Tells whether something could not be written because its namespace is going away.

    Args:
        error: What the server said.
        namespace: The namespace.

    Returns:
        A skipped Namespace; None when it is another failure.
    """
    if not isinstance(error, ApiError):
        return None
    # Of what is looked up 404 is no error, so here it says that the namespace is gone.
    is_going = error.status == 403 and any(cause.reason == _TERMINATING for cause in error.causes)
    return skipped(namespace) if is_going or error.status == 404 else None


def skipped(namespace: str) -> Change:
    """Gives the change for a namespace that is going away.

    Args:
        namespace: The namespace.

    Returns:
        The Namespace, skipped.
    """
    return change_of(Key(NAMESPACE, "", namespace), "skipped", reason="is being deleted")
