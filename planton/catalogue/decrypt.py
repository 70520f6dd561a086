"""Decrypts what wal-g encrypts, with the keys of its archive.

The libraries are an extra: most archives are not encrypted by wal-g, and who has one that is hears what to install.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any

from planton.catalogue.decode import DecodeError, is_compressed
from planton.translate.archive_access import ArchiveAccess
from planton.translate.openpgp import key_warning

INSTALL = "pip install 'planton[encryption]'"
"""What the libraries come with."""

# wal-g v3.0.5 and v3.0.8, crypto/libsodium/crypter.go, reader.go, writer.go: one message of the stream a chunk. The
# last one is marked, and is never as long as a chunk.
_CHUNK = 8192
_KEY_BYTES = 32
_SHORTEST_KEY = 25
_WRONG_KEY = "cannot be decrypted with the key that is given: another key wrote it, or it is damaged"
_NOT_ENCRYPTED = (
    "is not encrypted, although a key is given: wal-g reads nothing then that was written before there was a key"
)
_ONLY_WALG = (
    "is encrypted with the key that is given, but is not read here: it is damaged, or the key has expired or has "
    "several parts that decrypt, with which wal-g reads on and planton does not"
)


class Decryption:
    """Decrypts objects of one archive. Prints neither keys nor objects. Safe for several threads.

    Attributes:
        problem: Why nothing can be decrypted, with what to do; empty when nothing is known against it, and for an
            archive that is not encrypted.
    """

    __slots__ = ("_decrypt", "problem")

    def __init__(self, access: ArchiveAccess) -> None:
        """Prepares it.

        Args:
            access: How the archive is read.
        """
        self.problem = ""
        self._decrypt: Callable[[bytes], bytes] | None = None
        method = access.encryption
        if not method:
            return
        variable, make = ("WALG_PGP_KEY", _pgp) if method == "pgp" else ("WALG_LIBSODIUM_KEY", _libsodium)
        if variable not in access.contents.reveal():
            place = access.contents.unresolved.get(variable) or access.references.get(variable, variable)
            self.problem = f"its WAL is encrypted, and the key ({variable}) was not found: {place}"
            return
        try:
            self._decrypt = make(access)
        except ImportError:
            self.problem = f"its WAL is encrypted, and what reads that is not installed: {INSTALL}"
        except _UnusableKey as error:
            self.problem = str(error)

    def __repr__(self) -> str:
        """Says what is wrong with it, and nothing else."""
        return f"Decryption({self.problem!r})"

    def decrypt(self, data: bytes) -> bytes:
        """Decrypts an object.

        Args:
            data: What it holds.

        Returns:
            What wal-g encrypted; the same bytes in an archive that is not encrypted.

        Raises:
            DecodeError: The key does not fit, or the object is damaged.
        """
        if self.problem:
            raise DecodeError("key", self.problem)
        return data if self._decrypt is None else self._decrypt(data)


class _UnusableKey(Exception):
    """A key of which wal-g makes nothing; says so without any part of it."""


def _libsodium(access: ArchiveAccess) -> Callable[[bytes], bytes]:
    from nacl import bindings, exceptions

    key = _libsodium_key(
        access.contents.reveal()["WALG_LIBSODIUM_KEY"], _value(access, "WALG_LIBSODIUM_KEY_TRANSFORM") or "none"
    )
    header_bytes = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
    chunk_bytes = _CHUNK + bindings.crypto_secretstream_xchacha20poly1305_ABYTES
    pull = bindings.crypto_secretstream_xchacha20poly1305_pull
    final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL

    def begin(state: Any, header: bytes) -> None:
        # The key in here alone: a frame that an error goes through shows its variables to whoever asks.
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)

    def decrypt(data: bytes) -> bytes:
        if is_compressed(data):
            raise DecodeError("not encrypted", _NOT_ENCRYPTED)
        state = bindings.crypto_secretstream_xchacha20poly1305_state()
        parts: list[bytes] = []
        tag = 0
        try:
            begin(state, data[:header_bytes])
            for place in range(header_bytes, len(data), chunk_bytes):
                part, tag = pull(state, data[place : place + chunk_bytes])
                parts.append(part)
        except exceptions.CryptoError:
            if parts:
                raise DecodeError("damaged", f"is damaged: it decrypts up to byte {len(parts) * _CHUNK} only") from None
            raise DecodeError("key", _WRONG_KEY) from None
        # wal-g itself takes a stream without its end for a whole one: reader.go (readNextChunk).
        if tag != final:
            raise DecodeError("damaged", "is damaged: its end is missing")
        return b"".join(parts)

    return decrypt


def _libsodium_key(text: str, transform: str) -> bytes:
    """Makes the key as wal-g does: v3.0.8, crypto/libsodium/keytransform.go."""
    if transform == "none":
        key = text.encode()
        if len(key) < _SHORTEST_KEY:
            raise _UnusableKey(f"WALG_LIBSODIUM_KEY is shorter than {_SHORTEST_KEY} bytes, which wal-g refuses")
        return key[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0")
    try:
        if transform == "hex":
            # bytes.fromhex passes over spaces, wal-g does not.
            key = bytes.fromhex(text) if re.fullmatch(r"[0-9A-Fa-f]*", text) else b""
        elif transform == "base64":
            key = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        else:
            raise _UnusableKey("WALG_LIBSODIUM_KEY_TRANSFORM is none of none, hex and base64: wal-g refuses it")
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise _UnusableKey(f"WALG_LIBSODIUM_KEY is not {_KEY_BYTES} bytes in {transform}, which wal-g refuses")
    return key


def _pgp(access: ArchiveAccess) -> Callable[[bytes], bytes]:
    import pysequoia
    from pysequoia import packet

    passphrase = _value(access, "WALG_PGP_KEY_PASSPHRASE") or None
    text = access.contents.reveal()["WALG_PGP_KEY"].replace("\\n", "\n")
    packets = list(_silenced(packet.PacketPile.from_bytes, text.encode()) or ())
    own = {one.key_id.lower() for one in packets if _tag(one) in (packet.Tag.SecretKey, packet.Tag.SecretSubkey)}
    if not own:
        raise _UnusableKey("WALG_PGP_KEY is no private OpenPGP key in ASCII armor")
    secrets = (_silenced(pysequoia.Tsk.from_packets, some) for some in _parts(packets))
    decryptors = [one for secret in secrets if secret and (one := _silenced(secret.decryptor, passphrase)) is not None]
    # Nothing is decrypted here with a key that has expired, while wal-g reads on with it.
    if not decryptors and not key_warning(text):
        what = "its passphrase does not unlock it" if passphrase else "it is locked, and no passphrase is given"
        raise _UnusableKey(f"WALG_PGP_KEY has no part that decrypts, or {what}")

    def decrypt(data: bytes) -> bytes:
        if is_compressed(data):
            raise DecodeError("not encrypted", _NOT_ENCRYPTED)
        message = _silenced(packet.PacketPile.from_bytes, data) or ()
        keys = {one.body[1:9].hex() for one in message if _tag(one) == packet.Tag.PKESK}
        if not keys:
            raise DecodeError("damaged", "is no OpenPGP message: it is damaged, not encrypted, or by another method")
        if keys.isdisjoint(own):
            raise DecodeError("key", _WRONG_KEY)
        for decryptor in decryptors:
            found = _silenced(lambda one: pysequoia.decrypt(decryptor=one, bytes=data), decryptor)
            if found is not None and found.bytes is not None:
                return bytes(found.bytes)
        raise DecodeError("unsupported", _ONLY_WALG)

    return decrypt


def _parts(packets: Iterable[Any]) -> list[list[Any]]:
    """Parts keys so that each has one subkey at most: of several that decrypt the library takes only the first.

    Args:
        packets: Packets of a key ring, which may have several keys, as wal-g reads it.

    Returns:
        Primary keys alone, and with each of their subkeys, the newest of which are the last.
    """
    from pysequoia.packet import Tag

    parts: list[list[Any]] = []
    primary: list[Any] = []
    current: list[Any] = []
    for packet in packets:
        tag = _tag(packet)
        if tag in (Tag.SecretKey, Tag.PublicKey):
            primary = current = [packet]
            parts.append(current)
        elif tag in (Tag.SecretSubkey, Tag.PublicSubkey):
            current = [*primary, packet]
            parts.append(current)
        else:
            current.append(packet)
    return parts


def _tag(packet: Any) -> Any:
    """Gives the tag of a packet; None for one that the library has no name for, of which it raises an error.

    There are such: RFC 4880 leaves the tags 60 to 63 to whoever wants them, and in damaged bytes stands anything.
    """
    return _silenced(lambda one: one.tag, packet)


def _silenced(call: Callable[[Any], Any], argument: Any) -> Any:
    """Calls what raises errors of no class of their own, whose texts may quote keys and messages; None is an error."""
    try:
        return call(argument)
    except Exception:
        return None


def _value(access: ArchiveAccess, variable: str) -> str:
    return access.contents.reveal().get(variable) or access.environment.get(variable, "")
