"""What becomes of an apply that is refused in the middle: decided without a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from planton.cluster.api.connection import ApiError
from planton.cluster.api.mask import Scrubber
from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, POSTGRESQL, SECRET, Key
from planton.cluster.changes import Change, PlanOptions
from planton.cluster.permissions.losses import Losses
from planton.cluster.planning.order import Stage
from planton.cluster.planning.steps import Decisions, Step, change_of
from planton.errors import ClusterError
from planton.translate.archive_record import RECORD_CONFIGMAP


def step(key: Key, stage: Stage, rank: int = 0) -> Step:
    return Step(key, change_of(key, "created"), stage, rank, desired={"metadata": {"name": key.name}})


def secret(space: str) -> Step:
    return step(Key(SECRET, space, "keys"), Stage.SECRETS, 1)


def database(space: str) -> Step:
    return step(Key(POSTGRESQL, space, f"db-{space}"), Stage.DATABASES)


RECORD = step(Key(CONFIG_MAP, "home", RECORD_CONFIGMAP), Stage.DATABASES, 9)
LEAVING = step(Key(CONFIG_MAP, "home", RECORD_CONFIGMAP), Stage.SECRETS, 9)
OPERATOR = step(Key(DEPLOYMENT, "home", "postgres-operator"), Stage.OPERATOR, 1)
CONFIGURATION = step(Key(CONFIG_MAP, "home", "postgres-operator"), Stage.CONFIGURATION, 1)


def losses(*steps: Step) -> Losses:
    return Losses(Decisions(steps, (), Scrubber(), PlanOptions()))


def refusal(space: str, resource: str = "secrets") -> ApiError:
    text = (
        f'x "keys" is forbidden: User "u" cannot patch resource "{resource}" in API group "" in the namespace "{space}"'
    )
    return ApiError(text, status=403, reason="Forbidden")


def outcomes(batch: Sequence[Step], *failed: ApiError | None) -> list[Change | Exception]:
    return [error or one.change for one, error in zip(batch, failed, strict=True)]


def test_what_comes_later_in_a_lost_namespace_is_left_alone() -> None:
    batch = [secret("a"), secret("b")]
    found = losses(*batch, database("a"), database("b"), RECORD)
    told = found.told(batch, outcomes(batch, refusal("a"), None))
    assert [one.action for one in told if isinstance(one, Change)] == ["refused", "created"]
    assert found.without(database("a")).desired is None
    assert found.without(database("a")).change.action == "refused"
    assert found.without(database("b")) == database("b")
    # It would say of a database that is not there that it archives.
    assert found.without(RECORD).change.action == "skipped"
    with pytest.raises(ClusterError, match="no permission in 1 of 2 namespaces") as caught:
        found.check("apply")
    assert (caught.value.status, caught.value.subject) == (403, "Namespace/a")
    assert 'cannot patch resource "secrets" in API group "" in the namespace "a" (keys)' in caught.value.text


def test_nothing_is_lost_where_nothing_is_refused() -> None:
    batch = [secret("a")]
    found = losses(*batch, RECORD)
    assert found.told(batch, outcomes(batch, None)) == [batch[0].change]
    assert found.without(RECORD) == RECORD
    found.check("apply")


@pytest.mark.parametrize("ahead", [CONFIGURATION, OPERATOR, LEAVING], ids=["configuration", "operator", "record"])
def test_what_is_shared_is_not_done_without_one(ahead: Step) -> None:
    """Pods must not be told of a Secret that is not there, and no archive be called left that is not."""
    batch = [secret("a"), secret("b")]
    failed = outcomes(batch, refusal("a"), None)
    assert losses(*batch, ahead, database("b")).told(batch, failed) == failed


@pytest.mark.parametrize(
    "error",
    [
        ApiError('secrets "keys" is forbidden: exceeded quota', status=403, reason="Forbidden"),
        ApiError("no answer", status=0, reason="NoConnection"),
        refusal("b"),
    ],
    ids=["quota", "connection", "elsewhere"],
)
def test_another_failure_ends_the_work(error: ApiError) -> None:
    batch = [secret("a"), secret("b")]
    failed = outcomes(batch, error, None)
    assert losses(*batch, database("b")).told(batch, failed) == failed


def test_two_failures_of_which_one_is_another() -> None:
    batch = [secret("a"), secret("b"), secret("c")]
    failed = outcomes(batch, refusal("a"), ApiError("no answer", status=0), None)
    assert losses(*batch).told(batch, failed) == failed


def test_when_all_are_refused_it_is_a_failure() -> None:
    batch = [secret("a"), secret("b")]
    failed = outcomes(batch, refusal("a"), refusal("b"))
    assert losses(*batch, RECORD).told(batch, failed) == failed


def test_the_namespace_of_the_operator_is_shared() -> None:
    batch = [secret("home"), secret("b")]
    failed = outcomes(batch, refusal("home"), None)
    assert losses(OPERATOR, *batch).told(batch, failed) == failed
