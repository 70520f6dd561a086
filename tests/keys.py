"""Certificates and private keys of OpenPGP for tests only: whole in form, of no use to anybody."""

from __future__ import annotations

import base64

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBozCCAUmgAwIBAgIUUdrszzC5QiLRS7Q0RGXcUdVL3RUwCgYIKoZIzj0EAwIw
JjEkMCIGA1UEAwwbcGxhbnRvbiB0ZXN0IG9ubHkgYXV0aG9yaXR5MCAXDTI2MTEy
MjE1MTQxNFoYDzIxMjYxMDI5MTUxNDE0WjAmMSQwIgYDVQQDDBtwbGFudG9uIHRl
c3Qgb25seSBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR28beZ
mK45KGAVRQ1NqBxAPgJBrX35zzQeYHhrI1VYmjmCOVbG2oiaQVJy3ziGHok2TTMQ
SfnhKoAADzYEMaqho1MwUTAdBgNVHQ4EFgQU11pSHFvcUFeDb6jdGMM9rTYJzcIw
HwYDVR0jBBgwFoAU11pSHFvcUFeDb6jdGMM9rTYJzcIwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEA8YBJfX53Kt6nPCkmDop8gh37UGImWLpV059t
TIrRoPACIF/oCuBEn7OXsQWxfQx/NaDShtqmXYVPMvvn8/bZEagn
-----END CERTIFICATE-----
"""
"""Of "planton test only authority". Its key was never kept."""

TEST_ONLY_KEY = """\
-----BEGIN PGP PRIVATE KEY BLOCK-----

lFgEawMGJxYJKwYBBAHaRw8BAQdAO2omqGGik5ogSXx7LbtmZeeZa9YgOJ/5LQ2x
jyiBylIAAPsHW3c1EzZf8QzGkuqpRn4+dq3Cx5GWWRFfv+RyievbshFNtAdjdkB0
ZXN0iJAEExYIADgWIQTLbte900kzvmX5bpQyqt7YgCMe6QUCawMGJwIbAwULCQgH
AgYVCgkICwIEFgIDAQIeAQIXgAAKCRAyqt7YgCMe6SuFAP4jhMO9vXZ50Q5sg7Sx
8sd956xyhPEm7Qy+tIUq4U4NcwEAocR3bQIxuJwrnddXxSIwqPQNAC4EFBnRy7uo
xaesXgCcXQRrAwYnEgorBgEEAZdVAQUBAQdAP43iY7h7DD5U6GgQzYNJIkfgp763
ALItwrNEp/4JiXwDAQgHAAD/S8Ln3EGc6eGeFjh5PPK0vyvSaKz3h2dmb0V0Vghr
iLASAYh4BBgWCAAgFiEEy27XvdNJM75l+W6UMqre2IAjHukFAmsDBicCGwwACgkQ
Mqre2IAjHukJzQD+N4N/P4XIj9VDiNPfROZUeIFoTSk7nxxMToRcQKMoDS0A/iji
ksjpcoP/vWJMmDoEEfOvd0hQe/yQGUTuEnavB9EE
=aOvQ
-----END PGP PRIVATE KEY BLOCK-----
"""
"""A real key, made by GnuPG 2.2 for these tests (ed25519 and cv25519, no passphrase). It opens nothing."""


def certificate(*marks: str) -> str:
    """Gives a certificate with lines before it, which readers of PEM skip."""
    return "".join(f"{mark}\n" for mark in marks) + AUTHORITY


def private_key(*marks: str) -> str:
    """Gives a private key of OpenPGP with comments, by which it is found again."""
    head, _, rest = TEST_ONLY_KEY.partition("\n")
    return "\n".join((head, *(f"Comment: {mark}" for mark in marks), rest))


def number(octets: bytes) -> bytes:
    """Writes a number as OpenPGP does."""
    return (8 * len(octets)).to_bytes(2, "big") + octets


def packet(tag: int, body: bytes, *, is_old: bool = False) -> bytes:
    """Writes a packet of OpenPGP."""
    if is_old:
        return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


RSA = number(b"\x80" * 32) + number(b"\x01\x00\x01")
PARTS = {
    1: RSA, 2: RSA, 3: RSA,
    16: number(b"\x81" * 32) * 3,
    17: number(b"\x82" * 32) * 4,
    18: b"\x03abc" + number(b"\x40" + b"p" * 32) + b"\x03\x01\x08\x07",
    19: b"\x03abc" + number(b"\x04" + b"p" * 64),
    22: b"\x03abc" + number(b"\x40" + b"p" * 32),
}  # fmt: skip
"""Algorithm -> the public part of a key."""
SECRET = number(b"\xf0" * 32)
CLEAR = b"\x00" + SECRET + (sum(SECRET) & 0xFFFF).to_bytes(2, "big")
LOCKED = b"\xfe\x09\x03\x08" + b"saltsalt" + b"\x60" + b"i" * 16 + b"encrypted" * 5
ELSEWHERE = b"\xff\x00\x65\x00GNU\x01"


def key_part(tag: int, algorithm: int, secret: bytes = CLEAR, version: int = 4) -> bytes:
    """Writes a key or a subkey: 5, 6, 7 or 14."""
    return packet(tag, bytes([version]) + b"time" + bytes([algorithm]) + PARTS.get(algorithm, RSA) + secret)


def signature(kind: int, flags: int | None, *, created: int = 1, expires: int = 0) -> bytes:
    """Writes what a signature says of the part before it. It signs nothing."""
    told = b"\x05\x02" + created.to_bytes(4, "big")
    if expires:
        told += b"\x05\x09" + expires.to_bytes(4, "big")
    if flags is not None:
        told += b"\x02\x1b" + bytes([flags])
    rest = b"\x00\x00ab" + number(b"\x99" * 32)
    return packet(2, bytes([4, kind, 1, 8]) + len(told).to_bytes(2, "big") + told + rest)


def armored(*packets: bytes, title: str = "PRIVATE KEY BLOCK") -> str:
    """Writes packets in ASCII armor without a checksum."""
    text = base64.b64encode(b"".join(packets)).decode()
    lines = "\n".join(text[place : place + 64] for place in range(0, len(text), 64))
    return f"-----BEGIN PGP {title}-----\n\n{lines}\n-----END PGP {title}-----\n"
