"""Finds the values in a message that belong in Secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from google.protobuf.message import Message

from planton.translate.names import credentials_secret, namespace_of, source_secret_names, storage_secret_name
from planton.translate.secret_values import Reference, reference_of
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource, SecretValue


def secret_fields(message: Message, path: str = "") -> Iterator[tuple[str, SecretValue]]:
    """Finds them, at any depth.

    Args:
        message: A message.
        path: Its own path.

    Yields:
        Path and value of each that is set.
    """
    for field, value in message.ListFields():
        if field.message_type is None or not _can_hold_one(field.message_type) or not isinstance(value, Message):
            continue
        place = f"{path}.{field.name}" if path else field.name
        if isinstance(value, SecretValue):
            yield place, value
        else:
            yield from secret_fields(value, place)


@cache
def _can_hold_one(descriptor: Any) -> bool:
    """Whether a type of message is one of these values, or has one in it: most of what a database has cannot."""
    if descriptor is SecretValue.DESCRIPTOR:
        return True
    return any(one.message_type is not None and _can_hold_one(one.message_type) for one in descriptor.fields)


def references_in(message: Resource) -> Iterator[tuple[str, Reference]]:
    """Finds what a resource refers to.

    Args:
        message: The resource.

    Yields:
        Path and reference.
    """
    namespace = namespace_of(message)
    for path, value in secret_fields(message.spec, "spec"):
        reference = reference_of(value, namespace)
        if reference is not None:
            yield path, reference


def secret_places(messages: Sequence[Resource]) -> list[tuple[str, str]]:
    """Names the Secrets whose credentials are counted by a generation.

    Args:
        messages: A set.

    Returns:
        Namespace and name of each that the set can have.
    """
    named = [(namespace_of(message), secret_name(message)) for message in messages]
    for message in messages:
        if isinstance(message, PostgresKubernetes) and message.spec.HasField("standby"):
            # Which of them it is follows from its source.
            named += [(namespace_of(message), one) for one in source_secret_names(message.metadata.name, "standby")]
    return [(namespace, name) for namespace, name in named if name]


def secret_name(message: Resource) -> str:
    """Names the Secret with credentials that a resource has: of an operator for all databases, of a database its own.

    Args:
        message: The resource.

    Returns:
        The name; empty when it has none.
    """
    if not message.spec.HasField("backup_config"):
        return ""
    config = message.spec.backup_config
    given = config.HasField("credentials")
    keys = given and not config.credentials.HasField("cloud_identity")
    method = config.encryption.WhichOneof("method") if config.HasField("encryption") else None
    encryption = method if method in ("libsodium", "pgp") else ""
    if isinstance(message, PostgresOperatorKubernetes):
        return storage_secret_name(
            keys=keys or not given,
            encryption=encryption,
            certificate=config.storage.HasField("certificate_authority"),
        )
    return credentials_secret(message.metadata.name, keys=keys, encryption=encryption) if keys or encryption else ""
