"""A manifest that restores a database from its archive with no custom resource and no record of it left.

It names the archive's store and the Secrets with its keys; no credential is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from planton.translate.archive_record import LeftArchive
from planton.translate.names import NAMESPACE_LABEL
from planton.translate.reading_facts import ReadingFacts
from planton.translate.store import NEVER_BY_PROXY

_R2 = re.compile(r"https://([A-Za-z0-9-]+)(?:\.(eu|fedramp))?\.r2\.cloudflarestorage\.com")
_GOOGLE = "https://storage.googleapis.com"
_VIRTUAL_HOST = re.compile(r"(https?)\+virtualhost(://.+)")

FindSecret: TypeAlias = Callable[[str, str], tuple[str, str] | None]
"""Namespace and name of a Secret -> where it will be in the end; None for nowhere."""


@dataclass(frozen=True, slots=True)
class RestoreManifest:
    """A manifest that restores a database, to be completed and reviewed.

    Attributes:
        tree: The manifest in the spelling of manifests.
        notes: What is to be known or to be done about it, each a sentence.
    """

    tree: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    facts: ReadingFacts
    find: FindSecret
    lacking: list[str] = field(default_factory=list)

    def value(self, name: str) -> str:
        return self.facts.environment.get(name, "")

    def secret(self, variable: str, path: str, place: str = "") -> dict[str, Any] | None:
        """A reference to a Secret that stays; None, and a line of what is lacking, where there is none."""
        place = place or self.facts.references.get(variable, "")
        if not place:
            if variable in self.facts.missing:
                self.lacking.append(path)
            return None
        namespace, name, key = place.split("/", 2)
        found = self.find(namespace, name)
        if found is None:
            self.lacking.append(path)
            return None
        return {"secret": {"namespace": found[0], "name": found[1], "key": key}}


def restore_manifest(
    left: LeftArchive, facts: ReadingFacts, *, name: str, disk_size: str, find: FindSecret
) -> RestoreManifest:
    """Makes the manifest of a database that starts from an archive.

    Args:
        left: The archive.
        facts: How it is reached.
        name: Name of the new database (metadata.name), another one than the old one's.
        disk_size: Size of its volume, which has to hold all of the data, such as `10Gi`.
        find: Says where a Secret will be in the end.

    Returns:
        The manifest: complete, but for keys that will be in no Secret.
    """
    draft = _Draft(facts, find)
    archive: dict[str, Any] = {
        "cluster_name": left.name,
        "version": left.version,
        "s3_prefix": left.prefix,
        "storage": _storage(draft, left.prefix.removeprefix("s3://").partition("/")[0]),
    }
    if credentials := _credentials(draft):
        archive["credentials"] = credentials
    if encryption := _encryption(draft):
        archive["encryption"] = encryption
    notes = [
        f"Restores {left.namespace}/{left.name} as {name}, with all that is archived. For an earlier time add "
        "target_time beside source: a time in quotes, with its zone.",
        "Its own backups go where those of the operator go; give it a backup_config for another place.",
    ]
    if draft.lacking:
        notes.append(
            "The keys to this archive are in no Secret any more. Give them below spec.clone.source.archive: "
            + ", ".join(draft.lacking)
            + "."
        )
    tree = {
        "apiVersion": "kubernetes.project-planton.org/v1",
        "kind": "PostgresKubernetes",
        "metadata": {"name": name, "labels": {NAMESPACE_LABEL: left.namespace}},
        "spec": {
            "version": left.version,
            "container": {"disk_size": disk_size},
            "clone": {"source": {"archive": archive}},
        },
    }
    return RestoreManifest(tree, tuple(notes))


def _storage(draft: _Draft, bucket: str) -> dict[str, Any]:
    virtual = _VIRTUAL_HOST.fullmatch(draft.value("WALE_S3_ENDPOINT"))
    endpoint = draft.value("AWS_ENDPOINT") or (virtual[1] + virtual[2] if virtual else "")
    storage: dict[str, Any] = {"bucket_name": bucket, **_store(endpoint, draft.value("AWS_REGION"), bool(virtual))}
    if draft.facts.certificate:
        authority = draft.secret("", "storage.certificate_authority", draft.facts.certificate)
        if authority is not None:
            storage["certificate_authority"] = authority
    encryption = draft.value("WALG_S3_SSE")
    if encryption == "aws:kms" and draft.value("WALG_S3_SSE_KMS_ID"):
        storage["server_side_encryption"] = {"kms_key": {"key_id": draft.value("WALG_S3_SSE_KMS_ID")}}
    elif encryption == "AES256":
        storage["server_side_encryption"] = {"store_key": {}}
    elif not endpoint and draft.value("WALG_DISABLE_S3_SSE") == "true":
        storage["server_side_encryption"] = {"none": {}}
    if proxy := draft.value("https_proxy") or draft.value("http_proxy"):
        storage["proxy"] = {"url": proxy}
        hosts = [one for one in draft.value("no_proxy").split(",") if one and one not in NEVER_BY_PROXY]
        if hosts:
            storage["proxy"]["no_proxy"] = hosts
    return storage


def _store(endpoint: str, region: str, virtual_host: bool) -> dict[str, Any]:
    if not endpoint:
        return {"aws_s3": {"region": region}}
    if endpoint == _GOOGLE and not virtual_host:
        return {"google_cloud_storage": {}}
    if (r2 := _R2.fullmatch(endpoint)) and not virtual_host:
        return {"cloudflare_r2": {"cloudflare_account_id": r2[1], **({"jurisdiction": r2[2]} if r2[2] else {})}}
    compatible: dict[str, Any] = {"endpoint": endpoint, **({"region": region} if region else {})}
    return {"s3_compatible": {**compatible, "force_path_style": not virtual_host}}


def _credentials(draft: _Draft) -> dict[str, Any]:
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    if not any(name in draft.facts.references or name in draft.facts.missing for name in names.values()):
        return {"cloud_identity": {}}
    pair = {one: draft.secret(variable, f"credentials.{one}") for one, variable in names.items()}
    return {one: value for one, value in pair.items() if value is not None}


def _encryption(draft: _Draft) -> dict[str, Any]:
    known = {*draft.facts.references, *draft.facts.missing}
    if "WALG_PGP_KEY" in known:
        pgp = {
            "key": draft.secret("WALG_PGP_KEY", "encryption.pgp.key"),
            "passphrase": draft.secret("WALG_PGP_KEY_PASSPHRASE", "encryption.pgp.passphrase"),
        }
        return {"pgp": {one: value for one, value in pgp.items() if value is not None}}
    if "WALG_LIBSODIUM_KEY" in known:
        key = draft.secret("WALG_LIBSODIUM_KEY", "encryption.libsodium.key")
        transform = draft.value("WALG_LIBSODIUM_KEY_TRANSFORM")
        return {"libsodium": {**({"key": key} if key is not None else {}), "transform": transform}}
    return {}
