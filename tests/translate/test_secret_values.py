"""Credentials never print, references stay references, and what a Secret holds reaches wal-g as it is meant."""

from __future__ import annotations

import base64
import binascii
import copy
import pickle
import traceback
from collections.abc import Callable

import pytest

from planton.sensitive import HIDDEN
from planton.translate.existing import Existing, ExistingSecret
from planton.translate.generation import generation_of, told_generation
from planton.translate.platform import BackupPlatform
from planton.translate.secret_checks import as_stored, value_problem
from planton.translate.secret_values import Credentials, Reference, SecretValues, credentials_from, reference_of
from planton.types import SecretKeyReference, SecretValue
from tests.keys import AUTHORITY, TEST_ONLY_KEY

SENTINEL = "SENTINEL/key+0001"
ENVIRONMENT = Reference("environment variable", "STORE_KEY")
FILE = Reference("file", "keys/store")
SECRET = Reference("Secret", "storage/bucket", "secret")


def platform(credentials: Credentials) -> BackupPlatform:
    return BackupPlatform(
        "postgres-operator", "1.15.1", "b", "t", "s", True, True, True, "", "", False, False, "secret",
        credentials=credentials, files=credentials,
    )  # fmt: skip


HOLDERS: list[Callable[[], object]] = [
    lambda: Credentials({"AWS_SECRET_ACCESS_KEY": SENTINEL}),
    lambda: SecretValues({FILE: SENTINEL, SECRET: SENTINEL}),
    lambda: platform(Credentials({"AWS_SECRET_ACCESS_KEY": SENTINEL})),
    lambda: Existing(
        values=SecretValues({FILE: SENTINEL}),
        secrets={("a", "b"): ExistingSecret(Credentials({"AWS_SECRET_ACCESS_KEY": SENTINEL}))},
    ),
    lambda: ExistingSecret(Credentials({"AWS_SECRET_ACCESS_KEY": SENTINEL})),
]


def shows_nothing(text: str) -> bool:
    return SENTINEL not in text and base64.b64encode(SENTINEL.encode()).decode() not in text


@pytest.mark.parametrize("make", HOLDERS)
def test_credentials_never_print(make: Callable[[], object]) -> None:
    value = make()
    for text in (repr(value), str(value), f"{value}", f"{value!r}", f"{[value]}", f"{ {'a': value} }"):
        assert shows_nothing(text)
    with pytest.raises(ValueError, match="wrong") as caught:
        raise ValueError("wrong", value)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert shows_nothing("".join(told.format()))
    assert shows_nothing(repr(copy.deepcopy(value)))
    assert copy.deepcopy(value) == value


