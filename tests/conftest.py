"""What holds for all tests."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import tests.offline.sitecustomize as offline
from sandbox.object_store import ObjectStore
from tests.thorough import examples

# CI tries the same examples each time, so that what fails there fails for its change; by hand new ones are found.
# How quickly they come depends on what else the machine does, and the first one in a fresh clone waits for tables that
# are made by each worker at once: that fails nothing.
for _name, _is_ci in (("by hand", False), ("ci", True)):
    settings.register_profile(
        _name,
        max_examples=examples(100),
        derandomize=_is_ci,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("ci" if os.environ.get("CI") else "by hand")

# A shell that starts a job in the background makes it ignore Ctrl-C, and what it starts inherits that: the tests of
# Ctrl-C would wait for ever for programs that have been told to ignore it. A worker may import this in a thread.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)


# With `--dist loadgroup` a worker takes group after group. A group is what shares a server: by its own mark, by the
# shared server that it asks for, else a file. So each shared server is started once and not once for each worker, and
# it ends when its worker goes on to another folder (scope "package"): a control plane that idles is not for nothing.
_SHARED = {
    "tests/cluster": {"installed": "cluster-installed", "harness": "cluster", "sandbox": "cluster"},
    "tests/sandbox": {"sandbox": "sandbox"},
    "": dict.fromkeys(("object_store", "object_store_tls", "object_store_virtual"), "object-store"),
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts a test into its group, unless it says by itself in which one it is."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(item.config.rootpath)
    asked = getattr(item, "fixturenames", ())
    for folder in (path.parent.as_posix(), ""):
        for fixture, group in _SHARED.get(folder, {}).items():
            if fixture in asked:
                return group
    return path.as_posix()


# What takes longest begins first, so that no core is without work while another still has minutes of it; within that
# the order stays the one of chance.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts groups with slow tests and those of several files first, then those with a cluster, then the others."""
    groups = {item: str(mark.args[0]) for item in items if (mark := item.get_closest_marker("xdist_group"))}
    files: dict[str, set[Path]] = {}
    order: dict[str, tuple[int, int]] = {}
    for place, (item, group) in enumerate(groups.items()):
        files.setdefault(group, set()).add(item.path)
        is_long = item.get_closest_marker("slow") is not None or len(files[group]) > 1
        rank = 0 if is_long else 1 if item.get_closest_marker("cluster") else 2
        known_rank, first = order.get(group, (rank, place))
        order[group] = min(rank, known_rank), first
    items.sort(key=lambda item: order[groups[item]])


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
