"""What the tests of the whole way share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sandbox import Sandbox
from tests.api import Api, eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATABASES = ("database-overrides", "database-inherits", "database-custom-path", "database-backups-off")


def planton(sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "planton", *arguments]
    if arguments[0] in ("plan", "apply", "delete", "status"):
        command += ["--kubeconfig", str(sandbox.kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def files(*names: str) -> list[str]:
    return [part for name in names for part in ("-f", str(EXAMPLES / name / "manifest.yaml"))]


def container_env(api: Api, name: str) -> list[dict[str, Any]]:
    path = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}"
    found = eventually(lambda: api.get(path), f"StatefulSet {name}/db-{name}")
    containers = found["spec"]["template"]["spec"]["containers"]
    (postgres,) = [container for container in containers if container["name"] == "postgres"]
    env: list[dict[str, Any]] = postgres["env"]
    return env


def as_values(env: list[dict[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for entry in env:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        values[entry["name"]] = (reference["name"], reference["key"]) if reference else entry.get("value", "")
    return values
