"""What is shown without protovalidate is what protovalidate says, and nothing is shown where it could say otherwise."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protovalidate import CompilationError, EvaluationError, collect_violations

from planton.kinds import KINDS
from planton.manifest import load
from planton.manifest._proof import _type, keeps_the_rules
from planton.manifest._tables import is_map, is_repeated, message_of
from planton.types import PostgresKubernetes
from tests.thorough import examples

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

RULES = 1159
DOUBTED: set[str] = set()
"""Types with a rule of a form that is not understood: what has one of them is left to protovalidate."""


def types() -> list[Descriptor]:
    found: dict[str, Descriptor] = {}

    def walk(descriptor: Descriptor) -> None:
        if descriptor.full_name not in found:
            found[descriptor.full_name] = descriptor
            for field in descriptor.fields:
                if field.message_type is not None:
                    walk(field.message_type)

    for kind in KINDS.values():
        walk(kind.message.DESCRIPTOR)
    return [one for one in found.values() if not one.GetOptions().map_entry]


TYPES = types()

# What forms of names, sizes and times end at, and what readers of regular expressions differ about.
ODD = st.sampled_from([
    "", " ", "\n", "a\n", "a\0", "é", "٣", "\u017f", "K", "a-", "-a", "0", "00", "a" * 48, "a" * 49, "a" * 50,
    "a" * 63, "a" * 64,
    "a" * 253, "a" * 254, "a" * 513, "a." * 100, "é" * 50, "/", "a/b", "a/b/c", "planton.ai/a", "kubernetes.io/a",
    "app.kubernetes.io/managed-by", "1Gi", "1.5Ti", "1 Gi", "1\tGi", "1\\tGi", "0Gi", "500m", "0.5", "[::1]", "a\\b",
    "13",
    "kubernetes.project-planton.org/v1", "PostgresKubernetes", "PostgresOperatorKubernetes", "10.0.0.0/8", "eu", "lz4",
    "2026-11-22T08:14:35Z", "https://a.example.com:9000", "https://a.example.com:9000/", "eu-central-1", "0 2 * * *",
])  # fmt: skip
WHOLE = st.sampled_from([-(2**31), -1, 0, 1, 2, 16, 99, 100, 3650, 3651, 2**31 - 1])
TEXT = ODD | st.text(max_size=12)


def texts(field: FieldDescriptor) -> st.SearchStrategy[str]:
    """Gives texts for a field: odd ones, and such as a pattern of its rules asks for, often with an odd end."""
    options = field.GetOptions().SerializeToString().decode("latin1")
    found = [pattern.replace("\\\\", "\\") for pattern in re.findall(r"matches\('((?:[^'\\]|\\.)*)'\)", options)]
    fitting = [st.from_regex(re.compile(pattern, re.ASCII)) for pattern in found]
    choices = re.findall(r"'([0-9a-z]+)'", options)
    return st.one_of(TEXT, *fitting, *([st.sampled_from(choices)] if choices else []))


TEXTS = {
    field.full_name: texts(field)
    for descriptor in TYPES
    for field in descriptor.fields
    if field.type == FieldDescriptor.TYPE_STRING
}


@st.composite
def values(draw: st.DrawFn, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return draw(messages(field.message_type, depth - 1))
    if field.type == FieldDescriptor.TYPE_STRING:
        return draw(TEXTS.get(field.full_name, TEXT))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return draw(st.booleans())
    return draw(WHOLE)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 2) -> Any:
    """Makes a message of which nothing is sure but its type."""
    message: Any = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if (field.message_type is not None and not is_map(field) and depth == 0) or draw(st.integers(0, 2)) == 0:
            continue
        if is_map(field):
            value = message_of(field).fields_by_name["value"]
            keys = TEXTS.get(field.full_name, texts(field))
            entries = draw(st.dictionaries(keys, values(value, depth), max_size=2))
            for key, item in entries.items():
                getattr(message, field.name)[key] = item
        elif is_repeated(field):
            getattr(message, field.name).extend(draw(st.lists(values(field, depth), max_size=3)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values(field, depth)))
        else:
            setattr(message, field.name, draw(values(field, depth)))
    return message


@pytest.mark.parametrize("descriptor", TYPES, ids=lambda one: one.name)
# Messages of many fields are slow to make where others use the processors, too.
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_shown_is_so(descriptor: Descriptor, data: st.DataObject) -> None:
    message = data.draw(messages(descriptor))
    if keeps_the_rules(message):
        assert not collect_violations(message)


@pytest.mark.parametrize("folder", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_manifests_as_they_are_written_need_no_protovalidate(folder: str) -> None:
    for message in load(EXAMPLES / folder / "manifest.yaml"):
        assert keeps_the_rules(message)


def test_every_rule_is_understood_or_known_not_to_be() -> None:
    assert {one.full_name for one in TYPES if _type(one) is None} == DOUBTED


# Rules that no field of ours has, or may have one day


def encoded(number: int, value: Any) -> bytes:
    """Writes one field of a message of rules."""

    def varint(whole: int) -> bytes:
        whole %= 2**64
        return bytes([whole & 0x7F | 0x80]) + varint(whole >> 7) if whole > 0x7F else bytes([whole])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def cel(expression: str) -> bytes:
    return encoded(23, encoded(1, "id") + encoded(2, "is wrong") + encoded(3, expression))


# Numbers of buf/validate/validate.proto: those of StringRules and Int32Rules, each with a value that divides texts.
TEXT_RULES = [
    *(encoded(14, encoded(number, value)) for number, value in [
        (1, "a"), (2, 2), (3, 1), (4, 2), (5, 2), (6, "^a+$"), (6, "a$"), (6, "^[[:alpha:]]$"), (6, "(?i)A"), (6,
        "^a|b$"),
        (6, "\\d"), (6, "[a&&b]"), (6, "^.$"), (6, "\\x61"), (6, "^a{1,2}$"), (6, "^[^a]$"), (6, "^a*+$"), (6, "a\\z"),
        (6, "^\\w+$"), (6, "^[\\t a]$"), (6, "^[a\\]]$"), (6, "é"), (7, "a"), (8, "a"), (9, "a"), (10, "a"), (11, "a"),
        (12, 1), (13, 1), (14, 1), (17, 1), (18, 1), (19, 1), (20, 2), (22, 1), (23, "a"), (24, 1), (26, 1), (29, 1),
        (32, 1),
    ]),
    encoded(14, encoded(2, 3)) + encoded(14, encoded(2, 1)),
    encoded(14, encoded(2, 2) + encoded(3, 1)),
    encoded(14, encoded(10, "a") + encoded(10, "1Gi")),
    encoded(25, 1), encoded(27, 1) + encoded(14, encoded(2, 2)), encoded(27, 3) + encoded(14, encoded(2, 2)),
    encoded(29, "this == 'a'"),
    *(cel(expression) for expression in [
        "this.size() < 2", "this.size() <= 2", "this.size() >= 2", "this.size() > 1",
        "this.size() <= 1 || this == 'a/b'",
        "this == 'a'", "this != 'a'", "this in ['a', '1Gi']", "!(this in ['a'])", "this in ['a'] && this != 'a'",
        "this.matches('a') || this.matches('b')", "!this.matches('a')", "this.matches('^a&& b$')",
        "this.matches('a && b')",
        "this.matches('a\\\\tb')", "this.matches('\\x61')", "this.matches('\\u0061')",
        "this.matches('^[^\\x00-\\x1f]+$')",
        "this.startsWith('a')", "!this.startsWith('a')", "this.endsWith('a')", "this.indexOf('/') <= 1",
        "this.size() - this.indexOf('/') <= 2", "this.indexOf('/') >= 1", "this.lowerAscii() == 'a'",
        "this.isIpPrefix()",
        "this.size() <= 0x10", "this.matches(\"a\")", "this.matches(r'a')", "this.matches('a') == false", "true",
        "'a' in [this]", "size(this) <= 1", "this.size() <= 2 ? true : this == '500m'", "this  !=  'a'",
        "this.matches('^[a-zA-Z]+$')", "this.matches('a\\'b')", "this == 'a' || true && this.size() <= 1",
        "this.size() <= 1 || this.size() >= 50 && this.matches('a')",
    ]),
]  # fmt: skip
WHOLE_RULES = [
    *(encoded(3, encoded(number, value)) for number in (1, 2, 3, 4, 5, 6, 7) for value in (0, 16, -1)),
    encoded(3, encoded(5, 1) + encoded(3, 99)), encoded(3, encoded(5, 99) + encoded(3, 1)), encoded(25, 1),
    encoded(3, encoded(5, 1) + encoded(3, 99)) + encoded(27, 1), cel("this >= 2 && this <= 3650"), cel("this > 1"),
    cel("this >= -1"), cel("this <= 99 || this >= 3650"), cel("this in [1, 2]"), cel("this != 1"), cel("!(this >= 2)"),
]  # fmt: skip
LIST_RULES = [
    *(encoded(18, encoded(number, value)) for number, value in [(1, 1), (2, 1), (3, 1), (4, encoded(14, encoded(2,
    2)))]),
    *(encoded(18, encoded(4, rules)) for rules in (cel("this != 'a'"), encoded(25, 1), encoded(27,
    1) + cel("this != ''"))),
    encoded(25, 1), cel("this.size() <= 1"), cel("this.all(one, one == 'a')"), cel("this == ['a']"), cel("this != 'a'"),
    encoded(18, encoded(1, 1)) + encoded(27, 1),
]  # fmt: skip
Field = descriptor_pb2.FieldDescriptorProto
SHAPES = [
    *((rules, Field.TYPE_STRING, label, odd) for rules in TEXT_RULES for label, odd in (("one", False), ("one", True))),
    *((rules, Field.TYPE_INT32, "one", odd) for rules in WHOLE_RULES for odd in (False, True)),
    *((rules, Field.TYPE_STRING, "many", False) for rules in LIST_RULES),
    # Rules of another type than the field's: protovalidate refuses them.
    (WHOLE_RULES[0], Field.TYPE_STRING, "one", False), (TEXT_RULES[0], Field.TYPE_INT32, "one", False),
    (TEXT_RULES[0], Field.TYPE_STRING, "many", False), (TEXT_RULES[0], Field.TYPE_BYTES, "one", False),
]  # fmt: skip


NUMBERS = count()


def one_field(rules: bytes, kind: Field.Type.ValueType, label: str, optional: bool, whole: bytes = b"") -> Any:
    """Makes a message class with one field under some rules, in a pool of its own."""
    # protovalidate knows files and types by their names.
    package = f"odd{next(NUMBERS)}"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    message = file.message_type.add(name="Odd")
    many = label == "many"
    field = message.field.add(name="field", number=1, type=kind, label="LABEL_REPEATED" if many else "LABEL_OPTIONAL")
    field.options.MergeFromString(encoded(RULES, rules))
    if whole:
        message.options.MergeFromString(encoded(RULES, whole))
    if optional:
        message.oneof_decl.add(name="_field")
        field.proto3_optional, field.oneof_index = True, 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Odd"))


def is_right(message: Any) -> bool:
    try:
        return not collect_violations(message)
    except (CompilationError, EvaluationError):
        return False


SAMPLES: dict[int, list[Any]] = {
    Field.TYPE_STRING: [
        "", "a", "b", "aa", "aaa", "A", "a\n", "\n", "é", "éé", "a/b", "/", "aé/b", "٣", "5", "\u017f", "K", "]", "[",
        "\t", " ",
        "1Gi", "500m", "a" * 50, "a" * 600, "t", "x61", "a&b", "a&& b", "a && b", "a\tb", "a'b", "(", "\0",
        "10.0.0.0/8",
        "a@b.de", "example.com",
    ],
    Field.TYPE_INT32: [-(2**31), -1, 0, 1, 2, 15, 16, 17, 99, 100, 3650, 3651],
    Field.TYPE_BYTES: [b"", b"a"],
}  # fmt: skip


@pytest.mark.parametrize(("rules", "kind", "label", "optional"), SHAPES)
def test_rules_of_every_kind(rules: bytes, kind: Any, label: str, optional: bool) -> None:
    make = one_field(rules, kind, label, optional)
    samples = SAMPLES[kind]
    if label == "many":
        samples = [[one, other] for one in samples[:8] for other in samples[:3]] + [[], ["a"], ["a", "b", "aa"]]
    for message in (make(), *(make(field=sample) for sample in samples)):
        if keeps_the_rules(message):
            assert is_right(message), f"shown to be right: {message.ListFields()}"


@pytest.mark.parametrize("expression", [
    "this.field != ''", "this.field != '' ? '' : 'is wrong'", "this.field == '' ? '' : 'is wrong'", "this.field != 'a'",
    "!this.field ? '' : 'is wrong'", "this.other != '' ? '' : 'is wrong'", "this.field != 'a' ? '' : 'is wrong'",
    "this.field != '' || this.field == 'a' ? '' : 'is wrong'", "this.field != '' && false ? '' : 'is wrong'",
    "this.field != '' ? '' : 'is' + 'wrong'", "this.field != '' ? 'a' : ''", "!this.field != '' ? '' : 'is wrong'",
])  # fmt: skip
def test_rules_on_the_message(expression: str) -> None:
    make = one_field(b"", Field.TYPE_STRING, "one", False, whole=encoded(3, encoded(1, "id") + encoded(3, expression)))
    for message in (make(), make(field="a"), make(field="b")):
        if keeps_the_rules(message):
            assert is_right(message)


def test_other_rules_on_the_message_are_left_alone() -> None:
    for whole in (encoded(5, "this.field != 'a'"), encoded(4, encoded(1, "field") + encoded(2, 1))):
        assert not keeps_the_rules(one_field(b"", Field.TYPE_STRING, "one", False, whole=whole)(field="b"))


@pytest.mark.parametrize("text", [
    "0.0.0.0/0", "10.0.0.0/8", "203.0.113.7/32", "255.255.255.255/32", "10.0.0.0/33", "10.0.0.256/8", "10.0.0/8",
    "10.0.0.0",
    "010.0.0.0/8", "10.0.0.0/08", "10.0.0.0/", "/8", "", "::/0", "2001:db8::/32", "10.0.0.0/8 ", "1.2.3.4.5/8",
    "٣.0.0.0/8",
    "10.0.0.1/8", "-1.0.0.0/8", "1e1.0.0.0/8", "99999.0.0.0/8", "10.0.0.0/8/8",
])  # fmt: skip
def test_address_ranges(text: str) -> None:
    message = PostgresKubernetes().spec.ingress
    message.allowed_source_ranges.append(text)
    if keeps_the_rules(message):
        assert is_right(message)
    assert keeps_the_rules(message) or text not in ("0.0.0.0/0", "10.0.0.0/8", "203.0.113.7/32")
