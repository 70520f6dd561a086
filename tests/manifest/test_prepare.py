"""Messages made in Python, and the sequence that loading gives."""

from __future__ import annotations

import copy

import pytest

from planton.errors import ManifestError, Origin
from planton.manifest import Manifests, loads, prepare, violations
from planton.types import ApiResourceMetadata, PostgresKubernetes, PostgresOperatorKubernetes, Resource
from tests.manifest.support import DATABASE, OPERATOR, spec


def bare(name: str = "orders") -> PostgresKubernetes:
    message = PostgresKubernetes(metadata=ApiResourceMetadata(name=name))
    message.spec.SetInParent()
    return message


def test_prepare_fills_copies_and_leaves_its_input_alone() -> None:
    message = bare()
    before = copy.deepcopy(message)
    (prepared,) = prepare([message])
    assert message == before
    assert prepared == loads(DATABASE)[0]
    assert prepared is not message


def test_prepare_raises_all_problems_and_violations_collects_them() -> None:
    messages: list[Resource] = [bare("A"), bare(), bare("default"), PostgresOperatorKubernetes()]
    found = violations(messages)
    assert [(problem.path, problem.subject) for problem in found] == [
        ("metadata.name", "PostgresKubernetes"),
        ("metadata.name", "PostgresKubernetes/default"),
        ("metadata", "PostgresOperatorKubernetes"),
        ("spec", "PostgresOperatorKubernetes"),
    ]
    with pytest.raises(ManifestError) as caught:
        prepare(messages)
    assert list(caught.value.problems) == found
    assert all(problem.origin == Origin() for problem in found)


def test_prepare_keeps_origins_and_lines() -> None:
    loaded = loads(f"{DATABASE}---\n{spec('backupConfig: {s3Prefix: abc/d}')}", file="a.yaml")
    prepared = prepare(loaded)
    assert prepared.origins == loaded.origins
    assert prepared.line(1, "spec.backup_config.s3_prefix") == 12
    loaded[1].spec.backup_config.s3_prefix = "x"  # type: ignore[union-attr]
    (problem,) = violations(loaded)
    assert problem.origin == Origin("a.yaml", 2, 12)
    assert problem.path == "spec.backupConfig.s3Prefix"
    assert problem.subject == "PostgresKubernetes/orders"


@pytest.mark.parametrize("wrong", [None, "text", ApiResourceMetadata(name="SENTINEL"), {}])
def test_what_is_no_message(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"message 2 is of no known kind, but \w+$") as caught:
        prepare([bare(), wrong])  # type: ignore[list-item]
    assert "SENTINEL" not in str(caught.value)


def test_nothing_is_nothing() -> None:
    assert len(prepare([])) == 0
    assert violations([]) == []


# What was found right once


def test_what_was_loaded_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loads(f"{DATABASE}---\n{OPERATOR}", file="a.yaml")
    monkeypatch.setattr("planton.manifest._collect.complaints", lambda _: pytest.fail("was looked at again"))
    again = prepare(prepare(loaded))
    assert again == loaded
    assert again.line(1, "spec.backup_config.r2_config.bucket_name") == 15


def test_a_loaded_message_is_made_when_it_is_asked_for() -> None:
    loaded = loads(DATABASE)
    prepared = prepare(loaded)
    assert loaded.unmade(0) is PostgresKubernetes  # Preparing has not changed what was given.
    message = loaded[0]
    assert loaded.unmade(0) is None
    assert loaded[0] is message
    assert prepared[0] == message
    assert prepared[0] is not message
    message.metadata.name = "changed"
    assert prepare(loaded)[0].metadata.name == "changed"
    assert prepared[0].metadata.name == "orders"


def test_a_copy_stays_when_what_was_given_changes() -> None:
    loaded = loads(f"{DATABASE}---\n{OPERATOR}")
    prepared = prepare(loaded)
    before = [copy.deepcopy(message) for message in loaded]
    loaded[0].metadata.name = "another"
    loaded[1].spec.SetInParent()
    loaded[1].metadata.labels["a"] = "b"
    assert list(prepared) == before
    assert prepared[0] is prepared[0] is prepared[:1][0]
    prepared[1].metadata.name = "third"
    assert loaded[1].metadata.name == "postgres-operator"


