"""Every kind of store as a manifest says it, a real S3 server in the place of each, and what the pods make of them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import Any

from sandbox.object_store import ObjectStore
from tests.api import Api
from tests.store.support import LoopbackProxy, StoreClient, client_from_environment
from tests.store.walg import Spilo, pod_environment

ACCOUNT = "0123456789abcdef0123456789abcdef"
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/backups"
VAULT = "vault"
"""Namespace of Secrets that are there already, filled by somebody else."""

# Names of clouds lead to servers of the tests, with an authority that stands for those that every image trusts.
SERVERS: dict[str, dict[str, Any]] = {
    "r2": {"host": f"{ACCOUNT}.r2.cloudflarestorage.com", "region": "auto"},
    "r2-eu": {"host": f"{ACCOUNT}.eu.r2.cloudflarestorage.com", "region": "auto"},
    "aws": {"virtual_host_domain": "s3.eu-central-1.amazonaws.com", "region": "eu-central-1"},
    "google": {"host": "storage.googleapis.com", "region": "auto"},
    "minio": {"host": "minio.storage.example", "region": "us-east-1"},
    "virtual": {"virtual_host_domain": "objects.storage.example", "region": "eu-test-1"},
    "plain": {"host": "plain.storage.example", "region": "us-east-1", "tls": False},
    "ceph": {"host": "rgw.storage.example", "region": "zone-a"},
    "walled": {"host": "walled.storage.example", "region": "us-east-1"},
}
CLOUDS = ("r2", "r2-eu", "aws", "google")
PRIVATE = ("minio", "virtual")
"""Servers whose authority nobody trusts who is not told to."""


@dataclass(frozen=True)
class Kind:
    """A kind of store, as a person writes it.

    Attributes:
        server: Which server stands for it.
        storage: Lines of `storage` besides the bucket; ENDPOINT, PROXY stand for what is known later.
        keys: How the keys are given: `value`, `environment_variable`, `file` or `secret`.
        authority: How the certificate of the authority is given; empty for none.
        encryption: What wal-g is to ask the server for.
        kms_key: With which key.
        proxied: Whether there is a proxy on the way.
    """

    server: str
    storage: str
    keys: str = "value"
    authority: str = ""
    encryption: str = ""
    kms_key: str = ""
    proxied: bool = False


_AWS = "aws_s3:\n  region: eu-central-1\n"
_COMPATIBLE = "s3_compatible:\n  endpoint: ENDPOINT\n"
KINDS: dict[str, Kind] = {
    "r2": Kind("r2", f"cloudflare_r2:\n  cloudflare_account_id: {ACCOUNT}\n", "environment_variable"),
    "r2-eu": Kind("r2-eu", f"cloudflare_r2:\n  cloudflare_account_id: {ACCOUNT}\n  jurisdiction: eu\n", "secret"),
    "aws": Kind("aws", _AWS, "file", encryption="AES256"),
    "aws-kms": Kind(
        "aws",
        f"{_AWS}server_side_encryption:\n  kms_key:\n    key_id: {KMS_KEY}\n",
        "environment_variable",
        encryption="aws:kms",
        kms_key=KMS_KEY,
    ),
    "aws-none": Kind("aws", f"{_AWS}server_side_encryption:\n  none: {{}}\n"),
    "google": Kind("google", "google_cloud_storage: {}\n", "secret"),
    "minio": Kind("minio", _COMPATIBLE, "secret", authority="file"),
    "virtual": Kind(
        "virtual", f"{_COMPATIBLE}  region: eu-test-1\n  force_path_style: false\n", authority="environment_variable"
    ),
    "virtual-secret": Kind(
        "virtual", f"{_COMPATIBLE}  region: eu-test-1\n  force_path_style: false\n", "file", authority="secret"
    ),
    "plain": Kind("plain", _COMPATIBLE),
    "ceph": Kind(
        "ceph", f"{_COMPATIBLE}  region: zone-a\nserver_side_encryption:\n  store_key: {{}}\n", encryption="AES256"
    ),
    "walled": Kind(
        "walled", f"{_COMPATIBLE}proxy:\n  url: PROXY\n  no_proxy:\n    - .intern.example\n", "file", proxied=True
    ),
}


@dataclass
class World:
    """Servers, and what leads to them.

    Attributes:
        servers: Name -> server.
        names: Stands for the resolver; it does not know the walled server.
        proxy: The only way to the walled server.
        folder: Where files of keys are.
    """

    servers: Mapping[str, ObjectStore]
    names: LoopbackProxy
    proxy: LoopbackProxy
    folder: Any = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def trusted(self) -> str:
        """Authorities that every image trusts."""
        return "".join(one.certificate_authority_pem or "" for name, one in self.servers.items() if name not in PRIVATE)

    def storage(self, kind: str, bucket: str) -> str:
        """Writes `storage`, and makes the bucket."""
        given = KINDS[kind]
        server = self.servers[given.server]
        server.create_bucket(bucket)
        text = given.storage.replace("ENDPOINT", server.endpoint).replace("PROXY", self.proxy.url)
        if given.authority:
            text += f"certificate_authority:\n{self._value(given.server, given.authority, 'authority')}"
        return f"storage:\n  bucket_name: {bucket}\n{indent(text, '  ')}"

    def credentials(self, kind: str) -> str:
        """Writes `credentials`."""
        given = KINDS[kind]
        one, other = (self._value(given.server, given.keys, what) for what in ("id", "secret"))
        return f"credentials:\n  access_key_id:\n{indent(one, '  ')}  secret_access_key:\n{indent(other, '  ')}"

    def _value(self, server: str, way: str, what: str) -> str:
        name = f"{server}-{what}"
        if way == "value":
            return f'  value: "{self.content(server, what)}"\n'
        if way == "secret":
            return f"  secret:\n    name: {server}\n    key: {what}\n    namespace: {VAULT}\n"
        if way == "file":
            path = self.folder / name
            # As an editor leaves it, with a line's end.
            path.write_text(self.content(server, what) + "\n")
            return f"  file: {path}\n"
        variable = name.upper().replace("-", "_")
        self.variables[variable] = self.content(server, what)
        return f"  environment_variable: {variable}\n"

    def content(self, server: str, what: str) -> str:
        """Gives a key or the certificate of a server's authority."""
        one = self.servers[server]
        contents = {"id": one.access_key_id, "secret": one.secret_access_key}
        return contents.get(what) or one.certificate_authority_pem or ""

    def fill_vault(self, api: Api) -> None:
        """Makes the Secrets that are there already, with more in them than is meant."""
        api.request("post", "/api/v1/namespaces", {"metadata": {"name": VAULT}})
        for name in self.servers:
            data = {
                what: base64.b64encode(self.content(name, what).encode()).decode()
                for what in ("id", "secret", "authority")
            }
            data["WALG_S3_PREFIX"] = data["further"] = base64.b64encode(b"nobody's business").decode()
            secret = {"metadata": {"name": name}, "data": data}
            api.request("post", f"/api/v1/namespaces/{VAULT}/secrets", secret)


