"""Looks up what the references of manifests lead to: environment variables, files, Secrets of the cluster."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from planton.cluster._resources import SECRET, Key
from planton.cluster._server import Server, in_parallel, results
from planton.errors import ManifestError, Problem
from planton.manifest import Manifests
from planton.rendering import located
from planton.translate.contract import KubernetesObject
from planton.translate.secret_fields import references_in
from planton.translate.secret_values import Reference, SecretValues

# A Secret holds at most 1 MiB in all, and no key or certificate has a part of it.
_LONGEST = 64 * 1024


class UnresolvedError(Exception):
    """A reference leads to nothing. Its text says why, and holds no value."""


def resolve(server: Server | None, messages: Manifests) -> SecretValues:
    """Looks up every reference of a set.

    Args:
        server: The API server; None for a reading without a cluster, which leaves references to Secrets alone.
        messages: The set.

    Returns:
        What the references lead to.

    Raises:
        ManifestError: References lead to nothing, or to what is no text: all of them at once.
        ClusterError: The server refused; a missing permission is an error, never "absent".
    """
    places: dict[Reference, list[Problem]] = {}
    for message, origin in zip(messages, messages.origins, strict=True):
        for path, reference in references_in(message):
            subject = f"{message.kind}/{message.metadata.name}"
            places.setdefault(reference, []).append(Problem("", path, origin, subject))
    lookup = _Lookup(_secrets(server, places) if server is not None else {})
    found: dict[Reference, str] = {}
    problems: list[Problem] = []
    for reference, asked in places.items():
        if reference.source == "Secret" and server is None:
            continue
        try:
            found[reference] = lookup.value(reference)
        except UnresolvedError as missing:
            problems += [Problem(str(missing), one.path, one.origin, one.subject) for one in asked]
    if problems:
        raise ManifestError(located(problems, messages))
    return SecretValues(found)


def _secrets(server: Server, references: Mapping[Reference, object]) -> dict[str, KubernetesObject | None]:
    names = sorted({one.name for one in references if one.source == "Secret"})
    keys = [Key(SECRET, *name.split("/", 1)) for name in names]
    return dict(zip(names, results(in_parallel(server.get, keys)), strict=True))


@dataclass(frozen=True, slots=True)
class _Lookup:
    secrets: Mapping[str, KubernetesObject | None] = field(repr=False)

    def value(self, reference: Reference) -> str:
        if reference.source == "environment variable":
            return _variable(reference.name)
        if reference.source == "file":
            return _file(reference.name)
        return secret_value(self.secrets.get(reference.name), reference)


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value.strip():
        raise UnresolvedError(f"refers to environment variable {name}, which is not set here, or is empty")
    return value


def _file(name: str) -> str:
    path = Path(name)
    try:
        if path.stat().st_size > _LONGEST:
            raise UnresolvedError(f"refers to file {name}, which is longer than 64 KiB: not a key or a certificate")
        with path.open("rb") as stream:
            # Of a pipe, such as a process substitution, the size is known only afterwards.
            content = stream.read(_LONGEST + 1)
    except OSError as error:
        raise UnresolvedError(f"refers to file {name}, which cannot be read: {error.strerror}") from None
    if len(content) > _LONGEST:
        raise UnresolvedError(f"refers to file {name}, which is longer than 64 KiB: not a key or a certificate")
    return _text(content, f"file {name}")


def secret_value(secret: Mapping[str, object] | None, reference: Reference) -> str:
    """Takes a value out of a Secret.

    Args:
        secret: The Secret as the server has it; None when it is not there.
        reference: What is meant.

    Returns:
        The value.

    Raises:
        UnresolvedError: It is not there, or no text.
    """
    if secret is None:
        raise UnresolvedError(f"refers to Secret {reference.name}, which is not there")
    data = secret.get("data") or {}
    encoded = data.get(reference.key) if isinstance(data, Mapping) else None
    if not encoded:
        raise UnresolvedError(
            f"refers to key {reference.key} of Secret {reference.name}, which has no such key, or an empty one"
        )
    try:
        content = base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        content = b"\xff"
    return _text(content, str(reference))


def _text(content: bytes, what: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # No cause: it would hold the content.
        raise UnresolvedError(f"refers to {what}, which is no text") from None
    if not text.strip():
        raise UnresolvedError(f"refers to {what}, which is empty")
    return text
