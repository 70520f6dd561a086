"""Where an archive is looked for: what wal-g makes of the same variables, worked out a second time in tests/store."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planton.catalogue._address import address_of
from planton.catalogue._keys import keys_of
from planton.catalogue.bucket import open_bucket
from planton.errors import StoreError
from planton.translate.backup import CERTIFICATE
from planton.translate.secret_values import Credentials
from tests.catalogue.conftest import KEY_ID, SECRET, access
from tests.store.walg import Spilo, UnusableError, settings_of

hosts = st.sampled_from(["store.example", "127.0.0.1", "store.example:9000", "10.1.2.3:9000", "localhost:9000"])
exclusions = st.lists(
    st.sampled_from(
        ["*", "store.example", ".example", "example", "other", "store.example:9000", "bucket.store.example"]
    )
)


def maybe(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | value


@given(
    endpoint=maybe(
        st.tuples(st.sampled_from(["http://", "https://", ""]), hosts, st.sampled_from(["", "/"])).map("".join)
    ),
    convention=maybe(
        st.tuples(
            st.sampled_from(["http+path://", "https+virtualhost://", "http+virtualhost://", "https://"]), hosts
        ).map("".join)
    ),
    region=maybe(st.sampled_from(["eu-central-1", "auto"])),
    style=maybe(st.sampled_from(["true", "false"])),
    encryption=maybe(st.sampled_from(["AES256", "aws:kms"])),
    key=maybe(st.just("arn:aws:kms:x")),
    disabled=st.sampled_from(["true", "false", None]),
    http_proxy=maybe(st.sampled_from(["http://proxy:3128", "proxy:3128"])),
    https_proxy=maybe(st.sampled_from(["http://proxy:3128", "https://user:word@proxy"])),
    excluded=exclusions,
    spilo=st.sampled_from(["4.0", "4.1"]),
)
def test_it_is_what_walg_makes_of_the_variables(
    endpoint: str,
    convention: str,
    region: str,
    style: str,
    encryption: str,
    key: str,
    disabled: str | None,
    http_proxy: str,
    https_proxy: str,
    excluded: list[str],
    spilo: Spilo,
) -> None:
    # Here the two differ, and the older one is followed: planton never leaves it out.
    assume(disabled is not None or spilo == "4.0")
    variables = {
        "AWS_ENDPOINT": endpoint,
        "WALE_S3_ENDPOINT": convention,
        "AWS_REGION": region,
        "AWS_S3_FORCE_PATH_STYLE": style,
        "WALG_S3_SSE": encryption,
        "WALG_S3_SSE_KMS_ID": key,
        **({} if disabled is None else {"WALG_DISABLE_S3_SSE": disabled}),
        "http_proxy": http_proxy,
        "https_proxy": https_proxy,
        "no_proxy": ",".join(excluded),
    }
    reached = access("", variables=variables)
    pod = {
        **variables,
        "USE_WALG_BACKUP": "true",
        "WALG_S3_PREFIX": reached.prefix,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    reached = replace(reached, environment=variables)
    try:
        expected = settings_of(pod, files={}, spilo=spilo)
    except UnusableError as error:
        if "no host's name" in str(error):
            # There is an address, and no resolver knows it.
            return
        with pytest.raises(StoreError):
            address_of(reached)
        return
    found = address_of(reached)
    assert (found.bucket, found.path, found.region) == (expected.bucket, expected.path, expected.region)
    assert (found.path_style, found.proxy) == (expected.path_style, expected.proxy)
    assert f"{found.scheme}://{found.host}" == expected.endpoint
    assert (found.encryption, found.encryption_key_id) == (expected.encryption, expected.encryption_key_id)
    assert found.url.removeprefix(f"{found.scheme}://").partition(":")[0] == expected.host


@pytest.mark.parametrize(
    ("bucket", "scheme", "virtual"),
    [
        ("orders", "https", True),
        ("orders.example", "https", False),
        ("orders.example", "http", True),
        ("Orders", "https", False),
        ("a", "http", False),
        ("1.2.3.4", "http", False),
        ("a..b", "http", False),
        ("orders_1", "http", False),
    ],
)
def test_a_bucket_stands_before_the_host_only_where_it_can(bucket: str, scheme: str, virtual: bool) -> None:
    reached = access(f"{scheme}://s.example", f"s3://{bucket}/x", WALE_S3_ENDPOINT=f"{scheme}+virtualhost://s.example")
    assert address_of(reached).request_host == (f"{bucket}.s.example" if virtual else "s.example")


@pytest.mark.parametrize(
    ("excluded", "direct"),
    [
        ("10.0.0.0/8", True),
        ("10.1.2.3", True),
        ("10.1.2.3:9000", True),
        ("10.1.2.3:80", False),
        ("11.0.0.0/8, 10.1.2.0/24", True),
        ("10.1.2.4", False),
        ("", False),
    ],
)
def test_addresses_without_a_proxy(excluded: str, direct: bool) -> None:
    reached = access("http://10.1.2.3:9000", http_proxy="http://proxy:1", no_proxy=excluded)
    assert address_of(reached).proxy == ("" if direct else "http://proxy:1")


@pytest.mark.parametrize(
    ("prefix", "variables", "problem"),
    [
        ("s3://", {}, "no bucket"),
        ("s3://bucket/a//b", {}, "refused"),
        ("s3://bucket/a/../b", {}, "refused"),
        ("s3://bucket/a", {"AWS_ENDPOINT": "ftp://store"}, "unreachable"),
        ("s3://bucket/a", {"AWS_ENDPOINT": "https://store:port"}, "unreachable"),
        ("s3://bucket/a", {"AWS_ENDPOINT": "https://[::1"}, "unreachable"),
        ("s3://bucket/a", {"AWS_ENDPOINT": "", "AWS_REGION": ""}, "region"),
        ("s3://bucket/a", {"WALG_S3_SSE": "aws:kms"}, "refused"),
        ("s3://bucket/a", {"WALG_S3_CA_CERT_FILE": "/ca"}, "certificate"),
    ],
)
def test_what_leads_to_no_store(prefix: str, variables: dict[str, str], problem: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_bucket(access("https://store.example", prefix, variables=variables))
    assert caught.value.problem == problem
    assert caught.value.remedy


def test_encryption_where_nothing_is_said() -> None:
    """Spilo 4.0-p3, configure_spilo.py (write_wale_environment): with an endpoint an empty word is none, too."""
    for endpoint, said, asked in (
        ("https://store.example", None, ""),
        ("https://store.example", "", ""),
        ("https://store.example", "false", "AES256"),
        ("", None, "AES256"),
        ("", "", "AES256"),
        ("", "true", ""),
    ):
        reached = access(endpoint)
        environment = {name: value for name, value in reached.environment.items() if name != "WALG_DISABLE_S3_SSE"}
        if said is not None:
            environment["WALG_DISABLE_S3_SSE"] = said
        assert address_of(replace(reached, environment=environment)).encryption == asked


def test_what_people_see_of_an_address() -> None:
    for endpoint, prefix, subject in (
        ("https://store.example:9000/", "s3://bucket/a/b", "s3://bucket/a/b at store.example:9000"),
        ("https://user:SENTINEL@store.example", "s3://bucket", "s3://bucket at store.example"),
        ("", "s3://bucket/a", "s3://bucket/a at s3.eu-test-1.amazonaws.com"),
        ("http://[::1]:9000", "s3://bucket/a", "s3://bucket/a at [::1]:9000"),
    ):
        found = address_of(access(endpoint, prefix, https_proxy="http://user:SENTINEL@proxy:1"))
        assert found.subject == subject
        assert "SENTINEL" not in repr(found) + found.proxy_host
    china = address_of(access("", AWS_REGION="cn-north-1"))
    assert china.host == "s3.cn-north-1.amazonaws.com.cn"


def test_keys_are_read_as_far_as_walg_gets_them() -> None:
    """Spilo's folder passes on the first line, without blanks at its end: a newline at the end of a Secret is none."""
    reached = access("http://127.0.0.1:1", keys=(f"{KEY_ID}\n", f"{SECRET} \nmore"))
    assert dict(keys_of(reached, Credentials({}), address_of(reached)).reveal()) == {
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
    }


