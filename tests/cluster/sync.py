"""An operator whose credentials are in Secrets of somebody else's, for the tests of sync-credentials."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, SECRET, SERVICE_ACCOUNT, Key, ResourceType
from planton.translate.generation import GENERATION
from planton.translate.names import storage_secret_name
from sandbox import Sandbox
from sandbox._errors import ApiError
from tests.cluster.conftest import PATIENT, Installed
from tests.cluster.objects import Object, foreign_database
from tests.keys import certificate as certificate_with

OPERATOR = "postgres-operator"
STORAGE = storage_secret_name(keys=True, encryption="", certificate=True)
ENCRYPTED = storage_secret_name(keys=True, encryption="libsodium", certificate=True)
FILES = "postgres-backup-files"
BACKUP = "postgres-pod-backup-config"
VAULT = "vault"
ROLE = "gcp.example/identity"

CONFIG = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresOperatorKubernetes
metadata: {name: postgres-operator, labels: {team: data}}
spec:
%s
  backup_config:
    storage:
      bucket_name: archive
      s3_compatible: {endpoint: "https://store.example:9000"}
      certificate_authority: {secret: {namespace: vault, name: authority, key: pem}}
    credentials:
      access_key_id: {secret: {namespace: vault, name: bucket, key: id}}
      secret_access_key: {secret: {namespace: vault, name: bucket, key: key}}
%s
    backup_schedule: "0 2 * * *"
"""


def operator(more: str = "") -> str:
    """Writes the operator's manifest, with further lines of backup_config."""
    indented = "\n".join(f"  {line}" for line in PATIENT.strip("\n").splitlines())
    return CONFIG % (indented, more)


def keys(number: int) -> tuple[str, str]:
    """Makes a pair of keys that is found wherever it stands."""
    return f"SENTINELID{number:04d}", f"sentinel/secret+key={number:04d}"


def certificate(number: int) -> str:
    """Makes what looks like a certificate, and is found wherever it stands."""
    return certificate_with(f"SENTINELAUTHORITY{number:04d}")


class Vault:
    """Somebody else's Secrets, and a look at what became of them."""

    def __init__(self, installed: Installed) -> None:
        self.installed = installed
        self.api = installed.api
        self.server = installed.harness.server
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": VAULT}})
        self.write("bucket", dict(zip(("id", "key"), keys(1), strict=True)))
        self.write("authority", {"pem": certificate(1)})

    def write(self, name: str, values: dict[str, str]) -> None:
        """Writes a Secret as its controller does."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
        }
        self.api.request(
            "PATCH",
            f"/api/v1/namespaces/{VAULT}/secrets/{name}?fieldManager=vault&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )

    def rotate(self, number: int) -> None:
        """Puts another pair of keys there."""
        self.write("bucket", dict(zip(("id", "key"), keys(number), strict=True)))

    def read(self, resource: ResourceType, namespace: str, name: str) -> Object:
        found = self.server.get(Key(resource, namespace, name))
        assert found is not None, f"{resource.kind}/{namespace}/{name}"
        return found

    def values(self, namespace: str, name: str = STORAGE) -> dict[str, str]:
        """Reads a Secret; empty when it is not there."""
        found = self.server.get(Key(SECRET, namespace, name))
        data = (found or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def generation(self, namespace: str, name: str = STORAGE) -> int:
        annotations = self.read(SECRET, namespace, name)["metadata"].get("annotations") or {}
        return int(annotations.get("planton.ai/credentials-generation", 0))

    def told(self) -> int:
        return int(self.read(CONFIG_MAP, OPERATOR, BACKUP)["data"].get(GENERATION, 0))

    def deployment(self) -> Object:
        return self.read(DEPLOYMENT, OPERATOR, OPERATOR)

    def account(self, namespace: str) -> Object:
        return self.read(SERVICE_ACCOUNT, namespace, "postgres-pod")

    def foreign_database(self, space: str, *, make: bool = True) -> None:
        """Makes a database as somebody does who never heard of planton."""
        if make:
            self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
        self.api.request(
            "POST",
            f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls?fieldManager=kubectl-create",
            foreign_database(space),
        )

    def template(self, space: str) -> dict[str, Any]:
        """Gives the environment of a database's pods as the operator wrote it; empty before."""
        try:
            found = self.api.request("GET", f"/apis/apps/v1/namespaces/{space}/statefulsets/db-{space}")
        except ApiError:
            return {}
        container = found["spec"]["template"]["spec"]["containers"][0]
        return {one["name"]: one.get("value", one.get("valueFrom", "")) for one in container["env"]}

    def copies(self, number: int, *spaces: str) -> bool:
        """Tells whether every namespace has a pair of keys."""
        pair = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys(number), strict=True))
        found = [self.values(space) for space in spaces]
        return all(one == {**pair, "WALG_S3_CA_CERT_FILE": "/etc/planton/backup-files/ca.crt"} for one in found)

    def drop(self, *spaces: str) -> None:
        """Removes databases, so that the next test does not meet them."""
        for space in spaces:
            path = f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls/db-{space}"
            patch = {"metadata": {"finalizers": None, "annotations": {"delete-clustername": f"db-{space}"}}}
            while True:
                try:
                    self.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
                    self.api.request("DELETE", path)
                except ApiError as error:
                    if error.status == 404:
                        break
                    raise


@contextmanager
def vault_of_a_sandbox() -> Iterator[Vault]:
    """A sandbox with an operator whose keys are in somebody else's Secrets."""
    with Sandbox.start() as started:
        installed = Installed(started)
        made = Vault(installed)
        installed.operator = operator()
        installed.apply(installed.operator)
        yield made


def leaks(text: str) -> list[str]:
    """Finds sentinels in a text, in clear and in base64."""
    marks = ("SENTINELID", "sentinel/secret", "SENTINELAUTHORITY")
    encoded = [base64.b64encode(value.encode()).decode() for number in range(1, 30) for value in keys(number)]
    return [mark for mark in (*marks, *encoded) if mark in text]


def dumped(value: object) -> str:
    """Writes anything as text."""
    return json.dumps(value, default=str)
