"""Shows of a message, without protovalidate, that it keeps the rules on its fields; or shows nothing.

protovalidate takes longer to import than everything else that `planton render` needs for one manifest. The rules that
stand on nearly every field are a few simple ones, so that a message that keeps them can be told without it. What is
told here is only "certainly right". At any doubt (a rule of another kind, an expression of another form, a value out
of the ordinary, and each suspicion that a rule is broken) the answer is no, and protovalidate is asked: what is wrong,
and in which words, comes from it alone. Tests hold the two against each other.

The rules are read from the options' bytes, as protovalidate itself does; their numbers are those of
buf/validate/validate.proto as protovalidate 2.1.0 has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from planton.manifest._tables import is_map, is_repeated, message_of
from planton.manifest._template import read_number

_Holds: TypeAlias = Callable[[Any], bool]
"""Says of a value that it certainly keeps a rule."""
_Read: TypeAlias = dict[int, list[Any]]
"""Fields of a message as they stand in its bytes: number -> ints and bytes."""

_WHOLE_CEL = 3  # Of a message.
_RULES = 1159  # Of a field, a oneof or a message; validate.proto, extend google.protobuf.FieldOptions.
_CEL, _REQUIRED, _IGNORE, _STRING, _ENUM, _REPEATED, _MAP = 23, 25, 27, 14, 16, 18, 19
_NUMBERS = {
    FieldDescriptor.TYPE_INT32: 3,
    FieldDescriptor.TYPE_INT64: 4,
    FieldDescriptor.TYPE_UINT32: 5,
    FieldDescriptor.TYPE_UINT64: 6,
}
_IGNORED_IF_ZERO = 1
# Patterns of the rules are of a linear kind of regular expressions; Python's are not. Short texts cannot take long.
_LONGEST = 512
_HEX = frozenset("0123456789abcdefABCDEF")
# With other escapes than these, and with any of these pairs, a pattern may mean something else to Python.
_ESCAPES = ("\\t", "\\[", "\\]")
_PAIRS = ("(?", "[[", "&&", "--", "~~", "||", "++", "*+", "?+", "}+")


class _Doubt(ValueError):
    """A rule that is not understood here."""


class _Type:
    """What a message of one type has to be.

    Attributes:
        needed: Names of fields that have to be set.
        choices: For each oneof that must be set, the names of its fields.
        whole: What has to be true of the message as a whole.
        fields: Name of a field with rules, or with messages in it -> what its value has to be, where it is set.
    """

    __slots__ = ("choices", "fields", "needed", "whole")

    def __init__(self, descriptor: Descriptor) -> None:
        """Reads the rules.

        Args:
            descriptor: The type.

        Raises:
            _Doubt: There is a rule that is not understood.
        """
        rules = _understood(_read(_rules(descriptor)), _WHOLE_CEL)
        self.whole = [_condition(text, descriptor) for text in _texts(rules, _WHOLE_CEL)]
        self.needed: set[str] = set()
        self.choices: list[set[str]] = []
        self.fields: dict[str, _Holds] = {}
        for oneof in descriptor.oneofs:
            if _flag(_understood(_read(_rules(oneof)), 1), 1):
                self.choices.append({field.name for field in oneof.fields})
        for field in descriptor.fields:
            self._field(field)

    def _field(self, field: FieldDescriptor) -> None:
        rules = _read(_rules(field))
        if _flag(rules, _REQUIRED):
            self.needed.add(field.name)
        ignored = _number(rules, _IGNORE, 0)
        if ignored not in (0, _IGNORED_IF_ZERO):
            raise _Doubt
        holds = _value_rules(field, {key: rules[key] for key in rules if key not in (_REQUIRED, _IGNORE)})
        if not holds:
            return
        self.fields[field.name] = holds[0] if len(holds) == 1 else _all_of(holds)
        # Rules on a field that cannot be absent are rules on its zero value, too.
        if not field.has_presence and not ignored:
            # Also where it is a list; an empty map has all that is asked of either.
            zero: Any = {} if is_repeated(field) else field.default_value
            if not self.fields[field.name](zero):
                self.needed.add(field.name)


def keeps_the_rules(message: Any) -> bool:
    """Shows that a message keeps the rules on its fields.

    Args:
        message: A message of any type.

    Returns:
        True when it certainly does; False when it does not, or when that cannot be told here.
    """
    rules = _type(message.DESCRIPTOR)
    if rules is None:
        return False
    given = message.ListFields()
    names = {field.name for field, _ in given}
    if not rules.needed <= names or any(choice.isdisjoint(names) for choice in rules.choices):
        return False
    if rules.whole and not all(one(message) for one in rules.whole):
        return False
    for field, value in given:
        holds = rules.fields.get(field.name)
        if holds is not None and not holds(value):
            return False
    return True


@lru_cache(maxsize=256)
def _type(descriptor: Descriptor) -> _Type | None:
    try:
        return _Type(descriptor)
    except ValueError:
        return None


def _rules(descriptor: Any) -> bytes:
    """Gives the bytes of the rules on a message, a oneof or a field; empty when there are none."""
    if not descriptor.has_options:
        return b""
    return _part(_read(descriptor.GetOptions().SerializeToString()), _RULES)


# Reading bytes (https://protobuf.dev/programming-guides/encoding)


def _read(data: bytes) -> _Read:
    found: _Read = {}
    place = 0
    while place < len(data):
        key, place = read_number(data, place)
        value: Any
        value, place = read_number(data, place)
        if key & 7 == 2:
            value, place = data[place : place + value], place + value
        elif key & 7 != 0:
            raise _Doubt
        found.setdefault(key >> 3, []).append(value)
    return found


def _part(read: _Read, number: int) -> bytes:
    """Gives a message in a field. One that stands there in parts is the parts, one after another."""
    return b"".join(read.get(number, ()))


def _number(read: _Read, number: int, default: int) -> int:
    value: int = read[number][-1] if number in read else default
    return value - 2**64 if value >= 2**63 else value


def _flag(read: _Read, number: int) -> bool:
    return bool(_number(read, number, 0))


def _understood(read: _Read, *numbers: int) -> _Read:
    if not read.keys() <= set(numbers):
        raise _Doubt
    return read


# The rules on a field


def _value_rules(field: FieldDescriptor, rules: _Read) -> list[_Holds]:
    """Reads the rules on a field with all its values."""
    if is_map(field):
        entry = message_of(field).fields_by_name
        read = _understood(_read(_part(_understood(rules, _MAP), _MAP)), 1, 2, 4, 5)
        keys = _one_value(entry["key"], _read(_part(read, 4)))
        values = _one_value(entry["value"], _read(_part(read, 5)))
        return [
            *_length_rules(read, 1, 2),
            *([_each(keys, lambda value: value)] if keys else []),
            *([_each(values, lambda value: value.values())] if values else []),
        ]
    if is_repeated(field):
        read = _understood(_read(_part(_understood(rules, _REPEATED), _REPEATED)), 1, 2, 3, 4)
        items = _one_value(field, _read(_part(read, 4)))
        if _flag(read, 3) and field.message_type is not None:
            raise _Doubt
        return [
            *_length_rules(read, 1, 2),
            *([lambda value: len(set(value)) == len(value)] if _flag(read, 3) else []),
            *([_each(items, lambda value: value)] if items else []),
        ]
    return _one_value(field, rules)


def _all_of(holds: list[_Holds]) -> _Holds:
    # Not by all(): half of the time for one name goes into that.
    def hold(value: Any) -> bool:
        for one in holds:  # noqa: SIM110
            if not one(value):
                return False
        return True

    return hold


def _each(holds: list[_Holds], values_of: Callable[[Any], Iterable[Any]]) -> _Holds:
    return lambda value: all(one(item) for item in values_of(value) for one in holds)


def _one_value(field: FieldDescriptor, rules: _Read) -> list[_Holds]:
    """Reads the rules on a single value: a field, an item, a key or value of a map."""
    if field.message_type is not None:
        # Also one without rules of its own: what is in it may have some.
        _understood(rules)
        return [keeps_the_rules]
    if field.type == FieldDescriptor.TYPE_STRING:
        _understood(rules, _CEL, _STRING)
        return [*_string_rules(_read(_part(rules, _STRING))), *_expressions(rules, _comparison)]
    if field.type in _NUMBERS:
        number = _NUMBERS[field.type]
        _understood(rules, _CEL, number)
        return [*_number_rules(_read(_part(rules, number))), *_expressions(rules, _number_comparison)]
    if field.type == FieldDescriptor.TYPE_ENUM:
        read = _understood(_read(_part(_understood(rules, _ENUM), _ENUM)), 2)
        enum: EnumDescriptor = field.enum_type  # type: ignore[assignment]  # It has one, being of this type.
        return [lambda value: value in enum.values_by_number] if _flag(read, 2) else []
    _understood(rules)
    return []


def _length_rules(read: _Read, least: int, most: int) -> list[_Holds]:
    minimum, maximum = _number(read, least, 0), _number(read, most, -1)
    holds: list[_Holds] = []
    if least in read:
        holds.append(lambda value: len(value) >= minimum)
    if most in read:
        holds.append(lambda value: len(value) <= maximum)
    return holds


def _string_rules(read: _Read) -> list[_Holds]:
    const, least, most, pattern, among = 1, 2, 3, 6, 10
    _understood(read, const, least, most, pattern, among)
    holds = _length_rules(read, least, most)
    for number in (const, among):
        if number in read:
            values = {text.decode() for text in (read[number] if number == among else read[number][-1:])}
            holds.append(values.__contains__)
    if pattern in read:
        holds.append(_matches(read[pattern][-1].decode()))
    return holds


def _number_rules(read: _Read) -> list[_Holds]:
    most, least = 3, 5
    _understood(read, most, least)
    minimum, maximum = _number(read, least, -(2**63)), _number(read, most, 2**64)
    if minimum > maximum:
        raise _Doubt  # Then both mean what is outside.
    return [lambda value: minimum <= value <= maximum] if read else []


# Expressions in CEL: those of which each part is of one of a few forms


def _expressions(rules: _Read, comparison: Callable[[str], _Holds]) -> list[_Holds]:
    return [comparison(part) for text in _texts(rules, _CEL) for part in text.split(" && ")]


def _texts(rules: _Read, number: int) -> list[str]:
    return [_part(_read(one), 3).decode() for one in rules.get(number, ())]


def _condition(text: str, descriptor: Descriptor) -> _Holds:
    """Reads an expression on a message: one of several fields is false or not empty, or else there is a text."""
    condition, _, otherwise = text.partition(" ? '' : ")
    _quoted(otherwise)
    flags: list[str] = []
    words: list[str] = []
    for part in condition.split(" || "):
        is_flag, is_word = part.startswith("!this."), part.endswith(" != ''")
        name = part.removeprefix("!").removeprefix("this.").removesuffix(" != ''")
        field = descriptor.fields_by_name.get(name)
        wanted = FieldDescriptor.TYPE_BOOL if is_flag else FieldDescriptor.TYPE_STRING
        known = field is not None and field.type == wanted and not is_repeated(field)
        if not known or part not in (f"!this.{name}", f"this.{name} != ''") or is_flag is is_word:
            raise _Doubt
        (flags if is_flag else words).append(name)
    return lambda message: (
        any(not getattr(message, name) for name in flags) or any(getattr(message, name) for name in words)
    )


def _number_comparison(text: str) -> _Holds:
    _, _, limit = text.partition("= ")
    if not limit.isdecimal():
        raise _Doubt
    number = int(limit)
    if text == f"this >= {number}":
        return lambda value: value >= number
    if text == f"this <= {number}":
        return lambda value: value <= number
    raise _Doubt


def _comparison(text: str) -> _Holds:
    head, _, rest = text.removeprefix("!").partition("this")
    if head:
        raise _Doubt
    wanted = not text.startswith("!")
    if rest.startswith(".matches(") and rest.endswith(")"):
        return _matches(_quoted(rest[9:-1]), wanted=wanted)
    if rest.startswith(".startsWith(") and rest.endswith(")"):
        beginning = _quoted(rest[12:-1])
        return lambda value: value.startswith(beginning) is wanted
    if not wanted:
        raise _Doubt
    if rest == ".isIpPrefix()":
        return _is_range
    if rest.startswith(" != "):
        other = _quoted(rest[4:])
        return lambda value: value != other
    if rest.startswith(" in [") and rest.endswith("]"):
        return {_quoted(one) for one in rest[5:-1].split(", ")}.__contains__
    return _measure(rest)


def _is_range(value: str) -> bool:
    """Says of an address range that it is one, where it is of IPv4 and of the usual form."""
    address, _, length = value.partition("/")
    parts = [*address.split("."), length]
    ordinary = all(part.isascii() and part.isdecimal() and part == str(int(part[:4])) for part in parts)
    return ordinary and len(parts) == 5 and max(map(int, parts[:4])) <= 255 and int(length) <= 32


def _measure(text: str) -> _Holds:
    """Reads a comparison of a length, or of the place of a character, with a number."""
    measure, sign, limit = text.rpartition("=")[0][:-2], text.rpartition("=")[0][-2:], text.rpartition("= ")[2]
    if not limit.isdecimal() or sign not in (" <", " >"):
        raise _Doubt
    number = int(limit)
    size, place = ".size()", ".indexOf("
    if measure == size:
        return (lambda value: len(value) <= number) if sign == " <" else (lambda value: len(value) >= number)
    before, _, rest = measure.partition(place)
    character = _quoted(rest[:-1])
    if sign != " <" or not rest.endswith(")") or before not in ("", f"{size} - this"):
        raise _Doubt
    whole = bool(before)
    return lambda value: (len(value) - value.find(character) if whole else value.find(character)) <= number


def _quoted(text: str) -> str:
    r"""Reads a text in CEL, with no escapes but `\\` and `\xHH`."""
    if len(text) < 2 or text[0] != "'" or text[-1] != "'":
        raise _Doubt
    return "\\".join(map(_unescaped, text[1:-1].split("\\\\")))


def _unescaped(text: str) -> str:
    plain, *escaped = text.split("\\x")
    if any(not set(part[:2]) <= _HEX or len(part) < 2 for part in escaped):
        raise _Doubt
    found = plain + "".join(chr(int(part[:2], 16)) + part[2:] for part in escaped)
    if "'" in found or "\\" in found:
        raise _Doubt
    return found


def _matches(pattern: str, *, wanted: bool = True) -> _Holds:
    plain = pattern
    for escape in _ESCAPES:
        plain = plain.replace(escape, "")
    if "\\" in plain or not plain.isascii() or any(pair in plain for pair in _PAIRS):
        raise _Doubt

    search: Callable[[str], object] | None = None

    def holds(value: str) -> bool:
        nonlocal search
        if len(value) > _LONGEST or not value.isascii() or not value.isprintable():
            return False
        if search is None:
            # Only now: most patterns are never needed, and take long to read.
            search = re.compile(pattern).search
        return (search(value) is not None) is wanted

    return holds