def test_identities_of_this_process_in_their_order() -> None:
    reached = replace(access("http://127.0.0.1:1"), contents=Credentials({}), references={})
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}
    container = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/creds"}
    static = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "token"}
    for environment, expected in (
        ({**web, **container, **static}, ("access_key_id", "secret_access_key", "session_token")),
        ({**web, **container}, ("role_arn", "web_identity_token_file")),
        (container, ("container_credentials_relative_uri",)),
    ):
        assert keys_of(reached, Credentials(environment), address_of(reached)).keys() == expected
    for environment in ({}, {"AWS_ACCESS_KEY_ID": KEY_ID}, {"AWS_ROLE_ARN": "arn"}):
        with pytest.raises(StoreError, match="identity of their cloud"):
            keys_of(reached, Credentials(environment), address_of(reached))


def test_the_certificate_is_read_from_the_access() -> None:
    reached = access("https://store.example", authority="-----BEGIN CERTIFICATE-----")
    assert address_of(reached).authority == reached.certificates.reveal()[CERTIFICATE]


def test_the_library_is_imported_only_when_a_bucket_is_opened() -> None:
    code = "import sys, planton.catalogue.probe; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


STATIC = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "token"}


@pytest.mark.parametrize(
    ("variables", "are_lent"),
    [
        ({}, True),
        ({"AWS_ENDPOINT": "https://s3.eu-central-1.amazonaws.com"}, True),
        ({"AWS_ENDPOINT": "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com"}, True),
        ({"AWS_ENDPOINT": "http://127.0.0.1:9000"}, True),
        ({"AWS_ENDPOINT": "https://store.example"}, False),
        ({"AWS_ENDPOINT": "http://s3.eu-central-1.amazonaws.com"}, False),
        ({"AWS_ENDPOINT": "https://s3.amazonaws.com.store.example"}, False),
        ({"AWS_ENDPOINT": "https://s3.amazonaws.com@store.example"}, False),
        ({"WALE_S3_ENDPOINT": "https+path://store.example"}, False),
        # It becomes a part of the host's name.
        ({"AWS_REGION": "store.example/"}, False),
        ({"AWS_REGION": "x@store.example:443/"}, False),
    ],
)
def test_credentials_of_this_process_go_to_amazon_alone(variables: dict[str, str], are_lent: bool) -> None:
    """Whoever may write a custom resource says where its archive is, and must not be sent a session token by that."""
    reached = access("", keys=None, variables=variables)
    if are_lent:
        assert keys_of(reached, Credentials(STATIC), address_of(reached)).reveal()["session_token"] == "token"
    else:
        with pytest.raises(StoreError, match="sent to Amazon S3 only") as caught:
            open_bucket(reached, environment=STATIC)
        assert caught.value.problem == "credentials"


