"""Evidence that a database holds what was in the archive, out of what Patroni writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.server import Server
from planton.cluster.patroni import PatroniState, history_in, member_of
from planton.cluster.restoring.restored import Expected, Restoration, birth_of, judge
from tests.cluster.objects import Object
from tests.cluster.patroni import history, pod, runs, told

IDENTIFIER = 7433520190412345678
ANOTHER = 7433520190499999999
PREFIX = "s3://backups/db-orders/15"
BIRTH = Expected(PREFIX, "", IDENTIFIER, 1, "base_000000010000000000000004", "15")
# PostgreSQL's own words for a restore to the end of the archive, which are also those of a failover.
PROMOTED = (1, "no recovery target specified", "2026-11-22T08:20:01+00:00")
SERVER = Server(Connection(None, ClusterIdentity("", "", "")), "test")


def database(reported: str = "Running", **changes: Any) -> Object:
    spec = {"numberOfInstances": 1, "postgresql": {"version": "15"}} | changes.pop("spec", {})
    metadata = {"namespace": "shop", "name": "db-copy", **changes}
    return {"metadata": metadata, "spec": spec, "status": {"PostgresClusterStatus": reported} if reported else {}}


def patroni(
    initialize: str | None, lines: str | None = None, *pods: tuple[Object, Object], exists: bool = True
) -> PatroniState:
    members = tuple(member_of({**one, "status": status}) for one, status in pods)
    return PatroniState("ConfigMap/shop/db-copy-config", exists, initialize, history_in(lines, SERVER), members)


def primary(timeline: int | None = 2, *, ready: bool = True, **status: Any) -> tuple[Object, Object]:
    return pod("shop", "db-copy", status=told(timeline=timeline, **status)), runs(ready)


def judged(state: PatroniState, birth: Expected = BIRTH, **changes: Any) -> Restoration:
    answer = judge(birth, database(**changes), state)
    # Whatever is found: only what is proven lacks nothing, and what is not says what it lacks.
    assert bool(answer.missing) is not answer.is_proven
    assert answer.line
    return answer


def test_restored() -> None:
    answer = judged(patroni(str(IDENTIFIER), history(PROMOTED), primary()))
    assert answer.state == "restored"
    assert (answer.system_identifier, answer.timeline) == (IDENTIFIER, 2)
    assert answer.line == f"restored from {PREFIX} (system identifier {IDENTIFIER}, timeline 2)"


def test_after_failovers_it_is_still_restored() -> None:
    lines = history(PROMOTED, (2, "no recovery target specified"), (3, "no recovery target specified"))
    replica = pod("shop", "db-copy", 1, status=told(role="replica", timeline=4), label="replica"), runs()
    assert judged(patroni(str(IDENTIFIER), lines, primary(4), replica)).state == "restored"
    # The primary's own word wins over a history that Patroni has not written yet.
    assert judged(patroni(str(IDENTIFIER), history(PROMOTED), primary(4))).timeline == 4


@pytest.mark.parametrize("birth", [BIRTH, Expected(PREFIX, "2026-11-22T08:00:00Z", IDENTIFIER, 3)])
@pytest.mark.parametrize("reported", ["Running", "Updating"])
def test_another_system_identifier_is_an_empty_database(birth: Expected, reported: str) -> None:
    """What initdb makes: everything else about it is well."""
    for state in (
        patroni(str(ANOTHER), "[]", primary(1)),
        patroni(str(ANOTHER), None, primary(None)),
        # Failovers since do not make it the right one.
        patroni(str(ANOTHER), history(PROMOTED), primary(9)),
    ):
        answer = judged(state, birth, reported=reported)
        assert answer.state == "empty"
        assert answer.line.startswith("EMPTY, not restored: ")
        assert str(ANOTHER) in answer.line
        assert str(IDENTIFIER) in answer.line


def test_initdb_is_told_while_it_runs() -> None:
    for state in ("initializing new cluster", "initdb failed"):
        one = pod("shop", "db-copy", status=told(state, "uninitialized", None), label=""), runs()
        answer = judged(patroni("", None, one), reported="Creating")
        assert answer.state == "empty"
        assert "initdb" in answer.line


@pytest.mark.parametrize(
    ("initialize", "lines", "timeline"),
    [
        (str(IDENTIFIER), "[]", 1),
        (str(IDENTIFIER), None, 1),
        (str(IDENTIFIER), history(PROMOTED), 1),
        (str(IDENTIFIER), None, None),
    ],
)
def test_a_timeline_that_has_not_advanced_proves_nothing(
    initialize: str, lines: str | None, timeline: int | None
) -> None:
    one = primary(timeline)
    if timeline is None:
        assert judged(patroni(initialize, None, one)).state == "not proven"
    else:
        answer = judged(patroni(initialize, lines, one))
        assert answer.state == "not proven"
        assert "timeline 1" in answer.line


@pytest.mark.parametrize(
    ("source", "timeline", "state"), [(3, 3, "not proven"), (3, 2, "not proven"), (3, 4, "restored")]
)
def test_the_timeline_is_compared_with_the_backups(source: int, timeline: int, state: str) -> None:
    birth = Expected(PREFIX, "", IDENTIFIER, source)
    assert judged(patroni(str(IDENTIFIER), None, primary(timeline)), birth).state == state


def test_an_unknown_backup_needs_a_second_timeline_all_the_same() -> None:
    birth = Expected(PREFIX, "", IDENTIFIER)
    assert judged(patroni(str(IDENTIFIER), "[]", primary(1)), birth).state == "not proven"
    assert judged(patroni(str(IDENTIFIER), None, primary(2)), birth).state == "restored"


def test_without_the_sources_identifier_nothing_is_proven() -> None:
    birth = Expected(PREFIX)
    good = judged(patroni(str(IDENTIFIER), history(PROMOTED), primary()), birth)
    assert good.state == "not proven"
    assert "system identifier of the source is not known" in good.line
    assert "timeline 1" not in good.line
    for lines, timeline in (("[]", 1), (None, None)):
        bad = judged(patroni(str(ANOTHER), lines, primary(timeline)), birth)
        assert bad.state == "not proven"
        assert "timeline 1, where no restored database is" in bad.line


def test_the_operators_word_and_a_ready_primary_are_needed() -> None:
    good = str(IDENTIFIER), history(PROMOTED)
    for state, reported, missing in (
        (patroni(*good, primary()), "Updating", "the operator reports Updating"),
        (patroni(*good, primary()), "", "the operator has not reported anything yet"),
        (patroni(*good, primary(ready=False)), "Running", "no primary is ready"),
        (patroni(*good), "Running", "no primary is ready"),
        (patroni(*good, primary(state="stopping")), "Running", "no primary is ready"),
        (patroni(*good, (pod("shop", "db-copy", status=told(), label="replica"), runs())), "Running", "no primary"),
        (patroni(*good, primary(role="standby_leader")), "Running", "still follows"),
    ):
        answer = judged(state, reported=reported)
        assert answer.state == "restoring"
        assert missing in answer.line
        assert "it is the database cluster of" in answer.line


def test_a_pod_that_goes_away_is_no_ready_primary() -> None:
    one, status = primary()
    one["metadata"]["deletionTimestamp"] = "2026-11-22T09:00:00Z"
    assert judged(patroni(str(IDENTIFIER), None, (one, status))).state == "restoring"


def test_a_stopped_one_is_not_missed() -> None:
    answer = judged(patroni(str(IDENTIFIER), history(PROMOTED)), spec={"numberOfInstances": 0}, reported="Running")
    assert answer.missing == ("it is stopped: it has no instances",)


def test_while_it_is_restored() -> None:
    one = (
        pod("shop", "db-copy", status=told("running custom bootstrap script", "uninitialized", None), label=""),
        runs(),
    )
    answer = judged(patroni("", None, one), reported="Creating")
    assert answer.state == "restoring"
    assert answer.line == f"being restored from {PREFIX} (Patroni: running custom bootstrap script)"


def test_a_restore_that_fails_again_and_again_says_so() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "sentinel"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off sentinel"}}
    status = runs(False, restartCount=7, lastState=last, state=waiting)
    answer = judged(patroni(None, None, (pod("shop", "db-copy", label=""), status)), reported="CreateFailed")
    assert answer.state == "restoring"
    words = "db-copy-0: container postgres: CrashLoopBackOff, ended with 137 (OOMKilled), restarted 7 times"
    assert words in answer.missing
    assert "the operator reports CreateFailed" in answer.missing
    assert "sentinel" not in answer.line

    failed = pod("shop", "db-copy", status=told("custom bootstrap failed", "uninitialized", None), label=""), runs()
    assert "fetching the backup failed" in judged(patroni(None, None, failed), reported="Creating").line


def test_before_anything_is_there() -> None:
    answer = judged(patroni(None, exists=False), reported="")
    assert (answer.state, answer.missing) == ("restoring", ("it has no pods yet",))
    unscheduled = runs(False)
    unscheduled["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    assert "not scheduled (Unschedulable)" in judged(patroni(None, None, (pod("a", "db-copy"), unscheduled))).line
    made = runs(False, state={"waiting": {"reason": "ContainerCreating"}})
    assert "ContainerCreating" not in judged(patroni("", None, (pod("a", "db-copy"), made)), reported="Creating").line


def test_an_upgrade_makes_another_identifier() -> None:
    state = patroni(str(ANOTHER), "[]", primary(1))
    upgraded: list[dict[str, Any]] = [
        {"spec": {"postgresql": {"version": "17"}}},
        {"annotations": {"last-major-upgrade-success": "2027-01-01T00:00:00Z"}},
    ]
    for changes in upgraded:
        answer = judged(state, **changes)
        assert answer.state == "not proven"
        assert "upgrade" in answer.line
    # What failed has changed nothing.
    assert judged(state, annotations={"last-major-upgrade-failure": "2027-01-01T00:00:00Z"}).state == "empty"


def test_where_recovery_to_a_time_ended() -> None:
    target = Expected(PREFIX, "2026-11-22T08:14:35Z", IDENTIFIER, 1)
    stopped = (1, "before 2026-11-22 08:14:36.02+00", "2026-11-22T08:20:01+00:00")
    answer = judged(patroni(str(IDENTIFIER), history(stopped, (2, "no recovery target specified")), primary(3)), target)
    assert answer.state == "restored"
    assert (answer.ended, answer.ended_at) == (stopped[1], stopped[2])
    assert "recovery ended before 2026-11-22 08:14:36.02+00" in answer.line
    # Spilo restores to the end of the archive when that is earlier: not what was asked for.
    answer = judged(patroni(str(IDENTIFIER), history(PROMOTED), primary()), target)
    assert answer.state == "not proven"
    assert "names no target" in answer.line
    # The source's own past restores are not this one.
    past = history((1, stopped[1]), (2, "no recovery target specified"))
    later = Expected(PREFIX, "2026-11-22T08:14:35Z", IDENTIFIER, 2)
    assert not judged(patroni(str(IDENTIFIER), past, primary(3)), later).ended


def test_standby() -> None:
    spec: dict[str, Any] = {"spec": {"standby": {"s3_wal_path": PREFIX}}}
    leads = pod("shop", "db-copy", status=told(role="standby_leader", timeline=1)), runs()
    answer = judged(patroni(str(IDENTIFIER), "[]", leads), **spec)
    assert answer.state == "following"
    assert answer.line == f"follows {PREFIX} (system identifier {IDENTIFIER})"

    assert judged(patroni(str(ANOTHER), "[]", leads), **spec).state == "empty"
    assert judged(patroni(str(IDENTIFIER), "[]", leads), Expected(PREFIX), **spec).state == "not proven"
    wrong = judged(patroni(str(IDENTIFIER), "[]", primary(1)), **spec)
    assert wrong.state == "restoring"
    assert "is a primary and does not follow" in wrong.line
    # Promoted, it is like a restored one.
    assert judged(patroni(str(IDENTIFIER), history(PROMOTED), primary())).state == "restored"
    assert judged(patroni(str(IDENTIFIER), "[]", leads)).state == "not proven"


def test_what_a_database_was_born_from() -> None:
    facts = {"prefix": PREFIX, "system_identifier": str(IDENTIFIER), "timeline": "1"}
    annotated = {"planton.ai/restored-from": json.dumps(facts)}
    assert birth_of(database()) is None
    assert birth_of(database(annotations=annotated)) == Expected(PREFIX, "", IDENTIFIER, 1)
    # Made by other means: something is expected of it, and what is not known.
    for spec in (
        {"standby": {"s3_wal_path": PREFIX}},
        {"env": [{"name": "CLONE_METHOD", "value": "CLONE_WITH_WALE"}]},
        {"clone": {"cluster": "db-orders"}},
    ):
        assert birth_of(database(spec=spec)) == Expected()
    assert birth_of(database(spec={"env": ["nonsense", {"name": "CLONE_METHOD"}], "clone": {}})) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"system_identifier": true, "timeline": [1]}',
        "[" * 100000,
        '{"prefix": "s3://a\\u001b[2J/b"}',
    ],
)
def test_what_others_have_written_there_proves_nothing(text: str) -> None:
    birth = birth_of(database(annotations={"planton.ai/restored-from": text}))
    assert birth is not None
    assert not birth.system_identifier
    state = patroni(str(IDENTIFIER), text, (pod("shop", "db-copy", status=text), runs()))
    assert judged(state, birth).state == "not proven"
    assert judged(patroni(text, text)).state != "restored"
