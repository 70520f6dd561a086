"""Credentials in every field, through everything that planton does: found in the data of Secrets, and nowhere else.

Not judged here, since Python gives it to whoever asks: local variables of frames (`capture_locals`, debuggers), and
`json.dumps` of an object of a rendering, which is how a manifest gets to `kubectl`.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

import planton
from planton.cluster import DeleteOptions, PlanOptions, connect
from planton.sensitive import HIDDEN
from sandbox import Sandbox
from tests.api import Api, eventually
from tests.e2e.leaks import Hunter, disguises
from tests.e2e.leaky_set import DATABASES, PLAIN, STANDBYS, VAULT
from tests.e2e.leaky_world import World, logged
from tests.manifests import database, operator

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("e2e-leaks")]

ALL = (PLAIN, *DATABASES, *STANDBYS)
NEWCOMER = "leak-newcomer"
ALLOWED = PlanOptions(allow_encryption_change=True)
FIRST_STORAGE, STORAGE = "r2-postgres-backup-credentials-libsodium", "r2-postgres-backup-credentials-pgp-ca"
"""The operator's Secret of the first round, and of the others."""
FILES = "postgres-backup-files"
OWN = {
    name: f"db-{name}-backup-credentials-{method}"
    for name, method in zip(DATABASES, ("libsodium", "pgp", "libsodium", "pgp"), strict=True)
}


OF_SOURCES = {
    name: f"db-{name}-standby-credentials-{method}"
    for name, method in zip(STANDBYS, ("libsodium", "pgp", "libsodium", "pgp"), strict=True)
}


def _first_round(world: World) -> None:
    path = str(world.set.next_round())
    world.command("validate", 0, "validate", "-f", path)
    for form in ("yaml", "json"):
        world.command(f"render {form}", 0, "render", "-o", form, "-f", path)
    # The sources of standbys are not reached here, so that they are refused without the word.
    world.command("plan with checks", 1, "plan", "-f", path)
    for form in ("table", "json", "yaml"):
        world.command(f"plan {form}", 2, "plan", "-o", form, "-f", path, "--skip-check")
    world.command("check", 1, "check", "-o", "json", "-f", path)
    world.command("apply", 0, "apply", "-f", path, "--skip-check")
    for name in ALL:
        made = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}"
        eventually(lambda made=made: world.api.get(made), f"StatefulSet of {name}")  # type: ignore[misc]
    for form in ("table", "json", "yaml"):
        # Their stores are not reached, and what is not seen is not fresh.
        world.command(f"status {form}", 3, "status", "-o", form, "-f", path)
        world.command(f"delete preview {form}", 1, "delete", "-o", form, "-f", path)
    world.command("check live", 1, "check", "-f", path, "--live")
    envs: dict[str, tuple[str, ...]] = {f"env {name} table": ("env", name, "-o", "table", "-f", path) for name in ALL}
    for form in ("json", "yaml"):
        envs |= {f"env {name} {form}": ("env", name, "-o", form, "-f", path) for name in (PLAIN, DATABASES[0])}
    for name in ALL:
        envs[f"env live {name}"] = ("env", name, "--live", "-f", path)
        envs[f"env only live {name}"] = ("env", name, "--live")
    world.commands(0, envs)


def _second_round(world: World) -> None:
    """New credentials everywhere, and another way of giving each of the operator's."""
    path = str(world.set.next_round())
    world.command("refused apply", 1, "apply", "-f", path)
    for form in ("table", "json", "yaml"):
        world.command(
            f"plan of a rotation {form}", 2, "plan", "--all", "-o", form, "-f", path, "--allow-encryption-change"
        )
    world.command("apply of a rotation", 0, "apply", "-o", "json", "-f", path, "--allow-encryption-change")
    world.command("status after it", (0, 3), "status", "-f", path)
    # The operator may not have come to it yet.
    world.commands((0, 2), {f"env live {name} after it": ("env", name, "--live", "-f", path) for name in ALL})


