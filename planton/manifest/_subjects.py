"""How a message is called in errors and in what is printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planton.types import Resource

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,47}[a-z0-9])?", re.ASCII)


def subject(message: Resource) -> str:
    """Names a message.

    Args:
        message: A message of any kind.

    Returns:
        `Kind/name`; the kind alone when the name is not a valid one, and could be anything.
    """
    kind = message.DESCRIPTOR.name
    name = message.metadata.name
    return f"{kind}/{name}" if _NAME.fullmatch(name) else kind
