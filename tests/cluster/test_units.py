"""The parts of the cluster layer that need no cluster."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.cluster import Change, ClusterIdentity, FieldChange, Plan
from planton.cluster._resources import DEPLOYMENT, NAMESPACE, Key, key_of, resource_of
from planton.cluster._server import in_parallel, results
from planton.cluster.changes import Sealed, summary
from planton.cluster.compare import is_settled
from planton.cluster.diff import field_changes
from planton.cluster.effects import effects_of
from planton.cluster.mask import HIDDEN, Scrubber, looks_like_credential, scrubber_for
from planton.cluster.normalise import ABSENT, parse_quantity, same
from planton.cluster.order import Stage, order_key, place
from planton.cluster.prune import refers_to_secret
from planton.cluster.wait import Deadline, Pending, rollout
from planton.errors import ClusterError, WaitError
from planton.translate.names import KIND_LABEL
from tests.cluster.objects import Object, config_map, deployment, everything, namespace, secret, service

IDENTITY = ClusterIdentity("https://example.org:6443", "here", "kubeconfig")
NOTHING = Scrubber()


# mask


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PGPASSWORD", "WALG_LIBSODIUM_KEY",
        "WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN", "api-key",
        "CLONE_AWS_SECRET_ACCESS_KEY", "logical_backup_s3_secret_access_key", "scalyr_api_key", "private_key", "passwd",
        "AZURE_CLIENT_SECRET", "kubernetes.io/tls.key", "htpasswd", "GITHUB_TOKEN",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    assert looks_like_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        "USE_WALG_BACKUP", "WALG_S3_PREFIX", "AWS_ENDPOINT", "AWS_REGION", "BACKUP_SCHEDULE", "watched_namespace",
        "pod_environment_secret", "enable_secrets_deletion", "secret_name_template", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "WALG_LIBSODIUM_KEY_PATH", "delete_annotation_name_key", "docker_image", "max_connections", "CLONE_SCOPE",
        "WALG_LIBSODIUM_KEY_TRANSFORM", "enable_password_rotation", "pod_service_account_name",
    ],
)  # fmt: skip
def test_names_that_may_be_shown(name: str) -> None:
    assert not looks_like_credential(name)


def test_a_scrubber_knows_values_in_all_their_forms() -> None:
    value = 'sen"tinel\\+ä\nline two of it'
    scrubber = scrubber_for([secret("a", KEY=value)])
    encoded = secret("a", KEY=value)["data"]["KEY"]
    for text in (value, encoded, json.dumps(value), json.dumps(value, ensure_ascii=False), "line two of it"):
        assert "tinel" not in scrubber.text(f"before {text} after")
        assert "line two" not in scrubber.text(f"before {text} after")
        assert encoded not in scrubber.text(f"before {text} after")
        assert scrubber.text(f"before {text} after").startswith("before ")
    assert scrubber.text("nothing in it") == "nothing in it"
    assert "tinel" not in repr(scrubber)
    with pytest.raises(TypeError):
        pickle.dumps(scrubber)


def test_short_values_are_no_reason_to_hide_half_of_every_text() -> None:
    scrubber = scrubber_for([secret("a", KEY="abc")])
    assert scrubber.text("abc is the alphabet") == "abc is the alphabet"


def test_the_longer_of_two_values_goes_whole() -> None:
    assert Scrubber(["abcd", "abcdef"]).text("x abcdef y abcd") == f"x {HIDDEN} y {HIDDEN}"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_value_survives_scrubbing(value: str, before: str, after: str) -> None:
    text = Scrubber([value]).text(before + value + after)
    # What is left may hold it again only where the mark itself makes it up.
    assert value not in text or value in HIDDEN or value in before + HIDDEN + after


# diff


def test_a_diff_hides_credentials_wherever_they_stand() -> None:
    before = config_map("a", AWS_SECRET_ACCESS_KEY="sentinel-1", USE="1")
    after = config_map("a", AWS_SECRET_ACCESS_KEY="sentinel-2", USE="2")
    assert field_changes(before, after, NOTHING) == (
        FieldChange("data.AWS_SECRET_ACCESS_KEY", HIDDEN, HIDDEN),
        FieldChange("data.USE", '"1"', '"2"'),
    )
    (change,) = field_changes(secret("a", ANY="sentinel-1"), secret("a", ANY="sentinel-2"), NOTHING)
    assert change == FieldChange("data.ANY", HIDDEN, HIDDEN)
    with_env = deployment("a", env=[{"name": "SETTINGS", "value": "x"}, {"name": "API_TOKEN", "value": "sentinel"}])
    for one, other in ((deployment("a"), with_env), (with_env, deployment("a"))):
        assert "sentinel" not in str(field_changes(one, other, NOTHING))
    annotated = copy.deepcopy(before)
    annotated["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "sentinel"}
    assert "sentinel" not in str(field_changes(before, annotated, NOTHING))
    # By its value too, where the name says nothing.
    known = Scrubber(["sentinel-9"])
    assert "sentinel" not in str(field_changes(before, config_map("a", plain="x sentinel-9 y"), known))


def test_a_diff_names_items_by_their_keys() -> None:
    after = deployment("a", image="example.org/worker:2", env=[{"name": "EMPTY"}, {"name": "NEW", "value": "n"}])
    after["spec"]["replicas"] = 0
    paths = {one.path: (one.before, one.after) for one in field_changes(deployment("a"), after, NOTHING)}
    prefix = "spec.template.spec.containers[name=worker]"
    assert paths == {
        "spec.replicas": ("1", "0"),
        f"{prefix}.image": ('"example.org/worker:1"', '"example.org/worker:2"'),
        f"{prefix}.env[name=SETTINGS].value": ('"settings"', None),
        f"{prefix}.env[name=EMPTY].value": ('""', None),
        f"{prefix}.env[name=NEW].value": (None, '"n"'),
    }


def test_a_diff_sees_another_order_and_quotes_odd_names() -> None:
    env = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    one, other = deployment("a", env=env), deployment("a", env=env[::-1])
    (change,) = field_changes(one, other, NOTHING)
    assert (change.path.endswith("env (order)"), change.before, change.after) == (True, '["B", "A"]', '["A", "B"]')
    odd = config_map("a")
    odd["metadata"]["labels"] = {**odd["metadata"]["labels"], "example.org/team": "x"}
    assert field_changes(config_map("a"), odd, NOTHING)[0].path == 'metadata.labels["example.org/team"]'


def test_a_diff_leaves_out_what_only_the_server_writes() -> None:
    after = config_map("a") | {"status": {"seen": 1}}
    after["metadata"] = {**after["metadata"], "uid": "1", "resourceVersion": "5", "generation": 3, "managedFields": []}
    assert field_changes(config_map("a"), after, NOTHING) == ()


# changes


def test_a_plan_gives_nothing_away() -> None:
    plan = Plan(IDENTITY, (), _sealed=Sealed([secret("a", KEY="sentinel-value")]))
    encoded = secret("a", KEY="sentinel-value")["data"]["KEY"]
    for text in (repr(plan), str(plan), str(dataclasses.asdict(plan)), str(copy.deepcopy(plan))):
        assert "sentinel" not in text
        assert encoded not in text
    with pytest.raises(TypeError):
        pickle.dumps(plan)
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(plan))
    assert dataclasses.replace(plan, warnings=()) == plan


def test_a_plan_can_be_read() -> None:
    diff = (FieldChange("spec.replicas", "1", "2"), FieldChange("data.KEY", HIDDEN, None))
    changes = (
        Change("created", "v1", "Namespace", "", "a"),
        Change("configured", "v1", "ConfigMap", "a", "b", diff, ("it restarts",)),
        Change("unchanged", "v1", "Secret", "a", "c"),
        Change("skipped", "v1", "Secret", "a", "d", reason="stays"),
    )
    assert str(Plan(IDENTITY, changes, effects=("it restarts",), target_clusters=("one",))) == "\n".join(
        [
            "Cluster: https://example.org:6443 (context here of kubeconfig)",
            "Target cluster in the manifests: one",
            "+ Namespace/a created",
            "~ ConfigMap/a/b configured",
            "    spec.replicas: 1 -> 2",
            "    data.KEY: <hidden> -> (removed)",
            "    ! it restarts",
            ". Secret/a/d skipped (stays)",
            "Effects:",
            "  it restarts",
            "Plan: 1 created, 1 configured, 1 unchanged, 1 skipped.",
        ]
    )
    assert summary(()) == "nothing"
    assert not Plan(IDENTITY, changes[2:]).changed


# order


def test_stages_and_ranks() -> None:
    objects = everything("a")
    configuration = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_secret="keys")
    database = {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "db", "namespace": "a"}}
    outside = service("a", "outside")
    outside["metadata"]["labels"] = {**outside["metadata"]["labels"], KIND_LABEL: "PostgresKubernetes"}
    ordered = sorted([database, outside, configuration, *objects], key=order_key)
    assert [f"{one['kind']}/{one['metadata']['name']}" for one in ordered] == [
        "Namespace/a",
        "ServiceAccount/worker",
        "ClusterRole/a",
        "ClusterRoleBinding/a",
        "Secret/keys",
        "ConfigMap/settings",
        # The one that names the others comes after them.
        "ConfigMap/postgres-operator",
        "Service/front",
        "Deployment/worker",
        "postgresql/db",
        "Service/outside",
    ]
    assert place(outside)[0] is Stage.DATABASES
    assert [stage.phase for stage in Stage] == [
        "namespaces", "rbac", "secrets", "configuration", "operator", "databases",
    ]  # fmt: skip


def test_order_has_tie_breaks() -> None:
    objects = [config_map(space, name) for space in ("b", "a") for name in ("y", "x")]
    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in sorted(objects, key=order_key)] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("b", "y"),
    ]


# normalise and compare


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("0.1", "100m"), ("1Gi", "1024Mi"), ("1e3", "1k"), (".5", "500m"), (1, "1"), ("1.", "1")],
)
def test_equal_quantities(one: object, other: object) -> None:
    assert parse_quantity(one) is not None
    assert parse_quantity(one) == parse_quantity(other)


@pytest.mark.parametrize("text", ["", "1 Gi", "1K", "Gi", "1.2.3", "0x10", "1e", "--1", "inf", "nan", None, True, []])
def test_no_quantities(text: object) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize("value", ["", 0, False, [], {}])
def test_an_empty_field_may_come_back_absent_only_where_the_server_has_a_type(value: object) -> None:
    assert same(value, ABSENT, ("spec", "field"), typed=True)
    assert not same(value, ABSENT, ("spec", "field"), typed=False)


@pytest.mark.parametrize("place_", ["data", "labels", "annotations", "matchLabels"])
def test_an_empty_entry_of_a_map_of_names_never_comes_back_absent(place_: str) -> None:
    assert not same("", ABSENT, (place_, "key"), typed=True)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), ("1", 1), (True, "true"), ("a", "b"), (None, "")])
def test_values_of_other_types_differ(one: object, other: object) -> None:
    assert not same(one, other, ("spec", "field"), typed=True)


def applied(obj: Object, fields: Object, **changes: Any) -> Object:
    live = copy.deepcopy(obj) | changes
    live["metadata"]["managedFields"] = [
        {"manager": "planton", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields},
        {"manager": "planton", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:x": {}}}},
        {"manager": "planton", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    return live


LABELS: Object = {f"f:{name}": {} for name in namespace("a")["metadata"]["labels"]}
META = {"f:metadata": {"f:labels": LABELS}}


def test_both_directions_count() -> None:
    desired = config_map("a", one="1", two="2")
    owned: Object = {**META, "f:data": {"f:one": {}, "f:two": {}}}
    assert is_settled(desired, applied(desired, owned))
    # We own more than we send, or less; nobody of ours has applied it; it is not ours at all.
    assert not is_settled(desired, applied(desired, {**owned, "f:data": {**owned["f:data"], "f:three": {}}}))
    assert not is_settled(desired, applied(desired, {**META, "f:data": {"f:one": {}}}))
    assert not is_settled(desired, applied(desired, META))
    assert not is_settled(desired, desired)
    other = applied(desired, owned)
    other["metadata"]["managedFields"][0]["manager"] = "kubectl"
    assert not is_settled(desired, other)


def test_values_count_as_well_as_ownership() -> None:
    desired = config_map("a", one="1")
    owned: Object = {**META, "f:data": {"f:one": {}}}
    assert not is_settled(desired, applied(desired, owned, data={"one": "2"}))
    assert not is_settled(desired, applied(desired, owned, data={}))
    assert is_settled(desired, applied(desired, owned, data={"one": "1", "foreign": "2"}))


def test_a_map_that_was_owned_while_empty_is_asked_about() -> None:
    desired = config_map("a", one="1")
    assert not is_settled(desired, applied(desired, {**META, "f:data": {}}))


@pytest.mark.parametrize("keys", [["a", "a"], ["a"], ["a", "b", "c"]])
def test_lists_by_key_must_match_one_to_one(keys: list[str]) -> None:
    desired: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "items": [{"name": one} for one in keys]}
    owned: Object = {"f:items": {f'k:{{"name":"{one}"}}': {".": {}, "f:name": {}} for one in ("a", "b")}}
    live = applied({**desired, "items": [{"name": "b"}, {"name": "a", "default": 1}, {"name": "z"}]}, owned)
    assert not is_settled(desired, live)
    assert is_settled({**desired, "items": [{"name": "a"}, {"name": "b"}]}, live)


def test_lists_of_values_are_sets() -> None:
    desired: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "items": ["b", "a"]}
    owned: Object = {"f:items": {".": {}, 'v:"a"': {}, 'v:"b"': {}}}
    assert is_settled(desired, applied({**desired, "items": ["a", "x", "b"]}, owned))
    assert not is_settled(desired, applied({**desired, "items": ["a", "x"]}, owned))
    assert not is_settled({**desired, "items": ["a"]}, applied(desired, owned))


# effects


def test_the_operator_restarts_only_for_its_template() -> None:
    def made(image: str, labels: dict[str, str] | None = None) -> Object:
        obj = deployment("a", "postgres-operator", image=image)
        obj["spec"]["selector"] = {"matchLabels": {"app.kubernetes.io/name": "postgres-operator"}}
        obj["metadata"]["labels"] = {**obj["metadata"]["labels"], **(labels or {})}
        return obj

    assert effects_of(made("two"), made("one"))
    assert effects_of(made("one", {"team": "x"}), made("one")) == ()
    assert effects_of(made("one"), None) == ()
    assert effects_of(deployment("a", image="two"), deployment("a", image="one")) == ()
    stopped = made("one")
    stopped["spec"]["replicas"] = 0
    assert effects_of(stopped, made("one")) == ("postgres-operator stops: no database is looked after",)


def test_changed_keys_do_not_reach_pods_by_themselves() -> None:
    assert effects_of(secret("a", KEY="two"), secret("a", KEY="one")) == (
        "pods in namespace a keep the old keys until they restart",
    )
    assert effects_of(secret("a", KEY="one"), None) == ()


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [({"WALG_S3_PREFIX": "a"}, {"x": "y"}, "stop"), ({"x": "y"}, {"WALG_S3_PREFIX": "a"}, "begin"),
     ({"WALG_S3_PREFIX": "a"}, {"WALG_S3_PREFIX": "b"}, "move"),
     ({"WALG_S3_PREFIX": "a", "AWS_ENDPOINT": "a"}, {"WALG_S3_PREFIX": "a", "AWS_ENDPOINT": "b"}, "move")],
)  # fmt: skip
def test_the_operators_backup_settings(before: dict[str, str], after: dict[str, str], word: str) -> None:
    name = "postgres-pod-backup-config"
    (effect,) = effects_of(config_map("a", name, **after), config_map("a", name, **before))
    assert word in effect
    assert effects_of(config_map("a", "other", **after), config_map("a", "other", **before)) == ()


# the rest


@pytest.mark.parametrize(
    "pod",
    [
        {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]}]},
        {"initContainers": [{"envFrom": [{"secretRef": {"name": "keys"}}]}]},
        {"volumes": [{"secret": {"secretName": "keys"}}]},
        {"volumes": [{"projected": {"sources": [{"secret": {"name": "keys"}}]}}]},
        {"imagePullSecrets": [{"name": "keys"}]},
    ],
)
def test_all_ways_to_refer_to_a_secret(pod: Object) -> None:
    assert refers_to_secret(pod, "keys")
    assert not refers_to_secret(pod, "other")


def test_no_way_to_refer_to_a_secret() -> None:
    assert not refers_to_secret({"containers": [{"env": [{"name": "keys", "value": "keys"}]}]}, "keys")


def status(**facts: Any) -> Object:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 2, **facts}}


@pytest.mark.parametrize(
    ("obj", "words", "final"),
    [
        (status(replicas=1, updatedReplicas=1, availableReplicas=1), "", False),
        ({**status(), "spec": {"replicas": 0}}, "", False),
        (status() | {"status": {"observedGeneration": 1}}, "not been seen", False),
        (status(replicas=1), "0 of 1 pods are new", False),
        (status(replicas=2, updatedReplicas=1, availableReplicas=1), "1 old pods", False),
        (status(replicas=1, updatedReplicas=1), "0 of 1 pods are available", False),
        (
            status(conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]),
            "has failed",
            True,
        ),
        (
            status(conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota"}]),
            "(quota)",
            False,
        ),
    ],
)
def test_rollouts(obj: Object, words: str, final: bool) -> None:
    pending = rollout("Deployment/a/b", obj)
    assert bool(pending) is bool(words)
    for one in pending:
        assert words in one.line
        assert one.line.startswith("Deployment/a/b: ")
        assert one.final is final


def clock() -> tuple[Deadline, list[float]]:
    now = [0.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    return Deadline(10.0, clock=lambda: now[0], sleep=sleep), pauses


def test_a_wait_ends_in_time_and_names_everything() -> None:
    deadline, pauses = clock()
    told: list[str] = []
    with pytest.raises(WaitError) as caught:
        deadline.wait_for(lambda: [Pending("a: x"), Pending("b: y")], told.append)
    assert caught.value.pending == ("a: x", "b: y")
    assert sum(pauses) == pytest.approx(10.0)
    assert max(pauses) <= 2.0
    assert told == ["a: x; b: y"]


def test_a_wait_ends_at_once_when_there_is_no_hope() -> None:
    deadline, pauses = clock()
    with pytest.raises(WaitError):
        deadline.wait_for(lambda: [Pending("a: x"), Pending("b: y", final=True)], lambda text: None)
    assert pauses == []


def test_results_come_in_the_order_of_the_items_and_failures_are_kept() -> None:
    def work(number: int) -> int:
        if number % 50 == 7:
            raise ClusterError(str(number))
        return number * 2

    outcomes = in_parallel(work, range(100))
    assert [one for one in outcomes if isinstance(one, int)] == [n * 2 for n in range(100) if n % 50 != 7]
    with pytest.raises(ClusterError, match="7"):
        results(outcomes)


def test_identities() -> None:
    assert key_of(deployment("a")) == Key(DEPLOYMENT, "a", "worker")
    assert key_of(namespace("a")) == Key(NAMESPACE, "", "a")
    assert key_of(deployment("a")).path == "/apis/apps/v1/namespaces/a/deployments/worker"
    assert key_of(namespace("a")).subject == "Namespace/a"
    with pytest.raises(ClusterError, match=r"no metadata\.namespace"):
        key_of({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})
    with pytest.raises(ClusterError, match="none that planton writes"):
        resource_of({"apiVersion": "v1", "kind": "ComponentStatus"})
