"""What holds for all tests."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import tests.offline.sitecustomize as offline
from sandbox.object_store import ObjectStore

# CI tries the same examples each time, so that what fails there fails for its change; by hand new ones are found.
# How quickly they come depends on what else the machine does: that fails nothing there.
settings.register_profile("ci", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell that starts a job in the background makes it ignore Ctrl-C, and what it starts inherits that: the tests of
# Ctrl-C would wait for ever for programs that have been told to ignore it. A worker may import this in a thread.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)


# With `--dist loadfile` a worker takes file after file in this order: what takes longest begins first, so that no core
# is without work while another still has minutes of it. Within that the order stays the one of chance.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, then those with a cluster, then the others."""
    ranks: dict[object, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("cluster") else 2
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


# Commands that tests start are kept away from the internet, too.
_OFFLINE = os.path.dirname(os.path.abspath(offline.__file__))
if _OFFLINE not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_OFFLINE, os.environ.get("PYTHONPATH")]))


# An S3 server each for a session that asks for it: tests make buckets of their own in it. One without TLS, one with TLS
# and a private authority, and one whose buckets are hosts (`tests/store/support.py` has the client and the names).
@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """Path style without TLS, at 127.0.0.1."""
    with ObjectStore.start(tls=False) as store:
        yield store


@pytest.fixture(scope="session")
def object_store_tls() -> Iterator[ObjectStore]:
    """Path style with TLS, at 127.0.0.1."""
    with ObjectStore.start() as store:
        yield store


@pytest.fixture(scope="session")
def object_store_virtual() -> Iterator[ObjectStore]:
    """Virtual-host style with TLS, below a name that is reached by `LoopbackProxy` only."""
    with ObjectStore.start(virtual_host_domain="s3.example.test") as store:
        yield store
