"""A clone is a fact of birth: what stays on a custom resource that exists, and what is written down of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import planton
from planton.translate.birth import Birth
from tests.manifests import database, operator
from tests.translate.beginnings import (
    TARGET,
    alive,
    beginning,
    by_name,
    by_place,
    env_of,
    rendered,
    resource,
    secrets_of,
    with_live,
)
from tests.translate.test_clone import FACTS, FROM_OPERATOR, MINIO, ORDERS, STORAGE

CLONE = operator() + ORDERS + beginning("clone", by_name(), target=f'"{TARGET}"')
ELSEWHERE = operator() + ORDERS + beginning("clone", by_place(MINIO, "db-other"))


@pytest.mark.parametrize("born", [CLONE, ELSEWHERE])
@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (operator() + ORDERS + beginning("clone", by_name()), "is not what"),
        (operator() + ORDERS + beginning("clone", by_name("gone")), "is not what"),
        (operator() + ORDERS + database("restored"), "is gone from the manifest"),
        (operator() + ORDERS + database("restored", backup="enable_clone: false"), "is gone from the manifest"),
    ],
)
def test_nothing_changes_on_what_exists(born: str, manifest: str, words: str) -> None:
    before = resource(rendered(born, FACTS))
    facts = with_live(alive(before), values=FACTS.values)
    made = rendered(manifest, facts)
    after = resource(made)
    assert after["spec"]["env"] == before["spec"]["env"]
    assert after["spec"].get("additionalVolumes") == before["spec"].get("additionalVolumes")
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert not [name for name in secrets_of(made) if "clone" in name]
    (warning,) = [one for one in made.warnings if one.path == "spec.clone"]
    assert words in warning.message
    assert "changes nothing there" in warning.message
    assert warning.subject == "PostgresKubernetes/restored"


@pytest.mark.parametrize("born", [CLONE, ELSEWHERE])
def test_the_same_manifest_says_nothing_more(born: str) -> None:
    before = resource(rendered(born, FACTS))
    made = rendered(born, with_live(alive(before), values=FACTS.values))
    assert resource(made) == before
    assert [one for one in made.warnings if one.path == "spec.clone"] == []


def test_its_source_need_not_be_there_any_more() -> None:
    before = resource(rendered(CLONE))
    made = rendered(operator() + beginning("clone", by_name(), target=f'"{TARGET}"'), with_live(alive(before)))
    assert resource(made) == before
    assert list(made.warnings) == []


def test_added_to_what_was_born_without() -> None:
    plain = resource(rendered(operator() + database("restored")))
    made = rendered(CLONE, with_live(alive(plain)))
    assert "env" not in resource(made)["spec"]
    assert "annotations" not in resource(made)["metadata"]
    (warning,) = [one for one in made.warnings if one.path == "spec.clone"]
    assert warning.message.startswith("is new, and restored/db-restored exists already")
    # enable_clone alone goes on to mean what it meant.
    made = rendered(operator() + database("restored", backup="enable_clone: false"), with_live(alive(plain)))
    assert env_of(resource(made)) == {"CLONE_USE_WALG_RESTORE": "false"}


def test_a_clone_by_others_stays_one() -> None:
    theirs = {"name": "CLONE_AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}
    born: list[dict[str, Any]] = [{"name": "CLONE_METHOD", "value": "CLONE_WITH_WALE"}, theirs]
    born.append({"name": "CLONE_UNKNOWN", "value": "1"})
    plain = resource(rendered(operator() + database("restored")))
    facts = with_live(alive({**plain, "spec": {**plain["spec"], "env": born}}))
    made = rendered(operator() + database("restored", backup="enable_clone: false"), facts)
    assert resource(made)["spec"]["env"] == sorted(born, key=lambda one: str(one["name"]))


def test_the_environment_has_them_with_their_origins() -> None:
    manifests = planton.loads(CLONE)
    found = {one.name: one for one in planton.environment(manifests, "restored")}
    assert {name for name in found if name.startswith("CLONE_")} == {*FROM_OPERATOR, "CLONE_TARGET_TIME"}
    assert found["CLONE_AWS_ACCESS_KEY_ID"].secret == f"{STORAGE}/AWS_ACCESS_KEY_ID"
    assert found["CLONE_USE_WALG_RESTORE"].overrules == "true"
    assert {found[name].source for name in FROM_OPERATOR} == {"database"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"target_time":"x"}', '{"prefix":1}', '{"prefix":"s3://a/b\\n"}', "[" * 9999]
)
def test_a_note_that_somebody_else_wrote_is_none(text: str) -> None:
    assert Birth.from_json(text) is None


def test_a_note_takes_more_facts() -> None:
    whole = Birth("s3://a/b", TARGET, "7300000000000000000", "3", "base_000000030000000000000004")
    assert Birth.from_json(whole.to_json()) == whole
    later = {**json.loads(whole.to_json()), "later": ["x"]}
    assert Birth.from_json(json.dumps(later)) == whole
