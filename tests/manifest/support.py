"""Texts that several tests of manifests use, and how they look at problems."""

from __future__ import annotations

import traceback
from typing import Any, cast

import pytest

from planton.errors import ManifestError, Problem
from planton.manifest import loads
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes

API_VERSION = "kubernetes.project-planton.org/v1"

OPERATOR_HEAD = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresOperatorKubernetes
metadata:
  name: postgres-operator
"""

DATABASE_HEAD = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: orders
"""

DATABASE = DATABASE_HEAD + "spec: {}\n"

BACKUP_CONFIG = """\
spec:
  backup_config:
    r2_config:
      cloudflare_account_id: "abc123"
      bucket_name: "postgres-backups"
      access_key_id: "AKIDSENTINEL"
      secret_access_key: "SECRETSENTINEL"
    backup_schedule: "0 2 * * *"
"""

OPERATOR = OPERATOR_HEAD + BACKUP_CONFIG

# The manifests that existing users have, with the comments taken out.
EXAMPLES = {
    "operator-full": OPERATOR_HEAD
    + """\
spec:
  backup_config:
    r2_config:
      cloudflare_account_id: "your-account-id"
      bucket_name: "postgres-backups"
      access_key_id: "your-access-key"
      secret_access_key: "your-secret-key"
    s3_prefix_template: "backups/$(SCOPE)/$(PGVERSION)"
    backup_schedule: "0 2 * * *"
    enable_wal_g_backup: true
    enable_wal_g_restore: true
    enable_clone_wal_g_restore: true
""",
    "operator-basic": "# Basic operator\n"
    + OPERATOR_HEAD
    + """\
spec:
  target_cluster:
    kubernetesClusterCredentialId: k8s-cluster-01
  container:
    resources:
      limits:
        cpu: "1000m"
        memory: "1Gi"
  backup_config:
    r2_config:
      cloudflare_account_id: "abc123"
      bucket_name: "postgres-backups"
      access_key_id: "R2_ACCESS_KEY"
      secret_access_key: "R2_SECRET_KEY"
    backup_schedule: "0 2 * * *"
""",
    "database-overrides": """\
# Every per-database override
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: my-database
spec:
  container:
    replicas: 2
    disk_size: "10Gi"
  backup_config:
    s3_prefix: "my-bucket/custom/path/$(PGVERSION)"
    backup_schedule: "0 3 * * *"
    enable_backup: true
    enable_restore: true
    enable_clone: true
""",
    "database-inherits": """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: production-db
spec:
  container:
    replicas: 2
    disk_size: "100Gi"
""",
    "database-custom-path": """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: critical-db
spec:
  container:
    replicas: 3
    disk_size: "500Gi"
  backup_config:
    s3_prefix: "compliance-backups/critical/$(PGVERSION)"
    backup_schedule: "0 */6 * * *"
""",
    "database-backups-off": """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: temporary-db
spec:
  container:
    replicas: 1
    disk_size: "10Gi"
  backup_config:
    enable_backup: false
    enable_restore: false
    enable_clone: false
""",
}


def problems(text: str | bytes, *, file: str = "<text>") -> tuple[Problem, ...]:
    """Gives the problems of a text that must have some."""
    with pytest.raises(ManifestError) as caught:
        loads(text, file=file)
    return caught.value.problems


def only(text: str | bytes, *, file: str = "<text>") -> Problem:
    """Gives the one problem of a text that must have exactly one."""
    found = problems(text, file=file)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


def database(text: str) -> PostgresKubernetes:
    """Loads the one database of a text."""
    (message,) = loads(text)
    assert isinstance(message, PostgresKubernetes)
    return message


def operator(text: str) -> PostgresOperatorKubernetes:
    """Loads the one operator of a text."""
    (message,) = loads(text)
    assert isinstance(message, PostgresOperatorKubernetes)
    return message


def spec(lines: str) -> str:
    """Writes a database with a spec."""
    return f"{DATABASE_HEAD}spec:\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def metadata(lines: str) -> str:
    """Writes a database with metadata besides its name."""
    return DATABASE_HEAD + "".join(f"  {line}\n" for line in lines.splitlines()) + "spec: {}\n"


def everything_told(error: BaseException) -> str:
    """Gives whatever an error shows: its texts, and its traceback with the local variables of our own frames."""
    # Without the frame of the test, which holds what it gave.
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    lines = traceback.TracebackException(type(error), error, trace, capture_locals=True).format()
    return f"{error}{error!r}{getattr(error, 'problems', '')!r}" + "".join(lines)


def set_path(message: Any, path: str, value: object) -> None:
    """Sets a field of a message by its path."""
    *above, last = path.split(".")
    for step in above:
        message = getattr(message, step)
        message.SetInParent()
    setattr(cast("object", message), last, value)
