"""A manifest that restores from an archive: read again, it leads to the same archive, for every store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import planton
from planton.manifest import prepare
from planton.translate.archive_access import READING_VARIABLES, ArchiveAccess, access_of
from planton.translate.archive_record import DELETED, LeftArchive
from planton.translate.archive_sources import source_of
from planton.translate.backup import CERTIFICATE
from planton.translate.existing import Existing
from planton.translate.left_access import Said, access_of_left, reading_facts
from planton.translate.reading_facts import ReadingFacts
from planton.translate.restore_manifest import RestoreManifest, restore_manifest
from planton.translate.secret_values import Reference, SecretValues
from planton.translate.store import CERTIFICATE_VARIABLE
from planton.types import PostgresKubernetes
from planton.yaml_writer import document
from tests.translate import stores

SPACE, SCOPE = "orders", "db-orders"
TRANSFORM = "WALG_LIBSODIUM_KEY_TRANSFORM"
LIBSODIUM = {"libsodium": {"transform": "hex", "key": {"file": "libsodium.key"}}}
_KEY = {Reference("file", "libsodium.key"): "01" * 32}
EXISTING = Existing(values=SecretValues({**stores.EXISTING.values.reveal(), **_KEY}))


def access(store: str, **config: Any) -> ArchiveAccess:
    """How the archive of a database with a store of its own is reached."""
    (message,) = prepare(planton.loads(stores.database(store, enable_backup=True, **config)))
    assert isinstance(message, PostgresKubernetes)
    found = access_of(message, None, EXISTING)
    assert found is not None
    return found


def left_of(found: ArchiveAccess) -> LeftArchive:
    """What is written down of it."""
    said = {name: Said(value) for name, value in found.environment.items()}
    said |= {name: Said(None, f"{SPACE}/{place}") for name, place in found.references.items()}
    facts = reading_facts(
        said,
        scope=SCOPE,
        version=found.version,
        namespace=SPACE,
        beside={},
        certificate=f"{SPACE}/{SCOPE}-store-ca/{CERTIFICATE}" if found.certificates else "",
    )
    here = found.identity
    return LeftArchive(here.store, here.prefix, SPACE, SCOPE, found.version, DELETED, reading=facts)


def made(left: LeftArchive, gone: frozenset[str] = frozenset()) -> RestoreManifest:
    assert left.reading is not None
    return restore_manifest(
        left,
        left.reading,
        name="orders-restored",
        disk_size="10Gi",
        find=lambda space, name: None if name in gone else (space, name),
    )


def secrets(found: ArchiveAccess) -> SecretValues:
    """The Secrets that stay in the cluster."""
    contents = found.contents.reveal()
    values = {
        Reference("Secret", f"{SPACE}/{place.split('/')[0]}", place.split("/")[1]): contents[name]
        for name, place in found.references.items()
    }
    for name, text in found.certificates.reveal().items():
        values[Reference("Secret", f"{SPACE}/{SCOPE}-store-ca", name)] = text
    return SecretValues(values)


def reading(found: ArchiveAccess) -> Mapping[str, str]:
    """What counts of the variables: no path in pods, and nothing that is empty."""
    return {name: value for name, value in found.environment.items() if value and name != CERTIFICATE_VARIABLE}


@pytest.mark.parametrize("encryption", [None, LIBSODIUM])
@pytest.mark.parametrize("store", sorted(stores.STORES))
def test_it_leads_back_to_the_archive(store: str, encryption: dict[str, Any] | None) -> None:
    found = access(store, **({"encryption": encryption} if encryption else {}))
    manifest = made(left_of(found))
    text = document(manifest.tree)
    (message,) = prepare(planton.loads(text))
    assert isinstance(message, PostgresKubernetes)
    source = source_of(message, None, Existing(values=secrets(found)))
    assert source.errors == ()
    assert source.access is not None
    assert reading(source.access) == reading(found)
    assert (source.access.prefix, source.access.scope, source.access.version) == (found.prefix, SCOPE, found.version)
    assert dict(source.access.contents.reveal()) == dict(found.contents.reveal())
    assert dict(source.access.certificates.reveal()) == dict(found.certificates.reveal())
    assert not any(value in text for value in found.contents.reveal().values())


@pytest.mark.parametrize("store", ["aws", "minio"])
def test_what_is_written_down_leads_back_to_the_archive(store: str) -> None:
    found = access(store, encryption=LIBSODIUM)
    left = left_of(found)
    again = access_of_left(left, contents=found.contents, certificates=found.certificates)
    assert again is not None
    assert reading(again) == reading(found)
    assert (again.identity, again.references) == (found.identity, found.references)
    assert again.contents == found.contents
    assert left.reading is not None
    written = json.dumps(left.reading.to_data())
    assert not any(value in written for value in found.contents.reveal().values())
    assert ReadingFacts.from_data(json.loads(written)) == left.reading
    assert len(written) < 900


def test_keys_that_are_gone_are_named() -> None:
    found = access("minio", encryption=LIBSODIUM)
    left = left_of(found)
    own = {place.split("/")[0] for place in found.references.values()}
    manifest = made(left, frozenset({*own, f"{SCOPE}-store-ca"}))
    archive = manifest.tree["spec"]["clone"]["source"]["archive"]
    assert "credentials" not in archive
    assert archive["encryption"] == {"libsodium": {"transform": "hex"}}
    note = manifest.notes[-1]
    for field in (
        "credentials.access_key_id",
        "credentials.secret_access_key",
        "encryption.libsodium.key",
        "storage.certificate_authority",
    ):
        assert field in note
    # It does not pass for a whole one.
    with pytest.raises(planton.ManifestError):
        planton.loads(document(manifest.tree))


def test_an_openpgp_key_and_its_passphrase() -> None:
    places = {name: f"orders/keys/{name}" for name in ("WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE")}
    left = LeftArchive("", "s3://b/x", SPACE, SCOPE, "17", DELETED, reading=ReadingFacts({"AWS_REGION": "r"}, places))
    pgp = made(left).tree["spec"]["clone"]["source"]["archive"]["encryption"]["pgp"]
    assert pgp["passphrase"]["secret"] == {"namespace": "orders", "name": "keys", "key": "WALG_PGP_KEY_PASSPHRASE"}
    # One that is empty in its Secret is not said at all: a reference to nothing is an error.
    said = {name: Said(None, place) for name, place in places.items()}
    facts = reading_facts(
        said, scope="", version="", namespace="", beside={}, empty=frozenset({"WALG_PGP_KEY_PASSPHRASE"})
    )
    assert set(facts.references) == {"WALG_PGP_KEY"}


def test_nothing_that_may_be_a_credential_is_written_down() -> None:
    sentinel = "SENTINEL0123456789"
    said = {name: Said(sentinel) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALG_PGP_KEY")}
    said["https_proxy"] = Said(f"http://me:{sentinel}@proxy:3128")
    said["http_proxy"] = Said(f"me:with/{sentinel}@proxy:3128")
    said["AWS_ENDPOINT"] = Said(f"https://{sentinel}@store")
    said["WALG_LIBSODIUM_KEY"] = Said(None)  # From a ConfigMap, say.
    said["AWS_REGION"] = Said("auto")
    said["UNKNOWN"] = Said(sentinel)
    facts = reading_facts(said, scope="", version="", namespace="", beside={})
    assert sentinel not in json.dumps(facts.to_data())
    assert sentinel not in repr(said) + repr(facts)
    assert facts.environment == {"AWS_REGION": "auto"}
    assert set(facts.missing) == set(said) - {"AWS_REGION", "UNKNOWN"}
    left = LeftArchive("", "s3://b/x", SPACE, SCOPE, "17", DELETED, reading=facts)
    assert "credentials.access_key_id" in made(left).notes[-1]


def test_what_stands_beside_a_key_is_written_out() -> None:
    said = {TRANSFORM: Said(None, f"a/s/{TRANSFORM}"), "WALG_LIBSODIUM_KEY": Said(None, "a/s/WALG_LIBSODIUM_KEY")}
    facts = reading_facts(said, scope="", version="", namespace="", beside={TRANSFORM: "base64"})
    assert facts.environment == {TRANSFORM: "base64"}
    assert facts.references == {"WALG_LIBSODIUM_KEY": "a/s/WALG_LIBSODIUM_KEY"}


def test_an_old_entry_takes_what_the_operator_says_of_the_same_store() -> None:
    places = {name: f"op/s/{name}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALG_LIBSODIUM_KEY")}
    inherited = ReadingFacts({"AWS_ENDPOINT": "https://h", TRANSFORM: "hex"}, places)
    old = LeftArchive("h", "s3://b/x", SPACE, SCOPE, "17", DELETED, "libsodium", "s/1")
    found = access_of_left(old, inherited=inherited)
    assert found is not None
    assert (found.prefix, found.encryption) == ("s3://b/x", "libsodium")
    # What was written in clear is not decrypted, and a key that the operator does not have is missing.
    clear = access_of_left(replace(old, encryption=""), inherited=inherited)
    assert clear is not None
    assert clear.encryption == ""
    assert TRANSFORM not in clear.environment
    other = access_of_left(replace(old, encryption="pgp"), inherited=inherited)
    assert other is not None
    assert "WALG_LIBSODIUM_KEY" not in other.references
    assert access_of_left(replace(old, store="elsewhere"), inherited=inherited) is None
    assert access_of_left(old) is None
    # Without the address of its store it would be looked for at Amazon.
    lost = replace(old, reading=ReadingFacts({"AWS_REGION": "r"}, places, missing=("AWS_ENDPOINT",)))
    assert access_of_left(lost, inherited=inherited) is None


@pytest.mark.parametrize(
    "data",
    [
        None, 1, "x", [], {"environment": 1, "references": [], "certificate": 2, "missing": 3},
        {"environment": {"A": 1, "not a name": "x", "B": "y" * 5000}},
        {"references": {"AWS_ACCESS_KEY_ID": "../../x/y/z", "B": "a/b", "C": "a/b/c/d", "D": 1}},
        {"certificate": "a/../b"}, {"missing": ["not a name"]},
    ],
)  # fmt: skip
def test_what_others_write_is_passed_over(data: object) -> None:
    facts = ReadingFacts.from_data(data)
    assert facts is None or facts == ReadingFacts()


def test_all_that_reading_takes_can_be_written_down() -> None:
    said = {name: Said(None, f"a/s/{name}") for name in READING_VARIABLES}
    facts = reading_facts(said, scope="", version="", namespace="", beside={})
    assert set(facts.references) == READING_VARIABLES
    assert facts.secrets == (("a", "s"),)
