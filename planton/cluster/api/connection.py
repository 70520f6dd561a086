"""One request to the API server: built as a value, sent through the official client, failed with typed errors.

What is sent goes through _pooled_client.py, which has the method of the client's DynamicClient that works unchanged on
its versions 33 to 37: `request` with `serialize=False` and a pair as `_request_timeout`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planton.cluster.api.answers import bad_answer, failure_of, no_answer, why
from planton.cluster.api.credentials import Client
from planton.cluster.api.genuine import Check, Groups, is_about, is_kind
from planton.cluster.api.own_credentials import safe_failure, without_own
from planton.cluster.api.reading import whole
from planton.cluster.api.remedies import is_about_credentials, is_of_something_else, remedy_of, text_of
from planton.cluster.api.retry import NO_CONNECTION as NO_CONNECTION
from planton.cluster.api.retry import NO_PAGE, Attempts, Cause, Failure, Patience
from planton.errors import ClusterError
from planton.stopping import STOPPING

MAX_THREADS = 16
"""Requests at a time: what one API server takes of an apply grows up to here, and no more beyond."""

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """Which cluster is meant.

    Attributes:
        server: URL of the API server.
        context: Name of the context in the kubeconfig.
        kubeconfig: Path of the kubeconfig, or paths as in KUBECONFIG.
    """

    server: str
    context: str
    kubeconfig: str

    def __str__(self) -> str:
        """Formats the identity as one line."""
        return f"{self.server} (context {self.context} of {self.kubeconfig})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ready to be sent.

    All that this module builds may be sent again when it is not known whether it arrived: an apply of the same fields
    changes nothing, a merge patch carries the resourceVersion or says the same again, a deletion carries the uid.

    Attributes:
        method: HTTP method.
        path: Path from the root of the server.
        query: Parameters.
        body: What is sent as JSON; not printed, since it can be a Secret.
        content_type: Type of the body.
        accept: Type of the answer; empty for plain JSON.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    content_type: str = ""
    accept: str = ""


def get(path: str, query: Mapping[str, str | int | None] | None = None) -> Request:
    """Builds a reading request.

    Args:
        path: Path from the root of the server.
        query: Parameters; None and empty ones are left out.

    Returns:
        The request.
    """
    return Request("GET", path, _query(query or {}))


def apply_patch(path: str, body: Mapping[str, Any], *, manager: str, force: bool, dry_run: bool) -> Request:
    """Builds a server-side apply.

    Args:
        path: Path of the object.
        body: The object, with all fields that the manager shall own and no other.
        manager: Field manager.
        force: Whether fields of other managers are taken over.
        dry_run: Whether nothing is written.

    Returns:
        The request.
    """
    query = {
        "fieldManager": manager,
        "force": str(force).lower(),
        "dryRun": "All" if dry_run else None,
        # Else the server reads each object once more, for warnings in headers that nobody is shown. Fields that a type
        # does not have are refused by an apply all the same, those of a custom resource too.
        "fieldValidation": "Ignore",
    }
    return Request("PATCH", path, _query(query), body, _APPLY)


def merge_patch(path: str, body: Mapping[str, Any], *, manager: str) -> Request:
    """Builds a JSON merge patch.

    Args:
        path: Path of the object.
        body: The patch; None removes a field. With a resourceVersion in it the server refuses it on any other.
        manager: Field manager.

    Returns:
        The request.
    """
    return Request("PATCH", path, _query({"fieldManager": manager}), body, _MERGE)


def delete(path: str, *, uid: str, resource_version: str | None, propagation: str = "Background") -> Request:
    """Builds a deletion of exactly the object that was looked at.

    Args:
        path: Path of the object.
        uid: Its uid; another object of the same name is not deleted.
        resource_version: Its resourceVersion, or None when it may have changed since.
        propagation: What becomes of its dependents: Background, Foreground or Orphan.

    Returns:
        The request.
    """
    preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": preconditions,
        "propagationPolicy": propagation,
    }
    return Request("DELETE", path, (), body, "application/json")


def _query(query: Mapping[str, str | int | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in query.items() if value not in (None, ""))


class ApiError(ClusterError):
    """The server refused, or could not be reached.

    Attributes:
        causes: Details of the refusal.
        is_passing: Whether the same may succeed later.
        is_echo: Whether it was not tried any more, because another request has failed for long enough.
        retry_after: Seconds that the server asks to wait; None when it says nothing of it.
        may_have_arrived: Whether an attempt before this answer may have done what was asked.
        is_absent: Whether an API server has said that what was asked for, or its kind, is not there.
    """

    def __init__(
        self,
        text: str,
        *,
        causes: Sequence[Cause] = (),
        is_passing: bool = False,
        is_echo: bool = False,
        retry_after: float | None = None,
        may_have_arrived: bool = False,
        is_absent: bool = False,
        **facts: Any,
    ) -> None:
        """Makes the error.

        Args:
            text: What the server said, free of credentials.
            causes: Details.
            is_passing: Whether the same may succeed later.
            is_echo: Whether it was not tried any more.
            retry_after: Seconds that the server asks to wait.
            may_have_arrived: Whether an attempt before may have done what was asked.
            is_absent: Whether it is known that what was asked for is not there.
            **facts: As of ClusterError.
        """
        self.causes = tuple(causes)
        self.is_passing = is_passing
        self.is_echo = is_echo
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
        self.is_absent = is_absent
        super().__init__(text, **facts)


class Connection:
    """Sends requests to one API server. Safe for several threads; prints only which cluster it is."""

    def __init__(
        self,
        client: Any,
        identity: ClusterIdentity,
        *,
        make: Callable[[], Any] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Makes the connection; opens nothing yet.

        Args:
            client: DynamicClient of the official client.
            identity: Which cluster it is.
            make: Makes another client, with the credentials as they are now.
            sleep: Waits a number of seconds between attempts; None for a wait that ends when it is of no use any more.
        """
        self._clients = Client(client, make)
        self._groups = Groups()
        self.patience = Patience(sleep=sleep)
        self.identity = identity

    def __repr__(self) -> str:
        """Names the cluster; the client's configuration holds a token."""
        return f"Connection({self.identity})"

    @property
    def client(self) -> Any:
        """DynamicClient of the official client. It holds a token."""
        return self._clients.now

    @property
    def client_configuration(self) -> Any:
        """Configuration of the official client, for what is no plain request. It holds a token."""
        return self._clients.now.client.configuration

    def without_own(self, text: str) -> str:
        """Takes the client's own credentials out of a text of the server that came with no failure.

        Args:
            text: The text.

        Returns:
            The text without them.
        """
        return without_own(text, self._clients.now)

    def renew_credentials(self) -> bool:
        """Reads the credentials again, for what is no plain request and was refused with 401.

        Returns:
            Whether there are others to try.
        """
        return self._clients.renew(self._clients.now)

    def send(
        self,
        request: Request,
        *,
        subject: str,
        phase: str,
        scrub: Callable[[str], str],
        check: Check | None = None,
    ) -> tuple[int, Any]:
        """Sends a request, again where that is safe and may help.

        Args:
            request: The request.
            subject: `Kind/namespace/name`, for the error.
            phase: What is being done, for the error.
            scrub: Takes credentials out of the server's text.
            check: Tells whether an answer is one that an API server gives to this; None for any JSON object.

        Returns:
            Status and the answer's JSON.

        Raises:
            ApiError: The server refused, or could not be reached in several attempts.
        """
        attempts = self.patience.begin()
        failure = attempts.refusal()
        renewed = 0
        while failure is None:
            client = self._clients.now
            answer = self._attempt(client, request, attempts, check)
            if isinstance(answer, Failure) and answer.reason == NO_PAGE:
                answer = self._confirmed(answer, request, phase, scrub)
            if not isinstance(answer, Failure):
                attempts.answered()
                self._clients.accept(client)
                return answer
            if answer.is_passing or (self._clients.was_accepted and is_of_something_else(answer)):
                failure = None if attempts.again(answer) else answer
                continue
            if is_about_credentials(answer):
                renewed += 1
                if renewed == 1 and self._clients.renew(client):
                    continue
                # Also for who comes with credentials that another request has just read, and that were the old ones.
                is_second = renewed == 2 or (renewed == 1 and self._clients.is_unproven(client))
                if is_second and attempts.again_soon() and self._clients.renew(client, again=True):
                    renewed = 2
                    continue
                if self._clients.was_accepted:
                    attempts.end_for_all(answer)
            elif not is_of_something_else(answer):
                attempts.answered()
                self._clients.accept(client)
            failure = answer
        # Raised out here: inside of an except block the client's error, with headers and body, would hang on it.
        raise self._error(failure, request, subject, phase, scrub, attempts)

    def _confirmed(self, failure: Failure, request: Request, phase: str, scrub: Callable[[str], str]) -> Failure:
        """Asks for the kinds that the server has, where it has said that it does not know one."""

        def ask(path: str, kind: str) -> Any:
            return self.send(get(path), subject=path, phase=phase, scrub=scrub, check=is_kind(kind))[1]

        if self._groups.is_absent(request.path, ask):
            # Its group, as far as a Status would say it.
            return replace(failure, reason="NotFound", not_found=("", request.path.split("/")[2]))
        return bad_answer("404 page not found, of a kind that the server has")

    def _error(
        self,
        failure: Failure,
        request: Request,
        subject: str,
        phase: str,
        scrub: Callable[[str], str],
        attempts: Attempts | None = None,
    ) -> ApiError:
        return ApiError(
            text_of(replace(failure, text=scrub(failure.text)), attempts),
            causes=[Cause(scrub(one.reason), scrub(one.message), scrub(one.field)) for one in failure.causes],
            is_passing=failure.is_passing,
            is_echo=attempts is not None and attempts.is_echo,
            retry_after=failure.retry_after,
            may_have_arrived=attempts is not None and attempts.may_have_arrived,
            is_absent=failure.not_found is not None and is_about(failure.not_found, request.method, request.path),
            subject=subject,
            phase=phase,
            status=failure.status,
            reason=scrub(failure.reason),
            remedy=remedy_of(
                failure,
                self.identity.server,
                self.identity.context,
                attempts,
                is_write=request.method != "GET",
                was_accepted=self._clients.was_accepted,
                problem=self._clients.problem,
            ),
        )

    def open(
        self, request: Request, *, subject: str, phase: str, scrub: Callable[[str], str], silence: float
    ) -> Iterator[bytes]:
        """Sends a request once and gives its answer piece by piece, as it comes.

        Args:
            request: A reading request, which may be answered without end.
            subject: What it is about, for the error.
            phase: What is being done, for the error.
            scrub: Takes credentials out of the server's text.
            silence: Seconds without a piece after which the server counts as gone.

        Yields:
            Pieces of the answer.

        Raises:
            ApiError: The server refused, could not be reached, or went away in the middle.
        """
        from urllib3.exceptions import HTTPError

        client = self._clients.now
        timeout = (self.patience.begin().next()[0], silence)
        response = self._respond(client, request, timeout, lambda response: response, in_pieces=True)
        if isinstance(response, Failure) and is_about_credentials(response) and self._clients.renew(client):
            client = self._clients.now
            response = self._respond(client, request, timeout, lambda response: response, in_pieces=True)
        if isinstance(response, Failure):
            is_unsure = response.reason == NO_PAGE
            failure = self._confirmed(response, request, phase, scrub) if is_unsure else response
        else:
            self._clients.accept(client)
            try:
                yield from response.stream(None, decode_content=False)
                return
            except HTTPError as error:
                failure = replace(no_answer(error), text=f"no answer any more: {why(error)}")
            finally:
                response.close()
        raise self._error(failure, request, subject, phase, scrub)

    def _attempt(
        self, client: Any, request: Request, attempts: Attempts, check: Check | None
    ) -> tuple[int, Any] | Failure:
        def read(response: Any) -> tuple[int, Any]:
            if getattr(response, "is_there", False):
                data = response.data
            else:
                with whole(response, attempts.whole):
                    data = response.data
            answer = json.loads(data)
            if not isinstance(answer, dict) or (check is not None and not check(answer)):
                raise ValueError
            return int(response.status), answer

        answer: tuple[int, Any] | Failure = self._respond(client, request, attempts.next(), read)
        return answer

    def _respond(
        self,
        client: Any,
        request: Request,
        timeout: tuple[float, float],
        read: Callable[[Any], Any],
        **options: bool,
    ) -> Any:
        """Gives what is read from the client's response, or a failure."""
        STOPPING.begins()
        try:
            response = client.request(
                request.method.lower(),
                request.path,
                body=request.body,
                query_params=list(request.query),
                header_params={"Accept": request.accept} if request.accept else {},
                content_type=request.content_type or None,
                serialize=False,
                _request_timeout=timeout,
                **options,
            )
            return read(response)
        except Exception as error:
            if (failure := failure_of(error)) is None:
                raise
            # Whatever is made of it, an error or a notice: a server may echo the headers that it was sent.
            return safe_failure(failure, client)
        finally:
            STOPPING.ends()
