"""A set of manifests with a recognisable credential in every field that can have one, in each way it can be given."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from textwrap import indent

from tests.api import Api
from tests.cluster.conftest import SETTINGS
from tests.e2e.leaks import Hunter
from tests.manifests import database

VAULT = "vault"
WAYS = ("value", "environment_variable", "file", "secret")
DATABASES = tuple(f"leak-{way.replace('_', '-')}" for way in WAYS)
STANDBYS = tuple(f"{name}-standby" for name in DATABASES)
"""Follow an archive with credentials of its own: those of a clone are the same fields, and are written once only."""
PLAIN = "leak-inherits"

_CERTIFICATE, _PGP = "CERTIFICATE", "PGP PRIVATE KEY BLOCK"


class LeakySet:
    """Manifests whose credentials change from round to round.

    Attributes:
        hunter: Knows every credential.
        variables: Environment variables that the manifests refer to.
    """

    def __init__(self, folder: Path, api: Api) -> None:
        """Makes the namespace of the Secrets that are there already."""
        self.hunter = Hunter()
        self.variables: dict[str, str] = {}
        self.folder = folder
        self._api = api
        self._round = 0
        self._vault: dict[str, str] = {}
        api.request("post", "/api/v1/namespaces", {"metadata": {"name": VAULT}})

    def next_round(self) -> Path:
        """Writes the manifests with new credentials everywhere.

        Returns:
            Their file.
        """
        self._round += 1
        self._vault["further"] = self.hunter.key(f"{self._round} further key")
        texts = [self._operator(), database(PLAIN)]
        texts += [database(name, backup=self._backup(name, way)) for name, way in zip(DATABASES, WAYS, strict=True)]
        texts += [self._standby(name, way) for name, way in zip(STANDBYS, WAYS, strict=True)]
        path = self.folder / f"round-{self._round}.yaml"
        path.write_text("".join(texts))
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self._vault.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault"}, "data": data}
        self._api.request(
            "patch",
            f"/api/v1/namespaces/{VAULT}/secrets/vault?fieldManager=theirs",
            secret,
            content_type="application/apply-patch+yaml",
        )
        return path

    def _operator(self) -> str:
        """The original's short form first, then the long one with everything in it."""
        label = f"{self._round} operator"
        config = 'backup_schedule: "0 2 * * *"\n'
        if self._round == 1:
            config += "r2_config:\n  cloudflare_account_id: account\n  bucket_name: operator-bucket\n"
            for name in ("access_key_id", "secret_access_key"):
                config += f"  {name}: {json.dumps(self.hunter.key(f'{label} {name}'))}\n"
            config += self._libsodium(label, "file", "hex")
        else:
            config += self._storage(label, "environment_variable") + self._keys(label, "secret")
            config += self._pgp(label, "environment_variable")
        text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresOperatorKubernetes\n"
        text += "metadata:\n  name: postgres-operator\nspec:\n  container: {}"
        text += f'{indent(SETTINGS, "  ")}    workers: "8"\n'
        return f"{text}  backup_config:\n{indent(config, '    ')}---\n"

    def _backup(self, name: str, way: str) -> str:
        label = f"{self._round} {name}"
        config = self._storage(label, way) + self._keys(label, way)
        if way in ("value", "file"):
            # A key for encryption is never written down in a manifest.
            given = "environment_variable" if way == "value" else way
            return config + self._libsodium(label, given, "hex" if way == "value" else "base64")
        return config + self._pgp(label, way)

    def _standby(self, name: str, way: str) -> str:
        place = f'archive:\n  cluster_name: db-{name}-source\n  version: "17"\n{indent(self._backup(name, way), "  ")}'
        return database(name, spec=f"standby:\n  source:\n{indent(place, '    ')}")

    def _storage(self, label: str, way: str) -> str:
        bucket = label.partition(" ")[2].replace(" ", "-")
        text = f"storage:\n  bucket_name: {bucket}\n  s3_compatible:\n    endpoint: https://minio.example.com\n"
        authority = self.hunter.armored(f"{label} authority", _CERTIFICATE)
        return text + f"  certificate_authority: {self._value(f'{label} authority', way, authority)}\n"

    def _keys(self, label: str, way: str) -> str:
        text = "credentials:\n"
        for name in ("access_key_id", "secret_access_key"):
            value = self.hunter.key(f"{label} {name}")
            text += f"  {name}: {self._value(f'{label} {name}', way, value)}\n"
        return text

    def _libsodium(self, label: str, way: str, transform: str) -> str:
        value = self._value(f"{label} libsodium", way, self.hunter.libsodium(f"{label} libsodium", transform))
        return f"encryption:\n  libsodium:\n    key: {value}\n    transform: {transform}\n"

    def _pgp(self, label: str, way: str) -> str:
        key = self._value(f"{label} pgp", way, self.hunter.armored(f"{label} pgp", _PGP))
        passphrase = self._value(f"{label} passphrase", way, self.hunter.key(f"{label} passphrase"))
        return f"encryption:\n  pgp:\n    key: {key}\n    passphrase: {passphrase}\n"

    def _value(self, label: str, way: str, value: str) -> str:
        """Gives a field's value in the way that is asked for, under a name that stays from round to round."""
        name = label.partition(" ")[2].replace(" ", "_")
        if way == "value":
            return json.dumps({"value": value})
        if way == "file":
            path = self.folder / name
            path.write_text(value + "\n")
            return json.dumps({"file": str(path)})
        if way == "secret":
            self._vault[name] = value
            return json.dumps({"secret": {"name": "vault", "key": name, "namespace": VAULT}})
        variable = name.upper().replace("-", "_")
        self.variables[variable] = value
        return json.dumps({"environment_variable": variable})
