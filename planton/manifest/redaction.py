"""Messages without their credentials, for those to whom they are handed on."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

from planton.manifest._tables import is_map, is_repeated, usual_name
from planton.sensitive import is_showable, looks_like_credential

SETTINGS = "operator_settings"
"""The map whose names are only known when a set is checked."""

T = TypeVar("T", bound=Message)


def is_entry_shown(field: str, key: str) -> bool:
    """Says whether the name of a map entry may be shown, in what is redacted.

    Args:
        field: Name of the map's field.
        key: The name.

    Returns:
        False for what can be a credential in the place of a setting's name.
    """
    return field != SETTINGS or is_showable(key)


def without_credentials(message: T) -> T:
    """Copies a message without what is masked when it is redacted.

    Args:
        message: The message; left as it is.

    Returns:
        A copy in which credentials are not set. It says of itself that they are missing when it is used again.
    """
    copy = type(message)()
    copy.CopyFrom(message)
    _clear(copy)
    return copy


def _clear(message: Message) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.GetOptions().debug_redact:
            message.ClearField(descriptor.name)
        elif is_map(descriptor):
            for key in list(value):
                if looks_like_credential(key) or not is_entry_shown(usual_name(descriptor), key):
                    del value[key]
        elif descriptor.message_type is not None and not is_repeated(descriptor):
            _clear(value)
