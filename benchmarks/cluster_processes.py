"""What benchmarks/cluster.py measures, as processes of their own: each with its time, its memory and its requests.

The plain loop is the ceiling: the same bodies, made before, sent by plain HTTPS over connections that stay open, with
nothing read of the answers but their status. Threads of one Python process and as many processes are both measured,
since the threads share one interpreter. The plain list is the floor of a plan: pages of 500, parsed and dropped.
"""

from __future__ import annotations

import base64
import gc
import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_LISTED = ("/api/v1/namespaces", "/api/v1/secrets", "/apis/acid.zalan.do/v1/postgresqls")
# Starts the program, and says what it took: a process of its own, without anything else in it, since on Linux the
# memory of a child begins with that of its parent.
_LAUNCHER = """
import json, os, sys, time
begun = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - begun
scale = 2**20 if sys.platform == "darwin" else 2**10
facts = {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "processor": used.ru_utime + used.ru_stime}
with open(sys.argv[1], "w") as file:
    json.dump({**facts, "mebibytes": used.ru_maxrss / scale}, file)
"""


@dataclass(frozen=True)
class Measured:
    """What a process took.

    Attributes:
        seconds: From its start to its end.
        processor: Seconds of processor time.
        mebibytes: The most memory that it had.
        requests: Requests that the API server got from it.
        output: What it printed.
    """

    seconds: float
    processor: float
    mebibytes: float
    requests: int
    output: str


def measured(command: Sequence[str | Path], *, log: Path, scratch: Path, codes: Sequence[int] = (0,)) -> Measured:
    """Runs a program and measures it.

    Args:
        command: The program, with its path, and its arguments.
        log: Audit log of the API server.
        scratch: Folder for its caches; what it leaves there is there the next time.
        codes: Exit codes that are no failure.

    Returns:
        What it took.

    Raises:
        RuntimeError: It failed.
    """
    environment = {**os.environ, "HOME": str(scratch), "KUBECACHEDIR": str(scratch / "kube")}
    # Compiled once, as everywhere else.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    report = scratch / "report.json"
    before = log.stat().st_size
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(report), *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    facts = json.loads(report.read_text())
    if facts["code"] not in codes:
        raise RuntimeError(f"{Path(command[0]).name} ended with {facts['code']}: {(done.stdout + done.stderr)[-2000:]}")
    requests = len(asked(log, before))
    return Measured(facts["seconds"], facts["processor"], facts["mebibytes"], requests, done.stdout)


def asked(log: Path, after: int = 0) -> list[tuple[str, str]]:
    """Reads which requests the API server got from the administrator.

    Args:
        log: Its audit log.
        after: Byte from which on.

    Returns:
        Verb and path of each, the query left out.
    """
    with log.open("rb") as file:
        file.seek(after)
        events = [json.loads(line) for line in file]
    return [
        (event["verb"], urlsplit(event["requestURI"]).path)
        for event in events
        if event["stage"] == "ResponseComplete" and event["user"]["username"] == "sandbox-admin"
    ]


def objects_in(path: Path) -> list[dict[str, Any]]:
    """Reads rendered objects.

    Args:
        path: YAML, one object a document.

    Returns:
        The objects.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open(encoding="utf-8") as file:
        return list(yaml.load_all(file, loader))


class _Server:
    """The API server, for plain HTTPS."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        parts = urlsplit(cluster["server"])
        self._place = (parts.hostname or "", parts.port or 443)
        self._context = ssl.create_default_context(cadata=authority)
        self.headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "Accept": "application/json"}

    def connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(*self._place, context=self._context, timeout=60)
        connection.connect()
        return connection


