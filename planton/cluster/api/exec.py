"""Runs a command in a container of a pod, as `kubectl exec` does, and gives its output line by line.

Over the official client's WebSocket (kubernetes.stream), by what works unchanged on its versions 33 to 37: older ones
speak v4.channel.k8s.io only, newer ones v5 and v4. Such a connection may be cut in the middle by any proxy on the way,
and nobody says then what becomes of the command: whoever calls this has to be able to ask again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from planton.cluster.api.connection import NO_CONNECTION, ApiError
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.refusals import Doubt, is_of_authorizer
from planton.cluster.api.resources import POD, Key
from planton.cluster.api.server import Server

# The WebSocket of the client has no timeout of its own for being opened.
_OPEN_SECONDS = 30.0
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_PAUSE = 1.0
_PROTOCOL = "v4.channel.k8s.io"
_LONGEST_LINE = 4096


def run_in_pod(
    server: Server,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str,
    on_line: Callable[[str], None],
    silence: float = 60.0,
    until: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> int | None:
    """Runs a command in a container until it ends.

    Args:
        server: The API server.
        namespace: Namespace of the pod.
        pod: Its name.
        command: Program and arguments. They stand in the audit log of the cluster: nothing secret.
        container: Name of the container.
        on_line: Is told each line of its output and its errors, in the order in which they come, credentials that are
            known hidden.
        silence: Seconds without any output after which the connection counts as cut.
        until: Time on the clock after which nothing more is waited for.
        clock: Gives the time in seconds.

    Returns:
        How the command ended; None when the connection was cut, or the time was over, before that was known.

    Raises:
        ApiError: The server refused it, or could not be reached.
    """
    client = _opened(server, namespace, pod, command, container)
    lines = _Lines(server.scrubber)
    try:
        last = clock()
        while True:
            try:
                client.update(timeout=_PAUSE)
                is_open = client.is_open()
                # Not by its own reading of it, which fails when nothing has been said.
                new = [(channel, client.read_channel(channel)) for channel in (_STDOUT, _STDERR)]
            except Exception as error:
                # Whatever else its libraries raise in the middle of a frame: OSError, ssl's, websocket's own.
                if not _is_of_network(error):
                    raise
                return None
            for channel, text in new:
                if text:
                    last = clock()
                    for line in lines.add(channel, text):
                        on_line(line)
            if not is_open:
                break
            if clock() - last > silence or clock() > until:
                return None
        for line in lines.rest():
            on_line(line)
        return _exit_code(client.read_channel(_ERROR))
    finally:
        _close(client)


class _Lines:
    """Makes lines of pieces, for each stream apart."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._open: dict[int, str] = {}

    def add(self, channel: int, text: str) -> Iterator[str]:
        """Gives the lines that a piece completes."""
        *whole, rest = (self._open.get(channel, "") + text).split("\n")
        for line in whole:
            yield self._scrubber.text(line.rstrip("\r"))
        # A program that writes no line end must not fill the memory.
        if len(rest) > _LONGEST_LINE + self._scrubber.longest:
            # What a credential may have begun in stays with what comes next: of two halves none is known.
            place = self._scrubber.before(rest, len(rest) - self._scrubber.longest)
            shown = self._scrubber.text(rest[:place])
            rest = rest[place:]
            for begin in range(0, len(shown), _LONGEST_LINE):
                yield shown[begin : begin + _LONGEST_LINE]
        self._open[channel] = rest

    def rest(self) -> Iterator[str]:
        """Gives what has no line end."""
        for text in self._open.values():
            if text:
                yield self._scrubber.text(text)


def _opened(server: Server, namespace: str, pod: str, command: Sequence[str], container: str) -> Any:
    """Opens the connection, again where that may help: nothing has run before it is open."""
    doubt, is_renewed = Doubt(server), False
    while True:
        asked = server.connection.patience.now()
        try:
            return _open(server, namespace, pod, command, container)
        except ApiError as error:
            if error.status == 401 and not is_renewed and server.connection.renew_credentials():
                is_renewed = True
            elif not (is_of_authorizer(error) and doubt.is_of(asked)):
                raise


