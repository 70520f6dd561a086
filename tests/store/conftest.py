"""All four kinds of store, and what a database pod says of each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

import pytest

from sandbox.object_store import ObjectStore
from tests.store.support import LoopbackProxy, StoreClient, client_from_environment

CERTIFICATE = "/etc/wal-g/ca.pem"
KINDS = ("plain-path", "tls-path", "plain-virtual", "tls-virtual")


class Archive:
    """A bucket of a store, and the environment of a pod that archives there."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.bucket = f"bucket-{uuid.uuid4().hex[:8]}"
        store.create_bucket(self.bucket)
        self.environment = {
            "USE_WALG_BACKUP": "true",
            "WALG_S3_PREFIX": f"s3://{self.bucket}/backups/db/17",
            "AWS_ENDPOINT": store.endpoint,
            "AWS_REGION": store.region,
            "AWS_S3_FORCE_PATH_STYLE": "true",
            "AWS_ACCESS_KEY_ID": store.access_key_id,
            "AWS_SECRET_ACCESS_KEY": store.secret_access_key,
            "WALG_DISABLE_S3_SSE": "true",
        }
        self.files = {}
        if store.certificate_authority_pem:
            self.environment["WALG_S3_CA_CERT_FILE"] = CERTIFICATE
            self.files = {CERTIFICATE: store.certificate_authority_pem}
        if store.virtual_host_domain:
            self.environment["WALE_S3_ENDPOINT"] = store.endpoint.replace("://", "+virtualhost://")

    def with_changes(self, **changes: str | None) -> dict[str, str]:
        """Gives the environment with other values; None takes a variable away."""
        return {name: value for name, value in {**self.environment, **changes}.items() if value is not None}

    def client(self, names: LoopbackProxy, environment: Mapping[str, str] | None = None) -> StoreClient:
        """Makes a client of an environment, by default the right one."""
        return client_from_environment(environment or self.environment, files=self.files, names=names)


@pytest.fixture(scope="session")
def object_store_plain_virtual() -> Iterator[ObjectStore]:
    """Virtual-host style without TLS."""
    with ObjectStore.start(tls=False, virtual_host_domain="plain.example.test") as store:
        yield store


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest) -> Archive:
    """A bucket of its own in a store of each kind."""
    fixtures = ("object_store", "object_store_tls", "object_store_plain_virtual", "object_store_virtual")
    store: ObjectStore = request.getfixturevalue(dict(zip(KINDS, fixtures, strict=True))[request.param])
    store.check()
    return Archive(store)


@pytest.fixture
def names(archive: Archive) -> Iterator[LoopbackProxy]:
    """What stands for the resolver."""
    with LoopbackProxy(archive.store) as proxy:
        yield proxy