@pytest.mark.parametrize("make", HOLDERS)
def test_credentials_are_not_pickled(make: Callable[[], object]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises((TypeError, AttributeError), match="pickle") as caught:
            pickle.dumps(make(), protocol)
        assert shows_nothing(str(caught.value))


def test_what_they_say_of_themselves() -> None:
    credentials = Credentials({"B": SENTINEL}, {"A": FILE})
    assert repr(credentials) == "Credentials(A, B)"
    assert repr(SecretValues({FILE: SENTINEL})) == "SecretValues(1 hidden)"
    assert str(ENVIRONMENT) == "environment variable STORE_KEY"
    assert str(FILE) == "file keys/store"
    assert str(SECRET) == "key secret of Secret storage/bucket"
    assert credentials.keys() == ("A", "B")
    assert dict(credentials.reveal()) == {"B": SENTINEL}
    assert dict(credentials.unresolved) == {"A": FILE}
    assert (bool(credentials), bool(Credentials({})), bool(Credentials({}, {"A": FILE}))) == (True, False, True)


def test_they_compare_by_what_they_hold() -> None:
    assert Credentials({"A": "x"}) == Credentials({"A": "x"})
    assert hash(Credentials({"A": "x"})) == hash(Credentials({"A": "x"}))
    assert Credentials({"A": "x"}) != Credentials({"A": "y"})
    assert Credentials({"A": "x"}) != Credentials({"A": "x"}, {"B": FILE})
    assert Credentials({}, {"B": FILE}) != Credentials({}, {"B": SECRET})
    assert SecretValues({FILE: "x"}) == SecretValues({FILE: "x"})
    assert hash(SecretValues({FILE: "x", SECRET: "y"})) == hash(SecretValues({SECRET: "y", FILE: "x"}))
    assert SecretValues({FILE: "x"}) != SecretValues({FILE: "y"})


def test_references() -> None:
    assert reference_of(SecretValue(value="x"), "here") is None
    assert reference_of(SecretValue(environment_variable="STORE_KEY"), "here") == ENVIRONMENT
    assert reference_of(SecretValue(file="keys/store"), "here") == FILE
    own = SecretKeyReference(name="bucket", key="secret")
    assert reference_of(SecretValue(secret=own), "storage") == SECRET
    other = SecretKeyReference(name="bucket", key="secret", namespace="storage")
    assert reference_of(SecretValue(secret=other), "here") == SECRET


def test_what_nobody_looked_up_is_no_base64() -> None:
    given = {
        "A": SecretValue(value=SENTINEL),
        "B": SecretValue(environment_variable="STORE_KEY"),
        "C": SecretValue(file="keys/store"),
        "D": SecretValue(secret=SecretKeyReference(name="bucket", key="secret")),
    }
    data = credentials_from(given, "storage", SecretValues()).data()
    assert list(data) == ["A", "B", "C", "D"]
    assert base64.b64decode(data["A"]).decode() == SENTINEL
    assert data["B"] == "<environment variable STORE_KEY>"
    assert data["C"] == "<file keys/store>"
    assert data["D"] == "<key secret of Secret storage/bucket>"
    for key in "BCD":
        with pytest.raises(binascii.Error):
            base64.b64decode(data[key], validate=True)
    found = SecretValues({ENVIRONMENT: "b", FILE: "c\n", SECRET: "d"})
    resolved = credentials_from(given, "storage", found)
    assert dict(resolved.reveal()) == {"A": SENTINEL, "B": "b", "C": "c", "D": "d"}
    assert not resolved.unresolved


PRIVATE = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQdGBGV\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n"
CERTIFICATE = AUTHORITY.rstrip()


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("AWS_ACCESS_KEY_ID", "key\n", "key"),
        ("AWS_ACCESS_KEY_ID", "key \r\n\n", "key"),
        ("WALG_PGP_KEY_PASSPHRASE", " two words\n", " two words"),
        # wal-g turns the two characters \n back into line breaks; envdir would cut at a real one.
        (
            "WALG_PGP_KEY",
            PRIVATE,
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\\n\\nlQdGBGV\\n=abcd\\n-----END PGP PRIVATE KEY BLOCK-----\\n",
        ),
        (
            "WALG_PGP_KEY",
            PRIVATE.replace("\n", "\r\n"),
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\\n\\nlQdGBGV\\n=abcd\\n-----END PGP PRIVATE KEY BLOCK-----\\n",
        ),
        # A certificate is a file: it keeps its lines, and ends with one.
        ("ca.crt", CERTIFICATE, f"{CERTIFICATE}\n"),
        ("ca.crt", f"{CERTIFICATE}\n\n", f"{CERTIFICATE}\n"),
    ],
)
def test_the_form_in_which_a_secret_holds_it(key: str, value: str, stored: str) -> None:
    assert as_stored(key, value) == stored
    if not key.endswith(".crt"):
        assert "\n" not in stored
        assert stored == stored.rstrip()


