"""The S3 server of the tests refuses what a real one refuses, and a client knows what the pod's variables say only."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from sandbox.object_store import ObjectStore
from tests.store.conftest import CERTIFICATE, KINDS, Archive
from tests.store.support import LoopbackProxy, client_from_environment
from tests.store.walg import UnusableError

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("object-store")]

only_tls = pytest.mark.parametrize("archive", [kind for kind in KINDS if kind.startswith("tls")], indirect=True)
only_virtual = pytest.mark.parametrize("archive", [kind for kind in KINDS if kind.endswith("virtual")], indirect=True)


def assert_refused(archive: Archive, names: LoopbackProxy, environment: Mapping[str, str], why: str) -> None:
    """Every operation fails for that reason, and nothing has been written."""
    client = archive.client(names, environment)
    for operation in (client.list, lambda: client.put("one", b"1"), lambda: client.get("one")):
        with pytest.raises(Exception, match=why):
            operation()
    assert archive.store.keys(archive.bucket) == []


def test_what_is_written_is_there(archive: Archive, names: LoopbackProxy) -> None:
    client = archive.client(names)
    assert client.list() == []
    objects = {"wal_005/0001.lz4": b"\0" * 300_000, "base/ö +%.json": b"{}", "empty": b""}
    for name, content in objects.items():
        client.put(name, content)
    assert client.list() == sorted(objects)
    assert {name: client.get(name) for name in objects} == objects
    assert archive.store.keys(archive.bucket) == sorted(f"backups/db/17/{name}" for name in objects)
    client.delete("empty", "base/ö +%.json", "never-was")
    assert client.list() == ["wal_005/0001.lz4"]
    with pytest.raises(FileNotFoundError):
        client.get("empty")


def test_what_is_beside_the_path_is_not_seen(archive: Archive, names: LoopbackProxy) -> None:
    other = archive.client(names, archive.with_changes(WALG_S3_PREFIX=f"s3://{archive.bucket}/backups/db/170"))
    whole = archive.client(names, archive.with_changes(WALG_S3_PREFIX=f"s3://{archive.bucket}"))
    other.put("one", b"1")
    assert archive.client(names).list() == []
    assert whole.list() == ["backups/db/170/one"]


@pytest.mark.parametrize("region", ["us-east-1", "eu-test-2", "auto", "", None])
def test_a_wrong_region(archive: Archive, names: LoopbackProxy, region: str | None) -> None:
    assert_refused(archive, names, archive.with_changes(AWS_REGION=region), "AuthorizationHeaderMalformed")


def test_a_wrong_key(archive: Archive, names: LoopbackProxy) -> None:
    # Amazon calls it InvalidAccessKeyId.
    assert_refused(archive, names, archive.with_changes(AWS_ACCESS_KEY_ID="AKIAUNKNOWN"), "XAdminUserNotFound")
    wrong = archive.with_changes(AWS_SECRET_ACCESS_KEY=archive.store.secret_access_key[::-1])
    assert_refused(archive, names, wrong, "SignatureDoesNotMatch")


def test_a_bucket_that_is_not_there(archive: Archive, names: LoopbackProxy) -> None:
    assert_refused(
        archive, names, archive.with_changes(WALG_S3_PREFIX="s3://nobodys-bucket/x"), "NoSuchBucket|not found"
    )


@only_tls
def test_an_unknown_authority(archive: Archive, names: LoopbackProxy) -> None:
    assert_refused(archive, names, archive.with_changes(WALG_S3_CA_CERT_FILE=None), "UnknownIssuer")
    import trustme

    archive.files[CERTIFICATE] = trustme.CA().cert_pem.bytes().decode()
    assert_refused(archive, names, archive.environment, "UnknownIssuer|BadSignature")


@only_tls
def test_plain_http_to_a_server_of_tls(archive: Archive, names: LoopbackProxy) -> None:
    changed = archive.with_changes(AWS_ENDPOINT=archive.store.endpoint.replace("https", "http"))
    assert_refused(archive, names, changed, "Error performing")


@only_virtual
def test_path_style_where_buckets_are_hosts(archive: Archive, names: LoopbackProxy) -> None:
    changed = archive.with_changes(WALE_S3_ENDPOINT=None)
    assert_refused(archive, names, changed, re.escape(f"{archive.store.host}:{archive.store.port}/{archive.bucket}"))
    assert names.seen
    assert not any(archive.bucket in seen.partition("/")[0] for seen in names.seen if seen.startswith("CONNECT"))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_virtual_hosts_where_buckets_are_paths(tls: bool) -> None:
    with ObjectStore.start(tls=tls, host="path.example.test") as store, LoopbackProxy(store) as names:
        archive = Archive(store)
        archive.client(names).put("one", b"1")
        archive.client(names).delete("one")
        virtual = store.endpoint.replace("://", "+virtualhost://")
        assert_refused(archive, names, archive.with_changes(WALE_S3_ENDPOINT=virtual), f"{archive.bucket}.path.example")


@pytest.fixture
def _poisoned(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test process whose own environment has all that a pod's may lack, and proxies that lead nowhere."""
    for name, value in {
        **archive.environment,
        "AWS_ENDPOINT_URL": archive.store.endpoint,
        "AWS_DEFAULT_REGION": archive.store.region,
        "AWS_SESSION_TOKEN": "token",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_ALLOW_HTTP": "true",
        "AWS_PROXY_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    if archive.store.certificate_authority_pem:
        path = archive.store.folder / "authority.pem"
        path.write_text(archive.store.certificate_authority_pem)
        for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
            monkeypatch.setenv(name, str(path))


@pytest.mark.usefixtures("_poisoned")
def test_nothing_comes_from_the_process(archive: Archive, names: LoopbackProxy) -> None:
    client = archive.client(names)
    client.put("one", b"1")
    assert client.list() == ["one"]
    client.delete("one")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALG_S3_PREFIX", "USE_WALG_BACKUP"):
        with pytest.raises(UnusableError, match=name):
            archive.client(names, archive.with_changes(**{name: None}))
    assert_refused(archive, names, archive.with_changes(AWS_REGION=None), "AuthorizationHeaderMalformed")
    # Amazon itself then, whose names nobody knows here.
    elsewhere = archive.with_changes(AWS_ENDPOINT=None, WALE_S3_ENDPOINT=None)
    assert_refused(archive, names, elsewhere, r"amazonaws\.com")
    if archive.store.certificate_authority_pem:
        assert_refused(archive, names, archive.with_changes(WALG_S3_CA_CERT_FILE=None), "UnknownIssuer")


@only_virtual
def test_the_proxy_of_the_pod(archive: Archive, names: LoopbackProxy) -> None:
    """It is used for the endpoint's own scheme; where it is not, the name is looked up as any other."""
    scheme = archive.store.endpoint.partition(":")[0]
    other = {"http": "https", "https": "http"}[scheme]
    for variables, used in (
        ({f"{scheme}_proxy": "PROXY"}, True),
        ({f"{scheme}_proxy": "PROXY", "no_proxy": "elsewhere.test"}, True),
        ({}, False),
        ({f"{other}_proxy": "PROXY"}, False),
        ({f"{scheme.upper()}_PROXY": "PROXY"}, False),
        ({f"{scheme}_proxy": "PROXY", "no_proxy": archive.store.host}, False),
    ):
        with LoopbackProxy(archive.store) as proxy:
            changes = {name: value.replace("PROXY", proxy.url) for name, value in variables.items()}
            names.seen.clear()
            assert archive.client(names, archive.with_changes(**changes)).list() == []
            assert (len(proxy.seen), len(names.seen)) == ((1, 0) if used else (0, 1))
    with LoopbackProxy() as nobody:
        changes = {f"{scheme}_proxy": nobody.url}
        assert_refused(archive, names, archive.with_changes(**changes), "Error performing")
        assert len(nobody.seen) == 3


@pytest.mark.parametrize("archive", ["plain-virtual"], indirect=True)
def test_encryption_is_asked_for_in_the_request(archive: Archive, names: LoopbackProxy) -> None:
    """The server takes any: that it was asked for is seen on the way."""
    for variables, headers in (
        ({}, []),
        ({"WALG_S3_SSE": "AES256"}, ["x-amz-server-side-encryption: AES256"]),
        (
            {"WALG_S3_SSE": "aws:kms", "WALG_S3_SSE_KMS_ID": "key"},
            ["x-amz-server-side-encryption-aws-kms-key-id: key", "x-amz-server-side-encryption: aws:kms"],
        ),
    ):
        archive.client(names, archive.with_changes(**variables)).put("one", b"1")
        sent = [line for line in names.seen[-1].splitlines() if line.startswith("x-amz-server-side")]
        assert sorted(sent) == sorted(headers)


def test_in_the_place_of_a_cloud() -> None:
    """Names of a cloud without a port lead to a store here; its authority stands for those that images trust."""
    with (
        ObjectStore.start(region="eu-central-1", virtual_host_domain="s3.eu-central-1.amazonaws.com") as amazon,
        ObjectStore.start(region="auto", host="account.r2.cloudflarestorage.com") as cloudflare,
        LoopbackProxy(amazon, cloudflare) as names,
    ):
        for store, endpoint in ((amazon, None), (cloudflare, "https://account.r2.cloudflarestorage.com")):
            archive = Archive(store)
            environment = archive.with_changes(
                AWS_ENDPOINT=endpoint, WALE_S3_ENDPOINT=None, AWS_S3_FORCE_PATH_STYLE=None, WALG_S3_CA_CERT_FILE=None
            )
            client = client_from_environment(
                environment, names=names, system_authorities=store.certificate_authority_pem
            )
            client.put("one", b"1")
            assert store.keys(archive.bucket) == ["backups/db/17/one"]
            assert_refused(Archive(store), names, environment, "UnknownIssuer")
