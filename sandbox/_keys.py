"""The secrets of one sandbox, made on the spot from the standard library alone."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

# Order of the group of NIST P-256, https://www.secg.org/sec2-v2.pdf section 2.4.2.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# ECPrivateKey, https://www.rfc-editor.org/rfc/rfc5915#section-3: SEQUENCE { INTEGER 1, OCTET STRING key, [0] OID
# prime256v1 }. The public half is optional there; Go computes it from the private one.
_DER_HEAD = bytes.fromhex("30310201010420")
_DER_CURVE = bytes.fromhex("a00a06082a8648ce3d030107")


def token() -> str:
    """Return a fresh bearer token with 256 bits of randomness."""
    return secrets.token_urlsafe(32)


def signing_key() -> str:
    """Return a fresh P-256 private key in PEM form, for the API server to sign service account tokens with.

    A private key is a random number below the group's order, so no cryptographic library is needed to make one.

    Returns:
        PEM text of type ``EC PRIVATE KEY``.
    """
    number = secrets.randbelow(_P256_ORDER - 1) + 1
    body = base64.b64encode(_DER_HEAD + number.to_bytes(32, "big") + _DER_CURVE).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step.

    Args:
        path: file to create or replace; readers see the old or the new text, never a part.
        text: content.

    Raises:
        OSError: if it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    os.replace(draft, path)