NOT_32_BYTES = "must be 32 bytes in base64 (44 characters), since transform is base64"
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
DAMAGED = (
    f"{BEGIN}\nMIIB\n{END}",
    f"{BEGIN}\nMIIB",
    f"{BEGIN}\n{END}",
    f"{BEGIN}\nnonsense of some length\n{END}",
    f"{BEGIN}\n{base64.b64encode(b'0' * 300).decode()}\n{END}",
    CERTIFICATE.replace("MIIBozCC", "MIIBozCD"),
    CERTIFICATE.replace("MIIBozCC", "!IIBozCC"),
    CERTIFICATE.partition("-----END")[0],
    "\n".join(line for number, line in enumerate(CERTIFICATE.splitlines()) if number != 4),
)
NO_CERTIFICATE = (
    "cannot be read: what stands after -----BEGIN CERTIFICATE----- is no certificate, or is cut off or damaged"
)
ONE_OF_TWO = (
    "cannot be read: one of 2 blocks, which stands after -----BEGIN CERTIFICATE----- is no certificate, or is cut off "
    "or damaged"
)
ABOVE = "a" * (64 * 1024 + 1)


@pytest.mark.parametrize(
    ("key", "transform", "value", "problem"),
    [
        ("AWS_ACCESS_KEY_ID", "", "x" * 8, ""),
        ("AWS_SECRET_ACCESS_KEY", "", SENTINEL, ""),
        ("AWS_ACCESS_KEY_ID", "", "x" * 7, "must have at least 8 characters"),
        ("AWS_ACCESS_KEY_ID", "", "", "must have at least 8 characters"),
        ("AWS_ACCESS_KEY_ID", "", HIDDEN, "is what stands for a key in redacted output: write the key"),
        ("AWS_ACCESS_KEY_ID", "", "two words", "must be printable ASCII without white space"),
        ("AWS_ACCESS_KEY_ID", "", "two\nlines", "must be printable ASCII without white space"),
        ("AWS_ACCESS_KEY_ID", "", "schlüssel", "must be printable ASCII without white space"),
        ("AWS_ACCESS_KEY_ID", "", ABOVE, "is longer than 64 KiB"),
        ("WALG_LIBSODIUM_KEY", "hex", "0123456789abcdefABCDEF0123456789" * 2, ""),
        ("WALG_LIBSODIUM_KEY", "hex", "a" * 63, "must be 64 hexadecimal digits (32 bytes), since transform is hex"),
        ("WALG_LIBSODIUM_KEY", "hex", "a" * 65, "must be 64 hexadecimal digits (32 bytes), since transform is hex"),
        ("WALG_LIBSODIUM_KEY", "hex", "g" * 64, "must be 64 hexadecimal digits (32 bytes), since transform is hex"),
        ("WALG_LIBSODIUM_KEY", "hex", "٣" * 64, "must be 64 hexadecimal digits (32 bytes), since transform is hex"),
        ("WALG_LIBSODIUM_KEY", "base64", base64.b64encode(b"k" * 32).decode(), ""),
        *(
            ("WALG_LIBSODIUM_KEY", "base64", text, NOT_32_BYTES)
            for text in (
                base64.b64encode(b"k" * 31).decode(),
                base64.b64encode(b"k" * 33).decode(),
                base64.b64encode(b"k" * 32).decode().rstrip("="),
                base64.urlsafe_b64encode(b"\xff" * 32).decode(),
                "ä" * 44,
                "0" * 64,
            )
        ),
        ("WALG_PGP_KEY", "", as_stored("WALG_PGP_KEY", TEST_ONLY_KEY), ""),
        (
            "WALG_PGP_KEY",
            "",
            PRIVATE.replace("PRIVATE", "PUBLIC"),
            "holds no private key in ASCII armor (-----BEGIN PGP PRIVATE KEY BLOCK----- …): with a public key alone "
            "nothing could be restored",
        ),
        ("WALG_PGP_KEY_PASSPHRASE", "", "two words", ""),
        ("WALG_PGP_KEY_PASSPHRASE", "", "", "must be one line"),
        ("WALG_PGP_KEY_PASSPHRASE", "", "two\nlines", "must be one line"),
        ("ca.crt", "", CERTIFICATE, ""),
        ("ca.crt", "", f"of the store\n{CERTIFICATE}\nand another\n{CERTIFICATE}", ""),
        *(("ca.crt", "", text, NO_CERTIFICATE) for text in DAMAGED),
        ("ca.crt", "", f"{CERTIFICATE}\n{DAMAGED[0]}", ONE_OF_TWO),
        ("ca.crt", "", f"{DAMAGED[1]}\n{CERTIFICATE}", ONE_OF_TWO),
        ("ca.crt", "", "MIIB", "holds no certificate in PEM form (-----BEGIN CERTIFICATE----- …)"),
        *(
            (
                "ca.crt",
                "",
                f"{CERTIFICATE}\n-----BEGIN {kind}PRIVATE KEY-----\nMIIE",
                "holds a private key as well: give the certificate alone",
            )
            for kind in ("", "RSA ", "EC ", "ENCRYPTED ")
        ),
    ],
)  # fmt: skip
def test_what_a_value_has_to_be(key: str, transform: str, value: str, problem: str) -> None:
    found = value_problem(key, value, transform)
    assert found == problem
    assert not value or len(value) < 8 or value == HIDDEN or value not in found


