"""One scalar of a manifest -> the value of a field. What is refused is never repeated in the message."""

from __future__ import annotations

from typing import Any

from yaml.events import AliasEvent, MappingStartEvent, ScalarEvent

from planton.manifest._names import nearest
from planton.manifest._plain import INTEGER, SUSPICIOUS, meaning
from planton.manifest._tables import BOOL, ENUM, INT, STRING, Scalar

_LONGEST_INTEGER = 20
_WANTED = {STRING: "text", BOOL: "true or false", INT: "a whole number"}


class Refusal(Exception):
    """A value that does not fit. Its text says why, and does not hold the value."""


def found(event: Any) -> str:
    """Says what stands in a place.

    Args:
        event: The first event of the node.

    Returns:
        Such as `a list` or `text`.
    """
    if type(event) is ScalarEvent:
        return "text" if event.style else meaning(event.value) or "text"
    if type(event) is AliasEvent:
        return "an alias (*…) of nothing above it"
    return "a mapping" if type(event) is MappingStartEvent else "a list"


def no_value(event: Any) -> bool:
    """Says whether nothing stands in a place: no text at all, `~` or `null`.

    Args:
        event: The first event of the node.

    Returns:
        True when nothing does.
    """
    return type(event) is ScalarEvent and not event.style and meaning(event.value) == "no value"


def read_scalar(scalar: Scalar, event: Any) -> Any:
    """Reads a scalar.

    Args:
        scalar: What it has to be.
        event: The first event of the node.

    Returns:
        The value for the field.

    Raises:
        Refusal: It is something else.
    """
    if type(event) is not ScalarEvent:
        raise Refusal(f"must be {_wanted(scalar)}, not {found(event)}")
    text, plain = event.value, not event.style
    if scalar.type == STRING:
        if plain and (not text or text[0] in SUSPICIOUS):
            _refuse_ambiguous(text)
        return text
    if plain and meaning(text) == "no value":
        raise Refusal("has no value: write one, or remove the line")
    if scalar.type == BOOL:
        return _boolean(text, plain)
    if scalar.type == INT:
        return _integer(scalar, text, plain)
    return _enum(scalar, text, plain)


def _wanted(scalar: Scalar) -> str:
    return "one of " + ", ".join(scalar.numbers) if scalar.type == ENUM else _WANTED[scalar.type]


def _refuse_ambiguous(text: str) -> None:
    what = meaning(text)
    if what == "no value":
        raise Refusal('has no value: write "" for an empty text, or remove the line')
    if what:
        raise Refusal(f"is {what} to readers of YAML, and text belongs here: put it in quotes")


def _boolean(text: str, plain: bool) -> bool:
    if plain and text in ("true", "false"):
        return text == "true"
    if not plain and text in ("true", "false"):
        raise Refusal("must be true or false without quotes")
    if plain and meaning(text) == "true or false":
        raise Refusal("must be true or false, written so: readers of YAML disagree on the other forms")
    raise Refusal("must be true or false")


def _integer(scalar: Scalar, text: str, plain: bool) -> int:
    # Numbers of 64 bits are in quotes where JSON is written by protobuf's rules:
    # https://protobuf.dev/programming-guides/json/
    wide = scalar.maximum > 2**32 - 1
    if not plain and not wide:
        raise Refusal("must be a whole number without quotes" if INTEGER.fullmatch(text) else "must be a whole number")
    if len(text) > _LONGEST_INTEGER or not INTEGER.fullmatch(text):
        raise Refusal("must be a whole number, in digits alone")
    number = int(text)
    if not scalar.minimum <= number <= scalar.maximum:
        raise Refusal("is a number beyond the range of this field")
    return number


def _enum(scalar: Scalar, text: str, plain: bool) -> int:
    if text in scalar.numbers:
        return scalar.numbers[text]
    if plain and len(text) <= _LONGEST_INTEGER and INTEGER.fullmatch(text):
        number = int(text)
        if number in scalar.numbers.values():
            return number
        raise Refusal(f"is a number that stands for nothing here; write {_wanted(scalar)}")
    near = nearest(text, scalar.numbers)
    raise Refusal(f"must be {_wanted(scalar)}" + (f"; did you mean {near}?" if near else ""))
