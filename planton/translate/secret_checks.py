"""What is wrong with a value that belongs in a Secret. No text here holds the value."""

from __future__ import annotations

import base64
import binascii
import re

from planton.sensitive import HIDDEN

_SHORTEST_KEY = 8
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html: ids of temporary keys begin so.
_ACCESS_KEY_ID = re.compile(r"A[KS]IA[A-Z0-9]{16}", re.ASCII)
_TEMPORARY = re.compile(r"ASIA[A-Z0-9]{16}", re.ASCII)
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_CERTIFICATES = re.compile(rf"{_CERTIFICATE}([^-]*)-----END CERTIFICATE-----")
# A Secret has at most 1 MiB, and the environment of a process less.
_LONGEST = 64 * 1024


def as_stored(name: str, value: str) -> str:
    r"""Gives a value the form in which a Secret holds it.

    Args:
        name: Key in the Secret, which is the name of a variable or of a file.
        value: The value as it was written or found.

    Returns:
        The value without white space at its end. A PGP key comes in one line with `\n` between its lines: only the
        first line of a variable gets through envdir to wal-g, which turns `\n` back into line breaks (wal-g v3.0.5,
        internal/crypto/openpgp; Spilo runs wal-g by envdir, which is runit's chpst -e).
    """
    value = value.rstrip()
    if name == "WALG_PGP_KEY":
        return "\\n".join(value.replace("\r\n", "\n").split("\n")) + "\\n"
    return value + "\n" if name.endswith(".crt") else value


def value_problem(name: str, value: str, transform: str = "", *, has_passphrase: bool = False, store: str = "") -> str:
    """Checks a value.

    Args:
        name: Key in the Secret, which is the name of a variable or of a file.
        value: The value in the form in which a Secret holds it.
        transform: How a key of libsodium is written: `hex` or `base64`.
        has_passphrase: Whether a passphrase comes with a key of OpenPGP.
        store: The store that a key is for, as its field in `storage` is called; empty when it is not known.

    Returns:
        What is wrong with it; empty when nothing is.
    """
    if len(value) > _LONGEST:
        return "is longer than 64 KiB"
    if name.endswith(".crt"):
        return _certificate_problem(value)
    if name == "WALG_PGP_KEY":
        from planton.translate import openpgp  # As ssl below.

        if openpgp.PRIVATE not in value:
            return (
                f"holds no private key in ASCII armor ({openpgp.PRIVATE} …): with a public key alone nothing could be "
                "restored"
            )
        return openpgp.key_problem(value, has_passphrase=has_passphrase)
    if name == "WALG_LIBSODIUM_KEY":
        return _libsodium_problem(value, transform)
    if name == "WALG_PGP_KEY_PASSPHRASE":
        return "" if value and "\n" not in value else "must be one line"
    if name == "AWS_ACCESS_KEY_ID" and store == "aws_s3" and _TEMPORARY.fullmatch(value):
        return (
            "is the id of temporary keys (ASIA…): they work with a session token only, which Spilo does not pass on "
            "to wal-g, and they end within hours. Give keys of an IAM user (AKIA…), or cloud_identity"
        )
    if name == "AWS_SECRET_ACCESS_KEY" and _ACCESS_KEY_ID.fullmatch(value):
        return "is an access key id: are the two swapped?"
    return key_problem(value)


def value_warning(name: str, value: str) -> str:
    """Looks for what is worth a warning in a value without a problem.

    Args:
        name: Key in the Secret.
        value: The value in the form in which a Secret holds it.

    Returns:
        What to know of it; empty when there is nothing.
    """
    if name != "WALG_PGP_KEY":
        return ""
    from planton.translate import openpgp  # As ssl below.

    return openpgp.key_warning(value)


def key_problem(value: str) -> str:
    """Checks a key of an object store.

    Args:
        value: The key.

    Returns:
        What is wrong with it; empty when nothing is.
    """
    # R2's have 32 and 64 characters: https://developers.cloudflare.com/r2/api/tokens/. Much shorter ones can be a
    # slip, and could not be taken out of what a server says without tearing other words.
    if value == HIDDEN:
        return "is what stands for a key in redacted output: write the key"
    if len(value) < _SHORTEST_KEY:
        return f"must have at least {_SHORTEST_KEY} characters"
    if not _PRINTABLE.fullmatch(value):
        return "must be printable ASCII without white space"
    return ""


def _certificate_problem(value: str) -> str:
    if "PRIVATE KEY-----" in value:
        # It is copied to every namespace with a database.
        return "holds a private key as well: give the certificate alone"
    count = value.count(_CERTIFICATE)
    blocks = [match[1] for match in _CERTIFICATES.finditer(value)]
    if not count:
        return f"holds no certificate in PEM form ({_CERTIFICATE} …)"
    if len(blocks) != count or not all(map(_is_certificate, blocks)):
        which = "what" if count == 1 else f"one of {count} blocks, which"
        return f"cannot be read: {which} stands after {_CERTIFICATE} is no certificate, or is cut off or damaged"
    return ""


def _is_certificate(body: str) -> bool:
    # Imported here: it takes long, and most stores need no certificate.
    import ssl

    try:
        content = base64.b64decode("".join(body.split()), validate=True)
        # Nothing is read from the system: a context of this kind trusts nobody until it is told to.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
    except (binascii.Error, ValueError, ssl.SSLError):
        return False
    return True


def _libsodium_problem(value: str, transform: str) -> str:
    # wal-g v3.0.5, internal/crypto/libsodium/crypter.go: 32 bytes after the transform.
    if transform == "hex":
        return "" if _HEX.fullmatch(value) else "must be 64 hexadecimal digits (32 bytes), since transform is hex"
    try:
        size = len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    return "" if size == 32 else "must be 32 bytes in base64 (44 characters), since transform is base64"