TEMPORARY = "ASIA" + "Z7" * 8


def test_temporary_keys_are_refused_where_they_cannot_work() -> None:
    found = value_problem("AWS_ACCESS_KEY_ID", TEMPORARY, store="aws_s3")
    assert found.startswith("is the id of temporary keys (ASIA…): they work with a session token only")
    assert TEMPORARY not in found
    for store in ("", "s3_compatible", "cloudflare_r2", "google_cloud_storage"):
        assert value_problem("AWS_ACCESS_KEY_ID", TEMPORARY, store=store) == ""
    for key in (TEMPORARY.replace("ASIA", "AKIA"), TEMPORARY.lower(), f"{TEMPORARY}X", TEMPORARY[:-1]):
        assert value_problem("AWS_ACCESS_KEY_ID", key, store="aws_s3") == ""
    assert value_problem("AWS_SECRET_ACCESS_KEY", TEMPORARY.lower(), store="aws_s3") == ""


@pytest.mark.parametrize("start", ["ASIA", "AKIA"])
def test_swapped_keys_are_refused(start: str) -> None:
    identifier = TEMPORARY.replace("ASIA", start)
    found = value_problem("AWS_SECRET_ACCESS_KEY", identifier, store="aws_s3")
    assert "swapped" in found
    assert identifier not in found


HEX = "3f8a91c07de24b56" * 2
PASTED = {
    "Amazon's": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "Azure's": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "base64 that begins with a slash": "/+Kb8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFs=",
    "hexadecimal": HEX * 2,
    "an id": "AKIA" + "Z7" * 8,
    "a password": "Tr0ub4dor&3-hunter2!",
    "armor": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF9abcdefgh0123456789\n",
    "armor in one line": "-----BEGIN PGP PRIVATE KEY BLOCK----- lQOYBF9abcdefgh0123456789",
    "JSON": '{"type": "service_account", "private_key": "MIIEvQIBADANBg"}',
}


@pytest.mark.parametrize("kind", list(PASTED))
def test_a_key_in_the_place_of_a_path_is_not_shown(kind: str) -> None:
    reference = Reference("file", PASTED[kind])
    assert str(reference) == "file …"
    assert not reference.is_showable


def test_a_key_in_the_place_of_the_last_part_of_a_path_is_not_shown() -> None:
    assert str(Reference("file", f"./keys/{HEX}")) == "file ./keys/…"


