"""What a value means depends on the store, and on what else is given: keys, certificates and keys of OpenPGP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import planton
from planton.errors import ManifestError
from planton.translate.existing import Existing
from planton.translate.secret_values import Reference, SecretValues
from tests.keys import CLEAR, LOCKED, armored, key_part, packet, signature
from tests.translate.stores import AUTHORITY, EXISTING, STORES, database, keys, operator

TEMPORARY = ("ASIA" + "Z7" * 8, "secret/of-a-temporary+key")
PUBLIC = ("aws", "google", "r2-eu")


def pgp_key(secret: bytes, *, expires: int = 0) -> str:
    first = key_part(5, 22, secret) + packet(13, b"test only") + signature(0x13, 0x03)
    return armored(first, key_part(7, 18, secret), signature(0x18, 0x0C, expires=expires))


PGP = {"pgp": {"key": {"file": "private.asc"}}}
WITH_PASSPHRASE = {"pgp": {"key": {"file": "private.asc"}, "passphrase": {"environment_variable": "PASSPHRASE"}}}


def existing(key: str = "", passphrase: str = "") -> Existing:
    found = dict(EXISTING.values.reveal())
    if key:
        found[Reference("file", "private.asc")] = key
    if passphrase:
        found[Reference("environment variable", "PASSPHRASE")] = passphrase
    return replace(EXISTING, values=SecretValues(found))


def refused(text: str, facts: Existing = EXISTING) -> dict[str, str]:
    with pytest.raises(ManifestError) as caught:
        planton.render(planton.loads(text), existing=facts)
    return {f"{one.subject}: {one.path}": one.message for one in caught.value.problems}


def warned(text: str, facts: Existing = EXISTING) -> dict[str, str]:
    warnings = planton.render(planton.loads(text), existing=facts).warnings
    return {f"{one.subject.rpartition('/')[2]}: {one.path}": one.message for one in warnings}


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (operator(store="aws", credentials=keys(TEMPORARY)), "PostgresOperatorKubernetes/postgres-operator"),
        (operator(store="minio") + database("aws", credentials=keys(TEMPORARY)), "PostgresKubernetes/orders"),
        (operator(store="aws") + database(credentials=keys(TEMPORARY)), "PostgresKubernetes/orders"),
    ],
)
def test_temporary_keys_of_amazon_are_refused(text: str, subject: str) -> None:
    path = f"{subject}: spec.backup_config.credentials.access_key_id"
    found = refused(text)
    assert list(found) == [path]
    assert "they work with a session token only" in found[path]
    assert TEMPORARY[0] not in found[path]


def test_such_a_key_of_another_store_is_taken() -> None:
    given = keys(TEMPORARY)
    for text in (
        operator(store="minio", credentials=given),
        operator(store="aws") + database("minio", credentials=given),
        operator(store="r2") + database(credentials=given),
    ):
        assert planton.render(planton.loads(text), existing=EXISTING)


@pytest.mark.parametrize("store", PUBLIC)
def test_a_certificate_for_a_store_with_public_ones_is_warned_about(store: str) -> None:
    storage = {"bucket_name": "bucket", **STORES[store][0], **AUTHORITY}
    told = "is the only authority that wal-g then trusts, and this store has public certificates"
    path = "spec.backup_config.storage.certificate_authority"
    for facts in (EXISTING, Existing()):
        own = warned(
            operator(store="minio") + database(storage=storage, credentials=keys(("0123456789", "0123456789"))), facts
        )
        assert own[f"orders: {path}"].startswith(told)
        assert f"postgres-operator: {path}" not in own
        assert warned(operator(store=store, storage=storage), facts)[f"postgres-operator: {path}"].startswith(told)
        assert f"postgres-operator: {path}" not in warned(operator(store=store), facts)


def test_with_an_identity_its_token_service_is_named() -> None:
    storage = {"bucket_name": "bucket", **STORES["aws"][0], **AUTHORITY}
    found = warned(operator(store="aws", storage=storage, credentials={"cloud_identity": {}}))
    assert (
        "for the identity's token service, too"
        in found["postgres-operator: spec.backup_config.storage.certificate_authority"]
    )


@pytest.mark.parametrize("place", ["operator", "database"])
def test_a_locked_key_without_its_passphrase_is_refused(place: str) -> None:
    def text(method: dict[str, Any]) -> str:
        if place == "operator":
            return operator(store="aws", encryption=method) + database()
        return operator(store="aws") + database(encryption=method)

    facts = existing(pgp_key(LOCKED))
    (message,) = refused(text(PGP), facts).values()
    assert message.startswith("is locked with a passphrase and none is given")
    assert planton.render(planton.loads(text(WITH_PASSPHRASE)), existing=existing(pgp_key(LOCKED), "two words"))
    # Rendered where only one of the two was looked up.
    assert planton.render(planton.loads(text(WITH_PASSPHRASE)), existing=facts)
    assert planton.render(planton.loads(text(PGP)), existing=existing(pgp_key(CLEAR)))


@pytest.mark.parametrize("place", ["operator", "database"])
def test_a_key_that_expires_is_warned_about(place: str) -> None:
    config: dict[str, Any] = {"encryption": PGP}
    is_operator = place == "operator"
    text = operator(store="aws", **(config if is_operator else {})) + database(**({} if is_operator else config))
    path = f"{'postgres-operator' if is_operator else 'orders'}: spec.backup_config.encryption.pgp.key"
    assert warned(text, existing(pgp_key(CLEAR, expires=9)))[path].startswith("has a date of expiry")
    assert path not in warned(text, existing(pgp_key(CLEAR)))


def test_what_can_be_a_key_is_in_no_annotation() -> None:
    key = "3f8a91c07de24b56" * 4
    for secret in ({"name": "bucket", "key": key}, {"name": key[:50], "key": "id"}):
        given = {"access_key_id": {"secret": secret}, "secret_access_key": {"environment_variable": key.upper()[1:]}}
        text = operator(store="aws", credentials=given) + database()
        assert key[:40] not in str(list(planton.render(planton.loads(text)))).lower()
        # There is such a Secret: it is followed.
        reference = Reference("Secret", f"postgres-operator/{secret['name']}", secret["key"])
        both = {"access_key_id": {"secret": secret}, "secret_access_key": {"secret": secret}}
        facts = Existing(values=SecretValues({reference: "0123456789"}))
        rendering = planton.render(planton.loads(operator(store="aws", credentials=both)), existing=facts)
        assert rendering.platform is not None
        assert set(rendering.platform.sources.values()) == {f"{reference.name}/{reference.key}"}
