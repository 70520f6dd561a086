"""What is set in a message, asked once.

Each question to a message (`HasField`, a field) costs as much as ten looks into a dict, and there are dozens of them
for every database.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def given(message: Message) -> dict[str, Any]:
    """Gives the fields of a message that are set.

    Args:
        message: The message.

    Returns:
        Name -> value. A field without presence is not among them with the zero value of its type.
    """
    return {field.name: value for field, value in message.ListFields()}
