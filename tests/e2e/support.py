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

SECRET = "r2-postgres-backup-credentials"
# What the operator writes into every pod, whatever is asked for (v1.15.1, generateSpiloPodEnvVars).
OPERATORS_OWN = {
    "SCOPE", "PGROOT", "POD_IP", "POD_NAMESPACE", "PGUSER_SUPERUSER", "KUBERNETES_SCOPE_LABEL", "KUBERNETES_ROLE_LABEL",
    "PGPASSWORD_SUPERUSER", "PGUSER_STANDBY", "PGPASSWORD_STANDBY", "PAM_OAUTH2", "HUMAN_ROLE", "PGVERSION",
    "KUBERNETES_LABELS", "SPILO_CONFIGURATION", "DCS_ENABLE_KUBERNETES_API", "KUBERNETES_BOOTSTRAP_LABELS",
    "KUBERNETES_USE_CONFIGMAPS",
}  # fmt: skip


def expected(account: str) -> dict[str, dict[str, Any]]:
    """What the pods of the shared examples get on top of the operator's own variables, by hand from messages.md."""
    from_operator: dict[str, Any] = {
        "AWS_ACCESS_KEY_ID": (SECRET, "AWS_ACCESS_KEY_ID"),
        "AWS_SECRET_ACCESS_KEY": (SECRET, "AWS_SECRET_ACCESS_KEY"),
        "AWS_ENDPOINT": f"https://{account}.r2.cloudflarestorage.com",
        "AWS_REGION": "auto",
        "AWS_S3_FORCE_PATH_STYLE": "true",
        "BACKUP_SCHEDULE": "0 2 * * *",
        "CLONE_USE_WALG_RESTORE": "true",
        "USE_WALG_BACKUP": "true",
        "USE_WALG_RESTORE": "true",
        "WALG_DISABLE_S3_SSE": "true",
        "WALG_S3_PREFIX": "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)",
    }
    return {
        "production-db": from_operator,
        "my-database": {
            **from_operator,
            "BACKUP_SCHEDULE": "0 3 * * *",
            "WALG_S3_PREFIX": "s3://my-bucket/custom/path/$(PGVERSION)",
        },
        "critical-db": {
            **from_operator,
            "BACKUP_SCHEDULE": "0 */6 * * *",
            "WALG_S3_PREFIX": "s3://compliance-backups/critical/$(PGVERSION)",
        },
        "temporary-db": {
            **from_operator,
            "CLONE_USE_WALG_RESTORE": "false",
            "USE_WALG_BACKUP": "false",
            "USE_WALG_RESTORE": "false",
            # An empty value reads as absent in a pod template; that the name is there is what counts.
            "WALG_S3_PREFIX": "",
        },
    }


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
