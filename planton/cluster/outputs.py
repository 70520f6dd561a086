"""The outputs of messages that were applied, or looked at."""

from __future__ import annotations

from planton.manifest.redaction import without_credentials
from planton.translate.outputs import fill_outputs
from planton.types import Resource


def with_outputs(message: Resource) -> Resource:
    """Fills the outputs of a message.

    Args:
        message: The message; left as it is.

    Returns:
        A copy without credentials, with `status.outputs` filled.
    """
    copy = without_credentials(message)
    fill_outputs(copy)
    return copy