def test_no_token_is_changed_into_keys_by_the_authority_of_an_archive() -> None:
    """With a proxy of its own such an archive would read the token of a web identity on its way."""
    reached = access("", keys=None, authority="-----BEGIN CERTIFICATE-----")
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}
    with pytest.raises(StoreError, match="identity of their cloud"):
        keys_of(reached, Credentials(web), address_of(reached))
    assert keys_of(reached, Credentials(STATIC), address_of(reached))
    assert keys_of(reached, Credentials(web), address_of(access(""))).keys() == ("role_arn", "web_identity_token_file")


def test_an_endpoint_with_a_path_is_refused() -> None:
    """wal-g puts the path before the bucket: what were read here would be another, empty archive."""
    for endpoint in ("https://account.r2.cloudflarestorage.com/bucket", "https://store.example/a/"):
        with pytest.raises(StoreError, match="has a path behind its host"):
            address_of(access(endpoint))
    assert address_of(access("https://store.example/")).host == "store.example"


def test_variables_of_this_process_are_whole_while_a_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads open buckets at once, and each hides the variables of this process for a moment."""
    for name, value in STATIC.items():
        monkeypatch.setenv(name, value)
    reached = access("", keys=None)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            opened = list(threads.map(lambda _: open_bucket(reached), range(200)))
    finally:
        sys.setswitchinterval(before)
    assert len(opened) == 200