@pytest.mark.parametrize(
    "path",
    [
        "key", "id_rsa", "private.asc", "./key", "keys/store", "~/.keys/2026-01-31-backup.key", "/dev/fd/63",
        "/run/secrets/r2-access-key", "/Users/Somebody/Projects/Databases2026/keys/production",
        "/nix/store/0c9q1bpzc2vxv5wmkkmb9gl0v5hjvnqz-secrets/r2", "/tmp/pytest-of-root/pytest-12/test_a_file0/key",
    ],
)  # fmt: skip
def test_a_path_is_shown(path: str) -> None:
    assert str(Reference("file", path)) == f"file {path}"


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        (Reference("environment variable", "AKIA" + "Z7" * 8), "environment variable …"),
        (Reference("environment variable", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "environment variable …"),
        (Reference("environment variable", HEX), "environment variable …"),
        (Reference("Secret", f"storage/{HEX}", "id"), "key id of Secret storage/…"),
        (Reference("Secret", "storage/bucket", HEX), "key … of Secret storage/bucket"),
        (Reference("Secret", f"{HEX}/bucket", "id"), "key id of Secret …/bucket"),
    ],
)
def test_a_key_in_the_place_of_a_name_is_not_shown(reference: Reference, shown: str) -> None:
    assert str(reference) == shown
    assert not reference.is_showable


@pytest.mark.parametrize(
    "reference",
    [
        ENVIRONMENT,
        SECRET,
        Reference("environment variable", "AWS_SECRET_ACCESS_KEY_2"),
        Reference("file", f"keys/{HEX}…"),
        Reference("Secret", "d123456-vault/backup-keys", "tls.crt"),
    ],
)
def test_names_are_shown(reference: Reference) -> None:
    assert reference.is_showable
    assert reference.name in str(reference)


SAME, OTHER = Credentials({"A": "x"}), Credentials({"A": "y"})


@pytest.mark.parametrize(
    ("live", "wanted", "told", "generation"),
    [
        # Nothing was there: nothing has changed.
        (None, SAME, 0, 0),
        # The Secret is lost; the pods run on what it held, whatever that was.
        (None, SAME, 3, 4),
        # Unchanged.
        (ExistingSecret(SAME), SAME, 0, 0),
        (ExistingSecret(SAME, 3), SAME, 3, 3),
        # Killed between the Secrets and the ConfigMap: the number is on the Secret already.
        (ExistingSecret(OTHER, 4), OTHER, 3, 4),
        # Changed.
        (ExistingSecret(SAME), OTHER, 0, 1),
        (ExistingSecret(SAME, 3), OTHER, 3, 4),
        # Changed back is changed again.
        (ExistingSecret(OTHER, 4), SAME, 4, 5),
        # The annotation was taken off, and the pods know better: never downwards.
        (ExistingSecret(SAME, 0), OTHER, 7, 8),
        # A key more or less is a change, too.
        (ExistingSecret(SAME, 1), Credentials({"A": "x", "B": "x"}), 1, 2),
        # Nobody looked: nothing is known of a change.
        (ExistingSecret(SAME, 2), Credentials({}, {"A": FILE}), 2, 2),
        (ExistingSecret(SAME, 2), Credentials({"A": "y"}, {"B": FILE}), 2, 2),
    ],
)
def test_generation(live: ExistingSecret | None, wanted: Credentials, told: int, generation: int) -> None:
    existing = Existing(secrets={("other", "name"): ExistingSecret(OTHER, 99), ("space", "name"): live})
    assert generation_of(existing, "space", "name", wanted, told) == generation


def test_what_was_not_looked_up_keeps_its_generation() -> None:
    assert [generation_of(Existing(), "space", "name", SAME, told) for told in (0, 3)] == [0, 3]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("7", 7),
        ("999999999", 999999999),
        ("1234567890", 0),
        ("-1", 0),
        ("٣", 0),
        ("x", 0),
    ],
)
def test_a_told_generation_is_a_small_number(text: str | None, number: int) -> None:
    assert told_generation(text) == number