def _path(obj: dict[str, Any]) -> str:
    plural = {"Namespace": "namespaces", "Secret": "secrets", "postgresql": "postgresqls"}[obj["kind"]]
    version = obj["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = obj["metadata"].get("namespace")
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{place}/{plural}/{obj['metadata']['name']}?fieldManager=planton&force=false"


def loop(kubeconfig: str, path: str, connections: int, processes: bool) -> float:
    """Applies objects by plain patches, kind after kind as planton does.

    Args:
        kubeconfig: The kubeconfig.
        path: The objects.
        connections: How many connections.
        processes: Whether each has a process of its own, and not only a thread.

    Returns:
        Seconds, without what was made ready before.
    """
    server = _Server(kubeconfig)
    ready = [(one["kind"], _path(one), json.dumps(one).encode()) for one in objects_in(Path(path))]
    # Of the same kind stand together in what is rendered.
    stages = [
        [(place, body) for kind, place, body in ready if kind == stage] for stage in dict.fromkeys(x[0] for x in ready)
    ]
    gc.freeze()
    if processes:
        return _by_processes(server, stages, connections)
    pools = [server.connect() for _ in range(connections)]
    headers = {**server.headers, "Content-Type": "application/apply-patch+yaml"}
    free = list(pools)
    lock = threading.Lock()

    def one(part: tuple[str, bytes]) -> int:
        with lock:
            connection = free.pop()
        connection.request("PATCH", part[0], part[1], headers)
        answer = connection.getresponse()
        answer.read()
        with lock:
            free.append(connection)
        return answer.status

    begun = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        for stage in stages:
            if set(pool.map(one, stage)) != {201}:
                raise RuntimeError("the server refused a patch, or the object was there")
    seconds = time.perf_counter() - begun
    for connection in pools:
        connection.close()
    return seconds


def _by_processes(server: _Server, stages: Sequence[Sequence[tuple[str, bytes]]], connections: int) -> float:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(connections + 1)

    def work(number: int) -> None:
        connection = server.connect()
        headers = {**server.headers, "Content-Type": "application/apply-patch+yaml"}
        barrier.wait()
        for stage in stages:
            for path, body in stage[number::connections]:
                connection.request("PATCH", path, body, headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 201:
                    os._exit(1)
            barrier.wait()
        connection.close()

    children = [context.Process(target=work, args=(number,), daemon=True) for number in range(connections)]
    for child in children:
        child.start()
    barrier.wait()
    begun = time.perf_counter()
    for _ in stages:
        barrier.wait(timeout=600)
    seconds = time.perf_counter() - begun
    for child in children:
        child.join()
    return seconds


def listing(kubeconfig: str) -> float:
    """Lists the objects as raw JSON, page after page.

    Args:
        kubeconfig: The kubeconfig.

    Returns:
        Seconds.
    """
    server = _Server(kubeconfig)
    connection = server.connect()
    begun = time.perf_counter()
    for path in _LISTED:
        token: str | None = ""
        while token is not None:
            connection.request(
                "GET", f"{path}?limit=500" + (f"&continue={token}" if token else ""), None, server.headers
            )
            page = json.loads(connection.getresponse().read())
            token = page["metadata"].get("continue") or None
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def planning(kubeconfig: str, path: str) -> float:
    """Loads manifests and plans them, once everything is imported.

    Args:
        kubeconfig: The kubeconfig.
        path: The manifests.

    Returns:
        Seconds of loading and planning.
    """
    import planton
    from planton.cluster import PlanOptions, connect
    from planton.collector import rare_collections

    # As in the command.
    with rare_collections():
        cluster = connect(kubeconfig)
        # What is only imported on the way is start-up, too.
        cluster.plan(planton.loads(_NOTHING), options=PlanOptions(skip_checks=True))
        begun = time.perf_counter()
        # Kept: to free a plan is no part of making it.
        plan = cluster.plan(planton.load(path), options=PlanOptions(skip_checks=True))
        seconds = time.perf_counter() - begun
    assert plan.changes
    return seconds


def applying(kubeconfig: str, path: str) -> float:
    """Carries out a plan of manifests.

    Args:
        kubeconfig: The kubeconfig.
        path: The manifests.

    Returns:
        Seconds of the apply alone, its checks of the cluster included.
    """
    import planton
    from planton.cluster import PlanOptions, connect

    cluster = connect(kubeconfig)
    plan = cluster.plan(planton.load(path), options=PlanOptions(skip_checks=True))
    begun = time.perf_counter()
    cluster.apply(plan)
    return time.perf_counter() - begun


_NOTHING = """
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata: {name: nothing-at-all}
spec: {container: {disk_size: 1Gi}}
"""


def main() -> None:
    """Does one of them, and prints its seconds: arguments are its name and what it takes."""
    what, *arguments = sys.argv[1:]
    if what in ("threads", "processes"):
        seconds = loop(arguments[0], arguments[1], int(arguments[2]), what == "processes")
    elif what == "listing":
        seconds = listing(arguments[0])
    elif what == "applying":
        seconds = applying(arguments[0], arguments[1])
    else:
        seconds = planning(arguments[0], arguments[1])
    print(seconds)


if __name__ == "__main__":
    main()
