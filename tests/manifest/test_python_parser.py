"""A PyYAML without libyaml: the same messages, the same errors and the same places, only slower."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planton.errors import ManifestError, Problem
from planton.manifest import Manifests, _events, loads
from tests.manifest.support import DATABASE, EXAMPLES, OPERATOR, metadata, only, spec
from tests.manifest.test_errors import FIVE_MISTAKES
from tests.manifest.test_scalars import TEXTS
from tests.manifest.test_secrets import FORMS, PLACES
from tests.thorough import examples

GOOD = [*EXAMPLES.values(), "---\n".join(EXAMPLES.values()), DATABASE.replace("\n", "\r\n")]
BAD = [
    FIVE_MISTAKES,
    f"{FIVE_MISTAKES}---\n[a\n---\n{FIVE_MISTAKES}",
    spec("container: &x {resources: *x}"),
    spec("version: !!str '17'"),
    spec("backup_config: *x"),
    metadata("labels: {a: 1, a: 2}\ntags: [&a x, &a y]"),
    "[" * 100,
    "%TAG !x! y\n---\na",
    "a: 'x",
    "",
]


def outcome(text: str) -> Manifests | list[tuple[int, int, str]]:
    try:
        return loads(text)
    except ManifestError as error:
        return [place(problem) for problem in error.problems]


def place(problem: Problem) -> tuple[int, int, str]:
    # The two parsers put syntax errors into words of their own, and a line apart where a quote is not closed.
    syntax = problem.message.startswith("is not valid YAML")
    return problem.origin.document, 0 if syntax else problem.origin.line, "" if syntax else str(problem)


def both(text: str) -> tuple[object, object]:
    first = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_events, "CParser", None)
        return first, outcome(text)


@pytest.mark.parametrize("text", [*GOOD, *BAD])
def test_the_same(text: str) -> None:
    first, second = both(text)
    assert first == second


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in ("!x", "-", "...")])
def test_the_same_texts(text: str) -> None:
    first, second = both(metadata(f"slug: {text}"))
    assert isinstance(first, Manifests)
    assert first == second


# Without tabs: the two parsers of PyYAML disagree on where one may stand, and either answer is an honest one.
@settings(max_examples=examples(300), deadline=None)
@given(st.text(st.sampled_from(list("ab:{}[]\"'&*!|>-?#,\n \\~1")), min_size=1, max_size=20))
def test_the_same_noise(noise: str) -> None:
    first, second = both(f"{DATABASE}---\n{noise}\n---\n{DATABASE}")
    assert isinstance(first, Manifests) == isinstance(second, Manifests)


@pytest.mark.parametrize("form", FORMS)
def test_secrets_stay_out_of_its_errors(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "CParser", None)
    for template in PLACES:
        with pytest.raises(ManifestError) as caught:
            loads(template.replace("%s", form) + "\n---\nnothing: true\n")
        assert "SENTINEL" not in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_half_a_surrogate_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "CParser", None)
    problem = only(metadata('slug: "\\ud800"'))
    assert (problem.origin.line, problem.message) == (5, "holds half of a surrogate pair in an escape")


def test_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "CParser", None)
    assert "the limit where PyYAML lacks libyaml" in only(OPERATOR + "#" * 2**20).message