def _with_the_api(world: World) -> None:
    """A third round of keys by the Python API, which prints everything that it has."""
    messages = planton.load(world.set.next_round())
    world.use_variables()
    redacted = [planton.dumps(messages, redact=True, format=form) for form in ("yaml", "json")]
    world.note("dumps redacted", "".join(redacted))
    world.unredacted = planton.dumps(messages)
    world.failure("refused plan", planton.RefusedError, lambda: world.cluster.plan(messages))
    plan = world.cluster.plan(messages, options=ALLOWED)
    world.printed("a plan", plan, plan.changes, plan._sealed, copy.deepcopy(plan))
    result = world.cluster.apply(plan)
    world.printed("a result", result, *result.messages)
    platform, existing = world.cluster.facts()
    assert platform is not None
    world.printed("facts", world.cluster, world.cluster._connection, platform, existing, existing.secrets)
    world.printed("credentials", platform.credentials, platform.files, existing.values)
    rendering = planton.render(messages, platform, existing)
    world.printed("a rendering", messages, rendering, rendering[:3], list(rendering), *rendering)
    world.printed("its parts", rendering.manifests, rendering.platform, rendering.warnings)
    statuses = world.cluster.status(messages)
    world.printed("statuses", statuses, *statuses, *(one.message for one in statuses))
    for name in ALL:
        world.printed(f"variables of {name}", planton.environment(messages, name, platform=platform))
        world.printed(f"live variables of {name}", world.cluster.live_environment(name, f"db-{name}"))
    nothing, one = DeleteOptions(), DeleteOptions(databases=(DATABASES[0],), storage_secret=True)
    world.failure("no deletion", planton.RefusedError, lambda: world.cluster.plan_delete(messages, options=nothing))
    world.printed("a deletion", world.cluster.plan_delete(messages, options=one))


def _refused(world: World) -> None:
    """A fourth round, which the server refuses with every Secret quoted in its words, as it has it: in base64."""
    path = world.set.next_round()
    world.use_variables()
    messages = planton.load(path)
    newcomer = planton.loads(database(NEWCOMER))
    plan, late = world.cluster.plan(messages, options=ALLOWED), world.cluster.plan(newcomer)
    _quoting_policy(world.api, ("postgres-operator", NEWCOMER, *ALL))
    for what, work in (
        ("plan that the server refuses", lambda: world.cluster.plan(messages, options=ALLOWED)),
        ("apply that the server refuses", lambda: world.cluster.apply(plan)),
        ("copy that the server refuses", lambda: world.cluster.apply(late)),
    ):
        error = world.failure(what, planton.PlantonError, work)
        # It did quote them.
        assert "quoted " in str(error)
        assert HIDDEN in str(error)
    for verb in ("plan", "apply"):
        world.command(f"{verb} that is refused", 1, verb, "-f", str(path), "--allow-encryption-change")
    world.api.request("delete", f"{BINDINGS}/quoting")


