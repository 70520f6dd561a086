"""Any message of both kinds comes back from its text as it was, whatever its strings hold."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planton.kinds import KINDS
from planton.manifest import dumps, loads
from planton.manifest._builder import Builder
from planton.manifest._events import yaml_events
from planton.manifest._json import json_events
from planton.manifest._plain import meaning
from planton.types import Resource
from tests.manifest.support import DATABASE
from tests.thorough import examples

MEAN = (
    "y n yes no on off true false null ~ = << 1 1.0 0x1F 0o17 010 1e3 .inf .nan 1:30 1_0 2020-01-01 - -- --- ... ? : "
    "a:b a: :a #a a#b @a `a %a &a *a !a |a >a {a} [a] 'a' \"a\" , \\ \\n $(SCOPE)"
).split(" ")
characters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.sampled_from([*MEAN, "", " ", "\n", "\t", " a", "a ", "\0", "\x85", "\u2028", "\ufeff", "\ufffe", "\x7f", "😀"]),
    st.text(characters, max_size=20),
    st.text(st.sampled_from("ab \n\t#:-'\"\\é\u2028\x85|>"), max_size=12),
    st.lists(st.sampled_from(MEAN), max_size=4).map("\n".join),
)
keys = texts | st.text("k", min_size=990, max_size=1100)


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return texts
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return st.integers(-(2**31), 2**31 - 1)


def fill(draw: st.DrawFn, descriptor: Descriptor, message: Any) -> None:
    for field in descriptor.fields:
        if not draw(st.booleans()):
            continue
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            getattr(message, field.name).update(draw(st.dictionaries(keys, texts, max_size=3)))
        elif isinstance(field.default_value, list):
            getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=3)))
        elif inner is not None:
            getattr(message, field.name).SetInParent()
            fill(draw, inner, getattr(message, field.name))
        else:
            setattr(message, field.name, draw(scalars(field)))


@st.composite
def anything(draw: st.DrawFn) -> Resource:
    """Makes a message whose fields hold anything that their types allow."""
    kind = draw(st.sampled_from(list(KINDS.values())))
    message = kind.message()
    fill(draw, message.DESCRIPTOR, message)
    message.api_version, message.kind = kind.api_version, kind.name
    message.metadata.SetInParent()
    message.spec.SetInParent()
    return message


def read(text: str, form: Literal["yaml", "json"]) -> Any:
    """Reads a message without its defaults and rules."""
    builder = Builder()
    get = json_events(text) if form == "json" else yaml_events(text, builder.report)
    builder.read_from(get)
    get(), get()
    draft = builder.document(get())
    assert draft is not None
    assert draft.findings == []
    return draft.message()


@settings(
    max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(anything(), st.sampled_from(["yaml", "json"]))
def test_any_message(message: Resource, form: Literal["yaml", "json"]) -> None:
    text = dumps(message, format=form)
    assert read(text, form) == message
    assert dumps(read(text, form), format=form) == text


@settings(max_examples=examples(300), deadline=None)
@given(texts)
def test_any_text_for_other_readers_of_yaml(text: str) -> None:
    (message,) = loads(DATABASE)
    message.metadata.slug = text
    message.metadata.tags.append(text)
    out = dumps(message)
    assert yaml.safe_load(out)["metadata"].get("slug", "") == text
    assert yaml.safe_load(out)["metadata"]["tags"] == [text]


@settings(max_examples=examples(500), deadline=None)
@given(st.text(st.sampled_from("0123456789+-.:_eExoOabTtZz ynNiIfFuUlLsSrRvV~"), max_size=8))
def test_what_pyyaml_takes_for_no_text_wants_quotes(text: str) -> None:
    """PyYAML reads YAML 1.1: whatever it resolves to something else must be ambiguous to us too."""
    resolver: Any = yaml.resolver.Resolver()
    tag = resolver.resolve(yaml.ScalarNode, text, (True, False))
    if tag != "tag:yaml.org,2002:str":
        assert meaning(text), text
