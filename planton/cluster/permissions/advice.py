"""What to do when the caller may not do something: one command, that takes nothing away which the caller has.

Roles that are printed under a name replace those that were there, so the command names every work of this run, and not
only the one that failed. Who the caller is, is asked only then (SelfSubjectReview), which everybody may.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from planton.cluster.api.connection import ApiError, Connection, Request
from planton.cluster.api.genuine import is_kind
from planton.cluster.api.server import Server
from planton.cluster.changes import DeleteOptions, PlanOptions
from planton.cluster.permissions.review import Need, denied_of, refusals_in, reworded
from planton.errors import ClusterError
from planton.translate.names import OPERATOR, namespace_of
from planton.translate.planton_permissions import WORKS, Work
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource

_REVIEW = "SelfSubjectReview"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
# Kubernetes v1.36, pkg/registry/rbac/validation/rule.go and internal_version_adapter (policybased storage): whoever
# writes a role must hold what is in it.
_GRANT = "attempting to grant RBAC permissions"
_EVERYWHERE: frozenset[Work] = frozenset({"operator", "prune"})
_MOST_NAMESPACES = 100


def works_of_plan(messages: Iterable[Resource], options: PlanOptions) -> list[Work]:
    """Names the works of a plan and its apply.

    Args:
        messages: The set.
        options: What is meant and allowed.

    Returns:
        The works.
    """
    kinds = {type(one) for one in messages}
    works: list[Work] = []
    if PostgresKubernetes in kinds:
        works.append("databases")
    if PostgresOperatorKubernetes in kinds:
        works.append("operator")
    if options.set_id is not None:
        works.append("prune")
    return works


def works_of_delete(options: DeleteOptions) -> list[Work]:
    """Names the works of a delete.

    Args:
        options: What may go.

    Returns:
        The works.
    """
    works: list[Work] = ["delete"]
    if options.operator:
        works.append("prune")
    if options.last_backup:
        works.append("backup")
    if options.namespace:
        works.append("namespaces")
    return works


def operator_in(messages: Iterable[Resource], chosen: str | None) -> str:
    """Finds the operator's namespace, as far as a set and options say it.

    Args:
        messages: The set.
        chosen: Namespace that was given.

    Returns:
        The namespace; empty for the usual one.
    """
    found = [namespace_of(one) for one in messages if isinstance(one, PostgresOperatorKubernetes)]
    return chosen or next(iter(found), "")


@contextmanager
def advised(connection: Connection, works: Collection[Work], operator_namespace: str = "") -> Iterator[None]:
    """Has a refusal for want of a permission say which roles have it.

    Args:
        connection: The cluster.
        works: What is being done.
        operator_namespace: Namespace of the operator; empty for the usual one.

    Yields:
        Nothing.

    Raises:
        ClusterError: As what is done raises it, with the command as remedy.
    """
    try:
        yield
    except ClusterError as error:
        advise(error, connection, works, operator_namespace)
        raise


def advise(error: ClusterError, connection: Connection, works: Collection[Work], operator_namespace: str = "") -> None:
    """Puts the command into a refusal for want of a permission; leaves every other error as it is.

    Args:
        error: The error.
        connection: The cluster.
        works: What is being done.
        operator_namespace: Namespace of the operator; empty for the usual one.
    """
    if error.status != 403:
        return
    # Its text names the first few.
    denied = list(error.denied) or refusals_in(error.text)
    is_grant = _GRANT in error.text
    if not denied and not is_grant:
        return
    # Whoever may delete need not be given what prunes, where both have what is missing.
    missing = [one for one in denied if one.work]
    wanted = {one.work for one in missing if one.work and not {"read", *works} & set(one.works)}
    if is_grant:
        wanted.add("operator")
    if not missing and not wanted:
        return
    text = reworded(error.text)
    ordered = [one for one in WORKS if one in wanted | set(works)]
    remedy = remedy_of(Server(connection, error.phase or "permissions"), ordered, denied, operator_namespace)
    error.reword(text=text, remedy=remedy, denied=denied)


def remedy_of(server: Server, works: Sequence[Work], denied: Sequence[Need], operator_namespace: str = "") -> str:
    """Words what an administrator runs.

    Args:
        server: The API server; it is asked who the caller is.
        works: All works of the run, at least one.
        denied: What is not allowed.
        operator_namespace: Namespace of the operator; empty for the usual one.

    Returns:
        The remedy.
    """
    # All need `read`, and have it.
    named: list[Work] = [one for one in works if one != "read"] or ["read"]
    spaces = sorted({one.namespace for one in denied})
    is_confined = bool(spaces and spaces[0]) and not _EVERYWHERE & set(named) and not _is_wide(server)
    words = ["planton", "permissions", *named]
    if is_confined:
        others = f",<{len(spaces) - _MOST_NAMESPACES} more>" if len(spaces) > _MOST_NAMESPACES else ""
        words += ["--namespaces", ",".join(spaces[:_MOST_NAMESPACES]) + others]
    if operator_namespace and operator_namespace != OPERATOR:
        words += ["--operator", operator_namespace]
    told = ["with the namespaces that it has already"] if is_confined else []
    told.append("with the other works and the --name of its roles, where it has such")
    return (
        f"Who may create roles runs: {shlex.join(words)} {_who(server)} | kubectl apply -f -\n"
        f"{'; '.join(told)}: what is printed replaces roles of the same name (docs/permissions.md). Then run the same "
        "command again."
    )


def _is_wide(server: Server) -> bool:
    """Whether the caller works in all namespaces: what every role has there is allowed everywhere."""
    try:
        return not denied_of(server, [Need("", "", "pods", "list")])
    except ApiError:
        return True


def _who(server: Server) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": _REVIEW}
    try:
        answer = server.send(Request("POST", _WHO, (), body, "application/json"), "permissions", is_kind(_REVIEW))[1]
        name = str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")
    except ApiError:
        name = ""
    if match := _SERVICE_ACCOUNT.fullmatch(name):
        return shlex.join(["--account", f"{match[1]}/{match[2]}"])
    # What an administrator pastes has no characters that a terminal acts upon.
    return shlex.join(["--user", name]) if name and name.isprintable() else "--account NAMESPACE/NAME"