def _open(server: Server, namespace: str, pod: str, command: Sequence[str], container: str) -> Any:
    """Opens the connection, within a time: in a thread of its own, since the client's function takes none."""
    outcome: list[Any] = []
    given_up = threading.Event()

    def connect() -> None:
        try:
            made = _connect(server, namespace, pod, command, container)
        except BaseException as error:
            outcome.append(error)
            return
        outcome.append(made)
        if given_up.is_set():
            _close(made)

    thread = threading.Thread(target=connect, name="planton-exec", daemon=True)
    thread.start()
    thread.join(_OPEN_SECONDS)
    if not outcome:
        given_up.set()
        raise _error(server, namespace, pod, 0, "no answer in time", NO_CONNECTION)
    if not isinstance(outcome[0], BaseException):
        return outcome[0]
    failure = outcome.pop()
    if isinstance(failure, AttributeError) and type(failure.__context__).__name__ == "ApiException":
        # 36.0.0 stumbles over its own error, which has no body here.
        failure = failure.__context__
    cause = failure.__context__ if type(failure).__name__ == "ApiException" else failure
    # The client makes an ApiException without a status of whatever happens, with the whole answer as its text.
    status = getattr(cause, "status_code", None)
    if isinstance(status, int):
        reason, text = _words(status, getattr(cause, "resp_body", None))
        text, reason = (server.shown(one) for one in (text, reason))
        error = _error(server, namespace, pod, status, text, reason)
    elif _is_of_network(cause or failure):
        why = getattr(cause, "strerror", None) or type(cause or failure).__name__
        error = _error(server, namespace, pod, 0, f"no answer: {why}", NO_CONNECTION)
    else:
        raise failure
    # Raised out here: inside of an except block the client's error, with the answer's headers, would hang on it.
    del failure, cause
    raise error


def _connect(server: Server, namespace: str, pod: str, command: Sequence[str], container: str) -> Any:
    import kubernetes.client
    import kubernetes.stream

    library: Any = kubernetes
    # A client of its own: the function below puts another transport into it for as long as it runs.
    with library.client.ApiClient(configuration=server.connection.client_configuration) as api:
        if acting_as := server.connection.client.acting_as:
            # It sends two headers of all that it is given (stream/ws_client.py, create_websocket), as lines of text:
            # the others follow in the second, free of line ends by themselves (_impersonation.py).
            lines = [_PROTOCOL, *(f"{name}: {value}" for name, value in acting_as)]
            api.set_default_header("sec-websocket-protocol", "\r\n".join(lines))
        return library.stream.stream(
            library.client.CoreV1Api(api).connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=list(command),
            container=container,
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )


def _close(client: Any) -> None:
    try:
        client.close()
        # After the server has closed it, the library takes it for closed and leaves the socket open (websocket-client
        # 1.9, _core.py: send_close and close).
        client.sock.shutdown()
    except Exception as error:
        if not _is_of_network(error):
            raise


def _is_of_network(error: BaseException) -> bool:
    from websocket import WebSocketException  # Of the official client.

    return isinstance(error, OSError | WebSocketException)


def _words(status: int, body: object) -> tuple[str, str]:
    """Takes reason and text out of the server's answer."""
    text = body.decode("utf-8", errors="replace") if isinstance(body, bytes) else ""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    return str(answer.get("reason") or ""), str(answer.get("message") or f"HTTP status {status}")


def _error(server: Server, namespace: str, pod: str, status: int, text: str, reason: str) -> ApiError:
    identity = server.connection.identity
    remedy = ""
    if status == 403 and reason:
        # As a WebSocket it is a GET, and since Kubernetes 1.35 the server asks for create besides
        # (pkg/registry/core/pod/rest/subresources.go, AuthorizePodWebsocketUpgradeCreatePermission).
        remedy = (
            f"The user of context {identity.context} needs the verbs get and create on pods/exec in namespace "
            f"{namespace}."
        )
    elif status in (0, 403):
        remedy = f"Can {identity.server} be reached from here, and does every proxy on the way let WebSockets pass?"
    return ApiError(
        text,
        subject=Key(POD, namespace, pod).subject,
        phase="exec",
        status=status,
        reason=reason,
        remedy=remedy,
    )


def _exit_code(text: Any) -> int | None:
    """Reads what the server says at the end (v4.channel.k8s.io: a Status on the error channel); None when nothing."""
    try:
        answer = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    if answer.get("status") == "Success":
        return 0
    for cause in (answer.get("details") or {}).get("causes") or ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode" and str(cause.get("message")).isdigit():
            return int(cause["message"])
    return None
