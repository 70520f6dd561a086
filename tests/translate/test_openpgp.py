"""A key of OpenPGP with which wal-g could not archive or restore is refused before anything is written."""

from __future__ import annotations

import base64

import pytest

from planton.translate.openpgp import key_problem, key_warning
from planton.translate.secret_checks import as_stored, value_problem
from tests.keys import CLEAR, ELSEWHERE, LOCKED, TEST_ONLY_KEY, armored, key_part, packet, private_key, signature

USER = packet(13, b"test only", is_old=True)
CERTIFIES = signature(0x13, 0x03)
ENCRYPTS = signature(0x18, 0x0C)
SIGNS = key_part(5, 22) + USER + CERTIFIES


def with_subkey(
    algorithm: int, secret: bytes = CLEAR, *more: bytes, primary: bytes = CLEAR, binding: bytes = b""
) -> str:
    first = key_part(5, 22, primary) + USER + CERTIFIES
    return armored(first, key_part(7, algorithm, secret), binding or ENCRYPTS, *more)


def problem(text: str, *, has_passphrase: bool = False) -> str:
    found = key_problem(text, has_passphrase=has_passphrase)
    stored = as_stored("WALG_PGP_KEY", text)
    assert value_problem("WALG_PGP_KEY", stored, has_passphrase=has_passphrase) == found
    return found


# Each was tried with the code of wal-g 3.0.5 and of 3.0.8 (ProtonMail/go-crypto).
@pytest.mark.parametrize(
    "text",
    [
        TEST_ONLY_KEY,
        private_key("one", "two: three"),
        TEST_ONLY_KEY.replace("=aOvQ\n", ""),
        TEST_ONLY_KEY.replace("\n", "\r\n"),
        f"Before it\n{TEST_ONLY_KEY}after it\n",
        *(with_subkey(algorithm) for algorithm in (1, 2, 16, 18)),
        armored(key_part(5, 1), USER, signature(0x13, 0x07)),
        with_subkey(18, CLEAR, primary=ELSEWHERE),
        # An older subkey is gone; a newer one is there.
        with_subkey(18, ELSEWHERE, key_part(7, 18), signature(0x18, 0x0C, created=9)),
        with_subkey(18, ELSEWHERE, signature(0x28, None), key_part(7, 18), ENCRYPTS),
        # What somebody else says of the key.
        armored(key_part(5, 22), USER, CERTIFIES, signature(0x10, None, created=9), key_part(7, 18), ENCRYPTS),
    ],
)
def test_a_key_that_works(text: str) -> None:
    assert problem(text) == ""
    assert key_warning(text) == ""


def test_a_locked_key_needs_its_passphrase() -> None:
    text = with_subkey(18, LOCKED, primary=LOCKED)
    assert problem(text).startswith("is locked with a passphrase and none is given")
    assert problem(text, has_passphrase=True) == ""
    assert problem(TEST_ONLY_KEY, has_passphrase=True) == ""


@pytest.mark.parametrize(
    "text",
    [
        armored(SIGNS),
        with_subkey(22),
        with_subkey(3),
        # An algorithm that could, and flags that forbid it: `gpg --quick-generate-key … rsa4096`.
        armored(key_part(5, 1), USER, CERTIFIES),
        with_subkey(18, binding=signature(0x18, 0x02)),
        with_subkey(18, binding=signature(0x18, None)),
        with_subkey(18, CLEAR, signature(0x28, None)),
        with_subkey(18, CLEAR, signature(0x18, 0x02, created=9)),
        armored(key_part(5, 22), CERTIFIES, key_part(7, 18), ENCRYPTS),
        # One of two keys.
        armored(key_part(5, 22), USER, CERTIFIES, key_part(7, 18), ENCRYPTS, SIGNS),
    ],
)
def test_a_key_that_encrypts_nothing(text: str) -> None:
    assert problem(text).startswith("has nothing that encrypts, so that wal-g would archive nothing with it")