def _conflicts(world: World) -> None:
    """Others hold the fields, the whole Secret, or all permissions; one has made a Secret unchangeable."""
    messages = planton.load(world.folder / "inputs" / "round-4.yaml")
    theirs = world.hunter.key("key of others")
    name = DATABASES[1]
    secret = f"/api/v1/namespaces/{name}/secrets/{OWN[name]}"
    data = {"data": {"AWS_SECRET_ACCESS_KEY": encoded(theirs)}}
    merge = {"content_type": "application/merge-patch+json"}
    # The policy may be in force for a moment still.
    eventually(
        lambda: _tries(world.api, "patch", f"{secret}?fieldManager=theirs", data, **merge), "the end of the policy"
    )
    world.failure("conflict", planton.ConflictError, lambda: world.cluster.plan(messages, options=ALLOWED))
    world.command(
        "conflict on the command line",
        1,
        "plan",
        "-f",
        str(world.folder / "inputs" / "round-4.yaml"),
        "--allow-encryption-change",
    )
    forced = dataclasses.replace(ALLOWED, force_conflicts=True)
    world.printed("forced plan", world.cluster.plan(messages, options=forced))
    world.api.request("post", "/api/v1/namespaces", {"metadata": {"name": "leak-foreign"}})
    whole = {"metadata": {"name": STORAGE}, "data": {"AWS_SECRET_ACCESS_KEY": encoded(theirs), "mine": encoded(theirs)}}
    world.api.request("post", "/api/v1/namespaces/leak-foreign/secrets", whole)
    foreign = planton.loads(database("leak-foreign"))
    world.failure("Secret of others", planton.ConflictError, lambda: world.cluster.plan(foreign))
    world.printed("forced over it", world.cluster.plan(foreign, options=PlanOptions(force_conflicts=True)))
    world.api.request("post", f"/api/v1/namespaces/{VAULT}/serviceaccounts", {"metadata": {"name": "nobody"}})
    nobody = connect(world.sandbox.kubeconfig_for(VAULT, "nobody"))
    world.failure("no permission", planton.PlantonError, lambda: nobody.plan(messages, options=ALLOWED))
    world.api.request("patch", secret, {"immutable": True}, **merge)
    world.failure("immutable", planton.PlantonError, lambda: world.cluster.plan(messages, options=forced))


