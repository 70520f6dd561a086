"""The API server in the words of the layer above: objects, pages, patches; every text from it is scrubbed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from planton.cluster.api import connection
from planton.cluster.api.connection import MAX_THREADS, ApiError, Connection, Request
from planton.cluster.api.genuine import Check, is_deletion, is_list, is_object
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.refusals import Doubt, is_of_authorizer
from planton.cluster.api.resources import Key, ResourceType
from planton.cluster.ownership import MANAGER
from planton.errors import ClusterError
from planton.translate.contract import KubernetesObject

_PAGE = 500
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Server:
    """An API server, with what is being done there.

    Attributes:
        connection: The connection.
        phase: What is being done, for errors.
        scrubber: Knows the credentials that no text may show.
    """

    connection: Connection
    phase: str
    scrubber: Scrubber = field(default_factory=Scrubber)

    def during(self, phase: str, scrubber: Scrubber | None = None) -> Server:
        """Gives the same server for another phase.

        Args:
            phase: What is being done.
            scrubber: Knows the credentials; None keeps the one that is there.

        Returns:
            The server.
        """
        return replace(self, phase=phase, scrubber=scrubber or self.scrubber)

    def send(self, request: Request, subject: str, check: Check) -> tuple[int, Any]:
        """Sends any request.

        Args:
            request: The request.
            subject: `Kind/namespace/name`, for the error.
            check: Tells whether an answer is one that an API server gives to this.

        Returns:
            Status and the answer's JSON.

        Raises:
            ApiError: The server refused, or could not be reached.
        """
        doubt: Doubt | None = None
        may_have_arrived = False
        patience = self.connection.patience
        while True:
            asked = patience.now()
            try:
                return self.connection.send(
                    request, subject=subject, phase=self.phase, scrub=self.scrubber.text, check=check
                )
            except ApiError as error:
                # Also of an attempt before the refusal: a server that restarts may have done it in its former life.
                may_have_arrived = error.may_have_arrived = may_have_arrived or error.may_have_arrived
                if not is_of_authorizer(error):
                    raise
                doubt = doubt or Doubt(self)
                if not doubt.is_of(asked):
                    raise

    def shown(self, text: str) -> str:
        """Takes credentials out of a text of others that came with no failure, such as an event.

        Args:
            text: The text.

        Returns:
            The text without those of the set, and without what this client logs in with.
        """
        return self.scrubber.text(self.connection.without_own(text))

    def get(self, key: Key) -> KubernetesObject | None:
        """Reads an object.

        Args:
            key: Its identity.

        Returns:
            The object, or None when an API server says that it, its namespace or its kind is not there.

        Raises:
            ApiError: The server refused, a missing permission included, or could not be reached.
        """
        try:
            answer: KubernetesObject = self.send(connection.get(key.path), key.subject, is_object(key))[1]
        except ApiError as error:
            if error.is_absent:
                return None
            raise
        return answer

    def list(
        self,
        resource: ResourceType,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[KubernetesObject] | None:
        """Lists objects, page by page.

        Args:
            resource: Their type.
            namespace: Their namespace; empty for all.
            labels: Label selector.
            fields: Field selector.
            metadata_only: Whether only their metadata is wanted.

        Returns:
            The objects, each with apiVersion and kind; None when an API server says that it does not know the kind.

        Raises:
            ApiError: The server refused, a missing permission included, or could not be reached.
        """
        for _ in range(3):
            try:
                return list(self._pages(resource, namespace, labels, fields, metadata_only))
            except ApiError as error:
                if error.is_absent:
                    return None
                if error.status != 410:  # 410: the list became too old between two pages, so it is begun again.
                    raise
        return list(self._pages(resource, namespace, labels, fields, metadata_only))

    def _pages(
        self, resource: ResourceType, namespace: str, labels: str, fields: str, metadata_only: bool
    ) -> Iterator[KubernetesObject]:
        token = ""
        while True:
            query: dict[str, str | int | None] = {
                "limit": _PAGE,
                "continue": token,
                "labelSelector": labels,
                "fieldSelector": fields,
            }
            request = connection.get(resource.path(namespace), query)
            if metadata_only:
                request = replace(request, accept=_METADATA_ONLY)
            subject = f"{resource.plural}{f' in {namespace}' if namespace else ''}"
            answer = self.send(request, subject, is_list(resource))[1]
            for item in answer["items"] or ():
                # Items of a list do not say what they are.
                yield {**item, "apiVersion": resource.api_version, "kind": resource.kind}
            token = answer["metadata"].get("continue") or ""
            if not token:
                return

    def apply(
        self, key: Key, obj: KubernetesObject, *, force: bool = False, dry_run: bool = False
    ) -> tuple[KubernetesObject, bool]:
        """Applies an object on the server.

        Args:
            key: Its identity.
            obj: The object.
            force: Whether fields of other managers are taken over.
            dry_run: Whether nothing is written.

        Returns:
            The object as the server has it then, and whether it is new.

        Raises:
            ApiError: The server refused, or could not be reached.
        """
        request = connection.apply_patch(key.path, obj, manager=MANAGER, force=force, dry_run=dry_run)
        status, answer = self.send(request, key.subject, is_object(key, is_stored=not dry_run))
        return answer, status == 201

    def merge(self, key: Key, patch: KubernetesObject) -> KubernetesObject:
        """Sends a JSON merge patch.

        Args:
            key: Identity of the object.
            patch: The patch.

        Returns:
            The object as the server has it then.

        Raises:
            ApiError: The server refused, or could not be reached.
        """
        request = connection.merge_patch(key.path, patch, manager=MANAGER)
        answer: KubernetesObject = self.send(request, key.subject, is_object(key))[1]
        return answer

    def delete(self, key: Key, *, uid: str, resource_version: str | None = None) -> bool:
        """Deletes exactly the object that was looked at.

        Args:
            key: Its identity.
            uid: Its uid.
            resource_version: Its resourceVersion; None when it may have changed since.

        Returns:
            False when it was gone already.

        Raises:
            ApiError: The server refused, or could not be reached.
        """
        try:
            request = connection.delete(key.path, uid=uid, resource_version=resource_version)
            self.send(request, key.subject, is_deletion(key, uid))
        except ApiError as error:
            # After an attempt whose answer was lost on the way it is this very deletion that is seen.
            if error.is_absent:
                return error.may_have_arrived
            if error.status == 409 and error.may_have_arrived:
                metadata = (self.get(key) or {"metadata": {"deletionTimestamp": ""}})["metadata"]
                if metadata.get("uid", uid) == uid and "deletionTimestamp" in metadata:
                    return True
            raise
        return True


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R | Exception]:
    """Does the same for several items, at most sixteen at a time.

    Args:
        work: What is done.
        items: The items.

    Returns:
        For each item, in order, the result or the exception that it ended with.
    """

    def attempt(item: T) -> R | Exception:
        try:
            return work(item)
        except Exception as error:
            return error

    if len(items) < 2:
        return [attempt(item) for item in items]
    # Each thread takes what is next: to hand over a thousand objects one by one takes as long as a part of the work.
    left = deque(enumerate(items))
    done: dict[int, R | Exception] = {}

    def some() -> None:
        with suppress(IndexError):
            while True:
                number, item = left.popleft()
                done[number] = attempt(item)

    threads = min(MAX_THREADS, len(items))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="planton")
    try:
        for future in [pool.submit(some) for _ in range(threads)]:
            future.result()
    finally:
        # On Ctrl-C what has not begun is not begun any more.
        left.clear()
        pool.shutdown(cancel_futures=True)
    return [done[number] for number in range(len(items))]


def results(outcomes: Sequence[R | Exception]) -> list[R]:
    """Takes results apart from failures.

    Args:
        outcomes: What in_parallel gave.

    Returns:
        The results, when there is no failure.

    Raises:
        Exception: The first failure that says for itself what went wrong.
    """
    good = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if failures:
        raise next((one for one in failures if not _is_echo(one)), failures[0])
    return good


def _is_echo(error: Exception) -> bool:
    """Whether a request was given up only because another one had failed for long enough."""
    return isinstance(error, ApiError) and error.is_echo


def _is_same(remedy: str, other: str) -> bool:
    """Whether two remedies begin with the same line; what is added differs from object to object."""
    return remedy.partition("\n")[0] == other.partition("\n")[0]


def _without_remedy(error: Exception, remedy: str) -> str:
    text = str(error)
    own = error.remedy if isinstance(error, ClusterError) else ""
    return text.removesuffix(f"\n{own}") if own and _is_same(own, remedy) else text


def joined(failures: Sequence[Exception]) -> Exception:
    """Makes one error of several refusals of the server.

    Args:
        failures: At least one.

    Returns:
        One error with the facts of the first refusal and the words of all; what is no refusal comes back as it is.
    """
    told = [one for one in failures if not _is_echo(one)] or failures[:1]
    first = next((one for one in told if not isinstance(one, ClusterError)), told[0])
    if not isinstance(first, ClusterError) or len(failures) == 1:
        return first
    # A remedy that is that of several is said once, at the end.
    others = [_without_remedy(one, first.remedy) for one in told if one is not first]
    remedies = [one.remedy for one in failures if isinstance(one, ClusterError) and _is_same(one.remedy, first.remedy)]
    if len(told) < len(failures):
        others.append(f"{len(failures) - len(told)} more ended by the same, or were not tried any more")
    return ClusterError(
        "\n".join([first.text, *others]),
        subject=first.subject,
        phase=first.phase,
        status=first.status,
        reason=first.reason,
        remedy=max(remedies, key=len),
    )