@pytest.mark.parametrize(
    ("text", "has_passphrase", "told"),
    [
        (with_subkey(18, ELSEWHERE), False, "lacks the secret part of what encrypts"),
        (with_subkey(18, ELSEWHERE, primary=ELSEWHERE), True, "lacks the secret part of what encrypts"),
        (armored(SIGNS, packet(14, b"\x04time\x01" + b"\x00\x08\x80" * 2), ENCRYPTS), False, "lacks the secret"),
        (
            with_subkey(18, CLEAR, key_part(7, 18, ELSEWHERE), signature(0x18, 0x0C, created=9)),
            False,
            "lacks the secret part of what encrypts",
        ),
        # gpg --export-secret-subkeys: wal-g unlocks all or nothing.
        (with_subkey(18, LOCKED, primary=ELSEWHERE), True, "lacks the secret part of its primary key or of a subkey"),
        (with_subkey(18, CLEAR, primary=ELSEWHERE), True, "lacks the secret part of its primary key or of a subkey"),
        (armored(key_part(5, 22), signature(0x20, None), USER, CERTIFIES), False, "is revoked"),
        (with_subkey(25), False, "has a part with algorithm 25, which wal-g 3.0.5 does not read"),
        (armored(key_part(5, 27)), False, "has a part with algorithm 27, which wal-g 3.0.5 does not read"),
        (armored(key_part(5, 1, version=3)), False, "has a part of version 3, which wal-g 3.0.5 does not read"),
        (armored(key_part(5, 1, version=6)), False, "has a part of version 6, which wal-g 3.0.5 does not read"),
        # A cipher without more, AEAD, IDEA, Argon2.
        *(
            (with_subkey(18, secret), True, "is locked in a way that wal-g 3.0.5 does not know")
            for secret in (
                b"\x07" + b"x" * 40,
                b"\xfd\x09\x02\x03" + b"x" * 60,
                b"\xfe\x01\x03\x08" + b"x" * 60,
                b"\xfe\x09\x04\x08" + b"x" * 60,
            )
        ),
        (with_subkey(18, CLEAR[:-1] + b"\x00"), False, "is damaged"),
        (TEST_ONLY_KEY.replace("lFgE", "lFgF"), False, "is damaged"),
    ],
)  # fmt: skip
def test_a_key_that_could_not_be_read_or_would_restore_nothing(text: str, has_passphrase: bool, told: str) -> None:
    assert problem(text, has_passphrase=has_passphrase).startswith(told)


BODY = TEST_ONLY_KEY.split("\n\n")[1].split("\n=")[0]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQdGBGV\n-----END PGP PRIVATE KEY BLOCK-----\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n\n-----END PGP PRIVATE KEY BLOCK-----\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n!!!!\n-----END PGP PRIVATE KEY BLOCK-----\n",
        # No empty line, no end, one line that is too long, and something else before it.
        TEST_ONLY_KEY.replace("\n\n", "\n"),
        TEST_ONLY_KEY.partition("-----END")[0],
        TEST_ONLY_KEY.replace(BODY, BODY.replace("\n", "")),
        TEST_ONLY_KEY.replace("PRIVATE", "PUBLIC") + TEST_ONLY_KEY,
        # Cut off, in parts, without an end, no packets, nothing before the subkey, no key at all.
        armored(base64.b64decode(BODY)[:-3]),
        armored(b"\xc5\xe1" + b"x" * 4),
        armored(b"\x97" + b"x" * 4),
        armored(b"plain text"),
        armored(key_part(7, 18), ENCRYPTS),
        armored(packet(63, b"")),
        armored(packet(5, b"\x04")),
        armored(SIGNS, packet(2, b"\x04\x13\x01\x08\x00\x02\x09\x02")),
        *(armored(base64.b64decode(BODY)[:length]) for length in range(1, 400, 9)),
    ],
)
def test_what_is_no_key(text: str) -> None:
    found = problem(text)
    assert "no private OpenPGP key in ASCII armor" in found or found.startswith("has nothing that encrypts")
    assert key_warning(text) == ""


def test_a_date_of_expiry_is_warned_about() -> None:
    found = "has a date of expiry: after it wal-g archives nothing any more"
    late = signature(0x18, 0x0C, expires=7)
    assert key_warning(with_subkey(18, binding=late)).startswith(found)
    assert key_warning(armored(key_part(5, 1), USER, signature(0x13, 0x07, expires=7))).startswith(found)
    # A later signature took the date off; a subkey that signs may end.
    assert key_warning(with_subkey(18, CLEAR, signature(0x18, 0x0C, created=9), binding=late)) == ""
    assert key_warning(with_subkey(18, CLEAR, key_part(7, 22), signature(0x18, 0x02, expires=7))) == ""
