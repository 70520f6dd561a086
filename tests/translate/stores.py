"""Every store as a manifest says it, and what wal-g is to do then: the table of several tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from planton.translate.existing import Existing
from planton.translate.secret_values import Reference, SecretValues
from tests.keys import certificate

Config = dict[str, Any]

VERSIONS = ("1.15.1", "2.0.1")
CERTIFICATE = certificate("sentinel")
DATABASE_CERTIFICATE = CERTIFICATE.replace("sentinel", "database")
OPERATOR_KEYS = ("OPERATORKEYID01", "operator/secret+01")
DATABASE_KEYS = ("DATABASEKEYID02", "database/secret+02")
EXISTING = Existing(
    values=SecretValues(
        {
            Reference("file", "ca.crt"): CERTIFICATE,
            Reference("file", "database-ca.crt"): DATABASE_CERTIFICATE,
        }
    )
)


@dataclass(frozen=True)
class Wanted:
    """What wal-g is to do."""

    endpoint: str
    region: str
    path_style: bool = True
    encryption: str = ""
    kms_key: str = ""
    has_authority: bool = False
    proxy: str = ""


def compatible(endpoint: str, **more: Any) -> Config:
    return {"s3_compatible": {"endpoint": endpoint, **more}}


AWS: Config = {"aws_s3": {"region": "eu-central-1"}}
AUTHORITY: Config = {"certificate_authority": {"file": "ca.crt"}}
MINIO = "https://minio.example.com:9000"
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/backups"

STORES: dict[str, tuple[Config, Wanted]] = {
    "r2": (
        {"cloudflare_r2": {"cloudflare_account_id": "account"}},
        Wanted("https://account.r2.cloudflarestorage.com", "auto"),
    ),
    "r2-eu": (
        {"cloudflare_r2": {"cloudflare_account_id": "account", "jurisdiction": "eu"}},
        Wanted("https://account.eu.r2.cloudflarestorage.com", "auto"),
    ),
    "aws": (AWS, Wanted("", "eu-central-1", False, "AES256")),
    "aws-kms": (
        {**AWS, "server_side_encryption": {"kms_key": {"key_id": KMS_KEY}}},
        Wanted("", "eu-central-1", False, "aws:kms", KMS_KEY),
    ),
    "aws-no-encryption": (
        {**AWS, "server_side_encryption": {"none": {}}},
        Wanted("", "eu-central-1", False),
    ),
    "aws-proxy": (
        {**AWS, "proxy": {"url": "http://proxy.example.com:3128", "no_proxy": [".example.com"]}},
        Wanted("", "eu-central-1", False, "AES256", proxy="http://proxy.example.com:3128"),
    ),
    "google": ({"google_cloud_storage": {}}, Wanted("https://storage.googleapis.com", "auto")),
    "minio": ({**compatible(MINIO), **AUTHORITY}, Wanted(MINIO, "us-east-1", has_authority=True)),
    "minio-encryption": (
        {**compatible(MINIO), "server_side_encryption": {"store_key": {}}},
        Wanted(MINIO, "us-east-1", encryption="AES256"),
    ),
    "minio-plain": (
        {**compatible("http://minio:9000"), "proxy": {"url": "http://proxy:3128"}},
        Wanted("http://minio:9000", "us-east-1", proxy="http://proxy:3128"),
    ),
    "ceph": (
        compatible("https://ceph.example.com", region="default", force_path_style=False),
        Wanted("https://ceph.example.com", "default", False),
    ),
}
"""Name -> the part of `storage` besides the bucket, and what is wanted."""


def keys(pair: tuple[str, str]) -> Config:
    return {"access_key_id": {"value": pair[0]}, "secret_access_key": {"value": pair[1]}}


def operator(version: str = "1.15.1", *, store: str = "", name: str = "postgres-operator", **config: Any) -> str:
    """Writes an operator; with a store, with its storage and keys."""
    given: Config = {"backup_schedule": "0 2 * * *"}
    if store == "r2-short":
        given["r2_config"] = {
            "cloudflare_account_id": "account",
            "bucket_name": "operator-bucket",
            "access_key_id": OPERATOR_KEYS[0],
            "secret_access_key": OPERATOR_KEYS[1],
        }
    elif store:
        given["storage"] = {"bucket_name": "operator-bucket", **STORES[store][0]}
        given["credentials"] = keys(OPERATOR_KEYS)
    spec: Config = {"operator_version": version, "container": {}}
    if store or config:
        spec["backup_config"] = {**given, **config}
    return _document("PostgresOperatorKubernetes", name, spec)


def database(store: str = "", *, name: str = "orders", replicas: int = 1, **config: Any) -> str:
    """Writes a database; with a store, with a storage and keys of its own."""
    given: Config = {}
    if store:
        place = dict(STORES[store][0])
        if "certificate_authority" in place:
            place["certificate_authority"] = {"file": "database-ca.crt"}
        given["storage"] = {"bucket_name": "database-bucket", **place}
        given["credentials"] = keys(DATABASE_KEYS)
    spec: Config = {"container": {"replicas": replicas}}
    if store or config:
        spec["backup_config"] = {**given, **config}
    return _document("PostgresKubernetes", name, spec)


def _document(kind: str, name: str, spec: Config) -> str:
    head = {"apiVersion": "kubernetes.project-planton.org/v1", "kind": kind, "metadata": {"name": name}}
    return json.dumps({**head, "spec": spec}) + "\n---\n"