@contextlib.contextmanager
def world(folder: Any) -> Iterator[World]:
    """Starts all servers, and what leads to them."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(ObjectStore.start(**given)) for name, given in SERVERS.items()}
        known = [server for name, server in servers.items() if name != "walled"]
        names = stack.enter_context(LoopbackProxy(*known))
        yield World(servers, names, stack.enter_context(LoopbackProxy(servers["walled"])), folder)


@dataclass(frozen=True)
class Pod:
    """What the container of a database sees, by the StatefulSet and the Secrets of its own namespace.

    Attributes:
        environment: Its variables, as the kubelet makes them.
        files: Path -> content of what is mounted from Secrets.
    """

    environment: dict[str, str]
    files: dict[str, str]

    def changed(self, changes: Mapping[str, str | None]) -> Pod:
        """Gives the same with other variables; None takes one away."""
        changed = {name: value for name, value in {**self.environment, **changes}.items() if value is not None}
        return replace(self, environment=changed)

    def client(self, where: World, spilo: Spilo = "4.0") -> StoreClient:
        """Makes a client of exactly this."""
        return client_from_environment(
            self.environment, files=self.files, spilo=spilo, names=where.names, system_authorities=where.trusted
        )


def pod_of(api: Api, namespace: str, stateful_set: Mapping[str, Any]) -> Pod:
    """Does what the kubelet does before it starts the container.

    Raises:
        KeyError: The pod would not start: a Secret or a key of it is missing in its own namespace.
    """
    listed = api.get(f"/api/v1/namespaces/{namespace}/secrets")["items"]
    secrets = {
        one["metadata"]["name"]: {
            key: base64.b64decode(value, validate=True).decode() for key, value in (one.get("data") or {}).items()
        }
        for one in listed
    }
    spec = stateful_set["spec"]["template"]["spec"]
    (container,) = [one for one in spec["containers"] if one["name"] == "postgres"]
    fields = {"metadata.namespace": namespace, "status.podIP": "10.0.0.1"}
    return Pod(pod_environment(container["env"], secrets, fields), _mounted(container, spec["volumes"], secrets))


def _mounted(
    container: Mapping[str, Any], volumes: list[dict[str, Any]], secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    sources = {volume["name"]: volume["secret"] for volume in volumes if "secret" in volume}
    files: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        # The API server lets a StatefulSet pass whose pods it would refuse.
        assert mount["name"] in {volume["name"] for volume in volumes} | {"pgdata"}
        if (source := sources.get(mount["name"])) is None:
            continue
        data = secrets[source["secretName"]]
        items = source.get("items")
        contents = {one["path"]: data[one["key"]] for one in items} if items else dict(data)
        # Archiving does not run as root.
        assert source.get("defaultMode", 0o644) & 0o004
        if sub_path := mount.get("subPath"):
            files[mount["mountPath"]] = contents[sub_path]
        else:
            files.update({f"{mount['mountPath'].rstrip('/')}/{path}": one for path, one in contents.items()})
    return files
