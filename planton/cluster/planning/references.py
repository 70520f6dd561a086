"""Looks up what the references of manifests lead to: environment variables, files, Secrets of the cluster."""

from __future__ import annotations

import base64
import binascii
import os
import select
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from planton.cluster.api.resources import SECRET, Key
from planton.cluster.api.server import Server, in_parallel
from planton.cluster.permissions.review import gathered
from planton.errors import ManifestError, Problem
from planton.manifest import Manifests
from planton.rendering import located
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.secret_fields import references_in
from planton.translate.secret_values import Reference, SecretValues

# A Secret holds at most 1 MiB in all, and no key or certificate has a part of it.
_LONGEST = 64 * 1024
_PATIENCE = 2.0


class UnresolvedError(Exception):
    """A reference leads to nothing. Its text says why, and holds no value."""


def resolve(server: Server | None, messages: Manifests, existing: Existing | None = None) -> SecretValues:
    """Looks up every reference of a set.

    Args:
        server: The API server; None for a reading without a cluster, which leaves references to Secrets alone.
        messages: The set.
        existing: Facts of the cluster: what a database was cloned from is not looked up once it is there, since nothing
            of it is written any more.

    Returns:
        What the references lead to.

    Raises:
        ManifestError: References lead to nothing, or to what is no text: all of them at once.
        ClusterError: The server refused; a missing permission is an error, never "absent".
    """
    places: dict[Reference, list[Problem]] = {}
    for message, origin in zip(messages, messages.origins, strict=True):
        is_there = existing is not None and existing.database(
            namespace_of(message), cluster_name(message.metadata.name)
        )
        for path, reference in references_in(message):
            if is_there and path.startswith("spec.clone."):
                continue
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
    return dict(zip(names, gathered(in_parallel(server.get, keys)), strict=True))


@dataclass(frozen=True, slots=True)
class _Lookup:
    secrets: Mapping[str, KubernetesObject | None] = field(repr=False)

    def value(self, reference: Reference) -> str:
        if reference.source == "environment variable":
            return _variable(reference)
        if reference.source == "file":
            return _file(reference)
        return secret_value(self.secrets.get(reference.name), reference)


def _variable(reference: Reference) -> str:
    value = os.environ.get(reference.name, "")
    if not value.strip():
        raise UnresolvedError(f"refers to {_named(reference)}, which is not set here, or is empty")
    return value


def _named(reference: Reference) -> str:
    hidden = "" if reference.is_showable else " (a name is not shown: it could be a key, which does not belong here)"
    return f"{reference}{hidden}"


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _file(reference: Reference) -> str:
    # A key in the place of its path would else be told to whoever sees the error.
    name, shown = reference.name, _named(reference)
    try:
        # A pipe opens only when somebody writes to it, unless one says not to wait. One that nobody has open for
        # writing is at its end; of a process substitution the shell has opened both sides before.
        with open(name, "rb", opener=_without_waiting) as stream:
            is_pipe = stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
            if is_pipe:
                # Who writes may be just about to open it.
                select.select([stream], [], [], _PATIENCE)
            os.set_blocking(stream.fileno(), True)
            # Of a pipe the size is known only afterwards.
            content = stream.read(_LONGEST + 1)
    except OSError as error:
        raise UnresolvedError(f"refers to {shown}, which cannot be read: {error.strerror}{_where(name)}") from None
    if is_pipe and not content:
        raise UnresolvedError(f"refers to {shown}, a pipe, which is empty, or which nobody writes to")
    if len(content) > _LONGEST:
        raise UnresolvedError(f"refers to {shown}, which is longer than 64 KiB: not a key or a certificate")
    return _text(content, shown)


def _where(name: str) -> str:
    """Says from where a relative name counts: it is where planton runs, and not where the manifest is."""
    if os.path.isabs(name):
        return ""
    try:
        here = os.getcwd()
    except OSError:
        return " (the folder in which planton runs is gone)"
    tilde = "; ~ stands for no home folder here" if name.startswith("~") else ""
    return f" (looked for in {here}, where planton runs{tilde})"


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
        raise UnresolvedError(f"refers to {_named(replace(reference, key=''))}, which is not there")
    data = secret.get("data") or {}
    encoded = data.get(reference.key) if isinstance(data, Mapping) else None
    if not encoded:
        raise UnresolvedError(f"refers to {_named(reference)}, which has no such key, or an empty one")
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
