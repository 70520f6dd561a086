"""What a plan begins to read before it needs it, while it is busy with something else: importing, or rendering."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from planton.cluster.api.resources import DEPLOYMENT, NAMESPACE, POSTGRESQL, SECRET, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.ownership import OURS
from planton.translate.contract import KubernetesObject
from planton.translate.names import namespace_of
from planton.types import PostgresKubernetes, Resource

FIRST_LISTS = (NAMESPACE, POSTGRESQL, DEPLOYMENT)
"""What is always read of a cluster first."""

LIST_FROM = 12
"""From so many objects of one type on, a list in pages is cheaper than reading them one by one."""

_THREADS = 4


class Ahead:
    """Lists and objects that were begun. Each is given once, so that nobody decides by an old one.

    Used in a `with` block: at its end what is under way is waited for, as with any other request.
    """

    __slots__ = ("_begun", "_objects", "_pool")

    def __init__(self) -> None:
        """Begins nothing yet."""
        self._begun: dict[tuple[ResourceType, str], Future[list[KubernetesObject] | None]] = {}
        self._objects: dict[Key, Future[KubernetesObject | None]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, server: Server, resource: ResourceType, *, labels: str = "") -> None:
        """Begins a list.

        Args:
            server: The API server.
            resource: Type of the objects.
            labels: Label selector.
        """
        self._begun[resource, labels] = self._threads().submit(server.list, resource, labels=labels)

    def begin_one(self, server: Server, key: Key) -> None:
        """Begins to read an object.

        Args:
            server: The API server.
            key: Identity of the object.
        """
        self._objects[key] = self._threads().submit(server.get, key)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="planton-ahead")
        return self._pool

    def list(self, server: Server, resource: ResourceType, *, labels: str = "") -> list[KubernetesObject] | None:
        """Gives a list: the one that was begun, else one that is asked for now.

        Args:
            server: The API server.
            resource: Type of the objects.
            labels: Label selector.

        Returns:
            As of `Server.list`.

        Raises:
            ApiError: As of `Server.list`.
        """
        begun = self._begun.pop((resource, labels), None)
        return begun.result() if begun is not None else server.list(resource, labels=labels)

    def get(self, server: Server, key: Key) -> KubernetesObject | None:
        """Gives an object: as it was begun, else as it is read now.

        Args:
            server: The API server.
            key: Identity of the object.

        Returns:
            As of `Server.get`.

        Raises:
            ApiError: As of `Server.get`.
        """
        begun = self._objects.pop(key, None)
        return begun.result() if begun is not None else server.get(key)

    def __enter__(self) -> Ahead:
        """Gives itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends what is not needed any more."""
        self._begun.clear()
        self._objects.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def begin_plan(ahead: Ahead, server: Server, messages: Iterable[Resource]) -> None:
    """Begins what the plan of a set reads, as far as it is known before anything of the cluster is.

    Args:
        ahead: What was begun.
        server: The API server.
        messages: The set.
    """
    for resource in FIRST_LISTS:
        ahead.begin(server, resource)
    # Each namespace with a database has a Secret, if there are backups. A wrong guess costs one list of few objects.
    if len({namespace_of(one) for one in messages if isinstance(one, PostgresKubernetes)}) >= LIST_FROM:
        ahead.begin(server.during("plan"), SECRET, labels=OURS)
