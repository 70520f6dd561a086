"""Shows of one message after another that they keep the rules on their fields: what was found right is remembered.

The rules are those of _proof, and so is the caution: "yes" is certain, and everything else is left to who knows. Of
thousands of manifests most parts are alike, such as a container with its sizes or a schedule. They are looked at once.
Nothing is remembered of what can be a credential.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from planton.manifest._proof import _type, keeps_the_rules
from planton.manifest._tables import is_map, is_repeated

_MOST = 1024
"""Values that are remembered of one field, and messages of one type."""


class _Table:
    """What a message of one type has to be.

    Attributes:
        is_told: False for a type of which nothing can be said here.
        is_remembered: Whether nothing in it can be a credential, so that whole messages are remembered.
        fields: Field -> its bit, and what its value has to be: a function, the table of its message, or None.
        needed: Bits of the fields that have to be set.
        choices: Bits of which one at least has to be set.
        whole: What the message as a whole has to be.
        known: Messages that were right, in protobuf's own form.
    """

    __slots__ = ("choices", "fields", "is_remembered", "is_told", "known", "needed", "whole")

    def __init__(self, descriptor: Descriptor) -> None:
        """Makes the table.

        Args:
            descriptor: The type.
        """
        rules = _type(descriptor)
        self.is_told = rules is not None
        self.is_remembered = not _is_secret(descriptor)
        self.known: set[bytes] = set()
        self.fields: dict[FieldDescriptor, tuple[int, Any]] = {}
        self.needed = 0
        self.choices: list[int] = []
        self.whole: list[Callable[[Any], bool]] = []
        if rules is None:
            return
        self.whole = list(rules.whole)
        bits = {field.name: 1 << index for index, field in enumerate(descriptor.fields)}
        for name in rules.needed:
            self.needed |= bits[name]
        self.choices = [sum(bits[name] for name in choice) for choice in rules.choices]
        for field in descriptor.fields:
            holds: Any = rules.fields.get(field.name)
            if holds is keeps_the_rules and field.message_type is not None:
                holds = _table(field.message_type)
            elif holds is not None and field.type == FieldDescriptor.TYPE_STRING and not is_repeated(field):
                holds = holds if field.GetOptions().debug_redact else _remembering(holds)
            self.fields[field] = (bits[field.name], holds)

    def keeps(self, message: Any) -> bool:
        """Shows that a message keeps the rules.

        Args:
            message: A message of this type.

        Returns:
            True when it certainly does.
        """
        if not self.is_told:
            return False
        data = b""
        if self.is_remembered:
            data = message.SerializeToString()
            if data in self.known:
                return True
        seen = 0
        for field, value in message.ListFields():
            bit, holds = self.fields[field]
            seen |= bit
            if holds is None:
                continue
            if not (holds.keeps(value) if type(holds) is _Table else holds(value)):
                return False
        if seen & self.needed != self.needed:
            return False
        # Asked before: a loop over nothing, for each message of each document, takes longer than the rest.
        if self.choices and not all(seen & choice for choice in self.choices):
            return False
        if self.whole and not all(one(message) for one in self.whole):
            return False
        if self.is_remembered and len(self.known) < _MOST:
            self.known.add(data)
        return True


def is_known_right(message: Any) -> bool:
    """Shows that a message keeps the rules on its fields.

    Args:
        message: A message of any type.

    Returns:
        True when it certainly does; False when it does not, or when that cannot be told here.
    """
    return _table(message.DESCRIPTOR).keeps(message)


def rule_on(field: FieldDescriptor) -> Callable[[str], bool] | None:
    """Gives what the text of a field has to be, which is not remembered here.

    Args:
        field: A single text, not a list.

    Returns:
        What says of a value, which must not be empty, that it is certainly right; has_no_rule where there is no rule;
        None when that cannot be told here.
    """
    rules = _type(field.containing_type)
    return rules.fields.get(field.name, has_no_rule) if rules is not None else None


def has_no_rule(_: str) -> bool:
    """Stands for the rule on a field without one.

    Returns:
        True.
    """
    return True


@lru_cache(maxsize=256)
def _table(descriptor: Descriptor) -> _Table:
    return _Table(descriptor)


def _remembering(holds: Callable[[str], bool]) -> Callable[[str], bool]:
    known: set[str] = set()

    def remembered(value: str) -> bool:
        if value in known:
            return True
        if not holds(value):
            return False
        if len(known) < _MOST:
            known.add(value)
        return True

    return remembered


def _is_secret(descriptor: Descriptor, above: tuple[Descriptor, ...] = ()) -> bool:
    """Says whether anything in messages of a type can be a credential: also names and values of maps can."""
    return any(
        field.GetOptions().debug_redact
        or is_map(field)
        or (
            field.message_type is not None
            and field.message_type not in above
            and _is_secret(field.message_type, (*above, descriptor))
        )
        for field in descriptor.fields
    )
