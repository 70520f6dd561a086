"""Applies manifests in processes of their own and kills each right at a write: before it is sent, or once it is done.

Started as `python -m tests.e2e.dying`; takes one JSON object a line: kubeconfig, file, environment, options,
kill_before and kill_after (the number of a write, 0 for none), and uncounted (ends of paths whose writes do not count
for a kill). Each order is carried out by a fork, so that the imports are paid for once; the answer is the line
`done <wait status> <JSON list of the paths that were written>`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

import planton
from planton.cluster import PlanOptions
from planton.cluster.api.connection import Connection, Request


def main() -> None:
    """Carries out orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            _carry_out(order, writer)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as told:
            written = told.read().splitlines()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"done {status} {json.dumps(written)}", flush=True)


def _carry_out(order: dict[str, Any], writer: int) -> None:
    code = 1
    try:
        os.environ.update(order["environment"])
        _count_writes(writer, order["kill_before"], order["kill_after"], tuple(order["uncounted"]))
        cluster = planton.connect(order["kubeconfig"])
        cluster.apply(planton.load(order["file"]), options=PlanOptions(**order["options"]), timeout=60.0)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _count_writes(writer: int, before: int, after: int, uncounted: tuple[str, ...]) -> None:
    """Puts a count, and death, before and behind each write. One at a time: then it is known which ones there were."""
    send: Any = Connection.send
    turn = threading.Lock()
    count = 0

    def counted(self: Connection, request: Request, **more: Any) -> Any:
        nonlocal count
        # To ask what is allowed is no write.
        is_question = request.method == "GET" or request.path.startswith("/apis/authorization.k8s.io/")
        if is_question or ("dryRun", "All") in request.query:
            return send(self, request, **more)
        with turn:
            counts = not request.path.endswith(uncounted)
            count += counts
            if counts and count == before:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = send(self, request, **more)
            os.write(writer, f"{request.path}\n".encode())
            if counts and count == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

    Connection.send = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
