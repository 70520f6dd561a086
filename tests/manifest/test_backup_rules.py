"""Which fields of backup_config go together, which contradict, and what each may hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from planton.errors import ManifestError, Problem
from planton.manifest import loads
from tests.manifest.support import DATABASE_HEAD, OPERATOR_HEAD

Config = dict[str, Any]

KEYS: Config = {
    "access_key_id": {"environment_variable": "STORE_ID"},
    "secret_access_key": {"environment_variable": "STORE_KEY"},
}
IDENTITY: Config = {"cloud_identity": {}}
R2: Config = {"cloudflare_account_id": "abc123", "bucket_name": "postgres-backups"}
R2_WITH_KEYS: Config = {**R2, "access_key_id": "AKIDAKIDAKID", "secret_access_key": "a-secret-of-r2"}
AWS: Config = {"region": "eu-central-1"}


def storage(store: str = "aws_s3", given: Config | None = None, **more: Any) -> Config:
    return {"bucket_name": "postgres-backups", store: AWS if given is None else given, **more}


def compatible(endpoint: str, **more: Any) -> Config:
    return storage("s3_compatible", {"endpoint": endpoint, **more})


MINIO = compatible("https://minio.example.com:9000")
GOOGLE = storage("google_cloud_storage", {})
R2_STORAGE = storage("cloudflare_r2", {"cloudflare_account_id": "abc123"})


ASKED: tuple[Config, ...] = ({"store_key": {}}, {"kms_key": {"key_id": "a"}})


def operator(**config: Any) -> str:
    spec = {"backup_config": {"backup_schedule": "0 2 * * *", **config}}
    return f"{OPERATOR_HEAD}spec: {json.dumps(spec)}\n"


def complete(**config: Any) -> str:
    """Writes an operator with a store and keys that are right, changed by what is given."""
    return operator(**{"storage": storage(), "credentials": KEYS, **config})


def database(**config: Any) -> str:
    return f"{DATABASE_HEAD}spec: {json.dumps({'backup_config': config})}\n"


def found(text: str) -> Config:
    """Gives path below backup_config -> what is wrong."""
    problems: Sequence[Problem] = ()
    try:
        loads(text)
    except ManifestError as error:
        problems = error.problems
    assert all(problem.origin.line > 0 for problem in problems), problems
    return {one.path.removeprefix("spec.backup_config."): one.message for one in problems}


@pytest.mark.parametrize(
    "text",
    [
        operator(r2_config=R2_WITH_KEYS),
        operator(r2_config=R2, credentials=KEYS),
        complete(),
        complete(storage=MINIO),
        complete(storage=GOOGLE),
        complete(storage=R2_STORAGE),
        complete(storage=storage("cloudflare_r2", {"cloudflare_account_id": "a", "jurisdiction": "eu"})),
        complete(credentials=IDENTITY),
        complete(credentials={"cloud_identity": {"aws_role_arn": "arn:aws-cn:iam::123456789012:role/a/b"}}),
        complete(storage=compatible("http://minio:9000")),
        complete(storage=compatible("https://10.0.0.1:9000")),
        complete(storage=compatible("https://ceph.example.com", force_path_style=False)),
        complete(storage=storage(server_side_encryption={"none": {}})),
        complete(storage=storage(server_side_encryption={"kms_key": {"key_id": "alias/backups"}})),
        complete(storage={**GOOGLE, "server_side_encryption": {"none": {}}}),
        complete(storage={**MINIO, "certificate_authority": {"file": "ca.crt"}}),
        complete(storage={**MINIO, "proxy": {"url": "http://proxy:3128", "no_proxy": [".local", "10.0.0.0/8", "a"]}}),
        complete(encryption={"libsodium": {"key": {"file": "key"}, "transform": "hex"}}),
        complete(encryption={"pgp": {"key": {"secret": {"name": "pgp", "key": "private.asc"}}}}),
        complete(retention={"backups_and_days": 2}, tuning={"delta_max_steps": 0}),
        complete(tuning={"network_rate_limit": "1Mi", "disk_rate_limit": "1.5Gi"}),
        # What aws_s3 cannot say.
        complete(storage=compatible("https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com")),
        complete(storage=compatible("https://s3-fips.us-gov-west-1.amazonaws.com")),
        complete(storage=compatible("https://notamazonaws.com")),
        database(storage=MINIO, credentials=KEYS),
        database(credentials=KEYS),
        database(credentials=IDENTITY),
        database(encryption={"none": {}}),
        database(retention={"backups_and_days": 3650}),
    ],
)
def test_what_goes_together(text: str) -> None:
    assert found(text) == {}


NO_STORE = "is required: the object store and its bucket (or r2_config, the short form for Cloudflare R2)"
BESIDE = "is given beside credentials: keep one of them"
NO_KEY = "is missing or empty (or give credentials, which can refer to keys elsewhere)"
TOGETHER = "is missing: access_key_id and secret_access_key go together"
ENCRYPTED_BY_ITSELF = "is refused by this store, which encrypts everything by itself: leave it out"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # One store.
        (
            operator(),
            {"storage": NO_STORE},
        ),
        (
            operator(r2_config=R2, storage=storage(), credentials=KEYS),
            {"storage": "is given beside r2_config: there is one object store, keep one of them"},
        ),
        (
            complete(storage={"bucket_name": "postgres-backups"}),
            {"storage": "holds nothing: give one of aws_s3, google_cloud_storage, cloudflare_r2, s3_compatible"},
        ),
        (
            complete(storage={**storage(), "cloudflare_r2": {"cloudflare_account_id": "a"}}),
            {"storage.cloudflare_r2": "excludes aws_s3, which is given as well: keep one of them"},
        ),
        (complete(storage={"aws_s3": AWS}), {"storage.bucket_name": "is missing or empty"}),
        (complete(storage=storage("aws_s3", {})), {"storage.aws_s3.region": "is missing or empty"}),
        (
            complete(storage=storage("cloudflare_r2", {})),
            {"storage.cloudflare_r2.cloudflare_account_id": "is missing or empty"},
        ),
        (
            complete(storage=storage("cloudflare_r2", {"cloudflare_account_id": "a", "jurisdiction": "us"})),
            {"storage.cloudflare_r2.jurisdiction": "must be one of eu, fedramp"},
        ),
        # Credentials: a pair of keys or an identity.
        (
            operator(storage=storage()),
            {"credentials": "is missing: the keys for the object store, or the identity that its cloud gives"},
        ),
        (operator(r2_config=R2), {"r2_config.access_key_id": NO_KEY, "r2_config.secret_access_key": NO_KEY}),
        (
            operator(r2_config=R2_WITH_KEYS, credentials=KEYS),
            {"r2_config.access_key_id": BESIDE, "r2_config.secret_access_key": BESIDE},
        ),
        (
            complete(credentials={}),
            {"credentials": "holds nothing: give access_key_id and secret_access_key, or cloud_identity"},
        ),
        (
            complete(credentials={"access_key_id": {"file": "id"}}),
            {"credentials.secret_access_key": TOGETHER},
        ),
        (
            complete(credentials={"secret_access_key": {"file": "id"}}),
            {"credentials.access_key_id": TOGETHER},
        ),
        (
            complete(credentials={**KEYS, **IDENTITY}),
            {
                "credentials.access_key_id": "is given beside cloud_identity: keep one of them",
                "credentials.secret_access_key": "is given beside cloud_identity: keep one of them",
            },
        ),
        *(
            (
                text,
                {
                    "credentials.cloud_identity": "works with Amazon S3 only: the S3 API of this store wants keys",
                },
            )
            for text in (
                operator(r2_config=R2, credentials=IDENTITY),
                complete(storage=MINIO, credentials=IDENTITY),
                complete(storage=GOOGLE, credentials=IDENTITY),
                complete(storage=R2_STORAGE, credentials=IDENTITY),
                database(storage=MINIO, credentials=IDENTITY),
            )
        ),
        (
            complete(
                credentials={"cloud_identity": {"service_account_annotations": {"eks.amazonaws.com/role-arn": "x"}}}
            ),
            {
                'credentials.cloud_identity.service_account_annotations["eks.amazonaws.com/role-arn"]': (
                    "is what aws_role_arn writes: use that"
                )
            },
        ),
        (
            complete(credentials={"cloud_identity": {"service_account_annotations": {"planton.ai/x": "x"}}}),
            {
                'credentials.cloud_identity.service_account_annotations["planton.ai/x"]': (
                    "is planton's own: keys that begin with planton.ai/ are set by planton; remove it"
                )
            },
        ),
        # A value or a reference.
        (
            complete(credentials={**KEYS, "access_key_id": {}}),
            {"credentials.access_key_id": "holds nothing: give one of value, environment_variable, file, secret"},
        ),
        (
            complete(credentials={**KEYS, "access_key_id": "SENTINEL"}),
            {
                "credentials.access_key_id": (
                    "must be a mapping of fields (value, environment_variable, file, secret), not text"
                )
            },
        ),
        (
            complete(credentials={**KEYS, "access_key_id": {"file": "a", "value": "SENTINEL"}}),
            {"credentials.access_key_id.value": "excludes file, which is given as well: keep one of them"},
        ),
        # The store's encryption.
        *(
            (
                complete(storage={**store, "server_side_encryption": asked}),
                {f"storage.server_side_encryption.{next(iter(asked))}": ENCRYPTED_BY_ITSELF},
            )
            for store in (GOOGLE, R2_STORAGE)
            for asked in ASKED
        ),
        (
            complete(storage=storage(server_side_encryption={})),
            {"storage.server_side_encryption": "holds nothing: give one of store_key, kms_key, none"},
        ),
        (
            complete(storage=storage(server_side_encryption={"kms_key": {}})),
            {"storage.server_side_encryption.kms_key.key_id": "is missing or empty"},
        ),
        # wal-g's encryption.
        (complete(encryption={}), {"encryption": "holds nothing: give one of libsodium, pgp, none"}),
        (
            complete(encryption={"libsodium": {"key": {"file": "a"}, "transform": "none"}}),
            {"encryption.libsodium.transform": "must be one of hex, base64"},
        ),
        (
            complete(encryption={"libsodium": {"key": {"file": "a"}}}),
            {"encryption.libsodium.transform": "is missing or empty"},
        ),
        (complete(encryption={"pgp": {}}), {"encryption.pgp.key": "is missing or empty"}),
        # Authorities and styles that an endpoint has no use for.
        (
            complete(storage={**compatible("http://minio:9000"), "certificate_authority": {"file": "ca.crt"}}),
            {"storage.certificate_authority": "has no meaning with a plain http:// endpoint: write https://"},
        ),
        (
            complete(storage=compatible("https://10.0.0.1", force_path_style=False)),
            {
                "storage.s3_compatible.force_path_style": (
                    "cannot be false with an address as endpoint: the bucket stands before a host name then"
                )
            },
        ),
        # A database has its own keys where it has its own store, and never a role of its own.
        (
            database(storage=MINIO),
            {
                "credentials": (
                    "is missing, and a storage of its own needs it: the operator's keys would be sent to another store"
                )
            },
        ),
        (database(credentials={"access_key_id": {"file": "id"}}), {"credentials.secret_access_key": TOGETHER}),
        (database(r2_config=R2_WITH_KEYS), {"r2_config": "is not a field that planton knows"}),
    ],
)
def test_contradictions(text: str, expected: dict[str, str]) -> None:
    assert found(text) == expected


def test_a_role_in_a_database_is_the_operators_business() -> None:
    role = {"aws_role_arn": "arn:aws:iam::123456789012:role/x", "service_account_annotations": {"a": "b"}}
    problems = found(database(credentials={"cloud_identity": role}))
    assert set(problems) == {
        "credentials.cloud_identity.aws_role_arn",
        "credentials.cloud_identity.service_account_annotations",
    }
    assert all(text.startswith("belongs in the operator's manifest") for text in problems.values())


@pytest.mark.parametrize("config", [complete, database])
@pytest.mark.parametrize(
    ("method", "name"), [("libsodium", "key"), ("pgp", "key"), ("pgp", "passphrase")], ids=lambda one: str(one)
)
def test_keys_of_encryption_are_taken_by_reference_only(config: Any, method: str, name: str) -> None:
    given: Config = {"key": {"file": "key"}, name: {"value": "SENTINEL"}}
    if method == "libsodium":
        given["transform"] = "hex"
    (problem,) = found(config(encryption={method: given})).items()
    assert problem[0] == f"encryption.{method}.{name}.value"
    assert problem[1].startswith("is not taken: who reads the manifest could read every backup")


@pytest.mark.parametrize(
    "endpoint",
    [
        "minio.example.com",
        "minio.example.com:9000",
        "s3://minio.example.com",
        "HTTPS://minio.example.com",
        "https://MINIO.example.com",
        "https://minio.example.com/",
        "https://minio.example.com/bucket",
        "https://user@minio.example.com",
        "https://user:SENTINEL@minio.example.com",
        "https://minio.example.com?a=b",
        "https://minio.example.com#a",
        "https://minio.example.com:0",
        "https://minio.example.com:",
        "https://minio..example.com",
        "https://minio.example.com.",
        "https://-minio",
        "https://mi_nio",
        "https://mi nio",
        "https://[::1]:9000",
        "https://fe80::1",
        "https+virtualhost://minio.example.com",
        "https://minio.example.com\n",
        "https://" + "a" * 300,
        "https://",
    ],
)
def test_endpoints_that_are_none(endpoint: str) -> None:
    ((path, text),) = found(complete(storage=compatible(endpoint))).items()
    assert path == "storage.s3_compatible.endpoint"
    assert text.startswith("must be a URL such as https://minio.example.com:9000")


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("https://minio.example.com:65536", "has a port above 65535"),
        # One spelling for one store: archives are told apart by it.
        ("https://minio.example.com:443", "names port 443, which https:// has by itself: leave it out"),
        ("http://minio.example.com:80", "names port 80, which http:// has by itself: leave it out"),
        ("https://s3.eu-central-1.amazonaws.com", "is Amazon S3: write aws_s3 with its region instead"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "is Amazon S3: write aws_s3 with its region instead"),
        ("https://a.r2.cloudflarestorage.com", "is Cloudflare R2: write cloudflare_r2 with its account instead"),
        ("https://a.eu.r2.cloudflarestorage.com", "is Cloudflare R2: write cloudflare_r2 with its account instead"),
        ("https://storage.googleapis.com", "is Google Cloud Storage: write google_cloud_storage: {} instead"),
        ("https://bucket.storage.googleapis.com", "is Google Cloud Storage: write google_cloud_storage: {} instead"),
    ],
)
def test_endpoints_that_are_written_otherwise(endpoint: str, text: str) -> None:
    assert found(complete(storage=compatible(endpoint))) == {"storage.s3_compatible.endpoint": text}


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("storage.bucket_name", "s3://bucket", "must be a bucket's name alone"),
        ("storage.bucket_name", "bucket/path", "must be a bucket's name alone"),
        ("storage.bucket_name", "Bucket", "must be a bucket's name alone"),
        ("storage.aws_s3.region", "Frankfurt", "must be an AWS region, such as eu-central-1"),
        ("storage.aws_s3.region", "eu-central-1a", "must be an AWS region"),
        ("storage.aws_s3.region", "auto", "must be an AWS region"),
        ("storage.proxy.url", "proxy:3128", "must be a URL such as http://proxy.example.com:3128"),
        ("storage.proxy.url", "http://user:SENTINEL@proxy", "without a user"),
        ("storage.proxy.url", "socks5://proxy", "must be a URL such as"),
        ("storage.proxy.url", "http://proxy:99999", "has a port above 65535"),
        ("storage.server_side_encryption.kms_key.key_id", "a b", "must be the id, alias or ARN of a key"),
        ("credentials.access_key_id.environment_variable", "A-B", "must be the name of an environment variable"),
        ("credentials.access_key_id.environment_variable", "1A", "must be the name of an environment variable"),
        ("credentials.access_key_id.environment_variable", "", "must be the name of an environment variable"),
        ("credentials.access_key_id.file", "", "must be the path of a file"),
        ("credentials.access_key_id.file", "a\nb", "must be the path of a file"),
        ("credentials.access_key_id.value", "", "must be from 1 to 65536 characters"),
        ("credentials.access_key_id.value", "a" * 65537, "must be from 1 to 65536 characters"),
        ("encryption.pgp.key.secret.name", "Not_a_name", "must be the name of a Secret"),
        ("encryption.pgp.key.secret.key", "a b", "must be a key of a Secret"),
        ("encryption.pgp.key.secret.namespace", "a.b", "must be the name of a namespace"),
        ("retention.backups_and_days", 1, "must be from 2 (Spilo never keeps fewer) to 3650"),
        ("retention.backups_and_days", -5, "must be from 2"),
        ("retention.backups_and_days", 3651, "must be from 2"),
        # wal-g 3.0.5 has no such method, and 3.0.8 cannot encrypt with it.
        ("tuning.compression_method", "none", "must be one of lz4, zstd, brotli, lzma"),
        ("tuning.compression_method", "gzip", "must be one of lz4"),
        ("tuning.delta_max_steps", -1, "must be from 0 to 1000"),
        ("tuning.delta_origin", "latest", "must be one of LATEST, LATEST_FULL"),
        ("tuning.upload_concurrency", 0, "must be from 1 to 256"),
        ("tuning.download_concurrency", 257, "must be from 1 to 256"),
        ("tuning.upload_disk_concurrency", 0, "must be from 1 to 256"),
        ("tuning.network_rate_limit", "10485760", "must be an amount of bytes a second above zero, with a unit"),
        ("tuning.network_rate_limit", "0Mi", "must be an amount of bytes a second above zero"),
        ("tuning.network_rate_limit", "10MB", "must be an amount of bytes a second above zero"),
        ("tuning.network_rate_limit", "1023Ki", "is too slow: WAL could not be archived"),
        ("tuning.network_rate_limit", "1025Gi", "is more than 1024Gi a second"),
        ("tuning.disk_rate_limit", "1Ki", "is too slow: base backups would never end"),
        ("tuning.disk_rate_limit", "99999999999999999999Gi", "is more than 1024Gi a second"),
        ("credentials.cloud_identity.aws_role_arn", "role/backups", "must be the ARN of an IAM role"),
        ("credentials.cloud_identity.aws_role_arn", "arn:aws:iam::1:role/a", "must be the ARN of an IAM role"),
        ("credentials.cloud_identity.aws_role_arn", "arn:aws:iam::123456789012:user/a", "must be the ARN"),
    ],
)
def test_values_that_cannot_be(path: str, value: object, text: str) -> None:
    config: Config = json.loads(json.dumps({"storage": storage(), "credentials": KEYS}))
    if path.startswith("credentials.cloud_identity"):
        config["credentials"] = {}
    above, _, last = path.rpartition(".")
    place = config
    for step in above.split("."):
        place = place.setdefault(step, {})
    if above.endswith("access_key_id"):
        place.clear()
    if above.endswith("secret"):
        place.update({"name": "a", "key": "b"})
    place[last] = value
    problems = found(operator(**config))
    assert set(problems) == {path}
    assert text in problems[path]


@pytest.mark.parametrize("hosts", [["a b"], ["a,b"], ["http://a/"], [""]])
def test_hosts_that_need_no_proxy(hosts: list[str]) -> None:
    problems = found(complete(storage=storage(proxy={"url": "http://proxy", "no_proxy": hosts})))
    assert set(problems) <= {"storage.proxy.no_proxy[0]"}
    assert bool(problems) == (hosts != ["http://a/"])


@pytest.mark.parametrize("key", ["a b", "a/b/c", "-a", "a" * 64, ""])
def test_annotations_of_the_service_account_are_those_of_kubernetes(key: str) -> None:
    problems = found(complete(credentials={"cloud_identity": {"service_account_annotations": {key: "x"}}}))
    (text,) = problems.values()
    assert text.startswith("is not a Kubernetes annotation key")