def _events(world: World) -> None:
    """Somebody else's words in the cluster quote keys that are in use."""
    labels = world.hunter.labels
    keys = [labels["3 operator secret_access_key"]]
    keys += [labels[f"3 {name} secret_access_key"] for name in DATABASES]
    for name in DATABASES:
        event = {
            "metadata": {"name": "quoting"},
            "type": "Warning",
            "reason": "Quoting",
            "message": "quoted: " + " ".join(text for key in keys for text in (key, encoded(key), json.dumps(key))),
            "involvedObject": {"kind": "postgresql", "namespace": name, "name": f"db-{name}"},
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        world.api.request("post", f"/api/v1/namespaces/{name}/events", event)
    path = world.folder / "inputs" / "round-3.yaml"
    statuses = world.cluster.status(planton.load(path))
    assert any("quoted: " in event.message for one in statuses for event in one.events)
    world.printed("statuses with events", *statuses)
    assert "quoted: " in world.command("status with events", (0, 3), "status", "-o", "yaml", "-f", str(path))


POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
QUOTING = "'quoted ' + object.data.map(key, key + ' ' + string(object.data[key])).join(' ')"


def _quoting_policy(api: Api, namespaces: tuple[str, ...]) -> None:
    """Lets the server refuse every Secret of some namespaces, and quote it."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]
    policy = {
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "data", "expression": "has(object.data)"}],
        "validations": [{"expression": "false", "messageExpression": QUOTING}],
    }
    places = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}
    binding = {
        "policyName": "quoting",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchExpressions": [places]}},
    }
    api.request("post", POLICIES, {"metadata": {"name": "quoting"}, "spec": policy})
    api.request("post", BINDINGS, {"metadata": {"name": "quoting"}, "spec": binding})
    probe = {"metadata": {"name": "probe"}, "data": {"key": encoded("value")}}
    path = "/api/v1/namespaces/postgres-operator/secrets?dryRun=All"
    eventually(lambda: not _tries(api, "post", path, probe), "the policy")


def _tries(api: Api, *request: Any, **options: Any) -> bool:
    try:
        api.request(*request, **options)
    except ApiException:
        return False
    return True


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _bad_manifests(world: World) -> None:
    """Credentials where something is wrong with the manifest: at their own place, or at a wrong one."""
    bad = world.hunter.key("bad")
    text, pem = json.dumps(bad), json.dumps(world.hunter.armored("bad authority", "NOTHING"))
    plain = world.hunter.libsodium("bad setting", "hex")
    keys = "credentials: {access_key_id: %s, secret_access_key: {value: ordinary-key}}"
    backups = [
        keys % given
        for given in (
            text, f"[{text}]", f"{{value: [{text}]}}", f"{{value: {{a: {text}}}}}", f"{{valeu: {text}}}",
            f"{{{text}: x}}", f"{{value: {text}, environment_variable: KEY}}", f"{{value: {json.dumps('a b ' + bad)}}}",
            f"{{value: {text}", f"{{value: 'x{bad}}}", f"{{secret: {text}}}", f"{{secret: [{text}]}}",
        )
    ]  # fmt: skip
    backups += [f"access_key_id: {text}", f"credentials: {text}", f"s3_prefix: [{text}]", f"{plain}: true"]
    for key in (f"{{value: {text}}}", text, f"[{text}]"):
        backups += [
            f"encryption: {{libsodium: {{key: {key}, transform: hex}}}}",
            f"encryption: {{pgp: {{key: {key}}}}}",
        ]
        backups.append(f"encryption: {{pgp: {{key: {{file: x}}, passphrase: {key}}}}}")
    minio = "storage: {bucket_name: bucket, s3_compatible: {endpoint: %s}, %s}"
    backups.append(minio % ("https://minio", f"certificate_authority: {{value: {pem}}}"))
    backups.append(minio % (f"https://user:{plain}@minio", ""))
    backups.append(minio % ("https://minio", f"proxy: {{url: http://user:{plain}@proxy}}"))
    manifests = [operator() + database("bad", backup=one) for one in backups]
    settings = (f"logical_backup_s3_secret_access_key: {text}", f"{plain}: x", f"aws_endpoint: {text}")
    manifests += [operator(spec=f"operator_settings: {{{one}}}") for one in settings]
    manifests += [operator(backup=one) for one in backups]
    validated = {}
    for number, manifest in enumerate(manifests):
        check = lambda manifest=manifest: planton.validate(planton.loads(manifest))  # noqa: E731
        world.failure(f"bad manifest {number}", planton.ManifestError, check)
        if number % 6 == 0:
            path = world.folder / "inputs" / f"bad-{number}.yaml"
            path.write_text(manifest)
            validated[f"bad manifest {number} on the command line"] = ("validate", "-f", str(path))
    world.commands(1, validated)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAD", bad)
        for number, encryption in enumerate(
            ("libsodium: {key: {environment_variable: BAD}, transform: hex}", "pgp: {key: {environment_variable: BAD}}")
        ):
            messages = planton.loads(database("bad", backup=f"encryption: {{{encryption}}}"))
            world.failure(f"bad value {number}", planton.ManifestError, lambda: world.cluster.plan(messages))  # noqa: B023


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Sandbox.start() as sandbox, pytest.MonkeyPatch.context() as patch:
        made = World(sandbox, tmp_path_factory.mktemp("leaks"), patch)
        _first_round(made)
        _second_round(made)
        with logged(made):
            _with_the_api(made)
            made.take_stock()
            _events(made)
            _refused(made)
            _conflicts(made)
            _bad_manifests(made)
        yield made


def test_nothing_that_is_printed_or_logged_has_a_credential(world: World) -> None:
    assert len(world.seen) > 100
    assert {what: found for what, text in world.seen.items() if (found := world.hunter.find(text))} == {}


def test_logs_were_kept(world: World) -> None:
    assert "PATCH" in world.seen["logs at DEBUG"]
    for log in ("operator's log", "API server's log", "audit log"):
        assert len(world.seen[log]) > 1000
    assert f"/namespaces/{DATABASES[0]}/secrets/" in world.seen["audit log"]


def test_references_stay_references(world: World) -> None:
    """What is written down in a manifest is written down again; what is referred to is not."""
    found = world.hunter.find(world.unredacted)
    assert found
    assert {label.split()[1] for label in found} == {DATABASES[0], STANDBYS[0]}
    assert not [label for label in found if "libsodium" in label]


def test_only_data_of_secrets_has_credentials(world: World) -> None:
    elsewhere, holders = {}, set()
    for item in world.objects:
        name = (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
        rest = item
        if item["kind"] == "Secret":
            rest = {key: value for key, value in item.items() if key != "data"}
            values = (item.get("data") or {}).values()
            if world.hunter.find(*values, *(base64.b64decode(value).decode() for value in values)):
                holders.add(name[1:])
        if found := world.hunter.find(json.dumps(rest)):
            elsewhere[name] = found
    assert elsewhere == {}
    expected = {("postgres-operator", STORAGE), ("postgres-operator", FILES), (VAULT, "vault")}
    expected |= {(name, secret) for name in ALL for secret in (STORAGE, FILES)}
    expected |= {(name, FIRST_STORAGE) for name in ("postgres-operator", *ALL)}
    expected |= {(name, secret) for name in DATABASES for secret in (OWN[name], f"db-{name}-store-ca")}
    expected |= {(name, secret) for name in STANDBYS for secret in (OF_SOURCES[name], f"db-{name}-standby-ca")}
    assert holders == expected
    assert {item["kind"] for item in world.objects} >= {"Event", "StatefulSet", "postgresql", "ConfigMap", "Deployment"}
    assert any(item["metadata"].get("managedFields") for item in world.objects)


def test_the_last_credentials_are_there_and_those_before_are_gone(world: World) -> None:
    """Pods may refer to a Secret with another set of keys still: the first round's stays as it is."""
    every = [item for item in world.objects if item["kind"] == "Secret"]
    secrets = [item for item in every if item["metadata"]["name"] != FIRST_STORAGE]
    former = world.hunter.find(json.dumps([item for item in every if item not in secrets]))
    assert {label.partition(" (")[0] for label in former} == {
        f"1 operator {what}" for what in ("access_key_id", "secret_access_key", "libsodium")
    }
    found = world.hunter.find(json.dumps(secrets))
    labels = {label for label in world.hunter.labels if label.startswith("3 ")}
    assert {label.rpartition(" (")[0] for label in found} == labels
    vault = [item for item in secrets if item["metadata"]["namespace"] != VAULT]
    assert not world.hunter.find(json.dumps(vault)) & {f"3 further key ({form})" for form in ("plain", "base64")}


def test_files_are_never_anywhere_else(world: World) -> None:
    """Only the folder of the client's own keys is written, and no other process is started."""
    log = world.watched.read_text()
    assert world.hunter.find(log) == set()
    assert "\ncontent " in log
    written = {line.split(" ", 1)[1] for line in log.splitlines() if line.startswith("write ")}
    # tempfile tries a folder out with a file of five letters: https://github.com/python/cpython, Lib/tempfile.py.
    own = re.compile(rf"{re.escape(str(world.folder / 'temporary'))}/(planton-client-.*|[a-z0-9_]{{8}})|{os.devnull}")
    assert written
    assert {path for path in written if not own.fullmatch(path)} == set()
    assert not [line for line in log.splitlines() if line.startswith("process ")]
    for name in ("temporary", "work"):
        assert list((world.folder / name).iterdir()) == []


@pytest.mark.parametrize("planted", ["key", "hex", "base64", "armored"])
def test_a_planted_credential_is_found(planted: str) -> None:
    hunter = Hunter()
    value = {
        "key": lambda: hunter.key("it"),
        "hex": lambda: hunter.libsodium("it", "hex"),
        "base64": lambda: hunter.libsodium("it", "base64"),
        "armored": lambda: hunter.armored("it", "PGP PRIVATE KEY BLOCK"),
    }[planted]()
    for form, text in disguises(value):
        assert hunter.find("before", text, "after"), form
    assert hunter.find("nothing in it", "QUtJQQ==") == set()


def test_a_planted_credential_is_found_in_the_cluster(world: World) -> None:
    """Where it must not be: in an annotation, which managedFields name only."""
    key = world.hunter.key("planted")
    metadata = {"name": "planted", "annotations": {"note": json.dumps({"key": key}), "other": encoded(key)}}
    world.api.request("post", f"/api/v1/namespaces/{VAULT}/configmaps", {"metadata": metadata})
    found = world.hunter.find(*(json.dumps(item) for item in world.api.everything() if item["kind"] != "Secret"))
    assert {"planted (plain)", "planted (base64)"} <= found
