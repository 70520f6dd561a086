"""Per-message tables that drive the builder, made from the descriptors when first needed."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

STRING: Final = 0
BOOL: Final = 1
INT: Final = 2
ENUM: Final = 3
MESSAGE: Final = 4
MAP: Final = 5
LIST: Final = 6

_SIGNED_32 = (-(2**31), 2**31 - 1)
_SIGNED_64 = (-(2**63), 2**63 - 1)
_UNSIGNED_32 = (0, 2**32 - 1)
_UNSIGNED_64 = (0, 2**64 - 1)
_RANGES = {
    FieldDescriptor.TYPE_INT32: _SIGNED_32,
    FieldDescriptor.TYPE_SINT32: _SIGNED_32,
    FieldDescriptor.TYPE_SFIXED32: _SIGNED_32,
    FieldDescriptor.TYPE_INT64: _SIGNED_64,
    FieldDescriptor.TYPE_SINT64: _SIGNED_64,
    FieldDescriptor.TYPE_SFIXED64: _SIGNED_64,
    FieldDescriptor.TYPE_UINT32: _UNSIGNED_32,
    FieldDescriptor.TYPE_FIXED32: _UNSIGNED_32,
    FieldDescriptor.TYPE_UINT64: _UNSIGNED_64,
    FieldDescriptor.TYPE_FIXED64: _UNSIGNED_64,
}


class Scalar:
    """What one scalar value has to be.

    Attributes:
        type: STRING, BOOL, INT or ENUM.
        minimum: Smallest INT.
        maximum: Largest INT.
        numbers: Names of an ENUM's values -> their numbers.
    """

    __slots__ = ("maximum", "minimum", "numbers", "type")

    def __init__(self, field: FieldDescriptor) -> None:
        """Reads it off a field.

        Args:
            field: A scalar field, or the key or value of a map.

        Raises:
            NotImplementedError: No kind uses fields of this type yet.
        """
        self.minimum, self.maximum = _RANGES.get(field.type, (0, 0))
        self.numbers: dict[str, int] = {}
        if field.type == FieldDescriptor.TYPE_STRING:
            self.type: int = STRING
        elif field.type == FieldDescriptor.TYPE_BOOL:
            self.type = BOOL
        elif field.type in _RANGES:
            self.type = INT
        elif field.type == FieldDescriptor.TYPE_ENUM:
            self.type = ENUM
            self.numbers = {value.name: value.number for value in cast("EnumDescriptor", field.enum_type).values}
        else:
            raise NotImplementedError(f"{field.full_name}: manifests have no form for this type yet")


class Slot:
    """One field in one place of a manifest, in one spelling.

    Attributes:
        field: The field.
        name: Its name in the message.
        above: The field that holds the message of which it is a field; None for one of a whole document.
        path: Its path in this spelling.
        canonical: Its path in the usual spelling.
        type: One of the constants of this module.
        scalar: What the value, the items or the map's values have to be; None for a message.
        bit: Marks the field in a set of fields that were seen.
        blocked: The bits that exclude it: its own, and those of its rivals in a oneof.
    """

    __slots__ = ("_node", "above", "bit", "blocked", "canonical", "field", "name", "path", "scalar", "type")

    def __init__(self, field: FieldDescriptor, above: Slot | None, path: str, canonical: str) -> None:
        """Makes the slot.

        Args:
            field: The field.
            above: The field that holds the message of which it is a field.
            path: Its path in this spelling.
            canonical: Its path in the usual spelling.

        Raises:
            NotImplementedError: No kind uses fields of this type yet.
        """
        self.field = field
        self.name = field.name
        self.above = above
        self.path = path
        self.canonical = canonical
        self.bit = 1 << field.index
        self.blocked = self.bit
        self.scalar: Scalar | None = None
        self._node: Node | None = None
        for rival in rivals_of(field):
            self.blocked |= 1 << rival.index
        if is_map(field):
            value = message_of(field).fields_by_name["value"]
            key = message_of(field).fields_by_name["key"]
            if Scalar(key).type != STRING:
                raise NotImplementedError(f"{field.full_name}: manifests have only maps with text as keys yet")
            self.type: int = MAP
            self.scalar = Scalar(value)
        elif is_repeated(field):
            self.type = LIST
            self.scalar = Scalar(field)
        elif field.message_type is not None:
            self.type = MESSAGE
        else:
            self.scalar = Scalar(field)
            self.type = self.scalar.type

    def node(self) -> Node:
        """Gives the table of the message in this field.

        Returns:
            The table, made when first asked for.
        """
        if self._node is None:
            self._node = Node(message_of(self.field), self, f"{self.path}.", f"{self.canonical}.")
        return self._node


class Node:
    """The table of one message in one place of a manifest.

    Attributes:
        prefix: What stands before the names of its fields, in this spelling.
        slots: Each name and JSON name of a field -> its slot.
    """

    __slots__ = ("prefix", "slots")

    def __init__(self, descriptor: Descriptor, above: Slot | None, prefix: str, canonical: str) -> None:
        """Makes the table.

        Args:
            descriptor: The message.
            above: The field that holds it; None for a whole document.
            prefix: What stands before the names of its fields, in this spelling.
            canonical: What stands before the names of its fields, in the usual spelling.
        """
        self.prefix = prefix
        self.slots: dict[str, Slot] = {}
        for field in descriptor.fields:
            usual = canonical + usual_name(field)
            for name in (field.name, field.json_name):
                self.slots.setdefault(name, Slot(field, above, prefix + name, usual))


def usual_name(field: FieldDescriptor) -> str:
    """Gives the name of a field as manifests usually have it.

    Args:
        field: The field.

    Returns:
        The name in snake_case, except for `apiVersion`.
    """
    return "apiVersion" if field.name == "api_version" else field.name


def is_repeated(field: FieldDescriptor) -> bool:
    """Says whether a field is a list or a map, in a way that protobuf 6 and 7 both know.

    Args:
        field: The field.

    Returns:
        True for a list or a map.
    """
    return isinstance(field.default_value, list)


def message_of(field: FieldDescriptor) -> Descriptor:
    """Gives the type of a message field or map.

    Args:
        field: A field that is one.

    Returns:
        The descriptor of the message, or of the map's entries.
    """
    return cast("Descriptor", field.message_type)


def rivals_of(field: FieldDescriptor) -> list[FieldDescriptor]:
    """Gives the fields of which only one can be set.

    Args:
        field: The field.

    Returns:
        The fields of its oneof, itself included; none where it is in no oneof.
    """
    return list(field.containing_oneof.fields) if field.containing_oneof is not None else []


def is_map(field: FieldDescriptor) -> bool:
    """Says whether a field is a map.

    Args:
        field: The field.

    Returns:
        True for a map.
    """
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@lru_cache(maxsize=64)
def root(descriptor: Descriptor) -> Node:
    """Gives the table of a kind.

    Args:
        descriptor: The kind's message.

    Returns:
        The table.
    """
    return Node(descriptor, None, "", "")


def places(node: Node, name: str) -> list[str]:
    """Finds where in a kind a field of some name stands.

    Args:
        node: The table of the kind.
        name: Name or JSON name of the field.

    Returns:
        Paths of the messages that have it, in the usual spelling.
    """
    found: list[str] = []
    for key, slot in node.slots.items():
        if key == name:
            found.append(slot.canonical.rpartition(".")[0])
        # Each field once, by the usual spelling of its name.
        if slot.type == MESSAGE and key == slot.name:
            found += places(slot.node(), name)
    return found
