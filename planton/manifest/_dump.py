"""The ways out: messages -> YAML or JSON, as text or into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TextIO

from planton.errors import ManifestError, Origin, Problem

if TYPE_CHECKING:
    from planton.types import Resource


def dump(
    messages: Resource | Iterable[Resource],
    target: str | os.PathLike[str] | TextIO,
    *,
    format: Literal["yaml", "json"] | None = None,
    redact: bool = False,
) -> None:
    """Writes messages to a file or stream.

    A new file that holds credentials can be read by its owner only. A file is replaced as a whole: where that fails, as
    on a disk that is full, the one that was there stays.

    Args:
        messages: One message, or several.
        target: Path of a file, which is replaced, `-` for standard output, or an open text stream.
        format: `yaml` or `json`; by default as the path ends, else YAML.
        redact: Whether credentials are masked. What is masked does not load again with them.

    Raises:
        ManifestError: The file cannot be written.
    """
    # Imported here, as in all of this module: the classes of messages take long to import.
    from planton.manifest._emit import has_secret, listed

    given = listed(messages)
    path = os.fspath(target) if isinstance(target, str | os.PathLike) else ""
    form: Literal["yaml", "json"] = format or ("json" if path.lower().endswith(".json") else "yaml")
    text = dumps(given, format=form, redact=redact)
    if path in ("", "-"):
        stream = sys.stdout if isinstance(target, str | os.PathLike) else target
        stream.write(text)
        return
    mode = 0o600 if not redact and any(has_secret(message) for message in given) else 0o666
    from planton.manifest._write import write_whole

    try:
        write_whole(path, text, mode)
    except OSError as error:
        from planton.manifest._sources import reason

        raise ManifestError([Problem(reason(error), origin=Origin(path))]) from error


def dumps(
    messages: Resource | Iterable[Resource],
    *,
    format: Literal["yaml", "json"] = "yaml",
    redact: bool = False,
) -> str:
    """Writes messages as text, in snake_case, that `loads` reads to equal messages.

    apiVersion and kind are written also where they are empty in the message.

    Args:
        messages: One message, or several.
        format: `yaml`, with `---` between the documents, or `json`: an object for one message, else a list.
        redact: Whether credentials are masked. What is masked does not load again with them.

    Returns:
        The text; empty for no message in YAML.

    Raises:
        ValueError: The format is not known.
    """
    from planton.manifest._emit import json_text, listed, yaml_text

    if format not in ("yaml", "json"):
        raise ValueError("format must be yaml or json")
    return (json_text if format == "json" else yaml_text)(listed(messages), redact)