@pytest.mark.parametrize("place", range(2))
def test_what_has_changed_since_is_validated(place: int) -> None:
    loaded = loads(f"{DATABASE}---\n{OPERATOR}", file="a.yaml")
    for manifests in (loaded, prepare(loaded)):
        name = manifests[place].metadata.name
        manifests[place].metadata.name = "Wrong"
        (problem,) = violations(manifests)
        assert problem.path == "metadata.name"
        assert problem.origin.document == place + 1
        manifests[place].metadata.name = name
        manifests[place].ClearField("kind")
        manifests[place].spec.ClearField("container")
        # Its defaults are filled again.
        assert prepare(manifests) == loads(f"{DATABASE}---\n{OPERATOR}")


# Manifests


def test_a_sequence() -> None:
    loaded = loads(f"{DATABASE}---\n{OPERATOR}", file="a.yaml")
    assert len(loaded) == 2
    assert loaded[0].kind == loaded[-2].kind == "PostgresKubernetes"
    assert [message.kind for message in reversed(loaded)] == ["PostgresOperatorKubernetes", "PostgresKubernetes"]
    assert loaded[1] in loaded
    assert loaded.index(loaded[1]) == 1
    part = loaded[1:]
    assert isinstance(part, Manifests)
    assert part.origins == (Origin("a.yaml", 2, 7),)
    assert part.line(0, "spec.backup_config.r2_config.bucket_name") == 15
    with pytest.raises(IndexError):
        loaded[2]
    with pytest.raises(TypeError):
        loaded[0] = loaded[1]  # type: ignore[index]
    with pytest.raises(AttributeError):
        loaded.origins = ()  # type: ignore[misc]


def test_equality_is_that_of_the_messages() -> None:
    assert loads(DATABASE, file="a") == loads(f"\n\n{DATABASE}", file="b")
    assert loads(DATABASE) != loads(OPERATOR)
    assert loads(DATABASE) != list(loads(DATABASE))
    with pytest.raises(TypeError):
        hash(loads(DATABASE))


def test_lines() -> None:
    text = (
        DATABASE.replace("spec: {}", "  labels:\n    app: x\n    'a/b': z\n  tags:\n  - one\n  - two\nspec:")
        + "  ingress:\n    dnsDomain: example.com\n"
    )
    loaded = loads("\n" + text)
    lines = {
        "apiVersion": 2,
        "kind": 3,
        "metadata": 4,
        "metadata.name": 5,
        "metadata.labels": 6,
        'metadata.labels["app"]': 7,
        'metadata.labels["a/b"]': 8,
        "metadata.tags[1]": 11,
        "spec": 12,
        "spec.ingress.dnsDomain": 14,
        "spec.ingress.dns_domain": 14,
        "spec.container": 0,
        "spec.ingress.enabled": 0,
        "nonsense": 0,
        "": 0,
    }
    assert {path: loaded.line(0, path) for path in lines} == lines
    assert loaded.origin(0) == Origin("<text>", 1, 2)


def test_messages_of_nowhere() -> None:
    manifests = Manifests([bare()])
    assert manifests.origins == (Origin(),)
    assert manifests.line(0, "metadata.name") == 0


def test_what_is_printed() -> None:
    assert repr(Manifests()) == "<Manifests: none>"
    assert repr(loads(OPERATOR)) == "<Manifests: PostgresOperatorKubernetes/postgres-operator>"
    assert repr(Manifests([bare("SENTINEL")])) == "<Manifests: PostgresKubernetes>"
    many = Manifests([bare(f"db{number}") for number in range(12)])
    assert repr(many).endswith("PostgresKubernetes/db9 and 2 more>")
    assert str(many) == repr(many)
