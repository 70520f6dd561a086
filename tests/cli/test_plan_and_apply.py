"""`planton plan` and `planton apply`: what is asked of the cluster layer, and how its answers are shown."""

from __future__ import annotations

import errno
import io
import json
import sys
from dataclasses import replace

import pytest
import yaml

from planton.cli import main
from planton.cluster import Change, FieldChange, PlanOptions
from planton.errors import (
    ClusterError,
    ConflictError,
    FieldConflict,
    ManifestError,
    PlantonError,
    Problem,
    RefusedError,
    WaitError,
)
from planton.translate.archive_record import DELETED, TAKEN, LeftArchive, with_left
from tests.cli.fake import CHANGES, FakeCluster
from tests.cli.support import on_terminal

OPTIONS = ["--set", "one", "--operator", "ns", "--cluster-id", "id", "--force-conflicts", "--allow-version-change"]
DONE = "1 created, 1 configured, 1 unchanged, 0 deleted, 1 skipped"


def test_plan(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    assert main(["plan", "-f", manifests]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "Server:         https://cluster.example:6443",
        "Context:        production of /home/me/.kube/config",
        "Target cluster: cluster-01",
        "Set:            none, so nothing is pruned",
        "",
        "Nothing is done yet. An apply would say:",
        "created     Namespace/orders",
        "configured  ConfigMap/postgres-operator/postgres-pod-backup-config",
        '              ~ data.BACKUP_SCHEDULE: "0 2 * * *" -> "0 3 * * *"',
        '              + data.NEW: "x"',
        "              - data.OLD: <hidden>",
        "              ! pods whose environment changes restart",
        "skipped     Namespace/shared  (exists already, not created by planton)",
        "! everything restarts",
        "",
        f"Plan: {DONE}",
    ]
    assert captured.err.startswith("warning: PostgresKubernetes/orders: spec.backup_config.s3_prefix: ")
    assert captured.err.count("\n") == 1
    assert cluster.asked["plan"]["options"] == PlanOptions()
    assert cluster.asked["plan"]["names"] == ["postgres-operator", "orders", "billing"]


def test_all_lists_what_does_not_change(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    main(["plan", "-f", manifests, "--all"])
    assert "unchanged   ServiceAccount/postgres-operator/postgres-operator" in capsys.readouterr().out


def test_nothing_to_do(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.changes = (CHANGES[2], CHANGES[3])
    assert main(["plan", "-f", manifests]) == 0
    assert "Nothing to do: 0 created, 0 configured, 1 unchanged" in capsys.readouterr().out
    assert main(["apply", "-f", manifests]) == 0
    assert "Nothing to do: 0 created, 0 configured, 1 unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_options_are_passed_on(cluster: FakeCluster, manifests: str, verb: str) -> None:
    main([verb, "-f", manifests, *OPTIONS])
    assert cluster.asked["plan"]["options"] == PlanOptions("one", "ns", "id", True, True)


def test_the_cluster_is_the_one_that_was_named(
    monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, manifests: str
) -> None:
    asked = []

    def connect(kubeconfig: str | None, context: str | None) -> FakeCluster:
        asked.append((kubeconfig, context))
        return cluster

    monkeypatch.setattr("planton.cluster.connect", connect)
    main(["plan", "-f", manifests])
    main(["apply", "-f", manifests, "--kubeconfig", "file", "--context", "name"])
    assert asked == [(None, None), ("file", "name")]


@pytest.mark.parametrize("verb", ["plan", "apply"])
@pytest.mark.parametrize("output", ["json", "yaml"])
def test_for_programs(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, verb: str, output: str
) -> None:
    assert main([verb, "-f", manifests, "-o", output, "--set", "one"]) == (2 if verb == "plan" else 0)
    out = capsys.readouterr().out
    data = json.loads(out) if output == "json" else yaml.safe_load(out)
    assert data["cluster"]["server"] == "https://cluster.example:6443"
    assert data["cluster"]["context"] == "production"
    assert data["targetClusters"] == ["cluster-01"]
    assert data["set"] == "one"
    assert data.get("complete") is (True if verb == "apply" else None)
    assert data["changed"] is True
    counted = {"created": 1, "configured": 1, "unchanged": 1, "deleted": 0, "skipped": 1, "refused": 0}
    assert data["summary"] == counted
    assert [change["action"] for change in data["changes"]] == ["created", "configured", "unchanged", "skipped"]
    assert data["changes"][1] == {
        "action": "configured",
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "postgres-operator",
        "name": "postgres-pod-backup-config",
        "reason": "",
        "diff": [
            {"path": "data.BACKUP_SCHEDULE", "before": '"0 2 * * *"', "after": '"0 3 * * *"'},
            {"path": "data.NEW", "before": None, "after": '"x"'},
            {"path": "data.OLD", "before": "<hidden>", "after": None},
        ],
        "effects": ["pods whose environment changes restart"],
    }
    assert data["effects"] == ["everything restarts"]
    assert data["warnings"][0]["path"] == "spec.backup_config.s3_prefix"


def test_long_values_show_where_they_differ(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    before, after = (f'"{"same " * 60}{word} {"tail " * 60}"' for word in ("HERE", "THERE"))
    cluster.changes = (Change("configured", "v1", "ConfigMap", "a", "b", diff=(FieldChange("data.x", before, after),)),)
    main(["plan", "-f", manifests])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "data.x" in line]
    assert "HERE" in line
    assert "THERE" in line
    assert len(line) < 320


def test_apply(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.events = (("namespaces", 1, 1, "Namespace/orders"), ("wait", 0, 0, "Deployment/x/y: not yet"))
    assert main(["apply", "-f", manifests, "--timeout", "2m", "--wait"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"Done: {DONE}"
    assert "created     Namespace/orders" in captured.out
    assert "not yet" not in captured.out + captured.err
    assert cluster.asked["apply"] == {"timeout": 120.0, "wait": True}


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, manifests: str) -> None:
    terminal = on_terminal(monkeypatch)
    cluster.events = (("namespaces", 1, 3, "Namespace/orders"), ("wait", 0, 0, "Deployment/x/y: not yet"))
    assert main(["apply", "-f", manifests]) == 0
    assert "namespaces 1/3 Namespace/orders" in terminal.text
    assert "wait Deployment/x/y: not yet" in terminal.text
    # The last thing that was done to the updating line is to take it away.
    assert terminal.text.rindex("\r\x1b[K") < terminal.text.index("created")


def test_no_progress_without_a_terminal(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.events = (("namespaces", 1, 3, "Namespace/orders"),)
    main(["apply", "-f", manifests])
    captured = capsys.readouterr()
    assert "1/3" not in captured.out + captured.err
    assert "\r" not in captured.out + captured.err
    assert "\x1b" not in captured.out + captured.err


def test_of_many_namespaces_that_others_make_the_first_few_are_listed(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    spaces = [Change("skipped", "v1", "Namespace", "", f"team-{one}", reason="not ours") for one in range(5)]
    other = Change("skipped", "v1", "Namespace", "", "other", reason="never pruned")
    cluster.changes = (*spaces, Change("created", "v1", "Secret", "team-0", "keys"), other)
    assert main(["apply", "-f", manifests]) == 0
    assert capsys.readouterr().out.splitlines()[5:] == [
        *(f"skipped     Namespace/team-{one}  (not ours)" for one in range(3)),
        "skipped     2 more Namespaces  (not ours); --all lists them",
        "created     Secret/team-0/keys",
        "skipped     Namespace/other  (never pruned)",
        "! everything restarts",
        "",
        "Done: 1 created, 0 configured, 0 unchanged, 0 deleted, 6 skipped",
    ]
    cluster.changes = tuple(spaces[:4])
    for options in ([], ["--all"]):
        assert main(["apply", "-f", manifests, *options]) == 0
        assert capsys.readouterr().out.count("(not ours)\n") == 4
    cluster.changes = tuple(spaces)
    assert main(["apply", "-f", manifests, "--all"]) == 0
    assert capsys.readouterr().out.count("(not ours)\n") == 5


def test_a_conflict_names_both_managers_and_the_fields(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.error = ConflictError([FieldConflict("Deployment/a/b", "kubectl-edit", ("spec.replicas", "spec.paused"))])
    assert main(["apply", "-f", manifests]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "error: others own fields that planton would set",
        '  Deployment/a/b: "kubectl-edit" owns spec.replicas, spec.paused',
        "Nothing was written.",
        cluster.error.remedy,
    ]


def test_a_conflict_with_another_set_asks_for_the_right_one(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    of_set = FieldConflict("Deployment/a/b", "planton, set production", ('metadata.labels["planton.ai/set"]',))
    told = "What is of set production stays there: is --set right? --force-conflicts moves it to the set that is named."
    cluster.error = ConflictError([of_set])
    assert main(["apply", "-f", manifests, "--set", "prodution"]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == ["Nothing was written.", told]
    cluster.error = ConflictError([of_set, FieldConflict("Deployment/a/b", "kubectl-edit", ("spec.replicas",))])
    assert main(["apply", "-f", manifests, "--set", "prodution"]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [told, cluster.error.remedy]


def test_a_refusal_gives_all_reasons(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.error = RefusedError(["one", "two\nmore of two"])
    assert main(["apply", "-f", manifests]) == 1
    assert capsys.readouterr().err.endswith("error: refused, nothing was written\n  one\n  two\n  more of two\n")


@pytest.mark.parametrize(
    "error",
    [
        ClusterError(
            "said no", subject="Secret/a/b", phase="apply", reason="Forbidden", remedy="Ask.", changes=CHANGES
        ),
        WaitError(["Deployment/a/b: not there"], seconds=3, changes=CHANGES),
    ],
    ids=["refused", "timeout"],
)
def test_a_failure_says_what_was_done_before(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, error: ClusterError
) -> None:
    cluster.error = error
    assert main(["apply", "-f", manifests]) == 1
    captured = capsys.readouterr()
    assert "created     Namespace/orders" in captured.out
    assert captured.out.splitlines()[-1] == f"Done before it ended: {DONE}"
    assert captured.err.split("error: ")[1] == f"{error}\n"
    assert main(["apply", "-f", manifests, "-o", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["complete"] is False
    assert data["summary"]["created"] == 1


@pytest.mark.parametrize(
    "error",
    [ManifestError([Problem("shares its archive")]), RefusedError(["shares its archive"])],
    ids=["manifest", "refused"],
)
def test_bad_manifests_and_refusals_in_the_middle_say_what_was_done(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, error: PlantonError
) -> None:
    cluster.error = error
    assert main(["apply", "-f", manifests]) == 1
    assert "nothing was" in capsys.readouterr().err
    cluster.events = (("namespaces", 1, 1, "Namespace/orders"),)
    for verb in (["apply"], ["delete", "--yes-delete", "orders"]):
        assert main([*verb, "-f", manifests]) == 1
        captured = capsys.readouterr()
        assert "created     Namespace/orders" in captured.out
        assert captured.out.splitlines()[-1].startswith("Done before it ended: 1 created, 0 configured")
        assert "nothing was" not in captured.err
        assert "shares its archive" in captured.err
        assert "What was done stays." in captured.err


def test_a_bug_in_the_middle_says_what_was_done(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.error = AssertionError("hunter2")
    cluster.events = (("namespaces", 1, 1, "Namespace/orders"),)
    assert main(["apply", "-f", manifests]) == 1
    captured = capsys.readouterr()
    assert "created     Namespace/orders" in captured.out
    assert "this is a bug in planton: AssertionError" in captured.err
    assert "hunter2" not in captured.out + captured.err


def test_the_record_of_archives_is_shown_in_words(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    left = LeftArchive("r2.example", "s3://backups/db-orders/17", "orders", "db-orders", "17", TAKEN, "pgp")
    gone = replace(left, why=DELETED, left_at="2026-11-22T08:14:35Z")
    old, new = (json.dumps(next(iter(with_left({}, [one]).values()))) for one in (left, gone))
    diff = (
        FieldChange("data.a", None, old),
        FieldChange("data.b", old, new),
        FieldChange("data.c", new, None),
        FieldChange("data.d", None, '"not ours"'),
        FieldChange("metadata.labels.x", None, '"y"'),
    )
    record = Change("configured", "v1", "ConfigMap", "postgres-operator", "planton-archives", diff=diff)
    cluster.changes = (record, replace(record, name="another"))
    assert main(["plan", "-f", manifests]) == 2
    own, _, other = capsys.readouterr().out.partition("ConfigMap/postgres-operator/another")
    archive = "archive s3://backups/db-orders/17 at r2.example: orders/db-orders (PostgreSQL 17), which"
    assert f"+ {archive} writes to it" in own
    assert f"~ {archive} was deleted and left it behind\n" in own
    assert f"- {archive} was deleted and left it behind\n" in own
    assert '+ data.d: "not ours"' in own
    assert '+ metadata.labels.x: "y"' in own
    assert "\\" not in own
    assert "+ data.a: " in other


def test_ctrl_c_says_what_was_done(capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str) -> None:
    cluster.events = (("namespaces", 1, 1, "Namespace/orders"), ("wait", 0, 0, "Namespace/shared"))
    cluster.error = KeyboardInterrupt()
    assert main(["apply", "-f", manifests]) == 130
    captured = capsys.readouterr()
    assert "created     Namespace/orders" in captured.out
    assert "ConfigMap" not in captured.out
    assert "Namespace/shared" not in captured.out
    last = captured.err.splitlines()[-1]
    assert last == (
        "interrupted in phase wait, after at least 1 change; not done, as far as is known: 1 object: "
        "ConfigMap/postgres-operator/postgres-pod-backup-config. What was done stays; the same command goes on from "
        "there."
    )


def test_ctrl_c_names_the_first_of_what_was_not_done(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str
) -> None:
    cluster.changes = tuple(Change("created", "v1", "Namespace", "", f"orders-{number}") for number in range(10))
    cluster.events = tuple(("namespaces", number, 10, f"Namespace/orders-{number}") for number in range(4))
    cluster.error = KeyboardInterrupt()
    assert main(["apply", "-f", manifests]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert "after at least 4 changes; not done, as far as is known: 6 objects: " in last
    assert "Namespace/orders-4, Namespace/orders-5, Namespace/orders-6 and 3 more. " in last


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_a_refused_plan_says_which_cluster_refused(
    capsys: pytest.CaptureFixture[str],
    cluster: FakeCluster,
    manifests: str,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    def plan(*arguments: object, **options: object) -> None:
        raise RefusedError(["no"])

    monkeypatch.setattr(cluster, "plan", plan)
    assert main([verb, "-f", manifests]) == 1
    assert capsys.readouterr().err.startswith("Cluster: https://cluster.example:6443 (context production of ")


def test_ctrl_c_while_planning_wrote_nothing(
    capsys: pytest.CaptureFixture[str],
    cluster: FakeCluster,
    manifests: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plan(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "plan", plan)
    for verb in ("plan", "apply"):
        assert main([verb, "-f", manifests]) == 130
        captured = capsys.readouterr()
        assert captured.out == ""
        # A plan never writes, so that nobody asks.
        said = "; nothing was written" if verb == "apply" else ""
        assert captured.err == f"interrupted while planning{said}.\n"


@pytest.mark.parametrize("verb", ["plan", "apply", "status", "delete"])
def test_bad_manifests_are_told_before_a_cluster_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object, verb: str
) -> None:
    def connect(kubeconfig: str | None, context: str | None) -> None:
        raise AssertionError("the cluster was asked")

    monkeypatch.setattr("planton.cluster.connect", connect)
    path = f"{tmp_path}/wrong.yaml"
    with open(path, "w") as file:
        file.write("kind: PostgresKubernetes\n")
    assert main([verb, "-f", path]) == 1
    assert "apiVersion" in capsys.readouterr().err


class Closed(io.StringIO):
    """A stream that cannot be written out any more after some times."""

    def __init__(self, error: OSError, times: int = 0) -> None:
        super().__init__()
        self.error, self.times = error, times

    def flush(self) -> None:
        self.times -= 1
        if self.times < 0:
            raise self.error


GONE = BrokenPipeError(errno.EPIPE, "Broken pipe")
FULL = OSError(errno.ENOSPC, "No space left on device")


def test_an_apply_that_nobody_reads_does_not_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, manifests: str
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed(GONE))
    assert main(["apply", "-f", manifests]) == 141
    assert "apply" not in cluster.asked
    assert capsys.readouterr().err.endswith("nobody reads the output any more: nothing was written.\n")


@pytest.mark.parametrize(("error", "code"), [(GONE, 141), (FULL, 1)], ids=["closed", "full"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_an_apply_whose_result_cannot_be_printed_says_what_was_done(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cluster: FakeCluster,
    manifests: str,
    form: str,
    error: OSError,
    code: int,
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed(error, 1 if form == "table" else 0))
    assert main(["apply", "-f", manifests, "-o", form]) == code
    assert "apply" in cluster.asked
    done = "Done: 1 created, 1 configured, 1 unchanged, 0 deleted, 1 skipped\n"
    told = "" if error is GONE else "error: the output could not be written: No space left on device\n"
    assert capsys.readouterr().err.endswith(done + told)


def test_a_failed_apply_is_told_where_nobody_reads_the_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, manifests: str
) -> None:
    cluster.error = ClusterError("no answer", phase="namespaces", remedy="Look there.", changes=cluster.changes[:1])
    monkeypatch.setattr(sys, "stdout", Closed(GONE, 1))
    assert main(["apply", "-f", manifests]) == 1
    done = "Done before it ended: 1 created, 0 configured, 0 unchanged, 0 deleted, 0 skipped\n"
    assert capsys.readouterr().err.endswith(f"{done}error: namespaces: no answer\nLook there.\n")
