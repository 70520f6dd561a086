"""What is found of a document by another one that is like it is what is found by looking at it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planton import loads
from planton.errors import ManifestError
from planton.manifest import _collect
from planton.manifest._alike import Alike
from planton.manifest._draft import Draft
from planton.manifest._manifests import as_bytes
from planton.manifest._template import Template
from planton.manifest.checks import SINGLE, Complaint, check
from planton.types import PostgresKubernetes, Resource
from tests.manifests import operator

_TEXT = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: {name}
  id: {id}
spec:
  container:
    replicas: {replicas}
    disk_size: {size}
  backup_config:
    s3_prefix: {prefix}
    enable_backup: true
"""
# Right and wrong ones; whichever comes first, the others have to be found right or wrong by themselves.
_VALUES: dict[str, list[str]] = {
    "name": ["orders", "billing", '""', "default", "kube-system", "Wrong", "a" * 50, "7", '"é"'],
    "id": ["pg-1", "pg-2", '""', "-", "a" * 64],
    "replicas": ["1", "2", "100", '"1"'],
    "size": ["10Gi", '"1 Gi"', "10GB", "9999999Ei"],
    "prefix": ["/a", "bucket/b", "s3://bucket/c", '""', "/a//b", "bucket", "/$(WHO)", f"/{'a' * 511}", f"/{'a' * 512}"],
}


class _Unlike(Alike):
    """Finds nothing, so that each document is looked at."""

    def find(self, draft: Draft) -> None:
        assert not draft.findings


def _read(text: str) -> Any:
    try:
        found = loads(text)
    except ManifestError as error:
        return error.problems
    paths = ("metadata.name", "spec.container.disk_size", "spec.backup_config")
    return [
        (as_bytes(found[index]), found.proven(index), found.origin(index), [found.line(index, path) for path in paths])
        for index in range(len(found))
    ]


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.sampled_from(some) for name, some in _VALUES.items()}), max_size=6))
def test_it_is_as_if_each_were_looked_at(documents: list[dict[str, str]]) -> None:
    right = {name: some[0] for name, some in _VALUES.items()}
    text = "---\n".join(_TEXT.format(**one) for one in [right, *documents])
    found = _read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_collect, "Alike", _Unlike)
        assert found == _read(text)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in _VALUES.items() for value in some])
def test_one_value_is_another(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {name: some[0] for name, some in _VALUES.items()}
    text = f"{_TEXT.format(**right)}---\n{_TEXT.format(**{**right, 'name': 'billing', 'prefix': '/b', name: value})}"
    found = _read(text)
    monkeypatch.setattr(_collect, "Alike", _Unlike)
    assert found == _read(text)


def test_documents_that_differ_in_their_names_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Resource] = []

    def look(message: Resource) -> list[Complaint]:
        looked.append(message)
        return check(message)

    monkeypatch.setattr(_collect, "check", look)
    right = {name: some[0] for name, some in _VALUES.items()}
    texts = [_TEXT.format(**{**right, "name": f"db-{one}", "prefix": f"/{one}"}) for one in range(5)]
    assert [one.metadata.name for one in loads("---\n".join(texts))] == [f"db-{one}" for one in range(5)]
    assert len(looked) == 1
    other = _TEXT.format(**{**right, "replicas": "2"})
    loads("---\n".join([*texts, other, other]))
    assert len(looked) == 3


def test_nothing_is_remembered_that_can_be_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Alike] = []

    class Seen(Alike):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(_collect, "Alike", Seen)
    loads(operator())
    labels = "metadata:\n  name: a\n  labels: {a: b}\n"
    loads(
        _TEXT.format(**{name: some[0] for name, some in _VALUES.items()}).replace("metadata:\n  name: orders\n", labels)
    )
    assert [one._forms for one in made] == [{}, {}]


def test_a_set_that_is_all_different_is_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planton.manifest._alike._MOST", 3)
    right = {name: some[0] for name, some in _VALUES.items()}
    alike = Alike()
    monkeypatch.setattr(_collect, "Alike", lambda: alike)
    texts = [_TEXT.format(**{**right, "replicas": str(number)}) for number in range(9)]
    assert len(loads("---\n".join(texts))) == 9
    assert sum(len(form.known) for form in alike._forms.values()) == 3


def test_single_fields_are_texts_of_their_kind() -> None:
    for path in SINGLE["PostgresKubernetes"]:
        message: Any = PostgresKubernetes()
        *above, name = path.split(".")
        for step in above:
            message = getattr(message, step)
        setattr(message, name, "text")


@settings(deadline=None)
@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=20_000), st.text(max_size=9))
def test_a_template_writes_what_protobuf_writes(name: str, prefix: str, slug: str) -> None:
    message = PostgresKubernetes(kind="a")
    message.metadata.name, message.metadata.slug = "first", slug
    message.spec.container.replicas = 3
    message.spec.backup_config.s3_prefix = "/first"
    message.spec.backup_config.enable_clone = False
    template = Template(as_bytes(message), {(3, 1): 0, (4, 3, 1): 1})
    message.metadata.name, message.spec.backup_config.s3_prefix = name, prefix
    assert template.fill([name.encode(), prefix.encode()]) == as_bytes(message)
