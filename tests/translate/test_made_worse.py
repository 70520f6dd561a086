"""What others have brought about already keeps nobody from an apply; what an apply makes worse is refused."""

from __future__ import annotations

import pytest

import planton
from planton.translate.backup import environment_of, platform_of
from planton.translate.existing import Existing, ExistingDatabase
from planton.types import PostgresOperatorKubernetes
from tests.manifests import database, operator
from tests.translate.test_set import problems

VERSION = "1.15.1"
REPLICAS = "tuning: {backup_from_replica: true}"


def told(text: str) -> dict[str, str]:
    """What the operator of a manifest gives to databases."""
    (message,) = planton.loads(text)
    (filled,) = planton.render(planton.loads(text)).manifests
    assert isinstance(message, PostgresOperatorKubernetes)
    assert isinstance(filled, PostgresOperatorKubernetes)
    platform = platform_of(filled)
    return environment_of(platform) if platform is not None else {}


def there(before: str, *databases: ExistingDatabase) -> Existing:
    inherited = told(before) if before else {}
    return Existing(True, databases, inherited=inherited, running_version=VERSION)


def warned(text: str, existing: Existing) -> list[str]:
    return [one.message for one in planton.render(planton.loads(text), existing=existing).warnings]


SAME = (ExistingDatabase("one", "db", "17"), ExistingDatabase("two", "db", "17"))
SMALL = ExistingDatabase("foreign", "small", "17", instances=1)
OLD = ExistingDatabase("foreign", "old", "9.6")
BROKEN = ExistingDatabase("foreign", "own", "17", {"USE_WALG_BACKUP": "false"})


@pytest.mark.parametrize(
    ("before", "databases", "words"),
    [
        (operator(), SAME, "the live databases one/db and two/db the same archive"),
        (operator(backup=REPLICAS), (SMALL,), "would leave the live database foreign/small without base backups"),
        (operator(), (OLD,), "does not run PostgreSQL 9.6 of the live database foreign/old"),
        (operator(), (BROKEN,), 'its own USE_WALG_BACKUP is not "true"'),
    ],
)
def test_a_steady_state_of_others_is_only_said(
    before: str, databases: tuple[ExistingDatabase, ...], words: str
) -> None:
    found = [one for one in warned(before, there(before, *databases)) if words in one]
    assert len(found) == 1
    assert found[0].endswith("It is so already, and this apply changes nothing")
    # Other settings do not matter; nothing known of the operator does.
    other = before.replace("backup_config:", "backup_config:\n    retention: {backups_and_days: 9}")
    assert any(words in one for one in warned(other, there(before, *databases)))
    assert any(words in one for one in problems(before, Existing(True, databases)))


@pytest.mark.parametrize(
    ("before", "databases", "words"),
    [
        (operator(backup="s3_prefix_template: x/$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"), SAME, "the same archive"),
        (operator(), (SMALL,), "without base backups"),
        ("", (BROKEN,), "would harm"),
    ],
)
def test_what_an_apply_makes_worse_is_refused(before: str, databases: tuple[ExistingDatabase, ...], words: str) -> None:
    after = operator(backup=REPLICAS) if databases == (SMALL,) else operator()
    assert any(words in one for one in problems(after, there(before, *databases)))


def test_a_third_one_in_an_archive_that_two_share_is_refused() -> None:
    third = ExistingDatabase("three", "db", "17", {"WALG_S3_PREFIX": "s3://postgres-backups/y/db/17"})
    before = operator(backup="s3_prefix_template: x/$(SCOPE)/$(PGVERSION)")
    after = operator(backup="s3_prefix_template: y/$(SCOPE)/$(PGVERSION)")
    found = problems(after, there(before, *SAME, third))
    assert len(found) == 1
    assert "three/db" in found[0]


def test_the_operators_limit_of_instances() -> None:
    limited = operator(backup=REPLICAS, spec='operator_settings: {max_instances: "1"}')
    three = database().replace("disk_size: 10Gi", "disk_size: 10Gi\n    replicas: 3")
    (problem,) = problems(limited + three)
    assert "max_instances in the operator's operator_settings leaves one" in problem
    assert not problems_of(operator(backup=REPLICAS) + three)
    big = ExistingDatabase("foreign", "big", "17", instances=3)
    assert any("without base backups" in one for one in problems(limited, Existing(True, (big,))))
    # For a database that is applied alone it comes from the cluster.
    (filled,) = planton.render(planton.loads(limited)).manifests
    assert isinstance(filled, PostgresOperatorKubernetes)
    platform = platform_of(filled)
    assert platform is not None
    assert '"max_instances":"1"' in platform.to_json()
    with pytest.raises(planton.ManifestError, match="max_instances"):
        planton.render(planton.loads(three), platform=platform)


def problems_of(text: str) -> list[str]:
    try:
        planton.render(planton.loads(text))
    except planton.ManifestError as error:
        return [str(one) for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("above", "own", "paths"),
    [
        ("tuning: {delta_origin: LATEST}", "", ["PostgresOperatorKubernetes"]),
        ("tuning: {delta_origin: LATEST, delta_max_steps: 2}", "", []),
        ("", "tuning: {delta_origin: LATEST}", ["PostgresKubernetes"]),
        ("tuning: {delta_max_steps: 2}", "tuning: {delta_origin: LATEST}", []),
        ("tuning: {delta_max_steps: 2}", "tuning: {delta_origin: LATEST, delta_max_steps: 0}", ["PostgresKubernetes"]),
    ],
)
def test_an_origin_of_deltas_without_deltas(above: str, own: str, paths: list[str]) -> None:
    text = operator(backup=above) + database(backup=own or None)
    found = planton.render(planton.loads(text)).warnings
    assert [one.subject.split("/")[0] for one in found if one.path.endswith("delta_origin")] == paths
