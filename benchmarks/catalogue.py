"""How fast the catalogue of a large archive is read, beside a plain listing of all its keys.

The floor is what `aws s3 ls --recursive` does: page after page, with the same client. Each measurement is a process of
its own, so that its memory is its own. Run it by `make bench`, or with other numbers:

    python -m benchmarks.catalogue --segments 100000 --backups 400 --latency 30 --times 3
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from benchmarks.listing_store import COUNT
from benchmarks.report import Table, peak_memory
from planton.catalogue.bucket import open_bucket
from planton.catalogue.names import segment_number
from planton.catalogue.reading import read_catalogue, read_latest
from planton.catalogue.wal_reader import WalHeader
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials
from sandbox import build
from sandbox.object_store import ObjectStore
from tests.catalogue.archives import ORDERS, SIZE, many

_BUCKET, _PATH = "bench-bucket", "backups/db-orders/17/"
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = {
    "floor": "plain listing of all keys, in turn",
    "catalogue": "the catalogue (`planton backups list`)",
    "latest": "the newest only (`planton status`)",
}


@dataclass(frozen=True)
class Store:
    """A store to measure at.

    Attributes:
        name: What it is called in the table.
        endpoint: Its address.
        keys: Key id and secret.
        region: Its region.
        count: Counts the requests that it has had.
    """

    name: str
    endpoint: str
    keys: tuple[str, str]
    region: str
    count: Callable[[], int]


class _Wal:
    """A reader that knows every segment by its name, without a request: what is measured is the listing."""

    problem = ""

    def header(self, name: str) -> WalHeader:
        return WalHeader(1, _number(name) * SIZE, ORDERS, SIZE, "15")

    def last_commit(self, name: str, *, before: int | None = None) -> datetime | None:
        moment = _BEGIN + timedelta(minutes=_number(name) - 1, seconds=-1)
        return moment if before is None or before > _number(name) * SIZE + SIZE // 2 else None

    def history(self, timeline: int) -> bytes | None:
        return None


def _number(name: str) -> int:
    return segment_number(int(name[8:16], 16), int(name[16:], 16), SIZE)


def measure(what: str, endpoint: str, region: str, keys: tuple[str, str]) -> dict[str, float]:
    """Does it once, in this process.

    Args:
        what: A key of the table of words.
        endpoint: Address of the store.
        region: Its region.
        keys: Key id and secret.

    Returns:
        Seconds, MiB by which the process has grown, and how much was found.
    """
    names = {"AWS_ACCESS_KEY_ID": "s/AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "s/AWS_SECRET_ACCESS_KEY"}
    access = ArchiveAccess(
        namespace="orders",
        scope="db-orders",
        version="17",
        prefix=f"s3://{_BUCKET}/{_PATH.rstrip('/')}",
        environment={
            "AWS_ENDPOINT": endpoint,
            "AWS_REGION": region,
            "AWS_S3_FORCE_PATH_STYLE": "true",
            "WALG_DISABLE_S3_SSE": "true",
        },
        references=names,
        contents=Credentials(dict(zip(names, keys, strict=True))),
        certificates=Credentials({}),
    )
    bucket = open_bucket(access)
    before = peak_memory()
    begun = time.perf_counter()
    if what == "floor":
        found = sum(len(page) for page in bucket.pages())
    elif what == "latest":
        found = int(bool(read_latest(bucket).segment))
    else:
        catalogue = read_catalogue(bucket, now=datetime.now(UTC), retention=7, wal=_Wal())
        found = catalogue.segments
        assert not catalogue.lineages[0].window.holes
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "mebibytes": peak_memory() - before, "found": found}


def _in_a_process(what: str, store: Store) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.catalogue", "--measure", what, store.endpoint, store.region]
    # Keys are no arguments: those are seen by everybody on the machine.
    environment = {**os.environ, "BENCH_KEYS": json.dumps(store.keys)}
    before = store.count()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return {**measured, "requests": store.count() - before}


@contextmanager
def _real_store(segments: int, backups: int) -> Iterator[Store]:
    """A real S3 server on loopback that keeps plain files."""
    with ObjectStore.start(tls=False) as server:
        server.create_bucket(_BUCKET)
        many(segments, backups, start=_BEGIN).write(server.folder / "data" / _BUCKET / _PATH)
        name = f"versitygw {_version()} on loopback"
        keys = (server.access_key_id, server.secret_access_key)
        yield Store(name, server.endpoint, keys, server.region, lambda: _lines(server.access_log))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _version() -> str:
    module = Path(build.__file__).parent / "modules" / "versitygw" / "go.mod"
    (found,) = re.findall(
        r"^require github.com/versity/versitygw v(\S+)|^\s+github.com/versity/versitygw v(\S+)",
        module.read_text(),
        re.MULTILINE,
    )
    return "".join(found)


@contextmanager
def _distant_store(segments: int, backups: int, latency: int) -> Iterator[Store]:
    """A server of our own that answers each request after a set time."""
    command = [sys.executable, "-m", "benchmarks.listing_store", str(segments), str(backups), _PATH, str(latency)]
    opener = build_opener(ProxyHandler({}))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"

        def count() -> int:
            with opener.open(endpoint + COUNT, timeout=10) as answer:
                return int(answer.read())

        # The end of this block closes its standard input, by which it ends.
        yield Store(f"{latency} ms a request", endpoint, ("BENCHBENCHBENCH", "bench/secret"), "us-east-1", count)


def _rows(store: Store, times: int) -> Iterator[list[str]]:
    floor = 0.0
    for what, words in _WORDS.items():
        runs = [_in_a_process(what, store) for _ in range(times)]
        fastest, middle = (choose(one["seconds"] for one in runs) for choose in (min, statistics.median))
        floor = floor or middle
        memory = max(one["mebibytes"] for one in runs)
        requests = max(int(one["requests"]) for one in runs)
        yield [
            store.name,
            words,
            f"{fastest:.2f} s",
            f"{middle:.2f} s",
            f"{middle / floor:.2f}",
            f"{requests}",
            f"{memory:.0f} MiB",
        ]


def main() -> None:
    """Measures, and shows a table."""
    parser = argparse.ArgumentParser(description="How fast the catalogue of a large archive is read.")
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--backups", type=int, default=400)
    parser.add_argument("--latency", type=int, default=30, help="milliseconds of each request (default: 30)")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--only-distant", action="store_true", help="leave the real server out")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, endpoint, region = arguments.measure
        first, second = json.loads(os.environ["BENCH_KEYS"])
        print(json.dumps(measure(what, endpoint, region, (first, second))))
        return
    from importlib.metadata import version

    rows: list[list[str]] = []
    with _distant_store(arguments.segments, arguments.backups, arguments.latency) as store:
        rows += _rows(store, arguments.times)
    if not arguments.only_distant:
        with _real_store(arguments.segments, arguments.backups) as store:
            rows += _rows(store, arguments.times)
    head = ("store", "what", "fastest", "median", "to the floor", "requests", "memory")
    archive = f"{arguments.segments:,} WAL segments and {arguments.backups} base backups"
    runs = f"{arguments.times} runs each, every one a process of its own"
    Table("catalogue", head, rows, (f"obstore {version('obstore')}", archive, runs)).show(write=arguments.write)


if __name__ == "__main__":
    main()
