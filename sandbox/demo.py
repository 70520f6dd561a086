"""The demo: a control plane on this machine, the examples applied, the environment of each database's pods shown."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from planton.cluster import Cluster, connect
from sandbox import Sandbox
from sandbox.build import ensure

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = (
    "operator-full",
    "database-inherits",
    "database-overrides",
    "database-custom-path",
    "database-backups-off",
)
DATABASES = ("production-db", "my-database", "critical-db", "temporary-db")
WAIT_SECONDS = 90.0

NEXT = """
What to try next
  make sandbox                        leaves such a control plane up and prints its kubeconfig
  export KUBECONFIG=...               as it says
  alias planton={command}
  planton plan  -f examples/operator-full/manifest.yaml -f examples/database-inherits/manifest.yaml
  planton apply -f examples/operator-full/manifest.yaml -f examples/database-inherits/manifest.yaml
  planton env production-db -f examples/operator-full/manifest.yaml -f examples/database-inherits/manifest.yaml --live
  edit a copy of a manifest, make a mistake or five, and: planton validate -f FILE
  make sandbox-down                   stops it and leaves nothing behind

No pod ran here: you saw what the real operator makes of the manifests (docs/sandbox.md says what is real).
"""


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _run(*arguments: str, folder: Path, environment: dict[str, str]) -> None:
    """Runs the command as a person would, and shows how it is typed."""
    print(f"$ planton {shlex.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "planton", *arguments], cwd=folder, env=environment).returncode
    if code:
        raise SystemExit(f"demo: the command above ended with exit code {code}")


def _wait_for_statefulsets(cluster: Cluster) -> None:
    end = time.monotonic() + WAIT_SECONDS
    missing = list(DATABASES)
    while missing:
        missing = [name for name in missing if cluster.live_environment(name, f"db-{name}") is None]
        if missing and time.monotonic() > end:
            raise SystemExit(f"demo: after {WAIT_SECONDS:g} s the operator has made nothing of: {', '.join(missing)}")
        if missing:
            time.sleep(0.3)


def main() -> int:
    """Runs the demo.

    Returns:
        The exit code.
    """
    started = time.monotonic()
    _title("A control plane on this machine: etcd, kube-apiserver, and the Zalando operator when it is asked for")
    ensure()
    with Sandbox.start() as sandbox, tempfile.TemporaryDirectory(prefix="planton-demo-") as name:
        folder = Path(name)
        environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), "PYTHONPATH": str(ROOT)}
        print(f"ready at {sandbox.url}")

        _title("The manifests")
        (folder / "manifests").mkdir()
        for example in EXAMPLES:
            shutil.copyfile(ROOT / "examples" / example / "manifest.yaml", folder / "manifests" / f"{example}.yaml")
            print(f"examples/{example}/manifest.yaml -> manifests/{example}.yaml")

        _title("Apply them")
        _run("apply", "-f", "manifests", folder=folder, environment=environment)

        _title("Once more: nothing changes")
        _run("plan", "-f", "manifests", folder=folder, environment=environment)

        _title("The backup environment of each database's pods, as the operator made it")
        _wait_for_statefulsets(connect(str(sandbox.kubeconfig)))
        for database in DATABASES:
            _run("env", database, "--live", "-f", "manifests", folder=folder, environment=environment)
            print()
    print(NEXT.format(command=Path(".venv/bin/planton")).strip("\n"))
    print(f"\nThe demo took {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
