"""What Spilo and wal-g make of an environment: the rules themselves, without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from tests.store.walg import Spilo, StoreSettings, UnusableError, pod_environment, settings_of

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
GIVEN = {
    "USE_WALG_BACKUP": "true",
    "WALG_S3_PREFIX": "s3://bucket/some/path/17/",
    "AWS_ENDPOINT": "https://s3.example.test:9000",
    "AWS_REGION": "eu-test-1",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "WALG_DISABLE_S3_SSE": "true",
}
BOTH = pytest.mark.parametrize("spilo", ["4.0", "4.1"])


def settings(spilo: Spilo = "4.0", /, **changes: str | None) -> StoreSettings:
    return settings_of(given(**changes), spilo=spilo, files={})


def given(**changes: str | None) -> dict[str, str]:
    return {name: value for name, value in {**GIVEN, **changes}.items() if value is not None}


@BOTH
def test_an_endpoint_of_ones_own(spilo: Spilo) -> None:
    assert settings(spilo) == StoreSettings(
        bucket="bucket",
        path="some/path/17",
        endpoint="https://s3.example.test:9000",
        region="eu-test-1",
        path_style=True,
        access_key_id="id",
        secret_access_key="secret",
    )
    assert "'secret'" not in repr(settings(spilo))


@BOTH
@pytest.mark.parametrize("asked", ["false", "true", "nonsense", None])
def test_path_style_is_what_the_endpoint_makes_it(spilo: Spilo, asked: str | None) -> None:
    assert settings(spilo, AWS_S3_FORCE_PATH_STYLE=asked).path_style
    virtual = settings(
        spilo, AWS_S3_FORCE_PATH_STYLE=asked, WALE_S3_ENDPOINT="https+virtualhost://s3.example.test:9000"
    )
    assert not virtual.path_style
    assert virtual.host == "bucket.s3.example.test"
    assert settings(spilo, WALE_S3_ENDPOINT="https+path://s3.example.test").path_style
    assert settings(spilo, WALE_S3_ENDPOINT="https://s3.example.test").path_style


def test_the_endpoint_variable_of_each_version() -> None:
    """4.1 reads the WALG_ name, and the WALE_ one in its place; an empty twin masks it."""
    virtual = "https+virtualhost://s3.example.test"
    assert settings("4.0", WALG_S3_ENDPOINT=virtual).path_style
    assert not settings("4.1", WALG_S3_ENDPOINT=virtual).path_style
    assert settings("4.1", WALG_S3_ENDPOINT="", WALE_S3_ENDPOINT=virtual).path_style
    assert settings("4.0", AWS_ENDPOINT=None, WALE_S3_ENDPOINT=virtual).endpoint == "https://s3.example.test"


@BOTH
def test_amazon(spilo: Spilo) -> None:
    assert settings(spilo, AWS_ENDPOINT=None).host == "bucket.s3.eu-test-1.amazonaws.com"
    assert settings(spilo, AWS_ENDPOINT=None, AWS_S3_FORCE_PATH_STYLE="1").host == "s3.eu-test-1.amazonaws.com"
    with pytest.raises(UnusableError, match="no truth value"):
        settings(spilo, AWS_ENDPOINT=None, AWS_S3_FORCE_PATH_STYLE="yes")
    with pytest.raises(UnusableError, match="AWS_REGION"):
        settings(spilo, AWS_ENDPOINT=None, AWS_REGION=None)


@BOTH
def test_without_a_region_it_is_that_of_the_sdk(spilo: Spilo) -> None:
    assert settings(spilo, AWS_REGION=None).region == settings(spilo, AWS_REGION="").region == "us-east-1"


@BOTH
@pytest.mark.parametrize("name", ["WALG_S3_PREFIX", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize("value", ["", None])
def test_what_cannot_be_missing(spilo: Spilo, name: str, value: str | None) -> None:
    with pytest.raises(UnusableError, match=name):
        settings(spilo, **{name: value})


@pytest.mark.parametrize("value", [None, "", "false", "True"])
def test_the_switch(value: str | None) -> None:
    """4.1 archives whatever it says, 4.0 by another program."""
    assert settings("4.1", USE_WALG_BACKUP=value).bucket == "bucket"
    with pytest.raises(UnusableError, match="USE_WALG_BACKUP"):
        settings("4.0", USE_WALG_BACKUP=value)


@pytest.mark.parametrize("prefix", ["bucket/path", "gs://bucket/path", "s3:///path", "s3://bucket/$(SCOPE)"])
def test_what_is_no_address(prefix: str) -> None:
    with pytest.raises(UnusableError, match="WALG_S3_PREFIX"):
        settings(WALG_S3_PREFIX=prefix)


@pytest.mark.parametrize(
    ("disabled", "endpoint", "old", "new"),
    [
        (None, False, "AES256", "AES256"),
        (None, True, "", "AES256"),
        ("true", False, "", ""),
        ("true", True, "", ""),
        ("false", False, "AES256", "AES256"),
        ("false", True, "AES256", "AES256"),
        ("True", True, "AES256", "AES256"),
    ],
)
def test_encryption_by_the_store(disabled: str | None, endpoint: bool, old: str, new: str) -> None:
    changes = {"WALG_DISABLE_S3_SSE": disabled, "AWS_ENDPOINT": GIVEN["AWS_ENDPOINT"] if endpoint else None}
    assert settings("4.0", **changes).encryption == old
    assert settings("4.1", **changes).encryption == new


@BOTH
def test_encryption_that_was_asked_for(spilo: Spilo) -> None:
    assert settings(spilo, WALG_S3_SSE="AES256").encryption == "AES256"
    kms = settings(spilo, WALG_S3_SSE="aws:kms", WALG_S3_SSE_KMS_ID="key")
    assert (kms.encryption, kms.encryption_key_id) == ("aws:kms", "key")
    for method, key in (("aws:kms", ""), ("AES256", "key"), ("", "key")):
        with pytest.raises(UnusableError, match="WALG_S3_SSE_KMS_ID"):
            settings(spilo, WALG_S3_SSE=method, WALG_S3_SSE_KMS_ID=key)


@pytest.mark.parametrize("endpoint", ["https://s3.example.test", "http://s3.example.test"])
def test_the_certificate_is_read_with_every_endpoint(endpoint: str) -> None:
    changed = given(AWS_ENDPOINT=endpoint, WALG_S3_CA_CERT_FILE="/etc/ca.pem")
    assert settings_of(changed, files={"/etc/ca.pem": CERTIFICATE}).certificate_authority == CERTIFICATE
    nothing: list[dict[str, str]] = [{}, {"/etc/other.pem": CERTIFICATE}, {"/etc/ca.pem": ""}]
    for files in nothing:
        with pytest.raises(UnusableError, match="WALG_S3_CA_CERT_FILE"):
            settings_of(changed, files=files)


def test_the_certificate_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(UnusableError, match="no file"):
        settings_of(given(WALG_S3_CA_CERT_FILE=str(path)))
    path.write_text(CERTIFICATE)
    assert settings_of(given(WALG_S3_CA_CERT_FILE=str(path))).certificate_authority == CERTIFICATE


def test_only_the_first_line_arrives() -> None:
    assert settings(AWS_REGION="eu-test-1 \nsecond").region == "eu-test-1"


@pytest.mark.parametrize(
    ("endpoint", "no_proxy", "used"),
    [
        ("https://s3.example.test", "", "http://tls.test:1"),
        ("http://s3.example.test", "", "http://plain.test:1"),
        ("https://127.0.0.1:9000", "", ""),
        ("https://localhost:9000", "", ""),
        ("https://s3.example.test", "*", ""),
        ("https://s3.example.test", "other.test, example.test", ""),
        ("https://s3.example.test", "s3.example.test", ""),
        ("https://s3.example.test", "xample.test", "http://tls.test:1"),
        ("https://s3.example.test", ".s3.example.test", "http://tls.test:1"),
        ("https://s3.example.test", "s3.example.test:443", ""),
        ("https://s3.example.test", "s3.example.test:80", "http://tls.test:1"),
    ],
)
def test_the_proxy(endpoint: str, no_proxy: str, used: str) -> None:
    changes = {"https_proxy": "http://tls.test:1", "http_proxy": "plain.test:1", "no_proxy": no_proxy}
    assert settings(AWS_ENDPOINT=endpoint, **changes).proxy == used
    # In upper case they do not pass Spilo.
    upper = {name.upper(): value for name, value in changes.items()}
    assert settings(AWS_ENDPOINT=endpoint, **upper).proxy == ""


@BOTH
@pytest.mark.parametrize("source", ["CLONE_", "STANDBY_"])
def test_another_source_inherits_nothing(spilo: Spilo, source: Literal["CLONE_", "STANDBY_"]) -> None:
    theirs = {source + name: value for name, value in GIVEN.items() if name != "USE_WALG_BACKUP"}
    own = dict.fromkeys(GIVEN, "of-the-database")
    assert settings_of({**own, **theirs}, spilo=spilo, variable_prefix=source).bucket == "bucket"
    del theirs[f"{source}AWS_SECRET_ACCESS_KEY"]
    with pytest.raises(UnusableError, match="AWS_SECRET_ACCESS_KEY"):
        settings_of({**own, **theirs}, spilo=spilo, variable_prefix=source)


def test_an_address_has_no_names_below_it() -> None:
    with pytest.raises(UnusableError, match="no host's name"):
        settings(AWS_ENDPOINT="https://127.0.0.1:1", WALE_S3_ENDPOINT="https+virtualhost://127.0.0.1:1")


def test_the_environment_of_a_pod() -> None:
    entries: list[dict[str, Any]] = [
        {"name": "EARLY", "value": "$(SCOPE)"},
        {"name": "SCOPE", "value": "db"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "storage", "key": "id"}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "PREFIX", "value": "s3://bucket/$(NAMESPACE)/$(SCOPE)/$$(SCOPE)/$(NOBODY)"},
        {"name": "EMPTY"},
        {"name": "TWICE", "value": "one"},
        {"name": "TWICE", "value": "two"},
    ]
    made = pod_environment(entries, {"storage": {"id": "$(SCOPE)"}}, {"metadata.namespace": "space"})
    assert made == {
        "EARLY": "$(SCOPE)",
        "SCOPE": "db",
        "KEY": "$(SCOPE)",
        "NAMESPACE": "space",
        "PREFIX": "s3://bucket/space/db/$(SCOPE)/$(NOBODY)",
        "EMPTY": "",
        "TWICE": "two",
    }
    with pytest.raises(KeyError):
        pod_environment(entries, {"storage": {}}, {"metadata.namespace": "space"})
