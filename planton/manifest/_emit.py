"""Messages -> text that loads to equal messages, and that every reader of YAML reads alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from planton.kinds import KINDS
from planton.manifest._tables import is_map, is_repeated, message_of, usual_name
from planton.manifest.redaction import is_entry_shown
from planton.sensitive import HIDDEN, looks_like_credential
from planton.yaml_writer import scalar

if TYPE_CHECKING:
    from planton.types import Resource


# What may stand in a block (|) and comes back exactly: printable lines without white space at an end.
_BLOCK = re.compile(
    r"(?![ ])[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]+"
    r"(?:\n[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*)+"
)
_TRAILING_SPACE = re.compile(r"[ ](?:\n|\Z)|\n\n\Z")
# A key of more than 1,024 characters on its line must be marked as one:
# https://yaml.org/spec/1.2.2/#742-flow-mappings (and libyaml 0.2.5, scanner.c, yaml_parser_stale_simple_keys).
_LONGEST_KEY = 1000


class _Field:
    """How a field is written."""

    __slots__ = ("is_map", "is_repeated", "is_secret", "key", "numbers")

    def __init__(self, field: FieldDescriptor) -> None:
        self.key = usual_name(field)
        self.is_map = is_map(field)
        self.is_repeated = is_repeated(field) and not self.is_map
        self.is_secret = field.GetOptions().debug_redact
        inner = message_of(field).fields_by_name["value"] if self.is_map else field
        self.numbers = (
            {value.number: value.name for value in inner.enum_type.values} if inner.enum_type is not None else None
        )


@lru_cache(maxsize=256)
def _fields(descriptor: Descriptor) -> dict[int, _Field]:
    return {field.number: _Field(field) for field in descriptor.fields}


def listed(messages: Resource | Iterable[Resource]) -> list[Resource]:
    """Makes a list of one message or several.

    Args:
        messages: One message, or several.

    Returns:
        A list of them.
    """
    return [messages] if isinstance(messages, Message) else list(messages)


def yaml_text(messages: Sequence[Resource], redact: bool) -> str:
    """Writes YAML.

    Args:
        messages: The messages.
        redact: Whether credentials are masked.

    Returns:
        The documents with `---` between them; empty for no message.
    """
    lines: list[str] = []
    for message in messages:
        if lines:
            lines.append("---")
        _write(_headed(message), "", lines, redact)
    return "\n".join(lines) + "\n" if lines else ""


def json_text(messages: Sequence[Resource], redact: bool) -> str:
    """Writes JSON.

    Args:
        messages: The messages.
        redact: Whether credentials are masked.

    Returns:
        An object for one message, else a list of objects.
    """
    trees = [_tree(_headed(message), redact) for message in messages]
    return json.dumps(trees[0] if len(trees) == 1 else trees, indent=2, ensure_ascii=False) + "\n"


def has_secret(message: Message) -> bool:
    """Says whether a message holds a credential.

    Args:
        message: The message.

    Returns:
        True when a field that is to be redacted is set in it, or a map has a name under which credentials stand.
    """
    fields = _fields(message.DESCRIPTOR)
    return any(
        fields[descriptor.number].is_secret
        or (fields[descriptor.number].is_map and any(looks_like_credential(key) for key in value))
        or (descriptor.message_type is not None and not is_repeated(descriptor) and has_secret(value))
        for descriptor, value in message.ListFields()
    )


def _headed(message: Any) -> Any:
    """Gives a message with apiVersion and kind, without which its document could not be read."""
    if message.api_version and message.kind:
        return message
    kind = KINDS[message.DESCRIPTOR.name]
    copy = type(message)()
    copy.CopyFrom(message)
    copy.api_version = copy.api_version or kind.api_version
    copy.kind = copy.kind or kind.name
    return copy


def _write(message: Any, indent: str, lines: list[str], redact: bool) -> None:
    fields = _fields(message.DESCRIPTOR)
    deeper = indent + "  "
    for descriptor, value in message.ListFields():
        field = fields[descriptor.number]
        start = f"{indent}{field.key}:"
        if field.is_map:
            lines.append(start)
            for key in sorted(value):
                written = scalar(_shown_key(field, key, redact))
                lead = f"{deeper}{written}: "
                if len(written) > _LONGEST_KEY:
                    lines.append(f"{deeper}? {written}")
                    lead = f"{deeper}: "
                lines.append(lead + _scalar(field, value[key], deeper, redact, key))
        elif field.is_repeated:
            lines.append(start)
            lines += [f"{deeper}- {_scalar(field, item, deeper, redact)}" for item in value]
        elif descriptor.message_type is not None:
            place = len(lines)
            lines.append(start)
            _write(value, deeper, lines, redact)
            if len(lines) == place + 1:
                lines[place] = f"{start} {{}}"
        else:
            lines.append(f"{start} {_scalar(field, value, indent, redact)}")


def _scalar(field: _Field, value: Any, indent: str, redact: bool, entry: str = "") -> str:
    plain = _plain(field, value, redact, entry)
    if isinstance(plain, str) and "\n" in plain and _BLOCK.fullmatch(plain) and not _TRAILING_SPACE.search(plain):
        body = "\n".join(f"{indent}  {line}" if line else "" for line in plain.removesuffix("\n").split("\n"))
        return f"|{'' if plain.endswith(chr(10)) else '-'}\n{body}"
    return scalar(plain)


def _shown_key(field: _Field, key: str, redact: bool) -> str:
    """Masks a credential in the place of a name, which is only found out when a set is checked."""
    return key if not redact or is_entry_shown(field.key, key) else HIDDEN


def _plain(field: _Field, value: Any, redact: bool, entry: str = "") -> Any:
    if redact and (field.is_secret or looks_like_credential(entry)):
        return HIDDEN
    # A number without a name stays a number; it comes from a newer schema.
    return value if field.numbers is None else field.numbers.get(value, value)


def _tree(message: Any, redact: bool) -> dict[str, Any]:
    fields = _fields(message.DESCRIPTOR)
    tree: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        field = fields[descriptor.number]
        if field.is_map:
            tree[field.key] = {
                _shown_key(field, key, redact): _plain(field, value[key], redact, key) for key in sorted(value)
            }
        elif field.is_repeated:
            tree[field.key] = [_plain(field, item, redact) for item in value]
        elif descriptor.message_type is not None:
            tree[field.key] = _tree(value, redact)
        else:
            tree[field.key] = _plain(field, value, redact)
    return tree
