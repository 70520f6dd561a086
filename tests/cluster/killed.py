"""Applies manifests as a process of its own and says each step, so that a test can kill it at any of them.

Started as `python -m tests.cluster.killed KUBECONFIG SET_ID FILE`.
"""

from __future__ import annotations

import sys

import planton
from planton.cluster import PlanOptions, ProgressEvent


def main(arguments: list[str]) -> None:
    """Applies the manifests of a file."""

    def say(event: ProgressEvent) -> None:
        print(event.phase, event.done, event.subject, flush=True)

    cluster = planton.connect(arguments[0])
    result = cluster.apply(
        planton.load(arguments[2]), options=PlanOptions(set_id=arguments[1]), timeout=60.0, progress=say
    )
    print(f"result {result.summary}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
