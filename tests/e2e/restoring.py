"""A cluster with an operator, two stores, and databases with archives in them, for restores."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

import planton
from planton.cluster import ApplyResult, Plan, PlanOptions, connect
from sandbox import Sandbox
from sandbox.object_store import ObjectStore
from tests.api import Api, is_review
from tests.cli.support import planton as command
from tests.cluster.conftest import SETTINGS
from tests.cluster.restorable import Restorable, replace_all
from tests.manifests import database

SHOP = "labels:\n  kubernetes.project-planton.org/namespace: shop"
SODIUM = "5e" * 32
_WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass
class World:
    """A cluster with an operator, two stores, and two databases with archives in them."""

    sandbox: Sandbox
    api: Api
    main: ObjectStore
    far: ObjectStore
    folder: Path
    bucket: str = field(default_factory=lambda: f"main-{uuid.uuid4().hex[:8]}")
    far_bucket: str = field(default_factory=lambda: f"far-{uuid.uuid4().hex[:8]}")

    def apply(self, text: str, **options: Any) -> ApplyResult:
        return connect(self.sandbox.kubeconfig).apply(planton.loads(text), options=PlanOptions(**options), timeout=60.0)

    def plan(self, text: str, **options: Any) -> Plan:
        return connect(self.sandbox.kubeconfig).plan(planton.loads(text), options=PlanOptions(**options))

    def archive(self, path: str, *, far: bool = False) -> Path:
        store, bucket = (self.far, self.far_bucket) if far else (self.main, self.bucket)
        return store.folder / "data" / bucket / path

    def fill(self, archive: Restorable) -> None:
        """Makes the archive of orders hold this and nothing else."""
        replace_all(self.archive("shop/db-orders/15"), archive)

    def written(self) -> int:
        """Counts the requests that changed something, but for those of the operator."""
        found = 0
        for line in self.sandbox.audit_log.read_text().splitlines():
            entry = json.loads(line)
            is_dry = "dryRun" in entry["requestURI"] or is_review(entry)
            who = entry["user"]["username"]
            found += not who.startswith("system:") and entry["verb"] in _WRITING and not is_dry
        return found

    def names(self) -> set[str]:
        """Every namespace, database and Secret."""
        paths = ("/api/v1/namespaces", "/apis/acid.zalan.do/v1/postgresqls", "/api/v1/secrets")
        return {
            f"{path}/{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
            for path in paths
            for one in self.api.get(path)["items"]
            # What the operator makes, in its own time.
            if not one["metadata"]["name"].endswith("acid.zalan.do")
        }

    def database(self, name: str, namespace: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(
            f"/apis/acid.zalan.do/v1/namespaces/{namespace or name}/postgresqls/db-{name}"
        )
        return found

    def birth(self, name: str, namespace: str = "") -> dict[str, Any]:
        annotations = self.database(name, namespace)["metadata"]["annotations"]
        found: dict[str, Any] = json.loads(annotations["planton.ai/restored-from"])
        return found

    def run(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return command(*arguments, "--kubeconfig", str(self.sandbox.kubeconfig), **more)


def store_of(where: World, *, far: bool, secret: str = "") -> str:
    server, bucket = (where.far, where.far_bucket) if far else (where.main, where.bucket)
    text = f"storage:\n  bucket_name: {bucket}\n"
    text += f"  s3_compatible: {{endpoint: {server.endpoint!r}, region: {server.region}}}\n"
    if server.certificate_authority_pem:
        authority = where.folder / "authority.pem"
        authority.write_text(server.certificate_authority_pem)
        text += f"  certificate_authority: {{file: {str(authority)!r}}}\n"
    text += f"credentials:\n  access_key_id: {{value: {server.access_key_id!r}}}\n"
    text += f"  secret_access_key: {{value: {(secret or server.secret_access_key)!r}}}\n"
    return text


def of_ledger(where: World, variable: str = "FAR_SODIUM") -> str:
    text = store_of(where, far=True) + 's3_prefix: "/ledger/$(SCOPE)/$(PGVERSION)"\n'
    return text + f"encryption: {{libsodium: {{key: {{environment_variable: {variable}}}, transform: hex}}}}\n"


def operator(where: World) -> str:
    config = 'backup_schedule: "0 2 * * *"\ns3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"\n'
    config += store_of(where, far=False)
    text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresOperatorKubernetes\n"
    text += f"metadata:\n  name: postgres-operator\nspec:\n  container: {{}}{indent(SETTINGS, '  ')}    workers: '8'\n"
    return f"{text}  backup_config:\n{indent(config, '    ')}---\n"


def sources(where: World) -> str:
    resources = "version: '15'"
    return database("orders", spec=resources, metadata=SHOP) + database(
        "ledger", spec="version: '15'", backup=of_ledger(where)
    )
