"""For each store: what is emitted, to the letter, and what wal-g makes of it under both versions of Spilo."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import planton
from tests.translate import spilo_model
from tests.translate.stores import (
    CERTIFICATE,
    DATABASE_CERTIFICATE,
    DATABASE_KEYS,
    EXISTING,
    KMS_KEY,
    OPERATOR_KEYS,
    STORES,
    VERSIONS,
    database,
    operator,
)

OPERATOR_STORES = ("r2-short", *STORES)
Objects = dict[tuple[str, str, str], Any]


def objects(text: str) -> Objects:
    rendered = planton.render(planton.loads(text), existing=EXISTING)
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in rendered}


def decoded(secret: Any) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


SWITCHES = {
    "BACKUP_SCHEDULE": "0 2 * * *",
    "CLONE_USE_WALG_RESTORE": "true",
    "USE_WALG_BACKUP": "true",
    "USE_WALG_RESTORE": "true",
    "WALG_S3_PREFIX": "s3://operator-bucket/backups/$(SCOPE)/$(PGVERSION)",
}
BY_ENDPOINT = {"AWS_S3_FORCE_PATH_STYLE": "true", "WALG_DISABLE_S3_SSE": "true"}
NEVER_BY_PROXY = "169.254.169.254,localhost,127.0.0.1,.svc,.cluster.local"

# What the backup ConfigMap says of each store, besides the switches.
CONFIGMAPS: dict[str, dict[str, str]] = {
    "r2-short": {
        "AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
        "AWS_REGION": "auto",
        **BY_ENDPOINT,
    },
    "r2": {"AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com", "AWS_REGION": "auto", **BY_ENDPOINT},
    "r2-eu": {"AWS_ENDPOINT": "https://account.eu.r2.cloudflarestorage.com", "AWS_REGION": "auto", **BY_ENDPOINT},
    "aws": {"AWS_REGION": "eu-central-1", "WALG_S3_SSE": "AES256"},
    "aws-kms": {"AWS_REGION": "eu-central-1", "WALG_S3_SSE": "aws:kms", "WALG_S3_SSE_KMS_ID": KMS_KEY},
    "aws-no-encryption": {"AWS_REGION": "eu-central-1", "WALG_DISABLE_S3_SSE": "true"},
    "aws-proxy": {
        "AWS_REGION": "eu-central-1",
        "WALG_S3_SSE": "AES256",
        "https_proxy": "http://proxy.example.com:3128",
        "no_proxy": f"{NEVER_BY_PROXY},.example.com",
    },
    "google": {"AWS_ENDPOINT": "https://storage.googleapis.com", "AWS_REGION": "auto", **BY_ENDPOINT},
    "minio": {
        "AWS_ENDPOINT": "https://minio.example.com:9000",
        "AWS_REGION": "us-east-1",
        **BY_ENDPOINT,
    },
    "minio-encryption": {
        "AWS_ENDPOINT": "https://minio.example.com:9000",
        "AWS_REGION": "us-east-1",
        "AWS_S3_FORCE_PATH_STYLE": "true",
        "WALG_S3_SSE": "AES256",
    },
    "minio-plain": {
        "AWS_ENDPOINT": "http://minio:9000",
        "AWS_REGION": "us-east-1",
        "http_proxy": "http://proxy:3128",
        "no_proxy": NEVER_BY_PROXY,
        **BY_ENDPOINT,
    },
    "ceph": {
        "AWS_ENDPOINT": "https://ceph.example.com",
        "AWS_REGION": "default",
        "AWS_S3_FORCE_PATH_STYLE": "false",
        "WALE_S3_ENDPOINT": "https+virtualhost://ceph.example.com",
        "WALG_DISABLE_S3_SSE": "true",
    },
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", OPERATOR_STORES)
def test_what_the_operator_says_of_its_store(store: str, version: str) -> None:
    found = objects(operator(version, store=store) + database())
    backup = found["ConfigMap", "postgres-operator", "postgres-pod-backup-config"]
    assert backup["data"] == {**SWITCHES, **CONFIGMAPS[store]}
    expected = {"AWS_ACCESS_KEY_ID": OPERATOR_KEYS[0], "AWS_SECRET_ACCESS_KEY": OPERATOR_KEYS[1]}
    name = "r2-postgres-backup-credentials"
    if store == "minio":
        # Not in the ConfigMap: the pods get the path with the file, when the operator is told of both.
        expected["WALG_S3_CA_CERT_FILE"] = "/etc/planton/backup-files/ca.crt"
        name = "r2-postgres-backup-credentials-ca"
    for namespace in ("postgres-operator", "orders"):
        secret = found["Secret", namespace, name]
        assert (secret["type"], decoded(secret)) == ("Opaque", expected)
    settings = found["ConfigMap", "postgres-operator", "postgres-operator"]["data"]
    assert settings["pod_environment_configmap"] == "postgres-operator/postgres-pod-backup-config"
    assert settings["pod_environment_secret"] == name
    mount = {name: value for name, value in settings.items() if name.startswith("additional_secret_mount")}
    files = {key[1] for key in found if key[::2] == ("Secret", "postgres-backup-files")}
    if store == "minio":
        assert mount == {
            "additional_secret_mount": "postgres-backup-files",
            "additional_secret_mount_path": "/etc/planton/backup-files",
        }
        assert files == {"postgres-operator", "orders"}
        assert decoded(found["Secret", "orders", "postgres-backup-files"]) == {"ca.crt": CERTIFICATE}
    else:
        assert not mount
        assert not files
    assert not {"pod_service_account_definition", "irsa_role_arn"} & set(settings)
    assert not [key for key in found if key[0] == "ServiceAccount" and key[2] == "postgres-pod"]
    # Whatever the store: a database that says nothing carries nothing.
    assert "env" not in found["postgresql", "orders", "db-orders"]["spec"]
    assert "additionalVolumes" not in found["postgresql", "orders", "db-orders"]["spec"]


# Over an operator without a store of its own, a database says it itself.
SWITCHED_ON: dict[bool, dict[str, Any]] = {True: {}, False: {"enable_backup": True}}
NOTHING = {
    "AWS_ENDPOINT": "",
    "WALE_S3_ENDPOINT": "",
    "WALG_S3_CA_CERT_FILE": "",
    "WALG_S3_SSE": "",
    "WALG_S3_SSE_KMS_ID": "",
    "http_proxy": "",
    "https_proxy": "",
    "no_proxy": "",
}

# What the custom resource of a database with such a store of its own says: every variable of every store.
OVERRIDES: dict[str, dict[str, str]] = {
    "r2": {**NOTHING, **CONFIGMAPS["r2"]},
    "r2-eu": {**NOTHING, **CONFIGMAPS["r2-eu"]},
    "aws": {
        **NOTHING,
        "AWS_REGION": "eu-central-1",
        "AWS_S3_FORCE_PATH_STYLE": "false",
        "WALG_DISABLE_S3_SSE": "false",
        "WALG_S3_SSE": "AES256",
    },
    "aws-kms": {
        **NOTHING,
        "AWS_REGION": "eu-central-1",
        "AWS_S3_FORCE_PATH_STYLE": "false",
        "WALG_DISABLE_S3_SSE": "false",
        "WALG_S3_SSE": "aws:kms",
        "WALG_S3_SSE_KMS_ID": KMS_KEY,
    },
    "aws-no-encryption": {
        **NOTHING,
        "AWS_REGION": "eu-central-1",
        "AWS_S3_FORCE_PATH_STYLE": "false",
        "WALG_DISABLE_S3_SSE": "true",
    },
    "aws-proxy": {
        **NOTHING,
        "AWS_REGION": "eu-central-1",
        "AWS_S3_FORCE_PATH_STYLE": "false",
        "WALG_DISABLE_S3_SSE": "false",
        "WALG_S3_SSE": "AES256",
        "https_proxy": "http://proxy.example.com:3128",
        "no_proxy": f"{NEVER_BY_PROXY},.example.com",
    },
    "google": {**NOTHING, **CONFIGMAPS["google"]},
    "minio": {**NOTHING, **CONFIGMAPS["minio"], "WALG_S3_CA_CERT_FILE": "/etc/planton/store-ca/ca.crt"},
    "minio-encryption": {**NOTHING, **CONFIGMAPS["minio-encryption"], "WALG_DISABLE_S3_SSE": "false"},
    "minio-plain": {**NOTHING, **CONFIGMAPS["minio-plain"]},
    "ceph": {**NOTHING, **CONFIGMAPS["ceph"]},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", STORES)
def test_what_a_database_says_of_its_own_store(store: str, version: str) -> None:
    """It says the same over every operator, and over none it switches backups on by itself."""
    own = "db-orders-backup-credentials"
    references: list[dict[str, Any]] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": own, "key": name}}}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    ]
    literal = {**OVERRIDES[store], "WALG_S3_PREFIX": "s3://database-bucket/backups/$(SCOPE)/$(PGVERSION)"}
    for over in (*OPERATOR_STORES, ""):
        text = operator(version, store=over) + database(store, **SWITCHED_ON[bool(over)])
        found = objects(text)
        cluster = found["postgresql", "orders", "db-orders"]["spec"]
        more = {} if over else {"USE_WALG_BACKUP": "true"}
        values: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in {**literal, **more}.items()]
        assert cluster["env"] == sorted([*references, *values], key=lambda entry: str(entry["name"])), over
        assert decoded(found["Secret", "orders", own]) == {
            "AWS_ACCESS_KEY_ID": DATABASE_KEYS[0],
            "AWS_SECRET_ACCESS_KEY": DATABASE_KEYS[1],
        }
        volumes = cluster.get("additionalVolumes", [])
        if store != "minio":
            assert not volumes
            continue
        assert volumes == [
            {
                "name": "db-orders-store-ca",
                "mountPath": "/etc/planton/store-ca",
                "targetContainers": ["postgres"],
                "volumeSource": {"secret": {"secretName": "db-orders-store-ca"}},
            }
        ]
        assert decoded(found["Secret", "orders", "db-orders-store-ca"]) == {"ca.crt": DATABASE_CERTIFICATE}


def judged(text: str, version: str) -> tuple[spilo_model.Archive | None, dict[str, str]]:
    rendering = planton.render(planton.loads(text), existing=EXISTING)
    environment = spilo_model.pod_environment(rendering, "db-orders", "orders")
    files = spilo_model.mounted_files(rendering, "db-orders", "orders")
    return spilo_model.archive(environment, spilo_model.SPILO[version]), files


def is_as_wanted(store: str, text: str, version: str, keys: tuple[str, str], certificate: str) -> None:
    wanted = STORES["r2" if store == "r2-short" else store][1]
    archive, files = judged(text, version)
    assert archive is not None
    assert archive.endpoint == wanted.endpoint
    assert archive.region == wanted.region
    assert archive.path_style == wanted.path_style
    assert archive.encryption == wanted.encryption
    assert archive.kms_key == wanted.kms_key
    assert archive.proxy == wanted.proxy
    assert bool(archive.variables.get("no_proxy")) == bool(wanted.proxy)
    assert archive.keys == keys
    if wanted.has_authority:
        assert files[archive.authority] == certificate
    else:
        assert archive.authority == ""
    assert archive.cipher == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", OPERATOR_STORES)
def test_what_wal_g_makes_of_the_operators_store(store: str, version: str) -> None:
    is_as_wanted(store, operator(version, store=store) + database(), version, OPERATOR_KEYS, CERTIFICATE)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("over", [*OPERATOR_STORES, ""])
@pytest.mark.parametrize("store", STORES)
def test_nothing_of_the_operators_store_shines_through(store: str, over: str, version: str) -> None:
    text = operator(version, store=over) + database(store, **SWITCHED_ON[bool(over)])
    is_as_wanted(store, text, version, DATABASE_KEYS, DATABASE_CERTIFICATE)
    archive, _ = judged(text, version)
    assert archive is not None
    assert archive.prefix == "s3://database-bucket/backups/$(SCOPE)/$(PGVERSION)"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", OPERATOR_STORES)
@pytest.mark.parametrize(
    ("on_operator", "on_database", "is_on"),
    [
        (True, None, True),
        (True, True, True),
        (True, False, False),
        (False, None, False),
        (False, True, True),
        (False, False, False),
    ],
)
def test_the_switches_are_what_they_say(
    store: str, on_operator: bool, on_database: bool | None, is_on: bool, version: str
) -> None:
    """Model and message agree, whatever the store: 4.0 asks for the switch, 4.1 for the address alone."""
    config: dict[str, Any] = {} if on_database is None else {"enable_backup": on_database}
    for own in ("", "aws", "minio"):
        text = operator(version, store=store, enable_wal_g_backup=on_operator) + database(own, **config)
        archive, _ = judged(text, version)
        assert (archive is not None) == is_on
        if archive is not None:
            assert archive.keys == (DATABASE_KEYS if own else OPERATOR_KEYS)


@pytest.mark.parametrize("version", VERSIONS)
def test_keys_of_its_own_in_the_operators_store(version: str) -> None:
    credentials = {
        "access_key_id": {"value": DATABASE_KEYS[0]},
        "secret_access_key": {"value": DATABASE_KEYS[1]},
    }
    for store in OPERATOR_STORES:
        text = operator(version, store=store) + database(credentials=credentials)
        is_as_wanted(store, text, version, DATABASE_KEYS, CERTIFICATE)


@pytest.mark.parametrize("name", ["additional_secret_mount", "additional_secret_mount_path"])
def test_the_mount_for_the_certificate_is_taken(name: str) -> None:
    text = operator(store="minio").replace('"container"', f'"operator_settings": {{"{name}": "x"}}, "container"')
    with pytest.raises(planton.ManifestError) as caught:
        planton.render(planton.loads(text), existing=EXISTING)
    (problem,) = caught.value.problems
    assert problem.path == f'spec.operator_settings["{name}"]'
    assert "certificate_authority, which is mounted by it" in problem.message
    # Without a certificate it is the user's own.
    assert planton.render(
        planton.loads(
            text.replace('"ca.crt"', '"x"')
            .replace("certificate_authority", "proxy")
            .replace('{"file": "x"}', '{"url": "http://proxy"}')
        )
    )
