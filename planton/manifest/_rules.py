"""The rules on the fields, by protovalidate, in the same form as our own checks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from planton.manifest._proof import keeps_the_rules
from planton.manifest._tables import usual_name
from planton.sensitive import entry

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from planton.manifest.checks import Complaint
    from planton.types import Resource

MISSING = "is missing or empty"
"""What is wrong with a required field without a value."""
# Most rules have their words on the fields; these are the standard ones that protovalidate words like a program.
_WORDS = {
    "required": MISSING,
    "string.min_len": "is empty: remove the line for the default, or give a value",
    "repeated.unique": "has an item twice",
}

# Importing protovalidate takes as long as some thousands of proofs.
_proofs = 1000

_LIST = re.compile(r"must be in list \[(.*)\]")
_RANGE = re.compile(r"must be greater than or equal to (-?[0-9]+) and less than or equal to (-?[0-9]+)")


def broken_rules(message: Resource) -> Iterator[Complaint]:
    """Validates a message by the rules on its fields.

    Args:
        message: A message of any kind.

    Yields:
        A path and what is wrong, never a value.
    """
    if _proofs_left() and keeps_the_rules(message):
        return
    # Imported here: it takes longer than everything else together.
    from protovalidate import collect_violations

    for violation in collect_violations(message):
        # Never violation.field_value: it can be a credential.
        proto = violation.proto
        elements = proto.field.elements if proto.field is not None else ()
        path, choices = _place(message.DESCRIPTOR, elements)
        if choices:
            yield path, f"holds nothing: give one of {', '.join(choices)}"
        else:
            yield path, _WORDS.get(proto.rule_id) or _plain(proto.message) or proto.rule_id


def _proofs_left() -> bool:
    """Says whether a proof is still worth trying: as long as protovalidate would be imported for a few messages only.

    Once it is there, it is several times faster than a proof.
    """
    global _proofs
    if "protovalidate" in sys.modules or not _proofs:
        return False
    _proofs -= 1
    return True


def _plain(text: str) -> str:
    """Words what protovalidate words like a program. What stands there is of the rule, not of the message."""
    if listed := _LIST.fullmatch(text):
        return f"must be one of {listed[1]}"
    if span := _RANGE.fullmatch(text):
        return f"must be from {span[1]} to {span[2]}"
    return text


def _place(descriptor: Descriptor | None, elements: Any) -> tuple[str, list[str]]:
    """Gives the path of a field; of a oneof the path of its message, and the fields to choose from."""
    steps: list[str] = []
    for element in elements:
        oneof = descriptor.oneofs_by_name.get(element.field_name) if descriptor is not None else None
        if oneof is not None and not element.field_number:
            return ".".join(steps), [usual_name(choice) for choice in oneof.fields]
        field = descriptor.fields_by_name.get(element.field_name) if descriptor is not None else None
        name = usual_name(field) if field is not None else element.field_name
        subscript = element.subscript
        if subscript is None:
            steps.append(name)
        elif isinstance(subscript.value, str):
            steps.append(name + entry(subscript.value))
        else:
            steps.append(f"{name}[{subscript.value}]")
        descriptor = field.message_type if field is not None else None
    return ".".join(steps), []
