"""Reads a private OpenPGP key as far as it takes to say whether wal-g can encrypt and decrypt with it.

What wal-g v3.0.5 reads (github.com/ProtonMail/go-crypto of April 2023; v3.0.8 has v1.3.0, which reads more): keys of
version 4 (RFC 4880 with ed25519 and cv25519), locked with a passphrase or not. It encrypts with the newest subkey that
is flagged for encrypting communications, else with the primary key where that is so flagged; openpgp/keys.go,
EncryptionKey. With a passphrase it unlocks every part, and fails at the first that is not there (internal/crypto/
openpgp/key.go). No signature is verified here, and no passphrase tried.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

PRIVATE = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
"""First line of a private key in ASCII armor."""

_ARMOR = re.compile(
    rf"{PRIVATE}[ \t]*\n(?:[^\n:]+:[^\n]*\n)*[ \t]*\n"
    r"(?P<body>[A-Za-z0-9+/=\s]*?)(?:\n=(?P<sum>[A-Za-z0-9+/]{4})[ \t]*)?"
    r"\n-----END PGP PRIVATE KEY BLOCK-----"
)
# go-crypto, openpgp/armor: a longer line ends the reading.
_LONGEST_LINE = 96

_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY, _USER_ID, _PUBLIC_SUBKEY = 2, 5, 6, 7, 13, 14
_KEYS = (_SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY, _PUBLIC_SUBKEY)
# Algorithm -> what its public part is made of: m is a number, l a text with its length in one octet.
_PUBLIC_PARTS = {1: "mm", 2: "mm", 3: "mm", 16: "mmm", 17: "mmmm", 18: "lml", 19: "lm", 22: "lm"}
_CAN_ENCRYPT = frozenset({1, 2, 16, 18})
_CIPHERS = frozenset({2, 3, 7, 8, 9})  # Those that wal-g's library knows: 3DES, CAST5, AES.
_REVOKES, _REVOKES_SUBKEY = 0x20, 0x28
_CREATED, _EXPIRES, _FLAGS = 2, 9, 27
_ENCRYPTS_COMMUNICATIONS = 0x04

_NEW_ONE = "make one with: gpg --quick-generate-key <name> rsa4096, then gpg --quick-add-key <fingerprint> rsa4096 encr"
_NO_KEY = (
    f"is no private OpenPGP key in ASCII armor ({PRIVATE} …): export it again with gpg --export-secret-keys --armor"
)


class _Unusable(ValueError):
    """Something that wal-g could not work with. Its text says what, and holds nothing of the key."""


@dataclass(slots=True)
class _Key:
    """One part of a key: the primary one, or a subkey."""

    algorithm: int
    is_primary: bool
    has_secret: bool = False
    is_locked: bool = False
    signed: int = -1
    flags: int = 0
    expires: bool = False
    is_revoked: bool = False
    is_named: bool = False

    @property
    def encrypts(self) -> bool:
        return self.algorithm in _CAN_ENCRYPT and bool(self.flags & _ENCRYPTS_COMMUNICATIONS) and not self.is_revoked


@dataclass(slots=True)
class _Octets:
    data: bytes
    place: int = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.place:
            raise _Unusable(_NO_KEY)
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.place)

    @property
    def more(self) -> bool:
        return self.place < len(self.data)


def key_problem(text: str, *, has_passphrase: bool) -> str:
    """Checks a private key.

    Args:
        text: The key in ASCII armor; its lines may be parted by the two characters that Secrets hold.
        has_passphrase: Whether a passphrase comes with it. Whether it is the right one is not checked.

    Returns:
        Why wal-g could not archive or restore with it; empty when it can.
    """
    try:
        for parts in _read(text):
            _check(parts, has_passphrase)
    except _Unusable as problem:
        return str(problem)
    return ""


def key_warning(text: str) -> str:
    """Looks for a date of expiry.

    Args:
        text: The key, as for `key_problem`.

    Returns:
        What to know of it; empty for a key that does not expire, or is none.
    """
    try:
        expires = any(key.expires and (key.is_primary or key.encrypts) for parts in _read(text) for key in parts)
    except _Unusable:
        return ""
    if not expires:
        return ""
    return (
        "has a date of expiry: after it wal-g archives nothing any more, and WAL fills the volume. Take the date off "
        "(gpg --quick-set-expire <fingerprint> never, and once more with '*' at the end), then export it again"
    )


def _read(text: str) -> list[list[_Key]]:
    """Gives the parts of each key."""
    keys: list[list[_Key]] = []
    for tag, body in _packets(_armored(text.replace("\\n", "\n").replace("\r\n", "\n"))):
        if tag in (_SECRET_KEY, _PUBLIC_KEY):
            keys.append([_key(tag, body)])
        elif not keys:
            raise _Unusable(_NO_KEY)
        elif tag in _KEYS:
            keys[-1].append(_key(tag, body))
        elif tag == _USER_ID:
            keys[-1][0].is_named = True
        elif tag == _SIGNATURE:
            _sign(keys[-1][-1], _Octets(body))
    if not keys:
        raise _Unusable(_NO_KEY)
    return keys


def _armored(text: str) -> bytes:
    found = _ARMOR.search(text)
    # Only the first block is read.
    if found is None or text.find("-----BEGIN") != found.start():
        raise _Unusable(_NO_KEY)
    lines = [line.strip() for line in found["body"].splitlines()]
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    is_whole = found["sum"] is None or base64.b64decode(found["sum"]) == _crc24(data)
    if not data or not is_whole or max(map(len, lines)) > _LONGEST_LINE:
        raise _Unusable(f"is damaged: {_NO_KEY}" if data and not is_whole else _NO_KEY)
    return data


def _crc24(data: bytes) -> bytes:
    # RFC 4880, section 6.1.
    value = 0xB704CE
    for octet in data:
        value ^= octet << 16
        for _ in range(8):
            value = value << 1 ^ (0x1864CFB if value & 0x800000 else 0)
    return (value & 0xFFFFFF).to_bytes(3, "big")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    octets = _Octets(data)
    while octets.more:
        head = octets.number(1)
        if not head & 0x80:
            raise _Unusable(_NO_KEY)
        if head & 0x40:
            yield head & 0x3F, octets.take(_length(octets))
        elif head & 3 == 3:
            raise _Unusable(_NO_KEY)  # Until the end of the file: no key is written so.
        else:
            yield head >> 2 & 0xF, octets.take(octets.number(1 << (head & 3)))


def _length(octets: _Octets, *, partial: bool = True) -> int:
    first = octets.number(1)
    if first < 192:
        return first
    if first == 255:
        return octets.number(4)
    if partial and first >= 224:
        raise _Unusable(_NO_KEY)  # In parts: allowed for data only.
    return (first - 192 << 8) + octets.number(1) + 192


def _key(tag: int, body: bytes) -> _Key:
    octets = _Octets(body)
    version = octets.number(1)
    octets.take(4)
    algorithm = octets.number(1)
    if version != 4 or algorithm not in _PUBLIC_PARTS:
        what = f"of version {version}" if version != 4 else f"with algorithm {algorithm}"
        raise _Unusable(f"has a part {what}, which wal-g 3.0.5 does not read: {_NEW_ONE}")
    for part in _PUBLIC_PARTS[algorithm]:
        octets.take((octets.number(2) + 7) // 8 if part == "m" else octets.number(1))
    key = _Key(algorithm, is_primary=tag in (_SECRET_KEY, _PUBLIC_KEY))
    if tag in (_SECRET_KEY, _SECRET_SUBKEY):
        _secret(key, octets)
    return key


def _secret(key: _Key, octets: _Octets) -> None:
    usage = octets.number(1)
    if usage == 0:
        secret = octets.rest()
        if len(secret) <= 2 or sum(secret[:-2]) & 0xFFFF != int.from_bytes(secret[-2:], "big"):
            raise _Unusable(f"is damaged: {_NO_KEY}")
        key.has_secret = True
        return
    cipher = octets.number(1) if usage in (254, 255) else -1
    way = octets.number(1) if cipher >= 0 else -1
    if way == 101:
        return  # GnuPG's mark for a part that is elsewhere.
    if cipher not in _CIPHERS or way not in (0, 1, 3):
        raise _Unusable("is locked in a way that wal-g 3.0.5 does not know: " + _NEW_ONE)
    octets.take({0: 1, 1: 9, 3: 10}[way] + (8 if cipher in (2, 3) else 16))
    key.has_secret = key.is_locked = bool(octets.rest())


def _sign(key: _Key, octets: _Octets) -> None:
    """Notes what a signature says of the part before it."""
    version, kind = octets.number(1), octets.number(1)
    if version != 4:
        return
    if kind in (_REVOKES, _REVOKES_SUBKEY):
        key.is_revoked = True
        return
    octets.take(2)
    told = _Octets(octets.take(octets.number(2)))
    said: dict[int, bytes] = {}
    while told.more:
        entry = _Octets(told.take(_length(told, partial=False)))
        about = entry.number(1) & 0x7F
        said[about] = entry.rest()
    created = int.from_bytes(said.get(_CREATED, b""), "big")
    # What others say of it has no flags.
    if said.get(_FLAGS) and created >= key.signed:
        key.signed = created
        key.flags = said[_FLAGS][0]
        key.expires = any(said.get(_EXPIRES, b""))


def _check(parts: list[_Key], has_passphrase: bool) -> None:
    primary = parts[0]
    if primary.is_revoked:
        raise _Unusable("is revoked, so that wal-g would archive nothing with it")
    subkeys = [key for key in parts[1:] if key.encrypts]
    # The first of the newest, as in go-crypto.
    chosen = max(subkeys, key=lambda key: key.signed) if subkeys else primary
    if not chosen.encrypts or not primary.is_named:
        raise _Unusable(
            "has nothing that encrypts, so that wal-g would archive nothing with it: add a subkey with "
            "gpg --quick-add-key <fingerprint> rsa4096 encr, and export it again"
        )
    if not chosen.has_secret:
        raise _Unusable(
            "lacks the secret part of what encrypts, so that nothing could be restored: export it where all of it is, "
            "with gpg --export-secret-keys --armor"
        )
    if chosen.is_locked and not has_passphrase:
        raise _Unusable("is locked with a passphrase and none is given, so that nothing could be restored")
    if has_passphrase and not all(key.has_secret for key in parts):
        raise _Unusable(
            "lacks the secret part of its primary key or of a subkey, which wal-g wants to unlock with the passphrase: "
            "no restore would succeed. Export it whole with gpg --export-secret-keys --armor"
        )
