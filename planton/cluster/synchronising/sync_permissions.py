"""What `sync-credentials` needs to be allowed: asked before anything is written, and what a refusal says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.permissions.review import Need, NoPermissionError, denied_in, denied_of, needs_of, reworded
from planton.cluster.synchronising.sync_state import PHASE, SyncState
from planton.cluster.synchronising.sync_write import is_right
from planton.errors import ClusterError
from planton.translate.contract import KubernetesObject
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR

_ROLES = (
    "The account of the CronJob has that permission by the roles which `planton sync-credentials --render-cron-job` "
    "prints: print and apply them again, as after each change of the Secrets that the operator's manifest refers to. "
    "Others have it by the role that `planton permissions operator` prints, with all other works that it shall have "
    "(docs/permissions.md). Then run the same command again."
)


def needs_of_write(desired: KubernetesObject, live: KubernetesObject | None) -> set[Need]:
    """Names what writing one object needs, beyond the look that was taken at it.

    Args:
        desired: The object.
        live: What is there; None when nothing is.

    Returns:
        What has to be allowed; empty for what is right already.
    """
    if is_right(desired, live):
        return set()
    return set(needs_of(key_of(desired), "create patch" if live is None else "patch"))


def needs_of_operator(state: SyncState, own: Iterable[KubernetesObject]) -> set[Need]:
    """Names what the operator's own Secrets need, and what has to follow once they are written.

    Args:
        state: What there is.
        own: The operator's own Secrets as they shall be.

    Returns:
        What has to be allowed; empty when nothing of it is to be written.
    """
    if state.half_applied:
        return set()
    platform = state.platform
    wanted = {need for one in own for need in needs_of_write(one, state.own.get(one["metadata"]["name"]))}
    if wanted or platform.generation > state.told:
        # It is of no use to hand new keys out of which the pods can never be told.
        for key in (
            Key(CONFIG_MAP, platform.namespace, BACKUP_CONFIGMAP),
            Key(DEPLOYMENT, platform.namespace, OPERATOR),
        ):
            wanted.update(needs_of(key, "patch"))
    return wanted


def closed_spaces(
    server: Server, shared: Iterable[Need], spaces: Mapping[str, set[Need]], *, is_whole: bool
) -> dict[str, list[Need]]:
    """Asks what is not allowed, before anything is written.

    Args:
        server: The API server.
        shared: What has to be allowed for anything to be done.
        spaces: Namespace -> what has to be allowed for its copies; empty for one in which nothing is to be written.
        is_whole: Whether these are all namespaces with a database: then not even the operator's own is written if none
            of them would get it.

    Returns:
        Namespace -> what is not allowed in it, of those in which something is not.

    Raises:
        NoPermissionError: Something of what is shared is not allowed, or each namespace is closed in which something is
            to be written.
        ApiError: The server could not be reached.
    """
    common = set(shared)
    denied = denied_of(server, common.union(*spaces.values()))
    if first := [one for one in denied if one in common]:
        raise NoPermissionError([*first, *(one for one in denied if one not in common)], phase=PHASE)
    found = {space: [one for one in denied if one in wanted] for space, wanted in spaces.items()}
    closed = {space: needs for space, needs in found.items() if needs}
    if is_whole and closed and len(closed) == sum(bool(wanted) for wanted in spaces.values()):
        raise NoPermissionError(denied, phase=PHASE)
    return closed


def with_roles(error: ClusterError) -> ClusterError:
    """Has a refusal for want of a permission say which roles have it; leaves every other error as it is.

    Args:
        error: The error.

    Returns:
        The same error.
    """
    if denied := denied_in(error):
        error.reword(text=reworded(error.text), remedy=_ROLES, denied=denied)
    return error


@contextmanager
def roles_told() -> Iterator[None]:
    """Has a refusal in it say which roles have the permission.

    Yields:
        Nothing.

    Raises:
        ClusterError: As what is done raises it.
    """
    try:
        yield
    except ClusterError as error:
        with_roles(error)
        raise
