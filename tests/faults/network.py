"""What the tests of a bad network share: planton behind the proxy, with its pauses made short."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.connection import MAX_THREADS, Connection
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.retry import Patience
from planton.cluster.cluster import Cluster
from sandbox import Sandbox
from sandbox._errors import ApiError
from tests.cluster.conftest import Harness, Installed
from tests.cluster.sync import Vault, operator
from tests.faults.invariants import picture
from tests.faults.proxy import Proxy, proxy_to


class Network:
    """A sandbox with an operator, whose keys are in somebody else's Secrets; and connections to it through a proxy."""

    def __init__(self, sandbox: Sandbox, proxy: Proxy, folder: Path) -> None:
        self.sandbox = sandbox
        self.proxy = proxy
        self.folder = folder
        self.installed = Installed(sandbox)
        self.api, self.direct = self.installed.api, self.installed.harness
        self.vault = Vault(self.installed)
        self.installed.operator = operator()
        self.installed.apply(self.installed.operator)

    def connection(self, kubeconfig: Path | None = None, **patience: Any) -> Connection:
        """Connects through the proxy, without long pauses; a test of silence says how much of it is too much.

        A machine that does other things keeps an answer back for longer than a test wants to wait for one.
        """
        made = open_connection(kubeconfig or self.proxy.kubeconfig(self.folder / "kubeconfig"), None)
        usual: dict[str, Any] = {"sleep": lambda seconds: time.sleep(min(seconds, 0.005)), "silence": 10.0}
        made.patience = Patience(**{**usual, **patience})
        return made

    def harness(self, *, known: bool = False, **patience: Any) -> Harness:
        """The same below manifests.

        Args:
            known: Whether the server counts as one that has answered before, else it is given up after two attempts.
            **patience: As of Patience.
        """
        made = Harness(self.api, self.connection(**patience))
        if known:
            made.connection.patience.answered()
        return made

    def cluster(self, **patience: Any) -> Cluster:
        """The same as users have it."""
        return Cluster(self.connection(**patience))

    def picture(self, space: str) -> dict[str, str]:
        """Draws what is in the namespaces of one work."""
        while True:
            try:
                drawn = self._picture(space)
                break
            except ApiError as error:
                # A server that has just started is ready before its custom resources are.
                if error.status != 429:
                    raise
                time.sleep(0.1)
        # Objects without a namespace of all others are in it, too.
        return {name: text for name, text in drawn.items() if "X" in name}

    def _picture(self, space: str) -> dict[str, str]:
        return picture(self.api, space, spaces=lambda name: not name or space in name)

    def version(self) -> str:
        """Gives the resourceVersion of now."""
        return str(self.api.request("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])

    def history(self, since: str) -> dict[str, int]:
        """Counts how often each object was really changed: a request that changes nothing is no event."""
        counts: dict[str, int] = {}
        for path in ("/api/v1/configmaps", "/api/v1/secrets", "/api/v1/services", "/apis/apps/v1/deployments"):
            query = f"{path}?watch=1&resourceVersion={since}&timeoutSeconds=1"
            for event in self.api.stream(query, timeout=20.0):
                metadata = event["object"]["metadata"]
                key = f"{event['type']} {path.rpartition('/')[2]}/{metadata['namespace']}/{metadata['name']}"
                counts[key] = counts.get(key, 0) + 1
        return counts


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A sandbox of its own behind a proxy."""
    with Sandbox.start() as sandbox, proxy_to(sandbox) as proxy:
        yield Network(sandbox, proxy, tmp_path_factory.mktemp("network"))


@pytest.fixture
def calm(network: Network) -> Iterator[Network]:
    """The same, undisturbed at the beginning and at the end of each test."""
    network.proxy.reset()
    yield network
    network.proxy.reset()


def in_the_middle(number: int, change: Callable[[], None]) -> Callable[[ProgressEvent], None]:
    """Changes something once, when so many ConfigMaps are written and others are not.

    Each thread of an apply tells of its own, so the others are held back until it is done: a certificate takes long to
    make on a machine that does other things, and nothing would be left that it could disturb.

    Args:
        number: How many.
        change: What is done.

    Returns:
        What is told of an apply's progress.
    """
    once, is_done = threading.Lock(), threading.Event()

    def progress(event: ProgressEvent) -> None:
        if event.phase != "configuration" or event.done < number:
            return
        if once.acquire(blocking=False):
            assert event.done < event.total - MAX_THREADS, "it is nearly over"
            try:
                change()
            finally:
                is_done.set()
        assert is_done.wait(60.0)

    return progress


def fresh(stem: str) -> str:
    """Makes a name that nothing else has, of the same length for each stem."""
    return f"{stem}-{uuid.uuid4().hex[:8]}"
